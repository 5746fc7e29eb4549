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
        self._under = ""
        self.opening = False
        """Something was asked for that will come in a mode of its own, also out of Models."""

    def enter(self, mode: str) -> None:
        """Go to a mode, and to the source that was open in it."""
        window = self._window
        desk = window.desk
        if mode == window.mode:
            return
        # Models stands over what is open: leaving it, the picture below is still there.
        current = self._under if window.mode == "models" else window.mode
        if mode in {"models", current}:
            self._under, self.opening = current, False
            window.set_mode(mode)
            return
        if mode in OF_CLIPS and current in OF_CLIPS and desk.info is not None:
            window.set_mode(mode)
            return
        if desk.info is not None:
            for left in OF_CLIPS if current in OF_CLIPS else (current,):
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

    def settle(self, mode: str) -> None:
        """A source has come that suits a mode: go there, unless Models was entered while it was on its way."""
        if self._window.mode == "models" and not self.opening:
            self._under = mode
        else:
            self._window.set_mode(mode)
        self.opening = False
