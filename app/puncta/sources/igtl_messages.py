"""The few OpenIGTLink messages a picture needs: header, IMAGE, and the checksum; transforms are in `igtl_tracking`.

Source: OpenIGTLink protocol, versions 1 to 3 (header, extended header, IMAGE, CRC), openigtlink.org.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

HEADER = struct.Struct(">H12s20sQQQ")
_EXTENDED = struct.Struct(">HHII")
_IMAGE = struct.Struct(">HBBBB3H12f3H3H")
LARGEST_BODY = 256 * 1024 * 1024
_POLYNOMIAL = 0x42F0E1EBA9EA3693
_ROW = 64
SCALARS = {2: "i1", 3: "u1", 4: "i2", 5: "u2", 6: "i4", 7: "u4", 10: "f4", 11: "f8"}


class BadMessage(Exception):
    """The bytes are no OpenIGTLink message."""


@dataclass(frozen=True, slots=True)
class Header:
    """The 58 bytes in front of every message.

    Attributes
    ----------
    stamp_ns : int
        The sender's time [ns since 1970]; 0 where it gives none.
    """

    version: int
    kind: str
    device: str
    stamp_ns: int
    body_size: int
    crc: int


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """One IMAGE message.

    Attributes
    ----------
    values : ndarray, shape (K, J, I, components)
        The part that was sent, as sent.
    size : tuple of int
        (i, j, k) of the whole picture.
    offset : tuple of int
        Where the part begins.
    spacing_mm : tuple of float
        Lengths of the matrix's columns (i, j) [mm]; whatever the sender wrote.
    matrix : tuple of float
        The picture's own 4 x 4 matrix row by row [mm]: steps along i, j and across it, then its centre.
    """

    values: NDArray
    size: tuple[int, int, int]
    offset: tuple[int, int, int]
    spacing_mm: tuple[float, float]
    matrix: tuple[float, ...] = ()


def read_header(data: bytes | memoryview) -> Header:
    """Read a header.

    Raises
    ------
    BadMessage
    """
    version, kind, device, stamp, size, crc = HEADER.unpack(data)
    name = kind.rstrip(b"\0 ")
    if not 1 <= version <= 3 or not name or not all(32 < c < 127 for c in name) or size > LARGEST_BODY:
        raise BadMessage("this is no OpenIGTLink header")
    stamp_ns = (stamp >> 32) * 1_000_000_000 + (((stamp & 0xFFFFFFFF) * 1_000_000_000) >> 32)
    label = device.split(b"\0", 1)[0].decode("ascii", "replace")
    return Header(version, name.decode("ascii"), label, stamp_ns, size, crc)


def read_image(header: Header, body: bytes | memoryview) -> Image:
    """Read an IMAGE message's body.

    Raises
    ------
    BadMessage
        Sizes do not agree, or the pixels are of a kind the protocol does not know.
    """
    start, end = content_of(header, body)
    if end - start < _IMAGE.size:
        raise BadMessage("the image header is cut off")
    fields = _IMAGE.unpack_from(body, start)
    _version, components, scalar, endian, _axes = fields[:5]
    size, matrix, offset, part = fields[5:8], fields[8:20], fields[20:23], fields[23:26]
    code = SCALARS.get(scalar)
    if code is None or components not in {1, 3, 4} or endian not in {1, 2, 3}:
        raise BadMessage("the picture is of an unknown kind")
    kind = np.dtype((">" if endian == 1 else "<") + code)
    count = components * part[0] * part[1] * part[2]
    inside = all(o + p <= s for o, p, s in zip(offset, part, size, strict=True))
    if not inside or min(part) < 1 or end - start - _IMAGE.size < count * kind.itemsize:
        raise BadMessage("the picture's size does not fit its data")
    values = np.frombuffer(body, kind, count, start + _IMAGE.size).reshape(part[2], part[1], part[0], components)
    column, row = np.array(matrix[0:3], np.float64), np.array(matrix[3:6], np.float64)
    spacing = float(np.linalg.norm(column)), float(np.linalg.norm(row))
    return Image(values, size, offset, spacing, rows_of(matrix))


def content_of(header: Header, body: bytes | memoryview) -> tuple[int, int]:
    """Return where a body's own content begins and ends: version 2 has a header before it and figures behind it.

    Raises
    ------
    BadMessage
    """
    if header.version < 2:
        return 0, len(body)
    if len(body) < _EXTENDED.size:
        raise BadMessage("the extended header is cut off")
    start, meta_header, meta_size, _number = _EXTENDED.unpack_from(body)
    end = len(body) - meta_header - meta_size
    if not 0 <= start <= end:
        raise BadMessage("the extended header does not fit its data")
    return start, end


def rows_of(columns: Sequence[float]) -> tuple[float, ...]:
    """Return a 4 x 4 matrix row by row from the 12 numbers that the protocol sends column by column."""
    return tuple(float(columns[3 * c + r]) for r in range(3) for c in range(4)) + (0.0, 0.0, 0.0, 1.0)


def crc64(data: bytes | memoryview) -> int:
    """Return the checksum of a body (CRC-64, ECMA-182, begun with 0).

    Rows of the data are worked on side by side and joined pairwise by shifting one past the other, so that a picture
    takes milliseconds. Zeros in front change nothing, since the sum begins with 0.
    """
    table = _table()
    raw = np.frombuffer(data, np.uint8)
    rows = 1
    while rows * _ROW < len(raw):
        rows *= 2
    padded = np.zeros(rows * _ROW, np.uint8)
    padded[padded.size - raw.size :] = raw
    columns = np.ascontiguousarray(padded.reshape(rows, _ROW).T).astype(np.uint64)
    sums = np.zeros(rows, np.uint64)
    top, byte = np.uint64(56), np.uint64(8)
    for column in columns:
        sums = table[(sums >> top) ^ column] ^ (sums << byte)
    length = _ROW
    while len(sums) > 1:
        sums = _shift(sums[0::2], _shift_tables(length)) ^ sums[1::2]
        length *= 2
    return int(sums[0])


@lru_cache(maxsize=1)
def _table() -> NDArray[np.uint64]:
    entries = []
    for value in range(256):
        crc = value << 56
        for _ in range(8):
            crc = ((crc << 1) ^ (_POLYNOMIAL if crc >> 63 else 0)) & 0xFFFFFFFFFFFFFFFF
        entries.append(crc)
    return np.array(entries, np.uint64)


@lru_cache(maxsize=40)
def _shift_tables(length: int) -> NDArray[np.uint64]:
    """Return what each byte of a sum becomes after ``length`` zero bytes, shape (8, 256)."""
    values = (np.arange(256, dtype=np.uint64)[None, :] << (8 * np.arange(8, dtype=np.uint64))[:, None]).ravel()
    if length > _ROW:
        half = _shift_tables(length // 2)
        return _shift(_shift(values, half), half).reshape(8, 256)
    table = _table()
    for _ in range(length):
        values = table[values >> np.uint64(56)] ^ (values << np.uint64(8))
    return values.reshape(8, 256)


def _shift(sums: NDArray[np.uint64], tables: NDArray[np.uint64]) -> NDArray[np.uint64]:
    moved = np.zeros_like(sums)
    for place in range(8):
        moved ^= tables[place][(sums >> np.uint64(8 * place)) & np.uint64(255)]
    return moved
