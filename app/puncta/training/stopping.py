"""Asking a training to pause: a file that appears, or the program that began it being gone.

A training looks between two steps, writes a checkpoint and ends; while clips are made it looks after each few of them.
Looking for a file works on every system, needs no thread, and survives whoever asked.
"""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import psutil

LOOK_S = 0.5
"""Time between two looks [s]."""


class Stopping:
    """Looks whether somebody wants a training to pause.

    Parameters
    ----------
    file : Path or None
        As soon as it is there, the training pauses.
    parent : int or None
        Number of a process; as soon as it is gone, the training pauses.
    """

    def __init__(self, file: Path | None = None, parent: int | None = None) -> None:
        self._file = file
        self._watches, self._parent = parent is not None, _process(parent)
        self._asked = False
        self._looked_s = -LOOK_S

    def ask(self) -> None:
        """Ask from within this process."""
        self._asked = True

    def asked(self) -> bool:
        """Tell whether the training has to pause; once asked, it stays asked."""
        now_s = time.monotonic()
        if not self._asked and now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            here = self._file is not None and self._file.exists()
            gone = self._watches and not _is_there(self._parent)
            self._asked = here or gone
        return self._asked


def _process(pid: int | None) -> psutil.Process | None:
    try:
        return None if pid is None else psutil.Process(pid)
    except psutil.Error:
        return None


def _is_there(process: psutil.Process | None) -> bool:
    """Tell whether it is still this very process; when it began is not asked, for that moves with the clock."""
    try:
        return process is not None and process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


class Paused(Exception):  # noqa: N818 - it is no error
    """A training was asked to pause while it had nothing to save yet, or had saved everything."""


_stopping = Stopping()


def pause_when(file: Path | None, parent: int | None) -> None:
    """Have the trainings of this process look for a file and at another process; both None ends that."""
    global _stopping
    _stopping = Stopping(file, parent)


def ask_to_pause() -> None:
    """Have the trainings of this process pause at the next look, as a file would. Safe from a signal's handler."""
    _stopping.ask()


def asked_to_pause() -> bool:
    """Tell whether a training of this process has to pause."""
    return _stopping.asked()


def pause_if_asked() -> None:
    """Raise `Paused` where a training has to pause."""
    if _stopping.asked():
        raise Paused


def is_orphan() -> bool:
    """Tell whether this process was begun by another one of ours that has gone."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()
