"""Time a plugin takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from puncta.metrics.intervals import Median, median_of


def ms_per_frame(elapsed_ns: NDArray[np.float64], clip_of: NDArray[np.intp]) -> Median:
    """Return the median time a frame takes [ms]; the median, since one pause of the machine would own a mean."""
    return median_of(elapsed_ns / 1e6, clip_of)
