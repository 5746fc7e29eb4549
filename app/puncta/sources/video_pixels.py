"""From a decoded video frame to native planes (hash, lossless recording) and to 8-bit pixels (display, models)."""

from __future__ import annotations

import functools

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

NEUTRAL_CHROMA = 2
"""A chroma sample this near to the middle is rounding of a grey picture, not a colour."""

_PALETTE_BYTES = 1024


def native_planes(frame: av.VideoFrame) -> tuple[NDArray, ...]:
    """Copy the planes exactly as decoded, without the padding at the end of each row.

    Their bytes in order equal those of ``ffmpeg -f rawvideo -pix_fmt <native>``: planar formats give one plane each
    (Y, U, V), packed ones a single plane, pal8 its indices and its palette.

    Returns
    -------
    tuple of ndarray
        uint8, or uint16 in the file's byte order for formats of more than 8 bits; shape (h, w) or (h, w, channels).
    """
    fmt = frame.format
    planes: list[NDArray] = []
    for number, plane in enumerate(frame.planes):
        if fmt.has_palette and number == 1:
            planes.append(np.frombuffer(memoryview(plane), np.uint8)[:_PALETTE_BYTES].copy())
            continue
        row_bytes = _row_bytes(fmt, number, plane.width)
        stored = np.frombuffer(memoryview(plane), np.uint8)
        rows = stored[: plane.line_size * plane.height].reshape(plane.height, plane.line_size)
        planes.append(_shaped(np.ascontiguousarray(rows[:, :row_bytes]), fmt, plane.width))
    return tuple(planes)


def _row_bytes(fmt: av.VideoFormat, number: int, width: int) -> int:
    if len({c.plane for c in fmt.components}) == 1 or fmt.has_palette:
        return (width * fmt.padded_bits_per_pixel + 7) // 8
    samples = [c for c in fmt.components if c.plane == number]
    return width * sum((c.bits + 7) // 8 for c in samples)


def _shaped(rows: NDArray[np.uint8], fmt: av.VideoFormat, width: int) -> NDArray:
    if max(c.bits for c in fmt.components) > 8 and rows.shape[1] % 2 == 0:
        rows = rows.view(">u2" if fmt.is_big_endian else "<u2")
    channels, rest = divmod(rows.shape[1], width)
    return rows.reshape(rows.shape[0], width, channels) if channels > 1 and rest == 0 else rows


def is_grey(frame: av.VideoFrame) -> bool:
    """Tell whether a frame has no colour: a grey format, or chroma planes that are neutral throughout."""
    fmt = frame.format
    if fmt.name.startswith("gray"):
        return True
    if _is_plain_yuv(fmt):
        middle = 128 if fmt.components[0].bits == 8 else 1 << (fmt.components[0].bits - 1)
        slack = NEUTRAL_CHROMA * middle // 128
        return all(
            int(plane.min()) >= middle - slack and int(plane.max()) <= middle + slack
            for plane in native_planes(frame)[1:3]
        )
    rgb = _rgb(frame).astype(np.int16)
    return int(np.abs(rgb - rgb[..., 1:2]).max()) <= NEUTRAL_CHROMA


def display_pixels(frame: av.VideoFrame, planes: tuple[NDArray, ...], grey: bool) -> NDArray[np.uint8]:
    """Convert a decoded frame to what screens and models see: full range, grey or RGB.

    Parameters
    ----------
    frame : av.VideoFrame
    planes : tuple of ndarray
        From ``native_planes``.
    grey : bool
        One layout for the whole source, decided when it opens.

    Returns
    -------
    ndarray of uint8, shape (H, W) or (H, W, 3)
    """
    fmt = frame.format
    if not grey:
        return _rgb(frame)
    if not (_is_plain_yuv(fmt) or fmt.name.startswith("gray")) or planes[0].ndim != 2:
        return np.asarray(cv2.cvtColor(_rgb(frame), cv2.COLOR_RGB2GRAY), np.uint8)
    luma = planes[0]
    bits = fmt.components[0].bits
    full = _is_full_range(frame)
    if bits == 8:
        return luma if full else np.asarray(cv2.LUT(luma, _limited_to_full(8)), np.uint8)
    native = luma.astype(luma.dtype.newbyteorder("="), copy=False)
    return _full_to_full(bits)[native] if full else _limited_to_full(bits)[native]


def _is_plain_yuv(fmt: av.VideoFormat) -> bool:
    return fmt.is_planar and not fmt.is_rgb and len({c.plane for c in fmt.components}) >= 3


def _is_full_range(frame: av.VideoFrame) -> bool:
    if frame.color_range != ColorRange.UNSPECIFIED:
        return frame.color_range == ColorRange.JPEG
    return frame.format.name.startswith(("yuvj", "gray"))


def _rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    if frame.format.name == "rgb24":
        return native_planes(frame)[0]
    source_range = ColorRange.JPEG if _is_full_range(frame) or frame.format.is_rgb else ColorRange.MPEG
    rgb = frame.reformat(format="rgb24", src_color_range=source_range, dst_color_range=ColorRange.JPEG)
    return native_planes(rgb)[0]


@functools.cache
def _limited_to_full(bits: int) -> NDArray[np.uint8]:
    """Table from limited-range luma (16..235, ITU-R BT.601) to 0..255."""
    unit = 1 << (bits - 8)
    values = (np.arange(1 << bits, dtype=np.float64) / unit - 16.0) * (255.0 / 219.0)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@functools.cache
def _full_to_full(bits: int) -> NDArray[np.uint8]:
    top = (1 << bits) - 1
    return np.rint(np.arange(top + 1, dtype=np.float64) * (255.0 / top)).astype(np.uint8)
