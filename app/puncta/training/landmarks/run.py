"""One training of the landmark network, from an experiment file to a training folder v1."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.training.building import build_together
from puncta.training.device import choose_device
from puncta.training.experiment import Experiment, experiment_from
from puncta.training.familiar import Familiar, fit_familiar
from puncta.training.folder import (
    CALIBRATION,
    GRAPH,
    HEAD,
    TABLE,
    WEIGHTS,
    keep_leg,
    logged_step,
    open_folder,
    read_weights,
    write_head,
)
from puncta.training.landmarks.augment import Changes, Styles
from puncta.training.landmarks.calibrate import Calibration, TuneSplit, answer_shots, calibrate, figures_of
from puncta.training.landmarks.data import (
    OtherSpec,
    Shot,
    SpineSpec,
    build_from_dataset,
    build_others,
    build_spines,
    load_shots,
    still_shots,
)
from puncta.training.landmarks.export import Strangeness, export_landmarks
from puncta.training.landmarks.mixing import mix_back
from puncta.training.landmarks.task import FramePool, landmark_task
from puncta.training.loop import LOG, LoopSettings, train_net
from puncta.training.nets.lp_adapters import PartlyLearning
from puncta.training.nets.lp_small import LandmarkNet
from puncta.training.pace import Pace, stages_of
from puncta.training.parity import Parity
from puncta.training.report_run import Redrawing, redraw
from puncta.training.report_story import read_story
from puncta.training.run import Progress, Tell

LOOKS = 10
"""Looks at the tune split during a training, about."""
FAMILIAR_SPINES = 700
"""Shots of training by whose features an unfamiliar picture is told; each once as it is and once as changed."""
LOOKED_AT = 240
"""Shots of the tune split that are looked at on the way."""
TUNE_OTHER_SEED, CINE_SEED = 730_000, 727_000
PARITY_PICTURES = 8


@dataclass(frozen=True, slots=True)
class Splits:
    """Shots to train on, others to tune on, stills that lend tones and grain, and those of a site that adapts it."""

    spines: tuple[Shot, ...]
    others: tuple[Shot, ...]
    stills: tuple[Shot, ...]
    tune: TuneSplit
    site: tuple[Shot, ...] = ()

    @property
    def styles(self) -> Styles:
        """Tones and grain of the stills to train on."""
        return Styles([np.asarray(s.frames[0]) for s in self.stills])


def gather_data(
    experiment: Experiment, data_root: Path | None, cache: Path, say: Tell, to_train: bool = True
) -> Splits:
    """Make or read every shot that the experiment names.

    Raises
    ------
    UserError
        A folder that the experiment names is not there, or it names no data at all.
    """
    data = experiment.section("data")
    machines, folders = tuple(data["machines"]), tuple(data["backgrounds"])
    if (folders or data["datasets"]) and data_root is None:
        # Said before minutes go into simulated shots.
        raise UserError("The experiment names backgrounds or datasets; say where they are with --data DIR.")

    def report(what: str, done: int, total: int) -> None:
        say(Progress(what, done, total, {}))

    def spines(what: str, count: int, seed: int, frames: int, gap: int) -> list[Shot]:
        if not count:
            return []
        spec = SpineSpec(machines, count, frames, gap, seed)
        return load_shots(build_together(build_spines, what, spec, cache, report), count)

    def others(what: str, count: int, seed: int) -> list[Shot]:
        if not count:
            return []
        spec = OtherSpec(machines, tuple(data["other_procedures"]), count, seed)
        return load_shots(build_together(build_others, what, spec, cache, report), count)

    frames, gap = int(data["frames"]), int(data["gap"])
    tune = spines("infant spines to tune on", int(data["tune_clips"]), int(data["tune_seed"]), frames, gap)
    cines = spines("steady cines", int(data["cines"]), CINE_SEED, int(data["cine_frames"]), 1)
    tune_others = others("other organs to tune on", int(data["tune_others"]), TUNE_OTHER_SEED)
    learnt = spines("infant spines", int(data["clips"]) if to_train else 0, int(data["seed"]), frames, gap)
    strange = others("other organs", int(data["others"]), 60_000) if to_train else []
    stills: list[Shot] = []
    tune_stills: list[Shot] = []
    site: list[Shot] = []
    own_share = data["dataset_share"] is not None
    if data_root is not None:
        if folders:
            stills, tune_stills = (still_shots(data_root, folders, split) for split in ("train", "tune"))
        for name in data["datasets"]:
            for split in data["dataset_splits"] if to_train or own_share else ():
                (site if own_share else learnt).extend(
                    load_shots(build_from_dataset(data_root / name, split, cache, report)))
            if not own_share:
                tune += load_shots(build_from_dataset(data_root / name, "tune", cache, report))
    if to_train and not learnt:
        raise UserError("The experiment names no data: give it `clips` or `datasets`.")
    if not tune:
        raise UserError("The experiment needs a tune split to set its thresholds: give it `tune_clips`.")
    split = TuneSplit(tuple(tune), tuple(tune_others), tuple(tune_stills), tuple(cines), tuple(site))
    return Splits(tuple(learnt), tuple(strange), tuple(stills), split, tuple(site))


def train_landmarks(
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
    """Train, export, check, calibrate and write the training folder; return the path of its head.

    Parameters and errors as of `puncta.training.run.train_experiment`.
    """
    say = tell or (lambda _progress: None)
    choose_device(str(experiment.section("training")["device"]))
    known = read_weights(start_from) if start_from is not None else None
    if known is None and experiment.section("training")["learns"] != "all":
        raise UserError("This experiment changes a part of a finished network; name that one with --start-from DIR.")
    open_folder(out, experiment, resume)
    if start_from is not None:
        keep_leg(start_from, out)
    started = time.monotonic()
    options, data = experiment.section("training"), experiment.section("data")
    settings = _settings_of(experiment, stop_after)
    splits = gather_data(experiment, data_root, cache or out / "cache", say)
    pace = Pace(stages_of(experiment.config), settings.samples)

    def watch(step: int, losses: dict[str, float], rate: float) -> None:
        seen = step * settings.batch
        speed, left_s = pace.note(seen, time.monotonic())
        figures = {"loss": sum(losses.values()), **losses, "learning_rate": rate}
        figures |= {} if speed is None else {"samples_per_s": speed}
        say(Progress("samples", seen, settings.samples, figures, left_s))

    def build() -> LandmarkNet | PartlyLearning:
        net = build_net(experiment)
        if known is not None:
            try:
                net.load_state_dict(known)
            except RuntimeError as error:
                raise UserError(f"The weights of {start_from} belong to a network of another size.") from error
        return net if options["learns"] == "all" else PartlyLearning(net, options["learns"], int(options["rank"]))

    looked_at = splits.tune.spines[:: max(1, len(splits.tune.spines) // LOOKED_AT)]

    def examine(net: Any) -> dict[str, float]:
        return _look(net, looked_at, experiment.size, splits.styles)

    changes = changes_of(experiment)
    pool = FramePool(
        splits.spines, splits.others, splits.stills, experiment.seed, float(data["other_share"]),
        float(data["still_share"]), float(data["cord_share"]), splits.site, float(data["dataset_share"] or 0.0),
    )
    task = landmark_task(changes, splits.styles, float(options["map_weight"]))
    every = settings.checkpoint_every * max(1, round(settings.steps / LOOKS / settings.checkpoint_every))
    write_head(out, experiment, "running", settings, 0, 0, started)
    try:
        # The pool draws frames of shots where the loop's own draws clips; the task knows what to do with either.
        net, done = train_net(build, pool, settings, out, watch, examine, every, task, Redrawing(out))  # type: ignore[arg-type]
    except KeyboardInterrupt:
        write_head(out, experiment, "cancelled", settings, logged_step(out / LOG), 0, started)
        redraw(out)
        raise
    net = net.settled() if isinstance(net, PartlyLearning) else net
    parameters = sum(p.numel() for p in net.parameters())
    if done:
        kept = 1.0
        if known is not None and splits.site:
            kept = mix_back(net.cpu(), known, splits.tune.spines, experiment.size)
        parity, calibration = finish(net.cpu(), experiment, splits, out, start_from, {"site_share_kept": kept})
        best = {"step": settings.steps, "metric": "f1", "value": calibration.figures["f1"]}
        write_head(out, experiment, "done", settings, settings.steps, parameters, started, parity, best)
    else:
        write_head(out, experiment, "cancelled", settings, stop_after or 0, parameters, started)
    redraw(out)
    return out / HEAD


def build_net(experiment: Experiment) -> LandmarkNet:
    """Build the network that an experiment names."""
    model = experiment.section("model")
    return LandmarkNet(model["widths"], int(model["head"]))


def changes_of(experiment: Experiment) -> Changes | None:
    """How samples are changed; None without augmentation."""
    options = experiment.section("training")
    if not options["augment"]:
        return None
    return Changes(
        crop=float(options["crop"]), turn_deg=float(options["turn_deg"]), plain_looks=float(options["plain_looks"]),
        restyle=float(options["restyle"]), broken=float(options["broken"]), magnified=float(options["magnified"]),
    )


def _settings_of(experiment: Experiment, stop_after: int | None) -> LoopSettings:
    options = experiment.section("training")
    return LoopSettings(
        samples=int(options["samples"]), batch=int(options["batch"]), learning_rate=float(options["learning_rate"]),
        weight_decay=float(options["weight_decay"]), ema=float(options["ema"]), warm_up=float(options["warm_up"]),
        seed=experiment.seed, size=experiment.size, threads=int(options["threads"]),
        bfloat16=bool(options["bfloat16"]), checkpoint_every=int(options["checkpoint_every"]),
        augment=bool(options["augment"]), stop_after=stop_after,
        stages=tuple((int(stage["size"]), int(stage["samples"])) for stage in options["stages"]),
        device=str(options["device"]), workers=int(options["workers"]),
    )


def _look(net: LandmarkNet, shots: Sequence[Shot], size: int, styles: Styles) -> dict[str, float]:
    """Figures of an unfinished network on tune shots, as they are and as other machines might show them."""
    plain = answer_shots(net, shots, size)
    looks = answer_shots(net, shots, size, Changes(plain_looks=0.0, restyle=0.5, broken=0.0), styles, seed=1)
    figures = figures_of(plain, plain.answers.logits)
    return figures | {"f1_looks": figures_of(looks, looks.answers.logits)["f1"]}


def fit_to_training(net: LandmarkNet, splits: Splits, size: int, changes: Changes | None) -> Familiar:
    """Fit the distance from training pictures to spines as they are and as training shows them."""
    shots = [*splits.spines[:: max(1, len(splits.spines) // FAMILIAR_SPINES)], *splits.site]
    told = [answer_shots(net, shots, size)]
    if changes is not None:
        kept = Changes(changes.crop, changes.turn_deg, changes.plain_looks, changes.restyle, broken=0.0)
        told.append(answer_shots(net, shots, size, kept, splits.styles, seed=2))
    return fit_familiar(np.concatenate([t.answers.features for t in told]))


def finish(
    net: LandmarkNet, experiment: Experiment, splits: Splits, out: Path, start_from: Path | None = None,
    further: dict[str, float] | None = None,
) -> tuple[Parity, Calibration]:
    """Write weights, thresholds, table and graph of a trained network.

    Without cines of its own to set the filter by, a training keeps the filter of the one it started from. Figures in
    ``further`` of a site's training go to the table too.
    """
    torch.save(net.state_dict(), out / WEIGHTS)
    size = experiment.size
    familiar = fit_to_training(net, splits, size, changes_of(experiment))
    calibration = calibrate(net, familiar, splits.tune, size, splits.styles)
    if not splits.tune.cines and start_from is not None and (start_from / CALIBRATION).exists():
        kept = json.loads((start_from / CALIBRATION).read_text(encoding="utf-8"))["filter"]
        calibration = replace(calibration, filter=kept)
    if splits.site:
        calibration = replace(calibration, figures={**calibration.figures, **(further or {})})
    strangeness = Strangeness(familiar, calibration.distance, calibration.other)
    examples: NDArray[np.uint8] = np.stack(
        [s.picture for s in answer_shots(net, splits.tune.spines[:PARITY_PICTURES], size).samples][:PARITY_PICTURES]
    )
    tolerance = float(experiment.section("export")["tolerance"])
    parity = export_landmarks(net, calibration.scaling, strangeness, examples, out / GRAPH, tolerance)
    write_calibration(out, calibration)
    return parity, calibration


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Write `calibration.json` and `table.md` of a training folder."""
    figures = {name: round(value, 5) for name, value in calibration.figures.items()}
    write_text_atomic(folder / CALIBRATION, json.dumps({**calibration.as_spec(), "figures": figures}, indent=2) + "\n")
    lines = ["Tune split (never the test sets): simulated infant spines of the machines of training, other seeds.", ""]
    lines += ["| figure | value |", "| --- | --- |", *(f"| {k} | {v:g} |" for k, v in figures.items())]
    write_text_atomic(folder / TABLE, "\n".join(lines) + "\n")


def tuned_experiment(out: Path) -> Experiment:
    """Return the experiment of a training folder without anything to train on.

    Raises
    ------
    UserError
        The folder holds no training of a landmark network.
    """
    config = read_story(out).config
    experiment = experiment_from(config, str(config.get("name", "of the folder")))
    bare = {**config, "data": {**experiment.section("data"), "clips": 0, "others": 0}}
    return Experiment(experiment.name, experiment.plugin, experiment.seed, bare)


def finish_again(out: Path, data_root: Path | None, cache: Path | None, say: Tell | None = None) -> Path:
    """Calibrate and export a finished training anew from its weights, as after a change of a rule; nothing is trained.

    Raises
    ------
    UserError
        The folder holds no finished training.
    """
    config = read_story(out).config
    experiment = experiment_from(config, str(config.get("name", "of the folder")))
    net = build_net(experiment)
    net.load_state_dict(read_weights(out))
    splits = gather_data(experiment, data_root, cache or out / "cache", say or (lambda _progress: None))
    parity, calibration = finish(net, experiment, splits, out)
    head = json.loads((out / HEAD).read_text(encoding="utf-8"))
    head["parity"] = {"max_abs": parity.max_abs, "tolerance": parity.tolerance, "inputs": parity.inputs}
    head["best"] = {**(head.get("best") or {}), "metric": "f1", "value": calibration.figures["f1"]}
    for key, name in (("weights", WEIGHTS), ("onnx", GRAPH), ("table", TABLE)):
        head["files"][key] = {"path": name, "sha256": hashlib.sha256((out / name).read_bytes()).hexdigest()}
    write_text_atomic(out / HEAD, json.dumps(head, indent=2) + "\n")
    redraw(out)
    return out / GRAPH

