"""The recorder's door: frames and orders go in from any thread, one thread takes them out in the same order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from puncta.core.channels import BoundedFifo, ChannelClosed
from puncta.core.frame import Frame
from puncta.core.results import Analysis

QUEUE_BYTES = 128 << 20
"""Frames that wait for the recorder take at most this much memory [B]: two seconds of 1080p in grey at 30 frames/s."""
ORDER_S = 5.0
"""An order waits so long for room [s]; it takes none, so only a frame larger than the whole queue is in its way."""

Order = Callable[[], object]


@dataclass(frozen=True, slots=True, eq=False)
class Offered:
    """A frame on its way, with the number of frames refused just before it."""

    frame: Frame
    refused: int


class Intake:
    """A queue bounded in bytes that counts what it refuses.

    Parameters
    ----------
    capacity : int
        Largest sum of the waiting frames [B].
    """

    def __init__(self, capacity: int = QUEUE_BYTES) -> None:
        self._queue: BoundedFifo[Offered | Analysis | Order] = BoundedFifo("record", capacity, _size_of)
        self._lock = threading.Lock()
        self._refused = 0
        # Each is counted up by one side alone.
        self._came, self._went = 0, 0

    def put(self, frame: Frame) -> None:
        """Take a frame in, or count it as refused; never waits. Nothing once closed."""
        with self._lock:
            try:
                if self._queue.put(Offered(frame, self._refused), 0):
                    self._refused = 0
                    self._came += 1
                else:
                    self._refused += 1 + frame.skipped
            except ChannelClosed:
                pass  # whoever closes the recorder has stopped its source

    def put_wait(self, frame: Frame) -> None:
        """Take a frame in once there is room.

        Raises
        ------
        ChannelClosed
        """
        with self._lock:
            self._queue.put(Offered(frame, self._refused))
            self._refused = 0
            self._came += 1

    def say(self, what: Analysis | Order) -> None:
        """Take an analysis or an order in, behind the frames before it. Nothing once closed."""
        try:
            self._queue.put(what, ORDER_S if callable(what) else 0)
        except ChannelClosed:
            pass  # closing: nothing more is taken

    def take(self, timeout_s: float) -> Offered | Analysis | Order | None:
        """Return what waits longest; None when the time is over first.

        Raises
        ------
        ChannelClosed
            Closed and empty.
        """
        item = self._queue.take(timeout_s)
        self._went += isinstance(item, Offered)
        return item

    def take_refused(self) -> int:
        """Return how many frames were refused since the last one taken in, and forget them."""
        with self._lock:
            refused, self._refused = self._refused, 0
            return refused

    def close(self) -> None:
        """Take nothing in any more; what waits is still taken out."""
        self._queue.close()

    @property
    def waiting(self) -> int:
        """Frames that wait."""
        return max(0, self._came - self._went)


def _size_of(item: object) -> int:
    if not isinstance(item, Offered):
        return 0
    frame = item.frame
    return frame.pixels.nbytes + sum(plane.nbytes for plane in frame.planes)
