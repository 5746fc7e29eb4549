"""Keeps the target of one player: set in the window's thread, followed in the inference thread, frame by frame.

On a simulation it follows the simulation's own truth; elsewhere the picture. What the picture no longer carries is lost
and carries no distance.
"""

from __future__ import annotations

import logging
import threading
from typing import Protocol, runtime_checkable

from puncta.core.frame import Frame, grey_from_pixels
from puncta.core.geometry import PointPx
from puncta.core.target import TargetFix, TargetLoss
from puncta.imaging.tissue_tracking import LIMIT_MM, TissueFollower

log = logging.getLogger(__name__)


@runtime_checkable
class KnowsTissue(Protocol):
    """A source that knows where tissue goes. Safe from any thread."""

    def pin(self, index: int, point_px: PointPx) -> object | None:
        """Take hold of the tissue at a point of a frame; None where the frame is too old."""
        ...

    def place(self, pinned: object, index: int) -> tuple[PointPx, float] | None:
        """Where pinned tissue shows on a frame [px], and how far off the plane it lies [mm]."""
        ...


@runtime_checkable
class KnowsTarget(Protocol):
    """A recording that holds the target it was made with."""

    def target_at(self, index: int) -> TargetFix | None:
        """Where the target was on a frame; None where none was chosen then."""
        ...


class TargetKeeper:
    """The target of one player. Safe from any thread; `step` belongs to one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun: tuple[Frame, PointPx] | None = None
        self._fresh = False
        self._follower: TissueFollower | None = None
        self._pinned: object | None = None
        self._last: TargetFix | None = None

    def set(self, point_px: PointPx | None, frame: Frame | None) -> TargetFix | None:
        """Choose the tissue at a point [px] of a frame, or nothing; return how it stands on that frame."""
        with self._lock:
            self._begun = None if point_px is None or frame is None else (frame, point_px)
            self._fresh = True
            return None if self._begun is None or point_px is None else TargetFix(point_px)

    def clear(self) -> None:
        """Forget it: another source comes."""
        self.set(None, None)

    def step(self, frame: Frame, source: object | None) -> TargetFix | None:
        """Follow to a frame, or tell what was recorded with it; None where nothing was chosen."""
        with self._lock:
            begun, fresh = self._begun, self._fresh
            self._fresh = False
        if begun is None:
            return source.target_at(frame.key.index) if isinstance(source, KnowsTarget) else None
        if fresh:
            self._begin(*begun, source)
        try:
            self._last = self._fix(frame, begun[0], source)
        except Exception:
            log.exception("following the target failed")
            self._follower, self._pinned = None, None
            self._last = TargetFix(None, loss=TargetLoss.SOURCE)
        return self._last

    def _begin(self, frame: Frame, point_px: PointPx, source: object | None) -> None:
        self._follower, self._pinned = None, None
        self._last = TargetFix(point_px)
        if isinstance(source, KnowsTissue):
            self._pinned = source.pin(frame.key.index, point_px)
        if self._pinned is None:
            self._follower = _follow_from(frame, point_px)

    def _fix(self, frame: Frame, first: Frame, source: object | None) -> TargetFix:
        if not _same_screen(frame, first):
            return TargetFix(None, loss=TargetLoss.SOURCE)
        if self._pinned is not None and isinstance(source, KnowsTissue):
            return _true_fix(source.place(self._pinned, frame.key.index), frame)
        follower = self._follower
        if follower is None:
            return TargetFix(None, loss=TargetLoss.SOURCE)
        scale = _scale_of(frame)
        if scale != follower.mm_per_px:
            # A ruler was laid, or taken away: the same tissue, measured anew from here on.
            if follower.fix.point_px is None:
                return TargetFix(None, loss=TargetLoss.SOURCE)
            follower = self._follower = _follow_from(frame, follower.fix.point_px)
        fix = follower.step(grey_from_pixels(frame.pixels))
        return TargetFix(fix.point_px, fix.doubt_px, TargetLoss(fix.reason))


def _follow_from(frame: Frame, point_px: PointPx) -> TissueFollower:
    box = frame.geometry.region.box
    return TissueFollower(grey_from_pixels(frame.pixels), box, point_px, _scale_of(frame))


def _scale_of(frame: Frame) -> tuple[float, float] | None:
    calibration = frame.geometry.calibration
    return calibration.mm_per_px if calibration is not None else None


def _same_screen(frame: Frame, first: Frame) -> bool:
    """Whether size and region are those the target was set on; on another picture its pixels mean nothing."""
    same = frame.pixels.shape[:2] == first.pixels.shape[:2]
    return same and frame.geometry.region.box == first.geometry.region.box


def _true_fix(place: tuple[PointPx, float] | None, frame: Frame) -> TargetFix:
    if place is None:
        return TargetFix(None, loss=TargetLoss.SOURCE, true=True)
    point, behind_mm = place
    if abs(behind_mm) > LIMIT_MM:
        return TargetFix(None, loss=TargetLoss.PLANE, true=True)
    if not frame.geometry.region.contains(*point):
        return TargetFix(None, loss=TargetLoss.OUTSIDE, true=True)
    return TargetFix(point, 0.0, true=True)
