"""One leg of a training's process: begun, watched through the file that it writes, and ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from puncta.core.errors import UserError
from puncta.formats.progress import Progress, TaskState
from puncta.session.retrain_pace import SAMPLES, PaceTable, measured_from
from puncta.session.retrain_plans import environment
from puncta.session.retrain_records import (
    BEGINS_ANEW,
    ERRORS,
    PAUSE,
    PROGRESS,
    STAGES,
    JobRecord,
    ProgressTail,
    has_checkpoint,
    is_alive,
    last_words,
    read_record,
)

NICE = 10
LOOK_S = 0.2
"""Time between two looks at a running training [s]."""
KEPT_S = 2.0
"""Time between two records of how far it is [s]."""
TOLD_S = 0.25
"""Shortest time between two times that others are told [s]."""
PAUSED_EXIT = 3
"""Exit status of `puncta train` that was asked to pause."""
PATIENCE_S = 120.0
"""A process that has not ended this long after it was asked to is killed [s]."""
LEAST_FREE = 4_000_000
"""Bytes below which a disk is full for a training."""
DISK_FULL = "The disk is full, so the training has stopped; make room, and resume goes on from the last checkpoint."
DISK_FULL_EARLY = f"The disk is full, so the training has stopped; make room. {BEGINS_ANEW}"
GOES_ON = "Resume goes on from the last checkpoint."

Put = Callable[..., None]
"""Called with what has changed of the record, and ``keep``: whether it goes to the disk now."""


class JobRun:
    """Runs the process of a training until it ends.

    Parameters
    ----------
    record : JobRecord
        As it stands before this leg.
    parts : mapping of str to float
        What "clips", "samples" and "finish" are estimated to take [s].
    marker : Path
        Made when the clips are there.
    put : callable
        Takes changes of the record.
    asked : callable
        Returns "paused" or "cancelled" where somebody has asked for it, else None.
    registered : callable
        Returns the model that a finished training has become, "id version".
    """

    def __init__(
        self, folder: Path, record: JobRecord, command: Sequence[str], parts: Mapping[str, float], marker: Path,
        pace: PaceTable, put: Put, asked: Callable[[], str | None], registered: Callable[[], str] | None = None,
    ) -> None:
        self._folder, self._record, self._command = folder, record, list(command)
        self._parts, self._marker, self._pace = parts, marker, pace
        self._put, self._asked = put, asked
        self._registered = registered or (lambda: record.model)
        self._began_s = time.monotonic()
        self._stages: dict[str, float] = dict(record.stages)
        self._last: Progress | None = None
        self._kept_s = self._told_s = self._stage_began_s = self._began_s
        self.left_s: float | None = None

    @property
    def elapsed_s(self) -> float:
        """Time of all legs so far [s]."""
        return self._record.spent_s + time.monotonic() - self._began_s

    def run(self) -> None:
        """Run until the process ends; whatever comes is put into the record."""
        kept = read_record(self._folder)
        if kept is not None and is_alive(kept):
            said = "It runs already in another window of the program."
            self._put(keep=False, state="interrupted", message=said)  # what is kept is the other window's
            return
        try:
            process = self._begin()
        except OSError as error:
            self._put(state="failed", message=f"Its process cannot be begun: {error.strerror}.")
            return
        asked_s: float | None = None
        tail = ProgressTail(self._folder / PROGRESS)
        self._put(state="making data", stage="beginning", message="", pid=process.pid, born=_born(process.pid))
        while process.poll() is None:
            self._take(tail.read())
            if self._asked() is not None:
                asked_s = asked_s or time.monotonic()
                if time.monotonic() - asked_s > PATIENCE_S:
                    process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_S)
        self._take(tail.read())
        self._end(process.returncode)

    def _begin(self) -> subprocess.Popen[bytes]:
        with contextlib.suppress(FileNotFoundError):
            (self._folder / PAUSE).unlink()
        if self._asked() is not None:  # asked just now: that wish is not an old one
            (self._folder / PAUSE).touch()
        windows: dict[str, Any] = {}
        if sys.platform == "win32":
            windows = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS}
        with (self._folder / PROGRESS).open("wb") as said, (self._folder / ERRORS).open("wb") as wrong:
            process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=said, stderr=wrong, env=environment(),
                cwd=self._folder, **windows,
            )
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # it has ended already, or priorities may not be set here
                mine = os.getpriority(os.PRIO_PROCESS, 0)
                os.setpriority(os.PRIO_PROCESS, process.pid, max(NICE, mine))
        return process

    def _take(self, lines: Sequence[Progress]) -> None:
        for line in lines:
            if line.state is not TaskState.RUNNING:
                continue
            if self._last is None or line.unit != self._last.unit:
                self._note_stage()
                self._stage_began_s = time.monotonic()
            self._last = line
        if lines and self._last is not None:
            now_s = time.monotonic()
            if now_s - self._told_s >= TOLD_S:
                self._told_s = now_s
                keep = now_s - self._kept_s >= KEPT_S
                self._kept_s = now_s if keep else self._kept_s
                self._say(self._last, keep)

    def _say(self, line: Progress, keep: bool) -> None:
        training = line.unit == SAMPLES
        if training and not self._marker.exists():
            with contextlib.suppress(OSError):
                self._marker.parent.mkdir(parents=True, exist_ok=True)
                self._marker.touch()
        begun = training or SAMPLES in self._stages
        self.left_s = self._left(line, begun)
        self._put(
            keep=keep, state="running" if begun else "making data", stage=STAGES.get(line.unit, line.unit),
            done=line.done, total=line.total, unit=line.unit, metrics=dict(line.metrics),
        )

    def _left(self, line: Progress, begun: bool) -> float:
        """Time left of this stage and of those to come; those are estimated."""
        here = line.left_s
        if line.unit == SAMPLES:
            return (self._parts[SAMPLES] if here is None else here) + self._parts["finish"]
        if begun:
            spent = time.monotonic() - self._stage_began_s
            return max(0.0, here if here is not None else self._parts["finish"] - spent)
        return (self._parts["clips"] if here is None else here) + self._parts[SAMPLES] + self._parts["finish"]

    def _note_stage(self) -> None:
        if self._last is not None:
            took = time.monotonic() - self._stage_began_s
            self._stages[self._last.unit] = self._stages.get(self._last.unit, 0.0) + took

    def _end(self, status: int) -> None:
        self._note_stage()
        asked, kept = self._asked(), has_checkpoint(self._folder)
        further = GOES_ON if kept else BEGINS_ANEW
        changes: dict[str, Any] = {
            "pid": 0, "born": 0.0, "spent_s": self.elapsed_s, "stages": tuple(self._stages.items()),
        }
        self.left_s = None
        if status == 0:
            measured = measured_from(tuple(self._stages.items()), self._record.work)
            with contextlib.suppress(UserError):  # a full disk costs the measurement alone
                self._pace.note(self._record.recipe, measured)
            self.left_s = 0.0
            model = self._registered()
            changes |= {
                "state": "done", "stage": "done", "model": model,
                "message": f"{model} is registered; it is not in use until it is promoted.",
            }
        elif asked is not None:
            words = f"Paused. {further}" if asked == "paused" else "Cancelled."
            changes |= {"state": asked, "message": words}
        elif status == PAUSED_EXIT:
            words = "It stopped with a checkpoint." if kept else "It has stopped."
            changes |= {"state": "interrupted", "message": f"{words} {further}"}
        elif status == 2 or (status > 0 and self._disk_is_full()):
            full = DISK_FULL if kept else DISK_FULL_EARLY
            said = full if self._disk_is_full() else _in_a_window(last_words(self._folder))
            changes |= {"state": "failed", "message": said or "It failed and did not say why."}
        elif status < 0 or status in (130, 137, 143):
            changes |= {"state": "interrupted", "message": f"Its process was ended from outside. {further}"}
        else:
            said = last_words(self._folder)
            why = _in_a_window(said) or f"It ended with status {status}."
            changes |= {"state": "failed", "message": f"{why} {further}"}
        self._put(**changes)


    def _disk_is_full(self) -> bool:
        """Tell whether hardly anything can be written any more, not even what went wrong."""
        try:
            return shutil.disk_usage(self._folder).free < LEAST_FREE
        except OSError:
            return False


def _in_a_window(said: str) -> str:
    """Put what a command says to somebody at a terminal in terms of the window's buttons."""
    return said.replace("go on with --resume", "press Resume").replace("go on with it by --resume", "press Resume")


def _born(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0
