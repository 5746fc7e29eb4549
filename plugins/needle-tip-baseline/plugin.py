"""Needle tip without training: what is brighter now than it was in any older frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.flags import Flag
from puncta.core.frame import Frame, grey_from_pixels
from puncta.core.geometry import tip_box_px
from puncta.core.results import Certainty, Detection, PluginOutput
from puncta.sdk.context import PluginContext
from puncta.sdk.plugin import ResetReason, StepResult

LABEL = "needle_tip"


def newness(newest: NDArray[np.uint8], older: list[NDArray[np.uint8]], sigma_px: float) -> NDArray[np.float32]:
    """Return the smoothed map of the newest picture minus the largest value of the older ones.

    Without an older picture it is the smoothed picture itself.

    Parameters
    ----------
    newest : ndarray of uint8, shape (h, w)
    older : list of ndarray of uint8, each of shape (h, w)
    sigma_px : float
        Sigma of the Gaussian [px]; 0 smooths nothing.
    """
    rise = newest.astype(np.float32)
    if older:
        rise -= np.maximum.reduce(older)
    return cv2.GaussianBlur(rise, (0, 0), sigma_px) if sigma_px > 0 else rise


def prominence(rise: NDArray[np.float32], peak: float) -> float:
    """Return a score 0..1 from the height of a peak in standard deviations of the map (0.5 at 5 deviations)."""
    spread = float(rise.std())
    if spread == 0:
        return 0.0
    deviations = (peak - float(rise.mean())) / spread
    return float(max(0.0, deviations) / (max(0.0, deviations) + 5.0))


class NewestBrightPoint:
    """Keeps the last pictures of one stream."""

    def __init__(self, context: PluginContext) -> None:
        self._smoothing = float(context.options["smoothing"])
        self._least_score = float(context.options["least_score"])
        self._older: deque[NDArray[np.uint8]] = deque(maxlen=int(context.options["history"]))

    def reset(self, reason: ResetReason) -> None:
        """Forget the older pictures."""
        self._older.clear()

    def step(self, frame: Frame, upstream: Mapping[str, PluginOutput]) -> StepResult:
        """Return the highest point of the map."""
        x0, y0, w, h = frame.geometry.region.box
        newest = np.ascontiguousarray(grey_from_pixels(frame.pixels[y0 : y0 + h, x0 : x0 + w]))
        if self._older and self._older[0].shape != newest.shape:
            self._older.clear()
        rise = newness(newest, list(self._older), self._smoothing * w)
        self._older.append(newest)
        row, col = divmod(int(rise.argmax()), w)
        score = prominence(rise, float(rise[row, col]))
        if score < self._least_score or score == 0.0:
            lost = Detection(LABEL, None, None, score, certainty=Certainty.LOST, reason="nothing new stands out")
            return StepResult((lost,), frozenset({Flag.LOW_CONFIDENCE}))
        tip_px = (float(x0 + col), float(y0 + row))
        box = tip_box_px(tip_px, frame.geometry.region.box)
        return StepResult((Detection(LABEL, box, tip_px, score, certainty=Certainty.UNCERTAIN),))

    def close(self) -> None:
        """Forget the older pictures."""
        self._older.clear()


def create(context: PluginContext) -> NewestBrightPoint:
    """Make the plugin for one stream."""
    return NewestBrightPoint(context)
