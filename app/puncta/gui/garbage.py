"""Python's search for garbage, kept to the GUI thread while a window is open.

The search runs in whichever thread happens to make the next object. Where it finds a Qt object in a ring of references
it ends it there and then, be it in the thread of a job. Qt forbids that: a timer that ended so is still called by the
GUI thread, and the process dies of it, rarely and without a word. So a timer in the GUI thread searches, nobody else.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from PySide6.QtCore import QObject, QTimer

LOOK_EVERY_MS = 500
"""How often the counts of new objects are looked at [ms]."""

_lock = threading.Lock()
_holding = 0
_was_on = False


@contextmanager
def no_search() -> Iterator[None]:
    """Nobody searches for garbage meanwhile, in no thread."""
    global _holding, _was_on
    with _lock:
        if _holding == 0:
            _was_on = gc.isenabled()
        _holding += 1
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            _holding -= 1
            if _holding == 0 and _was_on:
                gc.enable()


class GarbageSearch(QObject):
    """Searches in the GUI thread from its making until `close`, and nobody else does.

    Notes
    -----
    Python's own thresholds decide how far a search goes, so at this pace the oldest objects are gone through about once
    a minute at most. Several windows share one switch: the last one that closes gives the search back to Python.
    """

    _open: ClassVar[int] = 0
    _was_on: ClassVar[bool] = True

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        if GarbageSearch._open == 0:
            GarbageSearch._was_on = gc.isenabled()
        GarbageSearch._open += 1
        gc.disable()
        self._closed = False
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.look)
        self._timer.start(LOOK_EVERY_MS)

    def look(self) -> None:
        """Search where more has come than Python's thresholds allow."""
        if _holding:
            return
        counts = zip(gc.get_count(), gc.get_threshold(), strict=True)
        due = [generation for generation, (count, most) in enumerate(counts) if count > most]
        if due:
            gc.collect(due[-1])

    def close(self) -> None:
        """Search no more. Calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        self._timer.stop()
        GarbageSearch._open -= 1
        if GarbageSearch._open == 0 and GarbageSearch._was_on:
            gc.enable()
