"""An 8-bit variant of a tracker, kept only where its masks are as good as the network's and it is faster.

As for the tip network (`puncta.training.quantise`): what leads to the mask computes in bytes, but for the convolution
that gives it and the one that comes first; the memory stays in fp32, since its errors would add up from frame to frame.
Half of the tune split's clips set the ranges, the others judge, through the very tracker of the plugin.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.imaging.mask_scoring import mask_scoring_from_spec
from puncta.inference.loaded import LoadedModel
from puncta.inference.quantisation import quantise_nodes
from puncta.inference.tuning import deviation_on_samples
from puncta.training.experiment import experiment_from
from puncta.training.familiar import clip_channels
from puncta.training.folder import CALIBRATION, GRAPH
from puncta.training.latency import ratio, time_in_turns
from puncta.training.parity import open_exported
from puncta.training.quantise import (
    CALIBRATION_FRAMES,
    FRAMES_OF_A_CLIP,
    MODEL,
    RECORD,
    SPEED_LEAST,
    nodes_for_maps,
    refit_strangeness,
)
from puncta.training.report_story import read_story
from puncta.training.run import Progress, Tell
from puncta.training.tracker.calibrate import LEVELS, TrackRows, false_mask_rates, mean_iou, read_tune, shown_under
from puncta.training.tracker.data import gather_masks
from puncta.training.tracker.export import SteppedTrack
from puncta.training.tracker.masks import MaskClip

IOU_LOSS_MOST = 0.01
FALSE_RISE_MOST = 0.003
UNFAMILIAR_RISE_MOST = 0.005
MEMORY = "/cell/"
"""In the names of the nodes of the network's long memory."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a graph does under the thresholds of its calibration.

    Attributes
    ----------
    iou : float
        Mean over frames with a needle in the plane; 0 where none is shown.
    false_masks : float
        Share of frames without a needle that get a mask.
    unfamiliar : float
    """

    iou: float
    false_masks: float
    unfamiliar: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """A variant beside its reference, and what was decided; ``why`` is one sentence."""

    accepted: bool
    why: str
    reference: Quality
    variant: Quality
    speed: float
    reference_ms: float
    variant_ms: float
    deviation: float
    frames: int
    calibration_frames: int
    machines: tuple[str, ...]


def nodes_for_mask(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that compute in bytes."""
    return [name for name in nodes_for_maps(model, "mask") if MEMORY not in name]


def halves(tune: Mapping[str, Sequence[MaskClip]]) -> tuple[dict[str, list[MaskClip]], dict[str, list[MaskClip]]]:
    """Part the clips of every kind in two."""
    first, second = ({kind: list(clips[k::2]) for kind, clips in tune.items()} for k in (0, 1))
    return first, second


def calibration_feeds(
    session: LoadedModel, clips: Sequence[MaskClip], frames: int
) -> Iterator[dict[str, NDArray[Any]]]:
    """Run clips from their beginning and hand out a few frames of each, memory and prior included."""
    graph = SteppedTrack(session)
    size = int(session.spec["size"][0])
    given = 0
    for clip in clips:
        channels = clip_channels(clip.clip, size)
        wanted = set(np.linspace(0, len(channels) - 1, FRAMES_OF_A_CLIP + 1).astype(int)[1:].tolist())
        graph.reset()
        for t, picture in enumerate(channels):
            if t in wanted:
                yield graph.feeds(picture[None])
                given += 1
                if given == frames:
                    return
            graph.step(picture[None])


def judge(rows: TrackRows, calibration: Mapping[str, Any]) -> Quality:
    """Measure what a tracker said on the judging half under the thresholds of a calibration."""
    scoring = mask_scoring_from_spec(calibration)
    level = LEVELS.index(scoring.mask_level)
    chance = np.asarray(1.0 / (1.0 + np.exp(-np.clip(rows.logit, -30, 30))))
    shown = shown_under(rows, chance, scoring.show, scoring.keep, level, scoring.enter, scoring.calm)
    return Quality(
        mean_iou(rows, shown, level),
        max(false_mask_rates(rows, shown).values(), default=0.0),
        float(np.mean(rows.strangeness > scoring.strangeness_most)),
    )


def decide(reference: Quality, variant: Quality, speed: float) -> tuple[bool, str]:
    """Say whether a variant is kept, and why."""
    lost = reference.iou - variant.iou
    if not lost <= IOU_LOSS_MOST:
        return False, f"it loses {100 * lost:.1f} points of IoU"
    if not variant.false_masks - reference.false_masks <= FALSE_RISE_MOST:
        return False, f"it gives masks on {100 * variant.false_masks:.1f} % of frames without a needle"
    if not variant.unfamiliar - reference.unfamiliar <= UNFAMILIAR_RISE_MOST:
        return False, f"it calls {100 * variant.unfamiliar:.1f} % of familiar frames unfamiliar"
    if not speed >= SPEED_LEAST:
        return False, f"it is only {speed:.2f} times as fast"
    return True, f"it is {speed:.2f} times as fast, and its IoU differs by {-100 * lost:+.1f} points"


def quantise_track(folder: Path, tune: Mapping[str, Sequence[MaskClip]], tell: Tell | None = None) -> Verdict:
    """Make the variant of a finished training folder, judge it, and leave ``int8.json`` and, if kept, the graph."""
    spec = json.loads((folder / CALIBRATION).read_text(encoding="utf-8"))
    setting, judging = halves(tune)
    reference = open_exported(folder / GRAPH, spec=spec)
    kinds = [clip for kind in zip(*_evened(setting)) for clip in kind]
    ranging = kinds[: -(-CALIBRATION_FRAMES // FRAMES_OF_A_CLIP)]
    out = folder / MODEL
    feeds = calibration_feeds(reference, ranging, CALIBRATION_FRAMES)
    quantise_nodes(folder / GRAPH, out, nodes_for_mask(onnx.load(folder / GRAPH)), feeds)
    # The reference's strangeness was fitted to clips of the whole tune split too.
    refit_strangeness(out, [clip.clip for kind in zip(*_evened(tune)) for clip in kind], SteppedTrack)
    variant = open_exported(out, "int8", spec)
    graphs = {"fp32": SteppedTrack(reference), "int8": SteppedTrack(variant)}
    times = time_in_turns(graphs)  # type: ignore[arg-type]
    speed = ratio(times, "fp32", "int8", np.min)
    total = 2 * sum(map(len, judging.values()))

    def judged(already: int) -> Callable[[int, int], None]:
        def report(done: int, _of: int) -> None:
            if tell is not None:
                tell(Progress("clips judged", already + done, total, {}))

        return report

    rows = read_tune(reference, judging, judged(0)), read_tune(variant, judging, judged(total // 2))
    before, after = (judge(r, spec["calibration"]) for r in rows)
    accepted, why = decide(before, after, speed)
    verdict = Verdict(
        accepted, why, before, after, speed,
        float(np.median(times["fp32"].min(axis=1))), float(np.median(times["int8"].min(axis=1))),
        deviation_on_samples(reference, variant), len(rows[0].plane),
        min(CALIBRATION_FRAMES, FRAMES_OF_A_CLIP * len(ranging)), tuple(sorted({c.clip.machine for c in ranging})),
    )  # fmt: skip
    figures = {
        "int8_speed": speed,
        "int8_iou_change": after.iou - before.iou,
        "int8_deviation": verdict.deviation,
    }
    record = asdict(verdict) | {
        "reference_sha256": _sha256(folder / GRAPH),
        "figures": {name: round(value, 4) for name, value in figures.items()},
    }
    if accepted:
        record["sha256"] = _sha256(out)
    else:
        out.unlink()
    write_text_atomic(folder / RECORD, json.dumps(record, indent=2) + "\n")
    return verdict


def _evened(tune: Mapping[str, Sequence[MaskClip]]) -> list[list[MaskClip]]:
    """Clips of each kind, as many of each, spread over the whole of it."""
    least = min(len(clips) for clips in tune.values())
    return [list(clips[:: max(1, len(clips) // least)][:least]) for clips in tune.values()]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def quantise_finished(folder: Path, data_root: Path | None, cache: Path | None, tell: Tell | None = None) -> Verdict:
    """Make the variant of a finished training folder from the tune split that its experiment names.

    Raises
    ------
    UserError
        The folder holds no finished training, or the tune split's stills are not there.
    """
    if not (folder / GRAPH).exists() or not (folder / CALIBRATION).exists():
        raise UserError(f"The training in {folder} is not finished; go on with it by --resume.")
    config = read_story(folder).config
    experiment = experiment_from(config, str(config.get("name", "of the folder")))
    say = tell or (lambda _progress: None)
    splits = gather_masks(
        experiment, data_root, cache or folder / "cache", lambda w, d, t: say(Progress(w, d, t, {})), to_train=False
    )
    return quantise_track(folder, splits.tune, tell)
