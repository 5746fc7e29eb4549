"""The latency meter: from a frame's arrival to the end of the paint event that shows it."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from puncta.core.events import Percentiles
from puncta.core.results import Analysis

_WINDOW = 600


@dataclass(frozen=True, slots=True)
class LatencySnapshot:
    """What the latency meter shows.

    Attributes
    ----------
    frame_to_painted : Percentiles or None
        Frame in to end of paint [ms] over the last frames; None before the first.
    overlay_age : Percentiles or None
        Age of the overlay's own frame at paint [ms] over the last pictures that had one: the oldest of what was drawn.
    fps : float
        Pictures painted a second, over the last two seconds.
    last_paint_ns : int
        Monotonic time of the last paint [ns]; 0 before the first.
    """

    frame_to_painted: Percentiles | None
    overlay_age: Percentiles | None
    fps: float
    last_paint_ns: int


def percentiles(values_ms: list[float]) -> Percentiles | None:
    """Median, 95th and 99th percentile of durations [ms]; None of an empty list."""
    if not values_ms:
        return None
    p50, p95, p99 = (float(v) for v in np.percentile(values_ms, (50, 95, 99)))
    return Percentiles(p50, p95, p99, len(values_ms))


class LatencyMeter:
    """Collects paints; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ages_ms: deque[float] = deque(maxlen=_WINDOW)
        self._paints_ns: deque[int] = deque(maxlen=_WINDOW)
        self._overlay_ages_ms: deque[float] = deque(maxlen=_WINDOW)

    def painted(self, analysis: Analysis, t_ns: int) -> None:
        """Count a paint that ended at ``t_ns`` [ns, monotonic]."""
        own = [o.frame_t_ns for o in analysis.outputs if o.frame_t_ns]
        with self._lock:
            self._ages_ms.append((t_ns - analysis.frame.t_ns) / 1e6)
            self._paints_ns.append(t_ns)
            if own:
                self._overlay_ages_ms.append((t_ns - min(own)) / 1e6)

    def clear(self) -> None:
        """Forget everything (another source)."""
        with self._lock:
            self._ages_ms.clear()
            self._paints_ns.clear()
            self._overlay_ages_ms.clear()

    def ages_ms(self) -> list[float]:
        """The last frames' ages at paint [ms], oldest first."""
        with self._lock:
            return list(self._ages_ms)

    def snapshot(self) -> LatencySnapshot:
        """Return what the meter shows now."""
        with self._lock:
            ages, paints = list(self._ages_ms), list(self._paints_ns)
            overlays = list(self._overlay_ages_ms)
        recent = [t for t in paints if t > paints[-1] - 2_000_000_000] if paints else []
        span_s = (recent[-1] - recent[0]) / 1e9 if len(recent) > 1 else 0.0
        fps = (len(recent) - 1) / span_s if span_s else 0.0
        return LatencySnapshot(percentiles(ages), percentiles(overlays), fps, paints[-1] if paints else 0)
