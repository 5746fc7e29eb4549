"""Points and axes read off maps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from puncta.imaging.heatmap import best_cell, fit_axis, point_from_cell


def test_best_cell_in_the_whole_map_and_near_a_cell() -> None:
    values = np.zeros((20, 30))
    values[3, 4], values[15, 22] = 2.0, 1.0
    assert best_cell(values) == (3, 4)
    assert best_cell(values, (14, 21)) == (15, 22)
    assert best_cell(values, (0, 0), 0) == (0, 0)


def test_cell_centres() -> None:
    assert point_from_cell((0, 1), 4) == (1.5, 5.5)


@pytest.mark.parametrize("angle_deg", [-150, -90, -35, 0, 20, 77, 180])
def test_fits_an_axis_from_a_guess_that_is_off(angle_deg: float) -> None:
    a = math.radians(angle_deg)
    tip = (32.3, 31.6)
    y, x = np.mgrid[0:64, 0:64]
    along = (x - tip[0]) * math.cos(a) + (y - tip[1]) * math.sin(a)
    across = (y - tip[1]) * math.cos(a) - (x - tip[0]) * math.sin(a)
    shaft = np.exp(-0.5 * across**2 / 0.8) * (along > 0)
    guess = (math.cos(a + 0.12), math.sin(a + 0.12))
    axis = fit_axis(shaft, tip, guess)
    assert axis is not None
    turn = math.atan2(axis.direction[1], axis.direction[0]) - a
    assert abs(math.remainder(turn, 2 * math.pi)) < math.radians(0.6)
    assert axis.support > 0.8 and 0 < axis.sigma_rad < 0.1


def test_no_axis_without_a_shaft_or_a_guess() -> None:
    assert fit_axis(np.zeros((32, 32)), (16, 16), (1, 0)) is None
    assert fit_axis(np.ones((32, 32)), (16, 16), (0, 0)) is None
