"""Reads points off a network's maps: cells of `stride` input pixels, with an offset inside the cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.floating]


def point_from_cell(cell_xy: tuple[float, float], stride: int) -> tuple[float, float]:
    """Map a place in cells (x, y) to input pixels: the centre of cell k lies at stride k + (stride - 1) / 2."""
    return (cell_xy[0] * stride + (stride - 1) / 2, cell_xy[1] * stride + (stride - 1) / 2)


def best_cell(values: Map, near: tuple[int, int] | None = None, reach: int = 2) -> tuple[int, int]:
    """Return (row, column) of the largest value, in the whole map or within ``reach`` cells of one."""
    if near is None:
        at = int(np.argmax(values))
        return at // values.shape[1], at % values.shape[1]
    r0, c0 = max(0, near[0] - reach), max(0, near[1] - reach)
    part = values[r0 : near[0] + reach + 1, c0 : near[1] + reach + 1]
    at = int(np.argmax(part))
    return r0 + at // part.shape[1], c0 + at % part.shape[1]


def sigmoid(x: Map | np.floating) -> NDArray[np.float64]:
    """Logistic function."""
    return 1.0 / (1.0 + np.exp(-np.clip(np.asarray(x, dtype=np.float64), -60, 60)))
