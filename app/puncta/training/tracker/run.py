"""One training of the tracker from an experiment file to a training folder v1."""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from puncta.core.errors import UserError
from puncta.imaging.motion_history import CHANNELS
from puncta.training.device import choose_device, move_to
from puncta.training.experiment import Experiment, experiment_from
from puncta.training.familiar import Familiar, clip_channels, fit_familiar, pool_features
from puncta.training.folder import (
    GRAPH,
    WEIGHTS,
    keep_leg,
    logged_step,
    open_folder,
    read_weights,
    write_head,
)
from puncta.training.loop import LOG, Batch, Task, train_net
from puncta.training.nets.needle_track import OWN, NeedleTrack
from puncta.training.pace import Pace, stages_of
from puncta.training.parity import Parity, open_exported
from puncta.training.report_run import Redrawing, redraw
from puncta.training.report_story import read_story
from puncta.training.run import LOOKS, Progress, Tell, reporter, settings_of
from puncta.training.tracker.augment import TrackSample, make_track_sample
from puncta.training.tracker.calibrate import calibrate_track, read_tune, write_track_calibration
from puncta.training.tracker.data import MaskPool, TrackSplits, gather_masks
from puncta.training.tracker.export import export_track
from puncta.training.tracker.losses import TrackTargets, track_loss
from puncta.training.tracker.masks import IN_PLANE, MaskClip

LOOKED_AT = 96
"""Samples of the tune split that are looked at during a training."""
FAMILIAR_CLIPS = 80
"""Clips by whose features an unfamiliar picture is told."""
PARITY_FRAMES = 12


def stack_track(samples: Sequence[TrackSample]) -> Batch:
    """Stack samples into a batch."""
    return Batch(
        torch.from_numpy(np.stack([s.channels for s in samples])),
        TrackTargets(
            torch.from_numpy(np.stack([s.masks for s in samples])),
            torch.from_numpy(np.stack([s.present for s in samples])),
            torch.from_numpy(np.stack([s.weight for s in samples])),
        ),
    )


def track_task(experiment: Experiment, size: int) -> Task:
    """The task of the tracker at an input size."""
    options = experiment.section("training")
    length, plain = int(options["length"]), not options["augment"]

    def loss(answer: tuple[Tensor, Tensor, Tensor], targets: TrackTargets) -> tuple[Tensor, dict[str, float]]:
        return track_loss(answer[0], answer[1], targets, float(options["centreline"]))

    return Task(
        lambda clip, rng: make_track_sample(
            clip,
            size,
            rng,
            length,
            plain,
            float(options["plain_looks"]),
            float(options["own_share"]),
            float(options["backwards"]),
            float(options["stale_share"]),
            bool(options["tip_shows"]),
        ),
        stack_track,
        loss,
    )


def build_track(experiment: Experiment, known: dict[str, Tensor] | None = None) -> NeedleTrack:
    """Build the network of an experiment, with the weights of a tracker or of a tip network where they are given.

    Raises
    ------
    UserError
        The weights belong to a network of another size.
    """
    model = experiment.section("model")
    net = NeedleTrack(len(CHANNELS), model["widths"], int(model["memory"]))
    if known is not None:
        try:
            net.begin_from(known)
        except RuntimeError as error:
            raise UserError("The weights to begin with belong to a network of another size.") from error
    return net


def fixed_track_samples(splits: TrackSplits, size: int, length: int) -> list[TrackSample]:
    """Plain samples of the tune split, evenly from every kind, always the same."""
    out: list[TrackSample] = []
    for clips in splits.tune.values():
        most = max(1, LOOKED_AT // max(1, len(splits.tune)))
        chosen = clips[:: max(1, len(clips) // most)][:most]
        out += [make_track_sample(c, size, np.random.default_rng(k), length, plain=True) for k, c in enumerate(chosen)]
    return out


def examine_track(net: nn.Module, samples: Sequence[TrackSample]) -> dict[str, float]:
    """Figures on the last frames of fixed samples: mean IoU at one half, and how well presence ranks them (AUC)."""
    overlaps, scores, present = [], [], []
    device = next(net.parameters()).device
    with torch.no_grad():
        for start in range(0, len(samples), 8):
            batch = stack_track(samples[start : start + 8])
            mask, presence, _ = net(move_to(batch.channels, device))
            found = mask[:, -1].float().cpu() > 0
            true = batch.targets.masks[:, -1] > 127
            told = batch.targets.weight[:, -1] > 0
            here = batch.targets.present[:, -1] > 0
            both = (found & true).sum(dim=(1, 2)).double()
            union = (found | true).sum(dim=(1, 2)).clamp(min=1).double()
            overlaps += (both / union)[told & here].tolist()
            scores += presence[:, -1].float().cpu()[told].tolist()
            present += here[told].tolist()
    out = {"iou": float(np.mean(overlaps)) if overlaps else math.nan}
    yes, no = np.array(scores)[np.array(present, bool)], np.array(scores)[~np.array(present, bool)]
    if len(yes) and len(no):
        out["presence_auc"] = float((yes[:, None] > no[None]).mean())
    return {k: v for k, v in out.items() if math.isfinite(v)}


def own_channels(clip: MaskClip, size: int) -> np.ndarray:
    """Motion channels of a clip as the plugin makes them, and a prior that is the network's own, (T, 6, S, S)."""
    channels = clip_channels(clip.clip, size)
    priors = np.full((len(channels), 1, *channels.shape[2:]), OWN, np.float32)
    return np.concatenate([channels, priors], axis=1)


def familiar_track(net: NeedleTrack, splits: TrackSplits, size: int) -> Familiar:
    """Fit the strangeness to every kind of picture that the network is made for."""
    seen = [clip for _, clips in splits.train for clip in clips[:: max(1, len(clips) // 40)][:40]]
    clips = [*seen, *splits.tune_clips]
    chosen = clips[:: max(1, -(-len(clips) // FAMILIAR_CLIPS))]
    return fit_familiar(pool_features(net, (own_channels(clip, size) for clip in chosen)))  # type: ignore[arg-type]


def train_tracker(
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

    Parameters
    ----------
    start_from : Path or None
        A finished training folder of a tracker, or of a tip network of the same widths, whose weights to begin with.

    Raises
    ------
    UserError
        The folder holds another training, or data is missing.
    """
    tell = tell or (lambda _progress: None)
    choose_device(str(experiment.section("training")["device"]))
    known = read_weights(start_from) if start_from is not None else None
    open_folder(out, experiment, resume)
    if start_from is not None:
        keep_leg(start_from, out)
    started = time.monotonic()
    settings = settings_of(experiment, stop_after)
    splits = gather_masks(experiment, data_root, cache or out / "cache", reporter(tell))
    if not splits.tune_clips:
        raise UserError("The experiment needs a tune split to set its thresholds: give it `tune_clips`.")
    fixed = fixed_track_samples(splits, settings.size, settings.length)
    pace = Pace(stages_of(experiment.config), settings.samples)

    def watch(step: int, losses: dict[str, float], rate: float) -> None:
        seen = step * settings.batch
        speed, left_s = pace.note(seen, time.monotonic())
        figures = {"loss": sum(losses.values()), **losses, "learning_rate": rate}
        figures |= {} if speed is None else {"samples_per_s": speed}
        tell(Progress("samples", seen, settings.samples, figures, left_s))

    every = settings.checkpoint_every * max(1, round(settings.steps / LOOKS / settings.checkpoint_every))
    write_head(out, experiment, "running", settings, 0, 0, started)
    try:
        net, done = train_net(
            functools.partial(build_track, experiment, known),
            MaskPool(splits.train, experiment.seed),  # type: ignore[arg-type]
            settings,
            out,
            watch,
            lambda average: examine_track(average, fixed),
            every,
            functools.lru_cache(functools.partial(track_task, experiment)),
            Redrawing(out),
        )
    except KeyboardInterrupt:
        write_head(out, experiment, "cancelled", settings, logged_step(out / LOG), 0, started)
        redraw(out)
        raise
    parameters = sum(p.numel() for p in net.parameters())
    if done:
        parity = finish_track(net.cpu(), experiment, splits, out, tell)  # type: ignore[arg-type]
        value = examine_track(net, fixed).get("iou", math.nan)
        best = {"step": settings.steps, "metric": "iou", "value": value}
        write_head(
            out,
            experiment,
            "done",
            settings,
            settings.steps,
            parameters,
            started,
            parity,
            best if math.isfinite(value) else None,
        )
    else:
        write_head(out, experiment, "cancelled", settings, stop_after or 0, parameters, started)
    redraw(out)
    return out / "training.json"


def finish_track(
    net: NeedleTrack, experiment: Experiment, splits: TrackSplits, out: Path, tell: Tell | None = None
) -> Parity:
    """Write weights, graph, thresholds and table of a trained network; return how well the graph agrees with it."""
    tell = tell or (lambda _progress: None)
    torch.save(net.state_dict(), out / WEIGHTS)
    net = net.eval().float()
    familiar = familiar_track(net, splits, experiment.size)
    with_needle = [c for c in splits.tune_clips if (c.plane == IN_PLANE).any()] or splits.tune_clips
    channels = own_channels(with_needle[0], experiment.size)[:PARITY_FRAMES]
    example = torch.from_numpy(channels)[None]
    tolerance = float(experiment.section("export")["tolerance"])
    export_track(net, example, out / GRAPH, tolerance, familiar)
    session = open_exported(out / GRAPH)
    rows = read_tune(session, splits.tune, lambda done, all_: tell(Progress("clips tuned on", done, all_, {})))
    calibration = calibrate_track(rows)
    # The same graph again, its presence calibrated.
    parity = export_track(net, example, out / GRAPH, tolerance, familiar, calibration.scale, calibration.shift)
    write_track_calibration(out, calibration)
    return parity


def refinish(out: Path, data_root: Path | None, cache: Path | None, tell: Tell | None = None) -> Parity:
    """Export and calibrate a finished training folder anew, from its weights and its tune split.

    Raises
    ------
    UserError
        The folder holds no finished training of a tracker, or the tune split's stills are not there.
    """
    config = read_story(out).config
    experiment = experiment_from(config, str(config.get("name", "of the folder")))
    splits = gather_masks(experiment, data_root, cache or out / "cache", reporter(tell or (lambda _p: None)))
    net = build_track(experiment)
    net.load_state_dict(read_weights(out))
    parity = finish_track(net, experiment, splits, out, tell)
    head = json.loads((out / "training.json").read_text(encoding="utf-8"))
    write_again(out, head, parity)
    return parity


def write_again(out: Path, head: dict[str, Any], parity: Parity) -> None:
    """Bring the hashes in a head up to date with the files beside it."""
    import hashlib
    from dataclasses import asdict

    from puncta.formats.atomic import write_text_atomic

    head["parity"] = asdict(parity)
    for entry in head["files"].values():
        if isinstance(entry, dict):
            entry["sha256"] = hashlib.sha256((out / entry["path"]).read_bytes()).hexdigest()
    write_text_atomic(out / "training.json", json.dumps(head, indent=2) + "\n")
