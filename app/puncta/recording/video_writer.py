"""Writes an annotated MP4 (H.264) whose frames keep the stored times of the source."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from puncta.core.errors import UserError

_TIMESCALES = (90_000, 15_360, 12_800, 30_000, 60_000, 24_000, 48_000, 44_100, 10_000, 1_000_000)


def timescale_of(times_ns: Sequence[int] | NDArray[np.int64]) -> int:
    """Return ticks a second in which all stored times [ns] are exact to the rounding; a microsecond where none fits."""
    for ticks in _TIMESCALES:
        if all(round(Fraction(round(t * ticks / 1e9) * 1_000_000_000, ticks)) == t for t in map(int, times_ns)):
            return ticks
    return 1_000_000


class VideoWriter:
    """Encodes pictures under a temporary name and puts the file in place at `close`.

    Parameters
    ----------
    path : Path
        Ends in .mp4.
    timescale : int
        Ticks a second, see `timescale_of`.
    simulated : bool
        Written into the file, so that a simulated cine stays known as simulated when it is opened again.

    Raises
    ------
    UserError
        The folder cannot be written, or the disk is full.
    """

    def __init__(self, path: Path, timescale: int = 90_000, *, simulated: bool = False) -> None:
        self.path = Path(path)
        self._part = self.path.with_name(f".{self.path.stem}.{os.getpid()}.part{self.path.suffix}")
        self._timescale = timescale
        self._stream: av.VideoStream | None = None
        self._last_ticks = -1
        self._done = False
        self.frames = 0
        try:
            # Opened by us first: FFmpeg's own words for a folder that cannot be written are hard to read.
            self._part.open("wb").close()
            # The edit list that holds a first time other than 0 counts in the movie's ticks, a millisecond by default.
            options = {"use_editlist": "1", "movie_timescale": str(timescale)}
            self._container = av.open(str(self._part), "w", format="mp4", options=options)
            words = "Simulation and training only, not for clinical use"
            self._container.metadata["comment"] = f"Simulated. {words}" if simulated else words
        except (OSError, FFmpegError) as error:
            self._remove_part()
            raise _plain(error, self.path) from error

    def put(self, picture: NDArray[np.uint8], pts_ns: int) -> None:
        """Encode one RGB picture (H, W, 3), both sides even, at its stored time [ns]."""
        try:
            stream = self._stream or self._open_stream(picture)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            ticks = round(pts_ns * self._timescale / 1e9)
            # Two frames of one time would be refused by the container; the later one moves on by one tick.
            ticks = max(ticks, self._last_ticks + 1)
            self._last_ticks = ticks
            frame.pts, frame.time_base = ticks, Fraction(1, self._timescale)
            for packet in stream.encode(frame):
                self._container.mux(packet)
        except (OSError, FFmpegError) as error:
            self.discard()
            raise _plain(error, self.path) from error
        self.frames += 1

    def finish(self) -> None:
        """Write the rest, still under the temporary name; what can fail, fails here."""
        if self._container is None:
            return
        try:
            if self._stream is not None:
                for packet in self._stream.encode(None):
                    self._container.mux(packet)
            self._container.close()
            self._container = None
        except (OSError, FFmpegError) as error:
            self.discard()
            raise _plain(error, self.path) from error

    def close(self) -> None:
        """Finish the file and put it in place. A second call does nothing."""
        if self._done:
            return
        self.finish()
        try:
            os.replace(self._part, self.path)
        except OSError as error:
            self.discard()
            raise _plain(error, self.path) from error
        self._done = True

    def discard(self) -> None:
        """Give up: leave no file behind. Does nothing after `close`."""
        if self._done:
            return
        self._done = True
        container, self._container = self._container, None
        if container is not None:
            with contextlib.suppress(OSError, FFmpegError):  # the trailer of a file that is thrown away
                container.close()
        self._remove_part()

    def _remove_part(self) -> None:
        """Take the temporary file away; where even that is refused (a read-only disk) it was never made."""
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _open_stream(self, picture: NDArray[np.uint8]) -> av.VideoStream:
        height, width = picture.shape[:2]
        # One encoder thread and no B-frames: byte-identical files, and stored order is shown order.
        # A key frame every 30: an export can be scrubbed.
        options = {"preset": "veryfast", "crf": "20", "bf": "0", "g": "30", "threads": "1"}
        stream = self._container.add_stream("libx264", rate=Fraction(30), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, self._timescale)
        stream.time_base = Fraction(1, self._timescale)
        self._stream = stream
        return stream


def _plain(error: OSError | FFmpegError, path: Path) -> UserError:
    why = (getattr(error, "strerror", None) or str(error)).rstrip(".")
    return UserError(f"Cannot write {path}: {why[:1].lower() + why[1:]}.")
