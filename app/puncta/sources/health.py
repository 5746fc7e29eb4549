"""What can be told about a live source from the moments its pictures arrive and from the pictures themselves.

Everything here is computed from times that are handed in, so that tests need no waiting.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.events import SourceProblem

WINDOW_NS = 2_000_000_000
"""Rates are measured over this time [ns]."""
SILENT_NS = 800_000_000
"""Without a picture for this long [ns] a source counts as lost; a person reads it before a second is over."""
LOOK_NS = 250_000_000
"""The picture itself is looked at this often [ns]."""
FROZEN_NS = 3_000_000_000
"""A picture that has not changed for this long [ns] is frozen."""
BLACK_NS = 1_000_000_000
"""A picture that is black for this long [ns] is no blink of the machine."""
SLOW_SHARE = 0.7
"""Below this share of the promised rate a source is slow."""
SAME_GREY = 2
"""Pixels that differ by no more than this are the same: coding noise of a still picture."""
BLACK_MEAN, BLACK_PEAK = 4.0, 40
"""A black picture has a mean below the first and (nearly) no pixel above the second; capture black may be 16."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Figures of the pictures that have arrived."""

    rate: float | None
    jitter_ms: float | None
    silent_ns: int | None
    drops: tuple[tuple[str, int], ...]
    problem: SourceProblem
    still_ns: int


class HealthMeter:
    """Counts arrivals; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrivals_ns: deque[int] = deque(maxlen=600)
        self._drops: Counter[str] = Counter()
        self._connected_ns = 0
        self._looked_ns = -LOOK_NS
        self._reference: NDArray[np.uint8] | None = None
        self._changed_ns = 0
        self._black_since_ns: int | None = None
        self._promised: float | None = None
        # The usual interval, as it was at the last look.
        self._step_ns = 0

    def begin(self, t_ns: int, promised_rate: float | None) -> None:
        """Begin a connection: its rate and its picture are judged afresh."""
        with self._lock:
            self._arrivals_ns.clear()
            self._connected_ns, self._promised = t_ns, promised_rate
            self._reference, self._black_since_ns = None, None
            self._looked_ns = t_ns - LOOK_NS

    def arrived(self, t_ns: int, pixels: NDArray[np.uint8]) -> None:
        """Count a picture that arrived at ``t_ns`` [ns, monotonic]."""
        look = t_ns - self._looked_ns >= LOOK_NS
        black, changed = (is_black(pixels), self._differs(pixels)) if look else (False, False)
        with self._lock:
            self._arrivals_ns.append(t_ns)
            if not look:
                return
            self._looked_ns = t_ns
            self._step_ns = self._usual_ns()
            if changed:
                self._reference, self._changed_ns = pixels, t_ns
            if not black:
                self._black_since_ns = None
            elif self._black_since_ns is None:
                self._black_since_ns = t_ns

    def lost(self, cause: str, count: int) -> None:
        """Count pictures that never came or could not be used."""
        if count > 0:
            with self._lock:
                self._drops[cause] += count

    @property
    def patience_ns(self) -> int:
        """Silence longer than this [ns] means that the source is gone: a slow source gets three of its intervals."""
        return max(SILENT_NS, 3 * self._step_ns)

    def silent(self, now_ns: int) -> bool:
        """Tell whether the source has been silent for too long at ``now_ns`` [ns, monotonic]."""
        with self._lock:
            last_ns = self._arrivals_ns[-1] if self._arrivals_ns else None
        return last_ns is None or now_ns - last_ns > self.patience_ns

    def snapshot(self, now_ns: int) -> Arrivals:
        """Return the figures at ``now_ns`` [ns, monotonic]."""
        with self._lock:
            times = list(self._arrivals_ns)
            silent = now_ns - times[-1] if times else None
            recent = [t for t in times if t > now_ns - WINDOW_NS]
            # The time since the last picture counts too, so that the rate falls as soon as a source gets slower.
            usual = self._step_ns
            late = max(0, now_ns - times[-1] - usual) if times else 0
            span = recent[-1] - recent[0] + late if len(recent) > 1 else 0
            rate = (len(recent) - 1) / span * 1e9 if span else None
            problem = self._problem(now_ns, rate)
            still = now_ns - self._changed_ns if self._reference is not None else 0
            return Arrivals(rate, _jitter_ms(times), silent, tuple(self._drops.items()), problem, still)

    def _problem(self, now_ns: int, rate: float | None) -> SourceProblem:
        if self._black_since_ns is not None and now_ns - self._black_since_ns >= BLACK_NS:
            return SourceProblem.BLACK
        if self._reference is not None and now_ns - self._changed_ns >= FROZEN_NS:
            return SourceProblem.FROZEN
        settled = now_ns - self._connected_ns > 1.5 * WINDOW_NS
        if settled and self._promised and rate is not None and rate < SLOW_SHARE * self._promised:
            return SourceProblem.SLOW
        return SourceProblem.NONE

    def _usual_ns(self) -> int:
        steps = np.diff(np.array(self._arrivals_ns, np.int64))
        return int(np.median(steps[-60:])) if len(steps) else 0

    def _differs(self, pixels: NDArray[np.uint8]) -> bool:
        reference = self._reference
        if reference is None or reference.shape != pixels.shape:
            return True
        return float(cv2.norm(reference, pixels, cv2.NORM_INF)) > SAME_GREY


def is_black(pixels: NDArray[np.uint8]) -> bool:
    """Tell whether a picture shows nothing; a capture card's black may be 16, and a cursor may stand in it."""
    sample = pixels[::4, ::4]
    floor = int(sample.min(initial=255))
    return bool(floor <= 16 and sample.mean() - floor < BLACK_MEAN and np.percentile(sample, 99.5) < BLACK_PEAK)


def _jitter_ms(times_ns: list[int]) -> float | None:
    steps = np.diff(np.array(times_ns[-240:], np.int64)) / 1e6
    if len(steps) < 8:
        return None
    return float(np.percentile(np.abs(steps - np.median(steps)), 95))


def words_of_problem(problem: SourceProblem, still_ns: int, rate: float | None, promised: float | None) -> str:
    """Return the sentence for a source that gives pictures, but not as it should."""
    if problem is SourceProblem.BLACK:
        return "The picture is black; see whether the machine is on and the right input is chosen."
    if problem is SourceProblem.FROZEN:
        return f"The picture has not changed for {still_ns / 1e9:.0f} s; see whether the machine is frozen."
    if problem is SourceProblem.SLOW and rate is not None and promised:
        return (
            f"The source sends {rate:.0f} pictures a second instead of {promised:.0f}; "
            "choose a smaller picture size or look at the cable and the network."
        )
    return ""
