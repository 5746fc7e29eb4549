"""Decoders of compressed DICOM frames: each returns the stored samples, before any conversion of colours.

The codec is told by the stream's own first bytes, because headers name the wrong transfer syntax often enough.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import av
import jpeg_ls
import numpy as np
import openjpeg
import rle
from numpy.typing import NDArray
from PIL import Image

from puncta.core.errors import SourceError
from puncta.dicom.read_jpeg_lossless import decode_lossless_16

_SOF = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})
_LOSSLESS = 0xC3
_JPEG_LS = 0xF7


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """What the header says about the samples.

    Attributes
    ----------
    rows, columns : int
        Size [px].
    samples : int
        Samples per pixel, 1 or 3.
    allocated, stored, high_bit : int
        Bits per cell, bits used, position of the highest one.
    signed : bool
    planar : bool
        True where the colours follow each other plane by plane (uncompressed data).
    photometric : str
        Photometric interpretation.
    """

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    planar: bool
    photometric: str


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """Decoded samples.

    Attributes
    ----------
    samples : ndarray, shape (H, W) or (H, W, 3)
    colours : str
        What three samples mean: "rgb", "ybr" (full range, BT.601) or "ybr_partial"; "" for one sample.
    """

    samples: NDArray
    colours: str = ""


@dataclass(frozen=True, slots=True)
class JpegHead:
    """What the markers of a JPEG stream say."""

    process: int
    precision: int
    components: int
    ids: tuple[int, ...]
    subsampled: bool
    jfif: bool
    adobe_transform: int | None

    @property
    def marked(self) -> bool:
        """The stream says by itself which colours it holds."""
        return self.jfif or self.adobe_transform is not None or self.subsampled

    @property
    def decoder_thinks_rgb(self) -> bool:
        """Libjpeg's own guess (jdapimin.c), which decides whether it would convert."""
        if self.jfif:
            return False
        if self.adobe_transform is not None:
            return self.adobe_transform == 0
        return self.ids == (82, 71, 66)


def decode_compressed(data: bytes, layout: PixelLayout) -> Stored:
    """Decode one compressed frame.

    Raises
    ------
    SourceError
        The frame is damaged or its codec is unknown; the sentence lacks the file's name, the caller adds it.
    """
    try:
        if data.startswith(b"\xff\xd8"):
            return _decode_jpeg_family(data, layout)
        if data.startswith((b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0c\x6a\x50")):
            return _decode_jpeg_2000(data, layout)
        return _decode_rle(data, layout)
    except SourceError:
        raise
    except (ValueError, RuntimeError, OSError, SyntaxError, KeyError, IndexError, TypeError, struct.error) as error:
        raise SourceError("a compressed frame is damaged; open another copy of the file") from error


def read_jpeg_head(data: bytes) -> JpegHead:
    """Walk the markers of a JPEG or JPEG-LS stream up to its start of frame (ITU-T T.81 annex B)."""
    jfif, adobe, at = False, None, 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise ValueError("no marker where one is due")
        marker = data[at + 1]
        if marker in (0xFF, 0x01) or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        body = data[at + 4 : at + 2 + length]
        if marker == 0xE0 and body.startswith(b"JFIF"):
            jfif = True
        elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            adobe = body[11]
        elif marker in _SOF:
            parts = [body[6 + 3 * i : 9 + 3 * i] for i in range(body[5])]
            factors = {p[1] for p in parts}
            return JpegHead(marker, body[0], body[5], tuple(p[0] for p in parts), len(factors) > 1, jfif, adobe)
        at += 2 + length
    raise ValueError("no start of frame")


def _decode_jpeg_family(data: bytes, layout: PixelLayout) -> Stored:
    head = read_jpeg_head(data)
    if head.process == _JPEG_LS:
        return _decode_jpeg_ls(data, layout)
    if head.process == _LOSSLESS:
        samples = decode_lossless_16(data) if head.precision == 16 else _decode_jpeg_lossless(data)
        return Stored(_signed(samples, layout), _colours(samples, layout))
    if head.precision != 8:
        raise SourceError("it uses 12-bit lossy JPEG, which is not supported; convert it to JPEG 2000 or uncompressed")
    return _decode_jpeg_8_bit(data, head, layout)


def _decode_jpeg_8_bit(data: bytes, head: JpegHead, layout: PixelLayout) -> Stored:
    with Image.open(io.BytesIO(data)) as image:
        if head.components == 3 and not head.decoder_thinks_rgb:
            image.draft("YCbCr", None)  # hand out the samples as coded, without conversion
        samples = np.array(image)
    if samples.ndim == 2:
        return Stored(samples)
    if head.marked or head.decoder_thinks_rgb:
        colours = "rgb" if head.decoder_thinks_rgb else "ybr"
    else:
        colours = "rgb" if layout.photometric == "RGB" else "ybr"
    return Stored(samples, colours)


def _decode_jpeg_lossless(data: bytes) -> NDArray:
    """Decode JPEG lossless (process 14, all predictors) with FFmpeg's decoder, 2 to 15 bits."""
    try:
        codec = av.CodecContext.create("mjpeg", "r")
        codec.thread_count = 1
        frames = [*codec.decode(av.Packet(data)), *codec.decode(None)]
    except av.FFmpegError as error:
        raise ValueError("undecodable") from error
    if not frames or frames[0].is_corrupt:
        raise ValueError("undecodable")
    frame = frames[0]
    if frame.format.name in ("gray", "gray16le", "bgr24", "rgb24", "rgb48le"):
        samples = frame.to_ndarray()
        return samples[..., ::-1] if frame.format.name == "bgr24" else samples
    order = (2, 0, 1) if frame.format.name.startswith("gbr") else (0, 1, 2)
    if frame.format.name not in ("gbrp", "gbrp16le", "yuv444p", "yuvj444p", "yuv444p16le"):
        raise SourceError(
            f"its lossless JPEG uses an unusual layout ({frame.format.name}) that is not supported; convert it"
        )
    dtype = np.dtype("<u2") if frame.format.components[0].bits > 8 else np.dtype(np.uint8)
    planes = []
    for number in order:
        plane = frame.planes[number]
        rows = np.frombuffer(memoryview(plane), dtype)[: plane.line_size // dtype.itemsize * plane.height]
        planes.append(rows.reshape(plane.height, -1)[:, : plane.width])
    return np.stack(planes, axis=-1)


def _decode_jpeg_ls(data: bytes, layout: PixelLayout) -> Stored:
    buffer, info = jpeg_ls.decode_pixel_data(data)
    height, width, components = info["height"], info["width"], info["components"]
    dtype = np.dtype(np.uint8) if info["bits_per_sample"] <= 8 else np.dtype("<u2")
    flat = np.frombuffer(buffer, dtype)
    samples: NDArray
    if components == 1:
        samples = flat.reshape(height, width)
    elif info["interleave_mode"] == 0:
        samples = np.moveaxis(flat.reshape(components, height, width), 0, -1)
    else:
        samples = flat.reshape(height, width, components)
    return Stored(_signed(samples, layout), _colours(samples, layout))


def _decode_jpeg_2000(data: bytes, layout: PixelLayout) -> Stored:
    samples = openjpeg.decode(data)
    if samples.ndim == 3 and samples.shape[-1] == 1:
        samples = samples[..., 0]
    if samples.ndim == 3 and _has_colour_transform(data):
        return Stored(samples, "rgb")  # the decoder has undone YBR_RCT or YBR_ICT
    return Stored(_signed(samples, layout), _colours(samples, layout))


def _has_colour_transform(data: bytes) -> bool:
    """Read the multiple component transform of the COD marker (ISO 15444-1 A.6.1)."""
    at = data.find(b"\xff\x52")
    return at >= 0 and len(data) > at + 8 and data[at + 8] == 1


def _decode_rle(data: bytes, layout: PixelLayout) -> Stored:
    if layout.allocated not in (8, 16, 32):
        raise SourceError(f"its {layout.allocated}-bit cells are not supported; convert it to 8 or 16 bits")
    raw = rle.utils.decode_frame(data, layout.rows * layout.columns, layout.allocated, "<")
    dtype = np.dtype(f"<{'i' if layout.signed else 'u'}{layout.allocated // 8}")
    planes = np.frombuffer(raw, dtype).reshape(-1, layout.rows, layout.columns)
    if len(planes) != layout.samples:
        raise ValueError("wrong number of planes")
    samples = planes[0] if layout.samples == 1 else np.moveaxis(planes, 0, -1)
    return Stored(samples, _colours(samples, layout))


def _colours(samples: NDArray, layout: PixelLayout) -> str:
    if samples.ndim == 2:
        return ""
    if layout.photometric in ("YBR_FULL", "YBR_FULL_422"):
        return "ybr"
    return "ybr_partial" if layout.photometric.startswith("YBR_PARTIAL") else "rgb"


def _signed(samples: NDArray, layout: PixelLayout) -> NDArray:
    """Give samples the sign the header states: codecs often carry the bit pattern only."""
    if samples.ndim != 2 or samples.dtype.itemsize > 2 or (samples.dtype.kind == "i") == layout.signed:
        return samples
    if not layout.signed:
        return samples.view(samples.dtype.str.replace("i", "u"))
    spare = 8 * samples.dtype.itemsize - min(layout.stored, 8 * samples.dtype.itemsize)
    as_signed = np.left_shift(samples, spare).view(samples.dtype.str.replace("u", "i"))
    return np.right_shift(as_signed, spare)
