"""Going to frames: one seek at a time, and playing backwards by seeks, since no source plays that way by itself; and
what is owed to a frame that is held."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer

from puncta.core.events import PipelineStatus, PlayState
from puncta.core.frame import FrameKey
from puncta.core.results import Analysis

SEEK_PATIENCE_NS = 200_000_000
"""While one seek is under way, the next one waits for its picture, but no longer than this [ns]."""
SHUTTLE_SPEEDS = (1.0, 2.0, 4.0)
BACK_EVERY_MS = 80
SETTLED_LOOKS = 3
"""So many looks after the picture was held, what was under way has come."""


def next_faster(rate: float) -> float:
    """Return the shuttle's next speed above a rate, or its fastest."""
    return next((speed for speed in SHUTTLE_SPEEDS if speed > rate + 1e-6), SHUTTLE_SPEEDS[-1])


class OneSeek:
    """Sends one seek at a time; of the wishes that come meanwhile only the newest is kept.

    Parameters
    ----------
    seek : callable
        Starts to go to a frame.

    Attributes
    ----------
    wanted : int or None
        Number of the frame that is wished for and not sent yet.
    """

    def __init__(self, seek: Callable[[int], None]) -> None:
        self._seek = seek
        self.wanted: int | None = None
        self._sent_ns = 0

    def want(self, index: int) -> None:
        """Go to a frame, now or when the seek before has come."""
        self.wanted = index
        self.send()

    def forget(self) -> None:
        """Give up what is not sent yet."""
        self.wanted = None

    def note_picture(self) -> None:
        """A picture came, so nothing is under way."""
        self._sent_ns = 0

    def send(self) -> None:
        """Send what is wished for where nothing is under way, or that takes too long."""
        if self.wanted is None:
            return
        now = time.monotonic_ns()
        if self._sent_ns and now - self._sent_ns < SEEK_PATIENCE_NS:
            return
        index, self.wanted = self.wanted, None
        self._sent_ns = now
        self._seek(index)


class HeldPicture:
    """Has a held picture judged by itself where playback left it with findings of the frames before.

    A plugin that is too slow to judge every frame while it plays has time for the one that is looked at.

    Parameters
    ----------
    judge : callable
        Asks for it. It does nothing where the picture is about to become another one.
    """

    def __init__(self, judge: Callable[[], None]) -> None:
        self._judge = judge
        self._looks = 0
        self._asked: FrameKey | None = None

    def look(self, status: PipelineStatus, analysis: Analysis | None) -> None:
        """Look at the picture that is shown; what is asked for is asked once."""
        held = status.state in {PlayState.PAUSED, PlayState.ENDED}
        if not held or status.info is None or not status.info.seekable or analysis is None:
            self._looks, self._asked = 0, None
            return
        frame = analysis.frame
        own = all(output.frame_id == frame.frame_id for output in analysis.outputs)
        if own or frame.key == self._asked or status.index != frame.key.index:
            self._looks = 0
            return
        self._looks += 1
        if self._looks >= SETTLED_LOOKS:
            self._looks, self._asked = 0, frame.key
            self._judge()


class BackwardPlay:
    """Goes back by the time that has passed, again and again.

    Parameters
    ----------
    go_back : callable
        Takes a time of the case [s] to go back by; returns whether there is anything before that.
    parent : QObject
        Owner of the timer.

    Attributes
    ----------
    rate : float
        Speed; 0 while it does not run.
    """

    def __init__(self, go_back: Callable[[float], bool], parent: QObject) -> None:
        self._go_back = go_back
        self.rate = 0.0
        self._timer = QTimer(parent)
        self._timer.setInterval(BACK_EVERY_MS)
        self._timer.timeout.connect(self._tick)

    def faster(self) -> None:
        """Start, or go on faster."""
        self.rate = next_faster(self.rate) if self.rate else 1.0
        self._timer.start()

    def stop(self) -> None:
        """Hold."""
        self.rate = 0.0
        self._timer.stop()

    def _tick(self) -> None:
        if not self._go_back(self.rate * BACK_EVERY_MS / 1e3):
            self.stop()
