"""The new model beside the old one, on the same held-out frames: figures with intervals, all machines or one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.models.difference_table import DifferenceTable, verdict_sentence
from puncta.gui.models.page_parts import Card, wrapped
from puncta.gui.panels.parts import text_label
from puncta.gui.theme import Theme

if TYPE_CHECKING:
    from puncta.session.model_comparison import Comparison


class ComparisonView(QWidget):
    """What is known of two models on the same frames."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.comparison: Comparison | None = None
        self.said = wrapped("", "quiet")
        self.verdict = wrapped("", "strong")
        self.machine = QComboBox()
        self.machine.setAccessibleName(tr("Machine"))
        self.machine.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.machine.activated.connect(lambda i: self.show_machine(self.machine.itemData(i)))
        self.table = DifferenceTable(theme)
        self._choice = QWidget()
        row = QHBoxLayout(self._choice)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(text_label(tr("Machine"), "quiet"))
        row.addWidget(self.machine)
        row.addStretch(1)
        self._card = Card()
        self._card.column.addWidget(self.table)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        for part in (self.verdict, self.said, self._choice, self._card):
            column.addWidget(part)
        self.say("")

    def say(self, words: str) -> None:
        """Say something in place of a comparison."""
        self.comparison = None
        self.said.setText(words)
        self.said.setVisible(bool(words))
        for part in (self.verdict, self._choice, self._card):
            part.hide()

    def show_comparison(self, comparison: Comparison) -> None:
        """Show a comparison."""
        self.comparison = comparison
        frames = tr("{frames} frames, {clips} clips and {subjects} subjects that the new model has not learnt from.")
        words = frames.format(frames=comparison.frames, clips=comparison.clips, subjects=comparison.subjects)
        if comparison.simulated:
            words = f"{words} {tr('All of them are simulated.')}"
        words = f"{words} {tr('Old: {old}. New: {new}.').format(old=comparison.old, new=comparison.new)}"
        self.said.setText(words)
        self.verdict.setText(verdict_sentence(comparison.rows))
        self.machine.clear()
        self.machine.addItem(tr("all together"), "")
        for name in comparison.per_machine:
            self.machine.addItem(name, name)
        for part in (self.said, self.verdict, self._card):
            part.show()
        self._choice.setVisible(len(comparison.per_machine) > 1)
        self.table.show_rows(comparison.rows)

    def show_machine(self, name: str) -> None:
        """Show the figures of one machine; "" shows all together."""
        if self.comparison is not None:
            self.table.show_rows(self.comparison.per_machine[name] if name else self.comparison.rows)
