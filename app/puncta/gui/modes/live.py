"""Live: a stream without an end, with a button that freezes it. Nothing to scrub."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from puncta.core.events import PlayState
from puncta.gui.desk import Desk
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import text_label
from puncta.gui.panels.recording_light import RecordingLight
from puncta.gui.panels.source_panel import is_simulator
from puncta.gui.panels.timeline import clock_words
from puncta.gui.theme import Theme
from puncta.recording.recorder import RecorderState, RecordingStatus


class LiveBar(QWidget):
    """What stands under the picture in Live."""

    def __init__(self, desk: Desk, theme: Theme, run: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk, self._theme = desk, theme
        self.freeze = QPushButton()
        self.freeze.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.freeze.clicked.connect(lambda: run("play"))
        self.steer = QPushButton(tr("Steer it yourself"))
        self.steer.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.steer.clicked.connect(lambda: run("steer_it"))
        self.record = QPushButton(tr("Record"))
        self.record.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.record.clicked.connect(lambda: run("record"))
        self.last = QPushButton(tr("Save the last seconds"))
        self.last.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.last.clicked.connect(lambda: run("save_last"))
        self.light = RecordingLight(theme)
        self._state = text_label(role="quiet")
        self._clock = text_label(role="strong")
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 16, 8)
        row.setSpacing(14)
        row.addWidget(self.freeze)
        row.addWidget(self.record)
        row.addWidget(self.last)
        row.addWidget(self.light)
        row.addWidget(self._state)
        row.addStretch(1)
        row.addWidget(self.steer)
        row.addWidget(self._clock)
        self.refresh()

    def set_theme(self, theme: Theme) -> None:
        """Tint the icon."""
        self._theme = theme
        self.light.set_theme(theme)
        self.refresh()

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Name the key in the tool tip."""
        self.freeze.setToolTip(words.get("play", ""))
        self.record.setToolTip(words.get("record", ""))
        self.last.setToolTip(words.get("save_last", ""))
        self.steer.setToolTip(words.get("steer_it", ""))

    def show_recording(self, status: RecordingStatus) -> None:
        """Follow the recorder."""
        going = status.state is RecorderState.RECORDING
        words = tr("Stop recording") if going else tr("Record")
        if words != self.record.text():
            self.record.setText(words)
            self.record.setAccessibleName(words)
        self.last.setVisible(not going)
        self.last.setEnabled(status.pre_roll_s > 0)
        last = tr("Save the last {seconds} s").format(seconds=max(1, round(status.pre_roll_s)))
        self.last.setText(last if status.pre_roll_s > 0 else tr("Save the last seconds"))
        self.light.show_status(status)

    def refresh_place(self) -> None:
        """Follow the picture on the screen."""
        self._clock.setText(clock_words(self._desk.shown_time_s()) if self._desk.analysis is not None else "")

    def refresh(self) -> None:
        """Follow the player's state."""
        status = self._desk.status
        playing = status.state is PlayState.PLAYING
        words = tr("Freeze") if playing else tr("Run")
        self.freeze.setText(f" {words}")
        self.freeze.setAccessibleName(words)
        self.freeze.setIconSize(self._theme.icon_size())
        self.freeze.setIcon(self._theme.icon("pause" if playing else "play", "text1"))
        self.freeze.setEnabled(status.info is not None)
        self.record.setEnabled(status.info is not None)
        self.steer.setVisible(status.info is not None and is_simulator(self._desk.uri))
        states = {
            PlayState.PLAYING: tr("Running"),
            PlayState.PAUSED: tr("Frozen. The picture is not live."),
            PlayState.OPENING: tr("Opening"),
            PlayState.RECONNECTING: tr("Source lost. Trying again."),
            PlayState.FAILED: tr("Source lost"),
            PlayState.ENDED: tr("Ended"),
        }
        self._state.setText(states.get(status.state, tr("No source is open.")))
