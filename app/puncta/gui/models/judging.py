"""When a training is done: its model beside the one in use, on the frames that were held out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from puncta.core.errors import UserError
from puncta.gui.i18n import tr
from puncta.gui.models.left_panel import TRAINING
from puncta.gui.models.said import told

if TYPE_CHECKING:
    from puncta.gui.models.comparison_view import ComparisonView
    from puncta.gui.models.modeller import Modeller
    from puncta.inference.registry import ModelCard
    from puncta.session.model_comparison import Comparison
    from puncta.session.retrain import JobStatus


class Judging:
    """Compares when the page of a finished training is looked at, once."""

    def __init__(self, modeller: Modeller) -> None:
        self._m = modeller
        self._under_way: set[str] = set()

    def look(self, job: JobStatus) -> None:
        """Judge the new model beside the one in use, else beside the one that it went on from."""
        shelf, view = self._m.desk.shelf, self._view(job.id)
        if shelf is None or view is None or shelf.find(job.model) is None:
            return
        old, shown = self._other(job), view.comparison
        if old is None:
            view.say(tr("There is no other model to compare it with."))
            return
        known = shown is not None and (shown.old, shown.new) == (old.identity, job.model)
        if known or job.id in self._under_way:
            return
        self._under_way.add(job.id)
        view.say(tr("Both models look at the held out frames."))
        self._m.desk.compare(job, old, partial(self._take, job.id), partial(self._fail, job.id))

    def _other(self, job: JobStatus) -> ModelCard | None:
        shelf = self._m.desk.shelf
        family = shelf.family(job.plugin) if shelf is not None else None
        if shelf is None or family is None:
            return None
        used = family.in_use.identity if family.in_use is not None else ""
        names = (used, job.base, *(p.model for p in family.history[::-1]))
        cards = (shelf.find(name) for name in names if name and name != job.model)
        return next((card for card in cards if card is not None), None)

    def _take(self, job: str, comparison: Comparison) -> None:
        self._under_way.discard(job)
        view = self._view(job)
        if view is not None:
            view.show_comparison(comparison)
        self._m.follow()

    def _fail(self, job: str, error: Exception) -> None:
        from puncta.session.model_comparison import ComparisonStopped

        self._under_way.discard(job)
        view, stopped = self._view(job), isinstance(error, ComparisonStopped)
        if view is not None:
            words = tr("The comparison was stopped. It begins again when this page is opened.")
            view.say(words if stopped else told(str(error)))
        self._m.follow()
        if not isinstance(error, UserError | ComparisonStopped):
            raise error

    def _view(self, job: str) -> ComparisonView | None:
        """The view of a training's comparison, while that training is shown."""
        page = self._m.training_page
        return page.comparison if page is not None and self._m.shown == (TRAINING, job) else None
