"""All figures of a run over a dataset, under the names that files use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from puncta.core.geometry import box_iou
from puncta.metrics import latency, tip
from puncta.metrics.detection import AP_10_50, FrameBoxes, average_precision
from puncta.metrics.frames import JudgedFrame, column
from puncta.metrics.intervals import (
    RESAMPLES,
    SEED,
    Estimate,
    Mean,
    Statistic,
    draw_resamples,
    estimate,
    mean_of,
    paired_difference,
)


def statistics_of(frames: Sequence[JudgedFrame], clips: int) -> dict[str, Statistic]:
    """Return every figure by its name; figures that nothing speaks about have n = 0.

    Parameters
    ----------
    frames : sequence of JudgedFrame
    clips : int
        Number of clips; the frames' clip numbers lie below it.
    """
    timed = column([(f.answer.elapsed_ns, f.clip) for f in frames if f.answer.elapsed_ns is not None])
    tips = [_boxes_of_tips(f) for f in frames if f.labels.tip_judged]
    needles = [_boxes_of_needles(f) for f in frames if f.labels.needle_judged]
    return {
        "tip_error_px": tip.tip_error_px(frames),
        "tip_error_mm": tip.tip_error_mm(frames),
        "tip_error_mm_p95": tip.tip_error_mm_p95(frames),
        "tip_within_2mm": tip.tip_within_mm(frames, clips, 2.0),
        "tip_within_3mm": tip.tip_within_mm(frames, clips, 3.0),
        "miss_rate": tip.miss_rate(frames, clips),
        "false_alarm_rate": tip.false_alarm_rate(frames, clips),
        "abstain_rate": tip.abstain_rate(frames, clips),
        "unfamiliar_rate": tip.unfamiliar_rate(frames, clips),
        "tip_ap50": average_precision(tips, clips, (0.5,)),
        "tip_ap10_50": average_precision(tips, clips, AP_10_50),
        "needle_ap50": average_precision(needles, clips, (0.5,)),
        "needle_ap70": average_precision(needles, clips, (0.7,)),
        "needle_iou": _needle_iou(frames, clips),
        "angle_error_deg": tip.angle_error_deg(frames),
        "ece": tip.expected_calibration_error(frames, clips),
        "coverage90": tip.coverage90(frames, clips),
        "ms_per_frame": latency.ms_per_frame(timed.values, timed.clip_of),
    }


def summarise(
    frames: Sequence[JudgedFrame], resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Estimate]:
    """Return every figure with its 95 % interval over clips."""
    frames, clips = _renumbered(frames)
    weights = draw_resamples(clips, resamples, seed)
    return {name: estimate(statistic, weights) for name, statistic in statistics_of(frames, clips).items()}


def compare(
    a: Sequence[JudgedFrame], b: Sequence[JudgedFrame], resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Estimate]:
    """Return a minus b for every figure, on the same resamples of the same clips.

    Where one run was judged on needles as well as tips and the other on tips alone, only the tips are compared.

    Raises
    ------
    ValueError
        The two runs did not see the same frames of the same clips, or share no kind of label.
    """
    tips = all(any(f.labels.tip_judged for f in run) for run in (a, b))
    needles = all(any(f.labels.needle_judged for f in run) for run in (a, b))
    a, b = _only(a, tips, needles), _only(b, tips, needles)
    if not a or [(f.clip, f.image, f.labels) for f in a] != [(f.clip, f.image, f.labels) for f in b]:
        raise ValueError("the two runs saw different frames")
    a, clips = _renumbered(a)
    b, _clips = _renumbered(b)
    weights = draw_resamples(clips, resamples, seed)
    first, second = statistics_of(a, clips), statistics_of(b, clips)
    return {name: paired_difference(first[name], second[name], weights) for name in first}


def summarise_groups(
    frames: Sequence[JudgedFrame], key: str, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Mapping[str, Estimate]]:
    """Return the figures of each group, by "machine" or "difficulty"; frames without one are left out."""
    groups: dict[str, list[JudgedFrame]] = {}
    for frame in frames:
        name = frame.machine if key == "machine" else frame.difficulty
        if name is not None:
            groups.setdefault(name, []).append(frame)
    return {name: summarise(groups[name], resamples, seed) for name in sorted(groups)}


def _only(frames: Sequence[JudgedFrame], tips: bool, needles: bool) -> list[JudgedFrame]:
    """Leave out what is not to be judged, and then the frames on which nothing is left."""
    kept: list[JudgedFrame] = []
    for frame in frames:
        labels = frame.labels
        if not tips:
            labels = replace(labels, tip_judged=False, tip_px=None, tip_box=None)
        if not needles:
            labels = replace(labels, needle_judged=False, needle_box=None, axis=None)
        if labels.tip_judged or labels.needle_judged:
            kept.append(replace(frame, labels=labels))
    return kept


def _renumbered(frames: Sequence[JudgedFrame]) -> tuple[list[JudgedFrame], int]:
    """Number the clips that occur 0, 1 .., so that a group's interval resamples the group's own clips."""
    numbers = {clip: number for number, clip in enumerate(sorted({f.clip for f in frames}))}
    return [replace(f, clip=numbers[f.clip]) for f in frames], len(numbers)


def _boxes_of_tips(frame: JudgedFrame) -> FrameBoxes:
    labelled = (frame.labels.tip_box,) if frame.labels.tip_box is not None else ()
    return FrameBoxes(frame.clip, labelled, frame.answer.tip_boxes)


def _boxes_of_needles(frame: JudgedFrame) -> FrameBoxes:
    labelled = (frame.labels.needle_box,) if frame.labels.needle_box is not None else ()
    return FrameBoxes(frame.clip, labelled, frame.answer.needle_boxes)


def _needle_iou(frames: Sequence[JudgedFrame], clips: int) -> Mean:
    """Return the mean overlap of the best-scored needle box over frames with a needle; a miss counts 0."""
    pairs = []
    for f in frames:
        if f.labels.needle_judged and f.labels.needle_box is not None:
            best = max(f.answer.needle_boxes, key=lambda item: item[0], default=None)
            pairs.append((box_iou(f.labels.needle_box, best[1]) if best else 0.0, f.clip))
    found = column(pairs)
    return mean_of(found.values, np.asarray(found.clip_of), clips)
