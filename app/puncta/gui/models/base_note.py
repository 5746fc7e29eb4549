"""Says under the choice of what a training goes on from when that is not the model in use, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QComboBox, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.models.difference_table import beside_sentence, verdict_of_all
from puncta.gui.models.judging import standard_of
from puncta.gui.models.left_panel import name_of
from puncta.gui.models.page_parts import wrapped
from puncta.gui.models.words import ORIGIN_WORDS

if TYPE_CHECKING:
    from puncta.gui.models.model_desk import ModelDesk
    from puncta.gui.models.shelf import Shelf
    from puncta.inference.registry import ModelCard
    from puncta.session.model_comparison import Comparison


class BaseNote(QWidget):
    """One calm line; none where a training goes on from the model in use."""

    def __init__(self, desk: ModelDesk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._base = ""
        self.words = wrapped("", "quiet")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.words)
        desk.models_changed.connect(lambda: self.show_base(self._base))
        self.hide()

    def show_base(self, base: str) -> None:
        """Speak of a model by "id version"; "" of none."""
        self._base = base
        shelf = self._desk.shelf
        card = shelf.find(base) if shelf is not None else None
        if shelf is None or card is None or shelf.is_in_use(card):
            self.hide()
            return
        self._say(shelf, card, ())
        self._desk.kept(card, partial(self._take, base))

    def _take(self, base: str, kept: Sequence[Comparison]) -> None:
        shelf = self._desk.shelf
        card = shelf.find(base) if shelf is not None else None
        if base == self._base and shelf is not None and card is not None and not shelf.is_in_use(card):
            self._say(shelf, card, kept)

    def _say(self, shelf: Shelf, card: ModelCard, kept: Sequence[Comparison]) -> None:
        words = tr("Goes on from {model}, which is not in use.").format(model=card.identity)
        worse = beside_standard(shelf, card, kept)
        self.words.setText(f"{words} {worse}" if worse else words)
        self.show()


def beside_standard(shelf: Shelf, card: ModelCard, kept: Sequence[Comparison]) -> str:
    """Say that a kept comparison found a model worse than the one that ships; "" where none did."""
    standard = standard_of(shelf, card.plugin)
    if standard is None:
        return ""
    for one in kept:
        same = (one.old_sha256, one.new_sha256) == (standard.sha256, card.sha256)
        if same and verdict_of_all(one.rows) == "worse":
            return beside_sentence(f"{standard.identity} ({tr(ORIGIN_WORDS[standard.origin])})", one.rows)
    return ""


def fill_bases(choice: QComboBox, shelf: Shelf | None, plugin: str) -> None:
    """List the models of a plugin that a training can go on from; the one in use says so."""
    choice.clear()
    family = shelf.family(plugin) if shelf is not None else None
    for card in family.cards if family is not None else ():
        used = shelf is not None and shelf.is_in_use(card)
        choice.addItem(f"{name_of(card)} ({tr('in use')})" if used else name_of(card), card.identity)
