"""Does one thing again and again in a thread of its own, until it fails or is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Repeating:
    """Starts at once; the first time comes after one interval.

    Attributes
    ----------
    failure : OSError or None
        What ended it.
    """

    def __init__(self, work: Callable[[], None], every_s: float, name: str) -> None:
        self.failure: OSError | None = None
        self._work, self._every_s = work, every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def stop(self) -> None:
        """End after what is under way; a second call does nothing."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                self._work()
            except OSError as error:
                self.failure = error
                return
