"""Progress of long tasks as JSON lines (`--progress json`), written by one process and read by another."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TextIO

from puncta.core.errors import UserError
from puncta.formats import schemas
from puncta.formats.jsontext import json_line, parse_json, rounded


class TaskState(StrEnum):
    """State of a long task."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """One progress line.

    Attributes
    ----------
    done, total : float, float or None
        Units finished and in all; None where the end is not known.
    elapsed_s, left_s : float, float or None
        Time so far and estimated time left [s].
    metrics : mapping of str to float or None
        Figures worth watching, for example a loss.
    """

    task: str
    state: TaskState
    done: float
    total: float | None
    unit: str
    elapsed_s: float
    left_s: float | None
    message: str = ""
    metrics: Mapping[str, float | None] = field(default_factory=dict)


def say_time(seconds: float) -> str:
    """Return a time in words: 40 s, 12 min, 1 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def text_from_progress(progress: Progress) -> str:
    """Return the line of a progress, with its newline; raises BugError on NaN."""

    def number(value: float | None, decimals: int = 3) -> float | int | None:
        if value is None or isinstance(value, int):
            return value
        return rounded(value, decimals, progress.task)

    return json_line({
        "task": progress.task, "state": str(progress.state), "done": number(progress.done),
        "total": number(progress.total), "unit": progress.unit, "elapsed_s": number(progress.elapsed_s),
        "left_s": number(progress.left_s), "message": progress.message,
        "metrics": {name: number(value, 6) for name, value in progress.metrics.items()},
    }) + "\n"


def parse_progress(text: str) -> Progress:
    """Return the progress of a line.

    Raises
    ------
    UserError
        The line is no progress line.
    """
    document = parse_json(text, "the progress line")
    problems = schemas.check("progress", document)
    if problems:
        raise UserError(f"The progress line does not fit: {problems[0]}.")
    members = {**document, "state": TaskState(document["state"])}
    return Progress(**members)


class ProgressLines:
    """Writes progress lines, at most one an interval besides the last.

    Parameters
    ----------
    stream : text stream
        Standard output by default; each line is flushed.
    interval_s : float
        Shortest time between two lines [s].
    """

    def __init__(self, task: str, unit: str, total: float | None = None, stream: TextIO | None = None,
                 interval_s: float = 0.1, clock: Callable[[], float] = time.monotonic) -> None:
        self._task, self._unit, self._total = task, unit, total
        self._stream = stream if stream is not None else sys.stdout
        self._interval_s = interval_s
        self._clock = clock
        self._start_s = clock()
        self._last_s: float | None = None
        self._done: float = 0

    def report(self, done: float, message: str = "", metrics: Mapping[str, float | None] | None = None,
               left_s: float | None = None) -> None:
        """Say how far the task is; lines that come too soon after the last are left out.

        Without ``left_s`` the time left is reckoned from how long it took so far.
        """
        self._done = done
        now_s = self._clock()
        if self._last_s is None or now_s - self._last_s >= self._interval_s:
            self._last_s = now_s
            self._emit(TaskState.RUNNING, now_s, message, metrics, left_s)

    def finish(self, state: TaskState = TaskState.DONE, message: str = "",
               metrics: Mapping[str, float | None] | None = None) -> None:
        """Say how the task ended. Always written."""
        self._emit(state, self._clock(), message, metrics)

    def _emit(self, state: TaskState, now_s: float, message: str, metrics: Mapping[str, float | None] | None,
              left_s: float | None = None) -> None:
        elapsed_s = max(0.0, now_s - self._start_s)
        if state is not TaskState.RUNNING:
            left_s = 0.0
        elif left_s is None and self._total is not None and self._done > 0:
            left_s = max(0.0, elapsed_s * (self._total - self._done) / self._done)
        line = Progress(self._task, state, self._done, self._total, self._unit, elapsed_s, left_s, message,
                        metrics or {})
        self._stream.write(text_from_progress(line))
        self._stream.flush()
