"""How a frame's native planes are recorded, and how a recorded frame becomes the same pixels again.

A frame does not say in which format its planes are. It is found by trying: planes are recorded only where turning them
into pixels gives exactly the pixels that were shown and analysed; otherwise those pixels themselves are recorded.
"""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from puncta.core.frame import Frame
from puncta.recording.kept_region import Keeping, Layout, cut_planes
from puncta.recording.plane_codec import Planes, plane_shapes
from puncta.sources.video_pixels import display_pixels

_YUV = ("yuv420p", "yuv422p", "yuv444p")


def layout_of(frame: Frame, keeping: Keeping | None = None) -> Layout:
    """Return how a frame is recorded.

    Parameters
    ----------
    keeping : Keeping or None
        The part that is kept; the pixels have to come out right there.
    """
    grey = frame.pixels.ndim == 2
    shown = Layout("gray8" if grey else "rgb24", grey)
    name = _format_of(frame)
    if name is None:
        return shown
    for full_range in (False, True):
        layout = Layout(name, grey, full_range)
        planes = cut_planes(frame.planes, layout, keeping) if keeping is not None else frame.planes
        pixels = pixels_of(planes, layout)
        wanted = frame.pixels
        if keeping is not None and not keeping.whole:
            (x0, y0, _w, _h), (rx, ry, rw, rh) = keeping.box, keeping.region
            pixels = pixels[ry : ry + rh, rx : rx + rw]
            wanted = wanted[y0 + ry : y0 + ry + rh, x0 + rx : x0 + rx + rw]
        if np.array_equal(pixels, wanted):
            return layout
    return shown


def _format_of(frame: Frame) -> str | None:
    shapes = [plane.shape for plane in frame.planes]
    if len(shapes) != 3 or any(plane.dtype != np.uint8 for plane in frame.planes) or len(shapes[0]) != 2:
        return None
    height, width = shapes[0]
    if (height, width) != frame.pixels.shape[:2]:
        return None
    return next((name for name in _YUV if plane_shapes(name, width, height) == shapes), None)


def pixels_of(planes: Planes, layout: Layout) -> NDArray[np.uint8]:
    """Return what screens and models see of recorded planes."""
    if layout.pixel_format in ("gray8", "rgb24"):
        return planes[0]
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, layout.pixel_format)
    frame.color_range = ColorRange.JPEG if layout.full_range else ColorRange.MPEG
    for plane, samples in zip(frame.planes, planes):
        rows = np.frombuffer(memoryview(plane), np.uint8)[: plane.line_size * plane.height]
        rows.reshape(plane.height, plane.line_size)[:, : plane.width] = samples
    return display_pixels(frame, planes, layout.grey)
