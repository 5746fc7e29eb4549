"""The new model beside the old one, on the same held-out frames: figures with intervals, all machines or one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.models.difference_table import DifferenceTable, verdict_sentence
from puncta.gui.models.page_parts import Card, Notes, wrapped
from puncta.gui.models.said import told
from puncta.gui.panels.parts import text_label
from puncta.gui.theme import Theme

if TYPE_CHECKING:
    from puncta.session.model_comparison import Comparison


LEADING = frozenset({
    "tip_within_2mm", "miss_rate", "false_alarm_rate", "tip_error_mm", "mask_iou", "mask_miss_rate", "false_mask_rate",
    "mask_boundary_mm", "flag_f1", "flag_exact_match", "flag_risk", "flicker_per_min", "ece",
})
"""Figures that are shown at once; the others are a press away."""


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
        self.machine.activated.connect(lambda _i: self._show_rows())
        self.table = DifferenceTable(theme)
        self._choice = QWidget()
        row = QHBoxLayout(self._choice)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(text_label(tr("Machine"), "quiet"))
        row.addWidget(self.machine)
        row.addStretch(1)
        self.more = QPushButton(tr("All figures"))
        self.more.setProperty("slim", "true")
        self.more.setCheckable(True)
        self.more.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.more.toggled.connect(lambda _on: self._show_rows())
        self.notes = Notes(theme)
        self._card = Card()
        self._card.column.addWidget(self.table)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        for part in (self.verdict, self.said, self._choice, self._card):
            column.addWidget(part)
        column.addWidget(self.more, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self.notes)
        self.say("")

    def say(self, words: str) -> None:
        """Say something in place of a comparison."""
        self.comparison = None
        self.said.setText(words)
        self.said.setVisible(bool(words))
        for part in (self.verdict, self._choice, self._card, self.more, self.notes):
            part.hide()

    def show_comparison(self, comparison: Comparison) -> None:
        """Show a comparison."""
        from puncta.session.model_comparison import SAME_PERSON  # loaded where there is one to show

        self.comparison = comparison
        frames = tr("{frames} frames of {clips} clips and {subjects} subjects that the new model has not learnt from.")
        nameless = tr("{frames} frames of {clips} clips; their subjects are not stated.")
        numbers = {"frames": comparison.frames, "clips": comparison.clips, "subjects": comparison.subjects}
        weaker = tr("{frames} frames of {clips} clips, held out by case.")
        form = weaker if SAME_PERSON in comparison.notes else frames if comparison.subjects else nameless
        words = form.format(**numbers)
        words = f"{words} {tr('Old: {old}. New: {new}.').format(old=comparison.old, new=comparison.new)}"
        self.said.setText(words)
        self.notes.show_notes([told(note) for note in comparison.notes])
        self.verdict.setText(verdict_sentence(comparison.rows))
        self.machine.clear()
        self.machine.addItem(tr("all together"), "")
        for name in comparison.per_machine:
            self.machine.addItem(name, name)
        for part in (self.said, self.verdict, self._card):
            part.show()
        self.notes.setVisible(bool(comparison.notes))
        self._choice.setVisible(len(comparison.per_machine) > 1)
        self._show_rows()

    def _show_rows(self) -> None:
        """Show the figures of the machine that is chosen, those that tell most or all of them."""
        if self.comparison is None:
            return
        name = self.machine.currentData()
        rows = self.comparison.per_machine[name] if name else self.comparison.rows
        leading = [row for row in rows if row.name in LEADING]
        self.more.setVisible(0 < len(leading) < len(rows))
        self.table.show_rows(rows if self.more.isChecked() or not leading else leading)
