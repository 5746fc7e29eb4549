"""Going from one mode to another, each with the source that was open in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puncta import paths
from puncta.gui.desk import Place
from puncta.gui.panels.source_panel import is_stream

if TYPE_CHECKING:
    from puncta.gui.main_window import MainWindow

OF_CLIPS = ("review", "annotate")
"""Modes that share what is open: clips that can be sought."""


class ModeChange:
    """Remembers where each mode was left."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._places: dict[str, Place] = {}

    def enter(self, mode: str) -> None:
        """Go to a mode, and to the source that was open in it."""
        window = self._window
        desk = window.desk
        if mode == window.mode:
            return
        if mode in OF_CLIPS and window.mode in OF_CLIPS and desk.info is not None:
            window.set_mode(mode)
            return
        if desk.info is not None:
            for left in OF_CLIPS if window.mode in OF_CLIPS else (window.mode,):
                self._places[left] = Place(desk.uri, desk.shown_index(), True)
        window.annotator.wanted = mode == "annotate"
        place = self._places.get(mode)
        recent = window.preferences.settings.recent
        fitting = [uri for uri in recent if is_stream(uri) == (mode == "live")]
        if place is not None:
            window.open_uri(place.uri, start_index=place.index if mode in OF_CLIPS else 0)
        elif mode == "live":
            window.open_uri(fitting[0] if fitting else "sim:breast?seed=1")
        else:
            window.open_uri(fitting[0] if fitting else str(paths.sample_case()))
        window.top.set_mode(window.mode)  # the bars change when the source is there
