"""Finds a depth scale on a machine's screen: thin marks, one below the other, at even distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.frame import grey_from_pixels

Box = tuple[int, int, int, int]
LEAST_MARKS = 5
LEAST_GREY = 45.0
"""How much brighter than above and below it a mark is [grey]."""
LEAST_PITCH_PX = 7.0
SPAN_SHARE = 0.6
"""The marks cover so much of the region's height at least."""
PRESENT = 0.93
"""Share of the places between the first and the last mark that hold one."""
PAST_SHARE = 0.03
"""How far past the region's upper and lower side a scale may reach, as a share of its height."""
STRAY = 0.12
"""Share of other thin bright things in the same column that is borne, against the marks."""
SIDE_SHARE = 0.14
"""How far inside the region, from its sides, a scale may stand."""
BESIDE_SHARE = 1.0
"""How far beside the region a scale may stand, as a share of the region's width or of 300 px."""


@dataclass(frozen=True, slots=True)
class TickComb:
    """Marks at even distances.

    Attributes
    ----------
    x_px : float
        Middle of the marks [px].
    first_px : float
        Height of the first one [px].
    pitch_px : float
        From one to the next [px].
    count : int
    extents_px : tuple of (int, int, int, int)
        x0, y0, x1, y1 of each mark, the last two exclusive [px].
    every : int
        Each so-manieth mark is a longer or thicker one; 1 where all are alike.
    offset : int
        Number of the first longer one.
    """

    x_px: float
    first_px: float
    pitch_px: float
    count: int
    extents_px: tuple[tuple[int, int, int, int], ...]
    every: int
    offset: int

    @property
    def majors(self) -> tuple[int, ...]:
        """Numbers of the longer marks; all of them where all are alike."""
        return tuple(range(self.offset, self.count, self.every))

    def y_px(self, number: int) -> float:
        """Height of a mark [px]."""
        return self.first_px + self.pitch_px * number

    def like(self, other: TickComb | None) -> bool:
        """Whether another look shows the same scale: the same place and distance."""
        if other is None:
            return False
        steps = (other.first_px - self.first_px) / self.pitch_px
        return (
            abs(other.x_px - self.x_px) <= 4.0
            and abs(other.pitch_px - self.pitch_px) <= 0.012 * self.pitch_px
            and abs(steps - round(steps)) * self.pitch_px <= 2.0
        )


def static_grey(frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """What stays on the screen: the darkest of each pixel over some frames, so that moving tissue fades."""
    return np.asarray(np.min([grey_from_pixels(frame) for frame in frames], axis=0), np.uint8)


def find_combs(grey: NDArray[np.uint8], region: Box) -> list[TickComb]:
    """Return the depth scales beside or inside an ultrasound region, the one with the most marks first.

    Parameters
    ----------
    grey : ndarray of uint8, shape (H, W)
        Of a still or of `static_grey`.
    region : [x, y, w, h] [px]
    """
    height, width = grey.shape
    x, y, w, h = region
    reach = round(BESIDE_SHARE * max(w, 300))
    left, right = max(0, x - reach), min(width, x + w + reach)
    top, bottom = max(0, y - round(0.06 * h)), min(height, y + h + round(0.06 * h))
    thick = max(3, round(height / 90))
    response = _thin(grey[top:bottom, left:right], thick)
    found: list[TickComb] = []
    for column in _candidate_columns(response, (x - left, x + w - left)):
        if any(abs(column + left - comb.x_px) < 6 for comb in found):
            continue
        comb = _comb_at(response, column, h, (left, top))
        if comb is not None:
            found.append(comb)
    return sorted(_distinct(found), key=lambda comb: -comb.count)


def reaches_past(grey: NDArray[np.uint8], comb: TickComb, region: Box) -> bool:
    """Whether marks go on below a region or begin above it: the region is then not the whole of the picture."""
    _x, y, _w, h = region
    slack = max(4.0, PAST_SHARE * h)
    if comb.y_px(0) < y - slack or comb.y_px(comb.count - 1) > y + h + slack:
        return True
    left, right = max(e[0] for e in comb.extents_px), min(e[2] for e in comb.extents_px)
    if right <= left:
        return False

    def marked(row: float) -> bool:
        at = round(row)
        lane = grey[max(0, at - 2) : at + 3, left:right]
        between = grey[max(0, round(row - comb.pitch_px / 2) - 1) : round(row - comb.pitch_px / 2) + 2, left:right]
        return bool(lane.size and between.size) and float(lane.max()) - float(between.mean()) > LEAST_GREY

    following = (comb.y_px(comb.count), comb.y_px(comb.count + 1))
    return following[0] > y + h + slack and all(row < len(grey) - 3 and marked(row) for row in following)


def _thin(grey: NDArray[np.uint8], thick: int) -> NDArray[np.float32]:
    """How much brighter each pixel is than what lies above and below it."""
    padded = cv2.copyMakeBorder(grey, 2 * thick, 2 * thick, 0, 0, cv2.BORDER_REFLECT)
    kernel = np.ones((2 * thick + 1, 1), np.uint8)
    hat = cv2.morphologyEx(padded, cv2.MORPH_TOPHAT, kernel)
    return np.asarray(hat[2 * thick : -2 * thick], np.float32)


def _candidate_columns(response: NDArray[np.float32], region: tuple[int, int]) -> list[int]:
    """Columns in which many thin bright things stand, those beside the region and then those near its sides."""
    strong = response > LEAST_GREY
    begins = strong & ~np.vstack([np.zeros((1, strong.shape[1]), bool), strong[:-1]])
    count = begins.sum(axis=0)
    begin, end = region
    side = round(SIDE_SHARE * (end - begin))
    columns = np.arange(len(count))
    beside = (columns < begin) | (columns >= end)
    within = ~beside & ((columns < begin + side) | (columns >= end - side))
    order = np.argsort(-count, kind="stable")
    return [int(c) for lane in (beside, within) for c in order if lane[c] and count[c] >= LEAST_MARKS]


def _comb_at(
    response: NDArray[np.float32], column: int, region_height: int, corner: tuple[int, int]
) -> TickComb | None:
    lane = response[:, max(0, column - 1) : column + 2].min(axis=1)
    peaks, strengths = _peaks(lane)
    if len(peaks) < LEAST_MARKS:
        return None
    fit = _fit(peaks, strengths, SPAN_SHARE * region_height)
    if fit is None:
        return None
    first, pitch, members, strength = fit
    strays = np.ones(len(peaks), bool)
    strays[members] = False
    inside = (peaks > first - pitch) & (peaks < peaks[members].max() + pitch)
    if (strays & inside & (strengths > 0.5 * strength)).sum() > STRAY * len(members):
        return None
    extents = [_extent(response, peaks[k], column, strength) for k in members]
    sizes = np.array([(e[2] - e[0]) * 10 + (e[3] - e[1]) for e in extents], float)
    if np.median([e[2] - e[0] for e in extents]) > 0.9 * pitch + 12:
        return None  # bars of something else
    every, offset = _long_ones(sizes)
    dx, dy = corner
    middle = float(np.mean([(e[0] + e[2] - 1) / 2 for e in extents])) + dx
    moved = tuple((e[0] + dx, e[1] + dy, e[2] + dx, e[3] + dy) for e in extents)
    return TickComb(middle, float(first + dy), float(pitch), len(members), moved, every, offset)


def _peaks(lane: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middles and strengths of the runs above the least grey."""
    above = np.concatenate([[False], lane > LEAST_GREY, [False]])
    edges = np.flatnonzero(above[1:] != above[:-1])
    middles, strengths = [], []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        weights = lane[begin:end].astype(np.float64)
        middles.append(float((np.arange(begin, end) * weights).sum() / weights.sum()))
        strengths.append(float(weights.max()))
    return np.array(middles), np.array(strengths)


def _fit(
    peaks: NDArray[np.float64], strengths: NDArray[np.float64], least_span: float
) -> tuple[float, float, list[int], float] | None:
    """First height, distance and members of the longest row of even distances; None where there is none."""
    best: tuple[int, float, float, list[int], float] | None = None
    steps = np.diff(peaks)
    for start in range(min(len(peaks) - 1, 12)):
        for other in range(start + 1, min(start + 5, len(peaks))):
            pitch = float(peaks[other] - peaks[start])
            if pitch < LEAST_PITCH_PX or pitch > 1.5 * least_span:
                continue
            members = _row(peaks, start, pitch)
            if len(members) < LEAST_MARKS or (best is not None and len(members) <= best[0]):
                continue
            places = np.round((peaks[members] - peaks[start]) / pitch)
            slope, first = np.polyfit(places, peaks[members], 1)
            off = np.abs(peaks[members] - (first + slope * places))
            whole = int(places[-1]) + 1
            if off.max() > 1.6 or len(members) < PRESENT * whole or len(members) < whole:
                continue
            if peaks[members[-1]] - peaks[members[0]] < least_span:
                continue
            strength = float(np.median(strengths[members]))
            best = (len(members), float(first), float(slope), members, strength)
    return None if best is None or not len(steps) else best[1:]


def _row(peaks: NDArray[np.float64], start: int, pitch: float) -> list[int]:
    """Numbers of the peaks at even distances from a start; the distance is corrected on the way."""
    members, at, last = [start], float(peaks[start]), start
    while True:
        place = len(members)
        nearest = int(np.argmin(np.abs(peaks - (at + pitch))))
        # A machine that draws at whole pixels is off by up to two of them from one mark to the next.
        if nearest <= last or abs(peaks[nearest] - (at + pitch)) > min(max(2.2, 0.06 * pitch), 0.2 * pitch):
            return members
        members.append(nearest)
        at, last = float(peaks[nearest]), nearest
        pitch = float(peaks[nearest] - peaks[start]) / place


def _extent(response: NDArray[np.float32], row: float, column: int, strength: float) -> tuple[int, int, int, int]:
    """Bounds of the bright thing that a mark is."""
    y, level = round(row), 0.35 * strength
    x0 = x1 = column
    lane = response[max(0, y - 1) : y + 2].max(axis=0)
    while x0 > 0 and lane[x0 - 1] > level:
        x0 -= 1
    while x1 + 1 < len(lane) and lane[x1 + 1] > level:
        x1 += 1
    y0 = y1 = y
    pole = response[:, column]
    while y0 > 0 and pole[y0 - 1] > level:
        y0 -= 1
    while y1 + 1 < len(pole) and pole[y1 + 1] > level:
        y1 += 1
    return (x0, y0, x1 + 1, y1 + 1)


def _long_ones(sizes: NDArray[np.float64]) -> tuple[int, int]:
    """Which marks are longer: each so-manieth, and the first of them."""
    for every in (2, 4, 5, 10):
        for offset in range(every):
            long = np.zeros(len(sizes), bool)
            long[offset::every] = True
            if long.sum() < 2 or (~long).sum() < 2:
                continue
            if sizes[long].min() >= 1.2 * sizes[~long].max():
                return every, offset
    return 1, 0


def _distinct(combs: list[TickComb]) -> list[TickComb]:
    """One comb of each place: that of the column with the most marks and the clearest longer ones."""
    kept: list[TickComb] = []
    for comb in sorted(combs, key=lambda c: (-c.count, c.every == 1)):
        if not any(_same_marks(comb, other) for other in kept):
            kept.append(comb)
    return kept


def _same_marks(a: TickComb, b: TickComb) -> bool:
    (ax0, _, ax1, _), (bx0, _, bx1, _) = a.extents_px[0], b.extents_px[0]
    return ax0 <= bx1 + 3 and bx0 <= ax1 + 3
