"""Adapts a finished tip network to one site: labelled frames teach, everything else keeps to what it said before."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.formats.dataset import load_dataset
from puncta.imaging.motion_history import CHANNELS
from puncta.imaging.tip_network import TipNetwork
from puncta.training.answers import Answers, answer_clip, follow
from puncta.training.augment import Sample, make_sample
from puncta.training.building import build_together
from puncta.training.card import learnt_from
from puncta.training.data import Clip, Report, SimulatorSpec, build_simulated, load_clips
from puncta.training.dataset_reading import build_labelled_clips
from puncta.training.device import choose_device
from puncta.training.experiment import Experiment
from puncta.training.export import export_onnx
from puncta.training.folder import (
    CALIBRATION,
    GRAPH,
    HEAD,
    TABLE,
    WEIGHTS,
    keep_leg,
    logged_step,
    open_folder,
    read_size,
    read_weights,
    write_head,
)
from puncta.training.loop import LOG, ClipPool, examine_samples, save_whole, stack_samples, train_net
from puncta.training.losses import tip_loss
from puncta.training.nets.tip_stream import TipStream
from puncta.training.pace import Pace, stages_of
from puncta.training.parity import Parity, open_exported
from puncta.training.report_pictures import choose_frames
from puncta.training.report_run import Redrawing, redraw, write_pictures
from puncta.training.run import LOOKS, TUNE_SEED, Progress, Tell, fixed_samples, reporter, settings_of
from puncta.training.site.distil import KeptStatistics, site_task
from puncta.training.site.kept_familiar import familiar_after
from puncta.training.site.mixing import SHARES, Mixed, mix_back, said_of
from puncta.training.site.thresholds import Settled, read_calibration, settle

LEAST_FRAMES = 20
"""Labelled frames below which adapting is refused; a program asks for more."""
EXAMPLES = 6
JUDGING = 160
"""Samples of the site's tune clips that a share is judged by, about."""
LEAST_TOLD = 20
"""Fewer labelled frames than this in the site's tune split say nothing."""
MOST_TAUGHT = 40
"""So many clips of those that taught are looked at again, to see whether circles hold their tips."""


@dataclass(frozen=True, slots=True)
class SiteSplits:
    """Clips of the site that teach, simulated ones that keep what was known, and both to tune on.

    Attributes
    ----------
    words : str
        What was learnt from.
    drawn : tuple of (float, list of Clip)
        Further clips of the site by what they count for beside ``site`` with 1: needles drawn into its pictures.
    notes : tuple of str
        Sentences for the table.
    """

    site: list[Clip]
    known: list[Clip]
    tune_known: list[Clip]
    tune_site: list[Clip]
    words: str
    drawn: tuple[tuple[float, list[Clip]], ...] = ()
    notes: tuple[str, ...] = ()

    def groups(self, site_share: float) -> list[tuple[float, list[Clip]]]:
        """Return what is drawn from in training, with its share."""
        own = [(1.0, self.site), *self.drawn]
        total = sum(share for share, _ in own)
        return [*((site_share * share / total, clips) for share, clips in own), (1 - site_share, self.known)]

    @property
    def told(self) -> int:
        """Labelled frames of the site to learn from."""
        return int(sum((clip.judged >= 0).sum() for clip in self.site))

    @property
    def tune(self) -> list[Clip]:
        """The tune split: the known machines', then the site's."""
        return [*self.tune_known, *self.tune_site]


Gather = Callable[[Experiment, Path | None, Path, Tell], SiteSplits]


def gather_site(experiment: Experiment, data_root: Path | None, cache: Path, tell: Tell) -> SiteSplits:
    """Make or read every clip that the experiment names.

    Raises
    ------
    UserError
        The dataset is not there, or has too few labelled frames to learn from.
    """
    data = experiment.section("data")
    names = tuple(data["datasets"])
    if not names or data_root is None:
        raise UserError("Adapting to a site needs its dataset; say in which folder it is with --data DIR.")
    report = reporter(tell)
    site: list[Clip] = []
    tune_site: list[Clip] = []
    for name in names:
        site += load_clips(build_labelled_clips(data_root / name, "train", cache, report))
        tune_site += load_clips(build_labelled_clips(data_root / name, "tune", cache, report))
    told = int(sum((clip.judged >= 0).sum() for clip in site))
    if told < LEAST_FRAMES:
        raise UserError(
            f"The dataset {', '.join(names)} has {told} frames of its split train on which a tip is judged; label "
            f"{LEAST_FRAMES} or more."
        )
    known, tune_known = simulated_clips(experiment, cache, report)
    tuned = [c for c in tune_site if (c.judged >= 0).any()]
    return SiteSplits(site, known, tune_known, tuned, words_of([data_root / name for name in names], told))


def simulated_clips(experiment: Experiment, cache: Path, report: Report) -> tuple[list[Clip], list[Clip]]:
    """Return simulated clips of the machines known before, to train and to tune on.

    Raises
    ------
    UserError
        The experiment asks for none.
    """
    data = experiment.section("data")
    machines, procedures, frames = tuple(data["machines"]), tuple(data["procedures"]), int(data["frames"])

    def simulated(count: int, seed: int) -> list[Clip]:
        if not count:
            return []
        spec = SimulatorSpec(machines, procedures, count, frames, seed)
        return load_clips(build_together(build_simulated, "simulated clips", spec, cache, report))[:count]

    known = simulated(int(data["clips"]), int(data["seed"]))
    tune_known = simulated(int(data["tune_clips"]), TUNE_SEED)
    if not known or not tune_known:
        raise UserError("Adapting to a site needs simulated clips of other machines: give it `clips` and `tune_clips`.")
    return known, tune_known


def words_of(folders: Sequence[Path], frames: int) -> str:
    """Say in words which labels were learnt from."""
    datasets = [load_dataset(folder) for folder in folders]
    images = [i for dataset in datasets for i in dataset.images if i.split == "train"]
    subjects = {i.subject for i in images if i.subject}
    machines = tuple(sorted({i.machine for i in images if i.machine}))
    simulated = all(dataset.info.simulated for dataset in datasets)
    return learnt_from(", ".join(f.name for f in folders), frames, len(subjects), machines, simulated)


def build_tip(experiment: Experiment, known: dict[str, torch.Tensor], start_from: Path) -> TipStream:
    """Build the network with the weights that it begins with.

    Raises
    ------
    UserError
        They belong to another network.
    """
    model = experiment.section("model")
    net = TipStream(len(CHANNELS), model["widths"], shift=model["net"] == "tip_stream")
    try:
        net.load_state_dict(known)
    except RuntimeError as error:
        raise UserError(f"The weights of {start_from} belong to a network of another size.") from error
    return net


def adapt_tip(
    experiment: Experiment,
    out: Path,
    *,
    data_root: Path | None = None,
    cache: Path | None = None,
    resume: bool = False,
    start_from: Path | None = None,
    tell: Tell | None = None,
    stop_after: int | None = None,
    gather: Gather | None = None,
) -> Path:
    """Adapt, take back what costs other machines, export, check the thresholds; return the path of the head.

    Parameters and errors as of `puncta.training.run.train_experiment`; a network to begin with is needed.

    Parameters
    ----------
    gather : callable or None
        Makes or reads the clips; None takes `gather_site`.
    """
    say = tell or (lambda _progress: None)
    choose_device(str(experiment.section("training")["device"]))
    if start_from is None:
        raise UserError("Adapting begins with a finished training; name its folder with --start-from DIR.")
    known = read_weights(start_from)
    read_calibration(start_from)  # said before minutes go into clips
    # Thresholds and circle are kept, and they hold for the size of picture that they were set at.
    experiment = experiment.at_size(read_size(start_from) or experiment.size)
    before = build_tip(experiment, known, start_from)
    open_folder(out, experiment, resume)
    keep_leg(start_from, out)
    started = time.monotonic()
    settings, options = settings_of(experiment, stop_after), experiment.section("training")
    splits = (gather or gather_site)(experiment, data_root, cache or out / "cache", say)
    groups = (splits.tune_known, splits.tune_site) if splits.tune_site else (splits.tune_known,)
    fixed = fixed_samples(groups, settings.size, settings.length)
    shown = choose_frames(groups)
    pace = Pace(stages_of(experiment.config), settings.samples)

    def watch(step: int, losses: dict[str, float], rate: float) -> None:
        seen = step * settings.batch
        speed, left_s = pace.note(seen, time.monotonic())
        figures = {"loss": sum(losses.values()), **losses, "learning_rate": rate}
        figures |= {} if speed is None else {"samples_per_s": speed}
        say(Progress("samples", seen, settings.samples, figures, left_s))

    def examine(net: Any) -> dict[str, float]:
        write_pictures(net, shown, settings.size, out)
        return examine_samples(net, fixed, settings.size)

    task = functools.lru_cache(functools.partial(
        site_task, augment=settings.augment, length=settings.length, plain_looks=settings.plain_looks,
        distil=float(options["distil"]),
    ))
    share = float(experiment.section("data")["site_share"])
    pool = ClipPool(splits.groups(share), experiment.seed)
    every = settings.checkpoint_every * max(1, round(settings.steps / LOOKS / settings.checkpoint_every))
    write_head(out, experiment, "running", settings, 0, 0, started)
    try:
        learnt, done = train_net(
            lambda: KeptStatistics(build_tip(experiment, known, start_from), before, bool(options["keep_statistics"])),
            pool, settings, out, watch, examine, every, task, Redrawing(out),
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
    parity, share_kept = finish_site(net.cpu().eval(), before.cpu(), experiment, splits, out, start_from, say)
    write_pictures(net, shown, settings.size, out)
    best = {"step": settings.steps, "metric": "share_kept", "value": share_kept}
    write_head(out, experiment, "done", settings, settings.steps, parameters, started, parity, best)
    redraw(out)
    return out / HEAD


def site_samples(clips: Sequence[Clip], size: int, length: int) -> list[Sample]:
    """Samples of the site's tune clips, always the same, as they are and as other settings of a machine show them."""
    clips = [clip for clip in clips if (clip.judged >= 0).any()]
    if sum((clip.judged >= 0).sum() for clip in clips) < LEAST_TOLD:
        return []
    each = max(1, JUDGING // len(clips))
    return [
        make_sample(clip, size, np.random.default_rng([k, n]), length, plain_looks=0.7)
        for k, clip in enumerate(clips) for n in range(each)
    ]


def loss_on(net: nn.Module, samples: Sequence[Sample]) -> float:
    """Mean loss of a network on labelled samples."""
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(samples), 8):
            part = samples[start : start + 8]
            batch = stack_samples(part)
            answer = net.eval()(batch.channels)
            total += float(tip_loss(answer[0], answer[1], batch.targets)[0]) * len(part)
    return total / len(samples)


def finish_site(
    net: TipStream, before: TipStream, experiment: Experiment, splits: SiteSplits, out: Path, start_from: Path,
    say: Tell,
) -> tuple[Parity, float]:
    """Take back what costs other machines, write weights, graph and thresholds; return parity and the share kept."""
    size, options = experiment.size, experiment.section("training")
    tolerance = float(experiment.section("export")["tolerance"])
    example = torch.from_numpy(np.stack([s.channels for s in fixed_samples((splits.tune_known,), size, 2)[:EXAMPLES]]))
    scoring, filtering = read_calibration(start_from)
    shares = SHARES if options["mix_back"] else ()
    looks = (len(shares) + 1) * len(splits.tune_known) + 2 * len(splits.tune)
    judging = site_samples(splits.tune_site, size, settings_of(experiment).length)
    looked = 0

    def answer(some: nn.Module, clips: Sequence[Clip] = splits.tune_known) -> list[Answers]:
        nonlocal looked
        trial = out / ".trial.onnx"
        try:
            # Strangeness comes last, when the weights are settled.
            export_onnx(some, example[:1], trial, tolerance)  # type: ignore[arg-type]
            network = TipNetwork(open_exported(trial))
            answers = []
            for clip in clips:
                answers.append(answer_clip(network, clip))
                looked += 1
                say(Progress("clips tuned on", min(looked, looks), looks, {}))
            return answers
        finally:
            trial.unlink(missing_ok=True)

    old = {name: value.clone() for name, value in before.state_dict().items()}
    mixed = mix_back(
        net, old, answer, lambda answers: follow(answers, scoring, filtering),
        lambda some: loss_on(some, judging) if judging else None, float(options["loss_most"]), shares,
    ) if shares else Mixed(1.0, ())
    net.eval()
    save_whole(net.state_dict(), out / WEIGHTS)
    familiar, with_old = familiar_after(net, before, start_from, splits.known, splits.site, size)
    parity = export_onnx(net, example, out / GRAPH, tolerance, familiar)
    network = TipNetwork(open_exported(out / GRAPH))
    final: list[Answers] = []
    for clip in splits.tune:
        final.append(answer_clip(network, clip))
        looked += 1
        say(Progress("clips tuned on", min(looked, looks), looks, {}))
    count = len(splits.tune_known)
    was = answer(before, splits.tune)
    taught = [answer_clip(network, clip) for clip in splits.site[:: max(1, -(-len(splits.site) // MOST_TAUGHT))]]
    settled = settle(
        final[:count], final[count:], scoring, filtering, anew=not splits.drawn, before=was, taught=taught
    )
    _write(out, settled, mixed, splits, with_old)
    return parity, mixed.share


def _write(out: Path, settled: Settled, mixed: Mixed, splits: SiteSplits, with_old: bool) -> None:
    """Write `calibration.json` and `table.md`."""
    calibration = settled.calibration
    figures = {**calibration.figures, "site_frames": float(splits.told), "share_kept": mixed.share}
    for judged in mixed.tried:
        if judged.share in (0.0, mixed.share):
            when = "before" if judged.share == 0.0 else "after"
            figures |= {f"known_hits_{when}": round(judged.hits, 4), f"known_alarms_{when}": float(judged.alarms)}
            figures |= {} if judged.site is None else {f"site_loss_{when}": round(judged.site, 4)}
    text = {
        **calibration.as_spec(), "figures": figures, "thresholds": settled.words, "familiar_before": with_old,
        "learnt_from": splits.words,
    }
    write_text_atomic(out / CALIBRATION, json.dumps(text, indent=2) + "\n")
    lines = [
        "Tune split (never the test sets): simulated machines of training, and the site's own tune clips.", "",
        f"Thresholds: {settled.words}.", "", *(line for note in splits.notes for line in (note, "")),
        said_of(mixed), "",
    ]
    if mixed.tried:
        lines += ["| share | tips shown within 2 mm, known machines | false alarms there | loss at the site |",
                  "| --- | --- | --- | --- |"]
        for judged in sorted(mixed.tried, key=_share_of):
            loss = "none" if judged.site is None else f"{judged.site:.4f}"
            lines.append(f"| {judged.share:g} | {judged.hits:.4f} | {judged.alarms} of {judged.quiet} | {loss} |")
        lines.append("")
    lines += ["| figure | value |", "| --- | --- |", *(f"| {k} | {v:g} |" for k, v in figures.items())]
    write_text_atomic(out / TABLE, "\n".join(lines) + "\n")


def _share_of(judged: Any) -> float:
    return judged.share
