"""Sets what the plugin needs besides weights, on the tune split alone: filter, chances, thresholds, circle.

What is tuned runs through the very steps of the plugin; see `puncta.training.answers`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.imaging.filtering import TipFilterSettings, doubt_cells
from puncta.imaging.tip_network import TipNetwork
from puncta.imaging.tip_scoring import FEATURES, Circle, Logistic, TipScoring, chance
from puncta.inference.session import LoadedModel
from puncta.training.answers import INTERVAL_NS, Answers, Rows, answer_clip, follow
from puncta.training.data import Clip
from puncta.training.fitting import calibration_error, cross_fit, fit_logistic, weighted_quantile

__all__ = ["INTERVAL_NS", "Answers", "Calibration", "answer_clip", "calibrate", "calibrate_answers"]

COVERAGE = 0.9
FALSE_ALARMS_MOST = 0.007
"""Share of needle-free frames of any kind of tune clip on which a tip may be shown: less than the hundredth that is
promised, for a few hundred clips do not tell a hundredth exactly."""
UNFAMILIAR_MOST = 0.004
"""Share of any kind of tune clip's frames that may be called strange."""
LEAST_SCALE = 0.05

Tell = Callable[[int, int], None]
"""Called with (done, total)."""


ALONE = TipFilterSettings(trust=1.0, jump=1.0, appear=0.5, vanish=0.5)
"""Settings under which every frame stands alone: what the filter has to beat."""


def filter_grid() -> list[TipFilterSettings]:
    """Settings that are tried; "every frame alone" comes first, so a filter is used only where it helps."""
    grid = [
        TipFilterSettings(sharpness=s, trust=t, motion_cells=1.5, jump=j, appear=a, vanish=v)
        for s, t, j in ((0.7, 0.5, 0.4), (0.7, 0.5, 0.1), (0.7, 0.7, 0.2), (1.0, 0.5, 0.1), (1.0, 0.7, 0.2))
        for a, v in ((0.04, 0.03), (0.12, 0.09))
    ]
    return [ALONE, *grid]


@dataclass(frozen=True, slots=True)
class ShowRule:
    """When a tip is shown; as in `TipScoring`."""

    show: float
    keep: float
    coast_s: float


def hold(right: NDArray[np.float64], clip: NDArray[np.int64], rule: ShowRule) -> NDArray[np.bool_]:
    """Tell on which frames a tip is shown: from ``show`` on, until ``keep``, and a while after that."""
    event = np.where(right >= rule.show, 1, np.where(right < rule.keep, 0, -1))
    starts = np.r_[True, clip[1:] != clip[:-1]]
    event[starts & (event < 0)] = 0
    number = np.arange(len(event))
    seen = event[np.maximum.accumulate(np.where(event >= 0, number, 0))] == 1
    begun = np.maximum.accumulate(np.where(starts, number, 0))
    last = np.maximum.accumulate(np.where(seen, number, -1))
    return (last >= begun) & (number - last <= round(rule.coast_s * 1e9 / INTERVAL_NS))


def usefulness(rows: Rows, shown: NDArray[np.bool_]) -> float:
    """Weighted mean over frames of: right tip or rightly silent 1, silent on a tip 0, wrong tip or false alarm -1."""
    gain = np.where(shown, np.where(rows.close, 1.0, -1.0), np.where(rows.judged == 0, 1.0, 0.0))
    return float((gain * rows.weight).sum() / rows.weight.sum())


def false_alarms(rows: Rows, shown: NDArray[np.bool_]) -> float:
    """Share of needle-free frames on which a tip is shown, of the kind of clip where it is largest."""
    shares = [0.0]
    for k in (0, 1):
        empty = rows.quiet & (rows.kind == k)
        if empty.any():
            shares.append(float(shown[empty].mean()))
    return max(shares)


def choose_rule(rows: Rows, right: NDArray[np.float64]) -> tuple[ShowRule, float]:
    """Return the rule of most use among those that keep false alarms low, and its use.

    A predicted tip counts as right where the filter's place is: that the tracker's is better is left as a margin.
    """
    best, best_use = ShowRule(math.inf, math.inf, 0.0), -math.inf
    candidates = np.unique(np.quantile(right, np.linspace(0.02, 1.0, 800)))
    for wait, coast in itertools.product((0.0, 0.5, 1.0, 1.8), (0.0, 0.2, 0.48)):
        def rule(at: float, wait: float = wait, coast: float = coast) -> ShowRule:
            return ShowRule(float(at), float(at - wait), coast)

        # False alarms fall as thresholds rise, so the lowest that is quiet enough is found by halving.
        low, high = 0, len(candidates) - 1
        while low < high:
            middle = (low + high) // 2
            quiet = false_alarms(rows, hold(right, rows.clip, rule(candidates[middle]))) <= FALSE_ALARMS_MOST
            low, high = (low, middle) if quiet else (middle + 1, high)
        for further in (0, 4, 16, 48, 120, 250):
            at = candidates[min(low + further, len(candidates) - 1)]
            use = usefulness(rows, hold(right, rows.clip, rule(at)))
            if use > best_use:
                best, best_use = rule(at), use
    return best, best_use


@dataclass(frozen=True, slots=True)
class Calibration:
    """All numbers, ready for the registry's `input` table, and figures on the tune split."""

    filter: TipFilterSettings
    scoring: TipScoring
    figures: dict[str, float]

    def as_spec(self) -> dict[str, Any]:
        """The `filter` and `calibration` tables."""
        return {"filter": asdict(self.filter), "calibration": self.scoring.as_spec()}


def calibrate(session: LoadedModel, clips: Sequence[Clip], size: int, tell: Tell | None = None) -> Calibration:
    """Tune on clips of the tune split.

    Raises
    ------
    ValueError
        The model takes pictures of another size.
    """
    network = TipNetwork(session)
    if network.size != size:
        raise ValueError(f"the model takes pictures of {network.size} px, not {size}")
    answers = []
    for k, clip in enumerate(clips):
        answers.append(answer_clip(network, clip))
        if tell is not None:
            tell(k + 1, len(clips))
    return calibrate_answers(answers)


def calibrate_answers(answers: Sequence[Answers]) -> Calibration:
    """Tune on a network's answers to the tune split.

    Raises
    ------
    UserError
        Not one frame tells whether a tip is there.
    """
    if not any((a.clip.judged >= 0).any() for a in answers):
        raise UserError("The tune split holds no frame that tells whether a tip is there; give it other clips.")
    base = odds_of_presence(answers)
    some = answers[:: max(1, len(answers) // 100)]
    best, best_use, alone_use = ALONE, -math.inf, -math.inf
    for settings in filter_grid():
        rows = follow(some, base, settings)
        use = choose_rule(rows, cross_fit_chances(rows)[1])[1]
        alone_use = use if settings == ALONE else alone_use
        if use > best_use:
            best, best_use = settings, use
    rows = follow(answers, base, best)
    scoring = fit_chances(rows, base)
    rule, _use = choose_rule(rows, rows.features @ np.array(scoring.right.weights) + scoring.right.bias)
    scoring = replace(scoring, **asdict(rule), strangeness_most=strangeness_limit(answers))
    rows = follow(answers, scoring, best)
    scoring = replace(
        scoring, on_line=_nearer(rows, rows.lined_mm), steady=_nearer(rows, rows.tracked_mm),
    )
    rows = follow(answers, scoring, best)
    scoring = replace(scoring, circle=fit_circle(rows))
    figures = figures_of(rows, scoring, answers)
    figures["usefulness_sample_alone"], figures["usefulness_sample_filtered"] = alone_use, best_use
    return Calibration(best, scoring, {k: round(v, 4) for k, v in figures.items()})


def _nearer(rows: Rows, error_mm: NDArray[np.float64]) -> bool:
    """Tell whether another place of a shown, measured tip lies nearer to the true one than the measured one does."""
    both = rows.shown & ~rows.predicted & np.isfinite(rows.measured_mm) & np.isfinite(error_mm)
    return bool(both.sum() >= 50 and np.median(error_mm[both]) < 0.97 * np.median(rows.measured_mm[both]))


def odds_of_presence(answers: Sequence[Answers]) -> TipScoring:
    """Make the network's presence logit one on even odds: those of the tune split are no property of a frame."""
    logits = np.concatenate([a.presence[a.clip.judged >= 0] for a in answers])
    there = np.concatenate([a.clip.judged[a.clip.judged >= 0] == 1 for a in answers])
    weights = fit_logistic(logits[:, None], there)
    share = float(np.clip(there.mean(), 0.02, 0.98))
    scale = max(LEAST_SCALE, float(weights[0]))
    return TipScoring(presence_scale=scale, presence_shift=float(weights[1]) - math.log(share / (1 - share)))


def cross_fit_chances(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log odds of presence and of being right, each clip judged by a fit on the others; NaN where not judged."""
    told, weight = rows.judged >= 0, rows.weight
    out = []
    for outcome in (rows.judged == 1, rows.close):
        fitted = cross_fit(rows.features, outcome & told, weight, rows.clip)
        out.append(fitted)
    return out[0], out[1]


def fit_chances(rows: Rows, base: TipScoring) -> TipScoring:
    """Fit both chances on all judged frames."""
    told, weight = rows.judged >= 0, rows.weight
    fits = []
    for outcome in (rows.judged == 1, rows.close):
        w = fit_logistic(rows.features[told], outcome[told], weight[told])
        fits.append(Logistic(tuple(float(v) for v in w[: len(FEATURES)]), float(w[-1])))
    return replace(base, presence=fits[0], right=fits[1])


def fit_circle(rows: Rows) -> Circle:
    """Fit the circle: in each kind of answer the factor that covers 9 in 10 (split conformal, weighted)."""
    hit = rows.shown & (rows.judged == 1)
    right = np.array([chance(v) for v in rows.right])
    doubt = np.array([doubt_cells(s, p) for s, p in zip(rows.spread, right)]) + rows.drift
    ratio, weight = rows.error_cells / doubt, rows.weight
    measured = hit & ~rows.predicted
    edges: tuple[float, ...] = ()
    if measured.sum() >= 300:
        edges = tuple(round(float(v), 4) for v in np.quantile(right[measured], (0.25, 0.5, 0.75)))
        edges = tuple(dict.fromkeys(edges))
    kinds = np.digitize(right, edges)
    whole = weighted_quantile(ratio[measured], weight[measured], COVERAGE) if measured.any() else 4.0
    factors = []
    for k in range(len(edges) + 1):
        mine = measured & (kinds == k)
        factors.append(weighted_quantile(ratio[mine], weight[mine], COVERAGE) if mine.sum() >= 60 else whole)
    mine = hit & rows.predicted
    factors.append(weighted_quantile(ratio[mine], weight[mine], COVERAGE) if mine.sum() >= 60 else 1.5 * whole)
    return Circle(edges, tuple(float(np.clip(f, 0.1, 20.0)) for f in factors))


def strangeness_limit(answers: Sequence[Answers]) -> float:
    """Return the strangeness that next to no frame of any kind of tune clip passes; infinite where none is told."""
    limit = -math.inf
    for simulated in (True, False):
        kind = [a.strangeness for a in answers if (a.clip.source == "simulator") == simulated]
        values = np.concatenate(kind) if kind else np.zeros(0)
        values = values[np.isfinite(values)]
        if len(values):
            limit = max(limit, float(np.quantile(values, 1 - UNFAMILIAR_MOST)))
    # A little room above: the tune split does not hold the strangest honest picture.
    return limit * 1.05 if math.isfinite(limit) and limit > 0 else math.inf


def figures_of(rows: Rows, scoring: TipScoring, answers: Sequence[Answers]) -> dict[str, float]:
    """Figures on the tune split; the calibration errors are cross-fitted over clips."""
    told, tips, empty, quiet = rows.judged >= 0, rows.judged == 1, rows.judged == 0, rows.quiet
    presence = 1 / (1 + np.exp(-cross_fit_chances(rows)[0]))
    right = np.array([chance(v) for v in rows.right])
    radius = np.array([
        scoring.circle.factors[scoring.circle.kind(p, bool(q))] for p, q in zip(right, rows.predicted)
    ])
    radius *= np.array([doubt_cells(s, p) for s, p in zip(rows.spread, right)]) + rows.drift
    hit = rows.shown & tips
    strange = np.concatenate([a.strangeness > scoring.strangeness_most for a in answers])
    plain = np.concatenate([a.plain for a in answers])
    figures = {
        "frames": float(told.sum()),
        "usefulness": usefulness(rows, rows.shown),
        "ece": calibration_error(presence[told], tips[told], rows.weight[told]),
        "unfamiliar": float((strange | plain).mean()),
        "not_ultrasound": float(plain.mean()),
        "predicted_of_shown": float(rows.predicted[hit].mean()) if hit.any() else 0.0,
    }
    for name, kind in (("", None), ("simulated_", 0), ("stills_", 1)):
        mine = np.ones(len(told), bool) if kind is None else rows.kind == kind
        if not (mine & told).any() or (kind is not None and (rows.kind == kind).all()):
            continue
        h, e, q = hit & mine, empty & mine, quiet & mine
        figures |= {
            f"{name}shown_of_tips": float(h.sum() / max(1, (tips & mine).sum())),
            f"{name}close_of_shown": float(rows.close[h].mean()) if h.any() else 0.0,
            f"{name}median_error_mm": float(np.median(rows.error_mm[h])) if h.any() else 0.0,
            f"{name}false_alarms": float(rows.shown[q].mean()) if q.any() else 0.0,
            f"{name}shown_without_tip": float(rows.shown[e].mean()) if e.any() else 0.0,
            f"{name}coverage90": float((rows.error_cells[h] <= radius[h]).mean()) if h.any() else 0.0,
            f"{name}median_radius_cells": float(np.median(radius[h])) if h.any() else 0.0,
        }
        if kind is not None:
            figures[f"{name}ece"] = calibration_error(presence[mine & told], tips[mine & told])
    return figures
