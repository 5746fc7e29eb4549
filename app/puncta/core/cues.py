"""When a quiet sound is due: the tip comes near the target, reaches it, or is lost. Pure; somebody else plays them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Cue(StrEnum):
    """One sound."""

    NEAR = "near"
    REACHED = "reached"
    TIP_LOST = "tip lost"
    TARGET_LOST = "target lost"


NEAR_MM = 15.0
"""Beats begin at this distance [mm] and grow quicker towards the target."""
SLOWEST_NS, QUICKEST_NS = 1_200_000_000, 250_000_000
SEEN_NS = 500_000_000
"""A tip has to be seen this long [ns] before its loss is worth a sound."""
GONE_NS = 400_000_000
"""... and to be gone this long; it flickers."""


@dataclass(frozen=True, slots=True)
class CueInput:
    """What of one picture can be heard.

    Attributes
    ----------
    t_ns : int
        Monotonic time [ns].
    distance_mm : float or None
        From tip to target; None where either is unknown.
    tip_seen : bool
    target : bool or None
        Whether the target is followed; None where there is none.
    """

    t_ns: int
    distance_mm: float | None
    tip_seen: bool
    target: bool | None


class CueMaker:
    """Decides from picture to picture; one a viewer."""

    def __init__(self, reach_mm: float = 2.0) -> None:
        self.reach_mm = reach_mm
        self._beat_ns = 0
        self._reached = False
        self._seen_since: int | None = None
        self._seen_last = 0
        self._had_target = False

    def step(self, seen: CueInput) -> Cue | None:
        """Take the next picture; return the sound that is due, or None."""
        lost = self._tip(seen)
        if lost is not None:
            return lost
        if seen.target is False and self._had_target:
            self._had_target = False
            return Cue.TARGET_LOST
        self._had_target = self._had_target or seen.target is True
        if seen.target is None:
            self._had_target = False
        return self._approach(seen)

    def _tip(self, seen: CueInput) -> Cue | None:
        if seen.tip_seen:
            self._seen_since = seen.t_ns if self._seen_since is None else self._seen_since
            self._seen_last = seen.t_ns
            return None
        if self._seen_since is None or seen.t_ns - self._seen_last < GONE_NS:
            return None
        long_enough = self._seen_last - self._seen_since >= SEEN_NS
        self._seen_since = None
        return Cue.TIP_LOST if long_enough else None

    def _approach(self, seen: CueInput) -> Cue | None:
        far = seen.distance_mm
        if far is None or far > NEAR_MM:
            if far is not None:
                self._reached = False
            return None
        if far <= self.reach_mm:
            first, self._reached = not self._reached, True
            return Cue.REACHED if first else None
        if far > 1.5 * self.reach_mm:
            self._reached = False
        if self._reached or seen.t_ns - self._beat_ns < beat_ns(far, self.reach_mm):
            return None
        self._beat_ns = seen.t_ns
        return Cue.NEAR


def beat_ns(distance_mm: float, reach_mm: float) -> int:
    """Time between two beats at a distance [ns]: slow far off, quick near by."""
    share = min(1.0, max(0.0, (distance_mm - reach_mm) / max(1e-6, NEAR_MM - reach_mm)))
    return round(QUICKEST_NS + share * (SLOWEST_NS - QUICKEST_NS))
