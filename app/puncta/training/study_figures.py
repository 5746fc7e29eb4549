"""Figures of a study's rows, all computed from (tip, entry, score), with bootstrap draws over clips that rows share.

The box of a needle is the hull of its tip and of the point where its axis leaves the picture, two pixels wider on each
side and cut at the border; a row's box is made of its own tip and entry in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from puncta.metrics.detection import AveragePrecision
from puncta.metrics.intervals import (
    Estimate,
    Mean,
    Statistic,
    draw_resamples,
    mean_of,
    median_of,
    percentile_of,
)
from puncta.metrics.tip import axis_difference_deg
from puncta.training.family import Answers, Truth
from puncta.training.pose import BOX_PAD_PX

BOX_FIGURES = ("needle_ap50", "needle_ap70", "needle_f1", "needle_iou")
TIP_FIGURES = ("tip_error_mm", "tip_error_mm_95", "tip_within_2mm", "tip_within_3mm", "tip_within_2mm_always",
               "tip_error_percent", "tip_within_5_percent", "angle_error_deg", "miss_rate", "false_alarm_rate",
               "quiet_within_2mm", "quiet_miss_rate", "quiet_false_alarm_rate")
FIGURES = BOX_FIGURES + TIP_FIGURES
PERCENT = frozenset(FIGURES) - {"tip_error_mm", "tip_error_mm_95", "tip_error_percent", "angle_error_deg"}
"""Figures kept as shares and shown in percent."""
LESS_IS_BETTER = frozenset({"tip_error_mm", "tip_error_mm_95", "tip_error_percent", "angle_error_deg", "miss_rate",
                            "false_alarm_rate", "quiet_miss_rate", "quiet_false_alarm_rate"})
QUIET = 0.02
"""Share of the tune split's needle-free frames on which a row may answer where rows are compared at equal quiet."""


def boxes_of(tip_px: NDArray[np.float64], entry_px: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Boxes (x0, y0, x1, y1) of tips and entries, shape (N, 4), padded and cut at the picture's border."""
    low, high = np.minimum(tip_px, entry_px) - BOX_PAD_PX, np.maximum(tip_px, entry_px) + BOX_PAD_PX
    return np.clip(np.concatenate([low, high], axis=1), -0.5, size - 0.5)


def overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of boxes, row by row; 0 where either is NaN."""
    both = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None).prod(axis=1)
    union = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - both
    return np.nan_to_num(np.divide(both, union, out=np.zeros_like(both), where=union > 0))


def overlaps_of(truth: Truth, answers: Answers) -> NDArray[np.float64]:
    """Overlap of each frame's box with the true one; 0 where either is missing."""
    return overlaps(boxes_of(truth.tip_px, truth.entry_px, truth.size),
                    boxes_of(answers.tip_px, answers.entry_px, truth.size))


def best_threshold(truth: Truth, answers: Answers) -> float:
    """Score with the best F1 of boxes at an overlap of .5; to be chosen on the tune split and kept."""
    order = np.argsort(-answers.score, kind="stable")
    hits = np.cumsum(overlaps_of(truth, answers)[order] >= 0.5)
    needles = int((~np.isnan(truth.tip_px[:, 0])).sum())
    f1 = 2 * hits / np.maximum(1, np.arange(1, len(order) + 1) + needles)
    return float(answers.score[order][int(f1.argmax())])


def quiet_threshold(truth: Truth, answers: Answers) -> float:
    """Lowest score at which at most `QUIET` of the needle-free frames are answered; to be chosen on the tune split.

    Rows cut at their best F1 give false alarms on anything from one frame in fifty to one in two, and who answers
    everywhere misses nothing: only at equal quiet do misses compare.
    """
    empty = np.sort(answers.score[np.isnan(truth.tip_px[:, 0])])[::-1]
    if not len(empty):
        return -np.inf
    return float(np.nextafter(empty[min(int(QUIET * len(empty)), len(empty) - 1)], np.inf))


def within_2mm(truth: Truth, answers: Answers) -> float:
    """Share of tips of known scale found within 2 mm, whatever their scores."""
    error = _errors_mm(truth, answers)
    return float((error[~np.isnan(error)] <= 2.0).mean()) if (~np.isnan(error)).any() else 0.0


def _errors_mm(truth: Truth, answers: Answers) -> NDArray[np.float64]:
    return np.hypot(*((answers.tip_px - truth.tip_px) * truth.mm_per_px).T)


def _angles_deg(truth: Truth, answers: Answers, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    out = np.full(len(rows), np.nan)
    for k, i in enumerate(rows):
        scale = (float(truth.mm_per_px[i, 0]), float(truth.mm_per_px[i, 1]))
        angle = axis_difference_deg(
            (tuple(truth.entry_px[i]), tuple(truth.tip_px[i])), (tuple(answers.entry_px[i]), tuple(answers.tip_px[i])),
            None if np.isnan(scale).any() else scale,
        )
        out[k] = np.nan if angle is None else angle
    return out


def statistics(
    truth: Truth, answers: Answers, threshold: float, quiet_at: float | None = None
) -> dict[str, Statistic]:
    """Every figure of a row on a set as a function of resampled clips; an answer below the threshold is a miss.

    Parameters
    ----------
    quiet_at : float or None
        Threshold of the figures at equal quiet; None leaves these out.
    """
    there = ~np.isnan(truth.tip_px[:, 0])
    told = answers.score >= threshold
    clips, clip = truth.clips, truth.clip
    has_boxes = bool((~np.isnan(answers.entry_px)).any())
    error_mm = _errors_mm(truth, answers)
    percent = 100 * np.hypot(*(answers.tip_px - truth.tip_px).T) / truth.size
    scaled = there & ~np.isnan(error_mm)

    def share(values: NDArray[np.bool_] | NDArray[np.float64], of: NDArray[np.bool_]) -> Mean:
        return mean_of(values[of].astype(float), clip[of], clips)

    def quantile(values: NDArray[np.float64], of: NDArray[np.bool_], q: float) -> Statistic:
        return percentile_of(values[of], clip[of], q)

    out: dict[str, Statistic] = {
        "tip_error_mm": median_of(error_mm[scaled & told], clip[scaled & told]),
        "tip_error_mm_95": quantile(error_mm, scaled & told, 0.95),
        "tip_within_2mm": share((error_mm <= 2) & told, scaled),
        "tip_within_3mm": share((error_mm <= 3) & told, scaled),
        "tip_within_2mm_always": share(error_mm <= 2, scaled),
        "tip_error_percent": median_of(percent[there & told], clip[there & told]),
        "tip_within_5_percent": share((percent <= 5) & told, there),
        "miss_rate": share(~told, there),
        "false_alarm_rate": share(told, ~there),
    }
    if quiet_at is not None:
        sure = answers.score >= quiet_at
        out["quiet_within_2mm"] = share((error_mm <= 2) & sure, scaled)
        out["quiet_miss_rate"] = share(~sure, there)
        out["quiet_false_alarm_rate"] = share(sure, ~there)
    if has_boxes:
        overlap = overlaps_of(truth, answers)
        order = np.argsort(-answers.score, kind="stable")
        positives = np.bincount(clip[there], minlength=clips).astype(float)
        for name, least in (("needle_ap50", 0.5), ("needle_ap70", 0.7)):
            out[name] = AveragePrecision((overlap >= least)[order][None], clip[order], positives)
        hits = np.bincount(clip[told & (overlap >= 0.5)], minlength=clips)
        found = np.bincount(clip[told], minlength=clips).astype(np.float64)
        out["needle_f1"] = Mean(hits.astype(np.float64) * 2, found + positives)
        out["needle_iou"] = share(np.where(told, overlap, 0.0), there)
        with_axis = np.flatnonzero(there & told & ~np.isnan(answers.entry_px[:, 0]))
        out["angle_error_deg"] = median_of(_angles_deg(truth, answers, with_axis), clip[with_axis])
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A figure, and what it is on every resample of the clips; NaN where it is not defined.

    Attributes
    ----------
    value : float
    draws : ndarray, shape (resamples,)
    n : int
    """

    value: float
    draws: NDArray[np.float64]
    n: int

    def estimate(self) -> Estimate:
        """Value with its 95 % interval."""
        if not np.isfinite(self.value):
            return Estimate(None, None, None, self.n)
        defined = self.draws[np.isfinite(self.draws)]
        if len(defined) == 0:
            return Estimate(self.value, None, None, self.n)
        low, high = np.percentile(defined, [2.5, 97.5])
        return Estimate(self.value, float(low), float(high), self.n)

    def minus(self, other: Drawn) -> Drawn:
        """Difference; paired where both were drawn on the same clips."""
        return Drawn(self.value - other.value, self.draws - other.draws, min(self.n, other.n))


def mean_drawn(parts: list[Drawn]) -> Drawn:
    """Mean of several figures, draw by draw."""
    return Drawn(float(np.mean([p.value for p in parts])), np.mean([p.draws for p in parts], axis=0),
                 min(p.n for p in parts))


def draw_figures(
    truth: Truth, answers: Answers, threshold: float, seed: int, resamples: int, quiet_at: float | None = None
) -> Mapping[str, Drawn]:
    """All figures of a row on a set with their draws; the same seed gives the same resamples for every row."""
    weights = draw_resamples(truth.clips, resamples, seed)
    ones = np.ones((1, truth.clips))
    out = {}
    for name, statistic in statistics(truth, answers, threshold, quiet_at).items():
        if statistic.n == 0:
            continue
        few = statistic.contributing_clips < 2
        draws = np.full(resamples, np.nan) if few else statistic.values(weights)
        out[name] = Drawn(float(statistic.values(ones)[0]), draws, int(statistic.n))
    return out
