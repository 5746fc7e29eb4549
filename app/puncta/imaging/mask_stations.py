"""Stations along a needle in a mask: its pixels, the axis that starts a fit, the line and the parabola through them.

A weighted principal axis of the needle's pixels starts the fit; least squares through the middles of stations along
that axis, those that stand off counting less (Cauchy's weights), finish it and give the error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.imaging.heatmap import sigmoid

Pair = tuple[float, float]
Pixels = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Columns, rows and probabilities of pixels of the map, each shape (n,)."""

LEAST_SHARE = 0.25
"""Probability below which a pixel has no say in the axis."""
SEED_SHARE = 0.5
LEAST_PIXELS = 12
STEP_PX = 1.0
ALIKE_PX = 6.0
"""Along the line what is seen this near is no second opinion: speckle is that long [px]."""
BEND_SIGMAS = 3.0
"""A bending is told from this many of its standard errors on."""


@dataclass(frozen=True, slots=True)
class Stations:
    """Middles of the needle at stations along its axis, and the line through them."""

    centre: Pair
    direction: Pair
    sigma_offset: float
    sigma_slope: float
    middle: float
    along: NDArray[np.float64]
    across: NDArray[np.float64]
    trust: NDArray[np.float64]
    step: float

    def curve(self, first: float, last: float, least: float) -> Curve | None:
        """Parabola through the stations between two ways along the axis; None where they are too few for one."""
        inside = (self.along >= min(first, last)) & (self.along <= max(first, last))
        half = abs(last - first) / 2.0
        if 2.0 * half < least or int(inside.sum()) < 12:
            return None
        middle = (first + last) / 2.0
        s = (self.along[inside] - middle) / half
        across, mass = self.across[inside], self.trust[inside]
        design = np.stack([np.ones_like(s), s, s * s], axis=1)
        solved = np.zeros(3)
        covariance: NDArray[np.floating] = np.eye(3)
        for _ in range(3):
            off = across - design @ solved
            spread = 1.4826 * float(np.median(np.abs(off - np.median(off)))) + 0.1 * self.step
            trust = mass / (1.0 + np.square(off / (3.0 * spread)))
            weighted = design * trust[:, None]
            covariance = np.linalg.inv(weighted.T @ design + 1e-9 * np.eye(3))
            solved = covariance @ (weighted.T @ across)
            covariance *= spread * spread * ALIKE_PX / STEP_PX
        a, b, c = (float(v) for v in solved)
        return Curve(middle, half, a, b, c, math.sqrt(max(0.0, float(covariance[2, 2]))))


@dataclass(frozen=True, slots=True)
class Curve:
    """A parabola over the axis: aside = a + b s + c s^2, s = (way - middle) / half."""

    middle: float
    half: float
    a: float
    b: float
    c: float
    c_sigma: float

    @property
    def bends(self) -> bool:
        """Whether the bending is more than its doubt."""
        return abs(self.c) > BEND_SIGMAS * self.c_sigma

    def aside(self, ways: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far the curve stands off the axis at each way along it."""
        s = (ways - self.middle) / self.half
        return np.asarray(self.a + self.b * s + self.c * s * s, dtype=np.float64)

    def sagitta(self, first: float, last: float) -> tuple[float, float]:
        """How far the middle between two ways stands off the chord, and its standard error."""
        share = (abs(last - first) / (2.0 * self.half)) ** 2
        return float(-self.c * share), float(self.c_sigma * share)


def seed_pixels(logits: NDArray[np.floating]) -> Pixels | None:
    """Pixels of the likeliest piece of the map; None where no piece is large enough."""
    threshold = math.log(SEED_SHARE / (1.0 - SEED_SHARE))
    for level in (threshold, math.log(LEAST_SHARE / (1.0 - LEAST_SHARE))):
        sure = np.ascontiguousarray(logits > level, dtype=np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(sure, connectivity=8)
        if count < 2:
            continue
        weight = sigmoid(np.asarray(logits, np.float32))
        total = np.bincount(labels.ravel(), weights=weight.ravel(), minlength=count)[1:]
        # A needle is long: of two pieces of one weight the longer one is it.
        extent = np.hypot(stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT])
        best = 1 + int(np.argmax(total * extent))
        if stats[best, cv2.CC_STAT_AREA] < LEAST_PIXELS:
            continue
        rows, columns = np.nonzero(labels == best)
        return columns.astype(np.float64), rows.astype(np.float64), weight[rows, columns].astype(np.float64)
    return None


def likely_pixels(logits: NDArray[np.floating]) -> Pixels:
    """Every pixel of the map that has a say in the axis."""
    rows, columns = np.nonzero(logits > math.log(LEAST_SHARE / (1.0 - LEAST_SHARE)))
    weight = sigmoid(np.asarray(logits[rows, columns], np.float32)).astype(np.float64)
    return columns.astype(np.float64), rows.astype(np.float64), weight


def principal_axis(u: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[Pair, Pair]:
    """Weighted mean and unit vector of largest spread."""
    centre = (weight @ u) / weight.sum()
    away = u - centre
    _values, vectors = np.linalg.eigh((away * weight[:, None]).T @ away)
    return (float(centre[0]), float(centre[1])), (float(vectors[0, 1]), float(vectors[1, 1]))


def lay_through_stations(
    u: NDArray[np.float64], weight: NDArray[np.float64], centre: Pair, direction: Pair, reach: float, step: float
) -> Stations | None:
    """Line through the middles of stations along an axis; None where too little of the needle is there.

    Parameters
    ----------
    u : ndarray, shape (n, 2)
        Places of the pixels (x, y) in the unit.
    weight : ndarray, shape (n,)
    centre, direction : (x, y)
        A point of the axis so far, in the unit, and its unit vector.
    reach : float
        Pixels farther from that axis have no say, in the unit.
    step : float
        Length of a station, in the unit.
    """
    x, y = direction
    away = u - np.array(centre)
    along, across = away @ np.array([x, y]), away @ np.array([-y, x])
    near = np.abs(across) <= reach
    if int(near.sum()) < LEAST_PIXELS:
        return None
    along, across, weight = along[near], across[near], weight[near]
    cell = np.floor((along - along.min()) / step).astype(np.int64)
    mass = np.asarray(np.bincount(cell, weights=weight), np.float64)
    with_any = mass > 1e-6
    s = np.bincount(cell, weights=weight * along)[with_any] / mass[with_any]
    d = np.bincount(cell, weights=weight * across)[with_any] / mass[with_any]
    mass = mass[with_any]
    if len(s) < 3:
        return None
    offset, slope = 0.0, 0.0
    trust = mass.copy()
    covariance: NDArray[np.floating] = np.zeros((2, 2))
    noise = step * step
    for _ in range(5):
        off = d - (offset + slope * s)
        spread = 1.4826 * float(np.median(np.abs(off))) + 0.1 * step
        trust = mass / float(mass.max()) / (1.0 + np.square(off / (2.0 * spread)))
        noise = spread * spread * ALIKE_PX / STEP_PX
        total, first, second = float(trust.sum()), float(trust @ s), float((trust * s) @ s)
        information = np.array([[total, first], [first, second]]) / noise + 1e-9 * np.eye(2)
        covariance = np.linalg.inv(information)
        offset, slope = (covariance @ (np.array([float(trust @ d), float((trust * s) @ d)]) / noise)).tolist()
    turn = math.atan(slope)
    c, sine = math.cos(turn), math.sin(turn)
    turned = (x * c - y * sine, x * sine + y * c)
    moved = (centre[0] - offset * y, centre[1] + offset * x)
    middle = float(trust @ s) / float(trust.sum())
    # At the weighted middle, offset and slope do not depend on one another.
    sigma_middle = math.sqrt(noise / float(trust.sum()))
    off = d - (offset + slope * s)
    return Stations(
        moved, turned, sigma_middle, math.sqrt(max(0.0, float(covariance[1, 1]))), middle, s, off, trust, step
    )
