"""From the few cells of a heat map to a smooth picture of it; the one owner for the screen and for exports."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

NEUTRAL = 0.5
"""Value that speaks neither for nor against a finding; up to it nothing is drawn."""
MOST_ALPHA = 0.6
"""Opacity of the strongest evidence, so that tissue stays readable below it."""
OUTLINE = 0.5
"""Share of the way from neutral to the strongest evidence at which the outline runs."""


def draw_share(values: NDArray[np.float32], size_px: tuple[int, int]) -> NDArray[np.float32]:
    """Return how strongly each pixel of a box is to be tinted, 0..1.

    Cells are interpolated between their centres, as ``cv2.resize`` does; outer corners of map and box coincide.

    Parameters
    ----------
    values : ndarray of float32, shape (h, w)
        0..1, 0.5 is neutral.
    size_px : tuple of int
        (width, height) [px].

    Returns
    -------
    ndarray of float32, shape (height, width)
    """
    smooth = cv2.resize(values, size_px, interpolation=cv2.INTER_LINEAR)
    return np.clip((smooth - NEUTRAL) / (1.0 - NEUTRAL), 0.0, 1.0)


def trace_share(share: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Return the outlines of what is tinted at least half, as points (x, y) in pixels of the box."""
    strong = (share >= OUTLINE).astype(np.uint8)
    contours, _ = cv2.findContours(strong, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [contour[:, 0, :].astype(np.float64) for contour in contours if len(contour) > 2]
