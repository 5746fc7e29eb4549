"""Joins the window to the trainings: asked for in a thread, told by theirs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QImage

from puncta.core.errors import UserError
from puncta.gui.bridge import Bridge
from puncta.gui.models.words import CANCEL, HELD, PAUSE, UNDER_WAY
from puncta.inference.registry import ModelCard

if TYPE_CHECKING:
    from puncta.session.retrain import JobStatus, RetrainJobs, RetrainRecipe, SplitPlan, TrainingData

LOOK_MS = 3000
"""So often it is asked how trainings stand that another window has begun [ms]."""
SIMULATED, OWN = "simulated", "own"
PICTURE_KINDS = {"validation.png": SIMULATED, "validation-stills.png": OWN}
"""What a training's pictures are of, by their file: simulated cines of other machines, or the data of this user."""
Failed = Callable[[Exception], None]


class Ask(Protocol):
    """Does work in a thread, then hands its result, or what went wrong, to the window."""

    def __call__(
        self, work: Callable[[], Any], then: Callable[[Any], None] | None = None, failed: Failed | None = None
    ) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Learned:
    """What a training has written so far: its curves, and pictures of what it says on tune frames.

    Attributes
    ----------
    pictures : tuple of (str, QImage)
        What they are of, "own" or "simulated", and the picture.
    notes : tuple of str
        What was left out of the recordings that it learns from.
    split : SplitPlan or None
        Who it learns from, who sets thresholds, and who judges; None where the dataset is not there any more.
    """

    curves: dict[str, tuple[list[float], list[float]]]
    pictures: tuple[tuple[str, QImage], ...]
    result: ModelCard | None
    notes: tuple[str, ...] = ()
    split: SplitPlan | None = None


class TrainingDesk(QObject):
    """The trainings of this user.

    Signals carry nothing: read `all`.

    Parameters
    ----------
    ask : callable
        Does work in a thread.
    """

    changed = Signal()
    ended = Signal()
    """One is done: there is another model."""

    def __init__(self, ask: Ask, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._ask = ask
        self.say: Failed = lambda _error: None
        """Says why what was asked cannot be done."""
        self._bridge = Bridge(self)
        self._bridge.woken.connect(self._take)
        self._lock = threading.Lock()
        self._told: dict[str, JobStatus] = {}
        self._end: Callable[[], None] | None = None
        self._begun = self._read = False
        self._pictures: dict[Path, tuple[int, QImage]] = {}
        self._notes: dict[str, tuple[str, ...]] = {}
        self._splits: dict[tuple[str, str], SplitPlan | None] = {}
        self.trainer: RetrainJobs | None = None
        self.all: dict[str, JobStatus] = {}
        self.asked: dict[str, str] = {}
        """What trainings under way were asked to do and have not done yet: "pause" or "cancel", by their ids."""
        self.recipes: tuple[RetrainRecipe, ...] = ()
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self.read)

    def begin(self) -> None:
        """Find the trainings of this user; once."""
        if self._begun:
            return
        self._begun = True

        def work() -> RetrainJobs:
            from puncta.session.retrain import RetrainJobs

            return RetrainJobs()

        self._ask(work, self.take_trainer)

    def take_trainer(self, trainer: RetrainJobs) -> None:
        """Follow what carries out trainings."""
        from puncta.session.retrain import RECIPES

        self._begun, self.trainer, self.recipes = True, trainer, RECIPES
        self._end = trainer.subscribe(self._hear)
        self._timer.start()
        self.read()

    def active(self) -> JobStatus | None:
        """The training that is under way."""
        ranked = sorted(
            (job for job in self.all.values() if job.state in UNDER_WAY), key=lambda job: job.state == "waiting"
        )
        return ranked[0] if ranked else None

    def held(self) -> tuple[JobStatus, ...]:
        """Trainings that wait to be gone on with."""
        return tuple(job for job in self.all.values() if job.state in HELD)

    def learned(self, job: str, then: Callable[[Learned], None], failed: Failed | None = None) -> None:
        """Read curves and pictures of a training."""
        trainer = self.trainer
        if trainer is None:
            return

        def work() -> Learned:
            pictures = tuple(
                (PICTURE_KINDS.get(file.name, OWN), image)
                for file in trainer.pictures(job)
                if not (image := self._picture(file)).isNull()
            )
            return Learned(
                dict(trainer.curves(job)), pictures, trainer.result(job), self._left_out(job), self._split(job)
            )

        self._ask(work, then, failed)

    def plan(
        self, data: TrainingData, plugin: str, roles: Mapping[str, Mapping[str, str]],
        then: Callable[[SplitPlan], None], failed: Failed,
    ) -> None:
        """Divide data by subject; whoever has a role keeps it."""

        def work() -> SplitPlan:
            from puncta.session.retrain import plan_split

            return plan_split(data, plugin, roles=roles)

        self._ask(work, then, failed)

    def _split(self, job: str) -> SplitPlan | None:
        """Who a training learns from and who judges, read once; called in a thread."""
        status = self.all.get(job)
        if status is None:
            return None
        key = status.data, status.plugin
        if key not in self._splits:
            from puncta.session.retrain import split_of_dataset

            try:
                self._splits[key] = split_of_dataset(Path(status.data), status.plugin)
            except UserError:  # it is not there any more
                self._splits[key] = None
        return self._splits[key]

    def _left_out(self, job: str) -> tuple[str, ...]:
        """What was left out of a training's recordings, read once; called in a thread."""
        status = self.all.get(job)
        recipe = next((r for r in self.recipes if status is not None and r.id == status.recipe), None)
        if status is None or recipe is None or recipe.kind != "pretrain":
            return ()
        if status.data not in self._notes:
            from puncta.session.retrain import open_training_data

            try:
                self._notes[status.data] = open_training_data(Path(status.data)).problems
            except UserError:  # it is not there any more
                self._notes[status.data] = ()
        return self._notes[status.data]

    def _picture(self, file: Path) -> QImage:
        """A picture as it was read last, unless it was drawn anew; called in a thread."""
        try:
            when = file.stat().st_mtime_ns
        except OSError:
            return QImage()
        kept = self._pictures.get(file)
        if kept is None or kept[0] != when:
            kept = self._pictures[file] = (when, QImage(str(file)))
        return kept[1]

    def pause(self, job: str) -> None:
        """Let a training write a checkpoint and stop."""
        self._ask_for(job, PAUSE, lambda trainer: trainer.pause(job))

    def resume(self, job: str) -> None:
        """Go on with a training."""
        self._with_trainer(lambda trainer: trainer.resume(job))

    def cancel(self, job: str) -> None:
        """Stop a training for good."""
        self._ask_for(job, CANCEL, lambda trainer: trainer.cancel(job))

    def _ask_for(self, job: str, what: str, work: Callable[[RetrainJobs], None]) -> None:
        """Its process writes a checkpoint before it ends, so what was asked is told until then, and asked once."""
        trainer, status = self.trainer, self.all.get(job)
        if trainer is None or status is None or status.state not in UNDER_WAY or job in self.asked:
            return

        def wrong(error: Exception) -> None:
            self.asked.pop(job, None)
            self.changed.emit()
            self.say(error)

        self.asked[job] = what
        self.changed.emit()
        self._ask(lambda: work(trainer), lambda _none: self.read(), wrong)

    def _settle(self) -> None:
        """What has ended, or has gone, was asked for nothing any more."""
        for job in [j for j in self.asked if j not in self.all or self.all[j].state not in UNDER_WAY]:
            del self.asked[job]

    def remove(self, job: str, then: Callable[[Path | None], None]) -> None:
        """Take a training away; the model it made stays. Told is where a copy of its data is that had to be kept."""
        trainer = self.trainer
        if trainer is None:
            return

        def work() -> Path | None:
            kept = trainer.remove(job)
            with self._lock:
                self._told.pop(job, None)
            return kept

        def there(kept: Path | None) -> None:
            self.all.pop(job, None)
            self.changed.emit()
            self.read()
            then(kept)

        self._ask(work, there)

    def _with_trainer(self, work: Callable[[RetrainJobs], None]) -> None:
        trainer = self.trainer
        if trainer is not None:
            self._ask(lambda: work(trainer))

    def read(self) -> None:
        """Read how all trainings stand."""
        trainer = self.trainer
        if trainer is None:
            return

        def there(jobs: tuple[JobStatus, ...]) -> None:
            found = {job.id: job for job in jobs}
            if found == self.all and self._read:
                return
            self._read = True
            done = {name for name, job in self.all.items() if job.state in UNDER_WAY}
            ended = any(job.state == "done" and name in done for name, job in found.items())
            self.all = found
            self._settle()
            self.changed.emit()
            if ended:
                self.ended.emit()

        self._ask(trainer.jobs, there)

    def _hear(self, job: JobStatus) -> None:
        """Called on a thread of the trainings."""
        with self._lock:
            self._told[job.id] = job
        self._bridge.wake()

    def _take(self) -> None:
        with self._lock:
            told, self._told = self._told, {}
        ended = any(
            job.state == "done" and (old := self.all.get(name)) is not None and old.state != "done"
            for name, job in told.items()
        )
        self.all |= told
        self._settle()
        if told:
            self.changed.emit()
        if ended:
            self.ended.emit()

    def leave_trainer(self) -> None:
        """Follow what carries out trainings no more."""
        if self._end is not None:
            self._end()
            self._end = None

    def leave(self) -> None:
        """Hear nothing any more."""
        self._timer.stop()
        self._bridge.close()
        self.leave_trainer()

    def close(self) -> None:
        """Pause what trains and wait until it has stopped; nothing is lost."""
        if self.trainer is not None:
            self.trainer.close()
