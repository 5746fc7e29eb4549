"""Points read off maps."""

from __future__ import annotations

import numpy as np

from puncta.imaging.heatmap import best_cell, point_from_cell


def test_best_cell_in_the_whole_map_and_near_a_cell() -> None:
    values = np.zeros((20, 30))
    values[3, 4], values[15, 22] = 2.0, 1.0
    assert best_cell(values) == (3, 4)
    assert best_cell(values, (14, 21)) == (15, 22)
    assert best_cell(values, (0, 0), 0) == (0, 0)


def test_cell_centres() -> None:
    assert point_from_cell((0, 1), 4) == (1.5, 5.5)
