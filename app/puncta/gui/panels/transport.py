"""Buttons that play, step, slow down, loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

from puncta.core.events import PlayState
from puncta.gui.desk import SPEEDS, Desk
from puncta.gui.i18n import numbers, tr
from puncta.gui.panels.parts import IconButton, text_label
from puncta.gui.panels.timeline import clock_words
from puncta.gui.theme import Theme


class Transport(QWidget):
    """One row of controls; every one has a key too."""

    def __init__(self, desk: Desk, theme: Theme, run: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk, self._theme = desk, theme
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 16, 2)
        row.setSpacing(2)
        self.buttons: dict[str, IconButton] = {}
        for action, icon, name in (
            ("first", "skip-back", tr("First frame")),
            ("frame_back", "step-back", tr("One frame back")),
            ("play", "pause", tr("Play or pause")),
            ("frame_on", "step-forward", tr("One frame on")),
            ("last", "skip-forward", tr("Last frame")),
        ):
            button = IconButton(icon, name, theme)
            button.clicked.connect(lambda _checked=False, action=action: run(action))
            button.setAutoRepeat(action in {"frame_back", "frame_on"})
            self.buttons[action] = button
            row.addWidget(button)
        row.addSpacing(10)
        self.speed = QComboBox()
        self.speed.setAccessibleName(tr("Speed"))
        self.speed.setToolTip(tr("Speed"))
        self.speed.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        for speed in SPEEDS:
            self.speed.addItem(numbers(f"{speed:g}×"), speed)
        self.speed.activated.connect(lambda i: desk.set_rate(SPEEDS[i]))
        row.addWidget(self.speed)
        row.addSpacing(10)
        self.loop = IconButton("repeat", tr("Loop the range, or stop looping"), theme)
        self.loop.setCheckable(True)
        self.loop.set_theme(theme)
        self.loop.clicked.connect(lambda: self._toggle_loop())
        row.addWidget(self.loop)
        self._range = text_label(role="small")
        row.addSpacing(6)
        row.addWidget(self._range)
        row.addStretch(1)
        self._frame = text_label(role="quiet")
        self._time = text_label(role="strong")
        row.addWidget(self._frame)
        row.addSpacing(14)
        row.addWidget(self._time)

    def set_theme(self, theme: Theme) -> None:
        """Keep the theme for icons that change."""
        self._theme = theme
        for label in (self._frame, self._time):
            label.setMinimumWidth(0)

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Name the keys in the tool tips."""
        for action, button in self.buttons.items():
            button.set_key(words.get(action, ""))
        self.loop.set_key(words.get("range_loop", ""))

    def refresh(self) -> None:
        """Show state, speed and range."""
        status = self._desk.status
        playing = status.state is PlayState.PLAYING
        self.buttons["play"].set_icon("pause" if playing else "play", self._theme)
        nearest = min(range(len(SPEEDS)), key=lambda i: abs(SPEEDS[i] - status.rate))
        if self.speed.currentIndex() != nearest and not self.speed.view().isVisible():
            self.speed.setCurrentIndex(nearest)
        self.loop.setChecked(status.loop is not None or self._desk.preferences.settings.repeat)
        self._range.setText(self._range_words())
        for button in (*self.buttons.values(), self.loop, self.speed):
            button.setEnabled(status.info is not None and status.info.seekable)

    def refresh_place(self) -> None:
        """Show the frame's index, from 0 as in results and on the command line, and its time."""
        desk, info = self._desk, self._desk.info
        if info is None or info.frame_count is None:
            self._frame.setText("")
            self._time.setText("")
            return
        count = info.frame_count
        self._set_steady(self._frame, tr("Frame {index} / {last}").format(index=desk.shown_index(), last=count - 1))
        whole = (int(info.times_ns[-1]) - int(info.times_ns[0])) / 1e9 if info.times_ns is not None and count else 0.0
        now = clock_words(desk.shown_time_s(), tenths=True)
        self._set_steady(self._time, f"{now} / {clock_words(whole, tenths=True)}")

    @staticmethod
    def _set_steady(label: QLabel, text: str) -> None:
        """Show changing figures without letting their neighbours move: the label only ever grows."""
        label.setText(text)
        wanted = label.sizeHint().width()
        if wanted > label.minimumWidth():
            label.setMinimumWidth(wanted)

    def _toggle_loop(self) -> None:
        """With a range: loop it or stop. Without one: repeat the whole case or not."""
        desk = self._desk
        if desk.status.loop is not None or any(mark is not None for mark in desk.loop_marks):
            desk.apply_loop()
        else:
            preferences = desk.preferences
            preferences.set("repeat", not preferences.settings.repeat)
            desk.player.set_repeat(preferences.settings.repeat)
        self.refresh()

    def _range_words(self) -> str:
        first, last = self._desk.loop_marks
        if first is None and last is None:
            return tr("whole case") if self._desk.preferences.settings.repeat else ""
        start = "…" if first is None else str(first)
        end = "…" if last is None else str(last)
        return f"{start} – {end}"
