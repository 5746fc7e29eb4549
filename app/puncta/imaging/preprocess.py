"""From a picture's ultrasound region to what a network sees, and back: the one owner for training and inference."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.frame import grey_from_pixels

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class RegionMapping:
    """The exact map between source-image pixels and a model's input pixels, both with centres at integers.

    ``model = (image - (x0, y0) + 0.5) * scale - 0.5``: the outer corners of the region and of the input coincide, the
    convention of ``cv2.resize``.

    Attributes
    ----------
    box : tuple of int
        The region [x0, y0, w, h] [px].
    size_px : tuple of int
        (width, height) of the model's input [px].
    """

    box: Box
    size_px: tuple[int, int]

    @property
    def scale(self) -> tuple[float, float]:
        """Model pixels per image pixel along x and y."""
        return (self.size_px[0] / self.box[2], self.size_px[1] / self.box[3])

    def model_from_image(self, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map image points [px], shape (..., 2), to the model's input."""
        points = np.asarray(points_px, dtype=np.float64)
        return (points - self._corner + 0.5) * np.array(self.scale) - 0.5

    def image_from_model(self, points_model: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map points of the model's input, shape (..., 2), to the image [px]."""
        points = np.asarray(points_model, dtype=np.float64)
        return (points + 0.5) / np.array(self.scale) - 0.5 + self._corner

    def lengths_image_from_model(self, lengths_model: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert extents (width, height) of the model's input to the image [px]."""
        return np.asarray(lengths_model, dtype=np.float64) / np.array(self.scale)

    @property
    def _corner(self) -> NDArray[np.float64]:
        return np.array(self.box[:2], dtype=np.float64)


def crop_region(pixels: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """Cut a region out of a picture and make it grey.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W) or (H, W, 3)
    box : tuple of int
        [x0, y0, w, h] [px]; must lie inside the picture.

    Returns
    -------
    ndarray of uint8, shape (h, w)
        A view where the picture is grey.
    """
    x0, y0, w, h = box
    if x0 < 0 or y0 < 0 or w <= 0 or h <= 0 or x0 + w > pixels.shape[1] or y0 + h > pixels.shape[0]:
        raise ValueError(f"the region {box} does not lie inside a picture of {pixels.shape[1]} x {pixels.shape[0]}")
    return grey_from_pixels(pixels[y0 : y0 + h, x0 : x0 + w])


def resample_region(
    pixels: NDArray[np.uint8], box: Box, size_px: tuple[int, int]
) -> tuple[NDArray[np.uint8], RegionMapping]:
    """Cut a region out and resample it to a model's size.

    Shrinking averages areas (no aliasing of speckle), enlarging interpolates linearly; both keep the outer corners.

    Returns
    -------
    tuple
        ndarray of uint8, shape (height, width), and the mapping of coordinates.
    """
    grey = crop_region(pixels, box)
    shrinks = size_px[0] <= grey.shape[1] and size_px[1] <= grey.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resampled = grey if (grey.shape[1], grey.shape[0]) == size_px else cv2.resize(grey, size_px, interpolation=how)
    return np.ascontiguousarray(resampled), RegionMapping(box, size_px)


def to_model_input(grey: NDArray[np.uint8], mean: float = 0.0, std: float = 1.0) -> NDArray[np.float32]:
    """Scale grey values to (value / 255 - mean) / std.

    Returns
    -------
    ndarray of float32, shape (1, 1, H, W)
    """
    if std <= 0:
        raise ValueError("std must be positive")
    scaled = (grey.astype(np.float32) * np.float32(1 / 255) - np.float32(mean)) / np.float32(std)
    return scaled[None, None]
