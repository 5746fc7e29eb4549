"""Thresholds keep their stated risk, limits leave familiar pictures alone, the margin stops flicker."""

from __future__ import annotations

import math

import numpy as np

from puncta.imaging.flag_filter import FlagFilterSettings
from puncta.training.landmarks.calibrate import FAMILIAR_SHARE, STRANGENESS, limits
from puncta.training.landmarks.deciding import (
    FLICKER_MOST,
    HELD_OUT_RISK,
    RISK,
    TuneRows,
    choose_margins,
    decisions,
    least_level,
    least_threshold,
    raised,
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
    rows = [np.c_[1.5 + rng.normal(0, 0.9, 1600), np.full(1600, -4.0), np.full(1600, 4.0)] for _ in range(2)]
    flags = [np.tile(np.array([1, 0, 1], np.float32), (1600, 1))] * 2
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


def three_machines(odd_slope: float) -> TuneRows:
    """Frames of three machines; on the last the chances are flatter than the logits say, by its slope."""
    rng = np.random.default_rng(5)
    machine = np.repeat(["A", "B", "C"], 3000)
    logits = rng.normal(0, 3, (9000, 3))
    slope = np.where(machine == "C", odd_slope, 6.0)[:, None]
    flags = (rng.random(logits.shape) < 1 / (1 + np.exp(-slope * logits))).astype(np.float32)
    return TuneRows(logits, flags, machine)


def test_the_level_is_the_least_that_keeps_the_risk_on_the_machine_left_out() -> None:
    rows = three_machines(1.0)
    others, left_out = rows.where(rows.machine != "C"), rows.where(rows.machine == "C")
    found = thresholds([others.logits], [others.flags], 6.0)
    level, wrong = least_level([rows], 6.0)
    assert decisions(left_out, found)[1] > RISK, "the machines at hand promise too much for the third"
    assert level > 0 and max(wrong.values()) <= HELD_OUT_RISK
    assert wrong["C"] == decisions(left_out, raised(found, level))[1] == max(wrong.values())
    assert decisions(left_out, raised(found, level - 0.25))[1] > HELD_OUT_RISK


def test_machines_that_are_alike_need_no_level_and_one_alone_has_none() -> None:
    rows = three_machines(6.0)
    level, wrong = least_level([rows], 6.0)
    assert level == 0 and set(wrong) == {"A", "B", "C"}
    assert least_level([rows.where(rows.machine == "C")], 6.0) == (0.0, {})


def test_raising_leaves_a_threshold_that_lies_farther_out() -> None:
    assert raised(([1.0, 3.0, 0.0], [-0.5, -4.0, -0.0]), 2.0) == ([2.0, 3.0, 2.0], [-2.0, -4.0, -2.0])


def test_a_picture_that_hovers_at_the_limit_of_strangeness_counts_as_flicker() -> None:
    settings = {"names": ("quality", "cord", "csf"), "yes": (1.5,) * 3, "no": (-1.5,) * 3, "strangeness_most": 1.0}
    rows, flags = [np.full((500, 3), 4.0)], [np.ones((500, 3), np.float32)]
    hovering = [1.0 + 0.3 * np.sin(np.arange(500) / 12)]
    bare = steadiness(rows, flags, FlagFilterSettings(**settings, strangeness_give=0.1), hovering)
    kept = steadiness(rows, flags, FlagFilterSettings(**settings, **STRANGENESS), hovering)
    assert bare.per_minute > 30 and kept.per_minute == 0
    assert steadiness(rows, flags, FlagFilterSettings(**settings)).per_minute == 0
