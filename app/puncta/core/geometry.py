"""Pure geometry. Every function names the spaces it goes between; one module converts at every border.

Spaces: ``px`` source-image pixels (x right, y down, centres at integers); ``mm`` millimetres in the same directions
from the source picture's pixel (0, 0); ``display`` widget pixels; ``edge`` coordinates with (0, 0) at the outer corner
of the first pixel (COCO, most drawing systems): edge = px + 0.5.

A result's box [x0, y0, w, h] is the continuous rectangle x0 .. x0 + w in px, so its centre is x0 + w / 2. A region's
box holds whole pixels, x0 .. x0 + w - 1, so that it can slice an array.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from puncta.core.frame import Calibration, UltrasoundRegion
from puncta.core.results import Box

PointPx = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ViewTransform:
    """Uniform zoom and pan of the picture in a widget: display = (px + 0.5) * scale + offset.

    Attributes
    ----------
    scale : float
        Display pixels per image pixel.
    offset : tuple of float
        Display position of the picture's outer corner.
    """

    scale: float
    offset: tuple[float, float]

    def display_from_image(self, point_px: PointPx) -> tuple[float, float]:
        """Map an image point [px] to the widget."""
        return (
            (point_px[0] + 0.5) * self.scale + self.offset[0],
            (point_px[1] + 0.5) * self.scale + self.offset[1],
        )

    def image_from_display(self, point_display: tuple[float, float]) -> PointPx:
        """Map a widget position to the image [px]."""
        return (
            (point_display[0] - self.offset[0]) / self.scale - 0.5,
            (point_display[1] - self.offset[1]) / self.scale - 0.5,
        )


def fit_view(
    image_size_px: tuple[int, int],
    widget_size: tuple[float, float],
    zoom: float = 1.0,
    centre_px: PointPx | None = None,
) -> ViewTransform:
    """Return the view that fits the picture into the widget, magnified by ``zoom`` about ``centre_px``.

    Parameters
    ----------
    image_size_px : (width, height) [px]
    widget_size : (width, height) in display pixels
    zoom : float
        1 fits the whole picture.
    centre_px : (x, y) [px] or None
        Image point shown in the middle; None is the picture's centre.
    """
    width, height = image_size_px
    scale = min(widget_size[0] / width, widget_size[1] / height) * zoom
    cx, cy = centre_px if centre_px is not None else ((width - 1) / 2, (height - 1) / 2)
    offset = (widget_size[0] / 2 - (cx + 0.5) * scale, widget_size[1] / 2 - (cy + 0.5) * scale)
    return ViewTransform(scale, offset)


def box_centre_px(box: Box) -> PointPx:
    """Centre [px] of a box."""
    return (box[0] + box[2] / 2, box[1] + box[3] / 2)


def box_around_px(centre_px: PointPx, size_px: tuple[float, float]) -> Box:
    """Box of a size [px] whose centre is the given point [px]; inverse of ``box_centre_px``."""
    w, h = size_px
    return (centre_px[0] - w / 2, centre_px[1] - h / 2, w, h)


TIP_BOX_SHARE = (0.088, 0.040)
"""Width and height of the `needle_tip` box as shares of the ultrasound region (product page, median of 2,008 boxes)."""


def tip_box_px(tip_px: PointPx, region_box: tuple[float, float, float, float]) -> Box:
    """Return the `needle_tip` box: centred on the tip, 8.8 % x 4.0 % of the region's width and height."""
    return box_around_px(tip_px, (TIP_BOX_SHARE[0] * region_box[2], TIP_BOX_SHARE[1] * region_box[3]))


def region_edges_px(region_box: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
    """Outer edges (left, top, right, bottom) [px] of a region that holds the pixels x0 .. x0 + w - 1."""
    x0, y0, w, h = region_box
    return (x0 - 0.5, y0 - 0.5, x0 + w - 0.5, y0 + h - 0.5)


def coco_from_box(box: Box) -> list[float]:
    """Convert a box [px, centres at integers] to COCO's edge coordinates."""
    return [box[0] + 0.5, box[1] + 0.5, box[2], box[3]]


def box_from_coco(coco: list[float]) -> Box:
    """Convert COCO's edge coordinates to a box [px, centres at integers]."""
    return (coco[0] - 0.5, coco[1] - 0.5, coco[2], coco[3])


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    left, top = max(a[0], b[0]), max(a[1], b[1])
    right, bottom = min(a[0] + a[2], b[0] + b[2]), min(a[1] + a[3], b[1] + b[3])
    overlap = max(0.0, right - left) * max(0.0, bottom - top)
    union = a[2] * a[3] + b[2] * b[3] - overlap
    return overlap / union if union > 0 else 0.0


def distance_mm(a_px: PointPx, b_px: PointPx, region: UltrasoundRegion) -> float | None:
    """Distance between two points [mm]; None when uncalibrated or when a point lies outside the region."""
    if region.calibration is None or not (region.contains(*a_px) and region.contains(*b_px)):
        return None
    return length_mm((b_px[0] - a_px[0], b_px[1] - a_px[1]), region.calibration)


def length_mm(vector_px: PointPx, calibration: Calibration) -> float:
    """Length [mm] of a vector [px] under a calibration."""
    return math.hypot(vector_px[0] * calibration.mm_per_px[0], vector_px[1] * calibration.mm_per_px[1])


def depth_mm(point_px: PointPx, region: UltrasoundRegion) -> float | None:
    """Depth of a point below the region's top edge [mm]; None when uncalibrated or outside the region."""
    if region.calibration is None or not region.contains(*point_px):
        return None
    return (point_px[1] - (region.box[1] - 0.5)) * region.calibration.mm_per_px[1]


def axis_angle_deg(entry_px: PointPx, tip_px: PointPx, calibration: Calibration | None) -> float | None:
    """Angle of a needle to the picture's horizontal [deg], 0..90; None where the two points coincide.

    Uses millimetres when calibrated, since pixels may be anisotropic.
    """
    sx, sy = calibration.mm_per_px if calibration else (1.0, 1.0)
    dx, dy = abs(tip_px[0] - entry_px[0]) * sx, abs(tip_px[1] - entry_px[1]) * sy
    return math.degrees(math.atan2(dy, dx)) if dx or dy else None


def clip_segment(a_px: PointPx, b_px: PointPx, region_box: tuple[int, int, int, int]) -> tuple[PointPx, PointPx] | None:
    """Clip a segment to a region (Liang and Barsky, ACM TOG 3:1, 1984); None when it lies outside."""
    left, top, right, bottom = region_edges_px(region_box)
    t0, t1 = 0.0, 1.0
    dx, dy = b_px[0] - a_px[0], b_px[1] - a_px[1]
    for p, q in ((-dx, a_px[0] - left), (dx, right - a_px[0]), (-dy, a_px[1] - top), (dy, bottom - a_px[1])):
        if p == 0:
            if q < 0:
                return None
            continue
        t = q / p
        if p < 0:
            t0 = max(t0, t)
        else:
            t1 = min(t1, t)
        if t0 > t1:
            return None
    return (a_px[0] + t0 * dx, a_px[1] + t0 * dy), (a_px[0] + t1 * dx, a_px[1] + t1 * dy)


def clip_area(points_px: Sequence[PointPx], region_box: tuple[int, int, int, int]) -> tuple[PointPx, ...]:
    """Clip a polygon to a region (Sutherland and Hodgman, CACM 17:1, 1974); empty where it lies outside."""
    left, top, right, bottom = region_edges_px(region_box)
    points = list(points_px)
    for axis, limit, sign in ((0, left, 1.0), (0, right, -1.0), (1, top, 1.0), (1, bottom, -1.0)):
        kept: list[PointPx] = []
        for a, b in zip(points, points[1:] + points[:1]):
            inside, after = sign * (a[axis] - limit) >= 0, sign * (b[axis] - limit) >= 0
            if inside:
                kept.append(a)
            if inside != after:
                t = (limit - a[axis]) / (b[axis] - a[axis])
                kept.append((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])))
        points = kept
    return tuple(points)
