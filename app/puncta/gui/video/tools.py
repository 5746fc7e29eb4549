"""What a click or a drag on the picture means: a target, a planned entry, one end of a ruler, where the needle is."""

from __future__ import annotations

import math
from enum import Enum

from puncta.core.geometry import PointPx
from puncta.core.prompts import Prompt, ScribblePrompt, box_between


class Tool(Enum):
    """Tools of the picture. One is in hand at a time."""

    NONE = "none"
    TARGET = "target"
    RULER = "ruler"
    PLAN = "plan"
    NEEDLE = "needle"


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


LEAST_SKETCH_PX = 4.0
"""A drag shorter than this [px] is a slip of the hand."""
SKETCH_STEP_PX = 1.5


class NeedleSketch:
    """What a user draws to show the needle: a line along it, or with `box` the box round it."""

    def __init__(self) -> None:
        self.points_px: list[PointPx] = []
        self.box = False
        self.drawing = False

    def begin(self, point_px: PointPx, *, box: bool) -> None:
        """Start anew."""
        self.points_px, self.box, self.drawing = [point_px], box, True

    def add(self, point_px: PointPx) -> None:
        """Draw on."""
        if self.box:
            self.points_px = [self.points_px[0], point_px]
        elif math.dist(point_px, self.points_px[-1]) >= SKETCH_STEP_PX:
            self.points_px.append(point_px)

    def finish(self) -> Prompt | None:
        """End the drag; None where nothing worth the name was drawn."""
        self.drawing = False
        points = self.points_px
        if len(points) < 2 or math.dist(points[0], points[-1]) < LEAST_SKETCH_PX:
            self.clear()
            return None
        return box_between(points[0], points[-1]) if self.box else ScribblePrompt(tuple(points))

    def clear(self) -> None:
        """Forget what was drawn."""
        self.points_px, self.drawing = [], False
