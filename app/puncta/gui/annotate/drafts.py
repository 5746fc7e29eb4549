"""What the hand is drawing until the button goes up: a tip, a needle, a polygon, a brush stroke, a box, a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from puncta.annotation.labels import LINE_SUFFIX
from puncta.core.geometry import PointPx
from puncta.core.overlay import Area, Dash, Layer, OverlayItem, Ring, Stroke
from puncta.gui.annotate.scene import box_stroke, cross, handles
from puncta.gui.annotate.things import Shape, Thing
from puncta.imaging.needle_pose import NeedlePose

LEAST_PX = 4.0
"""A needle, line or box shorter than this [px] is a slip of the hand."""
ANEW = 0.5
"""A needle's entry or middle that is dragged by more than this share of its length is drawn anew."""
CLOSE_PT = 9.0
"""A click this near to a polygon's first corner closes it [display points]."""
STEP_PX = 0.8


@dataclass(slots=True)
class TipDraft:
    """A point that follows the hand until it is let go."""

    thing: Thing
    at: PointPx

    @property
    def hides(self) -> frozenset[str]:
        """The label it stands for."""
        return frozenset({self.thing.name})

    def move(self, point: PointPx) -> None:
        """Follow."""
        self.at = point

    def items(self, point_px: float) -> Sequence[OverlayItem]:
        """A cross."""
        return cross(self.at, self.thing.token, point_px, Dash.SOLID)


@dataclass(slots=True)
class NeedleDraft:
    """A needle: drawn from where it comes in to its tip, or held by one of its parts."""

    thing: Thing
    pose: NeedlePose
    part: str = "tip"
    held_at: PointPx = (0.0, 0.0)
    tip_name: str = ""
    was: NeedlePose | None = None
    """The needle that was taken in hand."""
    begun: PointPx | None = None
    """Where the hand took it."""

    @property
    def hides(self) -> frozenset[str]:
        """The labels it stands for."""
        return frozenset({self.thing.name, self.thing.name + LINE_SUFFIX, self.tip_name})

    def move(self, point: PointPx) -> None:
        """Move the part that is held; a long way along the needle draws it anew, from where the hand began."""
        if self.was is not None and self.part != "tip":
            if self.begun is None:
                self.begun = self.held_at
            if math.dist(point, self.begun) > ANEW * self.was.length_px:
                self.pose = NeedlePose(point, self.begun, self.pose.width_px)
                return
            if self.part == "entry":
                self.pose = NeedlePose(self.was.tip_px, point, self.pose.width_px)
                return
            self.pose, self.held_at = self.was, self.begun
        pose, by = self.pose, (point[0] - self.held_at[0], point[1] - self.held_at[1])
        tip, entry = pose.tip_px, pose.entry_px
        if self.part in {"tip", "all"}:
            tip = point if self.part == "tip" else (tip[0] + by[0], tip[1] + by[1])
        if self.part == "all":
            entry = (entry[0] + by[0], entry[1] + by[1])
        self.pose, self.held_at = NeedlePose(tip, entry, pose.width_px), point

    def items(self, point_px: float) -> Sequence[OverlayItem]:
        """The shaft with its handles, and the tip."""
        corners = self.pose.corners_px()
        token = self.thing.token
        items: list[OverlayItem] = [
            Area(Layer.MASK, corners, token, 0.22),
            Stroke(Layer.MASK, (*corners, corners[0]), token, 1.6),
            *handles((self.pose.entry_px,), token, point_px),
        ]
        return items + cross(self.pose.tip_px, "tip", point_px, Dash.SOLID)

    @property
    def worth(self) -> bool:
        """Long enough to be meant."""
        return self.pose.length_px >= LEAST_PX


@dataclass(slots=True)
class PolygonDraft:
    """Corners, one a click; the first again closes it."""

    thing: Thing
    corners: list[PointPx]
    cursor: PointPx | None = None
    frame_index: int = -1

    @property
    def hides(self) -> frozenset[str]:
        """It stands for the label's mask."""
        return frozenset({self.thing.name})

    def move(self, point: PointPx) -> None:
        """The next edge follows the hand."""
        self.cursor = point

    def closes(self, point: PointPx, point_px: float) -> bool:
        """Whether a click here closes it."""
        return len(self.corners) >= 3 and math.dist(point, self.corners[0]) <= CLOSE_PT * point_px

    def items(self, point_px: float) -> Sequence[OverlayItem]:
        """The edges so far."""
        way = (*self.corners, self.cursor) if self.cursor is not None else tuple(self.corners)
        items: list[OverlayItem] = [*handles(self.corners, self.thing.token, point_px, Layer.MASK)]
        if len(way) >= 3:
            items.append(Area(Layer.MASK, way, self.thing.token, 0.16))
        if len(way) >= 2:
            items.append(Stroke(Layer.MASK, way, self.thing.token, 1.8))
        return items

    @property
    def worth(self) -> bool:
        """Has an area."""
        return len(self.corners) >= 3


@dataclass(slots=True)
class BrushDraft:
    """A stroke of the brush; with the right button it takes away."""

    thing: Thing
    width_px: float
    takes: bool
    points: list[PointPx] = field(default_factory=list)

    @property
    def hides(self) -> frozenset[str]:
        """What was there stays to be seen."""
        return frozenset()

    def move(self, point: PointPx) -> None:
        """Paint on."""
        if not self.points or math.dist(point, self.points[-1]) >= STEP_PX:
            self.points.append(point)

    def items(self, point_px: float) -> Sequence[OverlayItem]:
        """What the brush has covered."""
        token = "bad" if self.takes else self.thing.token
        width_pt = self.width_px / point_px
        way = tuple(self.points) if len(self.points) > 1 else (self.points[0], self.points[0])
        return [
            Stroke(Layer.MASK, way, token, width_pt, Dash.SOLID, 0.35),
            Ring(Layer.MASK, self.points[-1], self.width_px / 2, token, 1.4),
        ]


@dataclass(slots=True)
class DragDraft:
    """A box between two corners, or a line between two ends."""

    thing: Thing
    shape: Shape
    begin: PointPx
    end: PointPx

    @property
    def hides(self) -> frozenset[str]:
        """The label it stands for."""
        return frozenset({self.thing.name})

    def move(self, point: PointPx) -> None:
        """The other end follows."""
        self.end = point

    @property
    def box(self) -> tuple[float, float, float, float]:
        """[x0, y0, w, h] [px]."""
        (ax, ay), (bx, by) = self.begin, self.end
        return (min(ax, bx), min(ay, by), abs(bx - ax), abs(by - ay))

    def items(self, point_px: float) -> Sequence[OverlayItem]:
        """Its outline."""
        if self.shape is Shape.BOX:
            return [box_stroke(self.box, self.thing.token, Dash.SOLID)]
        return [Stroke(Layer.PATH, (self.begin, self.end), self.thing.token, 2.0)]

    @property
    def worth(self) -> bool:
        """Large enough to be meant."""
        return math.dist(self.begin, self.end) >= LEAST_PX and (self.shape is not Shape.BOX or min(self.box[2:]) >= 1.0)


AnyDraft = TipDraft | NeedleDraft | PolygonDraft | BrushDraft | DragDraft
