"""The line in a needle's mask: axis with its error, ends, a gap, bending, other things in the picture."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from puncta.imaging.mask_line import MaskLine, best_segment, fit_mask_line, mask_along

Pair = tuple[float, float]
SIZE = 256


def needle_map(
    entry: Pair, tip: Pair, *, width: float = 5.0, noise: float = 0.0, gap: Pair | None = None, bend: float = 0.0,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Log odds of a needle from entry to tip; ``gap`` is a part that has faded, as shares of its length."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    length = math.dist(entry, tip)
    x, y = (tip[0] - entry[0]) / length, (tip[1] - entry[1]) / length
    along = (columns - entry[0]) * x + (rows - entry[1]) * y
    share = np.clip(along / length, 0.0, 1.0)
    across = (rows - entry[1]) * x - (columns - entry[0]) * y - 4.0 * bend * share * (1.0 - share)
    outside = np.maximum(np.abs(across) - width / 2, np.maximum(-along, along - length))
    logits = np.clip(-1.5 * outside, -6.0, 4.0)
    if noise:
        speckle = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(SIZE, SIZE)), (0, 0), 3.0)
        logits = logits + noise * speckle / speckle.std()
    if gap is not None:
        logits = np.where((along > gap[0] * length) & (along < gap[1] * length), -6.0, logits)
    return logits.astype(np.float32)


def angle_between(line: MaskLine, entry: Pair, tip: Pair) -> float:
    true = math.atan2(tip[1] - entry[1], tip[0] - entry[0])
    return math.remainder(math.atan2(line.direction[1], line.direction[0]) - true, math.tau)


@pytest.mark.parametrize(("entry", "tip"), [
    ((0.0, 40.0), (140.0, 120.0)),
    ((255.0, 20.0), (90.0, 200.0)),
    ((60.0, 0.0), (60.0, 150.0)),
    ((0.0, 90.0), (180.0, 90.0)),
])
def test_a_clean_needle_is_measured_below_a_pixel(entry: Pair, tip: Pair) -> None:
    line = fit_mask_line(needle_map(entry, tip))
    assert line is not None
    assert math.dist(line.tip, tip) < 1.0
    assert abs(angle_between(line, entry, tip)) < math.radians(0.2)
    assert line.length == pytest.approx(math.dist(entry, tip), abs=2.5)
    assert not line.bends and line.way_ahead == line.direction


def test_the_stated_error_of_the_angle_holds_in_noise() -> None:
    rng = np.random.default_rng(1)
    ratios = []
    for seed in range(40):
        entry = (float(rng.uniform(0, 30)), float(rng.uniform(0, 60)))
        turn, length = math.radians(rng.uniform(10, 60)), rng.uniform(60, 160)
        tip = (entry[0] + length * math.cos(turn), entry[1] + length * math.sin(turn))
        line = fit_mask_line(needle_map(entry, tip, noise=1.0, seed=seed))
        assert line is not None
        ratios.append(angle_between(line, entry, tip) / line.sigma_rad)
    share = float(np.mean(np.abs(ratios) <= 1.645))
    assert share >= 0.8, "the 90 % band holds the true angle about 9 times in 10"
    assert np.std(ratios) > 0.3, "and is no empty promise, many times too wide"


def test_a_stretch_that_fades_does_not_end_the_needle() -> None:
    entry, tip = (10.0, 30.0), (200.0, 140.0)
    line = fit_mask_line(needle_map(entry, tip, gap=(0.4, 0.6)))
    assert line is not None and math.dist(line.tip, tip) < 1.5


def test_a_place_that_could_be_the_tip_as_well_widens_the_doubt() -> None:
    entry, tip = (10.0, 30.0), (200.0, 140.0)
    clear, faded = fit_mask_line(needle_map(entry, tip)), fit_mask_line(needle_map(entry, tip, gap=(0.5, 0.83)))
    assert clear is not None and faded is not None
    assert faded.tip_sigma > 3.0 * clear.tip_sigma


@pytest.mark.parametrize("bend", [-8.0, -4.0, 4.0, 8.0])
def test_bending_is_measured_and_turns_the_way_ahead(bend: float) -> None:
    entry, tip = (20.0, 30.0), (190.0, 130.0)
    line = fit_mask_line(needle_map(entry, tip, bend=bend))
    assert line is not None and line.bends and line.bend == pytest.approx(bend, abs=0.15 * abs(bend) + 0.3)
    assert math.dist(line.tip, tip) < 2.0
    turn = math.remainder(
        math.atan2(line.way_ahead[1], line.way_ahead[0]) - math.atan2(line.direction[1], line.direction[0]), math.tau
    )
    assert turn == pytest.approx(-math.atan(4.0 * bend / math.dist(entry, tip)), abs=math.radians(1.5))


def test_pixels_that_are_not_square_give_angle_and_length_in_millimetres() -> None:
    scale = (0.2, 0.1)
    line = fit_mask_line(needle_map((20.0, 20.0), (120.0, 160.0)), scale)
    assert line is not None
    assert line.direction == pytest.approx((20 / math.hypot(20, 14), 14 / math.hypot(20, 14)), abs=5e-3)
    assert line.length == pytest.approx(math.hypot(20, 14), abs=0.3)


def test_something_bright_elsewhere_changes_neither_axis_nor_mask() -> None:
    entry, tip = (10.0, 30.0), (150.0, 120.0)
    alone = needle_map(entry, tip)
    both = np.maximum(alone, needle_map((120.0, 230.0), (170.0, 228.0), width=9.0))
    a, b = fit_mask_line(alone), fit_mask_line(both)
    assert a is not None and b is not None
    assert math.dist(a.tip, b.tip) < 0.5 and abs(angle_between(b, entry, tip)) < math.radians(0.5)
    mask = mask_along(1.0 / (1.0 + np.exp(-both)), b, (1.0, 1.0), 0.5)
    assert mask[:200].sum() > 400 and mask[220:].sum() == 0


def test_which_end_is_the_tip() -> None:
    logits = needle_map((60.0, 60.0), (160.0, 140.0))
    by_depth = fit_mask_line(logits)
    by_past = fit_mask_line(logits, towards_tip=(-1.0, -1.0))
    assert by_depth is not None and by_depth.tip[1] > 130 and by_past is not None and by_past.tip[1] < 70
    # Up to the border at the right hand side, though that end is the deeper one.
    at_border = fit_mask_line(needle_map((255.0, 140.0), (100.0, 100.0)))
    assert at_border is not None and at_border.tip[0] < 110


def test_no_line_in_nothing_and_none_in_a_speck() -> None:
    assert fit_mask_line(np.full((SIZE, SIZE), -5.0, np.float32)) is None
    speck = np.full((SIZE, SIZE), -5.0, np.float32)
    speck[100:102, 100:102] = 3.0
    assert fit_mask_line(speck) is None


def test_the_best_segment_is_the_one_of_largest_sum() -> None:
    odds = np.array([-1.0, 2.0, 3.0, -1.0, 2.0, -9.0, 4.0, -2.0])
    assert best_segment(odds) == (1, 4)
    assert best_segment(-np.abs(odds)) is None
    rng = np.random.default_rng(3)
    for _ in range(50):
        values = rng.normal(size=20)
        sums = {(i, j): values[i : j + 1].sum() for i in range(20) for j in range(i, 20)}
        first, last = best_segment(values) or (0, 0)
        assert values[first : last + 1].sum() == pytest.approx(max(sums.values()))
