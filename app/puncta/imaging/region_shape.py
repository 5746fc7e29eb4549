"""Whether a found ultrasound region can be trusted: its sides have to end sharply, or a fan has to fit its border.

Deep tissue fades into the screen's own black, and then nobody can tell from the picture where the region ends. So a
box is *sure* only where what lives in the picture ends abruptly on all four sides, or where two straight sides and two
arcs about their common apex carry the border (a convex or sector probe; the box is then that of the whole fan). All
else is for a person to draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.frame import grey_from_pixels
from puncta.core.geometry import box_iou
from puncta.imaging.region import find_region

BINS = 8
LIVE_BINS = 5
"""A line of the picture lives where so many of its eight parts do; text and marks live in fewer."""
LIVE_SHARE = 0.01
GAP_SHARE = 0.03
"""Below, dark bands up to this share of the height do not end the region."""
EDGE_SHARE, INNER_SHARE = 0.015, 0.08
SHARP = 0.5
"""A side is sharp where its outermost lines live at least this much as those further in."""
LEAST_LIVE = 0.12
BEYOND = 0.002
"""Faint life below, as a share of pixels, above which the region may reach further down."""
FAINT_GREY, LEAST_GREY = 40, 3
RINGING_PX = 9
"""Lossy coding works in blocks of 8 pixels; what is faint nearer to a side may be its ringing."""
FIT_PX = 420
TOLERANCE = 0.012
AGREE = 0.97
LINE_SHARE, ARC_SHARE, STRAY_SHARE = 0.35, 0.22, 0.02
Box = tuple[int, int, int, int]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RegionProposal:
    """Where the ultrasound picture seems to lie.

    Attributes
    ----------
    box : tuple of int
        [x0, y0, w, h] [px].
    shape : str
        "rectangle", "fan" or "unclear".
    sure : bool
        False: a person has to draw it; the box is a suggestion.
    """

    box: Box
    shape: str
    sure: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Life:
    """Which pixels are not the screen's own background, and which of them only faintly."""

    alive: Mask
    faint: Mask


def propose_region(frames: Sequence[NDArray[np.uint8]]) -> RegionProposal:
    """Find the ultrasound picture in some frames of a captured screen, and judge whether that is sure.

    Parameters
    ----------
    frames : sequence of ndarray of uint8, shape (H, W) or (H, W, 3)
        Frames over some seconds, all of one size.
    """
    finding = find_region(frames)
    if finding.kind == "whole" and finding.confidence == 0.0:
        return RegionProposal(finding.box, "unclear", False)
    life = _measure_life(frames)
    box = _extended(finding.box, life) if finding.kind == "found" else _tight(life, finding.box)
    if _is_sharp(box, life):
        return RegionProposal(box, "rectangle", True)
    fan = _fan_box(box, life)
    if fan is not None:
        # A fan that reaches far past what lives may be a fit to its furniture: a suggestion, no more.
        return RegionProposal(fan, "fan", box_iou(fan, box) >= AGREE)
    return RegionProposal(box, "unclear", False)


def _measure_life(frames: Sequence[NDArray[np.uint8]]) -> _Life:
    grey = np.stack([grey_from_pixels(frame) for frame in frames])
    rim = np.concatenate([grey[:, 0].ravel(), grey[:, -1].ravel(), grey[:, :, 0].ravel(), grey[:, :, -1].ravel()])
    background = int(np.argmax(np.bincount(rim, minlength=256)))
    off = np.abs(grey.astype(np.int16) - background).max(axis=0)
    # Lossy coding rings round every border; what lives is stronger than its ringing.
    return _Life(off >= LEAST_GREY, (off >= 1) & (off < FAINT_GREY))


def _bins_alive(alive: Mask) -> NDArray[np.bool_]:
    """Tell which rows live, by eight parts of each."""
    parts = [part.mean(axis=1) >= LIVE_SHARE for part in np.array_split(alive, BINS, axis=1) if part.shape[1]]
    return np.sum(parts, axis=0) >= LIVE_BINS if parts else np.zeros(len(alive), bool)


def _tight(life: _Life, box: Box) -> Box:
    """Bounds of all lines that live, for a picture that fills nearly the whole screen."""
    rows, columns = np.flatnonzero(_bins_alive(life.alive)), np.flatnonzero(_bins_alive(life.alive.T))
    if len(rows) < 8 or len(columns) < 8:
        return box
    return (int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)


def _extended(box: Box, life: _Life) -> Box:
    """Move sides outwards over lines that live; below also over dark bands."""
    x, y, w, h = box
    height, width = life.alive.shape
    rows = _bins_alive(life.alive[:, x : x + w])
    top = _walk(rows, y, -1, 2)
    bottom = _walk(rows, y + h - 1, 1, max(2, round(GAP_SHARE * h)))
    columns = _bins_alive(life.alive[top : bottom + 1].T)
    left, right = _walk(columns, x, -1, 1), _walk(columns, x + w - 1, 1, 1)
    return _trimmed((left, top, min(width - 1, right) - left + 1, min(height - 1, bottom) - top + 1), life)


def _trimmed(box: Box, life: _Life) -> Box:
    """Take off the ringing that lossy coding left round the sides; no more than that, or a fading side looks sharp."""
    x, y, w, h = box
    inside = life.alive[y : y + h, x : x + w]
    cuts = [_ringing(lines, size) for lines, size in (
        (inside.T, w), (inside.T[::-1], w), (inside, h), (inside[::-1], h))]
    return (x + cuts[0], y + cuts[2], w - cuts[0] - cuts[1], h - cuts[2] - cuts[3])


def _ringing(lines: Mask, size: int) -> int:
    share = _spread_share(lines[: max(6, round(INNER_SHARE * size))])
    enough = SHARP * float(share[len(share) // 4 :].mean())
    found = np.flatnonzero(share[: RINGING_PX + 1] >= enough)
    return int(found[0]) if len(found) and size > 8 * RINGING_PX else 0


def _walk(living: NDArray[np.bool_], start: int, step: int, gap: int) -> int:
    """Last living line reached from a start without a gap longer than allowed."""
    last, at = start, start + step
    while 0 <= at < len(living) and abs(at - last) <= gap:
        if living[at]:
            last = at
        at += step
    return last


def _is_sharp(box: Box, life: _Life) -> bool:
    """Whether the box is full to its sides, and nothing faint goes on past them."""
    x, y, w, h = box
    inside = life.alive[y : y + h, x : x + w]
    sides = ((inside, h), (inside[::-1], h), (inside.T, w), (inside.T[::-1], w))
    for lines, size in sides:
        edge, inner = max(2, round(EDGE_SHARE * size)), max(6, round(INNER_SHARE * size))
        share = _spread_share(lines)
        outer, within = float(share[:edge].mean()), float(share[edge:inner].mean())
        if within < LEAST_LIVE or outer < SHARP * within:
            return False
    return not _goes_on(box, life)


def _spread_share(lines: Mask) -> NDArray[np.float64]:
    """Share of living pixels of each line; the mean of its lower six parts, so that one bright spot counts little."""
    parts = np.stack([part.mean(axis=1) for part in np.array_split(lines, BINS, axis=1) if part.shape[1]])
    return np.sort(parts, axis=0)[: max(1, len(parts) - 2)].mean(axis=0)


def _goes_on(box: Box, life: _Life) -> bool:
    """Whether faint pixels lie below the box in its own lane: noise of the dark part of the region."""
    x, y, w, h = box
    # A letter's soft rim is faint too; noise is alone.
    bright = cv2.dilate((life.alive & ~life.faint).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    begin = y + h + RINGING_PX
    lane = (life.faint & ~bright)[begin : begin + max(4, round(0.12 * h)), x : x + w]
    return bool(lane.size) and _share_over_parts(lane) > BEYOND


def _share_over_parts(lane: Mask) -> float:
    """Share of a lane's pixels that are set; the median over four parts each way, so that one spot does not count."""
    longer = lane if lane.shape[1] >= lane.shape[0] else lane.T
    return float(np.median([part.mean() for part in np.array_split(longer, 4, axis=1) if part.size]))


# --- fans ----------------------------------------------------------------------------------------------------------


def _fan_box(box: Box, life: _Life) -> Box | None:
    """Box of a fan that fits the border of what lives; None where none does."""
    height, width = life.alive.shape
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
    if d - b < 0.1 or b > 0.02 or d < -0.02:
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
    x0, x1 = apex_x + far * math.sin(low), apex_x + far * math.sin(high)
    y0, y1 = apex_y + near * math.cos(max(-low, high)), apex_y + far
    left_px, top_px = max(0.0, (x0 + 0.5) / zoom), max(0.0, (y0 + 0.5) / zoom)
    right_px, bottom_px = min(float(width), (x1 + 0.5) / zoom), min(float(height), (y1 + 0.5) / zoom)
    ox, oy = _origin(box)
    found = [round(v) for v in (left_px + ox, top_px + oy, right_px + ox, bottom_px + oy)]
    x, y, right_i, bottom_i = max(0, found[0]), max(0, found[1]), min(width, found[2]), min(height, found[3])
    return (x, y, right_i - x, bottom_i - y) if right_i - x > 16 and bottom_i - y > 16 else None


def _origin(box: Box) -> tuple[int, int]:
    """Corner of the cut-out a fan is looked for in: the box and a twelfth round it."""
    return max(0, box[0] - box[2] // 12), max(0, box[1] - box[3] // 12)


def _body(box: Box, life: _Life, zoom: float) -> Mask | None:
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


def _outer_line(
    at: NDArray[np.float64], values: NDArray[np.float64], tolerance: float
) -> tuple[float, float] | None:
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
