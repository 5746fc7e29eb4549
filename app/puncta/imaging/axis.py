"""The axis of a needle through a known tip: the ray along which the picture shows most of a thin bright line.

A network says where the tip is better than at which angle the shaft lies, since a degree is less than a cell. So its
direction is a guess, and rays round it are compared on the picture itself.
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
    return np.clip(ridge / spread, -0.7, 1.6) * 0.6 + seen


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
