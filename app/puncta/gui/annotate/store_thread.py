"""The one thread that owns the store of labels: gestures are committed in order, results come back to the window."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from puncta.annotation.shared import SharedStore, Standing, open_labels
from puncta.annotation.store import AnnotationStore
from puncta.gui.bridge import Bridge

log = logging.getLogger(__name__)

Work = Callable[[AnnotationStore], Any]
Then = Callable[[Any], None] | None
Failed = Callable[[Exception], None] | None
_STOP: tuple[Work, Then, Failed, bool] | None = None


class StoreThread(QObject):
    """Runs work on the store in its own thread; the thread and the store begin with the first work.

    Parameters
    ----------
    where : Path or str or None
        As `puncta.annotation.shared.open_labels`.
    """

    settled = Signal()
    """The number of gestures that are not in the store yet has changed."""

    def __init__(self, where: Path | str | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.where = where
        self._work: queue.SimpleQueue[tuple[Work, Then, Failed, bool] | None] = queue.SimpleQueue()
        self._done: deque[tuple[Any, Exception | None, Then, Failed, bool]] = deque()
        self._bridge = Bridge(self)
        self._bridge.woken.connect(self._deliver)
        self._thread: threading.Thread | None = None
        self._closed = False
        self.waiting = 0
        self.begin_anew = False
        """An empty store may be begun where a damaged one has been set aside, or where none is."""
        self.standing: Standing | None = None
        """How the store stands with its server, as of the last work; None where there is no server."""

    def ask(self, work: Work, then: Then = None, failed: Failed = None, *, quiet: bool = False) -> None:
        """Do ``work(store)`` after all work before it, then ``then(result)`` or ``failed(error)`` in the window.

        Parameters
        ----------
        quiet : bool
            It only looks, so that nobody is told that something is being saved.
        """
        if self._closed:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="puncta-store")
            self._thread.start()
        self._work.put((work, then, failed, quiet))
        if not quiet:
            self.waiting += 1
            self.settled.emit()

    def close(self) -> None:
        """Commit what was asked for, then end the thread; nothing is delivered any more."""
        self._closed = True
        self._bridge.close()
        thread, self._thread = self._thread, None
        if thread is not None:
            self._work.put(_STOP)
            thread.join()
        self._done.clear()

    # in the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        store: AnnotationStore | None = None
        while (item := self._work.get()) is not None:
            work, then, failed, quiet = item
            result: Any = None
            error: Exception | None = None
            try:
                if store is None:
                    # A path that was mistyped is told; an empty store there is begun on a press only.
                    store = open_labels(self.where, begin_anew=self.begin_anew, begin=False)
                result = work(store)
                self.standing = store.standing if isinstance(store, SharedStore) else None
            except Exception as caught:  # noqa: BLE001 - told where the work was asked for
                error = caught
            self._done.append((result, error, then, failed, quiet))
            self._bridge.wake()
        if store is not None:
            store.close()

    # in the window ---------------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        while self._done:
            result, error, then, failed, quiet = self._done.popleft()
            self.waiting -= 0 if quiet else 1
            if error is None:
                if then is not None:
                    then(result)
            elif failed is not None:
                failed(error)
            else:
                log.error("work on the store failed", exc_info=error)
        self.settled.emit()
