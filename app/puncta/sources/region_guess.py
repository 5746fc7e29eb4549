"""The ultrasound region of a source whose file states none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from puncta.core.frame import Calibration, ImageGeometry, UltrasoundRegion
from puncta.imaging.region import find_region

SAMPLE_COUNT = 8
"""Pictures looked at, spread over the file."""


def geometry_with_guess(
    width_px: int,
    height_px: int,
    samples: Sequence[NDArray[np.uint8]],
    calibration: Calibration | None = None,
    notes: tuple[str, ...] = (),
) -> ImageGeometry:
    """Return the geometry of a picture whose ultrasound region is found by looking at it.

    Parameters
    ----------
    width_px, height_px : int
        Size [px].
    samples : sequence of ndarray of uint8, shape (H, W) or (H, W, 3)
    calibration : Calibration or None
        One that the file states for the whole picture (its pixel spacing); a guess never brings its own.
    """
    finding = find_region(samples)
    origin = "whole picture" if finding.kind == "whole" else "detected"
    region = UltrasoundRegion(finding.box, origin, calibration)
    return ImageGeometry(width_px, height_px, (region,), notes)
