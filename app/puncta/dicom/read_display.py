"""From stored DICOM samples to the 8-bit picture of screens and models: palettes, windows, colour models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels import apply_modality_lut, apply_voi

from puncta.core.errors import SourceError
from puncta.dicom.read_codecs import PixelLayout, Stored

_PRIMARIES = ("Red", "Green", "Blue")
_LIMITED_TO_FULL = 255.0 / 219.0


@dataclass(frozen=True, slots=True, eq=False)
class Display:
    """How one file's samples become 8-bit pixels; fixed when the file opens, so that all frames look alike.

    Attributes
    ----------
    layout : PixelLayout
    table : ndarray of uint8, shape (n,) or (n, 3), or None
        Grey value or colour of every bit pattern; None where samples are shown as they are.
    limits : tuple of float
        Stored values shown as black and white, where there are too many patterns for a table.
    grey : bool
        Deliver (H, W) instead of (H, W, 3).
    """

    layout: PixelLayout
    table: NDArray[np.uint8] | None
    limits: tuple[float, float]
    grey: bool = False

    def pixels(self, stored: Stored) -> NDArray[np.uint8]:
        """Convert one frame.

        Returns
        -------
        ndarray of uint8, shape (H, W) or (H, W, 3)
        """
        samples = stored.samples
        if samples.ndim == 3:
            colour = _rgb(self._eight_bits(samples), stored.colours)
            return np.ascontiguousarray(colour[..., 1]) if self.grey else np.ascontiguousarray(colour)
        if self.table is not None:
            shown = self.table[self._patterns(samples)]
        elif samples.dtype == np.uint8:
            shown = samples
        else:
            low, high = self.limits
            scaled = (samples.astype(np.float64) - low) * (255.0 / max(high - low, 1e-9))
            shown = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
        if shown.ndim == 3 and self.grey:
            return np.ascontiguousarray(shown[..., 1])
        if shown.ndim == 2 and not self.grey:
            return np.asarray(cv2.cvtColor(shown, cv2.COLOR_GRAY2RGB), np.uint8)
        return np.ascontiguousarray(shown)

    def _eight_bits(self, samples: NDArray) -> NDArray[np.uint8]:
        if samples.dtype.itemsize == 1:
            return samples.view(np.uint8)
        shift = max(0, min(self.layout.stored, 8 * samples.dtype.itemsize) - 8)
        return np.minimum(samples >> shift, 255).astype(np.uint8)

    def _patterns(self, samples: NDArray) -> NDArray:
        """Bit patterns of the stored bits alone: other bits of a cell may hold an old-style overlay."""
        unsigned = samples.view(samples.dtype.str.replace("i", "u"))
        shift = max(0, self.layout.high_bit + 1 - self.layout.stored)
        used = unsigned >> shift if shift and unsigned.dtype.itemsize * 8 == self.layout.allocated else unsigned
        return used & np.array((1 << self.layout.stored) - 1, dtype=used.dtype)


def make_display(header: Dataset, layout: PixelLayout, samples: Sequence[Stored], little_endian: bool) -> Display:
    """Decide how a file's samples are shown.

    Parameters
    ----------
    header : Dataset
    layout : PixelLayout
    samples : sequence of Stored
        A few decoded frames; they give the range where the header states no window, and tell grey from colour.
    little_endian : bool
        Byte order of the palette.
    """
    photometric = layout.photometric
    limits = _limits(samples)
    table: NDArray[np.uint8] | None = None
    first = samples[0].samples
    if first.ndim == 2:
        if photometric == "PALETTE COLOR":
            table = read_palette(header, layout, little_endian)
        elif layout.stored <= 16 and first.dtype.itemsize <= 2:
            table = _grey_table(header, layout, limits)
        elif photometric == "MONOCHROME1":
            limits = (limits[1], limits[0])
    colour = Display(layout, table, limits, grey=False)
    return Display(layout, table, limits, grey=all(_is_grey(colour.pixels(s)) for s in samples))


def read_palette(header: Dataset, layout: PixelLayout, little_endian: bool) -> NDArray[np.uint8]:
    """Return the colour of every bit pattern (PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6, segmented: C.7.9.2).

    Returns
    -------
    ndarray of uint8, shape (2 ** stored, 3)
    """
    columns = []
    patterns = np.arange(1 << min(layout.stored, 16), dtype=np.int64)
    values = np.where(patterns >= len(patterns) // 2, patterns - len(patterns), patterns) if layout.signed else patterns
    for name in _PRIMARIES:
        entries, first, bits = _descriptor(header, name, layout.signed)
        segmented = header.get(f"Segmented{name}PaletteColorLookupTableData")
        plain = header.get(f"{name}PaletteColorLookupTableData")
        if plain is not None:
            lut = _entries(plain, entries, bits, little_endian)
        elif segmented is not None:
            lut = expand_segmented(_entries(segmented, 0, bits, little_endian), entries)
        else:
            raise SourceError("its colour palette is missing")
        if len(lut) == 0:
            raise SourceError("its colour palette is empty")
        columns.append((lut, values - first))
    # Some writers state 16 bits and store 8: shown as stated, every colour would be black.
    deep = max(int(lut.max()) for lut, _ in columns) > 255
    shown = [(lut >> 8 if deep else lut)[np.clip(at, 0, len(lut) - 1)] for lut, at in columns]
    return np.stack(shown, axis=-1).astype(np.uint8)


def expand_segmented(words: NDArray[np.int64], entries: int) -> NDArray[np.int64]:
    """Expand a segmented palette: opcode 0 discrete, 1 linear, 2 indirect (PS3.3 C.7.9.2)."""
    segments: dict[int, tuple[int, int]] = {}
    out: list[int] = []

    def run(at: int, copies: int) -> int:
        opcode, count = int(words[at]), int(words[at + 1])
        if opcode == 0 and at + 2 + count <= len(words):
            out.extend(int(v) for v in words[at + 2 : at + 2 + count])
            return at + 2 + count
        if opcode == 1:
            start, end = (out[-1] if out else 0), int(words[at + 2])
            out.extend(round(start + (end - start) * (i + 1) / count) for i in range(count))
            return at + 3
        if opcode == 2 and copies == 0:
            offset = int(words[at + 2]) | int(words[at + 3]) << 16
            back = offset // 2
            for _ in range(count):
                back = run(back, 1)
            return at + 4
        raise SourceError("its colour palette is damaged")

    at = 0
    try:
        while at < len(words) and (not entries or len(out) < entries):
            segments[at] = (int(words[at]), len(out))
            at = run(at, 0)
    except IndexError as error:
        raise SourceError("its colour palette is damaged") from error
    return np.array(out[:entries] if entries else out, dtype=np.int64)


def _descriptor(header: Dataset, name: str, signed: bool) -> tuple[int, int, int]:
    value = header.get(f"{name}PaletteColorLookupTableDescriptor")
    if not isinstance(value, list | tuple | MultiValue) or len(value) != 3:
        raise SourceError("its colour palette is missing")
    entries, first, bits = (int(v) for v in value)
    if not signed and first < 0:
        first += 65536
    return entries % 65536 or 65536, first, bits


def _entries(raw: object, entries: int, bits: int, little_endian: bool) -> NDArray[np.int64]:
    """Read palette entries; bytes come in the file's byte order, as 16-bit words even where entries have 8 bits."""
    if not isinstance(raw, bytes | bytearray):
        listed = [raw] if isinstance(raw, int) else list(raw)  # type: ignore[call-overload]
        words = np.array(listed, dtype=np.int64)
        packed = bits == 8 and entries and len(words) * 2 == entries + entries % 2
        return words.astype("<u2").view(np.uint8)[:entries].astype(np.int64) if packed else words
    order = "<" if little_endian else ">"
    if bits == 8 and entries and len(raw) < 2 * entries:
        packed_bytes = np.frombuffer(raw[: len(raw) // 2 * 2], order + "u2").astype("<u2").view(np.uint8)
        return packed_bytes[:entries].astype(np.int64)
    if bits == 8 and not entries:
        return np.frombuffer(raw, np.uint8).astype(np.int64)
    return np.frombuffer(raw[: len(raw) // 2 * 2], order + "u2").astype(np.int64)[: entries or None]


def _grey_table(header: Dataset, layout: PixelLayout, limits: tuple[float, float]) -> NDArray[np.uint8] | None:
    count = 1 << layout.stored
    patterns = np.arange(count, dtype=np.int64)
    values = np.where(patterns >= count // 2, patterns - count, patterns) if layout.signed else patterns
    inverse = layout.photometric == "MONOCHROME1"
    modality = _rescaled(header, values, layout)
    shown = _voi_table(header, modality) if "VOILUTSequence" in header else _windowed(header, modality)
    if shown is None:
        if layout.stored <= 8 and not layout.signed:
            if layout.stored == 8 and not inverse:
                return None
            limits = (0.0, float(max(count - 1, 1)))
        low, high = limits
        shown = np.asarray((values - low) * (255.0 / max(high - low, 1.0)), np.float64)
    table = np.clip(np.rint(shown), 0, 255).astype(np.uint8)
    return 255 - table if inverse else table


def _rescaled(header: Dataset, values: NDArray[np.int64], layout: PixelLayout) -> NDArray[np.float64]:
    try:
        if "ModalityLUTSequence" in header:
            dtype = np.int16 if layout.signed else np.uint16
            return np.asarray(apply_modality_lut(values.astype(dtype), header), dtype=np.float64)
        slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
        if np.isfinite(slope) and np.isfinite(intercept) and slope != 0:
            return np.asarray(values * slope + intercept, np.float64)
    except (ValueError, TypeError, AttributeError, IndexError, NotImplementedError):
        pass  # an unusable rescale changes no order of grey values
    return values.astype(np.float64)


def _windowed(header: Dataset, values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Apply the first window (PS3.3 C.11.2.1.2 and C.11.2.1.3); None where there is no usable one."""
    centre, width = _first_number(header.get("WindowCenter")), _first_number(header.get("WindowWidth"))
    if centre is None or width is None or width <= 0:
        return None
    function = str(header.get("VOILUTFunction", "LINEAR")).upper()
    if function == "SIGMOID":
        return 255.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -60, 60)))
    if function == "LINEAR_EXACT":
        return ((values - centre) / width + 0.5) * 255.0
    return ((values - (centre - 0.5)) / max(width - 1.0, 1e-9) + 0.5) * 255.0


def _voi_table(header: Dataset, values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    try:
        bits = int(header.VOILUTSequence[0].LUTDescriptor[2])
        shown = np.asarray(apply_voi(np.rint(values).astype(np.int32), header), dtype=np.float64)
        return shown * (255.0 / ((1 << bits) - 1))
    except (ValueError, TypeError, AttributeError, IndexError, NotImplementedError):
        return _windowed(header, values)


def _first_number(value: object) -> float | None:
    if isinstance(value, list | tuple | MultiValue):
        value = value[0] if len(value) else None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _limits(samples: Sequence[Stored]) -> tuple[float, float]:
    low = min(float(s.samples.min()) for s in samples)
    high = max(float(s.samples.max()) for s in samples)
    return (low, high) if high > low else (min(low, 0.0), max(low, 1.0))


def _is_grey(pixels: NDArray[np.uint8]) -> bool:
    wide = pixels.astype(np.int16)
    return int(np.abs(wide - wide[..., 1:2]).max()) <= 4


def _rgb(samples: NDArray[np.uint8], colours: str) -> NDArray[np.uint8]:
    if colours == "rgb":
        return samples
    swapped = np.ascontiguousarray(samples[..., (0, 2, 1)])  # OpenCV's order is Y, Cr, Cb
    if colours == "ybr_partial":
        wide = swapped.astype(np.float32)
        wide[..., 0] = (wide[..., 0] - 16.0) * _LIMITED_TO_FULL
        wide[..., 1:] = (wide[..., 1:] - 128.0) * (255.0 / 224.0) + 128.0
        swapped = np.clip(np.rint(wide), 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(swapped, cv2.COLOR_YCrCb2RGB), np.uint8)
