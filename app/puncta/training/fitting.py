"""Small fits that calibration needs: logistic regression, cross-fitting over clips, weighted conformal quantiles."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FOLDS = 5


def fit_logistic(
    features: Array, outcomes: NDArray[np.bool_], weights: Array | None = None, ridge: float = 1.0
) -> Array:
    """Fit log odds linear in features to yes/no outcomes by Newton's method, with Platt's soft targets.

    Parameters
    ----------
    features : ndarray, shape (n, k)
    weights : ndarray, shape (n,), or None
    ridge : float
        Holds down the weights, not the constant; counts as so many frames.

    Returns
    -------
    ndarray, shape (k + 1,)
        Weights, then the constant.
    """
    w = np.ones(len(outcomes)) if weights is None else np.asarray(weights, dtype=np.float64)
    yes, no = float(w[outcomes].sum()), float(w[~outcomes].sum())
    target = np.where(outcomes, (yes + 1) / (yes + 2), 1 / (no + 2))
    design = np.column_stack([features, np.ones(len(outcomes))])
    # Scaled columns, so that the ridge means the same for each.
    scale = np.append(np.maximum(features.std(axis=0), 1e-6), 1.0)
    design = design / scale
    held = np.append(np.full(features.shape[1], ridge), 1e-3)
    solved = np.zeros(design.shape[1])
    for _ in range(60):
        p = 1 / (1 + np.exp(-np.clip(design @ solved, -40, 40)))
        gradient = design.T @ (w * (p - target)) + held * solved
        hessian = (design * (w * (p * (1 - p) + 1e-9))[:, None]).T @ design + np.diag(held)
        step = np.linalg.solve(hessian, gradient)
        solved = solved - np.clip(step, -2.0, 2.0)
        if float(np.abs(step).max()) < 1e-7:
            break
    return solved / scale


def cross_fit(features: Array, outcomes: NDArray[np.bool_], weights: Array, clip: NDArray[np.int64]) -> Array:
    """Log odds of every frame by a fit on the clips of the other folds; frames of weight 0 teach nothing."""
    out = np.zeros(len(outcomes))
    fold = clip % FOLDS
    for k in range(FOLDS):
        teach = (fold != k) & (weights > 0)
        mine = fold == k
        if not mine.any():
            continue
        if not teach.any():
            teach = weights > 0
        solved = fit_logistic(features[teach], outcomes[teach], weights[teach])
        out[mine] = features[mine] @ solved[:-1] + solved[-1]
    return out


def calibration_error(
    chances: Array, outcomes: NDArray[np.bool_], weights: Array | None = None, bins: int = 10
) -> float:
    """Mean gap between chance and share of outcomes over equal bins (Guo et al., 2017, equation 3)."""
    w = np.ones(len(chances)) if weights is None else weights
    at = np.minimum((chances * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(at, weights=w * (chances - outcomes), minlength=bins)
    return float(np.abs(gaps).sum() / max(w.sum(), 1e-12))


def weighted_quantile(values: Array, weights: Array, level: float) -> float:
    """Smallest value that covers ``level`` of new ones (split conformal; Lei et al., 2018), frames weighted.

    The newcomer counts as one frame of mean weight that lies above all others.
    """
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    wanted = level * (reached[-1] + reached[-1] / len(values))
    at = min(int(np.searchsorted(reached, wanted - 1e-12)), len(values) - 1)
    found = float(values[order][at])
    return found if math.isfinite(found) else float(values[np.isfinite(values)].max())
