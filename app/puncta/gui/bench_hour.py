"""Watches a long simulated Live in the real window for `puncta bench`: memory, frame rate, and whether clocks drift."""

from __future__ import annotations

import threading
import time
from typing import Any

import psutil
from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtGui import QGuiApplication

from puncta.core.cues import Cue
from puncta.core.results import Analysis
from puncta.gui.app import Parts, run_window
from puncta.gui.sounds import RATE, Sounds

SAMPLE_S = 10.0
CUE_EVERY = 2
"""Every second sample plays a cue, as an approach would."""
WARM_UP_S = 5.0
"""Start of the window, left out of all figures [s]."""


class HourMeter(QObject):
    """Takes a sample of one window every ten seconds; it keeps nothing of a frame.

    Attributes
    ----------
    samples : list of dict
        ``t_s`` since the first sample, ``rss_mb``, ``threads``, ``painted`` (pictures so far), ``media_s`` (time of the
        picture on the screen), ``audio_s`` (sound that the device has taken; absent without one), ``dropped``,
        ``oldest_ms`` (greatest age of a picture at the end of its paint since the sample before).
    sound : str
        Why there is no sound; empty where there is.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self.samples: list[dict[str, Any]] = []
        self._parts = parts
        self._process = psutil.Process()
        self._painted, self._oldest_ms = 0, 0.0
        self._shown: tuple[int, int] | None = None
        self._begun: tuple[int, int] | None = None
        self._sounds = Sounds(backend="NULL")
        self.sound = self._sounds.set_on(True)
        parts.window.guidance.sounds.close()
        parts.window.guidance.sounds = self._sounds
        self._report = parts.window.stage.view.on_painted
        parts.window.stage.view.on_painted = self._on_paint
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._sample)
        QTimer.singleShot(round(WARM_UP_S * 1000), self._begin)
        parts.window.closed.connect(self._timer.stop)

    def _begin(self) -> None:
        analysis = self._parts.desk.analysis
        if analysis is not None:
            x0, y0, w, h = analysis.frame.geometry.region.box
            self._parts.desk.set_target((x0 + 0.5 * w, y0 + 0.5 * h))
        self._painted = 0
        self._heard_at_start = self._sounds.asked
        self._sample()
        self._timer.start(round(SAMPLE_S * 1000))

    def _on_paint(self, analysis: Analysis, t_ns: int) -> None:
        self._report(analysis, t_ns)
        self._painted += 1
        self._oldest_ms = max(self._oldest_ms, (t_ns - analysis.frame.t_ns) / 1e6)
        # The moment at which the picture came, not that of its paint: painting jitters.
        self._shown = (analysis.frame.key.pts_ns, analysis.frame.t_ns)

    def _sample(self) -> None:
        if self._shown is None:
            return
        self._begun = self._begun or self._shown
        pts_ns, came_ns = self._shown
        sample: dict[str, Any] = {
            "t_s": round((came_ns - self._begun[1]) / 1e9, 3),
            "rss_mb": round(self._process.memory_info().rss / 1e6, 2),
            "threads": threading.active_count(),
            "painted": self._painted,
            "media_s": round((pts_ns - self._begun[0]) / 1e9, 3),
            "oldest_ms": round(self._oldest_ms, 2),
            "dropped": sum(count for _cause, count in self._parts.desk.status.drops),
            "taken_s": round(time.monotonic(), 3),
        }
        if not self.sound:
            sample["audio_s"] = round((self._sounds.asked - self._heard_at_start) / RATE, 3)
        self._oldest_ms = 0.0
        self.samples.append(sample)
        if len(self.samples) % CUE_EVERY == 0:
            self._sounds.play(Cue.NEAR)


def measure_hour(uri: str, seconds: float) -> dict[str, Any]:
    """Leave the window open on a source that never ends.

    Returns
    -------
    dict
        ``samples`` (see `HourMeter`), ``sound`` and ``screen`` (words).
    """
    meters: list[HourMeter] = []
    run_window(
        uri,
        quit_after_s=seconds + WARM_UP_S,
        on_ready=lambda parts: meters.append(HourMeter(parts)),
        keep_settings=False,
    )
    meter = meters[0]
    return {"samples": meter.samples, "sound": meter.sound, "screen": f"screen: {QGuiApplication.platformName()}"}
