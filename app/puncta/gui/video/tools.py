"""What a click on the picture means: nothing, a target, the entry of a planned path, or one end of a ruler."""

from __future__ import annotations

import math
from enum import Enum

from puncta.core.geometry import PointPx


class Tool(Enum):
    """Tools of the picture. One is in hand at a time."""

    NONE = "none"
    TARGET = "target"
    RULER = "ruler"
    PLAN = "plan"


class RulerPoints:
    """The ends of a ruler while they are being set."""

    def __init__(self) -> None:
        self.points_px: list[PointPx] = []

    def add(self, point_px: PointPx) -> bool:
        """Set the next end; True when both are set."""
        if len(self.points_px) >= 2:
            self.points_px.clear()
        self.points_px.append(point_px)
        return len(self.points_px) == 2

    def clear(self) -> None:
        """Forget both ends."""
        self.points_px.clear()

    def length_px(self) -> float:
        """Distance between the ends [px]; 0 while one is missing."""
        if len(self.points_px) < 2:
            return 0.0
        (ax, ay), (bx, by) = self.points_px
        return math.hypot(bx - ax, by - ay)
