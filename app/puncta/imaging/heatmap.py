"""Reads points and axes off a network's maps: cells of `stride` input pixels, with an offset inside the cell."""

from __future__ import annotations

from dataclasses import dataclass

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


def sigmoid(x: Map) -> NDArray[np.float64]:
    """Logistic function."""
    return 1.0 / (1.0 + np.exp(-np.clip(np.asarray(x, dtype=np.float64), -60, 60)))


@dataclass(frozen=True, slots=True)
class Axis:
    """A straight axis read off a map.

    Attributes
    ----------
    direction : tuple of float
        Unit vector from the tip towards the entry (x, y), in input pixels.
    sigma_rad : float
        Standard error of its angle.
    support : float
        Mean value of the map along it, 0..1.
    """

    direction: tuple[float, float]
    sigma_rad: float
    support: float


def fit_axis(
    shaft: Map, tip_cell_xy: tuple[float, float], guess: tuple[float, float], band: float = 2.5, least: float = 0.15
) -> Axis | None:
    """Fit the axis that leaves the tip in about a given direction to a map of the shaft.

    Cells of the shaft within a band round the guess are weighted by their value, and the ray from the tip through them
    is turned for the least squared distance (three rounds, since each turn moves the band).

    Parameters
    ----------
    shaft : ndarray, shape (h, w)
        0..1, large where a shaft is seen.
    tip_cell_xy : (x, y) [cells]
    guess : (x, y)
        Unit vector from the tip to the entry.

    Returns
    -------
    Axis or None
        None where the map shows no shaft there.
    """
    length = float(np.hypot(*guess))
    if length < 1e-6:
        return None
    ux, uy = guess[0] / length, guess[1] / length
    rows, columns = np.nonzero(shaft > least)
    weight = shaft[rows, columns].astype(np.float64)
    x, y = columns - tip_cell_xy[0], rows - tip_cell_xy[1]
    sigma = 0.0
    for _ in range(3):
        along, across = x * ux + y * uy, y * ux - x * uy
        # The band opens with distance at first, for a guess that is a few degrees off.
        near = (along > 1.0) & (np.abs(across) < band + 0.06 * along)
        if np.count_nonzero(near) < 6 or float(along[near].max()) < 4.0:
            return None
        w, a, c = weight[near], along[near], across[near]
        power = float((w * a * a).sum())
        turn = float((w * a * c).sum()) / power
        rest = float((w * np.square(c - turn * a)).sum() / w.sum())
        sigma = float(np.sqrt(max(rest, 0.05) / power * w.sum() / max(4.0, len(w) / 4.0)))
        ux, uy = ux - turn * uy, uy + turn * ux
        norm = float(np.hypot(ux, uy))
        ux, uy = ux / norm, uy / norm
    return Axis((ux, uy), sigma, _support(shaft, tip_cell_xy, (ux, uy)))


def _support(shaft: Map, tip_cell_xy: tuple[float, float], direction: tuple[float, float]) -> float:
    """Mean of the map along the ray, over the quarter of the map's side nearest the tip."""
    h, w = shaft.shape
    steps = np.arange(1.0, max(h, w) / 4)
    x = np.round(tip_cell_xy[0] + direction[0] * steps).astype(int)
    y = np.round(tip_cell_xy[1] + direction[1] * steps).astype(int)
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    if not inside.any():
        return 0.0
    x, y = x[inside], y[inside]
    # A bent shaft may lie a cell beside the ray.
    best = np.maximum(shaft[y, x], np.maximum(shaft[np.maximum(y - 1, 0), x], shaft[np.minimum(y + 1, h - 1), x]))
    return float(best.mean())
