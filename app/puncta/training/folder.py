"""The training folder v1: opening it, its head, and the small files of the trainings that it goes on from."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.training.device import name_device
from puncta.training.experiment import Experiment
from puncta.training.loop import CHECKPOINT, LOG, LoopSettings
from puncta.training.parity import Parity
from puncta.training.recipes import recipe_of

HEAD = "training.json"
CALIBRATION = "calibration.json"
TABLE = "table.md"
WEIGHTS = "weights.pt"
GRAPH = "model.onnx"
LEGS = "legs"
"""Folder with the small files of the trainings that a training goes on from, in order."""
LEG_FILES = (HEAD, LOG, CALIBRATION, TABLE)


def open_folder(out: Path, experiment: Experiment, resume: bool) -> None:
    """Make the folder, or see to it that it holds this very training, to be gone on with.

    Raises
    ------
    UserError
        It holds a training already and nobody asks to go on, or another training.
    """
    head = out / HEAD
    if head.exists():
        kept = json.loads(head.read_text(encoding="utf-8")).get("config")
        if not resume:
            raise UserError(f"The folder {out} already holds a training; name another one, or add --resume to go on.")
        if not _same(kept, json.loads(json.dumps(experiment.config))):
            raise UserError(f"The training in {out} was begun with another experiment, so it cannot be gone on with.")
    elif (out / CHECKPOINT).exists():
        raise UserError(f"The folder {out} holds a checkpoint without {HEAD}; name another folder.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {out} cannot be made: {error.strerror}.") from error


def _same(kept: Any, wanted: dict[str, Any]) -> bool:
    """Tell whether a folder was begun with an experiment; what it does not name yet has its default."""
    if not isinstance(kept, dict):
        return False
    defaults = recipe_of(wanted).defaults
    filled = {**kept, **{name: {**known, **kept.get(name, {})} for name, known in defaults.items()}}
    return filled == wanted


def keep_leg(folder: Path, out: Path) -> None:
    """Copy the small files of the training that this one goes on from, and of those before it, into ``legs``."""
    legs = out / LEGS
    older = sorted(p for p in (folder / LEGS).glob("*") if p.is_dir()) if (folder / LEGS).is_dir() else []
    name = json.loads((folder / HEAD).read_text(encoding="utf-8"))["config"]["name"]
    for source, target in [*((p, legs / p.name) for p in older), (folder, legs / f"{len(older) + 1}-{name}")]:
        target.mkdir(parents=True, exist_ok=True)
        for file in LEG_FILES:
            if (source / file).exists():
                write_text_atomic(target / file, (source / file).read_text(encoding="utf-8"))


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Read the weights of a finished training.

    Raises
    ------
    UserError
        There are none.
    """
    try:
        return torch.load(folder / WEIGHTS, weights_only=True)
    except OSError as error:
        raise UserError(f"The folder {folder} holds no finished training to begin with.") from error


def read_size(folder: Path) -> int | None:
    """Side of the pictures that a training's network takes [px]; None where the folder does not tell."""
    try:
        size = json.loads((folder / HEAD).read_text(encoding="utf-8"))["config"]["model"]["input"]["size"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return size if isinstance(size, int) and size > 0 else None


def _file(path: Path) -> dict[str, str] | None:
    if not path.exists():
        return None
    return {"path": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def write_head(
    out: Path, experiment: Experiment, state: str, settings: LoopSettings, step: int, parameters: int, started: float,
    parity: Parity | None = None, best: dict[str, Any] | None = None,
) -> Path:
    """Write training.json as things stand and return its path; ``started`` is on the monotonic clock [s]."""
    names = ("torch", "numpy", "opencv-python-headless", "onnx", "onnxruntime")
    spent = _logged_seconds(out / LOG)
    head = {
        "format": "puncta-training",
        "version": 1,
        "state": state,
        "simulated": True,
        "config": experiment.config,
        "created_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "device": name_device(torch.device(settings.device)),
        "threads": settings.threads,
        "versions": {n: importlib.metadata.version(n) for n in names},
        "samples": step * settings.batch,
        "parameters": parameters,
        "elapsed_s": round(max(spent, time.monotonic() - started), 1),
        "best": best,
        "parity": asdict(parity) if parity else None,
        "files": {
            "log": LOG,
            "weights": _file(out / WEIGHTS),
            "onnx": _file(out / GRAPH),
            "table": _file(out / TABLE),
        },
    }
    write_text_atomic(out / HEAD, json.dumps(head, indent=2) + "\n")
    return out / HEAD


def _logged_seconds(path: Path) -> float:
    return float(_last_line(path).get("elapsed_s", 0.0))


def logged_step(path: Path) -> int:
    """Return the step of a log's last line."""
    return int(_last_line(path).get("step", 0))


def _last_line(path: Path) -> dict[str, Any]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in reversed(lines):
        try:
            return json.loads(line)
        except json.JSONDecodeError:  # a run that was killed may leave half a line
            continue
    return {}
