"""What the pipeline asks of the outside world."""

from __future__ import annotations

import time
from typing import Protocol, cast, runtime_checkable

from puncta.core.events import SourceHealth
from puncta.core.frame import Frame, SourceInfo
from puncta.core.results import Analysis


@runtime_checkable
class FrameSource(Protocol):
    """Something that yields frames in presentation order. Used by one thread at a time.

    ``read`` returns frames with ``epoch`` 0 and any ``frame_id``: the hub stamps both, and ``skipped`` counts only what
    the source itself knows it lost.
    """

    @property
    def info(self) -> SourceInfo:
        """Facts about the source; known from the moment it is open."""
        ...

    def read(self) -> Frame | None:
        """Return the next frame, or None at the end.

        A live source blocks until a frame arrives or about 0.5 s pass, then raises ``TimeoutError``.

        Raises
        ------
        SourceError
            The source cannot be read any further.
        """
        ...

    def seek(self, index: int) -> None:
        """Make ``read`` return frame ``index`` next. Only for sources with ``info.seekable``."""
        ...

    def close(self) -> None:
        """Release the device or file. May be called twice, also from another thread to unblock ``read``."""
        ...


class LiveFrameSource(FrameSource, Protocol):
    """A source that lives: it connects again by itself and can always say how it fares.

    Attributes
    ----------
    connection : int
        Number of the connection that the frame read last came by; when it changes, nothing before belongs to it.
    """

    connection: int

    def health(self) -> SourceHealth:
        """Return how the source fares now; never waits. Safe from any thread."""
        ...

    def flowing(self) -> bool:
        """Tell whether pictures come; cheaper than `health`. True before the first one. Safe from any thread."""
        ...

    def interrupt(self) -> None:
        """Let whoever waits in ``info`` or ``read`` go; returns at once. Safe from any thread."""
        ...


def as_live(source: FrameSource | None) -> LiveFrameSource | None:
    """Return a source as a live one, or None where it is none.

    Asked by one method alone: to ask for all of them would ask for ``info``, and that waits.
    """
    return cast(LiveFrameSource, source) if hasattr(source, "interrupt") else None


class MadeOnTime(FrameSource, Protocol):
    """A source without an end that makes its frames by the clock, and can leave some out to stay with it.

    Attributes
    ----------
    keeps_time : bool
        False where every frame counts, so that it slows down instead.
    """

    keeps_time: bool

    def let_pass(self, due_ns: int) -> int:
        """Leave out the frames after which another is due at a time of its own [ns] already; return how many."""
        ...


def as_made_on_time(source: FrameSource | None) -> MadeOnTime | None:
    """Return a source that keeps to the clock by leaving frames out, or None where it is none."""
    return cast(MadeOnTime, source) if getattr(source, "keeps_time", False) else None


class AnalysisSink(Protocol):
    """Something that takes analysed frames in order (a file, a collector)."""

    def put(self, analysis: Analysis) -> None:
        """Take one analysed frame."""
        ...

    def close(self) -> None:
        """Finish. Called once, also after a failure."""
        ...


class Clock(Protocol):
    """Monotonic time, replaceable in tests."""

    def now_ns(self) -> int:
        """Monotonic time [ns]."""
        ...


class SystemClock:
    """The machine's monotonic clock."""

    def now_ns(self) -> int:
        """Monotonic time [ns]."""
        return time.monotonic_ns()
