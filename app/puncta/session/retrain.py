"""Training models again from within the program: jobs that run one at a time, each in a process of its own.

The process is `puncta train`, at a low priority. It writes its progress into a file of the job's folder and looks there
for a file that asks it to pause: then it writes a checkpoint and ends. So it does where this program has gone, killed
or not; where the process itself is killed, at most one checkpoint interval is lost. Either way `resume` goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from puncta import paths
from puncta.core.errors import UserError
from puncta.formats.dataset import is_dataset
from puncta.inference.registry import ModelCard, Registry
from puncta.session.retrain_copies import let_go
from puncta.session.retrain_data import (
    LabelledCase,
    TrainingData,
    datasets_at_hand,
    open_training_data,
)
from puncta.session.retrain_export import MadeDataset, make_dataset
from puncta.session.retrain_pace import Estimated, PaceTable, parts_of, work_in
from puncta.session.retrain_plans import (
    RetrainPlan,
    base_run,
    budget_of,
    check_plan,
    clips_dir,
    clips_marker,
    command_of,
    estimate,
    experiment_of,
    next_version,
    trainings_dir,
    write_experiment,
)
from puncta.session.retrain_recipes import RECIPES, RetrainRecipe, find_recipe
from puncta.session.retrain_recordings import (
    Recording,
    data_of_recordings,
    recording_of_file,
    recordings_of_folder,
    recordings_of_store,
)
from puncta.session.retrain_records import (
    ACTIVE,
    OUT,
    PAUSE,
    JobRecord,
    JobStatus,
    is_alive,
    read_curves,
    read_record,
    settled,
    this_program,
    waits,
    write_record,
)
from puncta.session.retrain_run import JobRun
from puncta.session.retrain_split import SplitPlan, plan_split, split_of_dataset

__all__ = [
    "RECIPES", "Estimated", "JobStatus", "LabelledCase", "MadeDataset", "Recording", "RetrainJobs", "RetrainPlan",
    "RetrainRecipe", "SplitPlan", "TrainingData", "base_run", "data_of_recordings", "datasets_at_hand", "estimate",
    "find_recipe", "make_dataset", "open_training_data", "plan_split", "recording_of_file", "recordings_of_folder",
    "recordings_of_store", "split_of_dataset",
]

PICTURES = ("validation-stills.png", "validation.png")

Callback = Callable[[JobStatus], None]


class RetrainJobs:
    """The trainings of this user; one runs, the others wait. May be used from any thread.

    Parameters
    ----------
    folder : Path or None
        Where they are kept; None takes `trainings_dir`.
    models : Path or None
        Models folder that finished ones are registered in; None takes the user's.
    cache : Path or None
        Where clips are kept; None takes `clips_dir`.
    """

    def __init__(self, folder: Path | None = None, *, models: Path | None = None, cache: Path | None = None) -> None:
        self.folder = Path(folder) if folder is not None else trainings_dir()
        self.models = Path(models) if models is not None else paths.user_data_dir() / "models"
        self.cache = Path(cache) if cache is not None else clips_dir()
        self.pace = PaceTable(self.folder)
        self._lock = threading.RLock()
        self._records: dict[str, JobRecord] = {}
        self._runs: dict[str, JobRun] = {}
        self._queue: list[str] = []
        self._in_hand = ""
        self._asked: dict[str, str] = {}
        self._thread: threading.Thread | None = None
        self._callbacks: list[Callback] = []
        self._closing = False
        self._find_others()

    # What others ask.

    def jobs(self) -> tuple[JobStatus, ...]:
        """Return all trainings, the newest first; those that another window has begun or removed meanwhile too."""
        with self._lock:
            self._find_others()
            names = sorted(self._records, key=lambda i: (self._records[i].created_utc, i), reverse=True)
            return tuple(self.status(name) for name in names)

    def status(self, job: str) -> JobStatus:
        """Return how a training stands; raises UserError where there is none."""
        with self._lock:
            record, run = self._record(job), self._runs.get(job)
            if run is not None:
                return record.status(self.folder / job, run.elapsed_s, run.left_s)
            kept = read_record(self.folder / job)
            elsewhere = kept is not None and kept.owner != os.getpid()  # another window may have gone on with it
            if elsewhere or record.state in (*ACTIVE, "waiting"):
                record = self._look(job)
            return record.status(self.folder / job, record.spent_s, 0.0 if record.state == "done" else None)

    def curves(self, job: str) -> Mapping[str, tuple[list[float], list[float]]]:
        """Return its curves by name, as (samples, values): "loss" and its parts "loss: ...", figures "tune: ..."."""
        self._record(job)
        return read_curves(self.folder / job)

    def pictures(self, job: str) -> tuple[Path, ...]:
        """Return pictures of what the network says on frames of the tune split, as far as there are any."""
        self._record(job)
        return tuple(p for name in PICTURES if (p := self.folder / job / OUT / name).is_file())

    def result(self, job: str) -> ModelCard | None:
        """Return the model that a training has made, registered and not in use; None before it is done."""
        record = self._record(job)
        if record.state != "done":
            return None
        try:
            return Registry.load(user=self.models).find(record.model)
        except UserError:  # taken out of the models folder since
            return None

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Have a function called with every change, on a thread of the jobs; returns what ends that."""
        with self._lock:
            self._callbacks.append(callback)

        def end() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._callbacks.remove(callback)

        return end

    # What others want done.

    def start(self, plan: RetrainPlan) -> str:
        """Take in a training and begin it as soon as no other runs; return its id.

        Raises
        ------
        UserError
            It cannot be carried out; nothing is left behind.
        """
        registry = Registry.load(user=self.models)
        recipe, _start = check_plan(plan, registry)
        samples = budget_of(plan, recipe, self.pace, self.cache)
        with self._lock:
            taken = [r.model for r in self._records.values()]
            version = next_version(registry, recipe.model, taken)
            now = datetime.now(UTC)
            job = f"{now:%Y%m%d-%H%M%S}-{recipe.id.replace('_', '-')}-{uuid4().hex[:4]}"
            record = JobRecord(
                job, plan.name.strip(), recipe.id, recipe.plugin, plan.base if recipe.needs_base else "",
                str(Path(plan.data).resolve()), f"{recipe.model} {version}", f"{now:%Y-%m-%dT%H:%M:%SZ}",
                copy_of=plan.copy_of, **this_program(),
            )
            place = self.folder / job
            try:
                place.mkdir(parents=True)
                table = write_experiment(place, experiment_of(plan, recipe, version, samples))
                record = replace(record, work=work_in(table))
                write_record(place, record)
            except (OSError, UserError) as error:
                shutil.rmtree(place, ignore_errors=True)
                if isinstance(error, UserError):
                    raise
                raise UserError(f"The folder {place} cannot be made: {error.strerror}.") from error
            self._records[job] = record
            self._wait_in_line(job)
        self._tell(job)
        return job

    def pause(self, job: str) -> None:
        """Ask a training to write a checkpoint and end; does nothing where it is not running or waiting."""
        self._ask(job, "paused")

    def cancel(self, job: str) -> None:
        """Stop a training for good; what it has made stays until `remove`."""
        with self._lock:
            if self._look(job).state not in (*ACTIVE, "waiting"):
                if self._records[job].state in ("paused", "interrupted", "failed"):
                    self._put(job, state="cancelled", message="Cancelled.")
                return
        self._ask(job, "cancelled")

    def resume(self, job: str) -> None:
        """Go on with a training that was paused, interrupted, cancelled or failed, from its last checkpoint.

        Raises
        ------
        UserError
            It is done, runs already, or what it began with has gone.
        """
        with self._lock:
            record = self._look(job)
            if record.state == "done":
                raise UserError(f"{record.name} is done; there is nothing to go on with.")
            if record.state in (*ACTIVE, "waiting"):
                raise UserError(f"{record.name} is {record.state} already.")
            self._command(record)  # says what is missing
            self._put(job, state="waiting", message="", **this_program())
            self._wait_in_line(job)

    def remove(self, job: str) -> Path | None:
        """Take a training away with its files and the data copied for it; the model that it made stays registered.

        Return where a copy is now that had to be kept, as `let_go` does. Raises UserError where it runs, or that fails.
        """
        with self._lock:
            record = self._record(job)
            kept = read_record(self.folder / job) or record  # another window may have begun it since
            if record.state in ACTIVE or is_alive(record) or is_alive(kept):
                raise UserError(f"{record.name} is running; pause or cancel it first.")
            if waits(kept) and job not in self._queue:
                raise UserError(f"{record.name} waits in another window of the program; cancel it there first.")
            if job in self._queue:
                self._queue.remove(job)
            self._find_others()  # one of them may learn from the same copy
            kept_copy = let_go(record.data, record.copy_of, [r.data for i, r in self._records.items() if i != job])
            shutil.rmtree(self.folder / job, ignore_errors=True)
            del self._records[job]
            return kept_copy

    def close(self) -> None:
        """Pause what runs and wait for it; nothing is lost."""
        with self._lock:
            self._closing = True
            for job in list(self._queue):
                self._put(job, state="paused", message="The program was closed before it began.")
            self._queue.clear()
            running = [job for job, r in self._records.items() if r.state in ACTIVE and job in self._runs]
            thread = self._thread
        for job in running:
            self.pause(job)
        if thread is not None:
            thread.join()

    # Inside.

    def _find_others(self) -> None:
        """Take in trainings whose folder is new, and leave out those whose folder has gone."""
        places = {p.name: p for p in sorted(self.folder.glob("*"))} if self.folder.is_dir() else {}
        own = {*self._queue, *self._runs, self._in_hand}
        for job in self._records.keys() - places.keys() - own:
            del self._records[job]
        for place in places.values():
            if place.name not in self._records and (record := read_record(place)) is not None:
                self._records[record.id] = settled(record, place)

    def _registered(self, job: str) -> str:
        """Return the model that a finished training has become: another may have taken its version meanwhile."""
        record = self._records[job]
        wanted, _, version = record.model.partition(" ")
        try:
            made = hashlib.sha256((self.folder / job / OUT / "model.onnx").read_bytes()).hexdigest()
            cards = Registry.load(user=self.models).cards
        except (OSError, UserError):
            return record.model
        same = [c for c in cards if c.id == wanted and c.sha256 == made]
        return record.model if not same or version in {c.version for c in same} else same[0].identity

    def _record(self, job: str) -> JobRecord:
        with self._lock:
            if job not in self._records:
                raise UserError(f'There is no training "{job}".')
            return self._records[job]

    def _look(self, job: str) -> JobRecord:
        """Return how a training stands; that of another window, or of one that was killed, is read. Under the lock."""
        record = self._record(job)
        if job not in self._queue and job not in self._runs and job != self._in_hand:
            record = self._records[job] = settled(read_record(self.folder / job) or record, self.folder / job)
        return record

    def _put(self, job: str, keep: bool = True, **changes: object) -> None:
        with self._lock:
            if job not in self._records:  # removed as soon as it had ended
                return
            self._records[job] = replace(self._records[job], **changes)  # type: ignore[arg-type]
            if keep:
                # A full disk costs the record of how far it is, not the training.
                with contextlib.suppress(UserError):
                    write_record(self.folder / job, self._records[job])
        self._tell(job)

    def _tell(self, job: str) -> None:
        with self._lock:
            if job not in self._records:
                return
            callbacks, status = list(self._callbacks), self.status(job)
        for callback in callbacks:
            callback(status)

    def _ask(self, job: str, what: str) -> None:
        with self._lock:
            record = self._look(job)
            if job in self._queue:
                self._queue.remove(job)
                self._put(job, state=what, message="")
                return
            if waits(record) and job != self._in_hand:
                raise UserError(f"{record.name} waits in another window of the program; pause or cancel it there.")
            if record.state not in ACTIVE:
                return
            self._asked[job] = what
            try:
                (self.folder / job / PAUSE).touch()
            except OSError as error:
                raise UserError(f"{record.name} cannot be asked to stop: {error.strerror}.") from error

    def _wait_in_line(self, job: str) -> None:
        """Called under the lock."""
        if self._closing:
            raise UserError("The program is closing; nothing is begun any more.")
        self._queue.append(job)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="retraining")
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._thread = None
                    return
                self._in_hand = job = self._queue.pop(0)
                self._asked.pop(job, None)
                self._records[job] = replace(self._records[job], state="making data", stage="beginning")
            self._run(job)

    def _run(self, job: str) -> None:
        try:
            with self._lock:
                if self._closing:  # `close` came just after the job was taken out of the line
                    self._put(job, state="paused", message="The program was closed before it began.")
                    return
                record = self._records[job]
                recipe, marker = find_recipe(record.recipe), clips_marker(record.recipe, self.cache)
                parts, _measured = parts_of(recipe, self.pace, record.work, marker.exists())
                command = self._command(record)
                run = JobRun(
                    self.folder / job, record, command, parts, marker, self.pace,
                    lambda **changes: self._put(job, **changes), lambda: self._asked.get(job),
                    lambda: self._registered(job),
                )
                self._runs[job] = run
            run.run()
        except UserError as error:
            self._put(job, state="failed", message=str(error))
        finally:
            with self._lock:
                self._runs.pop(job, None)
                self._asked.pop(job, None)
                self._in_hand = ""

    def _command(self, record: JobRecord) -> list[str]:
        recipe = find_recipe(record.recipe)
        start = None
        if recipe.needs_base:
            start = base_run(Registry.load(user=self.models), record.base, recipe.plugin)[1]
        if not is_dataset(Path(record.data)):
            raise UserError(f"The dataset {Path(record.data).name} is not there any more, so it cannot go on.")
        return command_of(self.folder / record.id, Path(record.data), start, self.models, self.cache)
