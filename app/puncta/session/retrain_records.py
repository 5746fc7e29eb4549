"""What is kept of a training that the program runs: one small file, and what its process has written beside it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import psutil

from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.formats.progress import Progress, parse_progress

State = Literal[
    "waiting", "making data", "running", "paused", "interrupted", "cancelled", "failed", "done"
]
ACTIVE = ("making data", "running")
RECORD, EXPERIMENT, OUT, PROGRESS, ERRORS, PAUSE = (
    "job.json", "experiment.toml", "training", "progress.jsonl", "errors.txt", "pause",
)
CHECKPOINT = "checkpoint.pt"
"""In `OUT`; from it a training goes on."""
STAGES = {"samples": "training", "clips tuned on": "setting thresholds"}
BEGINS_ANEW = "There is no checkpoint yet, so Resume begins it anew."
_TAIL = 64_000
"""Bytes at the end of a file that are looked at."""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How a training stands.

    Attributes
    ----------
    state : str
        "waiting", "making data", "running", "paused", "interrupted", "cancelled", "failed" or "done".
    stage : str
        What it does now, in words.
    done, total, unit : float, float or None, str
        Of this stage.
    elapsed_s, left_s : float, float or None
        Of the whole training, pauses not counted [s].
    message : str
        One sentence: why it stopped, or what came out.
    folder : Path
    checkpoint : bool
        There is a checkpoint to go on from.
    here : bool
        It runs or waits in this program, and not in another window of it.
    copy_of : str
        What its data were copied from for it alone, as in `retrain_copies`; "" where it learns from somebody's dataset.
    """

    id: str
    name: str
    recipe: str
    plugin: str
    base: str
    state: State
    stage: str
    done: float
    total: float | None
    unit: str
    elapsed_s: float
    left_s: float | None
    metrics: Mapping[str, float | None]
    message: str
    folder: Path
    model: str = ""
    data: str = ""
    created_utc: str = ""
    checkpoint: bool = False
    here: bool = True
    copy_of: str = ""

    @property
    def active(self) -> bool:
        """Its process runs."""
        return self.state in ACTIVE


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What `RECORD` holds of a training.

    Attributes
    ----------
    pid, born : int, float
        Of the process that trains: number, and when it began, so that another with the same number is not taken for it.
    owner, owner_born : int, float
        Of the program that has it in its line.
    spent_s : float
        Time of earlier legs [s].
    stages : tuple of (str, float)
        Stages in order with what they have taken [s].
    """

    id: str
    name: str
    recipe: str
    plugin: str
    base: str
    data: str
    model: str
    created_utc: str
    state: State = "waiting"
    stage: str = ""
    done: float = 0.0
    total: float | None = None
    unit: str = ""
    message: str = ""
    spent_s: float = 0.0
    pid: int = 0
    born: float = 0.0
    owner: int = 0
    owner_born: float = 0.0
    work: float = 0.0
    stages: tuple[tuple[str, float], ...] = ()
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    copy_of: str = ""

    def status(self, folder: Path, elapsed_s: float, left_s: float | None) -> JobStatus:
        """Return it as others see it."""
        return JobStatus(
            self.id, self.name, self.recipe, self.plugin, self.base, self.state, self.stage, self.done, self.total,
            self.unit, elapsed_s, left_s, dict(self.metrics), self.message, folder, self.model, self.data,
            self.created_utc, has_checkpoint(folder), self.owner in (0, os.getpid()), self.copy_of,
        )


def write_record(folder: Path, record: JobRecord) -> None:
    """Write a training's record, whole or not at all; raises UserError where the disk is full."""
    write_text_atomic(folder / RECORD, json.dumps({"version": 1, **asdict(record)}, indent=2) + "\n")


def read_record(folder: Path) -> JobRecord | None:
    """Read a training's record; None where there is none that can be read."""
    try:
        found: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        known = {k: v for k, v in found.items() if k in JobRecord.__dataclass_fields__}
        known["stages"] = tuple((str(s), float(t)) for s, t in known.get("stages", ()))
        return JobRecord(**known)
    except (OSError, ValueError, TypeError):
        return None


def is_alive(record: JobRecord) -> bool:
    """Tell whether the process of a record still runs."""
    return _runs(record.pid, record.born)


def waits(record: JobRecord) -> bool:
    """Tell whether a record waits in the line of a program that still runs."""
    return record.state == "waiting" and _runs(record.owner, record.owner_born)


def this_program() -> dict[str, Any]:
    """Return what a record says of the program that has it in its line."""
    return {"owner": os.getpid(), "owner_born": psutil.Process().create_time()}


def _runs(pid: int, born: float) -> bool:
    if not pid:
        return False
    try:
        process = psutil.Process(pid)
        same = math.isclose(process.create_time(), born, abs_tol=2.0)
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def has_checkpoint(folder: Path) -> bool:
    """Tell whether a training has written a checkpoint; without one it can only begin anew."""
    return (folder / OUT / CHECKPOINT).is_file()


def settled(record: JobRecord, folder: Path | None = None) -> JobRecord:
    """Return a record of an earlier run, or of another window, as it is now: what has no process is interrupted.

    Parameters
    ----------
    folder : Path or None
        Of the training; None takes it that there is a checkpoint.
    """
    if record.state in ACTIVE and not is_alive(record):
        said = "Its process ended before it was done; resume goes on."
        if folder is not None and not has_checkpoint(folder):
            said = f"Its process ended before it was done. {BEGINS_ANEW}"
        return replace(record, state="interrupted", message=said)
    if record.state == "waiting" and not waits(record):
        return replace(record, state="interrupted", message="The program ended before it began; resume begins it.")
    return record


class ProgressTail:
    """Reads the progress lines that a process appends to a file.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._path, self._at, self._rest = path, 0, b""

    def read(self) -> list[Progress]:
        """Return what has come since the last call; half a line waits for its end."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = self._rest + file.read()
                self._at = file.tell()
        except OSError:
            return []
        *lines, self._rest = data.split(b"\n")
        out = []
        for line in lines:
            try:
                out.append(parse_progress(line.decode("utf-8", "replace")))
            except UserError:  # something else printed a line there
                continue
        return out


def last_words(folder: Path) -> str:
    """Return the last sentence that the process of a training said on its error stream, or ""."""
    try:
        data = (folder / ERRORS).read_bytes()[-_TAIL:]
    except OSError:
        return ""
    lines = [text.strip() for text in data.decode("utf-8", "replace").splitlines() if text.strip()]
    said = [text for text in lines if text.startswith("puncta: ")]
    return said[-1].removeprefix("puncta: ") if said else (lines[-1] if lines else "")


def read_curves(folder: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Return the curves of a training: name -> (samples, values); losses of training, figures of the tune split."""
    out: dict[str, tuple[list[float], list[float]]] = {}
    try:
        lines = (folder / OUT / "log.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return out
    for text in lines:
        try:
            line = json.loads(text)
            at, values = float(line["samples"]), line.get("losses") or line.get("metrics") or {}
        except (ValueError, KeyError, TypeError):  # half a line of a process that was killed
            continue
        kind = "loss" if line.get("split") == "train" else "tune"
        told = {f"{kind}: {k.replace('_', ' ')}": float(v) for k, v in values.items()}
        if kind == "loss" and values:
            told = {"loss": float(sum(values.values())), **told}
        for name, value in told.items():
            xs, ys = out.setdefault(name, ([], []))
            xs.append(at)
            ys.append(value)
    return out
