"""The only place where other threads meet Qt. What crosses carries no payload: receivers come and take.

Pixels queued in signals pile up and age; a wake that says "there is something" cannot, because a second wake before
the first one is served is dropped here.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal

log = logging.getLogger(__name__)


class Bridge(QObject):
    """Turns calls from any thread into one queued, payload-free Qt signal.

    Notes
    -----
    `wake` may be called from every thread, also after `close`, when it does nothing.
    """

    woken = Signal()
    _crossing = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._under_way = False
        self._open = True
        self._crossing.connect(self._arrive, Qt.ConnectionType.QueuedConnection)

    def wake(self) -> None:
        """Ask the GUI thread to come and take what is new."""
        if self._under_way or not self._open:
            return
        self._under_way = True
        self._crossing.emit()

    def close(self) -> None:
        """Let no further wake through."""
        self._open = False

    def _arrive(self) -> None:
        # Cleared before anyone takes: a wake during the taking causes one more round, never a lost one.
        self._under_way = False
        if self._open:
            self.woken.emit()


class Jobs(QObject):
    """Two threads for slow work such as files and thumbnails. Results come back to the GUI thread.

    A job's function must not touch Qt widgets; its result and its failure are handed to functions that run in the
    GUI thread.
    """

    _crossing = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="puncta-job")
        self._done: deque[tuple[Future[Any], Callable[[Any], None] | None, Callable[[Exception], None] | None]] = (
            deque()
        )
        self._open = True
        self._crossing.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def run(
        self,
        work: Callable[[], Any],
        then: Callable[[Any], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Do ``work`` in a job thread, then ``then(result)`` or ``failed(error)`` in the GUI thread."""
        if not self._open:
            return

        def finish(future: Future[Any]) -> None:
            self._done.append((future, then, failed))
            if self._open:
                self._crossing.emit()

        self._pool.submit(work).add_done_callback(finish)

    @property
    def threads(self) -> Executor:
        """The threads themselves, for work that is awaited on the event loop."""
        return self._pool

    def close(self) -> None:
        """Wait for the work under way and forget the rest. Nothing is delivered any more."""
        self._open = False
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._done.clear()

    def _deliver(self) -> None:
        while self._done:
            future, then, failed = self._done.popleft()
            if future.cancelled():
                continue
            error = future.exception()
            if error is None:
                if then is not None:
                    then(future.result())
            elif failed is not None and isinstance(error, Exception):
                failed(error)
            else:
                log.error("a job failed", exc_info=error)
