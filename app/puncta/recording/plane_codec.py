"""Lossless coding of a picture's planes, one frame at a time: MagicYUV, chosen by measuring (ADR 0007)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from puncta.core.errors import SourceError
from puncta.formats.frames_log import FramesHead

Planes = tuple[NDArray, ...]

CODEC = "magicyuv"
KNOWN_CODECS = (CODEC, "raw")
_CODED_AS = {"gray8": "gray", "rgb24": "gbrp", "yuv420p": "yuv420p", "yuv422p": "yuv422p", "yuv444p": "yuv444p"}
_SUBSAMPLING = {"yuv420p": (2, 2), "yuv422p": (2, 1)}


def subsampling_of(pixel_format: str) -> tuple[int, int]:
    """Return how many columns and rows of luma share one sample of chroma."""
    return _SUBSAMPLING.get(pixel_format, (1, 1))


class PlaneEncoder:
    """Codes frames of one size and format. Used by one thread.

    Parameters
    ----------
    pixel_format : str
        gray8, rgb24, yuv420p, yuv422p or yuv444p.
    """

    def __init__(self, pixel_format: str, width_px: int, height_px: int) -> None:
        self._format = _CODED_AS[pixel_format]
        self._size = width_px, height_px
        self._count = 0
        self._frame = av.VideoFrame(width_px, height_px, self._format)
        coder: Any = av.CodecContext.create(CODEC, "w")
        coder.width, coder.height, coder.pix_fmt = width_px, height_px, self._format
        coder.time_base, coder.thread_count = Fraction(1, 1000), 1
        coder.options = {"pred": "left"}
        coder.open()
        self._coder = coder

    @property
    def extradata(self) -> bytes:
        """What a decoder needs beside the payloads."""
        return self._coder.extradata or b""

    def encode(self, planes: Planes) -> tuple[bytes, bool]:
        """Return a frame's payload and whether it is raw, where coding would make it larger."""
        for plane, samples in zip(self._frame.planes, _coded_planes(planes)):
            _fill(plane, samples)
        self._frame.pts = self._count
        self._count += 1
        coded = b"".join(bytes(packet) for packet in self._coder.encode(self._frame))
        size = sum(plane.nbytes for plane in planes)
        if not coded or len(coded) >= size:
            return b"".join(np.ascontiguousarray(plane).tobytes() for plane in planes), True
        return coded, False


class PlaneDecoder:
    """Turns payloads back into planes, in any order. Used by one thread at a time."""

    def __init__(self, head: FramesHead) -> None:
        self._head = head
        self._coder: Any = None
        if head.codec == CODEC:
            coder: Any = av.CodecContext.create(CODEC, "r")
            coder.width, coder.height, coder.thread_count = head.width, head.height, 1
            if head.extradata:
                coder.extradata = bytes.fromhex(head.extradata)
            self._coder = coder

    def decode(self, payload: bytes, raw: bool) -> Planes:
        """Return the planes of a payload.

        Raises
        ------
        SourceError
            The payload is damaged.
        """
        if raw or self._coder is None:
            return raw_planes(payload, self._head)
        try:
            frames = self._coder.decode(av.Packet(payload))
        except FFmpegError as error:
            raise SourceError("A frame of the session is damaged and cannot be decoded.") from error
        if len(frames) != 1:
            raise SourceError("A frame of the session is damaged and cannot be decoded.")
        planes = tuple(_samples(plane) for plane in frames[0].planes)
        if self._head.pixel_format == "rgb24":
            green, blue, red = planes
            return (np.dstack([red, green, blue]),)
        return planes


def plane_shapes(pixel_format: str, width_px: int, height_px: int) -> list[tuple[int, ...]]:
    """Return the shapes of the native planes of a picture."""
    if pixel_format == "rgb24":
        return [(height_px, width_px, 3)]
    if pixel_format == "gray8":
        return [(height_px, width_px)]
    across, down = subsampling_of(pixel_format)
    chroma = (-(-height_px // down), -(-width_px // across))
    return [(height_px, width_px), chroma, chroma]


def raw_planes(payload: bytes, head: FramesHead) -> Planes:
    """Cut an uncoded payload into its planes; raises SourceError where the length does not fit."""
    shapes = plane_shapes(head.pixel_format, head.width, head.height)
    sizes = [int(np.prod(shape)) for shape in shapes]
    if sum(sizes) != len(payload):
        raise SourceError("A frame of the session is damaged: it has another length than its size asks for.")
    planes, at = [], 0
    for shape, size in zip(shapes, sizes):
        planes.append(np.frombuffer(payload, np.uint8, size, at).reshape(shape).copy())
        at += size
    return tuple(planes)


def _coded_planes(planes: Planes) -> Sequence[NDArray]:
    if len(planes) == 1 and planes[0].ndim == 3:
        colours = planes[0]
        return colours[..., 1], colours[..., 2], colours[..., 0]
    return planes


def _rows(plane: VideoPlane) -> NDArray[np.uint8]:
    """The rows of a plane with their padding, as they lie in memory."""
    stored = np.frombuffer(memoryview(plane), np.uint8)
    return stored[: plane.line_size * plane.height].reshape(plane.height, plane.line_size)


def _fill(plane: VideoPlane, samples: NDArray) -> None:
    _rows(plane)[:, : plane.width] = samples


def _samples(plane: VideoPlane) -> NDArray[np.uint8]:
    return np.ascontiguousarray(_rows(plane)[:, : plane.width])
