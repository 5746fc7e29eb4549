"""Work of the GUI thread that comes round some ten times a second: done just after a picture has been painted.

Then nothing else waits for this thread. Between two pictures it would hold up the next one: its analysis, which shares
the interpreter, or its painting.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer

NEARLY = 0.9
"""A picture that comes after this share of the time is near enough."""
PATIENCE = 1.5
"""Where no picture comes it is done after so many times its time."""


class Chore:
    """One such work.

    Parameters
    ----------
    parent : QObject
        Owner of the timer.
    every_ms : int
        It is not done more often than this [ms] after pictures.
    work : callable
        Does it, and calls `done` where it can also be called by others.
    """

    def __init__(self, parent: QObject, every_ms: int, work: Callable[[], None]) -> None:
        self._every_ms = every_ms
        self._done_s = -math.inf  # never yet; the clock's own zero may have been just now
        self._stopped = False
        self._timer = QTimer(parent)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(work)

    @property
    def due(self) -> bool:
        """Whether it is to be done after the next picture."""
        return time.monotonic() - self._done_s > NEARLY * 1e-3 * self._every_ms

    def follow_picture(self, *, hold: bool = False) -> None:
        """A picture has been painted: do it now where it is due, or a little later; ``hold`` leaves it for the next."""
        if self._stopped:
            return
        if self.due and not hold:
            self._timer.start(0)  # after what waits already: other timers, the painting of the panels
        elif not self._timer.isActive():
            self._timer.start(round(PATIENCE * self._every_ms))

    def done(self) -> None:
        """It has been done, whoever asked for it."""
        self._done_s = time.monotonic()
        self._timer.stop()

    def again(self, *, pictures: bool) -> None:
        """Do it again also when no picture comes; where ``pictures`` come, give the next one time to."""
        if not self._stopped:
            self._timer.start(round(PATIENCE * self._every_ms) if pictures else self._every_ms)

    def stop(self) -> None:
        """Do it no more."""
        self._stopped = True
        self._timer.stop()
