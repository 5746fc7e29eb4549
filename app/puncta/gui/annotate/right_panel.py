"""At the right of Annotate: the frame on the screen, help over a range, and what was done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QProgressBar, QPushButton, QVBoxLayout, QWidget

from puncta.gui.annotate.label_desk import Gesture
from puncta.gui.annotate.said import told
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import ElidedLabel, text_label
from puncta.gui.theme import Theme

HISTORY_SHOWN = 6


class FactCard(QFrame):
    """A title and lines of name and value."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setObjectName("card")
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(12, 9, 12, 10)
        self._column.setSpacing(4)
        self._title = text_label(title, "strong")
        self._column.addWidget(self._title)
        self.lines: list[tuple[QLabel, QLabel, QWidget]] = []

    def show_facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Show lines of name and value."""
        facts = list(facts)
        while len(self.lines) < len(facts):
            line = QWidget()
            row = QHBoxLayout(line)
            row.setContentsMargins(0, 0, 0, 0)
            name, value = text_label(role="quiet"), text_label(role="strong")
            row.addWidget(name)
            row.addStretch(1)
            row.addWidget(value)
            self._column.addWidget(line)
            self.lines.append((name, value, line))
        for number, (name, value, line) in enumerate(self.lines):
            there = number < len(facts)
            line.setVisible(there)
            if there:
                name.setText(facts[number][0])
                value.setText(facts[number][1])


class AnnotateInspector(QWidget):
    """Cards of the frame, the range, the note and the history."""

    def __init__(
        self, theme: Theme, run: Callable[[str], None], note: Callable[[str], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._theme, self._note = theme, note
        self._shut, self._blind = False, ""
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 14, 14, 14)
        column.setSpacing(8)
        self.head = text_label("", "head")
        column.addWidget(self.head)
        self.tip, self.needle = FactCard(tr("Tip")), FactCard(tr("Needle"))
        column.addWidget(self.tip)
        column.addWidget(self.needle)
        self.others: dict[str, FactCard] = {}
        self._others_box = QVBoxLayout()
        self._others_box.setSpacing(8)
        column.addLayout(self._others_box)
        self.note = QLineEdit()
        self.note.setPlaceholderText(tr("Note on this frame"))
        self.note.setAccessibleName(tr("Note on this frame"))
        self.note.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.note.editingFinished.connect(self._keep_note)
        self.note.returnPressed.connect(self.note.clearFocus)
        column.addWidget(self.note)
        column.addSpacing(10)
        self._proposing = QWidget()
        inner = QVBoxLayout(self._proposing)
        inner.setContentsMargins(0, 0, 0, 10)
        inner.setSpacing(8)
        inner.addWidget(text_label(tr("Propagate").upper(), "head"))
        inner.addWidget(self._range_card(run))
        column.addWidget(self._proposing)
        column.addWidget(text_label(tr("History").upper(), "head"))
        self._history: list[tuple[ElidedLabel, QLabel, QWidget]] = []
        for _ in range(HISTORY_SHOWN):
            line = QWidget()
            row = QHBoxLayout(line)
            row.setContentsMargins(0, 0, 0, 0)
            words, when = ElidedLabel("", "quiet", at_end=True), text_label(role="small")
            row.addWidget(words, 1)
            row.addWidget(when)
            self._history.append((words, when, line))
            line.hide()
            column.addWidget(line)
        column.addStretch(1)
        self._shown_note = ""

    def _range_card(self, run: Callable[[str], None]) -> QFrame:
        card = QFrame()
        card.setObjectName("card")
        column = QVBoxLayout(card)
        column.setContentsMargins(12, 9, 12, 10)
        column.setSpacing(8)
        row = QHBoxLayout()
        row.addWidget(text_label(tr("Range"), "quiet"))
        row.addStretch(1)
        self.range = text_label(role="strong")
        row.addWidget(self.range)
        column.addLayout(row)
        buttons = QHBoxLayout()
        self.buttons: dict[str, QPushButton] = {}
        for action, words in (("propagate_back", tr("Back")), ("propagate_on", tr("Forward"))):
            button = QPushButton(words)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(lambda _checked=False, action=action: run(action))
            self.buttons[action] = button
            buttons.addWidget(button)
        column.addLayout(buttons)
        teach = QPushButton(tr("Frames that teach most"))
        teach.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        teach.clicked.connect(lambda: run("teach"))
        self.buttons["teach"] = teach
        column.addWidget(teach)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(5)
        self.progress.setAccessibleName(tr("Progress of the proposals"))
        self.progress_words = text_label(role="small")
        self.cancel = QPushButton(tr("Cancel"))
        self.cancel.setProperty("slim", "true")
        self.cancel.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.cancel.clicked.connect(lambda: run("help_stop"))
        below = QHBoxLayout()
        below.addWidget(self.progress_words, 1)
        below.addWidget(self.cancel)
        column.addWidget(self.progress)
        column.addLayout(below)
        self.show_progress(None)
        return card

    def add_first(self, part: QWidget) -> None:
        """Put a part above the cards of the frame."""
        column = self.layout()
        assert isinstance(column, QVBoxLayout)
        column.insertWidget(0, part)

    def set_proposing(self, on: bool) -> None:
        """Offer help over a range, or not."""
        self._proposing.setVisible(on)

    def set_shut(self, shut: bool) -> None:
        """Nothing can be labelled, or it can."""
        self._shut = shut
        self.note.setEnabled(not shut)
        self.set_blind(self._blind)

    def set_blind(self, why: str) -> None:
        """Models may propose nothing, and why; "" where they may."""
        self._blind = why
        for button in self.buttons.values():
            button.setEnabled(not self._shut and not why)
            button.setToolTip(why)

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme."""
        self._theme = theme

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Name the keys on the buttons."""
        for action, words_of in (
            ("propagate_back", tr("Back")),
            ("propagate_on", tr("Forward")),
            ("teach", tr("Frames that teach most")),
        ):
            key = words.get(action, "")
            self.buttons[action].setText(f"{words_of}  {key}" if key else words_of)
            self.buttons[action].setAccessibleName(words_of)

    # what is shown ---------------------------------------------------------------------------------------------

    def show_frame(
        self, index: int, tip: Iterable[tuple[str, str]], needle: Iterable[tuple[str, str]], note: str
    ) -> None:
        """Show the frame on the screen."""
        self.head.setText(tr("Frame {index}").format(index=f"{index:03d}").upper())
        tip, needle = list(tip), list(needle)
        self.tip.setVisible(bool(tip))
        self.needle.setVisible(bool(needle))
        self.tip.show_facts(tip)
        self.needle.show_facts(needle)
        self._shown_note = note
        if not self.note.hasFocus() and self.note.text() != note:
            self.note.setText(note)

    def show_others(self, others: Mapping[str, tuple[str, Iterable[tuple[str, str]]]]) -> None:
        """Show a card for each other thing of the frame: its title and facts, by name."""
        for name, (title, facts) in others.items():
            if name not in self.others:
                self.others[name] = FactCard(title)
                self._others_box.addWidget(self.others[name])
            self.others[name].show_facts(facts)
        for name, card in self.others.items():
            card.setVisible(name in others)

    def show_range(self, words: str) -> None:
        """Show over which frames the next help goes."""
        self.range.setText(words)

    def show_progress(self, done: tuple[int, int] | None, words: str = "") -> None:
        """Show how far the help is; None takes it away."""
        for widget in (self.progress, self.progress_words, self.cancel):
            widget.setVisible(done is not None)
        if done is not None:
            self.progress.setRange(0, max(1, done[1]))
            self.progress.setValue(done[0])
            self.progress_words.setText(words)

    def show_history(self, history: Iterable[Gesture]) -> None:
        """Show what was done last."""
        gestures = list(history)[:HISTORY_SHOWN]
        now = time.monotonic()
        for number, (words, when, line) in enumerate(self._history):
            line.setVisible(number < len(gestures))
            if number < len(gestures):
                gesture = gestures[number]
                frames = f"{gesture.first:03d}"
                if gesture.last != gesture.first:
                    frames = tr("{first} to {last}").format(first=frames, last=f"{gesture.last:03d}")
                title = told(gesture.title)
                # The frames first: where the line is too short, the words give way.
                words.set_full(f"{frames}  {tr('Undone')}: {title}" if gesture.taken_back else f"{frames}  {title}")
                age = now - gesture.at_s
                when.setText(_age_words(age))

    def _keep_note(self) -> None:
        if self.note.text().strip() != self._shown_note:
            self._shown_note = self.note.text().strip()
            self._note(self._shown_note)


def _age_words(age_s: float) -> str:
    """How long ago something was done; days of it where an earlier start of the program did it."""
    if age_s < 90:
        return tr("now") if age_s < 3 else f"{age_s:.0f} s"
    if age_s < 5400:
        return f"{age_s / 60:.0f} min"
    return f"{age_s / 3600:.0f} h" if age_s < 129600 else f"{age_s / 86400:.0f} d"
