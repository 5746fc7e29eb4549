"""At the left while two readings become one: who they are, how far it is, what they differ on, and the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from puncta.annotation.reading import Reading
from puncta.gui.annotate.adjudication_scene import A_MARK, A_TOKEN, B_MARK, B_TOKEN
from puncta.gui.annotate.left_panel import PanelRow, panel_head
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import ShapeMark, text_label
from puncta.gui.theme import Theme

SHOWN = 8
ANSWERS = (("take_a", "Take {rater}"), ("take_b", "Take {rater}"), ("draw_own", "Draw my own"),
           ("both_absent", "Both absent"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A difference as the list shows it; ``number`` is its place in all of them."""

    number: int
    words: str
    figure: str


class AdjudicationPanel(QWidget):
    """Readers, progress, differences, answers.

    Parameters
    ----------
    run : callable
        Does an action by its name.
    go : callable
        Takes the number of a difference.
    choose : callable
        Takes the names of reader A and reader B.
    """

    def __init__(
        self,
        theme: Theme,
        run: Callable[[str], None],
        go: Callable[[int], None],
        choose: Callable[[str, str], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._go, self._choose = go, choose
        self._numbers: list[int] = []
        self._keys: Mapping[str, str] = {}
        self._readers = ("", "")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(panel_head(tr("Two readings become one")))
        self._marks = (ShapeMark(theme, A_MARK, A_TOKEN), ShapeMark(theme, B_MARK, B_TOKEN))
        self.readers = (QComboBox(), QComboBox())
        self._states = (text_label(role="small"), text_label(role="small"))
        for name, mark, box, state in zip("AB", self._marks, self.readers, self._states):
            row = QHBoxLayout()
            row.setSpacing(8)
            row.addWidget(mark)
            box.setAccessibleName(tr("Reader {name}").format(name=name))
            box.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            box.activated.connect(lambda _i: self._chosen())
            row.addWidget(box, 1)
            column.addLayout(row)
            state.setContentsMargins(20, 0, 0, 4)
            column.addWidget(state)
        column.addSpacing(6)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(5)
        self.progress.setAccessibleName(tr("Differences settled"))
        column.addWidget(self.progress)
        self.progress_words = text_label(role="small")
        self.progress_words.setWordWrap(True)
        column.addWidget(self.progress_words)
        column.addSpacing(12)
        column.addWidget(panel_head(tr("Differences, largest first")))
        self.rows = [PanelRow(partial(self._open, n), words_stay=True) for n in range(SHOWN)]
        for row_widget in self.rows:
            column.addWidget(row_widget)
        self.more = text_label(role="small")
        self.more.setContentsMargins(8, 0, 0, 0)
        self.more.setWordWrap(True)
        column.addWidget(self.more)
        column.addSpacing(14)
        column.addWidget(panel_head(tr("Answer")))
        self.buttons: dict[str, QPushButton] = {}
        grid = QGridLayout()
        grid.setSpacing(4)
        for number, (action, _words) in enumerate(ANSWERS):
            self.buttons[action] = self._button(action, run)
            grid.addWidget(self.buttons[action], number // 2, number % 2)
        column.addLayout(grid)
        column.addSpacing(14)
        for action, words in (("consensus_export", tr("Export the consensus")), ("adjudicate", tr("Leave"))):
            button = self._button(action, run)
            button.setText(words)
            button.setAccessibleName(words)
            self.buttons[action] = button
            column.addWidget(button)
        self.hide()

    def _button(self, action: str, run: Callable[[str], None]) -> QPushButton:
        button = QPushButton()
        button.setProperty("slim", "true")
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(lambda _checked=False: run(action))
        return button

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme."""
        for mark in self._marks:
            mark.set_theme(theme)

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Name the keys on the answers."""
        self._keys = dict(words)
        self._name_answers()

    def _name_answers(self) -> None:
        for (action, words), rater in zip(ANSWERS, (*self._readers, "", "")):
            title = tr(words).format(rater=rater)
            key = self._keys.get(action, "")
            self.buttons[action].setText(f"{title}   {key}" if key else title)
            self.buttons[action].setAccessibleName(title)

    def show_readings(self, readings: Sequence[Reading], chosen: tuple[str, str]) -> None:
        """Offer the readings, the two chosen ones marked."""
        self._readers = chosen
        for box, state, rater in zip(self.readers, self._states, chosen):
            if [box.itemText(i) for i in range(box.count())] != [r.rater for r in readings]:
                box.clear()
                box.addItems([r.rater for r in readings])
            box.setCurrentIndex(box.findText(rater))
            reading = next((r for r in readings if r.rater == rater), None)
            words = tr("{count} labels").format(count=reading.labels) if reading is not None else ""
            if reading is not None and reading.under_way:
                words = f"{words}, {tr('not done yet')}"
            state.setText(words)
        self._name_answers()

    def show_differences(
        self, lines: Sequence[Line], current: int | None, settled: int, total: int, same: int, alone: str
    ) -> None:
        """Show what is open, the current one among it, how far it is, and frames that one reader alone has judged."""
        numbers = [line.number for line in lines]
        place = numbers.index(current) if current in numbers else 0
        first = max(0, min(place - SHOWN // 2, len(lines) - SHOWN))
        shown = lines[first : first + SHOWN]
        self._numbers = [line.number for line in shown]
        for number, row in enumerate(self.rows):
            there = number < len(shown)
            row.setVisible(there)
            if there:
                line = shown[number]
                row.show_words(line.words, line.figure, current=line.number == current)
        rest = len(lines) - len(shown)
        words = tr("and {count} more").format(count=rest) if rest > 0 else ""
        if not lines:
            words = tr("Every difference has an answer.") if total else tr("The two readings agree.")
        self.more.setText(words)
        self.more.setVisible(bool(words))
        self.progress.setRange(0, max(1, total))
        self.progress.setValue(settled if total else 1)
        told = tr("{settled} of {total} differences settled").format(settled=settled, total=total)
        agreed = tr("{count} labels agree and are taken over").format(count=same)
        words = f"{told}. {agreed}." if same else f"{told}."
        if alone:
            words = f"{words} {tr('Judged by one reader alone, and open: {frames}.').format(frames=alone)}"
        self.progress_words.setText(words)

    def show_busy(self) -> None:
        """The two are being compared."""
        for row in self.rows:
            row.hide()
        self.more.setText(tr("The two readings are being compared."))
        self.more.show()
        self.progress_words.setText("")

    def show_answers(self, able: Mapping[str, bool]) -> None:
        """Say which answers the current difference can have."""
        for action, can in able.items():
            self.buttons[action].setEnabled(can)

    def _chosen(self) -> None:
        self._choose(self.readers[0].currentText(), self.readers[1].currentText())

    def _open(self, number: int) -> None:
        if number < len(self._numbers):
            self._go(self._numbers[number])
