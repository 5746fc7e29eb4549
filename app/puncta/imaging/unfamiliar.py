"""Pictures that no network needs to see: empty, frozen, or not of ultrasound at all.

Ultrasound carries speckle wherever there is an echo. Screens are flat between their letters, photographs are smooth
in the sky and on skin; so the least grainy part of what is lit tells them apart. A curved probe of low frequency has
coarse speckle, and a scanner that smooths and compresses leaves little that is finer; its picture is known by grain of
a few pixels, which the smooth parts of photographs lack as well. There is no other measure: a photograph of gravel is
as grainy as tissue.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.imaging.motion_history import repeats

SPREAD_LEAST = 6.0
"""Deviation of the grey levels below which there is no picture to look at (probe in air, black screen)."""
FROZEN_NS = 2_000_000_000
"""Frames that repeat the same picture for longer than this show a frozen one."""
BLOCKS = 16
LIT_GREY = 25.0
LIT_LEAST = 8
"""Blocks that must be lit for a judgement; a nearly dark picture is left to the network."""
GRAIN_SHARES = (0.10, 0.25)
GRAIN_LEAST = (0.016, 0.026)
"""Grain below which that share of the lit blocks must not lie. 14,400 frames of simulated scanners and of needle-free
stills of three real ones stay above 0.019 and 0.026; screens lie at 0 and most photographs below 0.02. Of the frames of
the simulated machine G, 256 px wide, 73 % lie below."""
COARSE_LEAST = (0.018, 0.025)
"""The same of the coarse grain; a picture that reaches both here is ultrasound with whatever fine grain. 3 % of those
frames of machine G do not. Of 168 cut-outs of 28 photographs and screens that come with scikit-image, scikit-learn and
Matplotlib, 65 % are told from ultrasound so, and 67 % were by the fine grain alone."""
FINE_PX, COARSE_PX = (0.0, 2.0), (1.0, 4.0)
"""Sigmas of the Gaussians between which a grain lies [px]."""
LOOK_EVERY = 4
"""Distinct frames between two looks at the grain."""

EMPTY = "the picture is empty"
FROZEN = "the picture is frozen"
NO_SPECKLE = "the picture does not look like ultrasound"


def grain_of(
    grey: NDArray[np.uint8], band_px: tuple[float, float] = FINE_PX
) -> tuple[float, float] | None:
    """Return the grain that the given shares of the lit blocks do not reach; None where hardly anything is lit.

    Grain is the deviation of what lies in the band over the brightness, in blocks of a 16th of the side. ``FINE_PX`` is
    what is finer than about 2 px.
    """
    picture = grey.astype(np.float32)
    inner = cv2.GaussianBlur(picture, (0, 0), band_px[0]) if band_px[0] else picture
    fine = inner - cv2.GaussianBlur(picture, (0, 0), band_px[1])
    size = (BLOCKS, BLOCKS)
    level = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    power = cv2.resize(cv2.multiply(fine, fine), size, interpolation=cv2.INTER_AREA)
    lit = level > LIT_GREY
    if int(lit.sum()) < LIT_LEAST:
        return None
    low, high = np.quantile(np.sqrt(power[lit]) / (level[lit] + 10.0), GRAIN_SHARES)
    return float(low), float(high)


def is_plain(grey: NDArray[np.uint8]) -> bool:
    """Tell whether what is lit has neither the fine nor the coarse grain of ultrasound."""
    for band_px, least in ((FINE_PX, GRAIN_LEAST), (COARSE_PX, COARSE_LEAST)):
        grain = grain_of(grey, band_px)
        if grain is None or all(g >= limit for g, limit in zip(grain, least, strict=True)):
            return False
    return True


class PictureWatch:
    """Watches one stream.

    Attributes
    ----------
    empty, frozen : bool
        What the last picture was.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all frames."""
        self.empty = self.frozen = False
        self._last: NDArray[np.uint8] | None = None
        self._new_ns = 0
        self._plain = False
        self._until_look = 0

    def look(self, grey: NDArray[np.uint8], t_ns: int) -> str | None:
        """Take the next frame, as the network sees it; return why it must not be read, or None.

        Parameters
        ----------
        t_ns : int
            When the frame was taken [ns].
        """
        if self._last is None or not repeats(self._last, grey):
            self._last, self._new_ns = grey, t_ns
            self.frozen = False
            spread = cv2.meanStdDev(grey)[1]
            self.empty = float(spread[0, 0]) < SPREAD_LEAST
            if self.empty:
                self._until_look = 0
            elif self._until_look == 0:
                self._plain = is_plain(grey)
                self._until_look = LOOK_EVERY
            self._until_look = max(0, self._until_look - 1)
        else:
            self.frozen = t_ns - self._new_ns > FROZEN_NS
        if self.empty:
            return EMPTY
        if self.frozen:
            return FROZEN
        return NO_SPECKLE if self._plain else None
