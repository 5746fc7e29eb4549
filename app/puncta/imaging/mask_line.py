"""The straight needle in a mask: its axis with its error, where it begins, where its tip is, and how much it bends.

A weighted principal axis of the needle's pixels starts it; least squares through the middles of stations along that
axis, those that stand off counting less (Cauchy's weights), finish it and give the error. The tip is a change point:
along the axis the network says at each step "needle" or "not" with odds, and the segment with the largest sum of log
odds is where it is, gaps in the middle included (a needle that fades for a moment is still one needle).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.imaging.heatmap import sigmoid
from puncta.imaging.mask_stations import (
    BEND_SIGMAS,
    STEP_PX,
    Curve,
    Pair,
    Stations,
    lay_through_stations,
    likely_pixels,
    principal_axis,
    seed_pixels,
)

REACH_PX = 5.0
"""Pixels farther from the axis belong to something else [px]."""
ACROSS_PX = (-1.0, 0.0, 1.0)
ODDS_FOR, ODDS_AGAINST = 3.0, 1.5
"""One step along the axis may not say more than this for or against a needle [log odds]. Against counts less: a needle
often fades for a stretch and is seen again behind it."""
END_ALIKE = 2.0
"""So many steps along the axis are worth one where the tip's place is in doubt."""
SAME_WAY = 0.8
"""Cosine of the angle up to which a needle is taken for the one of a moment ago."""
BORDER_PX = 3.0
"""A mask that ends this near to the picture's border comes in there [px]."""
LEAST_BEND_PX = 40.0
"""Shorter than this [px] no bending can be told from speckle."""


@dataclass(frozen=True, slots=True)
class MaskLine:
    """A needle's line in one mask. Places are in pixels of the map, lengths and directions in the unit of the scale.

    Attributes
    ----------
    begin, tip : (x, y) [px of the map]
        The ends of the mask along the axis.
    direction : (x, y)
        Unit vector from begin to tip.
    sigma_rad : float
        Standard error of its angle.
    across_sigma : float
        Standard error of the axis across itself at the tip.
    tip_sigma : float
        Standard deviation of the tip along the axis.
    length : float
        From begin to tip.
    bend : float
        How far the middle of the needle stands off the straight line between its ends, to the right hand of the
        direction (y down); 0 where it is too short to tell.
    bend_sigma : float or None
        Its standard error; None where it is too short to tell.
    support : float
        Mean probability of a needle along the axis between the ends.
    """

    begin: Pair
    tip: Pair
    direction: Pair
    sigma_rad: float
    across_sigma: float
    tip_sigma: float
    length: float
    bend: float
    bend_sigma: float | None
    support: float

    @property
    def bends(self) -> bool:
        """Whether the bending is more than its doubt and 1 % of the length."""
        return self.bend_sigma is not None and abs(self.bend) > max(BEND_SIGMAS * self.bend_sigma, 0.01 * self.length)

    @property
    def way_ahead(self) -> Pair:
        """Unit vector in which the tip points: the axis, turned by the bending where that is seen."""
        if not self.bends:
            return self.direction
        # A parabola of sagitta b over a chord L leaves its end at a slope of 4 b / L to the chord.
        turn = -math.atan(4.0 * self.bend / self.length)
        x, y = self.direction
        c, s = math.cos(turn), math.sin(turn)
        return (x * c - y * s, x * s + y * c)


def fit_mask_line(
    logits: NDArray[np.floating], scale: Pair = (1.0, 1.0), towards_tip: Pair | None = None
) -> MaskLine | None:
    """Lay a line into a network's map of a needle.

    Parameters
    ----------
    logits : ndarray, shape (h, w)
        Log odds of "needle" at each pixel.
    scale : (x, y)
        Unit (mm, or 1) per pixel of the map.
    towards_tip : (x, y) or None
        The way the needle pointed a moment ago, in the unit; it decides which end is the tip. None decides by the
        border and by depth.

    Returns
    -------
    MaskLine or None
        None where nothing of it is long enough to be a line.
    """
    seed = seed_pixels(logits)
    if seed is None:
        return None
    x, y, weight = seed
    u = np.stack([x * scale[0], y * scale[1]], axis=1)
    pixel = math.sqrt(scale[0] * scale[1])
    centre, direction = principal_axis(u, weight)
    x, y, weight = likely_pixels(logits)
    u = np.stack([x * scale[0], y * scale[1]], axis=1)
    fit: Stations | None = None
    for reach in (2.0 * REACH_PX, REACH_PX, REACH_PX):
        fit = lay_through_stations(u, weight, centre, direction, reach * pixel, STEP_PX * pixel)
        if fit is None:
            return None
        centre, direction = fit.centre, fit.direction
    assert fit is not None
    step = STEP_PX * pixel
    ways, odds = _odds_along(logits, centre, direction, scale, step)
    segment = best_segment(odds)
    if segment is None:
        return None
    curve = fit.curve(ways[segment[0]], ways[segment[1]], LEAST_BEND_PX * pixel)
    if curve is not None and curve.bends:
        # Off the straight axis by more than half its width the needle would seem to end where it only turns away.
        ways, odds = _odds_along(logits, centre, direction, scale, step, curve)
        segment = best_segment(odds) or segment
    first, last = segment
    ends = [_place(centre, direction, ways[i], curve) for i in (first, last)]
    flips = _points_back([(x / scale[0], y / scale[1]) for x, y in ends], direction, logits.shape, towards_tip)
    if flips:
        ends.reverse()
    (bx, by), (tx, ty) = ends
    length = math.hypot(tx - bx, ty - by)
    if length < 2.0 * pixel:
        return None
    bend, bend_sigma = curve.sagitta(ways[first], ways[last]) if curve is not None else (0.0, None)
    reach = abs(ways[first if flips else last] - fit.middle)
    return MaskLine(
        begin=(bx / scale[0], by / scale[1]),
        tip=(tx / scale[0], ty / scale[1]),
        direction=((tx - bx) / length, (ty - by) / length),
        sigma_rad=fit.sigma_slope,
        across_sigma=math.hypot(fit.sigma_offset, reach * fit.sigma_slope),
        tip_sigma=_end_spread(odds, first, last, at_start=flips) * step,
        length=length,
        bend=-bend if flips else bend,
        bend_sigma=bend_sigma,
        support=float(sigmoid(odds[first : last + 1]).mean()),
    )


def best_segment(odds: NDArray[np.floating]) -> tuple[int, int] | None:
    """Return first and last index of the run with the largest sum (Kadane); None where every step says no.

    Of independent steps with these log odds it is the likeliest segment "needle here, nothing before and after it".
    """
    best, best_at, total, start = 0.0, None, 0.0, 0
    for i, value in enumerate(odds):
        if total <= 0.0:
            total, start = 0.0, i
        total += float(value)
        if total > best:
            best, best_at = total, (start, i)
    return best_at


def mask_along(
    probability: NDArray[np.floating], line: MaskLine, scale: Pair, level: float, reach_px: float = REACH_PX
) -> NDArray[np.bool_]:
    """Return the pixels that belong to the needle: probable enough, and in reach of its line, bent as it is.

    What lies elsewhere (a bone line, a rib) is not this needle, be it as bright as it may.
    """
    found = probability >= level
    rows, columns = np.nonzero(found)
    if not len(rows):
        return np.zeros(found.shape, np.bool_)
    x, y = line.direction
    dx = (columns - line.begin[0]) * scale[0]
    dy = (rows - line.begin[1]) * scale[1]
    along, across = dx * x + dy * y, dy * x - dx * y
    share = np.clip(along / line.length, 0.0, 1.0)
    middle = 4.0 * line.bend * share * (1.0 - share) if line.bends else 0.0
    pixel = math.sqrt(scale[0] * scale[1])
    near = np.abs(across - middle) <= reach_px * pixel
    near &= (along >= -reach_px * pixel) & (along <= line.length + reach_px * pixel)
    mask = np.zeros(found.shape, np.bool_)
    mask[rows[near], columns[near]] = True
    return mask


def _place(centre: Pair, direction: Pair, way: float, curve: Curve | None) -> Pair:
    """Point at a way along the axis, on the curve where it bends."""
    aside = float(curve.aside(np.array(way))) if curve is not None and curve.bends else 0.0
    (x, y), (cx, cy) = direction, centre
    return (float(cx + way * x - aside * y), float(cy + way * y + aside * x))


def _odds_along(
    logits: NDArray[np.floating], centre: Pair, direction: Pair, scale: Pair, step: float, curve: Curve | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ways along the axis through the whole map and the log odds of "needle" there, held within a limit."""
    height, width = logits.shape
    far = math.hypot(width * scale[0], height * scale[1])
    ways = np.arange(-far, far, step)
    x, y = direction
    aside = np.repeat((np.array(ACROSS_PX) * math.sqrt(scale[0] * scale[1]))[None, :], len(ways), axis=0)
    if curve is not None:
        # Beyond what was seen the parabola is held to twice its half: it would turn round in the end.
        low, high = curve.middle - 2.0 * curve.half, curve.middle + 2.0 * curve.half
        aside = aside + curve.aside(np.clip(ways, low, high))[:, None]
    columns = (centre[0] + ways[:, None] * x - aside * y) / scale[0]
    rows = (centre[1] + ways[:, None] * y + aside * x) / scale[1]
    middle = len(ACROSS_PX) // 2
    inside = (columns[:, middle] >= -0.5) & (columns[:, middle] <= width - 0.5)
    inside &= (rows[:, middle] >= -0.5) & (rows[:, middle] <= height - 0.5)
    ways, columns, rows = ways[inside], columns[inside], rows[inside]
    seen = cv2.remap(
        np.asarray(logits, np.float32),
        columns.astype(np.float32),
        rows.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # The likeliest of three beside one another: a mask may be a pixel thin, and the axis half a pixel off.
    return ways, np.clip(seen.max(axis=1), -ODDS_AGAINST, ODDS_FOR).astype(np.float64)


def _end_spread(odds: NDArray[np.float64], first: int, last: int, *, at_start: bool) -> float:
    """Standard deviation of an end's place [steps], from how likely every other place would be."""
    if at_start:
        odds, first, last = odds[::-1], len(odds) - 1 - last, len(odds) - 1 - first
    # Neighbouring steps see the same speckle, so they do not count in full.
    sums = np.cumsum(odds[first:]) / END_ALIKE
    chance = np.exp(sums - sums.max())
    chance /= chance.sum()
    at = np.arange(len(chance)) - (last - first)
    mean = float(chance @ at)
    return math.sqrt(float(chance @ np.square(at - mean)) + mean * mean + 0.25)


def _points_back(ends: list[Pair], direction: Pair, shape: tuple[int, ...], towards: Pair | None) -> bool:
    """Tell whether the first of two ends [px of the map] is the tip."""
    along = 0.0 if towards is None else direction[0] * towards[0] + direction[1] * towards[1]
    if abs(along) > SAME_WAY:  # another needle, across the last one, is judged anew
        return along < 0.0
    # A needle does not come in from below.
    at_border = [min(x, y, shape[1] - 1 - x) <= BORDER_PX for x, y in ends]
    if at_border[0] != at_border[1]:
        return at_border[1]
    # Skin is at the top, and a needle goes down from it.
    return ends[0][1] > ends[1][1]
