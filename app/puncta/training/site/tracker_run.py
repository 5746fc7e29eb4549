"""Adapts a finished tracker to one site's labelled masks, beside simulated cines of the machines it knew before."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.imaging.mask_scoring import MaskScoring, mask_scoring_from_spec
from puncta.training.calibrate import UNFAMILIAR_MOST
from puncta.training.device import choose_device
from puncta.training.experiment import Experiment
from puncta.training.familiar import Familiar, fit_familiar, pool_features
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
from puncta.training.loop import LOG, save_whole, train_net
from puncta.training.pace import Pace, stages_of
from puncta.training.parity import Parity, open_exported
from puncta.training.report_run import Redrawing, redraw
from puncta.training.run import LOOKS, Progress, Tell, reporter, settings_of
from puncta.training.site.distil import KeptStatistics
from puncta.training.site.kept_familiar import Nearest, graph_of, read_familiar
from puncta.training.site.mixing import set_share
from puncta.training.site.run import words_of
from puncta.training.site.tracker_data import build_labelled_masks, check_told
from puncta.training.tracker.calibrate import (
    FALSE_MASKS_MOST,
    LEVELS,
    TrackRows,
    false_mask_rates,
    mean_iou,
    read_tune,
    shown_under,
)
from puncta.training.tracker.data import MaskPool, TrackSplits, gather_masks
from puncta.training.tracker.export import export_track
from puncta.training.tracker.masks import IN_PLANE, MaskClip
from puncta.training.tracker.run import (
    PARITY_FRAMES,
    build_track,
    examine_track,
    fixed_track_samples,
    own_channels,
    track_task,
)

KNOWN, SITE = "simulated", "site"
"""Kinds of clips in the tune split."""
FAMILIAR_CLIPS = 40
LEAST_TOLD = 20
ROOM = 1.05
TRACKER_SHARES = (1.0, 0.7, 0.4)
"""Shares of the way that are tried, besides none of it; each takes a run over all clips."""


@dataclass(frozen=True, slots=True)
class BaseThresholds:
    """Presence and thresholds of the tracker that an adapted one begins with."""

    scale: float
    shift: float
    scoring: MaskScoring

    @property
    def level(self) -> int:
        """Number of the mask's level among those that are read."""
        return int(np.argmin([abs(level - self.scoring.mask_level) for level in LEVELS]))


@dataclass(frozen=True, slots=True)
class TrackShare:
    """How good a share of the change is: overlap and false masks on known machines, overlap at the site."""

    share: float
    iou: float
    alarms: float
    site: float | None


def read_thresholds(folder: Path) -> BaseThresholds:
    """Read the thresholds of a finished tracker.

    Raises
    ------
    UserError
        There are none.
    """
    try:
        found = json.loads((folder / CALIBRATION).read_text(encoding="utf-8"))
        scoring = mask_scoring_from_spec(found["calibration"])
        return BaseThresholds(float(found["presence_scale"]), float(found["presence_shift"]), scoring)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"The folder {folder} holds no thresholds to go on with; begin with a finished training of a tracker."
        ) from error


def gather_site_masks(
    experiment: Experiment, data_root: Path | None, cache: Path, tell: Tell
) -> tuple[TrackSplits, str]:
    """Return simulated and site clips to train and to tune on, and in words what the site's labels are.

    Raises
    ------
    UserError
        The dataset is not there, or has too few labelled frames.
    """
    data = experiment.section("data")
    names = tuple(data["datasets"])
    if not names or data_root is None:
        raise UserError("Adapting to a site needs its dataset; say in which folder it is with --data DIR.")
    report = reporter(tell)
    length = int(experiment.section("training")["length"])
    site: list[MaskClip] = []
    tune_site: list[MaskClip] = []
    for name in names:
        site += build_labelled_masks(data_root / name, "train", cache, report)
        tune_site += build_labelled_masks(data_root / name, "tune", cache, report)
    # A sample is a run of frames; shorter clips hold none.
    site = [clip for clip in site if len(clip.plane) >= length]
    told = check_told(", ".join(names), site)
    bare = {**experiment.config, "data": {**data, "datasets": []}}
    known = gather_masks(
        Experiment(experiment.name, experiment.plugin, experiment.seed, bare), data_root, cache, report
    )
    if not known.tune_clips:
        raise UserError("Adapting to a site needs simulated clips of other machines: give it `clips` and `tune_clips`.")
    train = ((float(data["dataset_share"]), site), *known.train)
    tune = {KNOWN: known.tune_clips} | ({SITE: tune_site} if tune_site else {})
    return TrackSplits(train, tune), words_of([data_root / name for name in names], told)


def adapt_tracker(
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
    """Adapt, take back what costs other machines, export; return the path of the head.

    Parameters and errors as of `puncta.training.tracker.run.train_tracker`; a tracker to begin with is needed.
    """
    say = tell or (lambda _progress: None)
    choose_device(str(experiment.section("training")["device"]))
    if start_from is None:
        raise UserError("Adapting begins with a finished training; name its folder with --start-from DIR.")
    known, thresholds = read_weights(start_from), read_thresholds(start_from)
    open_folder(out, experiment, resume)
    keep_leg(start_from, out)
    started = time.monotonic()
    settings, options = settings_of(experiment, stop_after), experiment.section("training")
    splits, words = gather_site_masks(experiment, data_root, cache or out / "cache", say)
    fixed = fixed_track_samples(splits, settings.size, settings.length)
    pace = Pace(stages_of(experiment.config), settings.samples)

    def watch(step: int, losses: dict[str, float], rate: float) -> None:
        seen = step * settings.batch
        speed, left_s = pace.note(seen, time.monotonic())
        figures = {"loss": sum(losses.values()), **losses, "learning_rate": rate}
        figures |= {} if speed is None else {"samples_per_s": speed}
        say(Progress("samples", seen, settings.samples, figures, left_s))

    every = settings.checkpoint_every * max(1, round(settings.steps / LOOKS / settings.checkpoint_every))
    write_head(out, experiment, "running", settings, 0, 0, started)
    try:
        learnt, done = train_net(
            lambda: KeptStatistics(build_track(experiment, known), None, bool(options["keep_statistics"])),
            MaskPool(splits.train, experiment.seed),  # type: ignore[arg-type]
            settings, out, watch, lambda average: examine_track(average, fixed), every,
            functools.lru_cache(functools.partial(track_task, experiment)), Redrawing(out),
        )
    except KeyboardInterrupt:
        write_head(out, experiment, "cancelled", settings, logged_step(out / LOG), 0, started)
        redraw(out)
        raise
    net: Any = learnt.net
    parameters = sum(p.numel() for p in net.parameters())
    if not done:
        write_head(out, experiment, "cancelled", settings, logged_step(out / LOG), parameters, started)
        redraw(out)
        return out / HEAD
    before = build_track(experiment, known).eval()
    parity, share = finish_tracker(
        net.cpu().eval(), before, experiment, splits, out, thresholds, words, start_from, say
    )
    best = {"step": settings.steps, "metric": "share_kept", "value": share}
    write_head(out, experiment, "done", settings, settings.steps, parameters, started, parity, best)
    redraw(out)
    return out / HEAD


def judge_rows(rows: TrackRows, share: float, thresholds: BaseThresholds) -> TrackShare:
    """Judge what the tracker said with the thresholds that hold; presence is not calibrated in the rows."""
    odds = thresholds.scale * rows.logit + thresholds.shift
    chance = np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -30, 30))))
    scoring, level = thresholds.scoring, thresholds.level
    shown = shown_under(rows, chance, scoring.show, scoring.keep, level, scoring.enter, scoring.calm)
    alarms = max(false_mask_rates(rows, shown).values(), default=0.0)
    of = {}
    for kind in (KNOWN, SITE):
        mine = rows.of_kind(kind)
        there = mine & (rows.plane == IN_PLANE)
        part = replace(rows, **{n: getattr(rows, n)[mine] for n in _COLUMNS})
        of[kind] = mean_iou(part, shown[mine], level) if there.sum() >= LEAST_TOLD else None
    return TrackShare(share, of[KNOWN] or 0.0, alarms, of[SITE])


_COLUMNS = (
    "clip", "logit", "strangeness", "plane", "found", "both", "true", "tip_error", "tip_sigma", "angle_error",
    "angle_sigma",
)


def choose_track_share(judged: Sequence[TrackShare], loss_most: float) -> TrackShare:
    """Return the best of the shares, the first of which is none; rules as of `puncta.training.site.mixing`."""
    none = judged[0]
    fit = [
        j for j in judged
        if j.iou >= none.iou - loss_most
        and j.alarms <= max(FALSE_MASKS_MOST, none.alarms)
        and (j.site is None or none.site is None or j.site >= none.site)
    ]
    return max(fit or [none], key=lambda j: (-1.0 if j.site is None else round(j.site, 2), j.share))


def finish_tracker(
    net: Any, before_net: Any, experiment: Experiment, splits: TrackSplits, out: Path, thresholds: BaseThresholds,
    words: str, start_from: Path, say: Tell,
) -> tuple[Parity, float]:
    """Take back what costs other machines, write weights, graph and thresholds; return parity and the share kept."""
    options, tolerance = experiment.section("training"), float(experiment.section("export")["tolerance"])
    with_needle = [c for c in splits.tune_clips if (c.plane == IN_PLANE).any()] or splits.tune_clips
    example = torch.from_numpy(own_channels(with_needle[0], experiment.size)[:PARITY_FRAMES])[None]
    after = {name: value.clone() for name, value in net.state_dict().items()}
    old: Mapping[str, Tensor] = {name: value.clone() for name, value in before_net.state_dict().items()}
    shares = TRACKER_SHARES if options["mix_back"] else ()
    looks, looked = (len(shares) + 1) * len(splits.tune_clips), 0
    trial = out / ".trial.onnx"

    def read(familiar: nn.Module) -> TrackRows:
        nonlocal looked
        first = looked
        export_track(net, example[:, :2], trial, tolerance, familiar)

        def count(done: int, _all: int) -> None:
            nonlocal looked
            looked = first + done
            say(Progress("clips tuned on", min(looked, looks), looks, {}))

        return read_tune(open_exported(trial), splits.tune, count)

    judged: list[TrackShare] = []
    try:
        for share in (0.0, *shares) if shares else ():
            set_share(net, old, after, share)
            judged.append(judge_rows(read(_familiar(net, splits, experiment.size, 4)[0]), share, thresholds))
        share = choose_track_share(judged, float(options["loss_most"])).share if judged else 1.0
        set_share(net, old, after, share)
        save_whole(net.state_dict(), out / WEIGHTS)
        familiar, with_old = _familiar(net, splits, experiment.size, FAMILIAR_CLIPS, before_net, start_from)
        parity = export_track(net, example, out / GRAPH, tolerance, familiar, thresholds.scale, thresholds.shift)
        rows = read(familiar)
    finally:
        trial.unlink(missing_ok=True)
    final = judge_rows(rows, share, thresholds)
    limit = float(np.nanquantile(rows.strangeness, 1 - UNFAMILIAR_MOST)) * ROOM
    if with_old:
        limit = max(limit, thresholds.scoring.strangeness_most)
    scoring = replace(thresholds.scoring, strangeness_most=limit)
    _write(out, thresholds, scoring, judged, final, words, with_old)
    return parity, share


def _familiar(
    net: Any, splits: TrackSplits, size: int, most: int, before: Any = None, run: Path | None = None
) -> tuple[nn.Module, bool]:
    """Strangeness by simulated and site clips, and by what was familiar before where that is at hand; tells whether."""
    groups = [*(clips for _, clips in splits.train), *splits.tune.values()]
    chosen = [c for clips in groups for c in clips[:: max(1, len(clips) // most)][:most]]
    channels = [own_channels(clip, size) for clip in chosen]
    now = pool_features(net, channels, every=1)
    graph = graph_of(run) if run is not None else None
    old = read_familiar(graph) if graph is not None else None
    if before is None or old is None or old[0].shape != now.shape[1:]:
        return fit_familiar(now), False
    moved = now.mean(axis=0) - pool_features(before, channels, every=1).mean(axis=0)
    return Nearest([Familiar(old[0] + moved, old[1]), fit_familiar(now)]), True


def _write(
    out: Path, thresholds: BaseThresholds, scoring: MaskScoring, judged: Sequence[TrackShare], final: TrackShare,
    words: str, with_old: bool,
) -> None:
    figures = {"known_iou": final.iou, "false_masks": final.alarms, "share_kept": final.share}
    figures |= {} if final.site is None else {"site_iou": final.site}
    told = "kept from the tracker before; a site's few clips are too few to set them anew"
    table = {
        "calibration": scoring.as_spec(), "presence_scale": thresholds.scale, "presence_shift": thresholds.shift,
        "figures": {k: round(v, 5) for k, v in figures.items()}, "thresholds": told, "learnt_from": words,
        "familiar_before": with_old,
    }
    write_text_atomic(out / CALIBRATION, json.dumps(table, indent=2) + "\n")
    lines = ["Tune split (never the test sets): simulated machines of training, and the site's own tune clips.", "",
             f"Thresholds: {told}.", ""]
    if judged:
        lines += ["| share | IoU, known machines | false masks | IoU at the site |", "| --- | --- | --- | --- |"]
        lines += [f"| {j.share:g} | {j.iou:.4f} | {j.alarms:.4f} | {'none' if j.site is None else f'{j.site:.4f}'} |"
                  for j in judged]
        lines.append("")
    lines += ["| figure | value |", "| --- | --- |", *(f"| {k} | {v:g} |" for k, v in figures.items())]
    write_text_atomic(out / TABLE, "\n".join(lines) + "\n")
