"""When a training is done: its model beside the one in use and the one that ships, on the frames that were held out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from puncta.core.errors import UserError
from puncta.gui.i18n import tr
from puncta.gui.models.comparison_view import Beside
from puncta.gui.models.left_panel import TRAINING
from puncta.gui.models.said import told
from puncta.gui.models.words import ORIGIN_WORDS

if TYPE_CHECKING:
    from puncta.gui.models.comparison_view import ComparisonView
    from puncta.gui.models.model_desk import Judged
    from puncta.gui.models.modeller import Modeller
    from puncta.gui.models.shelf import Shelf
    from puncta.inference.registry import ModelCard
    from puncta.session.model_comparison import Comparison
    from puncta.session.retrain import JobStatus


class Judging:
    """Compares when the page of a finished training is looked at, once."""

    def __init__(self, modeller: Modeller) -> None:
        self._m = modeller
        self._under_way: set[str] = set()
        self._failed: dict[str, list[tuple[str, str]]] = {}
        """What a training's model could not be compared with, since its page was opened."""

    def forget(self) -> None:
        """A page is opened: what failed is tried again."""
        self._failed.clear()

    def look(self, job: JobStatus) -> None:
        """Judge the new model beside the one in use, the one that comes with Puncta, and the one it went on from."""
        shelf, view = self._m.desk.shelf, self._view(job.id)
        new = shelf.find(job.model) if shelf is not None else None
        if shelf is None or view is None or new is None:
            return
        others = others_of(shelf, new, job.base)
        if not others:
            view.say(tr("There is no other model to compare it with."))
            return
        wanted = [(old.identity, role) for old, role in others]
        known = [(one.old, one.role) for one in view.besides] == wanted
        # The page is shown anew as often as any training tells how far it is.
        if known or job.id in self._under_way or self._failed.get(job.id) == wanted:
            return
        self._under_way.add(job.id)
        view.say(tr("The models look at the held out frames."))
        olds = [old for old, _role in others]
        self._m.desk.compare(job, olds, partial(self._take, job, others), partial(self._fail, job.id, wanted))

    def _take(self, job: JobStatus, others: Sequence[tuple[ModelCard, str]], found: Sequence[Judged]) -> None:
        self._under_way.discard(job.id)
        view = self._view(job.id)
        if view is not None:
            view.show_besides([
                Beside(old.identity, role, None, told(str(one))) if isinstance(one, UserError)
                else Beside(old.identity, role, one)
                for (old, role), one in zip(others, found, strict=True)
            ])
            self.look(job)  # another model may have been put in use meanwhile
        self._m.follow()

    def _fail(self, job: str, wanted: list[tuple[str, str]], error: Exception) -> None:
        from puncta.session.model_comparison import ComparisonStopped

        self._under_way.discard(job)
        view, stopped = self._view(job), isinstance(error, ComparisonStopped)
        if not stopped:
            self._failed[job] = wanted
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


def others_of(shelf: Shelf, new: ModelCard, base: str) -> list[tuple[ModelCard, str]]:
    """Name the models that a new one is set beside, and what each is; the first matters most.

    That is the one in use, else the one that it went on from, else the one that was put in use last. A model in use may
    itself be a poor one, so the model that ships is among them, and so is the one that the training went on from.
    """
    family = shelf.family(new.plugin)
    if family is None:
        return []
    standard = standard_of(shelf, new.plugin)
    used = family.in_use.identity if family.in_use is not None else ""
    first = (used, base, *(p.model for p in family.history[::-1]))
    cards = (shelf.find(name) for name in first if name)
    ahead = next((card for card in cards if card is not None and card.sha256 != new.sha256), None)
    found: list[ModelCard] = [] if ahead is None else [ahead]
    for card in (standard, shelf.find(base) if base else None):
        if card is not None and card.sha256 not in {new.sha256, *(c.sha256 for c in found)}:
            found.append(card)
    return [(card, role_of(shelf, card, base)) for card in found]


def role_of(shelf: Shelf, card: ModelCard, base: str = "") -> str:
    """Say what a model is to somebody who looks at another one's figures; empty where it is nothing of all that."""
    roles, standard = [tr("in use")] if shelf.is_in_use(card) else [], standard_of(shelf, card.plugin)
    if standard is not None and card.identity == standard.identity:
        roles.append(tr(ORIGIN_WORDS[card.origin]))
    elif card.identity == base:
        roles.append(tr("what it went on from"))
    return ", ".join(roles)


def standard_of(shelf: Shelf, plugin: str) -> ModelCard | None:
    """The model that comes with Puncta, or with the plugin, and is used where nobody has chosen another one."""
    try:
        card = shelf.registry.standard_for(plugin)
    except UserError:
        return None
    return card if card.origin != "user" else None


def besides_of(shelf: Shelf, kept: Sequence[Comparison]) -> list[Beside]:
    """Say of kept comparisons what their other models are now: the one that ships first, then the one in use."""

    def rank(comparison: Comparison) -> tuple[bool, bool]:
        card = shelf.find(comparison.old)
        standard = standard_of(shelf, comparison.plugin)
        return card is None or standard is None or card.identity != standard.identity, not used(card)

    def used(card: ModelCard | None) -> bool:
        return card is not None and shelf.is_in_use(card)

    return [
        Beside(one.old, "" if (card := shelf.find(one.old)) is None else role_of(shelf, card), one)
        for one in sorted(kept, key=rank)
    ]
