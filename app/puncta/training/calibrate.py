"""Sets what the plugin needs besides weights, on the tune split alone: filter, odds of presence, score, radius.

The frames of every tune clip go one after another through the very steps of the plugin (motion history, exported graph
in the runtime, filter), so that what is tuned is what will run.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puncta.imaging.filtering import TipFilterSettings, TipGridFilter, doubt_cells
from puncta.imaging.heatmap import best_cell, sigmoid
from puncta.imaging.motion_history import MotionHistory
from puncta.imaging.preprocess import resample_region
from puncta.inference.session import LoadedModel
from puncta.training.augment import STRIDE
from puncta.training.data import Clip

CLOSE_MM = 2.0
CLOSE_SHARE = 0.05
"""Where a clip has no millimetres, a tip within this share of the side counts as found."""
COVERAGE = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What the network said about one clip.

    Attributes
    ----------
    tip : ndarray of float16, shape (T, h, w)
        Logits.
    offset : ndarray of float16, shape (T, 2, h, w)
    presence : ndarray, shape (T,)
        Logits.
    """

    clip: Clip
    tip: NDArray[np.float16]
    offset: NDArray[np.float16]
    presence: NDArray[np.float64]


def answer_clip(session: LoadedModel, clip: Clip, size: int) -> Answers:
    """Run the network over a clip as the plugin does."""
    history = MotionHistory(size)
    tips, offsets, presence = [], [], []
    name = session.inputs[0].name
    side = clip.frames.shape[1]
    for frame in clip.frames:
        grey, _ = resample_region(frame, (0, 0, side, side), (size, size))
        history.push(grey)
        out = session.run({name: history.channels()[None]})
        tips.append(out["maps"][0, 0].astype(np.float16))
        offsets.append(out["maps"][0, 1:3].astype(np.float16))
        presence.append(float(out["presence"].reshape(-1)[0]))
    return Answers(clip, np.stack(tips), np.stack(offsets), np.array(presence))


@dataclass(frozen=True, slots=True)
class Judged:
    """Filter results on judged frames, as columns.

    Attributes
    ----------
    score : ndarray
        Belief within the window.
    error : ndarray
        Distance to the tip as a share of what still counts as close; infinite without a tip.
    error_cells, spread_cells : ndarray
    """

    score: NDArray[np.float64]
    error: NDArray[np.float64]
    error_cells: NDArray[np.float64]
    spread_cells: NDArray[np.float64]
    has_tip: NDArray[np.bool_]


def platt(logits: NDArray[np.float64], outcomes: NDArray[np.bool_]) -> tuple[float, float]:
    """Fit scale and shift of a logit to yes/no outcomes (Platt, 1999) by Newton steps with his soft targets."""
    yes, no = int(outcomes.sum()), int((~outcomes).sum())
    target = np.where(outcomes, (yes + 1) / (yes + 2), 1 / (no + 2))
    weights = np.array([1.0, 0.0])
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    for _ in range(50):
        p = sigmoid(design @ weights)
        gradient = design.T @ (p - target)
        hessian = (design * (p * (1 - p) + 1e-6)[:, None]).T @ design + 1e-3 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        weights = weights - np.clip(step, -1.0, 1.0)
        if float(np.abs(step).max()) < 1e-6:
            break
    return max(0.05, float(weights[0])), float(weights[1])


def follow(
    answers: Sequence[Answers], settings: TipFilterSettings, presence: tuple[float, float], size: int
) -> Judged:
    """Run the filter over all clips."""
    rows: list[tuple[float, float, float, float, bool]] = []
    for answer in answers:
        tracker = TipGridFilter(settings)
        clip = answer.clip
        for i, judged in enumerate(clip.judged):
            logits = answer.tip[i].astype(np.float32)
            belief = tracker.update(logits, float(answer.presence[i]) * presence[0] + presence[1])
            if judged < 0:
                continue
            x, y = belief.mean_cell_xy
            row, column = best_cell(logits, belief.cell)
            px = column + float(answer.offset[i, 0, row, column]), row + float(answer.offset[i, 1, row, column])
            if math.hypot(px[0] - x, px[1] - y) <= 2.5 and logits[row, column] > -3.0:
                x, y = px
            if not judged:
                rows.append((belief.score, math.inf, math.inf, belief.spread_cells, False))
                continue
            scale = clip.frames.shape[1] / size
            at = (np.array([x, y]) * STRIDE + (STRIDE - 1) / 2 + 0.5) * scale - 0.5
            off = at - clip.tip_px[i]
            if clip.mm_per_px is not None:
                error = float(np.hypot(off[0] * clip.mm_per_px[0], off[1] * clip.mm_per_px[1])) / CLOSE_MM
            else:
                error = float(np.hypot(*off)) / (CLOSE_SHARE * clip.frames.shape[1])
            rows.append((belief.score, error, float(np.hypot(*off)) / scale / STRIDE, belief.spread_cells, True))
    table = np.array([r[:4] for r in rows], dtype=np.float64).reshape(-1, 4)
    return Judged(table[:, 0], table[:, 1], table[:, 2], table[:, 3], np.array([r[4] for r in rows], dtype=bool))


FILTER_ALLOWANCE = 0.01
"""Usefulness a filter may cost: it steadies what is drawn, which single frames do not count."""

ALONE = TipFilterSettings(trust=1.0, jump=1.0, appear=0.5, vanish=0.5)
"""Settings under which every frame stands alone: what the filter has to beat."""


def filter_grid() -> list[TipFilterSettings]:
    """Settings that are tried; "every frame alone" is among them, so a filter is used only where it helps."""
    come_and_go = ((0.05, 0.03), (0.25, 0.15))
    changes = itertools.product((0.7, 1.0, 1.4), (0.5, 1.0), (1.0, 2.0), (0.03, 0.15, 0.4), come_and_go)
    grid = [
        TipFilterSettings(sharpness=s, trust=t, motion_cells=m, jump=j, appear=a, vanish=v)
        for s, t, m, j, (a, v) in changes
    ]
    return [ALONE, *grid]


def usefulness(found: Judged) -> float:
    """Mean over frames of: right tip or rightly silent 1, silent on a tip 0, wrong tip -1; at the best threshold."""
    order = np.argsort(-found.score)
    right = found.error[order] <= 1.0
    gain = np.where(right, 1.0, -1.0) - np.where(found.has_tip[order], 0.0, 1.0)
    return float((np.concatenate([[0.0], np.cumsum(gain)]).max() + (~found.has_tip).sum()) / len(order))


@dataclass(frozen=True, slots=True)
class Calibration:
    """All numbers, ready for the registry's `input` table, and figures on the tune split."""

    filter: TipFilterSettings
    calibration: dict[str, float]
    figures: dict[str, float]

    def as_spec(self) -> dict[str, Any]:
        """The `filter` and `calibration` tables."""
        return {"filter": asdict(self.filter), "calibration": self.calibration}


def calibrate(session: LoadedModel, clips: Sequence[Clip], size: int) -> Calibration:
    """Tune on clips of the tune split."""
    answers = [answer_clip(session, clip, size) for clip in clips]
    logits = np.concatenate([a.presence[a.clip.judged >= 0] for a in answers])
    there = np.concatenate([a.clip.judged[a.clip.judged >= 0] == 1 for a in answers])
    scale, shift = platt(logits, there)
    # The filter wants odds that do not hold the tune split's own share of tips.
    share = float(np.clip(there.mean(), 0.02, 0.98))
    presence = (scale, shift - math.log(share / (1 - share)))
    some = answers[:: max(1, len(answers) // 70)]
    ranked = sorted(filter_grid(), key=lambda s: -usefulness(follow(some, s, presence, size)))
    # A third of the clips picks a few; all of them decide, "every frame alone" always among them.
    finals = {s: follow(answers, s, presence, size) for s in [ALONE, *ranked[:6]]}
    unfiltered = usefulness(finals[ALONE])
    best = max((s for s in finals if s != ALONE), key=lambda s: usefulness(finals[s]))
    if usefulness(finals[best]) < unfiltered - FILTER_ALLOWANCE:
        best = ALONE
    found = finals[best]
    clipped = np.clip(found.score, 1e-9, 1 - 1e-9)
    score_scale, score_shift = platt(np.log(clipped / (1 - clipped)), found.error <= 1.0)
    score = sigmoid(np.log(clipped / (1 - clipped)) * score_scale + score_shift)
    shown = found.has_tip & (score >= 0.5)
    doubt = np.array([doubt_cells(s, p) for s, p in zip(found.spread_cells, score)])
    ratio = np.sort(found.error_cells[shown] / doubt[shown])
    # Split conformal (Vovk; Lei et al., 2018): the ceil((n + 1) c)-th smallest score covers c of new ones.
    rank = min(len(ratio) - 1, math.ceil((len(ratio) + 1) * COVERAGE) - 1)
    radius_scale = float(np.clip(ratio[rank], 0.2, 12.0)) if len(ratio) > 20 else 4.0
    negatives = ~found.has_tip
    figures = {
        "frames": float(len(score)),
        "usefulness": usefulness(found),
        "usefulness_unfiltered": unfiltered,
        "shown_of_tips": float(shown.sum() / max(1, found.has_tip.sum())),
        "close_of_shown": float((found.error[shown] <= 1.0).mean()) if shown.any() else 0.0,
        "false_alarms": float((score[negatives] >= 0.5).mean()) if negatives.any() else 0.0,
        "median_radius_cells": float(np.median(radius_scale * doubt[shown])) if shown.any() else 0.0,
    }
    values = {
        "presence_scale": presence[0], "presence_shift": presence[1], "score_scale": score_scale,
        "score_shift": score_shift, "radius_scale": radius_scale,
    }
    return Calibration(best, {k: round(v, 5) for k, v in values.items()}, {k: round(v, 4) for k, v in figures.items()})

