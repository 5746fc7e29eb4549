"""Whether a drawn needle can be seen where its tip is: what nobody can see is neither asked for nor forbidden."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SEEN_GREY, SEEN_SHARE = 12.0, 1.2
SEEN_PX, SEEN_ABOUT_PX = 30, 10
"""What a needle adds to the picture within 10 px of its tip has to reach 12 grey levels, and 1.2 times the tissue's own
deviation there, on average over the 30 pixels where it adds most."""


def is_seen(bare: NDArray[np.generic], shown: NDArray[np.generic], tip_px: NDArray[np.float64]) -> bool:
    """Tell whether a needle can be seen about its tip, by the picture without and with it [grey levels]."""
    x, y = (int(v) for v in tip_px)
    rows, columns = (slice(max(0, v - SEEN_ABOUT_PX), v + SEEN_ABOUT_PX + 1) for v in (y, x))
    before = bare[rows, columns].astype(np.float32)
    brightest = np.sort(shown[rows, columns].astype(np.float32) - before, axis=None)[-SEEN_PX:]
    return bool(brightest.mean() >= max(SEEN_GREY, SEEN_SHARE * float(before.std())))
