"""Finds the ultrasound picture inside a machine's screen, where no file states it.

Tissue is speckled, moves, and fills an area; text, rulers and logos are thin, bars are flat or coloured. So the finder
keeps what is brighter than the background, textured or moving, and not coloured; drops what is thin; takes the largest
body that is left and what belongs to it: fainter surroundings that touch it and bodies in line above or below it
(a deep cyst or a shadow splits a picture in two).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.frame import grey_from_pixels

WORK_PX = 400
"""The longer side is reduced to this [px]: thin furniture then has a known width, and the search takes milliseconds."""

_STRONG_GREY = 6.0
_FAINT_GREY = 2.5
_MOVING_GREY = 1.2
_FLAT_GREY = 0.6
_COLOURED = 40.0
_THIN_PX = 7
_GAP_PX = 9
_MIN_SHARE = 0.04
_MIN_PART_SHARE = 0.004
_ALIGNED = 0.9
_JOINED_FILL = 0.35
_WHOLE_SHARE = 0.93
_MIN_CONFIDENCE = 0.25
_EDGE_SHARE = 0.04
_GROWTH_SHARE = 0.2
_BAR_SHARE, _BAR_SIDE = 0.6, 0.12

Mask = NDArray[np.uint8]
Bounds = tuple[int, int, int, int]
"""Left, top, right, bottom [px of the reduced picture], the last two exclusive."""


@dataclass(frozen=True, slots=True)
class RegionFinding:
    """Where the ultrasound picture lies.

    Attributes
    ----------
    box : tuple of int
        [x0, y0, w, h] [px], inside the picture.
    confidence : float
        0..1: how full the box is, and how much of what looks like tissue lies inside it.
    kind : str
        "found", or "whole" where the picture fills the screen or nothing stands out.
    """

    box: tuple[int, int, int, int]
    confidence: float
    kind: str


def find_region(frames: Sequence[NDArray[np.uint8]]) -> RegionFinding:
    """Find the ultrasound picture in some frames of one source.

    Parameters
    ----------
    frames : sequence of ndarray of uint8, shape (H, W) or (H, W, 3)
        A few frames spread over the source, all of one size; more of them tell moving tissue from still furniture.
    """
    height, width = frames[0].shape[:2]
    scale = min(1.0, WORK_PX / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    evidence = _measure(frames, size)
    solid = _solid(evidence.strong)
    labels, parts = _components(solid)
    if not parts or parts[0].area < _MIN_SHARE * solid.size:
        return _whole(width, height, 0.0)
    bounds = _joined(parts)
    bounds = _grown(bounds, labels == parts[0].label, evidence.faint)
    bounds = _with_bars(bounds, evidence.faint)
    box = _refined(frames, evidence.background, bounds, (width / size[0], height / size[1]))
    left, top, right, bottom = bounds
    inside = evidence.strong[top:bottom, left:right]
    share = float(inside.sum()) / max(1.0, float(evidence.strong.sum()))
    fill = float(_filled(solid)[top:bottom, left:right].mean())
    confidence = float(np.sqrt(share * min(1.0, fill / 0.6)))
    if confidence < _MIN_CONFIDENCE:
        return _whole(width, height, confidence)
    if box[2] * box[3] >= _WHOLE_SHARE * width * height:
        return _whole(width, height, confidence)
    return RegionFinding(box, confidence, "found")


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    strong: Mask
    faint: Mask
    background: float


@dataclass(frozen=True, slots=True)
class _Part:
    label: int
    bounds: Bounds
    area: int


def _whole(width: int, height: int, confidence: float) -> RegionFinding:
    return RegionFinding((0, 0, width, height), confidence, "whole")


def _measure(frames: Sequence[NDArray[np.uint8]], size: tuple[int, int]) -> _Evidence:
    reduced = [np.asarray(cv2.resize(f, size, interpolation=cv2.INTER_AREA), np.uint8) for f in frames]
    grey = np.stack([grey_from_pixels(f) for f in reduced]).astype(np.float32)
    mean, moving = grey.mean(axis=0), grey.std(axis=0)
    rim = np.concatenate([mean[0], mean[-1], mean[:, 0], mean[:, -1]])
    background = float(np.argmax(np.bincount(np.rint(rim).astype(np.int64), minlength=256)))
    blurred = cv2.blur(mean, (5, 5))
    texture = np.sqrt(np.maximum(cv2.blur(mean * mean, (5, 5)) - blurred * blurred, 0.0))
    above = mean - background
    alive = (texture > _FLAT_GREY) | (moving > _MOVING_GREY)
    strong = ((np.abs(above) > _STRONG_GREY) | (moving > _MOVING_GREY)) & alive
    faint = (above > _FAINT_GREY) | (moving > _MOVING_GREY / 2)
    if reduced[0].ndim == 3:
        spread = np.mean([f.max(axis=2).astype(np.float32) - f.min(axis=2) for f in reduced], axis=0)
        strong &= spread < _COLOURED
        faint &= spread < _COLOURED
    return _Evidence(strong.astype(np.uint8), faint.astype(np.uint8), background)


def _disc(diameter: int) -> Mask:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter)).astype(np.uint8)


def _solid(mask: Mask) -> Mask:
    """Drop what is thin, bridge small gaps."""
    opened = cv2.morphologyEx(_padded(mask), cv2.MORPH_OPEN, _disc(_THIN_PX))
    bridged = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, _disc(_GAP_PX))
    return _unpadded(np.asarray(bridged, np.uint8))


def _padded(mask: Mask) -> Mask:
    return cv2.copyMakeBorder(mask, _GAP_PX, _GAP_PX, _GAP_PX, _GAP_PX, cv2.BORDER_REPLICATE).astype(np.uint8)


def _unpadded(mask: Mask) -> Mask:
    return np.ascontiguousarray(mask[_GAP_PX:-_GAP_PX, _GAP_PX:-_GAP_PX])


def _components(mask: Mask) -> tuple[NDArray[np.int32], list[_Part]]:
    """Label the bodies of a mask, the largest first."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    parts = []
    for label in range(1, count):
        x, y, w, h, area = (int(v) for v in stats[label])
        parts.append(_Part(label, (x, y, x + w, y + h), area))
    return labels.astype(np.int32), sorted(parts, key=lambda p: -p.area)


def _joined(parts: list[_Part]) -> Bounds:
    """Bounds of the largest body together with the bodies that stand in line above and below it."""
    total = parts[0].bounds
    for part in parts[1:]:
        if part.area < _MIN_PART_SHARE / _MIN_SHARE * parts[0].area:
            continue
        width, height = part.bounds[2] - part.bounds[0], part.bounds[3] - part.bounds[1]
        if part.area < _JOINED_FILL * width * height:
            continue  # a screen's menus hang together around the picture
        overlap = min(total[2], part.bounds[2]) - max(total[0], part.bounds[0])
        narrower = min(total[2] - total[0], part.bounds[2] - part.bounds[0])
        wider = max(total[2] - total[0], part.bounds[2] - part.bounds[0])
        if overlap >= _ALIGNED * narrower and narrower >= 0.5 * wider:
            total = _union(total, part.bounds)
    return total


def _grown(bounds: Bounds, seed: NDArray[np.bool_], faint: Mask) -> Bounds:
    """Extend to the fainter body that the seed belongs to: deep tissue is dark, but no darker than the screen."""
    labels, parts = _components(_solid(faint))
    inside = np.bincount(labels[seed], minlength=len(parts) + 1)
    inside[0] = 0
    body = labels == int(np.argmax(inside))
    if not inside.any():
        return bounds
    left, top, right, bottom = bounds
    # A side moves only over lines that the body fills well: text and rulers that touch tissue are sparse.
    columns, rows = body[top:bottom].mean(axis=0), body[:, left:right].mean(axis=1)
    while left > 0 and columns[left - 1] >= _GROWTH_SHARE:
        left -= 1
    while right < len(columns) and columns[right] >= _GROWTH_SHARE:
        right += 1
    while top > 0 and rows[top - 1] >= _GROWTH_SHARE:
        top -= 1
    while bottom < len(rows) and rows[bottom] >= _GROWTH_SHARE:
        bottom += 1
    return (left, top, right, bottom)


def _with_bars(bounds: Bounds, faint: Mask) -> Bounds:
    """Extend to bars above or below that are as wide as the body: the probe's face over a dark cyst or water."""
    left, top, right, bottom = bounds
    width, side = right - left, max(2, round(_BAR_SIDE * (right - left)))
    inside = faint[:, left:right].mean(axis=1) >= _BAR_SHARE
    beside = np.zeros(len(faint), bool)
    for lane in (faint[:, max(0, left - side) : max(0, left - 2)], faint[:, right + 2 : right + side]):
        if lane.shape[1]:
            beside |= lane.mean(axis=1) > 0.5
    rows = np.flatnonzero(inside & ~beside)
    if width < 8 or not len(rows):
        return bounds
    return (left, min(top, int(rows[0])), right, max(bottom, int(rows[-1]) + 1))


def _union(a: Bounds, b: Bounds) -> Bounds:
    return (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))


def _filled(mask: Mask) -> Mask:
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    filled = np.zeros_like(mask)
    for contour in contours:  # one at a time: where two overlap, drawn together they would cancel out
        cv2.fillConvexPoly(filled, cv2.convexHull(contour), 1)
    return filled


def _refined(
    frames: Sequence[NDArray[np.uint8]], background: float, bounds: Bounds, zoom: tuple[float, float]
) -> tuple[int, int, int, int]:
    """Move each side to the outermost line with tissue at full resolution, within two pixels of the reduced picture."""
    height, width = frames[0].shape[:2]
    bright = np.zeros((height, width), dtype=bool)
    for frame in (frames[0], frames[len(frames) // 2], frames[-1]):
        bright |= grey_from_pixels(frame) > background + 2 * _FAINT_GREY
    left, right = round(bounds[0] * zoom[0]), round(bounds[2] * zoom[0])
    top, bottom = round(bounds[1] * zoom[1]), round(bounds[3] * zoom[1])
    reach_x, reach_y = int(np.ceil(2 * zoom[0])), int(np.ceil(2 * zoom[1]))
    columns = bright[max(0, top) : bottom].mean(axis=0)
    rows = bright[:, max(0, left) : right].mean(axis=1)
    left, right = _outermost(columns, left, right, reach_x)
    top, bottom = _outermost(rows, top, bottom, reach_y)
    return (left, top, right - left, bottom - top)


def _outermost(share: NDArray[np.float64], begin: int, end: int, reach: int) -> tuple[int, int]:
    at_begin = [i for i in range(max(0, begin - reach), min(len(share), begin + reach + 1)) if share[i] >= _EDGE_SHARE]
    at_end = [i for i in range(max(0, end - 1 - reach), min(len(share), end + reach)) if share[i] >= _EDGE_SHARE]
    first = at_begin[0] if at_begin else max(0, begin)
    last = at_end[-1] if at_end else min(len(share), end) - 1
    return (first, last + 1) if last > first else (max(0, begin), min(len(share), end))
