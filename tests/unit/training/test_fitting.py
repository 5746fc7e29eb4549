"""Fits that calibration needs, on outcomes whose law is known."""

from __future__ import annotations

import numpy as np
import pytest

from puncta.training.fitting import calibration_error, cross_fit, fit_logistic, weighted_quantile

RNG = np.random.default_rng(0)


def test_a_logistic_law_is_found_again() -> None:
    x = RNG.normal(0, 2, (20000, 2))
    outcomes = RNG.random(20000) < 1 / (1 + np.exp(-(0.5 * x[:, 0] - 1.5 * x[:, 1] - 1.0)))
    assert fit_logistic(x, outcomes) == pytest.approx([0.5, -1.5, -1.0], abs=0.08)


def test_weights_count_as_repeated_frames() -> None:
    x = RNG.normal(0, 1, (400, 1))
    outcomes = RNG.random(400) < 1 / (1 + np.exp(-2 * x[:, 0]))
    counts = RNG.integers(1, 4, 400)
    repeated = fit_logistic(np.repeat(x, counts, axis=0), np.repeat(outcomes, counts))
    assert fit_logistic(x, outcomes, counts.astype(float)) == pytest.approx(repeated, rel=0.02)


@pytest.mark.parametrize("outcome", [True, False])
def test_one_sided_outcomes_and_constant_features_do_not_break_it(outcome: bool) -> None:
    solved = fit_logistic(np.ones((30, 2)), np.full(30, outcome))
    assert np.isfinite(solved).all()
    assert (np.append(np.ones(2), 1.0) @ solved > 1) == outcome


def test_a_clip_is_never_judged_by_a_fit_on_itself() -> None:
    clip = np.repeat(np.arange(10), 30)
    x = np.eye(10)[clip]
    # Each clip has a label of its own: only a fit that saw the clip could know it.
    outcomes = clip % 2 == 1
    fitted = cross_fit(x, outcomes, np.ones(300), clip)
    inside = x @ fit_logistic(x, outcomes)[:-1]
    assert np.corrcoef(inside, outcomes)[0, 1] > 0.95
    assert abs(np.corrcoef(fitted, outcomes)[0, 1]) < 0.5


def test_the_calibration_error_of_honest_chances_is_small_and_of_boasts_is_their_gap() -> None:
    p = RNG.random(40000)
    outcomes = RNG.random(40000) < p
    assert calibration_error(p, outcomes) < 0.02
    assert calibration_error(np.full(1000, 0.95), np.arange(1000) < 700) == pytest.approx(0.25)


def test_a_conformal_factor_covers_what_it_says_of_new_ones() -> None:
    covered = []
    for _ in range(400):
        known, new = RNG.exponential(1, 60), RNG.exponential(1, 60)
        covered.append(np.mean(new <= weighted_quantile(known, np.ones(60), 0.9)))
    assert np.mean(covered) == pytest.approx(0.9, abs=0.012)
    assert np.mean(covered) >= 0.89


def test_weights_of_a_quantile_count_and_an_infinite_error_never_becomes_a_factor() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert weighted_quantile(values, np.array([10.0, 1.0, 1.0, 1.0]), 0.5) == 1.0
    assert weighted_quantile(np.array([1.0, 2.0, np.inf]), np.ones(3), 0.9) == 2.0
