"""A user's prompt as the picture a tracking network takes for its prior: one owner for training and inference."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.prompts import BoxPrompt, MaskPrompt, Prompt, ScribblePrompt
from puncta.imaging.preprocess import RegionMapping

SCRIBBLE_SHARE = 5.0 / 256.0
"""Width of a drawn scribble as a share of the picture's side: about a needle's echo."""
BOX_LEVEL = 0.5
"""A box says "in here", not "here": it is filled at this level."""
_SHIFT = 4


def draw_scribble(points: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Draw a line along a needle.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        (x, y) in pixels of the picture that is made.
    size : int
        Its side [px].

    Returns
    -------
    ndarray of float32, shape (size, size)
        1 on the line, 0 elsewhere.
    """
    drawn = np.zeros((size, size), np.uint8)
    fixed = np.rint(np.asarray(points, np.float64) * 2**_SHIFT).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(drawn, [fixed], False, 255, max(1, round(SCRIBBLE_SHARE * size)), cv2.LINE_AA, _SHIFT)
    return drawn.astype(np.float32) / np.float32(255.0)


def draw_box(low: tuple[float, float], high: tuple[float, float], size: int) -> NDArray[np.float32]:
    """Fill a box between two corners (x, y) in pixels of the picture that is made; ``BOX_LEVEL`` inside, 0 outside."""
    drawn = np.zeros((size, size), np.float32)
    x0, y0 = (max(0, round(v)) for v in low)
    x1, y1 = (min(size - 1, round(v)) for v in high)
    drawn[y0 : y1 + 1, x0 : x1 + 1] = BOX_LEVEL
    return drawn


def prior_from_prompt(prompt: Prompt, mapping: RegionMapping) -> NDArray[np.float32]:
    """Draw a prompt in source pixels into the picture that a network sees.

    Parameters
    ----------
    mapping : RegionMapping
        Onto a square picture.

    Returns
    -------
    ndarray of float32, shape (S, S)
        0..1; all 0 where the prompt lies outside the region.
    """
    size = mapping.size_px[0]
    match prompt:
        case ScribblePrompt():
            return draw_scribble(mapping.model_from_image(np.array(prompt.points_px)), size)
        case BoxPrompt():
            x, y, w, h = prompt.box
            low, high = mapping.model_from_image(np.array([(x, y), (x + w, y + h)]))
            return draw_box((float(low[0]), float(low[1])), (float(high[0]), float(high[1])), size)
        case MaskPrompt():
            return _prior_from_mask(prompt, mapping)


def _prior_from_mask(prompt: MaskPrompt, mapping: RegionMapping) -> NDArray[np.float32]:
    x0, y0, w, h = mapping.box
    region = np.zeros((h, w), np.float32)
    left, top = prompt.origin_px[0] - x0, prompt.origin_px[1] - y0
    height, width = prompt.mask.shape
    rows, columns = slice(max(0, top), min(h, top + height)), slice(max(0, left), min(w, left + width))
    if rows.start < rows.stop and columns.start < columns.stop:
        seen = prompt.mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        region[rows, columns] = seen
    size = mapping.size_px
    shrinks = size[0] <= w and size[1] <= h
    return np.asarray(
        cv2.resize(region, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), dtype=np.float32
    )
