"""The target on one frame: tissue that somebody chose, where it is now, and how far off that may be."""

from __future__ import annotations

from dataclasses import dataclass
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
    """

    point_px: PointPx | None
    doubt_px: float = 0.0
    loss: TargetLoss = TargetLoss.NONE
    true: bool = False
