"""Finds the fan of a convex or sector probe: two straight sides and two arcs about the point where the sides meet.

A rough fit of the border gives that point; seen from there, in angle and radius, a fan is a rectangle, and its sides
are found and judged like those of a rectangle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.imaging.region_life import (
    Box,
    Life,
    Mask,
    extend,
    is_sharp,
)

FIT_PX = 420
TOLERANCE = 0.012
LINE_SHARE, ARC_SHARE, STRAY_SHARE = 0.35, 0.22, 0.02
LEAST_ANGLE, MOST_LEAN = 0.05, 0.035
"""The sides open by so much, and lean alike to the left and right [rad]: probes are symmetric."""


@dataclass(frozen=True, slots=True)
class Fan:
    """A fan on the screen.

    Attributes
    ----------
    apex_px : (x, y) [px]
        Where the straight sides meet.
    low, high : float
        Angles of the sides from straight down [rad], the left one below 0.
    near_px, far_px : float
        Radii of the arcs [px].
    """

    apex_px: tuple[float, float]
    low: float
    high: float
    near_px: float
    far_px: float

    def box(self, size: tuple[int, int]) -> Box | None:
        """Whole pixels it covers of a picture (width, height); None where that is next to nothing."""
        x, y = self.apex_px
        x0, x1 = x + self.far_px * math.sin(self.low), x + self.far_px * math.sin(self.high)
        y0, y1 = y + self.near_px * math.cos(max(-self.low, self.high)), y + self.far_px
        left, top = max(0, round(x0 + 0.5)), max(0, round(y0 + 0.5))
        right, bottom = min(size[0], round(x1 + 0.5)), min(size[1], round(y1 + 0.5))
        return (left, top, right - left, bottom - top) if right - left > 16 and bottom - top > 16 else None


def find_fan(box: Box, life: Life) -> tuple[Fan, bool] | None:
    """Return the fan that fits the border of what lives, and whether it is sure; None where none fits.

    Parameters
    ----------
    box : [x, y, w, h] [px]
        Where the picture is thought to lie.
    """
    rough = _fit(box, life)
    if rough is None:
        return None
    fan, sharp = _judged(_aligned(rough, life), life)
    lean = abs(fan.low + fan.high)
    return fan, sharp and lean <= MOST_LEAN


def _aligned(rough: Fan, life: Life) -> Fan:
    """The fan whose border lies best between what lives and what does not, near a rough one; symmetric."""
    alive = np.asarray(cv2.blur(life.alive.astype(np.float32), (3, 3)), np.float32)
    half = (rough.high - rough.low) / 2
    best = np.array([*rough.apex_px, half, rough.near_px, rough.far_px])
    score = _contrast(best, alive)
    depth = rough.far_px - rough.near_px
    for step_px in (0.016 * depth, 0.008 * depth, 0.004 * depth, 1.0, 0.5):
        steps = np.array([step_px, 2 * step_px, step_px / rough.far_px, step_px, step_px])
        moves = [*np.diag(steps), *(-np.diag(steps))]
        # Apex and opening belong together: one moves up while the other closes, and the sides stay about in place.
        together = np.array([0.0, -4 * step_px, -half * 4 * step_px / rough.far_px, 4 * step_px, 4 * step_px])
        moves += [together, -together]
        for _ in range(8):
            tried = [(_contrast(best + move, alive), best + move) for move in moves]
            top = max(tried, key=lambda pair: pair[0])
            if top[0] <= score + 1e-4:
                break
            score, best = top
    x, y, half, near, far = (float(v) for v in best)
    return Fan((x, y), -half, half, near, far)


def _contrast(fan: NDArray[np.float64], alive: NDArray[np.float32]) -> float:
    """How much more lives just inside the border than just outside, summed over the four sides."""
    x, y, half, near, far = fan
    if half < LEAST_ANGLE / 4 or near < 1 or far < near + 30:
        return -4.0
    off = np.arange(1.0, 6.0)[:, None]
    along = np.linspace(near + 0.04 * (far - near), far - 0.04 * (far - near), 160)[None, :]
    across = np.linspace(-0.94 * half, 0.94 * half, 160)[None, :]
    total = 0.0
    for side in (-1.0, 1.0):
        total += _share(alive, x, y, along, side * (half - off / along)) - _share(
            alive, x, y, along, side * (half + off / along)
        )
    total += _share(alive, x, y, far - off, across) - _share(alive, x, y, far + off, across)
    return total + _share(alive, x, y, near + off, across) - _share(alive, x, y, near - off, across)


def _share(
    alive: NDArray[np.float32], x: float, y: float, radius: NDArray[np.float64], angle: NDArray[np.float64]
) -> float:
    columns = np.rint(x + radius * np.sin(angle)).astype(int)
    rows = np.rint(y + radius * np.cos(angle)).astype(int)
    inside = (columns >= 0) & (rows >= 0) & (columns < alive.shape[1]) & (rows < alive.shape[0])
    values = alive[np.clip(rows, 0, alive.shape[0] - 1), np.clip(columns, 0, alive.shape[1] - 1)]
    return float(np.where(inside, values, 0.0).mean())


def _judged(rough: Fan, life: Life) -> tuple[Fan, bool]:
    """The fan with its sides where they stand in angle and radius, and whether all of them are sharp."""
    reach = 1.0 / rough.far_px
    margin = 0.14 * (rough.high - rough.low)
    begin, end = rough.low - margin, rough.high + margin
    inner = max(1.0, rough.near_px - 0.12 * (rough.far_px - rough.near_px))
    outer = rough.far_px + 0.25 * (rough.far_px - rough.near_px)
    angles = np.arange(begin, end, reach)
    radii = np.arange(inner, outer, 1.0)
    x = (rough.apex_px[0] + radii[:, None] * np.sin(angles)[None, :]).astype(np.float32)
    y = (rough.apex_px[1] + radii[:, None] * np.cos(angles)[None, :]).astype(np.float32)
    seen = Life(_looked_up(life.alive, x, y), _looked_up(life.faint, x, y))
    box = (
        round((rough.low - begin) / reach) + 3,
        round(rough.near_px - inner) + 3,
        round((rough.high - rough.low) / reach) - 6,
        round(rough.far_px - rough.near_px) - 6,
    )
    if min(box[2:]) < 30:
        return rough, False
    px, py, pw, ph = extend(box, seen)
    found = Fan(
        rough.apex_px,
        begin + (px - 0.5) * reach,
        begin + (px + pw - 0.5) * reach,
        inner + py - 0.5,
        inner + py + ph - 0.5,
    )
    return found, is_sharp((px, py, pw, ph), seen)


def _looked_up(mask: Mask, x: NDArray[np.float32], y: NDArray[np.float32]) -> Mask:
    return np.asarray(cv2.remap(mask.astype(np.uint8), x, y, cv2.INTER_NEAREST, borderValue=0) > 0)


def _fit(box: Box, life: Life) -> Fan | None:
    """A fan that fits the border of what lives, roughly; None where none does."""
    zoom = min(1.0, FIT_PX / max(box[2], box[3]))
    body = _body(box, life, zoom)
    if body is None:
        return None
    rows = np.flatnonzero(body.any(axis=1))
    if len(rows) < 40:
        return None
    tolerance = max(1.5, TOLERANCE * max(box[2], box[3]) * zoom)
    first = np.array([np.argmax(body[r]) for r in rows], float)
    last = np.array([body.shape[1] - 1 - np.argmax(body[r, ::-1]) for r in rows], float)
    upper = rows < rows[0] + 0.85 * np.ptp(rows)
    left = _outer_line(rows[upper].astype(float), -first[upper], tolerance)
    right = _outer_line(rows[upper].astype(float), last[upper], tolerance)
    if left is None or right is None:
        return None
    (a, b), (c, d) = (-left[0], -left[1]), right
    if d - b < LEAST_ANGLE or b > 0.02 or d < -0.02:
        return None
    apex_y = (a - c) / (d - b)
    apex_x = a + b * apex_y
    if apex_y > rows[0]:
        return None
    ys, xs = np.nonzero(body)
    radius = np.hypot(xs - apex_x, ys - apex_y)
    angle = np.arctan2(xs - apex_x, ys - apex_y)
    low, high = math.atan(b), math.atan(d)
    sectors = np.clip(((angle - low) / (high - low) * 60).astype(int), 0, 59)
    outer, inner = np.full(60, np.nan), np.full(60, np.nan)
    for k in range(60):
        here = radius[sectors == k]
        if len(here) > 4:
            outer[k], inner[k] = here.max(), here.min()
    far, near = _arc(outer, tolerance), _arc(-inner, tolerance)
    if far is None or near is None:
        return None
    near = -near
    stray = np.mean((radius > far + 2 * tolerance) | (angle < low - 0.03) | (angle > high + 0.03))
    if stray > STRAY_SHARE or far - near < 0.3 * np.ptp(rows):
        return None
    ox, oy = _origin(box)
    apex = ((apex_x + 0.5) / zoom - 0.5 + ox, (apex_y + 0.5) / zoom - 0.5 + oy)
    return Fan(apex, low, high, near / zoom, far / zoom)


def _origin(box: Box) -> tuple[int, int]:
    """Corner of the cut-out a fan is looked for in: the box and a twelfth round it."""
    return max(0, box[0] - box[2] // 12), max(0, box[1] - box[3] // 12)


def _body(box: Box, life: Life, zoom: float) -> Mask | None:
    """The living body in and round the box, without thin furniture, reduced."""
    height, width = life.alive.shape
    ox, oy = _origin(box)
    cut = life.alive[oy : min(height, box[1] + box[3] + box[3] // 4), ox : min(width, box[0] + box[2] + box[2] // 12)]
    size = (max(8, round(cut.shape[1] * zoom)), max(8, round(cut.shape[0] * zoom)))
    small = cv2.resize(cut.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    solid = (small > 0.12).astype(np.uint8)
    closed = cv2.morphologyEx(solid, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return np.asarray(labels == largest)


def _outer_line(at: NDArray[np.float64], values: NDArray[np.float64], tolerance: float) -> tuple[float, float] | None:
    """Straight outer border value = a + b * at of points that may also lie inside it; None where too few carry it."""
    rng = np.random.default_rng(7)
    best: tuple[float, float, float] | None = None
    for _ in range(250):
        i, j = rng.integers(0, len(at), 2)
        if abs(at[i] - at[j]) < 0.25 * np.ptp(at):
            continue
        b = (values[j] - values[i]) / (at[j] - at[i])
        off = values - (values[i] + b * (at - at[i]))
        if np.mean(off > tolerance) > 0.06:
            continue
        share = float(np.mean(np.abs(off) <= tolerance))
        if best is None or share > best[0]:
            best = (share, values[i] - b * at[i], b)
    if best is None or best[0] < LINE_SHARE:
        return None
    near = np.abs(values - (best[1] + best[2] * at)) <= tolerance
    b, a = np.polyfit(at[near], values[near], 1)
    return float(a), float(b)


def _arc(radius: NDArray[np.float64], tolerance: float) -> float | None:
    """Outermost radius that enough directions reach; None where too few do."""
    known = radius[np.isfinite(radius)]
    if len(known) < 20:
        return None
    for value in np.sort(known)[::-1][2:]:
        reach = np.abs(known - value) <= tolerance
        if reach.mean() >= ARC_SHARE:
            return float(np.median(known[reach]))
    return None
