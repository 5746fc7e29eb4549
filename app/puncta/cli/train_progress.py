"""How a training shows its progress: one calm line on a terminal, a line now and then in a log, JSON for a program."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Protocol

from puncta.cli.progress import ProgressLine
from puncta.formats.progress import ProgressLines, TaskState

TRAINING = "samples"
"""The stage that trains; those before it make clips."""
LOG_S = 30.0
"""Time between two lines where there is no terminal [s]."""


class Told(Protocol):
    """What a training tells: stage, how far, figures, time left [s]."""

    @property
    def stage(self) -> str: ...  # noqa: D102

    @property
    def done(self) -> int: ...  # noqa: D102

    @property
    def total(self) -> int: ...  # noqa: D102

    @property
    def metrics(self) -> dict[str, float]: ...  # noqa: D102

    @property
    def left_s(self) -> float | None: ...  # noqa: D102


class TrainingProgress:
    """Shows what a training tells, a line for each stage in turn.

    Parameters
    ----------
    as_json : bool
        JSON lines on standard output instead of a line on the terminal.
    """

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._lines: dict[tuple[str, int], ProgressLines] = {}
        self._line: ProgressLine | None = None
        self._stage: tuple[str, int] | None = None
        self._told: Told | None = None

    def tell(self, told: Told) -> None:
        """Take in how far the training is."""
        self._told, key = told, (told.stage, told.total)
        if self._as_json:
            if key not in self._lines:
                self._lines[key] = ProgressLines("train", told.stage, told.total)
            self._lines[key].report(told.done, metrics=told.metrics, left_s=told.left_s)
            return
        if key != self._stage:
            if self._line is not None:
                self._line.clear()
            interval_s = 1.0 if told.stage == TRAINING else 0.2
            self._stage, self._line = key, ProgressLine(told.stage, interval_s, LOG_S)
        assert self._line is not None
        self._line.show(told.done, told.total, note=say_figures(told.metrics), left_s=told.left_s)

    @property
    def so_far(self) -> str:
        """How far it is, as the end of a sentence: " after 640 of 1,600 samples"; "" before anything was told."""
        told = self._told
        return "" if told is None else f" after {told.done:,} of {told.total:,} {told.stage}"

    def say(self, words: str) -> None:
        """Say something to a person, on a line of its own; a program reads it from the JSON lines."""
        if self._as_json:
            return
        if self._line is not None:
            self._line.clear()
        # Past the stream's buffer: a signal may come while something is being written there.
        with contextlib.suppress(OSError, ValueError):
            os.write(sys.stderr.fileno(), f"{words}\n".encode())

    def finish(self, message: str) -> None:
        """Say that it is done."""
        if self._as_json:
            last = next((line for (stage, _), line in self._lines.items() if stage == TRAINING), None)
            if last is not None:
                last.finish(message=message)
        elif self._line is not None:
            self._line.clear()

    def stop(self, message: str) -> None:
        """Say that it has stopped before it was done."""
        if self._as_json:
            for line in list(self._lines.values())[-1:]:
                line.finish(TaskState.CANCELLED, message)
        elif self._line is not None:
            self._line.clear()


def say_figures(metrics: dict[str, float]) -> str:
    """Return speed and losses in few words: "86 a second, loss 1.97 (tip 1.15, shaft 0.29)"."""
    parts = []
    if "samples_per_s" in metrics:
        parts.append(f"{metrics['samples_per_s']:.0f} a second")
    if "loss" in metrics:
        own = [f"{k} {v:.2f}" for k, v in metrics.items() if k not in ("loss", "samples_per_s", "learning_rate")]
        parts.append(f"loss {metrics['loss']:.2f}" + (f" ({', '.join(own)})" if len(own) > 1 else ""))
    return ", ".join(parts)
