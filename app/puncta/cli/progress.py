"""A progress line on stderr where a person looks at a terminal; of long work, a line now and then elsewhere."""

from __future__ import annotations

import math
import shutil
import sys
import time

from puncta.formats.progress import say_time

SURE_S = 1.0
"""Before so long [s] nothing is said of the time left: the first steps say little of the others."""


class ProgressLine:
    """Rewrites one line, at most five times a second.

    Parameters
    ----------
    unit : str
        What is counted, "frame".
    interval_s : float
        Shortest time between two writings [s].
    log_s : float or None
        Without a terminal a line of its own is written this often [s], the first at once, so that a log tells that
        the work goes on; None writes nothing there.
    """

    def __init__(self, unit: str, interval_s: float = 0.2, log_s: float | None = None) -> None:
        self._unit = unit
        self._terminal = sys.stderr.isatty()
        self._interval_s = interval_s if self._terminal else log_s
        self._begun = time.monotonic()
        self._last = -math.inf
        self._wrote = False

    def show(self, done: int, total: int | None, note: str = "", left_s: float | None = None) -> None:
        """Show how far the work is, the time left where it is known, and a note, cut to the terminal's width.

        Without ``left_s`` the time left is reckoned from how long it took so far.
        """
        now = time.monotonic()
        if self._interval_s is None or now - self._last < self._interval_s:
            return
        self._last = now
        text = f"{self._unit} {done:,}" if total is None else f"{self._unit} {done:,} of {total:,}"
        if left_s is None and total and done and now - self._begun >= SURE_S:
            left_s = (now - self._begun) / done * (total - done)
        if left_s is not None:
            text += f", {say_time(left_s)} left"
        if note:
            text += f", {note}"
        if not self._terminal:
            print(text, file=sys.stderr, flush=True)
            return
        self._wrote = True
        text = text[: max(20, shutil.get_terminal_size().columns - 1)]
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._wrote:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
