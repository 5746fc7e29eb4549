"""What asks a command to stop: Ctrl+C, a polite kill, a terminal that closes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AT_ONCE_S = 1.0
"""Signals within so long of the first are the same wish: `timeout` sends one to a command and one to its group [s]."""


def stop_signals() -> list[signal.Signals]:
    """Ctrl+C, a polite kill, a closed terminal: the files are closed properly at each. `nohup` stays in force."""
    found = [signal.SIGINT, signal.SIGTERM]
    hang_up = getattr(signal, "SIGHUP", None)  # not on Windows
    if hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:
        found.append(hang_up)
    return found


@contextmanager
def at_stop(do: Callable[[], None], *, once: bool = False) -> Iterator[None]:
    """Have something done at each such signal, in the block.

    Parameters
    ----------
    once : bool
        A second signal, later than `AT_ONCE_S` after the first, then does what it always does: it ends the program.
    """
    if threading.current_thread() is not threading.main_thread():  # only that one may take signals
        yield
        return
    before = {number: signal.getsignal(number) for number in stop_signals()}

    first_s: float | None = None

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def take(number: int, _frame: object) -> None:
        nonlocal first_s
        if once and first_s is not None:
            if time.monotonic() - first_s >= AT_ONCE_S:
                put_back()
                signal.raise_signal(number)
            return
        first_s = time.monotonic()
        do()

    for number in before:
        signal.signal(number, take)
    try:
        yield
    finally:
        put_back()
