"""Joins the window to models and trainings. Nothing here is done on the GUI thread but asking and being told."""

from __future__ import annotations

import importlib.util
import logging
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from puncta.annotation.shared import open_labels
from puncta.core.errors import UserError
from puncta.gui.bridge import Bridge, Jobs
from puncta.gui.i18n import tr
from puncta.gui.models.draft import Draft, copy_of, keeps_its_split
from puncta.gui.models.said import told
from puncta.gui.models.shelf import Shelf, read_card_text, read_shelf
from puncta.gui.models.training_desk import TrainingDesk
from puncta.gui.models.use_watch import UseWatch
from puncta.inference.registry import ModelCard

if TYPE_CHECKING:
    from puncta.session.model_comparison import Comparison
    from puncta.session.retrain import Estimated, JobStatus, Recording, TrainingData

    Judged = Comparison | UserError

log = logging.getLogger(__name__)

Failed = Callable[[Exception], None]
MAKING, COMPARING = "making", "comparing"


class ModelDesk(QObject):
    """Models, trainings and comparisons of one window.

    Signals carry nothing: read `shelf`, `data`, `progress`.

    Parameters
    ----------
    store : callable
        Returns where the labels are, as `open_labels` takes it.
    """

    models_changed = Signal()
    data_changed = Signal()
    progressed = Signal()
    failed = Signal(str)
    used_elsewhere = Signal()
    """Another program has put other models in use: `elsewhere`."""

    def __init__(self, store: Callable[[], Path | str | None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._work = Jobs(self)
        self._long = Jobs(self)  # a dataset or a comparison takes minutes: Pause and Cancel do not wait for it
        self._bridge = Bridge(self)
        self._bridge.woken.connect(self.progressed)
        self.trainings = TrainingDesk(self._ask, self)
        self.trainings.ended.connect(self.look)
        self.trainings.say = self._say
        self.watch = UseWatch(self._ask, self._take_shelf, self._say_unread, self)
        self.stop = threading.Event()
        self.shelf: Shelf | None = None
        self.elsewhere: tuple[str, ...] = ()
        """Plugins for which another program has put another model in use, last."""
        self.data: tuple[TrainingData, ...] = ()
        self.recordings: tuple[Recording, ...] = ()
        self.data_known = False
        self.comparisons: dict[tuple[str, str, str], Comparison] = {}
        self.progress: tuple[str, float, float | None] = ("", 0.0, None)
        """What takes long besides the trainings: its kind ("" for nothing), done, total."""
        self.looked: Mapping[str, int] = {}
        """Frames that the look of the last start has left of each recording, by its id."""

    # --- models ------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Read which models there are."""
        before, changes = self.watch.promotions, self.watch.changes

        def there(shelf: Shelf) -> None:
            if changes != self.watch.changes:  # what this window has changed meanwhile is newer, and nobody else's
                self.look()
            else:
                self._take_shelf(shelf, () if self.watch.holds else self._news(shelf))

        self._ask(lambda: read_shelf(before), there)

    def read_card(self, card: ModelCard, then: Callable[[str], None]) -> None:
        """Read the words of a model's card."""
        self._ask(lambda: read_card_text(card), then)

    def promote(self, card: ModelCard, then: Callable[[], None]) -> None:
        """Put a model in use, if its files are the recorded ones."""

        def work() -> Shelf:
            from puncta.inference.promotion import promote
            from puncta.session.plugins import try_model

            try_model(card)
            promote(read_shelf().registry, card)
            return read_shelf()

        self._change(card.plugin, work, then)

    def roll_back(self, plugin: str, then: Callable[[], None]) -> None:
        """Take back what was put in use last."""

        def work() -> Shelf:
            from puncta.inference.promotion import roll_back

            roll_back(read_shelf().registry, plugin)
            return read_shelf()

        self._change(plugin, work, then)

    def _change(self, plugin: str, work: Callable[[], Shelf], then: Callable[[], None]) -> None:
        def there(shelf: Shelf) -> None:
            self.watch.go_on()
            self._take_shelf(shelf, tuple(other for other in self._news(shelf) if other != plugin))
            then()

        def wrong(error: Exception) -> None:
            self.watch.go_on()
            self._say(error)

        self.watch.hold()
        self._ask(work, there, wrong)

    def _news(self, shelf: Shelf) -> tuple[str, ...]:
        return self.watch.note(shelf.registry.promotions)

    def _take_shelf(self, shelf: Shelf, elsewhere: tuple[str, ...]) -> None:
        self.shelf = shelf
        self.models_changed.emit()
        if elsewhere:
            self.elsewhere = elsewhere
            self.used_elsewhere.emit()

    def _say_unread(self, why: str) -> None:
        words = tr("Which models are in use cannot be read any more, so what runs goes on. {why}")
        self.failed.emit(words.format(why=why))

    # --- what to learn from ------------------------------------------------------------------------------------

    def fetch_data(self) -> None:
        """Read what there is to learn from."""

        def work() -> tuple[tuple[TrainingData, ...], tuple[Recording, ...], str]:
            from puncta.session.retrain import datasets_at_hand, recordings_of_store

            try:
                store = open_labels(self._store(), begin=False)
            except UserError as error:
                return datasets_at_hand(None), (), str(error)
            with store:
                return datasets_at_hand(store), recordings_of_store(store), ""

        def there(found: tuple[tuple[TrainingData, ...], tuple[Recording, ...], str]) -> None:
            self.data, self.recordings, problem = found
            self.data_known = True
            self.data_changed.emit()
            if problem:
                self.failed.emit(problem)

        self._ask(work, there)

    def read_recordings(
        self, places: Sequence[Path], then: Callable[..., None], there: Sequence[Recording] = ()
    ) -> None:
        """Read files, or folders with one folder for each person, as recordings.

        Parameters
        ----------
        then : callable
            Takes them, what cannot be read in a sentence each, and the one that each is the same as, by their ids.
        there : sequence of Recording
            Those that are listed already.
        """

        def work() -> tuple[tuple[Recording, ...], tuple[str, ...], dict[str, str]]:
            from puncta.session.retrain import recording_of_file, recordings_of_folder
            from puncta.session.retrain_recordings import left_out
            from puncta.session.same_recording import firsts

            found: list[Recording] = []
            wrong: list[str] = []
            for place in places:
                try:
                    if place.is_dir():
                        some, said = recordings_of_folder(place)
                        found += some
                        wrong += said
                    else:
                        found.append(recording_of_file(place))
                except UserError as error:
                    wrong.append(str(error) if place.is_dir() else left_out(place, str(error)))
            everything = [*there, *found]
            same = firsts(recording.uri for recording in everything)
            ids = {everything[k].id: everything[first].id for k, first in enumerate(same) if first != k}
            return tuple(found), tuple(wrong), ids

        self._ask(work, lambda found: then(*found))

    def estimate(self, recipe: str, base: str, then: Callable[[Estimated], None], failed: Failed) -> None:
        """Say how long a recipe will take here, or that it cannot be carried out."""

        def work() -> Estimated:
            from puncta.session.retrain import RetrainPlan, base_run, estimate, find_recipe
            from puncta.session.retrain_plans import NO_TORCH

            chosen = find_recipe(recipe)
            if importlib.util.find_spec("torch") is None:
                raise UserError(NO_TORCH)
            if chosen.needs_base:
                base_run(read_shelf().registry, base, chosen.plugin)
            return estimate(RetrainPlan("plan", recipe, Path()))

        self._ask(work, then, failed)

    def start(self, draft: Draft, then: Callable[[str], None], failed: Failed) -> None:
        """Make the dataset of a draft, unless it is one already, and begin its training."""
        trainer = self.trainings.trainer
        if trainer is None:
            return
        stop = self._begin_long(MAKING)
        self.looked = {}

        def looked(left: Mapping[str, int]) -> None:
            self.looked = left

        def work() -> str:
            from puncta.session.retrain import RetrainPlan, make_dataset
            from puncta.session.retrain_copies import free_folder

            folder = draft.data.path if keeps_its_split(draft) else None
            made_of = copy_of(draft) if folder is None else ""
            if folder is None:
                folder = free_folder(draft.name)
                told: dict[str, Any] = {"tell": self._tell, "cancelled": stop.is_set}
                if draft.data.path is not None or draft.data.needle_free:
                    make_dataset(None, draft.data, draft.split, folder, **told, found=looked)
                else:
                    with open_labels(self._store(), begin=False) as store:
                        make_dataset(store, draft.data, draft.split, folder, **told)
            plan = RetrainPlan(draft.name, draft.recipe, folder, draft.base, copy_of=made_of)
            try:
                return trainer.start(plan)
            except Exception as error:
                if folder == draft.data.path:
                    raise
                shutil.rmtree(folder, ignore_errors=True)  # made here, for nothing
                if not isinstance(error, UserError):
                    raise
                what = "these recordings" if draft.data.needle_free else "these labels"
                raise UserError(str(error).replace(f"the dataset {folder.name}", what)) from error

        def there(job: str) -> None:
            self._end_long(stop)
            self.trainings.read()
            then(job)

        def wrong(error: Exception) -> None:
            self._end_long(stop)
            failed(error)

        self._long.run(work, there, wrong)

    # --- comparison --------------------------------------------------------------------------------------------

    def compare(
        self, job: JobStatus, olds: Sequence[ModelCard], then: Callable[[Sequence[Judged]], None], failed: Failed
    ) -> None:
        """Judge what a training has made and other models on its held out frames, unless that was done before."""
        new = self.shelf.find(job.model) if self.shelf is not None else None
        keys = [(old.identity, job.model, job.data) for old in olds]
        if all(key in self.comparisons for key in keys):
            then([self.comparisons[key] for key in keys])
            return
        if new is None:
            return
        if self.progress[0] == MAKING:  # a look at another page does not end what somebody has started
            from puncta.session.model_comparison import ComparisonStopped

            failed(ComparisonStopped())
            return
        stop = self._begin_long(COMPARING)

        def work() -> Sequence[Judged]:
            from puncta.gui.models.kept_comparison import compare_and_keep

            return compare_and_keep(job, olds, new, self._tell_clips, stop.is_set)

        def there(found: Sequence[Judged]) -> None:
            self._end_long(stop)
            self.comparisons |= {
                key: one for key, one in zip(keys, found, strict=True) if not isinstance(one, UserError)
            }
            then(found)

        def wrong(error: Exception) -> None:
            self._end_long(stop)
            failed(error)

        self._long.run(work, there, wrong)

    def kept(self, card: ModelCard, then: Callable[[Sequence[Comparison]], None]) -> None:
        """Read the comparisons that were made of a model."""
        folders = [job.folder for job in self.trainings.all.values() if job.model == card.identity]
        if not folders and card.origin != "user":  # of what ships nothing is kept here
            then(())
            return

        def work() -> Sequence[Comparison]:
            from puncta.gui.models.kept_comparison import comparisons_of

            return comparisons_of(card, folders)

        self._ask(work, then)

    def remove_training(self, job: JobStatus, then: Callable[[Path | None], None]) -> None:
        """Take a training away; its model stays, with what it was compared with."""
        self.stop_long(COMPARING)  # on frames that may go now
        card = self.shelf.find(job.model) if self.shelf is not None else None

        def work() -> None:
            from puncta.gui.models.kept_comparison import keep_with_model

            if card is not None:
                keep_with_model(job.folder, card)

        self._ask(work, lambda _none: self.trainings.remove(job.id, then))

    def stop_long(self, kind: str = "") -> None:
        """End what takes long besides the trainings, if it is of this kind."""
        if not kind or self.progress[0] == kind:
            self.stop.set()

    def _begin_long(self, kind: str) -> threading.Event:
        self.stop.set()
        self.stop = threading.Event()
        self.progress = (kind, 0.0, None)
        self.progressed.emit()
        return self.stop

    def _end_long(self, stop: threading.Event) -> None:
        if stop is self.stop:  # else another has begun since
            self.progress = ("", 0.0, None)
            self.progressed.emit()

    def _tell(self, _what: str, done: float, total: float | None) -> None:
        self._note(MAKING, done, total)

    def _tell_clips(self, done: float, total: float | None) -> None:
        self._note(COMPARING, done, total)

    def _note(self, kind: str, done: float, total: float | None) -> None:
        if self.progress[0] == kind:
            self.progress = (kind, done, total)
            self._bridge.wake()

    # --- the end -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Pause what trains and end what compares."""
        self.stop.set()
        self.watch.end()
        self._bridge.close()
        self.trainings.leave()
        self._long.close()
        self._work.close()
        self.trainings.close()

    def _ask(
        self, work: Callable[[], Any], then: Callable[[Any], None] | None = None, failed: Failed | None = None
    ) -> None:
        self._work.run(work, then, failed or self._say)

    def _say(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            log.error("work on models failed", exc_info=error)
        self.failed.emit(told(str(error)))
