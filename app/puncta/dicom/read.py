"""Opens a DICOM image and reads its frames one at a time, without loading the file."""

from __future__ import annotations

import re
import struct
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import _read_file_meta_info, read_dataset, read_preamble
from pydicom.multival import MultiValue
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from puncta.core.errors import SourceError, UserError
from puncta.dicom.read_codecs import PixelLayout, Stored, decode_compressed
from puncta.dicom.read_frames import FrameTable, locate_pixel_element, table_of_fragments, table_of_native_frames

_HEADER_FAULTS = (
    InvalidDicomError, BytesLengthException, EOFError, ValueError, TypeError, KeyError, AttributeError, IndexError,
    NotImplementedError, OverflowError, UnicodeError, LookupError, RecursionError, struct.error, MemoryError, OSError,
    zlib.error,
)  # fmt: skip
_MPEG = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.10\d(\.1)?$")
_MAX_SIDE_PX = 32768
_CHUNK = 1 << 20


@dataclass(slots=True)
class CineFile:
    """An open DICOM image of one or more frames.

    Attributes
    ----------
    name : str
        File name for messages.
    header : Dataset
        Everything before the pixel data. Holds patient data: read single facts from it, never print it.
    layout : PixelLayout
    table : FrameTable
    transfer_syntax : str
        Name of the transfer syntax, for "About this source".
    little_endian : bool
    """

    name: str
    header: Dataset
    layout: PixelLayout
    table: FrameTable
    transfer_syntax: str
    little_endian: bool
    _stream: BinaryIO
    _word_swapped: bool

    @property
    def frame_count(self) -> int:
        """Number of frames that are wholly there."""
        return len(self.table.frames)

    def stored(self, index: int) -> Stored:
        """Read and decode one frame.

        Raises
        ------
        SourceError
            The frame is damaged.
        """
        try:
            data = b"".join(self._bytes(offset, length) for offset, length in self.table.frames[index])
            if self.table.encapsulated:
                return decode_compressed(data, self.layout)
            return _native(data, self.layout, self.little_endian)
        except SourceError as error:
            raise SourceError(f"{self.name} cannot be read at frame {index}: {error}.") from error

    def close(self) -> None:
        """Release the file."""
        self._stream.close()

    def _bytes(self, offset: int, length: int) -> bytes:
        if not self._word_swapped:
            self._stream.seek(offset)
            return self._stream.read(length)
        # Big-endian data written as 16-bit words: bytes of each pair are exchanged, counted from the value's start.
        start = self.table.frames[0][0][0]
        lead = (offset - start) % 2
        self._stream.seek(offset - lead)
        words = self._stream.read((length + lead + 1) // 2 * 2)
        return np.frombuffer(words, ">u2").astype("<u2").tobytes()[lead : lead + length]


def open_cine(path: Path) -> CineFile:
    """Open a DICOM image.

    Raises
    ------
    UserError
        The file is no DICOM image, is damaged, or uses a coding that is not supported.
    """
    stream: BinaryIO | None = None
    try:
        stream = path.open("rb")
        return _open(path, stream)
    except PermissionError as error:
        raise UserError(f"{path.name} cannot be read: permission denied, change its permissions.") from error
    except FileNotFoundError as error:
        raise UserError(f"{path.name} does not exist, check the name and the folder.") from error
    except BaseException as error:
        if stream is not None:
            stream.close()
        if isinstance(error, _HEADER_FAULTS):
            raise UserError(
                f"{path.name} is not a DICOM file that can be read, or it is damaged; choose another file."
            ) from error
        raise


def _open(path: Path, stream: BinaryIO) -> CineFile:
    syntax = _stated_syntax(stream)
    stream.seek(0)
    if syntax == DeflatedExplicitVRLittleEndian:
        stream = _inflated(stream)
        try:
            header = read_dataset(stream, False, True, stop_when=_at_pixel_data)
            return _located(path, stream, header, syntax, (False, True))
        except BaseException:
            stream.close()
            raise
    header = pydicom.dcmread(stream, force=True, stop_before_pixels=True)
    encoding = header.original_encoding
    return _located(path, stream, header, syntax, (encoding[0] is not False, encoding[1] is not False))


def _located(
    path: Path, stream: BinaryIO, header: Dataset, syntax: UID | None, encoding: tuple[bool, bool]
) -> CineFile:
    """Find the frames of a data set whose header has been read and whose stream stands at the pixel data.

    ``encoding`` is (implicit value representation, little-endian).
    """
    implicit, little = encoding
    stated_syntax = syntax or header.file_meta.get("TransferSyntaxUID") if hasattr(header, "file_meta") else syntax
    if stated_syntax and _MPEG.match(str(stated_syntax)):
        raise UserError(f"{path.name} holds MPEG video inside DICOM, which is not supported yet; export it as mp4.")
    element = locate_pixel_element(stream, implicit, little)
    if element is None:
        raise UserError(f"{path.name} is a DICOM file without a picture, choose one that holds images.")
    layout = _layout(path, header)
    stream.seek(0, 2)
    file_bytes = stream.tell()
    stated = _frame_count(header)
    if element.length is None:
        table = table_of_fragments(stream, element.start, file_bytes, stated, header)
        swapped = False
    else:
        if stated_syntax and UID(str(stated_syntax)).is_compressed and not _is_deflated(stated_syntax):
            raise UserError(f"{path.name} says that it is compressed but its picture is not; choose another copy.")
        there = min(element.length, file_bytes - element.start)
        table = table_of_native_frames(element.start, there, _frame_bytes(path, layout), stated)
        swapped = not little and layout.allocated == 8 and element.vr == b"OW"
    if not table.frames:
        raise UserError(f"{path.name} is cut off: not one whole frame is there, get a complete copy.")
    name = UID(str(stated_syntax)).name if stated_syntax else "not stated"
    return CineFile(path.name, header, layout, table, name, little, stream, swapped)


def _stated_syntax(stream: BinaryIO) -> UID | None:
    try:
        read_preamble(stream, True)
        value = _read_file_meta_info(stream).get("TransferSyntaxUID")
    except _HEADER_FAULTS:
        return None
    return UID(str(value)) if value else None


def _is_deflated(syntax: object) -> bool:
    return str(syntax) == DeflatedExplicitVRLittleEndian


def _at_pixel_data(tag: int, _vr: str | None, _length: int) -> bool:
    return tag in (0x7FE00008, 0x7FE00009, 0x7FE00010)


def _inflated(stream: BinaryIO) -> BinaryIO:
    """Inflate a deflated data set into a temporary file, which the system removes with its handle."""
    read_preamble(stream, True)
    _read_file_meta_info(stream)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = tempfile.TemporaryFile()  # noqa: SIM115
    with stream:
        try:
            while chunk := stream.read(_CHUNK):
                while chunk:
                    plain.write(inflater.decompress(chunk, _CHUNK))
                    chunk = inflater.unconsumed_tail
        except zlib.error:
            pass  # cut off: what is inflated so far is read like any other file that is cut off
    plain.seek(0)
    return plain


def _layout(path: Path, header: Dataset) -> PixelLayout:
    def whole(keyword: str, default: int | None = None) -> int:
        value = header.get(keyword, default)
        if isinstance(value, list | MultiValue) or value is None:
            raise UserError(
                f"{path.name} does not state {keyword}, so its picture cannot be read; choose another file."
            )
        return int(value)

    rows, columns = whole("Rows"), whole("Columns")
    samples, allocated = whole("SamplesPerPixel", 1), whole("BitsAllocated")
    stored = whole("BitsStored", allocated)
    photometric = str(header.get("PhotometricInterpretation", "MONOCHROME2" if samples == 1 else "RGB")).strip()
    if not (0 < rows <= _MAX_SIDE_PX and 0 < columns <= _MAX_SIDE_PX):
        raise UserError(
            f"{path.name} states a picture of {columns} x {rows} pixels, which cannot be; choose another file."
        )
    if samples not in (1, 3) or allocated not in (8, 16, 32) or not 0 < stored <= allocated:
        raise UserError(
            f"{path.name} stores {samples} samples of {allocated} bits a pixel, which is not supported; "
            "convert it to 8 or 16 bits."
        )
    high = whole("HighBit", stored - 1)
    if not stored - 1 <= high < allocated:
        high = stored - 1
    signed = whole("PixelRepresentation", 0) == 1
    planar = whole("PlanarConfiguration", 0) == 1
    return PixelLayout(rows, columns, samples, allocated, stored, high, signed, planar, photometric)


def _frame_count(header: Dataset) -> int:
    match = re.match(r"\s*(\d+)", str(_raw_text(header, "NumberOfFrames")))
    return max(1, int(match[1])) if match else 1


def _raw_text(header: Dataset, keyword: str) -> object:
    """Return an element's value even where it does not parse (a number of frames "1A")."""
    try:
        return header.get(keyword, "1")
    except _HEADER_FAULTS:
        raw = header.get_item(keyword)
        value = getattr(raw, "value", b"1")
        return value.decode("ascii", "ignore") if isinstance(value, bytes) else value


def _frame_bytes(path: Path, layout: PixelLayout) -> int:
    pixels = layout.rows * layout.columns
    if layout.samples == 3 and layout.photometric.endswith("_422"):
        if layout.columns % 2:
            raise UserError(
                f"{path.name} stores colours for pairs of pixels but has an odd width; choose another copy."
            )
        return pixels * 2 * layout.allocated // 8
    if layout.samples == 3 and layout.photometric.endswith("_420"):
        raise UserError(f"{path.name} stores its colours uncompressed in 4:2:0, which is not supported; convert it.")
    return pixels * layout.samples * layout.allocated // 8


def _native(data: bytes, layout: PixelLayout, little_endian: bool) -> Stored:
    order = "<" if little_endian else ">"
    dtype = np.dtype(f"{order}{'i' if layout.signed else 'u'}{layout.allocated // 8}")
    flat: NDArray = np.frombuffer(data, dtype).astype(dtype.newbyteorder("<"))
    if layout.samples == 1:
        return Stored(flat.reshape(layout.rows, layout.columns))
    if layout.photometric.endswith("_422"):
        pairs = flat.reshape(layout.rows, layout.columns // 2, 4)
        samples = np.empty((layout.rows, layout.columns, 3), flat.dtype)
        samples[:, 0::2, 0], samples[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
        samples[:, 0::2, 1] = samples[:, 1::2, 1] = pairs[..., 2]
        samples[:, 0::2, 2] = samples[:, 1::2, 2] = pairs[..., 3]
        return Stored(samples, "ybr_partial" if "PARTIAL" in layout.photometric else "ybr")
    if layout.planar:
        samples = np.moveaxis(flat.reshape(3, layout.rows, layout.columns), 0, -1)
    else:
        samples = flat.reshape(layout.rows, layout.columns, 3)
    colours = "rgb"
    if layout.photometric in ("YBR_FULL", "YBR_FULL_422"):
        colours = "ybr"
    return Stored(samples, colours)
