"""The target on one frame: tissue that somebody chose, where it is now, and how far off that may be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

PointPx = tuple[float, float]


class TargetLoss(StrEnum):
    """Why a target is lost."""

    NONE = ""
    PLANE = "plane"
    DOUBT = "doubt"
    OUTSIDE = "outside"
    SOURCE = "source"


LOSS_WORDS: dict[TargetLoss, str] = {
    TargetLoss.PLANE: "the picture shows another plane",
    TargetLoss.DOUBT: "it may be more than 3 mm off",
    TargetLoss.OUTSIDE: "it has left the picture",
    TargetLoss.SOURCE: "the source has changed",
}


@dataclass(frozen=True, slots=True)
class TargetFix:
    """Where a target is on one frame.

    Attributes
    ----------
    point_px : point or None
        Place [px]; None while it is lost, and then nothing is measured to it.
    doubt_px : float
        Radius that holds it 9 times in 10 [px].
    loss : TargetLoss
    true : bool
        It follows a simulation's own truth, not the picture.
    entry_px : point or None
        Where a path that was planned to it begins on this frame [px]; it moves with the target and is lost with it.
    """

    point_px: PointPx | None
    doubt_px: float = 0.0
    loss: TargetLoss = TargetLoss.NONE
    true: bool = False
    entry_px: PointPx | None = None

    @property
    def plan_px(self) -> PointPx | None:
        """From the target to the path's entry [px]; None without a path, and while the target is lost."""
        if self.point_px is None or self.entry_px is None:
            return None
        return self.entry_px[0] - self.point_px[0], self.entry_px[1] - self.point_px[1]

    def with_plan(self, plan_px: PointPx | None) -> TargetFix:
        """Return the same target with a path to it, given from the target to its entry [px]."""
        if self.point_px is None or plan_px is None:
            return replace(self, entry_px=None)
        return replace(self, entry_px=(self.point_px[0] + plan_px[0], self.point_px[1] + plan_px[1]))
