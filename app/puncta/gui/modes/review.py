"""Review: a recorded case with transport and timeline."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from PySide6.QtWidgets import QVBoxLayout, QWidget

from puncta.gui.desk import Desk
from puncta.gui.panels.timeline import Timeline
from puncta.gui.panels.transport import Transport
from puncta.gui.theme import Theme

TRACKS_S = 0.25
"""The tracks are read and drawn again at most this often [s]."""


class ReviewBar(QWidget):
    """What stands under the picture in Review."""

    def __init__(self, desk: Desk, theme: Theme, run: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._tracked_s = 0.0
        self.transport = Transport(desk, theme, run)
        self.timeline = Timeline(theme)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.transport)
        column.addWidget(self.timeline)
        self.timeline.scrubbed.connect(desk.seek)
        desk.source_changed.connect(self._take_source)
        desk.loop_changed.connect(self.refresh)

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Name the keys in the tool tips."""
        self.transport.set_keys(words)

    def refresh_place(self) -> None:
        """Follow the picture on the screen."""
        self.timeline.set_index(self._desk.shown_index())
        self.transport.refresh_place()

    def refresh(self) -> None:
        """Follow the player's state."""
        self.transport.refresh()
        now = time.monotonic()
        if now - self._tracked_s >= TRACKS_S:
            self._tracked_s = now
            self.timeline.set_tracks(self._desk.tracks())
            self.timeline.set_ribbons(self._desk.ribbons())
        first, last = self._desk.loop_marks
        self.timeline.set_range((first, last), looping=self._desk.status.loop is not None)

    def _take_source(self) -> None:
        info = self._desk.info
        self.timeline.set_source(info if info is not None and info.seekable else None)
        self._tracked_s = 0.0
        self.refresh()
        self.refresh_place()
