"""The user's settings while the window is open: changed at once in memory, saved a moment later in a job thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from puncta.core.overlay import Layer
from puncta.gui.bridge import Jobs
from puncta.settings import LayerSetting, Settings, ViewSetting, save_settings
from puncta.sources.live_address import without_secret

log = logging.getLogger(__name__)

SAVE_DELAY_MS = 400
RECENT_LIMIT = 12


class Preferences(QObject):
    """Settings with a signal and delayed, atomic saving.

    Attributes
    ----------
    settings : Settings
        Read freely; write through the methods, so that the change is announced and saved.
    """

    changed = Signal(str)
    """Name of the setting that changed."""

    def __init__(
        self,
        settings: Settings,
        jobs: Jobs,
        parent: QObject | None = None,
        *,
        file: Path | None = None,
        keep: bool = True,
    ) -> None:
        super().__init__(parent)
        self.settings = settings
        self.on_failure: Callable[[str], None] = log.warning
        self._jobs = jobs
        self._file, self._keep = file, keep
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SAVE_DELAY_MS)
        self._timer.timeout.connect(self._save_later)
        self._saving = False

    def set(self, name: str, value: Any) -> None:
        """Change one setting; nothing happens where it has this value already."""
        if getattr(self.settings, name) == value:
            return
        setattr(self.settings, name, value)
        self.touch(name)

    def touch(self, name: str) -> None:
        """Announce and save a setting that was changed in place."""
        if self._keep:
            self._timer.start()
        self.changed.emit(name)

    def layer(self, layer: Layer) -> LayerSetting:
        """Visibility and opacity of one overlay layer."""
        return self.settings.layers.get(layer.value, LayerSetting())

    def set_layer(self, layer: Layer, *, visible: bool | None = None, opacity: float | None = None) -> None:
        """Change visibility or opacity of one overlay layer."""
        now = self.layer(layer)
        self.settings.layers[layer.value] = LayerSetting(
            visible=now.visible if visible is None else visible,
            opacity=now.opacity if opacity is None else min(1.0, max(0.0, opacity)),
        )
        self.touch("layers")

    def layer_order(self) -> tuple[Layer, ...]:
        """Overlay layers, lowest first; layers the settings do not name keep their default place at the end."""
        named = [Layer(name) for name in self.settings.layer_order if name in set(Layer)]
        return (*named, *(layer for layer in Layer if layer not in named))

    def move_layer(self, layer: Layer, up: int) -> None:
        """Raise a layer by ``up`` places, or lower it by a negative number."""
        order = list(self.layer_order())
        place = order.index(layer)
        order.insert(max(0, min(len(order) - 1, place + up)), order.pop(place))
        self.set("layer_order", [entry.value for entry in order])

    def set_view(self, *, gain: float | None = None, gamma: float | None = None) -> None:
        """Change gain or gamma of the view, clipped to their ranges."""
        now = self.settings.view
        gain = now.gain if gain is None else min(4.0, max(0.25, gain))
        gamma = now.gamma if gamma is None else min(3.0, max(0.3, gamma))
        self.set("view", ViewSetting(gain=gain, gamma=gamma))

    def remember_source(self, uri: str) -> None:
        """Put a source at the head of the recent list; a password in its address is not kept."""
        uri = without_secret(uri)
        rest = [entry for entry in self.settings.recent if entry != uri]
        self.set("recent", [uri, *rest][:RECENT_LIMIT])
        self.set("last_source", uri)

    def forget_source(self, uri: str) -> None:
        """Take a source off the recent list."""
        self.set("recent", [entry for entry in self.settings.recent if entry != uri])
        if self.settings.last_source == uri:
            self.set("last_source", "")

    def save_now(self) -> None:
        """Save at once, in this thread: for the end of the program, when the job threads are gone."""
        self._timer.stop()
        if not self._keep:
            return
        try:
            save_settings(self.settings, self._file)
        except OSError as error:
            log.warning("settings not saved: %s", error)

    def _save_later(self) -> None:
        if self._saving:
            self._timer.start()
            return
        self._saving = True
        snapshot = self.settings.model_copy(deep=True)
        self._jobs.run(lambda: save_settings(snapshot, self._file), self._saved, self._not_saved)

    def _saved(self, _result: object) -> None:
        self._saving = False

    def _not_saved(self, error: Exception) -> None:
        self._saving = False
        self.on_failure(f"The settings cannot be saved: {error}")
