"""One training from an experiment file to a training folder v1: data, loop, export, parity, calibration."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.imaging.motion_history import CHANNELS
from puncta.training.augment import Sample, make_sample
from puncta.training.calibrate import calibrate
from puncta.training.data import (
    Clip,
    CompositeSpec,
    SimulatorSpec,
    build_composites,
    build_from_dataset,
    build_simulated,
    load_clips,
)
from puncta.training.experiment import Experiment
from puncta.training.export import export_onnx
from puncta.training.familiar import familiar_from_clips
from puncta.training.loop import CHECKPOINT, LOG, ClipPool, LoopSettings, examine_samples, train_net
from puncta.training.nets.tip_stream import TipStream
from puncta.training.parity import Parity, open_exported
from puncta.training.still_cines import StillCineSpec, build_still_cines

HEAD = "training.json"
CALIBRATION = "calibration.json"
TABLE = "table.md"

FAMILIAR_CLIPS = 80
"""Clips of each kind of training picture by which an unfamiliar one is told."""
TUNE_SEED = 700_100
"""First simulator seed of the tune split; training counts up from 10,000, tests begin at 800,000."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A report on the way: stage, done, total, figures."""

    stage: str
    done: int
    total: int
    metrics: dict[str, float]


Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Splits:
    """Clips to train on, by group with its share, and clips to tune on."""

    train: tuple[tuple[float, list[Clip]], ...]
    tune: tuple[list[Clip], ...]


def gather_data(experiment: Experiment, data_root: Path | None, cache: Path, tell: Tell) -> Splits:
    """Make or read every clip that the experiment names.

    Raises
    ------
    UserError
        A folder that the experiment names is not there, or it names no data at all.
    """
    data = experiment.section("data")
    frames = int(data["frames"])

    def report(what: str, done: int, total: int) -> None:
        tell(Progress(what, done, total, {}))

    train: list[tuple[float, list[Clip]]] = []
    tune: list[list[Clip]] = []
    share = float(data["composite_share"])
    # Drawn and simulated needles in stills share the composites' part by their numbers.
    in_stills = max(1, int(data["composites"]) + int(data["still_cines"]))
    machines, procedures = tuple(data["machines"]), tuple(data["procedures"])
    for kind, count, first in (("train", data["clips"], 10_000), ("tune", data["tune_clips"], TUNE_SEED)):
        if count:
            spec = SimulatorSpec(machines, procedures, int(count), frames, first)
            clips = load_clips(build_simulated(spec, cache, report))[: int(count)]
            train.append((1 - share, clips)) if kind == "train" else tune.append(clips)
    folders = tuple(data["backgrounds"])
    if folders and data_root is None and (data["composites"] or data["still_cines"]):
        raise UserError("The experiment names backgrounds; say where they are with --data DIR.")
    if folders and data_root is not None:
        wanted = ("train", data["composites"], data["composite_seed"]), ("tune", data["tune_composites"], 2)
        for kind, count, first in wanted:
            if count:
                spec_c = CompositeSpec(folders, int(count), frames, int(first))
                clips = load_clips(build_composites(spec_c, data_root, cache, report))[: int(count)]
                part = share * int(data["composites"]) / in_stills
                train.append((part, clips)) if kind == "train" else tune.append(clips)
        for kind, count, first in (("train", data["still_cines"], 1), ("tune", data["tune_still_cines"], 2)):
            if count:
                spec_s = StillCineSpec(folders, int(count), frames, first, kind)
                clips = load_clips(build_still_cines(spec_s, data_root, cache, report))[: int(count)]
                part = share * int(data["still_cines"]) / in_stills
                train.append((part, clips)) if kind == "train" else tune.append(clips)
    for name in data["datasets"]:
        if data_root is None:
            raise UserError("The experiment names datasets; say where they are with --data DIR.")
        train.append((1 - share, load_clips(build_from_dataset(data_root / name, "train", cache, report))))
        tune.append(load_clips(build_from_dataset(data_root / name, "tune", cache, report)))
    if not any(clips for _, clips in train):
        raise UserError("The experiment names no data: give it `clips`, `composites` or `datasets`.")
    return Splits(tuple(train), tuple(tune))


def fixed_samples(groups: tuple[list[Clip], ...], size: int, length: int = 1, most: int = 96) -> list[Sample]:
    """Plain samples of the tune split, a few a clip group, always the same."""
    out: list[Sample] = []
    for clips in groups:
        usable = [c for c in clips if (c.judged >= 0).any()][: most // max(1, len(groups))]
        out += [make_sample(c, size, np.random.default_rng(k), length, plain=True) for k, c in enumerate(usable)]
    return out


def train_experiment(
    experiment: Experiment,
    out: Path,
    *,
    data_root: Path | None = None,
    cache: Path | None = None,
    resume: bool = False,
    start_from: Path | None = None,
    tell: Tell | None = None,
    stop_after: int | None = None,
) -> Path:
    """Train, export, check and write the training folder; return the path of its head.

    Parameters
    ----------
    start_from : Path or None
        A finished training folder of the same network whose weights to begin with.

    Raises
    ------
    UserError
        The folder holds another training, or data is missing.
    """
    tell = tell or (lambda _progress: None)
    _open_folder(out, experiment, resume)
    started = time.monotonic()
    options = experiment.section("training")
    settings = LoopSettings(
        samples=int(options["samples"]), batch=int(options["batch"]), learning_rate=float(options["learning_rate"]),
        weight_decay=float(options["weight_decay"]), ema=float(options["ema"]), warm_up=float(options["warm_up"]),
        seed=experiment.seed, size=experiment.size, threads=int(options["threads"]),
        bfloat16=bool(options["bfloat16"]), checkpoint_every=int(options["checkpoint_every"]),
        augment=bool(options["augment"]), stop_after=stop_after, length=int(options["length"]),
        stages=tuple((int(stage["size"]), int(stage["samples"])) for stage in options["stages"]),
    )
    splits = gather_data(experiment, data_root, cache or out / "cache", tell)
    fixed = fixed_samples(splits.tune or (splits.train[0][1],), settings.size, settings.length)

    def watch(step: int, losses: dict[str, float], _rate: float) -> None:
        tell(Progress("samples", step * settings.batch, settings.samples, losses))

    known = _weights_of(start_from) if start_from is not None else None

    def build() -> TipStream:
        model = experiment.section("model")
        net = TipStream(len(CHANNELS), model["widths"], shift=model["net"] == "tip_stream")
        if known is not None:
            try:
                net.load_state_dict(known)
            except RuntimeError as error:
                raise UserError(f"The weights of {start_from} belong to a network of another size.") from error
        return net

    def examine(net: Any) -> dict[str, float]:
        return examine_samples(net, fixed, settings.size)

    _write_head(out, experiment, "running", settings, 0, 0, started)
    if not any(splits.tune):
        raise UserError("The experiment needs a tune split to set its thresholds: give it `tune_clips`.")
    net, done = train_net(build, ClipPool(splits.train, experiment.seed), settings, out, watch, examine)
    parameters = sum(p.numel() for p in net.parameters())
    step = settings.steps if done else (stop_after or 0)
    if not done:
        return _write_head(out, experiment, "cancelled", settings, step, parameters, started)
    weights = out / "weights.pt"
    torch.save(net.state_dict(), weights)
    example = torch.from_numpy(np.stack([s.channels for s in fixed[:8]]))
    tune = [clip for clips in splits.tune for clip in clips]
    # What is familiar: every kind of picture it learnt from, in equal parts.
    seen = [clip for _, clips in splits.train for clip in clips[:: max(1, len(clips) // FAMILIAR_CLIPS)]]
    familiar = familiar_from_clips(net, [*seen, *tune], settings.size)
    tolerance = float(experiment.section("export")["tolerance"])
    parity = export_onnx(net, example, out / "model.onnx", tolerance, familiar)
    calibration = calibrate(open_exported(out / "model.onnx"), tune, settings.size)
    text = json.dumps({**calibration.as_spec(), "figures": calibration.figures}, indent=2)
    write_text_atomic(out / CALIBRATION, text + "\n")
    write_text_atomic(out / TABLE, _table(calibration.figures))
    best = {"step": step, "metric": "within_5_percent", "value": examine(net).get("within_5_percent", math.nan)}
    known = best if math.isfinite(best["value"]) else None
    return _write_head(out, experiment, "done", settings, step, parameters, started, parity, known)


def _table(figures: dict[str, float]) -> str:
    lines = ["Tune split (never the test sets): simulated machines of training, and composites.", ""]
    lines += ["| figure | value |", "| --- | --- |", *(f"| {k} | {v:g} |" for k, v in figures.items())]
    return "\n".join(lines) + "\n"


def _weights_of(folder: Path) -> dict[str, torch.Tensor]:
    try:
        return torch.load(folder / "weights.pt", weights_only=True)
    except OSError as error:
        raise UserError(f"The folder {folder} holds no finished training to begin with.") from error


def _open_folder(out: Path, experiment: Experiment, resume: bool) -> None:
    head = out / HEAD
    if head.exists():
        kept = json.loads(head.read_text(encoding="utf-8")).get("config")
        if not resume:
            raise UserError(f"The folder {out} already holds a training; name another one, or add --resume to go on.")
        if kept != json.loads(json.dumps(experiment.config)):
            raise UserError(f"The training in {out} was begun with another experiment, so it cannot be gone on with.")
    elif (out / CHECKPOINT).exists():
        raise UserError(f"The folder {out} holds a checkpoint without {HEAD}; name another folder.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {out} cannot be made: {error.strerror}.") from error


def _file(path: Path) -> dict[str, str] | None:
    if not path.exists():
        return None
    return {"path": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _write_head(
    out: Path, experiment: Experiment, state: str, settings: LoopSettings, step: int, parameters: int, started: float,
    parity: Parity | None = None, best: dict[str, Any] | None = None,
) -> Path:
    names = ("torch", "numpy", "opencv-python-headless", "onnx", "onnxruntime")
    spent = _logged_seconds(out / LOG)
    head = {
        "format": "puncta-training",
        "version": 1,
        "state": state,
        "simulated": True,
        "config": experiment.config,
        "created_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "device": f"cpu ({platform.machine()})",
        "threads": settings.threads,
        "versions": {n: importlib.metadata.version(n) for n in names},
        "samples": step * settings.batch,
        "parameters": parameters,
        "elapsed_s": round(max(spent, time.monotonic() - started), 1),
        "best": best,
        "parity": asdict(parity) if parity else None,
        "files": {
            "log": LOG,
            "weights": _file(out / "weights.pt"),
            "onnx": _file(out / "model.onnx"),
            "table": _file(out / TABLE),
        },
    }
    write_text_atomic(out / HEAD, json.dumps(head, indent=2) + "\n")
    return out / HEAD


def _logged_seconds(path: Path) -> float:
    if not path.exists():
        return 0.0
    lines = path.read_text(encoding="utf-8").splitlines()
    return float(json.loads(lines[-1])["elapsed_s"]) if lines else 0.0
