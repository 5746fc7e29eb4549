"""Marks the spot that grew brightest since the previous frame: a template that works without a model."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.flags import Flag
from puncta.core.frame import Frame, grey_from_pixels
from puncta.core.geometry import box_around_px
from puncta.core.results import Certainty, Detection, PluginOutput
from puncta.sdk.context import PluginContext
from puncta.sdk.plugin import ResetReason, StepResult

LABEL = "brightest_change"
BOX_SHARE = 0.06
"""Side of the drawn box as a share of the region's width."""


class BrightestChange:
    """Compares each frame with the one before it."""

    def __init__(self, least_change: float) -> None:
        self._least_change = least_change
        self._previous: NDArray[np.float32] | None = None

    def reset(self, reason: ResetReason) -> None:
        """Forget the previous frame."""
        self._previous = None

    def step(self, frame: Frame, upstream: Mapping[str, PluginOutput]) -> StepResult:
        """Find the largest rise in brightness inside the ultrasound region."""
        # Only the ultrasound region is looked at: the machine's own texts and bars are outside it.
        x0, y0, w, h = frame.geometry.region.box
        grey = grey_from_pixels(frame.pixels[y0 : y0 + h, x0 : x0 + w])
        # Speckle flickers from pixel to pixel; a small blur leaves what changes as a whole.
        smooth = cv2.GaussianBlur(grey, (5, 5), 0).astype(np.float32)
        previous, self._previous = self._previous, smooth
        if previous is None or previous.shape != smooth.shape:
            return self._lost("there is no earlier frame to compare with")
        rise = smooth - previous
        row, column = np.unravel_index(int(np.argmax(rise)), rise.shape)
        change = float(rise[row, column])
        if change < self._least_change:
            return self._lost("nothing grew clearly brighter")
        # Results are in pixels of the whole source picture, so the region's corner is added back.
        point_px = (float(x0 + column), float(y0 + row))
        found = Detection(
            LABEL,
            box=box_around_px(point_px, (w * BOX_SHARE, w * BOX_SHARE)),
            tip_px=point_px,
            score=min(1.0, change / 255.0),
            # A rise in brightness is no proof of a needle, so it is drawn as unsure.
            certainty=Certainty.UNCERTAIN,
        )
        return StepResult((found,))

    @staticmethod
    def _lost(reason: str) -> StepResult:
        # Nothing found is an answer too: it says why, and a flag shows it.
        lost = Detection(LABEL, box=None, tip_px=None, score=0.0, certainty=Certainty.LOST, reason=reason)
        return StepResult((lost,), frozenset({Flag.TRACK_LOST}))

    def close(self) -> None:
        """Release the previous frame."""
        self._previous = None


def create(context: PluginContext) -> BrightestChange:
    """Called once for each stream that is opened."""
    context.log.debug("least change: %s grey levels", context.options["least_change"])
    return BrightestChange(float(context.options["least_change"]))
