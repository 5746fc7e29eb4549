"""A source whose pictures are all known by index: the one implementation of play and seek for every kind of file."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import SourceError, UserError
from puncta.core.frame import Frame, FrameKey, ImageGeometry, SourceInfo
from puncta.core.ports import Clock, SystemClock


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One decoded picture.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (H, W) or (H, W, 3)
        Grey or RGB.
    planes : tuple of ndarray
        Native planes as stored; empty where ``pixels`` is native.
    geometry : ImageGeometry or None
        Set where it differs from the source's first picture (a stream that changes its size).
    """

    pixels: NDArray[np.uint8]
    planes: tuple[NDArray, ...] = ()
    geometry: ImageGeometry | None = None


class PictureMissing(Exception):
    """The file lists this picture, but its decoder never delivers it."""


class PictureReader(Protocol):
    """Reads single pictures of one open file. Used under a lock, by one thread at a time."""

    def picture(self, index: int) -> Picture:
        """Return the picture with this index.

        Raises
        ------
        PictureMissing
            The decoder skips this picture; the ones after it may be readable.
        SourceError
            The file is damaged from here on.
        """
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class RecordedSource:
    """Plays the pictures of a file in order and seeks by index. Implements ``FrameSource``.

    Parameters
    ----------
    info : SourceInfo
        With ``frame_count`` and ``times_ns``.
    reader : PictureReader
    ends_early : str or None
        A plain sentence to raise after the last picture of a file that is cut off.
    """

    def __init__(
        self, info: SourceInfo, reader: PictureReader, ends_early: str | None = None, clock: Clock | None = None
    ) -> None:
        if info.frame_count is None or info.times_ns is None or len(info.times_ns) != info.frame_count:
            raise ValueError("a recorded source needs one stored time for each of its frames")
        self._info = info
        self._reader = reader
        self._ends_early = ends_early
        self._clock = clock or SystemClock()
        self._count = info.frame_count
        self._times_ns = info.times_ns
        self._next = 0
        self._runs = 0
        self._closed = False
        # `close` may come from another thread while a picture is being decoded.
        self._lock = threading.Lock()

    @property
    def info(self) -> SourceInfo:
        """Facts about the file."""
        return self._info

    @property
    def clock(self) -> Clock:
        """The clock that stamps arrival."""
        return self._clock

    def read(self) -> Frame | None:
        """Return the next frame, or None at the end; None too once the source is closed."""
        with self._lock:
            if self._closed:
                return None
            skipped = 0
            while self._next < self._count:
                index = self._next
                self._next += 1
                try:
                    picture = self._reader.picture(index)
                except PictureMissing:
                    skipped += 1
                    continue
                return self._frame(index, picture, skipped)
            if self._ends_early:
                raise SourceError(self._ends_early)
            return None

    def seek(self, index: int) -> None:
        """Make ``read`` return frame ``index`` next."""
        if not 0 <= index < self._count:
            raise UserError(
                f"{self._info.title} has the frames 0 to {self._count - 1}; frame {index} does not exist, "
                "choose one of these."
            )
        with self._lock:
            self._next = index

    def close(self) -> None:
        """Release the file; may be called twice and from another thread."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._reader.close()

    def _frame(self, index: int, picture: Picture, skipped: int) -> Frame:
        self._runs += 1
        return Frame(
            key=FrameKey(self._info.stream, index, int(self._times_ns[index])),
            epoch=0,
            frame_id=self._runs,
            t_ns=self._clock.now_ns(),
            skipped=skipped,
            pixels=picture.pixels,
            geometry=picture.geometry or self._info.geometry,
            source=self._info,
            planes=picture.planes,
        )
