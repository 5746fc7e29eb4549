"""A small light that says that a recording runs: how long, how much was lost, how long the disk lasts."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.panels.parts import text_label
from puncta.gui.panels.timeline import clock_words
from puncta.gui.theme import Theme
from puncta.recording.recorder import RecorderState, RecordingStatus


class RecordingLight(QWidget):
    """A dot with the word REC, the elapsed time, and what the disk still takes. Hidden while nothing is recorded."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._dot, self._words = text_label(role="strong"), text_label(role="quiet")
        self._dot.setTextFormat(Qt.TextFormat.RichText)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self._dot)
        row.addWidget(self._words)
        self.set_theme(theme)
        self.setVisible(False)

    def set_theme(self, theme: Theme) -> None:
        """Colour the dot."""
        self._dot.setText(f'<span style="color:{theme.colours["bad"]}">\u25cf</span> REC')

    def show_status(self, status: RecordingStatus) -> None:
        """Follow the recorder."""
        going = status.state is RecorderState.RECORDING
        if going:
            words = self.words_of(status)
            self._words.setText(words)
            self.setAccessibleName(f"{tr('Recording')}: {words}")
        self.setVisible(going)

    @staticmethod
    def words_of(status: RecordingStatus) -> str:
        """Return time, losses and disk in a few words."""
        parts = [clock_words(status.seconds)]
        if status.lost:
            parts.append(tr("{count} frames lost").format(count=status.lost))
        if status.disk_left_s is not None:
            minutes = int(status.disk_left_s // 60)
            left = tr("disk for {minutes} min") if minutes < 120 else tr("disk for {hours} h")
            parts.append(left.format(minutes=minutes, hours=minutes // 60))
        return "   ".join(parts)

    @property
    def words(self) -> str:
        """What stands beside the dot."""
        return self._words.text()
