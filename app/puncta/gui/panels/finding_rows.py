"""What a plugin says of the whole picture: one row a finding, and below them what follows for a trainee."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from puncta.core.findings import (
    ADVICE_WORDS,
    STATE_SIGNS,
    STATE_WORDS,
    TARGET_INTERSPACE,
    finding_figure,
    finding_mark,
    finding_name,
    finding_words,
)
from puncta.core.overlay import Chip
from puncta.core.readings import ReadOut
from puncta.core.results import ClassResult, PluginOutput
from puncta.gui.i18n import numbers, tr
from puncta.gui.panels.parts import ShapeMark, set_property, text_label
from puncta.gui.theme import Theme

POOR_WHY = "It is judged by itself. The picture is not good enough to rely on it."


def findings_of(output: PluginOutput | None) -> list[ClassResult]:
    """Findings on the whole picture."""
    return [] if output is None else [r for r in output.results if isinstance(r, ClassResult)]


def advice_words(result: ClassResult) -> str:
    """What a trainee is told about the interspace; advice only where everything it rests on is sure."""
    if result.value:
        words = tr(ADVICE_WORDS[1])
        return words[:1].upper() + words[1:]
    if result.value is False:
        return tr("No target interspace: {why}").format(why=tr(result.reason or ""))
    return tr("No advice: {why}").format(why=tr(result.reason or ""))


def finding_tiles(chips: Sequence[Chip]) -> list[ReadOut]:
    """The findings as figures below the picture, to be read at arm's length; shape, word and confidence."""
    tiles: list[ReadOut] = []
    advised = False
    for chip in chips:
        if not chip.finding:
            continue
        name, _, state = chip.text.partition(": ")
        state, _, poor = state.partition(", ")
        if chip.advice:
            advised = True
            continue
        sign = next((STATE_SIGNS[value] for value, word in STATE_WORDS.items() if word == state), "")
        basis = "of a moment ago" if chip.dim else tr(poor) if poor else ""
        basis = basis or (tr("confidence {share}").format(share=numbers(chip.figure)) if chip.figure else "")
        tiles.append(ReadOut(name, None, None, "", basis, f"{sign} {tr(state)}"))
    if tiles:
        words = f"{STATE_SIGNS[True]} {tr('target interspace')}" if advised else "–"
        tiles.append(ReadOut(ADVICE_WORDS[0], None, None, "", "CSF yes, cord no" if advised else "", words))
    return tiles


class FindingRows(QWidget):
    """Rows with shape, name, word and confidence; below them the advice."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._rows: dict[str, tuple[ShapeMark, QLabel, QLabel, QLabel]] = {}
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(5)
        self._grid.setColumnStretch(2, 1)
        self._head = text_label(tr(ADVICE_WORDS[0]).upper(), "head")
        self.advice = text_label(role="strong")
        self.advice.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        column.addLayout(self._grid)
        column.addSpacing(3)
        column.addWidget(self._head)
        column.addWidget(self.advice)

    def set_theme(self, theme: Theme) -> None:
        """New rows take this theme."""
        self._theme = theme

    def show_findings(self, findings: Sequence[ClassResult]) -> None:
        """Show what is said now; a finding that is not said any more keeps its row with a dash."""
        said = {result.label: result for result in findings}
        for label in (*said, *(known for known in self._rows if known not in said)):
            if label != TARGET_INTERSPACE:
                self._show(label, said.get(label), findings)
        derived = said.get(TARGET_INTERSPACE)
        self.advice.setText(advice_words(derived) if derived is not None else "–")
        for part in (self._head, self.advice):
            part.setVisible(derived is not None or not said)

    def _show(self, label: str, result: ClassResult | None, findings: Sequence[ClassResult]) -> None:
        mark, name, word, figure = self._rows.get(label) or self._make(label)
        tone, shape = finding_mark(result, findings) if result is not None else ("neutral", "ring")
        mark.set_mark(shape, tone)
        words, poor = finding_words(result, findings) if result is not None else ("–", "")
        words = f"{tr(words)}, {tr(poor)}" if poor else tr(words)
        set_property(word, "role", "quiet" if poor else "strong")
        share = numbers(finding_figure(result)) if result is not None else ""
        word.setText(words)
        figure.setText(share)
        name.setText(tr(finding_name(label)))
        why = tr(result.reason) if result is not None and result.reason else tr(POOR_WHY) if poor else ""
        word.setToolTip(why)
        word.setAccessibleName(f"{name.text()}: {words} {share}".rstrip())

    def _make(self, label: str) -> tuple[ShapeMark, QLabel, QLabel, QLabel]:
        place = len(self._rows)
        row = (ShapeMark(self._theme), text_label(), text_label(role="strong"), text_label(role="quiet"))
        for column, part in enumerate(row):
            self._grid.addWidget(part, place, column, Qt.AlignmentFlag.AlignVCenter)
        self._rows[label] = row
        return row
