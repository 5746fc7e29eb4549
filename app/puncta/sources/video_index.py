"""The table of presentation times of a video stream: the ground of exact seeking.

Packets are listed without decoding, which takes milliseconds. Where their times cannot be trusted to stand for one
picture each (absent or repeated times, hidden pictures, pictures before the first key frame), the stream is decoded
once from end to end and the decoder's own times are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

ONE_PACKET_ONE_PICTURE = frozenset(
    {"h264", "hevc", "mjpeg", "ljpeg", "jpegls", "jpeg2000", "ffv1", "huffyuv", "ffvhuff", "utvideo", "magicyuv", "png",
     "rawvideo", "bmp", "tiff", "dvvideo", "prores", "dnxhd", "mpeg2video", "mpeg1video", "vp9", "av1", "qtrle", "v210"}
)  # fmt: skip
"""Codecs whose packets hold exactly one shown picture each. The others may hide or pack pictures (VP8, MPEG-4 ASP)."""

_INTRA_ONLY = frozenset({"mjpeg", "ljpeg", "ffv1", "huffyuv", "ffvhuff", "utvideo", "magicyuv", "png", "rawvideo"})
CHECKED_FRAMES = 12
"""So many frames are decoded when a file opens, to see whether the packets' table holds."""


@dataclass(frozen=True, slots=True, eq=False)
class PtsIndex:
    """Presentation times of the pictures of a stream.

    Attributes
    ----------
    pts : ndarray of int64, shape (n,)
        In presentation order, in units of the stream's time base.
    key_pts : ndarray of int64
        Times of the key frames, sorted; may hold some that are not shown (edit lists).
    time_base : Fraction
        Seconds per unit.
    by_count : bool
        True where the decoder's times do not name its pictures (AVI with B-frames): these are counted from the start.
    decoded : bool
        True when the table comes from a whole decode.
    """

    pts: NDArray[np.int64]
    key_pts: NDArray[np.int64]
    time_base: Fraction
    by_count: bool = False
    decoded: bool = False

    def times_ns(self) -> NDArray[np.int64]:
        """Stored times [ns]: round(pts * time_base * 1e9), exact in integers."""
        unit = self.time_base * 1_000_000_000
        return np.array([round(int(p) * unit) for p in self.pts], dtype=np.int64)

    def key_before(self, index: int, earlier: int = 0) -> int | None:
        """Time of the last key frame at or before a picture, or of the ``earlier``-th one before that."""
        place = int(np.searchsorted(self.key_pts, self.pts[index], side="right")) - 1 - earlier
        return int(self.key_pts[place]) if place >= 0 else None


def index_packets(container: av.container.InputContainer, stream: av.VideoStream) -> PtsIndex | None:
    """List the packets of a stream from its start, without decoding.

    Returns
    -------
    PtsIndex or None
        None where the packets' times cannot be trusted; then ``index_by_decoding`` answers.
    """
    shown: list[int] = []
    keys: list[int] = []
    codec = stream.codec_context.name
    # AVI stores no presentation times; FFmpeg makes some up in decoding order.
    trusted = codec in ONE_PACKET_ONE_PICTURE and (codec in _INTRA_ONLY or container.format.name != "avi")
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            if packet.pts is None:
                return None
            if packet.is_keyframe:
                keys.append(packet.pts)
            elif not keys:
                trusted = False
            if not packet.is_discard and not packet.is_corrupt:
                shown.append(packet.pts)
    except av.FFmpegError:
        if not shown:
            raise
        # The rest of the file is unreadable. What is listed so far plays; the caller says that the file ends early.
    if not shown or not keys or not trusted or min(shown) < keys[0] or len(set(shown)) != len(shown):
        return None
    return PtsIndex(np.sort(np.array(shown, np.int64)), np.sort(np.array(keys, np.int64)), _time_base(stream))


def index_by_decoding(container: av.container.InputContainer, stream: av.VideoStream) -> PtsIndex:
    """Decode a stream from its start and take the times its decoder gives."""
    pts: list[int | None] = []
    keys: list[int] = []
    try:
        for packet in container.demux(stream):
            if packet.is_keyframe and packet.pts is not None and packet.size:
                keys.append(packet.pts)
            pts.extend(frame.pts for frame in packet.decode())
    except av.FFmpegError:
        if not pts:
            raise
    known = [p for p in pts if p is not None]
    if len(known) == len(pts):
        shown = np.sort(np.array(known, np.int64))
        ascending = bool(np.array_equal(shown, known))
        key_pts = np.sort(np.array(keys or known[:1], np.int64))
        if ascending or len(np.unique(shown)) == len(shown):
            return PtsIndex(shown, key_pts, _time_base(stream), by_count=not ascending, decoded=True)
    # No usable times: count, and space the pictures by the stream's rate (25 a second where it states none).
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    counted = np.arange(len(pts), dtype=np.int64)
    return PtsIndex(counted, counted[:1], 1 / Fraction(rate), by_count=True, decoded=True)


def table_holds(container: av.container.InputContainer, stream: av.VideoStream, index: PtsIndex) -> bool:
    """Decode the first frames from the start and compare their times with the table."""
    expected = [int(p) for p in index.pts[:CHECKED_FRAMES]]
    found: list[int | None] = []
    try:
        for packet in container.demux(stream):
            found.extend(frame.pts for frame in packet.decode())
            if len(found) >= len(expected):
                break
    except av.FFmpegError:
        return found == expected[: len(found)]
    return found[: len(expected)] == expected


def _time_base(stream: av.VideoStream) -> Fraction:
    base = stream.time_base
    return Fraction(base.numerator, base.denominator) if base else Fraction(1, 1_000_000)
