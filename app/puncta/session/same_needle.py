"""Is what a tracker proposes still the needle that was drawn? By overlap, direction and motion from frame to frame.

A tracker that loses a faint needle takes up the next bright line. A needle is stiff and held by a hand: from one frame
to the next it turns by a few degrees, moves little to the side, and its tip goes along its own axis. What moves more
than that, and more than this very needle has moved so far, is something else. Only along its axis may a needle jump: a
biopsy gun throws it in less than a frame, and then the frame is to be looked at.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from puncta.core.geometry import PointPx
from puncta.imaging.needle_pose import NeedlePose

BEAT_NS = 40_000_000
"""What a needle may do is counted by this much time [ns]: a frame of 25 in a second."""
MOST_BEATS = 10.0
"""After a longer gap nothing more is allowed than after this one."""
TURN_DEG, BESIDE_MM, ALONG_MM = 8.0, 2.0, 6.0
"""What any needle may do in one beat: turn, move to the side, go along its axis."""
GAP = 0.25
"""Share of that which each further beat of a gap adds to turn and side."""
OWN, MOST_OWN = 3.0, 2.0
"""So many times its own motion so far a needle may move, but never more than so many times the usual."""
THROW_MM = 30.0
"""The farthest that a gun throws a needle [mm]."""
DRIFT, DRIFT_DEG, DRIFT_MM = 8, 25.0, 8.0
"""Over so many frames a needle turns and moves to the side by no more than this, however small the steps."""
WHOLE_DEG = 45.0
"""From the drawn needle none turns away by more [deg]."""
START_DEG, START_MM, START_OVERLAP = 10.0, 2.0, 0.25
"""On the drawn frame itself the tracker has to find the drawn needle: this near, and so much of the smaller mask."""
LEAST_MM = 1.0
"""Ends of a needle are known no better [mm], so a short one may seem to turn."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it is the same needle, and in words what speaks against it or is to be looked at."""

    same: bool
    words: str = ""


@dataclass(frozen=True, slots=True)
class _Axis:
    """A needle in millimetres."""

    tip: PointPx
    entry: PointPx

    @property
    def length(self) -> float:
        return math.dist(self.tip, self.entry)

    @property
    def angle(self) -> float:
        return math.atan2(self.entry[1] - self.tip[1], self.entry[0] - self.tip[0])

    def middle(self, length: float) -> PointPx:
        """The point half of a length below the entry."""
        share = min(1.0, length / 2 / max(1e-9, self.length))
        return tuple(e + share * (t - e) for e, t in zip(self.entry, self.tip))  # type: ignore[return-value]

    def off(self, point: PointPx) -> float:
        """Distance of a point from the line."""
        x, y = math.cos(self.angle), math.sin(self.angle)
        return abs((point[0] - self.tip[0]) * y - (point[1] - self.tip[1]) * x)


@dataclass(frozen=True, slots=True)
class _Motion:
    turn: float
    beside: float
    along: float
    loose: float
    """What two short needles may seem to turn by [deg]."""


def _axis(pose: NeedlePose, scale: tuple[float, float]) -> _Axis:
    sx, sy = scale
    return _Axis((pose.tip_px[0] * sx, pose.tip_px[1] * sy), (pose.entry_px[0] * sx, pose.entry_px[1] * sy))


def _between(a: _Axis, b: _Axis) -> _Motion:
    turn = abs(math.degrees(a.angle - b.angle)) % 180.0
    shorter = min(a.length, b.length)
    beside = min(a.off(b.middle(shorter)), b.off(a.middle(shorter)))
    loose = math.degrees(math.atan2(LEAST_MM, max(1e-9, shorter)))
    # Which end of a drawn mask is the tip, nobody has said: the ends are paired so that they lie nearest.
    same = math.dist(a.tip, b.tip) + math.dist(a.entry, b.entry)
    turned = math.dist(a.tip, b.entry) + math.dist(a.entry, b.tip)
    along = math.dist(a.tip, b.tip) if same <= turned else math.dist(a.tip, b.entry)
    return _Motion(min(turn, 180.0 - turn), beside, along, loose)


@dataclass(slots=True)
class SameNeedle:
    """Follows one needle through a clip.

    Attributes
    ----------
    drawn : NeedlePose or None
        What a person has said of the frame it starts from; None where a tracker began by itself.
    scale : (x, y) [mm/px]
    """

    drawn: NeedlePose | None
    scale: tuple[float, float]
    seen: int = 0
    """Frames on which it was found."""
    _first: _Axis | None = None
    _past: deque[tuple[_Axis, int]] = field(default_factory=lambda: deque(maxlen=DRIFT))
    _own: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=DRIFT))

    def __post_init__(self) -> None:
        if self.drawn is not None:
            self._first = _axis(self.drawn, self.scale)

    def begin(self, t_ns: int) -> None:
        """The drawn needle is that of this moment."""
        if self._first is not None:
            self._past.append((self._first, t_ns))

    def is_drawn(
        self, found: NeedlePose, mask: NDArray[np.bool_] | None = None, drawn: NDArray[np.bool_] | None = None
    ) -> Verdict:
        """Judge what a tracker finds on the drawn frame itself; masks of the whole picture, where both are known."""
        assert self._first is not None and self.drawn is not None
        motion = _between(self._first, _axis(found, self.scale))
        if motion.turn > START_DEG + motion.loose:
            return Verdict(False, f"it lies across it, at {motion.turn:.0f} degrees")
        if motion.beside > max(START_MM, self.drawn.width_px * math.sqrt(self.scale[0] * self.scale[1])):
            return Verdict(False, f"it lies {motion.beside:.1f} mm beside it")
        if mask is not None and drawn is not None and mask.shape == drawn.shape:
            smaller = min(int(mask.sum()), int(drawn.sum()))
            if smaller and int((mask & drawn).sum()) < START_OVERLAP * smaller:
                return Verdict(False, "the two hardly overlap")
        return Verdict(True)

    def follow(self, found: NeedlePose, t_ns: int) -> Verdict:
        """Judge what a tracker finds on the next frame, and take it as the needle where it is."""
        axis = _axis(found, self.scale)
        verdict = self._judge(axis, t_ns)
        if verdict.same:
            if self._past:
                before, at = self._past[-1]
                motion, beats = _between(before, axis), _beats(at, t_ns)
                self._own.append((motion.turn / beats, motion.beside / beats, motion.along / beats))
            self._past.append((axis, t_ns))
            self._first = self._first or axis
            self.seen += 1
        return verdict

    def near_tip(self, tip_px: PointPx, t_ns: int) -> bool:
        """Tell whether a tip alone may be that of this needle."""
        if not self._past:
            return True
        axis, at = self._past[-1]
        tip = (tip_px[0] * self.scale[0], tip_px[1] * self.scale[1])
        beats = _beats(at, t_ns)
        return math.dist(axis.tip, tip) <= min(THROW_MM, ALONG_MM * beats) and axis.off(tip) <= BESIDE_MM * (
            1 + GAP * beats
        )

    def _judge(self, axis: _Axis, t_ns: int) -> Verdict:
        if not self._past:
            return Verdict(True)
        before, at = self._past[-1]
        motion, beats = _between(before, axis), _beats(at, t_ns)
        turn, beside, along = (self._limit(n, usual) for n, usual in enumerate((TURN_DEG, BESIDE_MM, ALONG_MM)))
        longer = 1.0 + GAP * (beats - 1.0)
        if motion.turn > turn * longer + motion.loose:
            return Verdict(False, f"it turns by {motion.turn:.0f} degrees at once")
        if motion.beside > beside * longer:
            return Verdict(False, f"it lies {motion.beside:.1f} mm beside the needle of before")
        if motion.along > THROW_MM:
            return Verdict(False, f"its tip moves by {motion.along:.0f} mm at once")
        oldest = self._past[0][0]
        drift = _between(oldest, axis)
        if len(self._past) == DRIFT and (drift.turn > DRIFT_DEG + drift.loose or drift.beside > DRIFT_MM * longer):
            return Verdict(False, f"in {DRIFT} frames it slides off the needle")
        assert self._first is not None
        whole = _between(self._first, axis)
        if whole.turn > WHOLE_DEG + whole.loose:
            return Verdict(False, f"it lies {whole.turn:.0f} degrees across the needle it began with")
        if motion.along > along * beats:
            return Verdict(True, f"tip moves {motion.along:.0f} mm at once")
        return Verdict(True)

    def _limit(self, number: int, usual: float) -> float:
        if len(self._own) < 3:
            return usual
        own = float(np.median([motion[number] for motion in self._own]))
        return min(MOST_OWN * usual, max(usual, OWN * own))


def _beats(before_ns: int, now_ns: int) -> float:
    return min(MOST_BEATS, max(1.0, abs(now_ns - before_ns) / BEAT_NS))
