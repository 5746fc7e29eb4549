"""A new model beside others, on the same held-out frames: figures with intervals, all machines or one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.models.difference_table import DifferenceTable, beside_sentence, verdict_of_all, verdict_sentence
from puncta.gui.models.page_parts import Card, Notes, empty, wrapped
from puncta.gui.models.said import told
from puncta.gui.models.words import VERDICT_MARKS
from puncta.gui.panels.parts import text_label
from puncta.gui.theme import Theme

if TYPE_CHECKING:
    from puncta.session.model_comparison import ComparedFigure, Comparison


LEADING = frozenset({
    "tip_within_2mm", "miss_rate", "false_alarm_rate", "tip_error_mm", "mask_iou", "mask_miss_rate", "false_mask_rate",
    "mask_boundary_mm", "flag_f1", "flag_exact_match", "flag_risk", "flicker_per_min", "ece",
})
"""Figures that are shown at once, as are those that differ; the others are a press away."""


@dataclass(frozen=True, slots=True)
class Beside:
    """A comparison with one other model, and what that one is.

    Attributes
    ----------
    old : str
        The other model, "needle-tip-ut 0.5".
    role : str
        What it is to the reader, translated: "in use"; may be empty.
    comparison : Comparison or None
        None where it could not be made.
    problem : str
        Why not, translated.
    """

    old: str
    role: str
    comparison: Comparison | None
    problem: str = ""

    @property
    def name(self) -> str:
        """The other model, with what it is."""
        return f"{self.old} ({self.role})" if self.role else self.old


class ComparisonView(QWidget):
    """What is known of a model and others on the same frames: one at large, a line for each of the rest."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.besides: tuple[Beside, ...] = ()
        self.comparison: Comparison | None = None
        self.said = wrapped("", "quiet")
        self.verdict = wrapped("", "strong")
        self.others: tuple[Notes, ...] = ()
        self._others = QVBoxLayout()
        self.beside = self._combo(tr("Beside"), self._show_chosen)
        self.machine = self._combo(tr("Machine"), self._show_rows)
        self.table = DifferenceTable(theme)
        self._beside = self._row(tr("Beside"), self.beside)
        self._choice = self._row(tr("Machine"), self.machine)
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
        column.addWidget(self.verdict)
        column.addLayout(self._others)
        for part in (self.said, self._beside, self._choice, self._card):
            column.addWidget(part)
        column.addWidget(self.more, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self.notes)
        self.say("")

    @staticmethod
    def _combo(name: str, choose: Callable[[], None]) -> QComboBox:
        combo = QComboBox()
        combo.setAccessibleName(name)
        combo.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        combo.setMinimumContentsLength(10)  # gives way where the page is narrow; the lines above name every model
        combo.activated.connect(lambda _i: choose())
        return combo

    @staticmethod
    def _row(name: str, combo: QComboBox) -> QWidget:
        line = QWidget()
        row = QHBoxLayout(line)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(text_label(name, "quiet"))
        row.addWidget(combo)
        row.addStretch(1)
        return line

    def say(self, words: str) -> None:
        """Say something in place of a comparison."""
        self.comparison, self.besides = None, ()
        self.said.setText(words)
        self.said.setVisible(bool(words))
        self._show_others(())
        for part in (self.verdict, self._beside, self._choice, self._card, self.more, self.notes):
            part.hide()

    def set_theme(self, theme: Theme) -> None:
        """New lines take this theme."""
        self._theme = theme

    def show_comparison(self, comparison: Comparison) -> None:
        """Show a comparison."""
        self.show_besides([Beside(comparison.old, "", comparison)])

    def show_besides(self, besides: Sequence[Beside]) -> None:
        """Show comparisons of one model with others; the first is the one that matters most, and is there."""
        if tuple(besides) == self.besides:
            return
        self.besides = tuple(besides)
        there = [beside for beside in besides if beside.comparison is not None]
        rows = there[0].comparison.rows if there[0].comparison is not None else ()
        self.verdict.setText(verdict_sentence(rows) if len(besides) == 1 else beside_sentence(there[0].name, rows))
        self.verdict.show()
        self._show_others(besides[1:])
        self.beside.clear()
        for beside in there:
            self.beside.addItem(beside.name, beside.comparison)
        self._beside.setVisible(len(there) > 1)
        self._show_chosen()

    def _show_others(self, besides: Sequence[Beside]) -> None:
        """A line for each model beyond the first."""
        empty(self._others)
        lines = []
        for beside in besides:
            line = Notes(self._theme)
            self._others.addWidget(line)  # before it shows itself, else it would be a window
            lines.append(line)
            if beside.comparison is None:
                words = tr("With {model} it could not be compared: {why}")
                line.show_notes([words.format(model=beside.name, why=beside.problem)])
            else:
                shape, tone = VERDICT_MARKS[verdict_of_all(beside.comparison.rows)]
                line.show_notes([beside_sentence(beside.name, beside.comparison.rows)], tone, shape)
        self.others = tuple(lines)

    def _show_chosen(self) -> None:
        """Show the comparison that is chosen in full."""
        from puncta.session.model_comparison import SAME_PERSON  # loaded where there is one to show

        comparison: Comparison = self.beside.currentData()
        self.comparison = comparison
        known = tr("{frames} of {clips} and {subjects} that the new model has not learnt from.")
        nameless = tr("{frames} of {clips}; no subject is stated.")
        weaker = tr("{frames} of {clips}, held out by case.")
        form = weaker if SAME_PERSON in comparison.notes else known if comparison.subjects else nameless
        words = form.format(**_counted(comparison))
        words = f"{words} {tr('Old: {old}. New: {new}.').format(old=comparison.old, new=comparison.new)}"
        self.said.setText(words)
        self.notes.show_notes([told(note) for note in comparison.notes])
        machine = self.machine.currentData()
        self.machine.clear()
        self.machine.addItem(tr("all together"), "")
        for name in comparison.per_machine:
            self.machine.addItem(name, name)
        self.machine.setCurrentIndex(max(0, self.machine.findData(machine)))
        for part in (self.said, self._card):
            part.show()
        self.notes.setVisible(bool(comparison.notes))
        self._choice.setVisible(len(comparison.per_machine) > 1)
        self._show_rows()

    def _show_rows(self) -> None:
        """Show the figures of the machine that is chosen, all or those that tell most: whatever differs comes first."""
        if self.comparison is None:
            return
        name = self.machine.currentData()
        all_of_it = self.comparison.per_machine[name] if name else self.comparison.rows
        rows = sorted(all_of_it, key=_is_alike)
        leading = [row for row in rows if row.name in LEADING or not _is_alike(row)]
        self.more.setVisible(0 < len(leading) < len(rows))
        self.table.show_rows(rows if self.more.isChecked() or not leading else leading)


def _is_alike(row: ComparedFigure) -> bool:
    return row.verdict not in ("better", "worse")


def _counted(comparison: Comparison) -> dict[str, str]:
    """Count what a comparison rests on, in words."""
    frames, clips, subjects = comparison.frames, comparison.clips, comparison.subjects
    return {
        "frames": tr("1 frame") if frames == 1 else tr("{count} frames").format(count=frames),
        "clips": tr("1 clip") if clips == 1 else tr("{count} clips").format(count=clips),
        "subjects": tr("1 subject") if subjects == 1 else tr("{count} subjects").format(count=subjects),
    }
