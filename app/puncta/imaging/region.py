"""Finds the ultrasound picture inside a machine's screen, where no file states it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.frame import grey_from_pixels

_WORK_PX = 400
_MIN_SHARE = 0.06


@dataclass(frozen=True, slots=True)
class RegionFinding:
    """Where the ultrasound picture lies.

    Attributes
    ----------
    box : tuple of int
        [x0, y0, w, h] [px], inside the picture.
    confidence : float
        0..1, how far the finding stands out from its surroundings.
    kind : str
        "found", or "whole" where the whole picture is taken for want of anything better.
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
    scale = min(1.0, _WORK_PX / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    stack = [cv2.resize(grey_from_pixels(f), size, interpolation=cv2.INTER_AREA) for f in frames]
    mask = _tissue_mask(np.stack(stack).astype(np.float32))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return RegionFinding((0, 0, width, height), 0.0, "whole")
    best = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    x, y, w, h, area = (int(v) for v in stats[best])
    if area < _MIN_SHARE * mask.size:
        return RegionFinding((0, 0, width, height), 0.0, "whole")
    x0, y0 = round(x / size[0] * width), round(y / size[1] * height)
    x1, y1 = round((x + w) / size[0] * width), round((y + h) / size[1] * height)
    return RegionFinding((x0, y0, x1 - x0, y1 - y0), float(area / (w * h)), "found")


def _tissue_mask(stack: NDArray[np.float32]) -> NDArray[np.uint8]:
    mean = stack.mean(axis=0)
    background = float(np.median(np.concatenate([mean[0], mean[-1], mean[:, 0], mean[:, -1]])))
    bright = (np.abs(mean - background) > 6).astype(np.uint8)
    small = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    large = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (15, 15))
    opened = cv2.morphologyEx(bright, cv2.MORPH_OPEN, small)
    return cv2.morphologyEx(opened, cv2.MORPH_CLOSE, large)
