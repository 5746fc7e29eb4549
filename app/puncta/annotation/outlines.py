"""Outlines and masks: which pixels an outline holds, and the outlines of a mask. Pixel centres at integers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from puncta.core.geometry import PointPx


def mask_of_rings(rings: Iterable[Iterable[PointPx]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the joined areas of outlines [px] as a mask, shape ``size`` (h, w).

    A pixel belongs to an outline whose centre lies inside (even-odd); on a left or upper edge counts as inside, on a
    right or lower one as outside, so that neighbouring areas share no pixel.
    """
    mask = np.zeros(size, bool)
    for ring in rings:
        mask |= _mask_of_ring(np.asarray(list(ring), np.float64).reshape(-1, 2), size)
    return mask


def _mask_of_ring(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.zeros(size, bool)
    if len(points) < 3:
        return mask
    (x0, y0), (x1, y1) = points.T, np.roll(points, -1, axis=0).T
    first, last = max(0, int(np.ceil(points[:, 1].min()))), min(size[0] - 1, int(np.floor(points[:, 1].max())))
    for y in range(first, last + 1):
        crossing = (np.minimum(y0, y1) <= y) & (y < np.maximum(y0, y1))
        if not crossing.any():
            continue
        ax, ay, bx, by = x0[crossing], y0[crossing], x1[crossing], y1[crossing]
        at = np.sort(ax + (y - ay) / (by - ay) * (bx - ax))
        for left, right in zip(at[0::2], at[1::2]):
            begin, end = max(0, int(np.ceil(left))), min(size[1], int(np.ceil(right)))
            mask[y, begin:end] = True
    return mask


def rings_of_mask(mask: NDArray[np.bool_]) -> list[list[PointPx]]:
    """Return the outlines of a mask along the outer edges of its pixels [px]; holes run the other way round.

    Filled again (even-odd) they give the very mask. Outer outlines run clockwise on the screen. Parts that touch at a
    corner have outlines of their own.
    """
    padded = np.pad(np.asarray(mask, bool), 1)
    inside = padded[1:-1, 1:-1]
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def add(cells: NDArray[np.bool_], start: tuple[int, int], end: tuple[int, int]) -> None:
        for row, col in zip(*np.nonzero(cells)):
            a = (int(col) + start[0], int(row) + start[1])
            following.setdefault(a, []).append((int(col) + end[0], int(row) + end[1]))

    # Corners count from the outer corner of the first pixel; the mask lies to the right of every edge.
    add(inside & ~padded[:-2, 1:-1], (0, 0), (1, 0))
    add(inside & ~padded[1:-1, 2:], (1, 0), (1, 1))
    add(inside & ~padded[2:, 1:-1], (1, 1), (0, 1))
    add(inside & ~padded[1:-1, :-2], (0, 1), (0, 0))
    rings = []
    while following:
        start = next(iter(following))
        ring, at, way = [start], start, (0, 0)
        while True:
            choices = following[at]
            # Where two parts touch at a corner, turn right: stay with the pixel at hand.
            turns = [_turn(way, (b[0] - at[0], b[1] - at[1])) for b in choices]
            nearest = choices[turns.index(min(turns))]
            choices.remove(nearest)
            if not choices:
                del following[at]
            way, at = (nearest[0] - at[0], nearest[1] - at[1]), nearest
            if at == start:
                break
            ring.append(at)
        rings.append([(x - 0.5, y - 0.5) for x, y in _corners(ring)])
    return rings


def _turn(way: tuple[int, int], other: tuple[int, int]) -> int:
    """0 right (on the screen), 1 straight on, 2 left."""
    cross = way[0] * other[1] - way[1] * other[0]
    return 1 - cross


def _corners(ring: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Drop the points in the middle of straight runs."""
    points = np.asarray(ring)
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return [ring[n] for n in np.flatnonzero((before != after).any(axis=1))]


def signed_area(ring: Iterable[PointPx]) -> float:
    """Return an outline's area [px^2]; above 0 where it runs clockwise on the screen."""
    points = np.asarray(list(ring), np.float64)
    x, y = points.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)
