"""From pixels in memory to something Qt paints, without a copy where none is needed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

SHRINK_BELOW = 0.6
"""Below so many device pixels a pixel, what lies between two pixels leaves others out."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A `QImage` together with the memory it shows, which must live as long as the image does."""

    image: QImage
    pixels: NDArray[np.uint8]


def tone_table(gain: float, gamma: float) -> NDArray[np.uint8] | None:
    """Return the look-up table of the view's gain and gamma, ``255 * min(1, gain * (v / 255)) ** (1 / gamma)``.

    Returns
    -------
    ndarray of uint8, shape (256,), or None
        None where the picture is shown as it is.
    """
    if gain == 1.0 and gamma == 1.0:
        return None
    values = np.clip(np.arange(256) / 255.0 * gain, 0.0, 1.0) ** (1.0 / gamma)
    return np.round(values * 255.0).astype(np.uint8)


def picture_from_pixels(pixels: NDArray[np.uint8], table: NDArray[np.uint8] | None = None) -> Picture:
    """Wrap a grey (H, W) or RGB (H, W, 3) picture for Qt.

    Shares the memory of ``pixels`` where they are contiguous and no table is given; ``pixels`` are never changed.
    """
    shown = pixels if table is None else np.asarray(cv2.LUT(pixels, table), dtype=np.uint8)
    if not shown.flags.c_contiguous:
        shown = np.ascontiguousarray(shown)
    return _wrap(shown)


def fit_picture(picture: Picture, factor: float) -> Picture:
    """Return a picture in the screen's own pixels, which Qt then only copies: its scaling takes three times as long.

    Far below the picture's size every pixel still counts, so that speckle does not flicker: means of two by two, again
    and again, then what lies between the next ones. Means of just as many as the factor says take ten times as long.

    Parameters
    ----------
    factor : float
        Device pixels a pixel. The picture's outer corner stays where it is; what is left of a pixel at the far edges
        is left out.
    """
    scaled = picture.pixels
    factor = max(factor, 1.0 / min(scaled.shape[:2]))  # a pixel at least, on however small a widget
    while factor < SHRINK_BELOW:
        scaled = np.asarray(cv2.resize(scaled, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        factor *= 2.0
    if factor != 1.0:
        how = cv2.INTER_LINEAR
        scaled = np.asarray(cv2.resize(scaled, None, fx=factor, fy=factor, interpolation=how), dtype=np.uint8)
    colours = cv2.COLOR_GRAY2BGRA if scaled.ndim == 2 else cv2.COLOR_RGB2BGRA
    shown = np.asarray(cv2.cvtColor(scaled, colours), dtype=np.uint8)
    height, width = shown.shape[:2]
    return Picture(QImage(shown.data, width, height, shown.strides[0], QImage.Format.Format_RGB32), shown)


def shrink_picture(picture: Picture, factor: float) -> Picture:
    """Return a smaller picture whose pixels are means of those they stand for, so that speckle does not flicker."""
    height, width = picture.pixels.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return _wrap(np.asarray(cv2.resize(picture.pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8))


def _wrap(shown: NDArray[np.uint8]) -> Picture:
    height, width = shown.shape[:2]
    form = QImage.Format.Format_Grayscale8 if shown.ndim == 2 else QImage.Format.Format_RGB888
    return Picture(QImage(shown.data, width, height, shown.strides[0], form), shown)
