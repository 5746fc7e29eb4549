"""Hand marks as truth: how far passes lie apart, what is counted, and how an answer lies to it.

The passes' disagreement is the floor of what can be measured with them: an error below it means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np

from puncta.core.geometry import PointPx
from puncta.formats.tip_marks import Axis, Lure, TipMark, TipMarks
from puncta.metrics.tip import axis_difference_deg

Scale = tuple[float, float]
"""(x, y) [mm/px]."""


class Standing(StrEnum):
    """What a marked frame is good for."""

    COUNTED = "counted"
    UNSEEN = "unseen"
    DISPUTED = "disputed"


@dataclass(frozen=True, slots=True)
class AgreedMark:
    """What the passes say together about one frame.

    Attributes
    ----------
    standing : Standing
        Counted where every pass sees a tip and no two lie further apart than the file allows; unseen where none sees
        one; else disputed. No answer of a model plays a part. As in datasets, a tip that cannot be seen is not judged.
    tip_px : (x, y) or None
        Mean of the passes' tips [px]; None unless counted.
    axis : two points or None
        Through the tip along the passes' mean direction [px], the second point being the tip; None unless counted.
    gap_mm : float or None
        Largest distance between two passes' tips [mm].
    """

    standing: Standing
    tip_px: PointPx | None = None
    axis: Axis | None = None
    gap_mm: float | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """Distribution of some values; the figures are None where there is no value."""

    n: int
    median: float | None
    p90: float | None
    p95: float | None
    most: float | None


@dataclass(frozen=True, slots=True)
class TipOffset:
    """An answer against the truth [mm]: distance, along the axis (above 0 is beyond the true tip), and across it."""

    error_mm: float
    along_mm: float | None
    across_mm: float | None


def spread_of(values: Iterable[float]) -> Spread:
    """Return median, 90th and 95th percentile (linear) and maximum."""
    found = np.asarray(list(values), dtype=np.float64)
    if not len(found):
        return Spread(0, None, None, None, None)
    median, p90, p95 = (float(v) for v in np.percentile(found, (50, 90, 95)))
    return Spread(len(found), median, p90, p95, float(found.max()))


def distance_mm(a: PointPx, b: PointPx, scale: Scale) -> float:
    """Distance of two points of a picture [mm]."""
    return math.hypot((a[0] - b[0]) * scale[0], (a[1] - b[1]) * scale[1])


def agree(marks: TipMarks) -> dict[int, AgreedMark]:
    """Return what the passes say together about every frame that all of them have looked at."""
    return {
        frame: _agreed([p.marks[frame] for p in marks.passes], marks.mm_per_px, marks.counted_within_mm)
        for frame in marks.marked_frames
    }


def _agreed(said: Sequence[TipMark], scale: Scale, within_mm: float) -> AgreedMark:
    tips = [m.tip_px for m in said if m.seen and m.tip_px is not None]
    if not tips:
        return AgreedMark(Standing.UNSEEN)
    gaps = [distance_mm(a, b, scale) for a, b in combinations(tips, 2)]
    gap = max(gaps) if gaps else None
    if len(tips) < len(said) or (gap is not None and gap > within_mm):
        return AgreedMark(Standing.DISPUTED, gap_mm=gap)
    x, y = (float(v) for v in np.mean(tips, axis=0))
    direction = mean_direction([m for m in said if m.axis_px is not None], scale)
    axis = None
    if direction is not None:
        length_mm = 10.0
        back = (x - direction[0] * length_mm / scale[0], y - direction[1] * length_mm / scale[1])
        axis = (back, (x, y))
    return AgreedMark(Standing.COUNTED, (x, y), axis, gap)


def mean_direction(said: Sequence[TipMark], scale: Scale) -> tuple[float, float] | None:
    """Return the passes' mean unit vector towards the tip, in millimetres; None where none has an axis and a tip."""
    total = np.zeros(2)
    for mark in said:
        if mark.axis_px is None or mark.tip_px is None:
            continue
        near, far = sorted(mark.axis_px, key=lambda p: distance_mm(p, mark.tip_px, scale))  # type: ignore[arg-type]
        vector = np.array([(near[0] - far[0]) * scale[0], (near[1] - far[1]) * scale[1]])
        total += vector / np.hypot(*vector)
    length = float(np.hypot(*total))
    return (float(total[0] / length), float(total[1] / length)) if length > 1e-9 else None


def disagreement(marks: TipMarks) -> dict[str, Spread]:
    """Return how far two passes lie apart on frames where both see a tip [mm], along and across too, and [deg]."""
    gaps, along, across, angles = [], [], [], []
    for frame in marks.marked_frames:
        for a, b in combinations([p.marks[frame] for p in marks.passes], 2):
            if not a.seen or not b.seen or a.tip_px is None or b.tip_px is None:
                continue
            gaps.append(distance_mm(a.tip_px, b.tip_px, marks.mm_per_px))
            direction = mean_direction([a, b], marks.mm_per_px)
            if direction is not None:
                offset = _split(a.tip_px, b.tip_px, direction, marks.mm_per_px)
                along.append(abs(offset[0]))
                across.append(abs(offset[1]))
            if a.axis_px is not None and b.axis_px is not None:
                angle = axis_difference_deg(a.axis_px, b.axis_px, marks.mm_per_px)
                if angle is not None:
                    angles.append(angle)
    return {"tip_mm": spread_of(gaps), "along_mm": spread_of(along), "across_mm": spread_of(across),
            "angle_deg": spread_of(angles)}


def offset_of(found_px: PointPx, true: AgreedMark, scale: Scale) -> TipOffset:
    """Return how a found tip lies to the agreed one.

    Raises
    ------
    ValueError
        The frame is not counted.
    """
    if true.tip_px is None:
        raise ValueError("this frame has no agreed tip")
    error = distance_mm(found_px, true.tip_px, scale)
    if true.axis is None:
        return TipOffset(error, None, None)
    (ax, ay), (bx, by) = true.axis
    vx, vy = (bx - ax) * scale[0], (by - ay) * scale[1]
    length = math.hypot(vx, vy)
    along, across = _split(found_px, true.tip_px, (vx / length, vy / length), scale)
    return TipOffset(error, along, across)


def _split(
    point: PointPx, origin: PointPx, direction: tuple[float, float], scale: Scale
) -> tuple[float, float]:
    """Part of a vector along a unit direction and across it (above 0 is to its right on the screen) [mm]."""
    dx, dy = (point[0] - origin[0]) * scale[0], (point[1] - origin[1]) * scale[1]
    return dx * direction[0] + dy * direction[1], dy * direction[0] - dx * direction[1]


def lies_on(point: PointPx, frame: int, lure: Lure, scale: Scale) -> bool:
    """Tell whether a point of a frame lies on a lure."""
    if not lure.frames[0] <= frame <= lure.frames[1]:
        return False
    if lure.box_px is not None:
        x0, y0, w, h = lure.box_px
        return x0 <= point[0] <= x0 + w and y0 <= point[1] <= y0 + h
    return distance_to_line_mm(point, lure.line_px, scale) <= lure.half_width_mm


def distance_to_line_mm(point: PointPx, line_px: Sequence[PointPx], scale: Scale) -> float:
    """Distance of a point to a line of straight pieces [mm]."""
    p = np.array([point[0] * scale[0], point[1] * scale[1]])
    line = np.array(line_px) * np.array(scale)
    nearest = math.inf
    for a, b in zip(line[:-1], line[1:]):
        run = b - a
        share = float(np.clip(np.dot(p - a, run) / max(float(np.dot(run, run)), 1e-12), 0.0, 1.0))
        nearest = min(nearest, float(np.hypot(*(p - a - share * run))))
    return nearest


def wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float] | None:
    """95 % interval of a share (Wilson, J. Am. Stat. Assoc. 22, 1927); it says something at 0 of n too.

    It takes the n for independent, so it is meant for clips and not for the frames of one clip.
    """
    if n == 0:
        return None
    share = hits / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def longest_run(flags: Sequence[bool]) -> int:
    """Length of the longest unbroken run of True."""
    best = now = 0
    for flag in flags:
        now = now + 1 if flag else 0
        best = max(best, now)
    return best

