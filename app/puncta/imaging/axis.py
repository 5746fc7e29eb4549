"""The axis of a needle through a known tip: the ray along which the picture shows most of a thin bright line.

A network says where the tip is better than at which angle the shaft lies, since a degree is less than a cell. So its
direction is a guess, and rays round it are compared on the picture itself. The best of them is then laid into the
ridge it runs along, below a pixel and a degree: the idea of DeepLSD's refinement (Pautrat et al., CVPR 2023), a few
Gauss-Newton steps on the picture in a narrow band, here on brightness across the line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

STEP_DEG = 1.0
ALONG_STEP_PX = 2.0
OFFSETS_PX = (-2.5, 0.0, 2.5)
SOFTNESS = 0.12
REACH_DEG = 32.0
"""Angles compared on either side of a guess [deg]."""

BAND_PX = 9.0
"""Reach of the refinement to either side of the line [px]."""
BAND_STEP_PX = 1.0
FINE_REACH_PX = 180.0
"""Part of the line that is refined; what lies outside the picture or shows nothing does not count."""
WIDTHS_PX = (4.0, 2.8, 2.0, 1.4, 1.0)
"""Deviations of the window across the line [px], step by step."""
START_SIGMA_DEG, START_SIGMA_PX = 3.0, 3.0
"""How far off the start may be: it is held to that much where the picture shows little."""
RIDGE_PX = 1.5
"""Deviation of a needle's echo across the line [px]."""
ALIKE_PX = 6.0
"""Along the line, brightness this near is no second opinion: speckle is that long."""
LEAST_STATIONS = 8
FIT_SHARE, SEARCH_SHARE = 1.5, 0.15
"""Weights of the fit's own error and of the search's spread in the error that is told. Set on 1534 frames of simulated
tune clips so that 90 % of true angles lie within 1.645 of it; the fit alone told 2.6 times too little there."""


Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class AxisFit:
    """A ray from the tip.

    Attributes
    ----------
    direction : tuple of float
        Unit vector from the tip towards the entry (x, y).
    sigma_rad : float
        Spread of the angles that fit about as well.
    strength : float
        Mean evidence along the ray less the median over all rays compared: about 0 where there is no line.
    """

    direction: tuple[float, float]
    sigma_rad: float
    strength: float


Part = tuple[int, int, int, int]
"""A part of a picture: first column, first row, column and row behind the last."""

_MARGIN_PX = 3 + 6 + 20
"""What the evidence of a pixel is computed from reaches this far: half of each of its three windows."""


def line_evidence(
    grey: NDArray[np.uint8], shaft: NDArray[np.floating], part: Part | None = None
) -> NDArray[np.float32]:
    """Evidence of a thin bright line at every pixel, about 0..2.

    Parameters
    ----------
    grey : ndarray of uint8, shape (S, S)
    shaft : ndarray, shape (s, s)
        A network's map of the shaft, 0..1, of lower resolution.
    part : (x0, y0, x1, y1) or None
        Compute this part alone, as it is cut out of the whole.

    Returns
    -------
    ndarray of float32, shape (S, S), or that of the part
    """
    height, width = grey.shape
    left, top, right, bottom = part or (0, 0, width, height)
    x0, y0 = max(0, left - _MARGIN_PX), max(0, top - _MARGIN_PX)
    cut = grey[y0 : min(height, bottom + _MARGIN_PX), x0 : min(width, right + _MARGIN_PX)]
    picture = cv2.GaussianBlur(cut, (7, 7), 1.0)
    ridge = np.subtract(picture, cv2.boxFilter(picture, cv2.CV_32F, (13, 13)))
    # Contrast counts, not brightness: a faint shaft on dark tissue is as much a line as a bright one on bright tissue.
    power = np.asarray(cv2.blur(cv2.multiply(ridge, ridge), (41, 41)), np.float32)
    spread = np.sqrt(np.maximum(power, 0.0, out=power), out=power)
    spread += 4.0
    ridge /= spread
    np.clip(ridge, -0.7, 1.6, out=ridge)
    ridge *= 0.6
    seen = cv2.resize(shaft.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.add(ridge[top - y0 : bottom - y0, left - x0 : right - x0], seen[top:bottom, left:right])


def part_behind(tip: tuple[float, float], guess: tuple[float, float], size: tuple[int, int]) -> Part:
    """Return the part of a picture that `search_axis` and `refine_axis` look at, whatever they find.

    Parameters
    ----------
    tip : (x, y) [px]
    guess : (x, y)
        Direction from the tip towards the entry, of any length.
    size : (width, height) [px]
    """
    middle, reach = math.atan2(guess[1], guess[0]), math.radians(REACH_DEG)
    angles = [middle - reach, middle + reach]
    # Where the fan holds a direction along the picture's sides, it reaches farthest there.
    angles += [k * math.pi / 2 for k in range(4) if abs(math.remainder(k * math.pi / 2 - middle, math.tau)) < reach]
    spare = BAND_PX + 3.0
    bounds = []
    for place, most, ways in (
        (tip[0], size[0], [math.cos(a) for a in angles]), (tip[1], size[1], [math.sin(a) for a in angles])
    ):
        first = math.floor(place + FINE_REACH_PX * min(0.0, *ways) - spare)
        last = math.ceil(place + FINE_REACH_PX * max(0.0, *ways) + spare) + 1
        bounds.append((min(max(0, first), most - 1), max(1, min(most, last))))
    return (bounds[0][0], bounds[1][0], bounds[0][1], bounds[1][1])


@dataclass(frozen=True, slots=True, eq=False)
class _Fan:
    """Rays to compare, from a tip at (0, 0) with the guess along x.

    Attributes
    ----------
    turns : ndarray, shape (rays,) [rad]
    places : ndarray of float32, shape (rays, beside x along, 2)
        Points (x, y) on the rays and beside them.
    handicap : ndarray, shape (rays, beside)
        Large turns and a tip beside the line are possible, but less so.
    """

    turns: NDArray[np.float64]
    places: NDArray[np.float32]
    handicap: NDArray[np.float64]


@cache
def _fan(reach_deg: float, near_px: float, far_px: float) -> _Fan:
    turns = np.radians(np.arange(-reach_deg, reach_deg + STEP_DEG / 2, STEP_DEG))
    angles = turns[:, None, None]
    along = np.arange(near_px, far_px, ALONG_STEP_PX)[None, None, :]
    beside = np.array(OFFSETS_PX)[None, :, None]
    places = np.stack(
        [along * np.cos(angles) - beside * np.sin(angles), along * np.sin(angles) + beside * np.cos(angles)], axis=-1
    )
    handicap = 0.15 * np.square(turns[:, None] / math.radians(reach_deg)) + 0.02 * np.square(beside[0, :, 0] / 3.0)
    return _Fan(turns, places.reshape(len(turns), -1, 2).astype(np.float32), handicap)


def _placed(
    places: NDArray[np.float32], tip: tuple[float, float], direction: tuple[float, float]
) -> NDArray[np.float32]:
    """Turn points so that x lies along a direction, and move them to the tip."""
    x, y = direction
    return np.asarray(cv2.transform(places, np.array([[x, -y, tip[0]], [y, x, tip[1]]])), np.float32)


def search_axis(
    evidence: NDArray[np.float32],
    tip: tuple[float, float],
    guess: tuple[float, float],
    reach_deg: float = REACH_DEG,
    near_px: float = 8.0,
    far_px: float = 90.0,
) -> AxisFit | None:
    """Find the ray from the tip with most evidence.

    Parameters
    ----------
    tip : (x, y) [px]
    guess : (x, y)
        Unit vector from the tip towards the entry.
    reach_deg : float
        Angles compared on either side of the guess.
    near_px, far_px : float
        Part of the ray that is looked at; nearer lies the tip's own echo.

    Returns
    -------
    AxisFit or None
        None where the guess has no length, or no ray stays in the picture.
    """
    length = math.hypot(*guess)
    if length < 1e-6:
        return None
    fan = _fan(reach_deg, near_px, far_px)
    places = _placed(fan.places, tip, (guess[0] / length, guess[1] / length))
    values = cv2.remap(
        evidence, places, _ONE_MAP, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=(_OUTSIDE,) * 4
    ).reshape(len(fan.turns), len(OFFSETS_PX), -1)
    outside = values == _OUTSIDE
    counted = values.shape[2] - np.count_nonzero(outside, axis=2)
    if int(counted.max()) < 12:
        return None
    values[outside] = 0.0
    # A short ray that leaves the picture soon must not win by luck.
    means = values.sum(axis=2) / np.maximum(counted, 15) - fan.handicap
    by_angle = means.max(axis=1)
    best = int(by_angle.argmax())
    turns = fan.turns
    lead = by_angle - by_angle[best]
    near = slice(max(0, best - 4), best + 5)
    weights = np.exp(lead[near] / (SOFTNESS / 4))
    turn = float(weights @ turns[near] / weights.sum())
    wide = np.exp(lead / SOFTNESS)
    sigma = math.sqrt(float(wide @ np.square(turns - turn) / wide.sum()))
    strength = float(by_angle[best]) - _median(by_angle)
    angle = math.atan2(guess[1], guess[0]) + turn
    return AxisFit((math.cos(angle), math.sin(angle)), sigma, strength)


_ONE_MAP = np.empty(0, np.float32)
"""For `cv2.remap`: both coordinates lie in its first map."""
_OUTSIDE = -1e6
"""Stands for what lies outside the picture; no evidence is that low."""


def _median(values: NDArray[np.floating]) -> float:
    """Median of a few numbers, without the cost of NumPy's care for whatever may come."""
    ordered = np.sort(values)
    half = len(ordered) // 2
    return float(ordered[half]) if len(ordered) % 2 else float(ordered[half - 1] + ordered[half]) / 2


@dataclass(frozen=True, slots=True)
class FineAxis:
    """A line laid into its ridge.

    Attributes
    ----------
    direction : tuple of float
        Unit vector from the tip towards the entry (x, y).
    offset_px : float
        How far the line passes beside the given tip [px], along (-y, x) of ``start``'s direction: to the right hand
        of it, y down. The tip lies better on the line than beside it.
    sigma_rad : float
        Standard error of the angle.
    offset_sigma_px : float
        Standard error of the offset [px].
    tip : tuple of float
        The given tip, moved by the offset onto the line (x, y) [px].
    """

    direction: tuple[float, float]
    offset_px: float
    sigma_rad: float
    offset_sigma_px: float
    tip: tuple[float, float]


def refine_axis(
    evidence: NDArray[np.float32], tip: tuple[float, float], start: AxisFit, near_px: float = 3.0
) -> FineAxis | None:
    """Lay an axis into the bright ridge along it.

    At stations along the line, the middle of the evidence under a window across it is where the ridge is; a line is
    laid through those middles by weighted least squares, stations that stand off count less (Cauchy's weights), the
    window follows and narrows. Five steps of this are Gauss-Newton on the evidence under the line.

    Parameters
    ----------
    evidence : ndarray of float32, shape (S, S)
        As `line_evidence` gives it.
    tip : (x, y) [px]
    start : AxisFit
        Right within about 3 degrees and 4 px, as `search_axis` finds it.
    near_px : float
        Nearer to the tip lies its own echo.

    Returns
    -------
    FineAxis or None
        None where too little of the line lies in the picture.

    Notes
    -----
    Against `search_axis` alone on simulated tune clips (1534 frames with a line): angle error median .61 -> .31
    degrees, 90th percentile 2.7 -> 1.6; the tip's error across the needle .56 -> .29 px (median).
    """
    x, y = start.direction
    offset, slope = 0.0, 0.0
    variances = (START_SIGMA_PX**2, math.radians(START_SIGMA_DEG) ** 2)
    band = _band_along(evidence, tip, (x, y), near_px)
    if band is None:
        return None
    along, across, values = band
    for width in WIDTHS_PX:
        offset, slope, variances = _lay(along, across, values, offset, slope, width)
    turn = math.atan(slope)
    cosine, sine = math.cos(turn), math.sin(turn)
    sigma = math.hypot(FIT_SHARE * math.sqrt(variances[1]), SEARCH_SHARE * start.sigma_rad)
    return FineAxis(
        (x * cosine - y * sine, x * sine + y * cosine),
        offset,
        sigma,
        FIT_SHARE * math.sqrt(variances[0]),
        (tip[0] - offset * y, tip[1] + offset * x),
    )


def _band_along(
    evidence: NDArray[np.float32],
    tip: tuple[float, float],
    direction: tuple[float, float],
    near_px: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]] | None:
    """Sample the band along a line: ways along it, places across it and the evidence there (stations, n), squared.

    Squared, a thin bright ridge outweighs the broad map of the shaft below it.
    """
    along, across, places = _band(near_px)
    placed = _placed(places, tip, direction)
    middle = placed[:, len(across) // 2]
    height, width = evidence.shape
    mx, my = middle[:, 0], middle[:, 1]
    inside = (mx >= 0) & (mx <= width - 1) & (my >= 0) & (my <= height - 1)
    count = int(np.count_nonzero(inside))
    if count < LEAST_STATIONS:
        return None
    if count < len(along):
        along, placed = along[inside], placed[inside]
    seen = cv2.remap(evidence, placed, _ONE_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return along, across, np.square(np.maximum(seen, 0.0))


@cache
def _band(near_px: float) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Ways along a line, places across it, and all their points (stations, n, 2) for a line along x."""
    along = np.arange(near_px, FINE_REACH_PX, ALONG_STEP_PX, dtype=np.float32)
    across = np.arange(-BAND_PX, BAND_PX + 0.5, BAND_STEP_PX, dtype=np.float32)
    return along, across, np.stack(np.meshgrid(along, across, indexing="ij"), axis=-1)


def _lay(
    along: NDArray[np.float32],
    across: NDArray[np.float32],
    values: NDArray[np.float32],
    offset: float,
    slope: float,
    width: float,
) -> tuple[float, float, Pair]:
    """One step: offset [px], slope and their variances, from the middles of the evidence near the line."""
    line = slope * along + offset
    weights = across[None, :] - line[:, None]
    np.square(weights, out=weights)
    weights *= -0.5 / (width * width)
    np.exp(weights, out=weights)
    weights *= values
    mass = weights.sum(axis=1) + 1e-6
    beside = (weights @ across) / mass - line
    spread = 1.4826 * _median(np.abs(beside)) + 0.3
    trust = mass / (float(mass.max()) * (1.0 + np.square(beside / (2.0 * spread))))
    # A window of this width over a ridge of that one finds its middle short of the ridge's own.
    wanted = trust * (line + (1.0 + (RIDGE_PX / width) ** 2) * beside)
    noise = spread * spread * ALIKE_PX / ALONG_STEP_PX
    far = trust * along
    a = float(trust.sum()) / noise + 1.0 / START_SIGMA_PX**2
    b = float(far.sum()) / noise
    c = float(far @ along) / noise + 1.0 / math.radians(START_SIGMA_DEG) ** 2
    p, q = float(wanted.sum()) / noise, float(wanted @ along) / noise
    determinant = a * c - b * b
    return (c * p - b * q) / determinant, (a * q - b * p) / determinant, (c / determinant, a / determinant)
