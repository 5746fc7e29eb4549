"""Two channels between threads: a slot where the newest wins, and a bounded queue where nothing is lost silently.

Every drop is counted with its cause, so that a status line can say what happened and why.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class ChannelClosed(Exception):
    """The other side has closed the channel; nothing more will come or be taken."""


class LatestSlot(Generic[T]):
    """Holds at most one value; a newer one replaces an older one that nobody took."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._value: T | None = None
        self._full = False
        self._closed = False
        self._condition = threading.Condition()
        self._drops: Counter[str] = Counter()

    def put(self, value: T) -> T | None:
        """Place a value; return the one it replaced, or None.

        Raises
        ------
        ChannelClosed
        """
        with self._condition:
            if self._closed:
                raise ChannelClosed(self.name)
            replaced = self._value if self._full else None
            if self._full:
                self._drops["replaced by newer"] += 1
            self._value, self._full = value, True
            self._condition.notify_all()
            return replaced

    def put_wait(self, value: T, timeout_s: float | None = None) -> bool:
        """Place a value once the slot is empty; return False when the time is over first.

        This is how EVERY_FRAME delivery makes a source wait for its reader.

        Raises
        ------
        ChannelClosed
        """
        with self._condition:
            free = self._condition.wait_for(lambda: self._closed or not self._full, timeout_s)
            if self._closed:
                raise ChannelClosed(self.name)
            if not free:
                return False
            self._value, self._full = value, True
            self._condition.notify_all()
            return True

    def take(self, timeout_s: float | None = None) -> T | None:
        """Take the value, waiting for one; None when the time is over first.

        Raises
        ------
        ChannelClosed
            Closed and empty.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._full, timeout_s)
            if self._full:
                value, self._value, self._full = self._value, None, False
                self._condition.notify_all()
                return value
            if self._closed:
                raise ChannelClosed(self.name)
            return None

    def take_nowait(self) -> T | None:
        """Take the value if there is one; never waits, never raises."""
        with self._condition:
            value, self._value, self._full = self._value, None, False
            self._condition.notify_all()
            return value

    def clear(self, cause: str) -> None:
        """Throw away a waiting value and count it under a cause (a seek, say)."""
        with self._condition:
            if self._full:
                self._drops[cause] += 1
            self._value, self._full = None, False
            self._condition.notify_all()

    def close(self) -> None:
        """Close; waiting readers and writers wake up."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    @property
    def full(self) -> bool:
        """Whether a value waits to be taken."""
        return self._full

    @property
    def drops(self) -> dict[str, int]:
        """Values thrown away so far, by cause."""
        with self._condition:
            return dict(self._drops)


class BoundedFifo(Generic[T]):
    """A queue bounded by the summed size of its values; full means a counted refusal or a wait, never silence.

    Parameters
    ----------
    capacity : int
        Largest summed size; bytes where ``size_of`` returns bytes, values otherwise.
    size_of : callable
        Size of a value; 1 by default.
    """

    def __init__(self, name: str, capacity: int, size_of: Callable[[T], int] | None = None) -> None:
        self.name = name
        self._capacity = capacity
        self._size_of = size_of or (lambda _value: 1)
        self._queue: deque[tuple[T, int]] = deque()
        self._held = 0
        self._closed = False
        self._condition = threading.Condition()
        self._drops: Counter[str] = Counter()

    def put(self, value: T, timeout_s: float | None = None) -> bool:
        """Append, waiting for room; False when the time is over first (counted under "full").

        Raises
        ------
        ChannelClosed
        """
        size = self._size_of(value)
        with self._condition:
            # A value larger than the whole capacity still passes through an empty queue: refusing it would be a loss.
            room = self._condition.wait_for(
                lambda: self._closed or not self._queue or self._held + size <= self._capacity, timeout_s
            )
            if self._closed:
                raise ChannelClosed(self.name)
            if not room:
                self._drops["full"] += 1
                return False
            self._queue.append((value, size))
            self._held += size
            self._condition.notify_all()
            return True

    def take(self, timeout_s: float | None = None) -> T | None:
        """Take the oldest value, waiting for one; None when the time is over first.

        Raises
        ------
        ChannelClosed
            Closed and drained.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._closed or bool(self._queue), timeout_s)
            if self._queue:
                value, size = self._queue.popleft()
                self._held -= size
                self._condition.notify_all()
                return value
            if self._closed:
                raise ChannelClosed(self.name)
            return None

    def close(self) -> None:
        """Close for writers; readers drain what is left, then get ChannelClosed."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def __len__(self) -> int:
        with self._condition:
            return len(self._queue)

    @property
    def drops(self) -> dict[str, int]:
        """Refused values so far, by cause."""
        with self._condition:
            return dict(self._drops)
