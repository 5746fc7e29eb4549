"""A progress line on stderr, only where a person looks at a terminal."""

from __future__ import annotations

import shutil
import sys
import time

from puncta.formats.progress import say_time


class ProgressLine:
    """Rewrites one line, at most five times a second.

    Parameters
    ----------
    unit : str
        What is counted, "frame".
    interval_s : float
        Shortest time between two writings [s].
    """

    def __init__(self, unit: str, interval_s: float = 0.2) -> None:
        self._unit = unit
        self._interval_s = interval_s
        self._shown = sys.stderr.isatty()
        self._begun = time.monotonic()
        self._last = 0.0
        self._wrote = False

    def show(self, done: int, total: int | None, note: str = "", left_s: float | None = None) -> None:
        """Show how far the work is, the time left where it is known, and a note, cut to the terminal's width.

        Without ``left_s`` the time left is reckoned from how long it took so far.
        """
        now = time.monotonic()
        if not self._shown or now - self._last < self._interval_s:
            return
        self._last, self._wrote = now, True
        text = f"{self._unit} {done:,}" if total is None else f"{self._unit} {done:,} of {total:,}"
        if left_s is None and total and done:
            left_s = (now - self._begun) / done * (total - done)
        if left_s is not None:
            text += f", {say_time(left_s)} left"
        if note:
            text += f", {note}"
        text = text[: max(20, shutil.get_terminal_size().columns - 1)]
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._wrote:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
