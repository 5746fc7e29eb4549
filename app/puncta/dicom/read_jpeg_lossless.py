"""Lossless JPEG of 16 bits a sample (ITU-T T.81 annex H), one component.

FFmpeg's decoder, used for fewer bits, reads the difference 32768 (category 16, which has no further bits) as if it
had some, and everything after it is wrong without a word. It occurs only at 16 bits, for instance wherever a picture
begins with black. Decoding here takes about a second for a million samples; such files are rare.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MODULUS = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class _Scan:
    height: int
    width: int
    predictor: int
    shift: int
    restart: int
    table: list[int]
    entropy: bytes


def decode_lossless_16(data: bytes) -> NDArray[np.uint16]:
    """Decode a stream of one 16-bit component.

    Returns
    -------
    ndarray of uint16, shape (H, W)

    Raises
    ------
    ValueError
        The stream is damaged or holds something else.
    """
    scan = _parse(data)
    parts = _split_at_restarts(scan.entropy)
    rows_each = scan.restart // scan.width if scan.restart else scan.height
    if scan.restart and scan.restart % scan.width:
        raise ValueError("restarts inside a row")
    blocks, row = [], 0
    for part in parts:
        rows = min(rows_each, scan.height - row)
        if rows <= 0:
            break
        differences = _differences(part, scan.table, rows * scan.width).reshape(rows, scan.width)
        blocks.append(_reconstruct(differences, scan.predictor, 1 << (15 - scan.shift)))
        row += rows
    if row != scan.height:
        raise ValueError("the stream ends early")
    return (np.concatenate(blocks) << scan.shift).astype(np.uint16)


def _parse(data: bytes) -> _Scan:
    at, restart = 2, 0
    frame: tuple[int, int, int, int] | None = None
    tables: dict[int, list[int]] = {}
    while at + 4 <= len(data):
        marker, (length,) = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])
        body = data[at + 4 : at + 2 + length]
        if marker == 0xC3:
            frame = struct.unpack(">BHHB", body[:6])
        elif marker == 0xC4:
            _read_tables(body, tables)
        elif marker == 0xDD:
            (restart,) = struct.unpack(">H", body[:2])
        elif marker == 0xDA:
            if frame is None or frame[0] != 16 or frame[3] != 1 or body[0] != 1:
                raise ValueError("not one component of 16 bits")
            end = data.rfind(b"\xff\xd9")
            entropy = data[at + 2 + length : end if end > at else len(data)]
            table = tables[body[2] >> 4]
            return _Scan(frame[1], frame[2], body[3], body[5] & 15, restart, table, entropy)
        at += 2 + length
    raise ValueError("no scan")


def _read_tables(body: bytes, tables: dict[int, list[int]]) -> None:
    """Turn Huffman tables into look-ups by the next 16 bits: length << 8 | category, 0 where no code matches."""
    at = 0
    while at + 17 <= len(body):
        name, counts = body[at] & 15, body[at + 1 : at + 17]
        at += 17
        look_up, code = [0] * _MODULUS, 0
        for size, count in enumerate(counts, start=1):
            for _ in range(count):
                first, width = code << (16 - size), 1 << (16 - size)
                if at >= len(body) or first + width > _MODULUS:
                    raise ValueError("impossible Huffman table")
                look_up[first : first + width] = [size << 8 | body[at]] * width
                at, code = at + 1, code + 1
            code <<= 1
        tables[name] = look_up


def _split_at_restarts(entropy: bytes) -> list[bytes]:
    parts, begin, at = [], 0, 0
    while (at := entropy.find(b"\xff", at)) >= 0 and at + 1 < len(entropy):
        if 0xD0 <= entropy[at + 1] <= 0xD7:
            parts.append(entropy[begin:at])
            begin = at + 2
        at += 2
    parts.append(entropy[begin:])
    return [part.replace(b"\xff\x00", b"\xff") for part in parts]


def _differences(part: bytes, table: list[int], count: int) -> NDArray[np.int64]:
    padded = np.frombuffer(part + b"\0" * 8, np.uint8).astype(np.int64)
    windows = padded[:-4].copy()
    for k in range(1, 5):
        windows = windows << 8 | padded[k : len(padded) - 4 + k]
    forty_bits, limit = windows.tolist(), 8 * len(part)
    out, position = [0] * count, 0
    for i in range(count):
        if position >= limit:
            raise ValueError("the stream ends early")
        bits = forty_bits[position >> 3] >> (8 - (position & 7)) & 0xFFFFFFFF
        entry = table[bits >> 16]
        size, category = entry >> 8, entry & 255
        if size == 0 or category > 16:
            raise ValueError("no such code")
        if category == 16:
            out[i], position = 32768, position + size
            continue
        value = bits >> (32 - size - category) & ((1 << category) - 1)
        out[i] = value - (1 << category) + 1 if category and value < 1 << (category - 1) else value
        position += size + category
    return np.array(out, dtype=np.int64)


def _reconstruct(differences: NDArray[np.int64], predictor: int, start: int) -> NDArray[np.int64]:
    """Add predictions (table H.1): the first row from the left, the first column from above."""
    if predictor == 1:
        column = np.cumsum(differences[:, 0]) + start
        rest = np.cumsum(differences[:, 1:], axis=1) + column[:, None]
        return np.concatenate([column[:, None], rest], axis=1) % _MODULUS
    if predictor not in range(2, 8):
        raise ValueError("no such predictor")
    first = (np.cumsum(differences[0]) + start) % _MODULUS
    rows = [first.tolist()]
    for line in differences[1:].tolist():
        above = rows[-1]
        row = [(line[0] + above[0]) % _MODULUS]
        for x in range(1, len(line)):
            guess = _predict(predictor, row[x - 1], above[x], above[x - 1])
            row.append((line[x] + guess) % _MODULUS)
        rows.append(row)
    return np.array(rows, dtype=np.int64)


def _predict(predictor: int, left: int, above: int, corner: int) -> int:
    return (
        above,
        corner,
        left + above - corner,
        left + ((above - corner) >> 1),
        above + ((left - corner) >> 1),
        (left + above) >> 1,
    )[predictor - 2]
