"""The frames of a session: one append-only file of records, each whole in itself, found again without an index.

The file begins with a head that says how payloads are coded. Each record has a fixed header with its own checksum, so
that after a crash the records are found by walking from one to the next; the first that does not fit is the end.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from puncta.core.errors import UserError
from puncta.formats.atomic import plain_os_error

MAGIC = b"PUNCTA-FRAMES-1\n"
_HEAD = struct.Struct("<II")
_RECORD = struct.Struct("<4sHHIQqqqQII32s")
_RECORD_MAGIC = b"PFR1"
_CRC = struct.Struct("<I")
RECORD_BYTES = _RECORD.size + _CRC.size
"""Size of a record's header [B]."""
_LARGEST_HEAD = 1 << 16
_LARGEST_PAYLOAD = 1 << 30
RAW = 1
"""Flag of a record whose payload is the planes as they are: the codec would have made it larger."""


@dataclass(frozen=True, slots=True)
class FramesHead:
    """How the payloads of a frames file are coded.

    Attributes
    ----------
    codec : str
        "magicyuv" (intra only, lossless) or "raw".
    pixel_format : str
        Native format of the planes: gray8, rgb24, yuv420p, yuv422p, yuv444p.
    width, height : int
        Of the kept picture [px].
    extradata : str
        What the decoder needs beside the payloads, hexadecimal.
    grey, full_range : bool
        How the shown pixels come from the planes: without colour, and with luma that fills 0..255.
    """

    codec: str
    pixel_format: str
    width: int
    height: int
    extradata: str = ""
    grey: bool = True
    full_range: bool = True


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One frame in the file.

    Attributes
    ----------
    index : int
        Number among the stored frames, from 0.
    source_index : int
        Number that the source gave it.
    pts_ns, t_ns : int
        Its stored time [ns], and its arrival [ns] since the first frame's arrival, by the machine's monotonic clock.
    lost : int
        Frames lost just before it.
    synced : int
        So many bytes of the file were on the disk for good when this record was written [B].
    sha256 : str
        Hash of the planes.
    raw : bool
        The payload is not coded.
    waiting : int
        Frames that waited for the recorder when it was written: what a kill takes along.
    """

    index: int
    source_index: int
    pts_ns: int
    t_ns: int
    lost: int
    synced: int
    size: int
    payload_crc: int
    sha256: str
    raw: bool = False
    waiting: int = 0
    offset: int = 0

    @property
    def end(self) -> int:
        """Where the next record begins [B]."""
        return self.offset + RECORD_BYTES + self.size


def head_bytes(head: FramesHead) -> bytes:
    """Return the first bytes of a frames file."""
    text = json.dumps(asdict(head), separators=(",", ":")).encode()
    return MAGIC + _HEAD.pack(len(text), zlib.crc32(text)) + text


def record_bytes(record: FrameRecord) -> bytes:
    """Return a record's header; the payload follows it."""
    packed = _RECORD.pack(
        _RECORD_MAGIC,
        RAW if record.raw else 0,
        min(record.waiting, 0xFFFF),
        record.lost,
        record.index,
        record.source_index,
        record.pts_ns,
        record.t_ns,
        record.synced,
        record.size,
        record.payload_crc,
        bytes.fromhex(record.sha256),
    )
    return packed + _CRC.pack(zlib.crc32(packed))


@dataclass(frozen=True, slots=True, eq=False)
class FramesIndex:
    """What is in a frames file.

    Attributes
    ----------
    end : int
        Where the last whole record ends [B]; what follows is torn.
    bytes : int
        Size of the file [B].
    """

    head: FramesHead
    records: Sequence[FrameRecord]
    end: int
    bytes: int

    @property
    def torn_bytes(self) -> int:
        """Bytes after the last whole record [B]."""
        return self.bytes - self.end


def read_index(path: Path, *, check_tail: bool = True, check_all: bool = False) -> FramesIndex:
    """Walk a frames file and return what is whole in it.

    Parameters
    ----------
    check_tail : bool
        Compare the payloads that were not surely on the disk with their checksums.
    check_all : bool
        Compare every payload.

    Raises
    ------
    UserError
        The file cannot be read, or its head is damaged.
    """
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head, begin = _read_head(file, path)
            records = _walk(file, begin, size)
            sure = -1 if check_all else max((r.synced for r in records), default=0)
            whole = len(records)
            if check_tail or check_all:
                whole = next((n for n, r in enumerate(records) if r.end > sure and not _fits(file, r)), whole)
    except OSError as error:
        raise plain_os_error(error, Path(path), "read") from error
    records = records[:whole]
    return FramesIndex(head, records, records[-1].end if records else begin, size)


def _read_head(file: BinaryIO, path: Path) -> tuple[FramesHead, int]:
    first = file.read(len(MAGIC) + _HEAD.size)
    if not first.startswith(MAGIC) or len(first) < len(MAGIC) + _HEAD.size:
        raise UserError(f"{Path(path).name} is not a file of frames, or its beginning is damaged.")
    length, crc = _HEAD.unpack_from(first, len(MAGIC))
    text = file.read(length) if length <= _LARGEST_HEAD else b""
    if len(text) != length or zlib.crc32(text) != crc:
        raise UserError(f"{Path(path).name} has a damaged beginning; its frames cannot be read.")
    try:
        head = FramesHead(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise UserError(f"{Path(path).name} was written by a newer Puncta; update the program.") from error
    return head, len(first) + length


def _walk(file: BinaryIO, offset: int, size: int) -> list[FrameRecord]:
    records: list[FrameRecord] = []
    while offset + RECORD_BYTES <= size:
        file.seek(offset)
        record = _parse(file.read(RECORD_BYTES), offset)
        if record is None or record.end > size or record.index != len(records):
            break
        records.append(record)
        offset = record.end
    return records


def _parse(data: bytes, offset: int) -> FrameRecord | None:
    if len(data) < RECORD_BYTES or data[:4] != _RECORD_MAGIC:
        return None
    if _CRC.unpack_from(data, _RECORD.size)[0] != zlib.crc32(data[: _RECORD.size]):
        return None
    _, flags, waiting, lost, index, source_index, pts_ns, t_ns, synced, length, crc, sha = _RECORD.unpack_from(data)
    if length > _LARGEST_PAYLOAD:
        return None
    return FrameRecord(
        index, source_index, pts_ns, t_ns, lost, synced, length, crc, sha.hex(), bool(flags & RAW), waiting, offset
    )


def read_payload(file: BinaryIO, record: FrameRecord) -> bytes:
    """Return a record's payload as it stands in an open file; raises OSError."""
    file.seek(record.offset + RECORD_BYTES)
    return file.read(record.size)


def _fits(file: BinaryIO, record: FrameRecord) -> bool:
    return zlib.crc32(read_payload(file, record)) == record.payload_crc
