"""Transforms that come beside the pictures of a live source: kept until somebody takes them, and their rates."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

Transform = tuple[str, tuple[float, ...], int]
"""Name, 4 x 4 matrix row by row [mm], moment of arrival [ns, monotonic]."""
KEPT = 2048
"""So many wait for whoever records; without anybody the oldest go, since nobody wants them."""
TIMES = 64
WINDOW_NS = 2_000_000_000
"""Rates are measured over this time [ns]."""
NAMES = 32
"""Rates of so many names are told; a sender that makes up names must not fill the memory."""


class TransformBox:
    """Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Transform] = deque(maxlen=KEPT)
        self._times_ns: dict[str, deque[int]] = {}

    def put(self, transforms: Iterable[Transform]) -> None:
        """Keep what came."""
        with self._lock:
            for transform in transforms:
                name, _matrix, t_ns = transform
                self._waiting.append(transform)
                if name in self._times_ns or len(self._times_ns) < NAMES:
                    self._times_ns.setdefault(name, deque(maxlen=TIMES)).append(t_ns)

    def take(self) -> list[Transform]:
        """Return what waits, oldest first, and forget it."""
        with self._lock:
            found = list(self._waiting)
            self._waiting.clear()
            return found

    def rates(self, now_ns: int) -> tuple[tuple[str, float], ...]:
        """Return how often each name comes, a second, over the last two seconds; 0 where it came before."""
        with self._lock:
            return tuple((name, _rate(times, now_ns)) for name, times in sorted(self._times_ns.items()))


def _rate(times_ns: deque[int], now_ns: int) -> float:
    recent = [t for t in times_ns if t > now_ns - WINDOW_NS]
    span_ns = now_ns - recent[0] if len(recent) > 1 else WINDOW_NS
    return len(recent) / max(span_ns, 1) * 1e9 if len(recent) > 1 else len(recent) / 2
