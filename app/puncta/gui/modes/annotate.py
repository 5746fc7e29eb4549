"""Annotate: a clip with transport, and over time what is labelled, proposed and open."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtWidgets import QVBoxLayout, QWidget

from puncta.gui.annotate.label_timeline import LabelTimeline
from puncta.gui.desk import Desk
from puncta.gui.panels.transport import Transport
from puncta.gui.theme import Theme


class AnnotateBar(QWidget):
    """What stands under the picture in Annotate."""

    def __init__(self, desk: Desk, theme: Theme, run: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.transport = Transport(desk, theme, run)
        self.timeline = LabelTimeline(theme)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.transport)
        column.addWidget(self.timeline)
        self.timeline.scrubbed.connect(desk.seek)
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
        first, last = self._desk.loop_marks
        self.timeline.set_range((first, last), looping=self._desk.status.loop is not None)
