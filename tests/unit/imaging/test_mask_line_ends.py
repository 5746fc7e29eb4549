"""Which end of a needle's line is the tip: the way it pointed a moment ago, or where it comes in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from puncta.imaging.mask_line import fit_mask_line

Pair = tuple[float, float]
SIZE = 256


def map_of(entry: Pair, tip: Pair) -> NDArray[np.float32]:
    """Log odds of a straight needle."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    length = math.dist(entry, tip)
    x, y = (tip[0] - entry[0]) / length, (tip[1] - entry[1]) / length
    along = (columns - entry[0]) * x + (rows - entry[1]) * y
    across = np.abs((rows - entry[1]) * x - (columns - entry[0]) * y)
    outside = np.maximum(across - 2.5, np.maximum(-along, along - length))
    return np.clip(-1.5 * outside, -6.0, 4.0).astype(np.float32)


def way(entry: Pair, tip: Pair) -> Pair:
    """Unit vector from entry to tip."""
    length = math.dist(entry, tip)
    return ((tip[0] - entry[0]) / length, (tip[1] - entry[1]) / length)


LEFT: tuple[Pair, Pair] = ((0.0, 60.0), (130.0, 150.0))
RIGHT: tuple[Pair, Pair] = ((255.0, 60.0), (120.0, 150.0))


@pytest.mark.parametrize(("last", "now"), [(LEFT, RIGHT), (RIGHT, LEFT)])
def test_a_needle_that_comes_in_across_the_last_one_has_its_tip_at_the_free_end(
    last: tuple[Pair, Pair], now: tuple[Pair, Pair]
) -> None:
    line = fit_mask_line(map_of(*now), towards_tip=way(*last))
    assert line is not None
    assert math.dist(line.tip, now[1]) < 2.0, "the tip is the end inside the picture, not the one at its border"


def test_a_steep_needle_after_one_that_pointed_slightly_the_other_way_is_judged_anew() -> None:
    # Nearly upright, so the old way points a little backwards along it: its sign alone would put the tip at the skin.
    entry, tip = (120.0, 0.0), (110.0, 170.0)
    old = way((0.0, 90.0), (180.0, 70.0))
    assert way(entry, tip)[0] * old[0] + way(entry, tip)[1] * old[1] < 0.0
    line = fit_mask_line(map_of(entry, tip), towards_tip=old)
    assert line is not None and math.dist(line.tip, tip) < 2.0


@pytest.mark.parametrize("turn_deg", [-30.0, 0.0, 30.0])
def test_the_same_needle_keeps_its_tip_while_neither_end_is_at_the_border(turn_deg: float) -> None:
    # Free at both ends and pointing up: border and depth would both take the wrong end.
    begin, tip = (70.0, 170.0), (180.0, 100.0)
    x, y = way(begin, tip)
    c, s = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    line = fit_mask_line(map_of(begin, tip), towards_tip=(c * x - s * y, s * x + c * y))
    assert line is not None and math.dist(line.tip, tip) < 2.0
    anew = fit_mask_line(map_of(begin, tip))
    assert anew is not None and math.dist(anew.tip, begin) < 2.0, "with no memory the deeper end is taken"
