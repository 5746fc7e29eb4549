"""One training from an experiment file to a training folder v1: data, loop, export, parity, calibration."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from puncta.core.errors import UserError
from puncta.imaging.motion_history import CHANNELS
from puncta.training.augment import Sample, make_sample
from puncta.training.building import build_together
from puncta.training.calibrate import calibrate
from puncta.training.coarse import CoarseCineSpec, build_coarse
from puncta.training.data import (
    Clip,
    CompositeSpec,
    Report,
    SimulatorSpec,
    build_composites,
    build_simulated,
    load_clips,
)
from puncta.training.dataset_reading import build_labelled_clips
from puncta.training.device import choose_device
from puncta.training.experiment import Experiment, experiment_from
from puncta.training.export import export_onnx
from puncta.training.familiar import familiar_from_clips
from puncta.training.folder import (
    GRAPH,
    HEAD,
    WEIGHTS,
    keep_leg,
    logged_step,
    open_folder,
    read_weights,
    write_head,
)
from puncta.training.loop import LOG, ClipPool, LoopSettings, examine_samples, save_whole, train_net
from puncta.training.nets.tip_stream import TipStream
from puncta.training.pace import Pace, stages_of
from puncta.training.parity import Parity, open_exported
from puncta.training.recalibrate import write_calibration
from puncta.training.report_pictures import choose_frames
from puncta.training.report_run import Redrawing, redraw, write_pictures
from puncta.training.report_story import read_story
from puncta.training.steady import SteadyCineSpec, build_steady
from puncta.training.still_cines import EmptyStillSpec, StillCineSpec, build_still_cines

LOOKS = 12
"""Looks at the tune split during a training, about."""
FAMILIAR_CLIPS = 80
"""Clips of each kind of training picture by which an unfamiliar one is told."""
TUNE_SEED = 700_100
"""First simulator seed of the tune split; training counts up from 10,000, tests begin at 800,000."""


IN_STILLS = ("composites", "still_cines", "steady_cines")
"""Kinds of cines of needles in real stills."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A report on the way: stage, done, total, figures, the time left [s] where it is known, and words for people."""

    stage: str
    done: int
    total: int
    metrics: dict[str, float]
    left_s: float | None = None
    words: str = ""


Tell = Callable[[Progress], None]


def reporter(tell: Tell) -> Callable[[str, int, int], None]:
    """Return what makers of clips call with a stage, done and total."""
    return lambda what, done, total: tell(Progress(what, done, total, {}))


@dataclass(frozen=True, slots=True)
class Splits:
    """Clips to train on, by group with its share, and clips to tune on."""

    train: tuple[tuple[float, list[Clip]], ...]
    tune: tuple[list[Clip], ...]


Groups = list[tuple[float, list[Clip]]]


def gather_data(
    experiment: Experiment, data_root: Path | None, cache: Path, tell: Tell, to_train: bool = True
) -> Splits:
    """Make or read every clip that the experiment names; a tune split alone is enough where nothing is to be trained.

    Raises
    ------
    UserError
        A folder that the experiment names is not there, or it names no data at all.
    """
    data = experiment.section("data")
    frames = int(data["frames"])
    report = reporter(tell)
    train: Groups = []
    tune: list[list[Clip]] = []
    share = float(data["composite_share"])
    folders = tuple(data["backgrounds"])
    if folders and data_root is None and any(data[kind] for kind in IN_STILLS):
        # Said before minutes go into simulated clips.
        raise UserError("The experiment names backgrounds; say where they are with --data DIR.")
    machines, procedures = tuple(data["machines"]), tuple(data["procedures"])
    for kind, count, first in (("train", data["clips"], 10_000), ("tune", data["tune_clips"], TUNE_SEED)):
        if count:
            spec = SimulatorSpec(machines, procedures, int(count), frames, first)
            clips = load_clips(build_together(build_simulated, "simulated clips", spec, cache, report))[: int(count)]
            train.append((1 - share, clips)) if kind == "train" else tune.append(clips)
    _gather_coarse(data, cache, report, train, tune)
    if folders and data_root is not None:
        _gather_stills(data, data_root, cache, report, train, tune)
    for name in data["datasets"]:
        if data_root is None:
            raise UserError("The experiment names datasets; say where they are with --data DIR.")
        if to_train:
            train.append((1 - share, load_clips(build_labelled_clips(data_root / name, "train", cache, report))))
        tune.append(load_clips(build_labelled_clips(data_root / name, "tune", cache, report)))
    if to_train and not any(clips for _, clips in train):
        raise UserError("The experiment names no data: give it `clips`, `composites` or `datasets`.")
    return Splits(tuple(train), tuple(tune))


def _gather_coarse(
    data: dict[str, Any], cache: Path, report: Report, train: Groups, tune: list[list[Clip]]
) -> None:
    for kind, count, first in (("train", data["coarse_cines"], 1), ("tune", data["tune_coarse_cines"], 2)):
        if count:
            spec_k = CoarseCineSpec(int(count), seed=first)
            clips = load_clips(build_together(build_coarse, "coarse cines", spec_k, cache, report))[: int(count)]
            train.append((float(data["coarse_share"]), clips)) if kind == "train" else tune.append(clips)


def _gather_stills(
    data: dict[str, Any], data_root: Path, cache: Path, report: Report, train: Groups, tune: list[list[Clip]]
) -> None:
    folders, frames = tuple(data["backgrounds"]), int(data["frames"])
    # Drawn, simulated and resting needles in stills share the composites' part by their numbers.
    share = float(data["composite_share"])
    in_stills = max(1, sum(int(data[kind]) for kind in IN_STILLS))
    wanted = ("train", data["composites"], data["composite_seed"]), ("tune", data["tune_composites"], 2)
    for kind, count, first in wanted:
        if count:
            spec_c = CompositeSpec(folders, int(count), frames, int(first))
            there = build_together(build_composites, "composites", spec_c, cache, report, data_root)
            clips = load_clips(there)[: int(count)]
            part = share * int(data["composites"]) / in_stills
            train.append((part, clips)) if kind == "train" else tune.append(clips)
    for kind, count, first in (("train", data["still_cines"], 1), ("tune", data["tune_still_cines"], 2)):
        if count:
            spec_s = StillCineSpec(folders, int(count), frames, first, kind)
            there = build_together(build_still_cines, "needles in stills", spec_s, cache, report, data_root)
            clips = load_clips(there)[: int(count)]
            part = share * int(data["still_cines"]) / in_stills
            train.append((part, clips)) if kind == "train" else tune.append(clips)
    for kind, count, first in (("train", data["steady_cines"], 1), ("tune", data["tune_steady_cines"], 2)):
        if count:
            spec_r = SteadyCineSpec(folders, int(count), seed=first)
            there = build_together(build_steady, "resting needles", spec_r, cache, report, data_root)
            clips = load_clips(there)[: int(count)]
            part = share * int(data["steady_cines"]) / in_stills
            train.append((part, clips)) if kind == "train" else tune.append(clips)
    if data["tune_empty_stills"]:
        spec_e = EmptyStillSpec(folders, int(data["tune_empty_stills"]), frames, 2)
        there = build_together(build_still_cines, "needle-free stills", spec_e, cache, report, data_root)
        tune.append(load_clips(there)[: int(data["tune_empty_stills"])])


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
    # Said before any clip is made, not after an hour.
    choose_device(str(experiment.section("training")["device"]))
    known = read_weights(start_from) if start_from is not None else None
    open_folder(out, experiment, resume)
    if start_from is not None:
        keep_leg(start_from, out)
    started = time.monotonic()
    settings = settings_of(experiment, stop_after)
    splits = gather_data(experiment, data_root, cache or out / "cache", tell)
    if not any(splits.tune):
        raise UserError("The experiment needs a tune split to set its thresholds: give it `tune_clips`.")
    fixed = fixed_samples(splits.tune, settings.size, settings.length)
    shown = choose_frames(splits.tune)
    pace = Pace(stages_of(experiment.config), settings.samples)

    def watch(step: int, losses: dict[str, float], rate: float) -> None:
        seen = step * settings.batch
        speed, left_s = pace.note(seen, time.monotonic())
        figures = {"loss": sum(losses.values()), **losses, "learning_rate": rate}
        figures |= {} if speed is None else {"samples_per_s": speed}
        tell(Progress("samples", seen, settings.samples, figures, left_s))

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
        write_pictures(net, shown, settings.size, out)
        return examine_samples(net, fixed, settings.size)

    every = settings.checkpoint_every * max(1, round(settings.steps / LOOKS / settings.checkpoint_every))
    write_head(out, experiment, "running", settings, 0, 0, started)
    try:
        net, done = train_net(
            build, ClipPool(splits.train, experiment.seed), settings, out, watch, examine, every,
            kept=Redrawing(out),
        )
    except KeyboardInterrupt:
        write_head(out, experiment, "cancelled", settings, logged_step(out / LOG), 0, started)
        redraw(out)
        raise
    parameters = sum(p.numel() for p in net.parameters())
    if done:
        parity = finish(net.cpu(), experiment, splits, fixed, out)
        value = examine(net).get("within_5_percent", math.nan)
        best = {"step": settings.steps, "metric": "within_5_percent", "value": value}
        write_head(out, experiment, "done", settings, settings.steps, parameters, started, parity,
                   best if math.isfinite(value) else None)
    else:
        write_head(out, experiment, "cancelled", settings, logged_step(out / LOG), parameters, started)
    redraw(out)
    return out / HEAD


def settings_of(experiment: Experiment, stop_after: int | None = None) -> LoopSettings:
    """Return budget and optimiser of an experiment; see `LoopSettings`."""
    options = experiment.section("training")
    return LoopSettings(
        samples=int(options["samples"]), batch=int(options["batch"]), learning_rate=float(options["learning_rate"]),
        weight_decay=float(options["weight_decay"]), ema=float(options["ema"]), warm_up=float(options["warm_up"]),
        seed=experiment.seed, size=experiment.size, threads=int(options["threads"]),
        bfloat16=bool(options["bfloat16"]), checkpoint_every=int(options["checkpoint_every"]),
        augment=bool(options["augment"]), plain_looks=float(options["plain_looks"]),
        any_scale=float(options.get("any_scale", 0.0)), stop_after=stop_after,
        length=int(options["length"]),
        stages=tuple((int(stage["size"]), int(stage["samples"])) for stage in options["stages"]),
        device=str(options["device"]), workers=int(options["workers"]),
    )


def finish(net: Any, experiment: Experiment, splits: Splits, fixed: list[Sample], out: Path) -> Parity:
    """Write weights, graph, thresholds and table of a trained network; return how well the graph agrees with it."""
    save_whole(net.state_dict(), out / WEIGHTS)
    example = torch.from_numpy(np.stack([s.channels for s in fixed[:8]]))
    tune = [clip for clips in splits.tune for clip in clips]
    # Every kind of picture that it is made for: those it learnt from, and the tune split with its needle-free stills.
    seen = [clip for _, clips in splits.train for clip in clips[:: max(1, len(clips) // FAMILIAR_CLIPS)]]
    familiar = familiar_from_clips(net, [*seen, *tune], experiment.size)
    tolerance = float(experiment.section("export")["tolerance"])
    parity = export_onnx(net, example, out / GRAPH, tolerance, familiar)
    calibration = calibrate(open_exported(out / GRAPH), tune, experiment.size)
    write_calibration(out, calibration)
    return parity


def tune_split(
    out: Path, data_root: Path | None, cache: Path | None, tell: Tell | None = None
) -> tuple[Experiment, tuple[list[Clip], ...]]:
    """Return the experiment of a training folder and its tune split; nothing is gathered to train on.

    Raises
    ------
    UserError
        The folder holds no training of a tip network, or the tune split's stills are not there.
    """
    config = read_story(out).config
    experiment = experiment_from(config, str(config.get("name", "of the folder")))
    tune = Experiment(
        experiment.name, experiment.plugin, experiment.seed,
        {**config, "data": {**experiment.section("data"), **dict.fromkeys(("clips", "coarse_cines", *IN_STILLS), 0)}},
    )
    splits = gather_data(tune, data_root, cache or out / "cache", tell or (lambda _progress: None), to_train=False)
    return experiment, splits.tune


def picture_finished(out: Path, data_root: Path | None, cache: Path | None, tell: Tell | None = None) -> None:
    """Draw the validation pictures of a finished training anew, from its weights and its tune split.

    Raises
    ------
    UserError
        The folder holds no finished training of a tip network, or the tune split's stills are not there.
    """
    experiment, tune = tune_split(out, data_root, cache, tell)
    model = experiment.section("model")
    net = TipStream(len(CHANNELS), model["widths"], shift=model["net"] == "tip_stream")
    net.load_state_dict(read_weights(out))
    write_pictures(net.eval(), choose_frames(tune), experiment.size, out)
