"""Measures the real window for `puncta bench`: from frame in to painted, and how late a 16 ms timer is beside it."""

from __future__ import annotations

import time
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtGui import QGuiApplication

from puncta.core.results import Analysis
from puncta.gui.app import Parts, run_window

TIMER_MS = 16
WARM_UP_S = 1.0
"""Start of the window, left out of the figures [s]."""


class WindowMeter(QObject):
    """Collects what one window shows.

    Attributes
    ----------
    ages_ms : list of float
        From a frame's arrival to the end of its paint event [ms].
    late_ms : list of float
        How much later than 16 ms after its last round a timer comes round [ms].
    """

    def __init__(self, parts: Parts, begun_s: float) -> None:
        super().__init__(parts.window)
        from puncta.session.bench import MediaClock

        self.ages_ms: list[float] = []
        self.late_ms: list[float] = []
        self.clock = MediaClock()
        self.first_picture_s: float | None = None
        self.drops: dict[str, int] = {}
        self._parts, self._begun_s = parts, begun_s
        self._count_from_s = time.perf_counter() + WARM_UP_S
        self._last_s = 0.0
        self._report = parts.window.stage.view.on_painted
        parts.window.stage.view.on_painted = self._painted
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(TIMER_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()
        parts.window.closed.connect(self._stop)

    def _painted(self, analysis: Analysis, t_ns: int) -> None:
        self._report(analysis, t_ns)
        now_s = time.perf_counter()
        if self.first_picture_s is None:
            self.first_picture_s = now_s - self._begun_s
        if now_s >= self._count_from_s:
            self.ages_ms.append((t_ns - analysis.frame.t_ns) / 1e6)
            self.clock.shown(analysis, t_ns)

    def _tick(self) -> None:
        now_s = time.perf_counter()
        if self._last_s and now_s >= self._count_from_s:
            self.late_ms.append(max(0.0, (now_s - self._last_s) * 1e3 - TIMER_MS))
        self._last_s = now_s

    def _stop(self) -> None:
        self._timer.stop()
        self.drops = dict(self._parts.desk.status.drops)


def measure_window(uri: str, seconds: float) -> dict[str, Any]:
    """Open the window on a source for some seconds and return what was measured.

    Returns
    -------
    dict
        ``frame_to_painted_ms`` and ``timer_late_ms`` (lists of float), ``clock`` (media time against wall time),
        ``first_picture_s`` (from here to the end of the first paint, the toolkit's imports not counted), ``screen``
        and ``note`` (words).
    """
    meters: list[WindowMeter] = []
    begun_s = time.perf_counter()
    run_window(
        uri,
        quit_after_s=seconds + WARM_UP_S,
        on_ready=lambda parts: meters.append(WindowMeter(parts, begun_s)),
        keep_settings=False,
    )
    meter = meters[0]
    return {
        "frame_to_painted_ms": meter.ages_ms,
        "timer_late_ms": meter.late_ms,
        "clock": meter.clock,
        "first_picture_s": meter.first_picture_s,
        "screen": f"screen: {QGuiApplication.platformName()}",
        "note": f"dropped: {meter.drops or 'none'}",
    }
