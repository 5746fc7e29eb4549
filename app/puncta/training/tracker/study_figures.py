"""Figures of the mask study: overlap a frame, tip and angle of the line through each mask, with draws over clips.

Overlap follows `puncta.metrics.mask` (a frame at a time, then averaged; F1 from the averages); the frame whose mask was
handed over is left out of everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from puncta.metrics.intervals import Statistic, draw_resamples, median_of
from puncta.metrics.mask import VANISHED_FRAMES, MaskFrame, judge_mask, mask_statistics, start_statistics
from puncta.metrics.tip import axis_difference_deg
from puncta.training.study_figures import Drawn
from puncta.training.tracker.study_answers import ALONE, Answers
from puncta.training.tracker.study_clips import PLANES, Pack

MASK_FIGURES = {
    "iou": "mask_iou", "dice": "mask_dice", "precision": "mask_precision", "recall": "mask_recall", "f1": "mask_f1",
    "vanished_iou": "mask_vanished_iou", "vanished_recall": "mask_vanished_recall", "miss_rate": "mask_miss_rate",
    "false_mask_rate": "false_mask_rate", "out_of_plane_rate": "out_of_plane_mask_rate",
}
"""Our names, and those of `puncta.metrics.mask`."""
FIGURES = (*MASK_FIGURES, "start_within_10", "tip_mm", "tip_percent", "angle_deg", "fps")
PERCENT = frozenset({*MASK_FIGURES, "start_within_10"})
"""Figures kept as shares and shown in percent."""
LESS_IS_BETTER = frozenset({"miss_rate", "false_mask_rate", "out_of_plane_rate", "tip_mm", "tip_percent", "angle_deg"})


def judge_frames(pack: Pack, answers: Answers) -> list[MaskFrame]:
    """Lay each judged frame's mask beside the true one."""
    out = []
    for at in np.flatnonzero(pack.plane >= 0):
        plane = PLANES[pack.plane[at]]
        out.append(judge_mask(
            answers.masks[at], np.asarray(pack.masks[at]).astype(bool), clip=int(pack.clip[at]),
            index=int(pack.index[at]), plane=plane, hidden_frames=int(pack.hidden[at]),
            prompted=bool(answers.given[at]), image=int(pack.image[at]),
        ))
    return out


def line_statistics(pack: Pack, answers: Answers) -> dict[str, Statistic]:
    """Median error of the tip [mm; % of the side] and of the angle [deg], where a line was found."""
    asked = pack.in_plane() & ~answers.given & ~np.isnan(answers.tip_px[:, 0]) & ~np.isnan(pack.tip_px[:, 0])
    rows = np.flatnonzero(asked)
    mm = pack.mm_per_px[pack.clip[rows]]
    away = answers.tip_px[rows] - pack.tip_px[rows]
    tip_mm = np.hypot(*(away * mm).T)
    known = np.isfinite(tip_mm)
    angles = np.array([_angle(pack, answers, int(at)) for at in rows])
    straight = np.isfinite(angles)
    clip = pack.clip[rows]
    return {
        "tip_mm": median_of(tip_mm[known], clip[known]),
        "tip_percent": median_of(100 * np.hypot(*away.T) / pack.size, clip),
        "angle_deg": median_of(angles[straight], clip[straight]),
    }


def _angle(pack: Pack, answers: Answers, at: int) -> float:
    mm = pack.mm_per_px[pack.clip[at]]
    scale = (float(mm[0]), float(mm[1])) if np.isfinite(mm).all() else None
    ends = [tuple(map(float, p)) for p in (answers.begin_px[at], answers.tip_px[at], pack.entry_px[at],
                                           pack.tip_px[at])]
    if not np.isfinite(ends).all():
        return float("nan")
    found = axis_difference_deg((ends[0], ends[1]), (ends[2], ends[3]), scale)  # type: ignore[arg-type]
    return float("nan") if found is None else found


def draw_figures(
    pack: Pack, answers: Answers, mode: str, weights: NDArray[np.float64], frames: Sequence[MaskFrame] | None = None
) -> dict[str, Drawn]:
    """All figures of a row on a set; rows that share ``weights`` are drawn on the same clips."""
    frames = judge_frames(pack, answers) if frames is None else frames
    found: dict[str, Statistic] = {
        ours: statistic for ours, theirs in MASK_FIGURES.items()
        if (statistic := mask_statistics(frames, pack.clips).get(theirs)) is not None
    }
    if mode == ALONE:
        found["start_within_10"] = start_statistics(frames, pack.clips)["start_within_10"]
    found |= line_statistics(pack, answers)
    return _drawn(found, weights)


def draw_pool(
    parts: Sequence[tuple[Pack, Sequence[MaskFrame]]], vanished: bool, resamples: int, seed: int
) -> dict[str, Drawn]:
    """Overlap figures over frames of several sets together."""
    frames: list[MaskFrame] = []
    clips = 0
    for pack, own in parts:
        frames += [replace(f, clip=f.clip + clips) for f in own if not vanished or f.hidden_frames >= VANISHED_FRAMES]
        clips += pack.clips
    statistics = mask_statistics(frames, clips)
    kept = {ours: statistics[theirs] for ours, theirs in MASK_FIGURES.items() if "vanished" not in ours}
    return _drawn(kept, draw_resamples(clips, resamples, seed))


def _drawn(found: Mapping[str, Statistic], weights: NDArray[np.float64]) -> dict[str, Drawn]:
    ones = np.ones((1, weights.shape[1]))
    out = {}
    for name, statistic in found.items():
        if statistic.n == 0:
            continue
        few = statistic.contributing_clips < 2
        draws = np.full(len(weights), np.nan) if few else statistic.values(weights)
        out[name] = Drawn(float(statistic.values(ones)[0]), draws, int(statistic.n))
    return out
