"""What can be told about a live source from the moments its pictures arrive and from the pictures themselves.

Everything here is computed from times that are handed in, so that tests need no waiting.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.events import SourceProblem
from puncta.sources.pace import Pace

WINDOW_NS = 2_000_000_000
"""Rates are measured over this time [ns]."""
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
    """Figures of the pictures that have arrived.

    Attributes
    ----------
    rate : float or None
        Pictures a second over the last two seconds.
    rate_now, usual_rate : float and float or None
        The same over the last three quarters of a second, and as it usually is.
    spoilt : bool
        What comes is damaged again and again.
    """

    rate: float | None
    jitter_ms: float | None
    silent_ns: int | None
    drops: tuple[tuple[str, int], ...]
    problem: SourceProblem
    still_ns: int
    rate_now: float = 0.0
    usual_rate: float | None = None
    spoilt: bool = False


class HealthMeter:
    """Counts arrivals; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pace = Pace()
        self._drops: Counter[str] = Counter()
        self._connected_ns = 0
        self._looked_ns = -LOOK_NS
        self._reference: NDArray[np.uint8] | None = None
        self._changed_ns = 0
        self._black_since_ns: int | None = None
        self._promised: float | None = None

    def begin(self, t_ns: int, promised_rate: float | None) -> None:
        """Begin a connection: its rate and its picture are judged afresh."""
        with self._lock:
            self._pace.begin(t_ns)
            self._connected_ns, self._promised = t_ns, promised_rate
            self._reference, self._black_since_ns = None, None
            self._looked_ns = t_ns - LOOK_NS

    def arrived(self, t_ns: int, pixels: NDArray[np.uint8]) -> None:
        """Count a picture that arrived at ``t_ns`` [ns, monotonic]."""
        look = t_ns - self._looked_ns >= LOOK_NS
        black, changed = (is_black(pixels), self._differs(pixels)) if look else (False, False)
        with self._lock:
            self._pace.arrived(t_ns)
            if not look:
                return
            self._looked_ns = t_ns
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

    def damaged(self, t_ns: int, pieces: int) -> None:
        """Count what came at ``t_ns`` [ns, monotonic] and could not be used, before it is known what it costs."""
        with self._lock:
            self._pace.damaged(t_ns, pieces)

    @property
    def patience_ns(self) -> int:
        """Silence longer than this [ns] means that the source is gone."""
        with self._lock:
            return self._pace.patience_ns

    def silent(self, now_ns: int) -> bool:
        """Tell whether the source has been silent for too long at ``now_ns`` [ns, monotonic]."""
        with self._lock:
            times = self._pace.times_ns
            return not times or now_ns - times[-1] > self._pace.patience_ns

    def snapshot(self, now_ns: int) -> Arrivals:
        """Return the figures at ``now_ns`` [ns, monotonic]."""
        with self._lock:
            pace = self._pace
            times = pace.times_ns
            silent = now_ns - times[-1] if times else None
            recent = [t for t in times if t > now_ns - WINDOW_NS]
            # The time since the last picture counts too, so that the rate falls as soon as a source gets slower.
            late = max(0, now_ns - times[-1] - pace.step_ns) if times else 0
            span = recent[-1] - recent[0] + late if len(recent) > 1 else 0
            rate = (len(recent) - 1) / span * 1e9 if span else None
            spoilt = pace.spoilt(now_ns)
            problem = self._problem(now_ns, rate, spoilt=spoilt)
            still = now_ns - self._changed_ns if self._reference is not None else 0
            drops = tuple(self._drops.items())
            now, usual = pace.rate_now(now_ns), pace.usual_rate()
            return Arrivals(rate, _jitter_ms(times), silent, drops, problem, still, now, usual, spoilt)

    def _problem(self, now_ns: int, rate: float | None, *, spoilt: bool) -> SourceProblem:
        if self._black_since_ns is not None and now_ns - self._black_since_ns >= BLACK_NS:
            return SourceProblem.BLACK
        if self._reference is not None and now_ns - self._changed_ns >= FROZEN_NS:
            return SourceProblem.FROZEN
        if spoilt:
            return SourceProblem.DAMAGED
        if self._pace.fallen_behind(now_ns):
            return SourceProblem.SLOW
        settled = now_ns - self._connected_ns > 1.5 * WINDOW_NS
        if settled and self._promised and rate is not None and rate < SLOW_SHARE * self._promised:
            return SourceProblem.SLOW
        return SourceProblem.NONE

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


DAMAGED_WORDS = "What arrives is damaged; look at the cable, the network and the sender."


def words_of_problem(seen: Arrivals, promised: float | None) -> str:
    """Return the sentence for a source that gives pictures, but not as it should."""
    if seen.problem is SourceProblem.BLACK:
        return "The picture is black; see whether the machine is on and the right input is chosen."
    if seen.problem is SourceProblem.FROZEN:
        return f"The picture has not changed for {seen.still_ns / 1e9:.0f} s; see whether the machine is frozen."
    if seen.problem is SourceProblem.DAMAGED:
        return DAMAGED_WORDS
    if seen.problem is not SourceProblem.SLOW:
        return ""
    if seen.usual_rate is not None and seen.rate_now < SLOW_SHARE * seen.usual_rate:
        return (
            f"Only {seen.rate_now:.0f} pictures a second come, a moment ago {seen.usual_rate:.0f}; "
            "look at the cable and the network, or at the depth and rate chosen on the machine."
        )
    if seen.rate is not None and promised:
        return (
            f"The source sends {seen.rate:.0f} pictures a second instead of {promised:.0f}; "
            "choose a smaller picture size or look at the cable and the network."
        )
    return "Fewer pictures come than a moment ago; look at the cable and the network."
