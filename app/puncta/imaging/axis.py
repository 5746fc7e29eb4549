"""The axis of a needle through a known tip: the ray along which the picture shows most of a thin bright line.

A network says where the tip is better than at which angle the shaft lies, since a degree is less than a cell. So its
direction is a guess, and rays round it are compared on the picture itself. The best of them is then laid into the
ridge it runs along, below a pixel and a degree: the idea of DeepLSD's refinement (Pautrat et al., CVPR 2023), a few
Gauss-Newton steps on the picture in a narrow band, here on brightness across the line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

STEP_DEG = 1.0
ALONG_STEP_PX = 2.0
OFFSETS_PX = (-2.5, 0.0, 2.5)
SOFTNESS = 0.12

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


def line_evidence(grey: NDArray[np.uint8], shaft: NDArray[np.floating]) -> NDArray[np.float32]:
    """Evidence of a thin bright line at every pixel, about 0..2.

    Parameters
    ----------
    grey : ndarray of uint8, shape (S, S)
    shaft : ndarray, shape (s, s)
        A network's map of the shaft, 0..1, of lower resolution.
    """
    picture = cv2.GaussianBlur(grey, (0, 0), 1.0).astype(np.float32)
    ridge = picture - cv2.blur(picture, (13, 13))
    # Contrast counts, not brightness: a faint shaft on dark tissue is as much a line as a bright one on bright tissue.
    spread = np.sqrt(np.maximum(cv2.blur(ridge * ridge, (41, 41)), 0.0)) + 4.0
    size = (grey.shape[1], grey.shape[0])
    seen = cv2.resize(shaft.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(ridge / spread, -0.7, 1.6) * 0.6 + seen, dtype=np.float32)


def search_axis(
    evidence: NDArray[np.float32],
    tip: tuple[float, float],
    guess: tuple[float, float],
    reach_deg: float = 32.0,
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
    if math.hypot(*guess) < 1e-6:
        return None
    middle = math.atan2(guess[1], guess[0])
    turns = np.radians(np.arange(-reach_deg, reach_deg + STEP_DEG / 2, STEP_DEG))
    angles = (middle + turns)[:, None, None]
    along = np.arange(near_px, far_px, ALONG_STEP_PX)[None, None, :]
    beside = np.array(OFFSETS_PX)[None, :, None]
    x = np.rint(tip[0] + along * np.cos(angles) - beside * np.sin(angles)).astype(np.int32)
    y = np.rint(tip[1] + along * np.sin(angles) + beside * np.cos(angles)).astype(np.int32)
    height, width = evidence.shape
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    counted = inside.sum(axis=2)
    if int(counted.max()) < 12:
        return None
    values = evidence[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)] * inside
    # A short ray that leaves the picture soon must not win by luck.
    means = values.sum(axis=2) / np.maximum(counted, 15)
    # Large turns and a tip beside the line are possible, but less so.
    means = means - 0.15 * np.square(turns[:, None] / math.radians(reach_deg)) - 0.02 * np.square(beside[0, :, 0] / 3.0)
    by_angle = means.max(axis=1)
    best = int(by_angle.argmax())
    weights = np.exp((by_angle - by_angle[best]) / (SOFTNESS / 4))
    weights[np.abs(np.arange(len(turns)) - best) > 4] = 0.0
    weights /= weights.sum()
    turn = float((weights * turns).sum())
    wide = np.exp((by_angle - by_angle[best]) / SOFTNESS)
    wide /= wide.sum()
    sigma = float(np.sqrt((wide * np.square(turns - turn)).sum()))
    strength = float(by_angle[best] - np.median(by_angle))
    return AxisFit((math.cos(middle + turn), math.sin(middle + turn)), sigma, strength)


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
    covariance = np.diag([START_SIGMA_PX**2, math.radians(START_SIGMA_DEG) ** 2])
    band = _band_along(evidence, tip, (x, y), near_px)
    if band is None:
        return None
    along, across, values = band
    for width in WIDTHS_PX:
        offset, slope, covariance = _lay(along, across, values, offset, slope, width)
    turn = math.atan(slope)
    cosine, sine = math.cos(turn), math.sin(turn)
    sigma = math.hypot(FIT_SHARE * math.sqrt(covariance[1, 1]), SEARCH_SHARE * start.sigma_rad)
    return FineAxis(
        (x * cosine - y * sine, x * sine + y * cosine),
        offset,
        sigma,
        FIT_SHARE * math.sqrt(covariance[0, 0]),
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
    along = np.arange(near_px, FINE_REACH_PX, ALONG_STEP_PX, dtype=np.float32)[:, None]
    across = np.arange(-BAND_PX, BAND_PX + 0.5, BAND_STEP_PX, dtype=np.float32)[None, :]
    x, y = direction
    columns, rows = tip[0] + along * x - across * y, tip[1] + along * y + across * x
    height, width = evidence.shape
    mx, my = tip[0] + along[:, 0] * x, tip[1] + along[:, 0] * y
    inside = (mx >= 0) & (mx <= width - 1) & (my >= 0) & (my <= height - 1)
    if int(inside.sum()) < LEAST_STATIONS:
        return None
    seen = cv2.remap(evidence, columns[inside], rows[inside], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return along[inside, 0], across[0], np.square(np.maximum(seen, 0.0))


def _lay(
    along: NDArray[np.float32],
    across: NDArray[np.float32],
    values: NDArray[np.float32],
    offset: float,
    slope: float,
    width: float,
) -> tuple[float, float, NDArray[np.float64]]:
    """One step: offset [px], slope and their covariance, from the middles of the evidence near the line."""
    line = offset + slope * along
    weights = np.exp((-0.5 / (width * width)) * np.square(across[None, :] - line[:, None])) * values
    mass = weights.sum(axis=1) + 1e-6
    beside = (weights @ across) / mass - line
    spread = 1.4826 * float(np.median(np.abs(beside))) + 0.3
    trust = mass / (float(mass.max()) * (1.0 + np.square(beside / (2.0 * spread))))
    noise = spread * spread * ALIKE_PX / ALONG_STEP_PX
    total, first = float(trust.sum()), float(trust @ along)
    second = float((trust * along) @ along)
    information = np.array([[total, first], [first, second]]) / noise
    information[0, 0] += 1.0 / START_SIGMA_PX**2
    information[1, 1] += 1.0 / math.radians(START_SIGMA_DEG) ** 2
    # A window of this width over a ridge of that one finds its middle short of the ridge's own.
    wanted = trust * (line + (1.0 + (RIDGE_PX / width) ** 2) * beside)
    covariance: NDArray[np.float64] = np.asarray(np.linalg.inv(information), dtype=np.float64)
    solved = covariance @ (np.array([float(wanted.sum()), float(wanted @ along)]) / noise)
    return float(solved[0]), float(solved[1]), covariance
