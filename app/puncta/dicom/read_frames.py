"""Where the bytes of each frame lie in a DICOM file, so that one frame can be read without the others."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from pydicom.dataset import Dataset

_ITEM = 0xFFFEE000
_END = 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_SHORT_VRS = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split(b" "),
)

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the pixel data element's value begins.

    Attributes
    ----------
    start : int
        First byte of the value [bytes from the start of the stream].
    length : int or None
        Stated length [bytes]; None where it is undefined, which means encapsulated fragments.
    vr : bytes
        b"OB", b"OW", or b"" in implicit VR.
    """

    start: int
    length: int | None
    vr: bytes


@dataclass(frozen=True, slots=True)
class FrameTable:
    """Byte spans of the frames that are wholly there.

    Attributes
    ----------
    frames : tuple of tuple of (int, int)
        For each frame its spans (offset, length) [bytes], to be joined.
    stated : int
        Number of frames that the header states.
    encapsulated : bool
        True where each frame is a compressed stream.
    """

    frames: tuple[tuple[Span, ...], ...]
    stated: int
    encapsulated: bool


def locate_pixel_element(stream: BinaryIO, implicit_vr: bool, little_endian: bool) -> PixelElement | None:
    """Read the header of the pixel data element that the stream stands at; None where there is none."""
    order = "<" if little_endian else ">"
    head = stream.read(8)
    if len(head) < 8:
        return None
    group, element = struct.unpack(order + "HH", head[:4])
    if (group, element) != (0x7FE0, 0x0010):
        return None
    vr = b""
    if implicit_vr:
        (length,) = struct.unpack(order + "L", head[4:])
    else:
        vr = head[4:6]
        if vr in _SHORT_VRS:
            (length,) = struct.unpack(order + "H", head[6:])
        else:
            rest = stream.read(4)
            if len(rest) < 4:
                return None
            (length,) = struct.unpack(order + "L", rest)
    return PixelElement(stream.tell(), None if length == _UNDEFINED else length, vr)


def table_of_native_frames(start: int, stored_bytes: int, frame_bytes: int, stated: int) -> FrameTable:
    """Cut uncompressed pixel data into frames.

    Parameters
    ----------
    start : int
        First byte of the value.
    stored_bytes : int
        Bytes that are really there.
    frame_bytes : int
        Bytes of one frame, > 0.
    stated : int
        Number of frames that the header states.
    """
    count = min(stated, stored_bytes // frame_bytes)
    frames = tuple((((start + i * frame_bytes), frame_bytes),) for i in range(count))
    return FrameTable(frames, stated, False)


def table_of_fragments(stream: BinaryIO, start: int, file_bytes: int, stated: int, header: Dataset) -> FrameTable:
    """Walk the fragments of encapsulated pixel data and assign them to frames.

    The offset tables decide where they fit the fragments; else one fragment is one frame; else a frame begins where a
    fragment begins with a codec's start marker (PS3.5 A.4). A last fragment that is cut off is left out.
    """
    items, offsets = _walk(stream, start, file_bytes)
    extended = _extended_offsets(header)
    for table in (extended, offsets):
        grouped = _group_by_offsets(items, table, stated)
        if grouped is not None:
            return FrameTable(grouped, stated, True)
    if stated == 1:
        frames = (tuple((o + 8, n) for o, n, _ in items),) if items and all(ok for *_, ok in items) else ()
        return FrameTable(frames, stated, True)
    whole = [(o, n) for o, n, ok in items if ok]
    if len(items) <= stated:
        return FrameTable(tuple(((o + 8, n),) for o, n in whole), stated, True)
    groups: list[list[Span]] = []
    for offset, length in whole:
        stream.seek(offset + 8)
        if _starts_codestream(stream.read(4)) or not groups:
            groups.append([])
        groups[-1].append((offset + 8, length))
    if len(whole) < len(items) and len(groups) > len(whole) - 1:
        groups = groups[:-1]
    return FrameTable(tuple(tuple(g) for g in groups[:stated]), stated, True)


def _walk(stream: BinaryIO, start: int, file_bytes: int) -> tuple[list[tuple[int, int, bool]], list[int]]:
    """List (offset of the item, length, whole) relative to the stream, and the basic offset table."""
    stream.seek(start)
    table: list[int] = []
    items: list[tuple[int, int, bool]] = []
    first = True
    while len(head := stream.read(8)) == 8:
        group, element, length = struct.unpack("<HHL", head)
        tag = group << 16 | element
        if tag != _ITEM or length == _UNDEFINED:
            break
        here = stream.tell()
        if first:
            first = False
            raw = stream.read(length)
            if len(raw) == length and length % 4 == 0 and not _starts_codestream(raw[:4]):
                table = list(struct.unpack(f"<{length // 4}L", raw))
                continue
            stream.seek(here)  # no offset table at all: this item is already a fragment
        items.append((here - 8, length, here + length <= file_bytes))
        if here + length > file_bytes:
            break
        stream.seek(here + length)
    return items, table


def _extended_offsets(header: Dataset) -> list[int]:
    raw = header.get("ExtendedOffsetTable")
    return list(struct.unpack(f"<{len(raw) // 8}Q", raw)) if isinstance(raw, bytes) and len(raw) % 8 == 0 else []


def _group_by_offsets(
    items: list[tuple[int, int, bool]], offsets: list[int], stated: int
) -> tuple[tuple[Span, ...], ...] | None:
    if not items or len(offsets) != stated or offsets[0] != 0:
        return None
    base = items[0][0]
    starts = {offset - base for offset, _, _ in items}
    known = [o for o in offsets if o in starts]
    last = items[-1][0] - base + 8 + items[-1][1]
    if known != offsets[: len(known)] or any(o < last for o in offsets[len(known) :]) or known != sorted(set(known)):
        return None
    bounds = [*known[1:], offsets[len(known)] if len(known) < len(offsets) else last]
    frames = []
    for begin, end in zip(known, bounds):
        parts = [item for item in items if begin <= item[0] - base < end]
        if not all(whole for *_, whole in parts):
            break
        frames.append(tuple((o + 8, n) for o, n, _ in parts))
    return tuple(frames)


def _starts_codestream(head: bytes) -> bool:
    """Tell whether bytes begin a JPEG, JPEG-LS or JPEG 2000 stream."""
    return head.startswith((b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0c"))
