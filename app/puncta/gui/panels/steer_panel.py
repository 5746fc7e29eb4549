"""Beside a steered picture: how the attempt stands, a sketch from above, and which hand does what."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from puncta.gui.actions import key_words
from puncta.gui.i18n import numbers, tr
from puncta.gui.panels.above import AboveSketch
from puncta.gui.panels.parts import IconButton, ShapeMark, text_label
from puncta.gui.steering.words import event_lines, hit_words, target_line, tip_line, where_words
from puncta.gui.theme import Theme
from puncta.sources.steering import SteeredView

EVENTS_SHOWN = 4

HAND_KEYS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("probe_behind", "probe_front"), "sweep across"),
    (("probe_left", "probe_right"), "slide"),
    (("probe_rock_left", "probe_rock_right"), "rock"),
    (("probe_tilt_behind", "probe_tilt_front"), "tilt"),
    (("probe_twist_left", "probe_twist_right"), "twist"),
    (("probe_press", "probe_lift"), "press, lift"),
)
"""Probe: keys and what they do."""

HAND_MOUSE: tuple[tuple[str, str], ...] = (
    ("drag along", "advance"),
    ("drag across", "angle"),
    ("wheel down", "deeper"),
    ("Shift + drag", "entry, swing"),
    ("right drag", "probe"),
)
"""Needle: what the mouse does."""

HAND_VERBS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("needle_in", "needle_out"), "advance"),
    (("needle_flatter", "needle_steeper"), "angle"),
    (("needle_inject",), "inject"),
    (("needle_fire",), "fire"),
    (("attempt_done",), "done"),
)


class AttemptCard(QFrame):
    """State, clock, target and events of the attempt on the screen."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setAccessibleName(tr("Attempt"))
        self._mark = ShapeMark(theme, "ring", "neutral")
        self.where = text_label(role="strong")
        self.where.setWordWrap(True)
        self.clock = text_label("–", "title")
        self.target = text_label(role="quiet")
        self.target.setWordWrap(True)
        self.tip = text_label(role="quiet")
        self.tip.setWordWrap(True)
        self.sketch = AboveSketch(theme)
        head = QHBoxLayout()
        head.addWidget(text_label(tr("Attempt"), "strong"), 1)
        head.addWidget(self.clock)
        state = QHBoxLayout()
        state.setSpacing(8)
        state.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignVCenter)
        state.addWidget(self.where, 1)
        self._hit_mark = ShapeMark(theme, "diamond", "bad")
        self.hits = text_label(role="strong")
        self.hits.setWordWrap(True)
        pinned = QHBoxLayout()
        pinned.setSpacing(8)
        pinned.addWidget(self._hit_mark, 0, Qt.AlignmentFlag.AlignVCenter)
        pinned.addWidget(self.hits, 1)
        self._events = [text_label(role="small") for _ in range(EVENTS_SHOWN)]
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 10, 12, 12)
        column.setSpacing(6)
        column.addLayout(head)
        column.addLayout(state)
        column.addLayout(pinned)
        column.addWidget(self.target)
        column.addWidget(self.tip)
        column.addWidget(self.sketch)
        above = text_label(tr("From above; up is behind the plane"), "small")
        above.setWordWrap(True)
        column.addWidget(above)
        for line in self._events:
            line.setWordWrap(True)
            column.addWidget(line)

    def show_view(self, view: SteeredView | None) -> None:
        """Show a frame; nothing where it is not steered."""
        self.sketch.show_view(view)
        hits = [] if view is None else hit_words(view.attempt)
        words = "; ".join(hits)
        _say(self.hits, words[:1].upper() + words[1:])
        self.hits.setVisible(bool(hits))
        self._hit_mark.setVisible(bool(hits))
        if view is None:
            return
        words, tone, shape = where_words(view)
        _say(self.where, words[:1].upper() + words[1:])
        self._mark.set_mark(shape, tone)
        seconds = view.attempt.seconds
        _say(self.clock, "–" if seconds is None else numbers(f"{seconds:.1f} s"))
        _say(self.target, target_line(view))
        tip = tip_line(view)
        _say(self.tip, tip)
        self.tip.setVisible(bool(tip))
        shown = event_lines(view.attempt)[-EVENTS_SHOWN:]
        for line, words in zip(self._events, reversed(shown), strict=False):
            _say(line, words)
        for i, line in enumerate(self._events):
            line.setVisible(i < len(shown))

    def events(self) -> list[str]:
        """Lines that stand now, newest first."""
        return [line.text() for line in self._events if not line.isHidden()]


class HandsCard(QFrame):
    """Which key and which gesture does what; it can be closed."""

    def __init__(self, theme: Theme, close: Callable[[], None]) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setAccessibleName(tr("Hands"))
        self._keys: list[tuple[QLabel, str]] = []
        self._fire: list[QWidget] = []
        head = QHBoxLayout()
        head.addWidget(text_label(tr("Hands"), "strong"), 1)
        self.closer = IconButton("x", tr("Close this card"), theme)
        self.closer.clicked.connect(lambda: close())
        head.addWidget(self.closer)
        grid = QGridLayout()
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(2, 1)
        line = self._heading(grid, 0, tr("Probe"))
        for actions, words in HAND_KEYS:
            line = self._key_row(grid, line, actions, words)
        line = self._heading(grid, line, tr("Needle"))
        for gesture, words in HAND_MOUSE:
            grid.addWidget(text_label(tr(gesture), "small"), line, 0, 1, 2)
            grid.addWidget(_words(words), line, 2)
            line += 1
        for actions, words in HAND_VERBS:
            line = self._key_row(grid, line, actions, words)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 6, 6, 12)
        column.setSpacing(2)
        column.addLayout(head)
        column.addLayout(grid)

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Show the keys as they are set."""
        key = words.get("hands_card", "")
        self.closer.setToolTip(tr("Close this card; {key} brings it back").replace("{key}", key) if key
                               else tr("Close this card"))
        for label, action in self._keys:
            key = words.get(action, "")
            label.setText(short_key(key))
            label.setAccessibleName(key)
            label.setVisible(bool(key))

    def set_can_fire(self, on: bool) -> None:
        """Show the gun's key only where there is a gun."""
        for widget in self._fire:
            widget.setVisible(on)

    def _heading(self, grid: QGridLayout, line: int, words: str) -> int:
        head = text_label(words.upper(), "head")
        head.setContentsMargins(0, 4 if line else 0, 0, 0)
        grid.addWidget(head, line, 0, 1, 3)
        return line + 1

    def _key_row(self, grid: QGridLayout, line: int, actions: tuple[str, ...], words: str) -> int:
        name = _words(words)
        grid.addWidget(name, line, 2)
        for column, action in enumerate(actions):
            key = text_label(role="key")
            key.setAlignment(Qt.AlignmentFlag.AlignCenter)
            grid.addWidget(key, line, column, 1, 1)
            self._keys.append((key, action))
            if action == "needle_fire":
                self._fire += [key, name]
        return line + 1


class SteerPanel(QWidget):
    """Both cards; hidden while nothing is steered."""

    def __init__(self, theme: Theme, close_hands: Callable[[], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.attempt = AttemptCard(theme)
        self.hands = HandsCard(theme, close_hands)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 14, 14, 0)
        column.setSpacing(10)
        column.addWidget(text_label(tr("Steering").upper(), "head"))
        column.addWidget(self.attempt)
        column.addWidget(self.hands)
        self.hide()

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Show the keys as they are set."""
        self.hands.set_keys(words)


def _words(words: str) -> QLabel:
    label = text_label(tr(words), "quiet")
    label.setWordWrap(True)
    return label


def short_key(key: str) -> str:
    """A key as the card writes it, with an arrow for Shift, which some languages spell with many letters."""
    shift = key_words("Shift+A").removesuffix("A").rstrip("+ ")
    return f"⇧ {key.removeprefix(shift).lstrip('+ ')}" if key.startswith(shift) and key != shift else key


def _say(label: QLabel, text: str) -> None:
    if label.text() != text:
        label.setText(text)
