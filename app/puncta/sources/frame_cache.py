"""Decoded pictures kept around the playhead, bounded by bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

CACHE_BYTES = 128 * 1024 * 1024
"""Default bound [bytes]: about 30 colour pictures of 1080 x 860, a second of scrubbing."""


class FrameCache(Generic[T]):
    """Least-recently-used cache whose values tell their size.

    Parameters
    ----------
    bytes_of : callable
        Size of a value [bytes].
    limit_bytes : int
        The oldest values go as soon as the sum exceeds this; the newest one always stays.
    """

    def __init__(self, bytes_of: Callable[[T], int], limit_bytes: int = CACHE_BYTES) -> None:
        self._bytes_of = bytes_of
        self._limit = limit_bytes
        self._values: OrderedDict[int, T] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._values)

    @property
    def held_bytes(self) -> int:
        """Sum of the sizes held [bytes]."""
        return self._bytes

    def get(self, index: int) -> T | None:
        """Return the value of an index and mark it as used just now."""
        value = self._values.get(index)
        if value is not None:
            self._values.move_to_end(index)
        return value

    def put(self, index: int, value: T) -> None:
        """Keep a value; drop the oldest ones beyond the bound."""
        old = self._values.pop(index, None)
        if old is not None:
            self._bytes -= self._bytes_of(old)
        self._values[index] = value
        self._bytes += self._bytes_of(value)
        while self._bytes > self._limit and len(self._values) > 1:
            _, dropped = self._values.popitem(last=False)
            self._bytes -= self._bytes_of(dropped)

    def clear(self) -> None:
        """Drop everything."""
        self._values.clear()
        self._bytes = 0
