"""Thresholds keep their stated risk, limits leave familiar pictures alone, the margin stops flicker."""

from __future__ import annotations

import math

import numpy as np

from puncta.imaging.flag_filter import FlagFilterSettings
from puncta.training.landmarks.calibrate import (
    FAMILIAR_SHARE,
    FLICKER_MOST,
    RISK,
    choose_margins,
    least_threshold,
    limits,
    steadiness,
    thresholds,
)


def test_a_threshold_keeps_the_risk_and_is_no_higher_than_it_must_be() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 6000)
    # Chances that are flatter than the logits say: wrong too often near zero.
    right = rng.random(6000) < 1 / (1 + np.exp(-0.7 * logits))
    at = least_threshold(logits, right)
    decided = logits >= at
    assert at > 0 and (~right[decided]).mean() <= RISK
    lower = logits >= at - 0.4
    assert (~right[lower]).mean() > RISK


def test_where_all_is_right_everything_is_decided_and_where_nothing_is_nothing() -> None:
    logits = np.linspace(-3, 3, 200)
    assert least_threshold(logits, np.ones(200, bool)) == 0.0
    assert math.isinf(least_threshold(logits, np.zeros(200, bool)))


def test_the_stricter_of_two_sets_counts() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(0, 3, (3000, 3))
    easy = (rows > 0).astype(np.float32)
    hard = (rng.random(rows.shape) < 1 / (1 + np.exp(-0.6 * rows))).astype(np.float32)
    both, alone = thresholds((rows, rows), (easy, hard), 6.0), thresholds((rows,), (easy,), 6.0)
    assert alone == ([0.0] * 3, [-0.0] * 3) and both == thresholds((rows,), (hard,), 6.0)
    assert all(v > 0 for v in both[0]) and all(v < 0 for v in both[1])


def test_a_limit_loses_its_share_of_the_familiar_and_no_more() -> None:
    rng = np.random.default_rng(2)
    familiar = rng.normal(0, 1, 20_000)
    middle, edge = limits(familiar)
    assert abs(middle) < 0.05
    assert abs((familiar > edge).mean() - (1 - FAMILIAR_SHARE)) < 1e-3
    # Pictures that are all alike still have a limit beyond them.
    assert limits(np.zeros(10))[1] > 0


def test_margins_grow_until_constant_truth_hardly_flickers() -> None:
    rng = np.random.default_rng(3)
    rows = [np.c_[1.5 + rng.normal(0, 1.2, 1500), np.full(1500, -4.0), np.full(1500, 4.0)] for _ in range(2)]
    flags = [np.tile(np.array([1, 0, 1], np.float32), (1500, 1))] * 2
    settings = {"names": ("quality", "cord", "csf"), "yes": (1.5,) * 3, "no": (-1.5,) * 3}
    margins, figures = choose_margins(rows, flags, settings)
    assert figures["flicker_unfiltered"] > 100 and figures["flicker_per_minute"] <= FLICKER_MOST
    assert figures["filtered_wrong_of_decided"] == 0
    chosen = steadiness(rows, flags, FlagFilterSettings(**settings, **margins))
    assert chosen.per_minute == figures["flicker_per_minute"] and chosen.withheld == figures["filtered_withheld"]
    assert steadiness(rows, flags, FlagFilterSettings(**settings, give=0.5)).per_minute > FLICKER_MOST


def test_of_margins_that_are_steady_enough_the_ones_that_withhold_least_are_taken() -> None:
    # One cine far from its thresholds, which nothing unsettles: no margin may cost an answer.
    rows, flags = [np.full((400, 3), 3.0)], [np.ones((400, 3), np.float32)]
    settings = {"names": ("quality", "cord", "csf"), "yes": (1.5,) * 3, "no": (-1.5,) * 3}
    margins, figures = choose_margins(rows, flags, settings)
    assert margins == {"give": 0.5, "enter": 0.0}
    assert figures["filtered_withheld"] == 0 and figures["flicker_per_minute"] == 0
