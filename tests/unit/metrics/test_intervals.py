"""Resampling clips: known answers, whole-number counts, and the same draws for both runs of a pair."""

from __future__ import annotations

import numpy as np
import pytest

from puncta.metrics.intervals import (
    Estimate,
    calibration_error_of,
    draw_resamples,
    estimate,
    mean_of,
    median_of,
    paired_difference,
    percentile_of,
)

VALUES = np.array([1.0, 2.0, 3.0, 10.0, 11.0, 40.0])
CLIP_OF = np.array([0, 0, 1, 1, 2, 2])


def test_resamples_repeat_and_hold_as_many_clips_as_there_are():
    a, b = draw_resamples(7), draw_resamples(7)
    assert np.array_equal(a, b)
    assert a.shape == (2000, 7)
    assert set(a.sum(axis=1)) == {7.0}
    assert not np.array_equal(a, draw_resamples(7, seed=1))


@pytest.mark.parametrize("counts", [(1, 1, 1), (2, 0, 1), (0, 0, 3), (0, 2, 1), (1, 2, 0)])
def test_mean_and_median_of_a_resample_equal_those_of_the_repeated_values(counts: tuple[int, int, int]):
    row = np.array([counts], dtype=float)
    repeated = np.repeat(VALUES, np.array(counts)[CLIP_OF])
    assert mean_of(VALUES, CLIP_OF, 3).values(row)[0] == pytest.approx(repeated.mean())
    assert median_of(VALUES, CLIP_OF).values(row)[0] == pytest.approx(np.median(repeated))


@pytest.mark.parametrize("counts", [(1, 1, 1), (2, 0, 1), (0, 0, 3), (3, 4, 1)])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95, 1.0])
def test_a_percentile_of_a_resample_equals_that_of_the_repeated_values(counts: tuple[int, int, int], share: float):
    repeated = np.repeat(VALUES, np.array(counts)[CLIP_OF])
    found = percentile_of(VALUES[::-1], CLIP_OF[::-1], share).values(np.array([counts], dtype=float))[0]
    assert found == np.quantile(repeated, share, method="inverted_cdf")


def test_the_order_of_the_values_does_not_matter_for_the_median():
    shuffled = np.random.default_rng(3).permutation(6)
    row = np.array([[2.0, 1.0, 1.0]])
    a = median_of(VALUES, CLIP_OF).values(row)
    b = median_of(VALUES[shuffled], CLIP_OF[shuffled]).values(row)
    assert a == b


def test_nothing_is_null_with_n_zero_never_nan():
    empty = mean_of(np.zeros(0), np.zeros(0, dtype=int), 4)
    figure = estimate(empty, draw_resamples(4))
    assert figure == Estimate(None, None, None, 0)
    none = median_of(np.zeros(0), np.zeros(0, dtype=int))
    assert estimate(none, draw_resamples(0)).value is None


def test_one_clip_gives_a_value_without_an_interval():
    figure = estimate(mean_of(VALUES[:2], CLIP_OF[:2], 3), draw_resamples(3))
    assert (figure.value, figure.low, figure.high, figure.n) == (1.5, None, None, 2)


def test_the_interval_of_a_mean_of_clip_means_has_the_width_theory_gives():
    rng = np.random.default_rng(0)
    values = rng.normal(5.0, 2.0, 400)
    figure = estimate(mean_of(values, np.arange(400), 400), draw_resamples(400))
    half = 1.96 * values.std() / 20
    assert figure.low == pytest.approx(values.mean() - half, abs=0.25 * half)
    assert figure.high == pytest.approx(values.mean() + half, abs=0.25 * half)


def test_frames_of_a_clip_are_resampled_together():
    # 10 frames that all agree within a clip: as wide as 8 clips allow, not as narrow as 80 frames would make it.
    outcome = np.repeat(np.array([0, 1, 0, 1, 1, 0, 1, 0], dtype=float), 10)
    together = estimate(mean_of(outcome, np.repeat(np.arange(8), 10), 8), draw_resamples(8))
    apart = estimate(mean_of(outcome, np.arange(80), 80), draw_resamples(80))
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_a_paired_difference_of_a_constant_gap_has_no_width():
    rng = np.random.default_rng(5)
    values, clips = rng.normal(0, 10, 60), np.arange(60) // 3
    gap = paired_difference(
        mean_of(values + 2.0, clips, 20), mean_of(values, clips, 20), draw_resamples(20)
    )
    assert gap.value == pytest.approx(2.0)
    assert gap.low == pytest.approx(2.0)
    assert gap.high == pytest.approx(2.0)


def test_a_difference_with_nothing_on_one_side_is_null():
    some = mean_of(VALUES, CLIP_OF, 3)
    none = mean_of(np.zeros(0), np.zeros(0, dtype=int), 3)
    assert paired_difference(some, none, draw_resamples(3)).value is None


def test_calibration_error_of_known_bins():
    # Ten scores of 0.75 with five hits, ten of 0.25 with none: gaps 0.25 and 0.25.
    scores = np.array([0.75] * 10 + [0.25] * 10)
    outcomes = np.array([True] * 5 + [False] * 15)
    ece = calibration_error_of(scores, outcomes, np.zeros(20, dtype=int), 1).values(np.ones((1, 1)))[0]
    assert ece == pytest.approx(0.25)
    perfect = calibration_error_of(np.array([1.0, 0.0]), np.array([True, False]), np.zeros(2, dtype=int), 1)
    assert perfect.values(np.ones((1, 1)))[0] == 0.0
