"""A progress line on stderr, only where a person looks at a terminal."""

from __future__ import annotations

import sys
import time


class ProgressLine:
    """Rewrites one line, at most five times a second.

    Parameters
    ----------
    unit : str
        What is counted, "frame".
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._shown = sys.stderr.isatty()
        self._begun = time.monotonic()
        self._last = 0.0
        self._wrote = False

    def show(self, done: int, total: int | None) -> None:
        """Show how far the work is, and the time left where it is known."""
        now = time.monotonic()
        if not self._shown or now - self._last < 0.2:
            return
        self._last, self._wrote = now, True
        text = f"{self._unit} {done}" if total is None else f"{self._unit} {done} of {total}"
        if total and done:
            left_s = (now - self._begun) / done * (total - done)
            text += f", {left_s:.0f} s left"
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._wrote:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
