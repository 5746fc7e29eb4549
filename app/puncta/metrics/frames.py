"""One judged frame: what is labelled on it and what a plugin said. The rows that all figures are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from puncta.core.geometry import PointPx
from puncta.core.results import Box

Axis = tuple[PointPx, PointPx]
"""Entry and tip [px]."""


@dataclass(frozen=True, slots=True)
class FrameLabels:
    """What is labelled on a frame.

    Attributes
    ----------
    tip_judged : bool
        True where a visible tip is labelled, or where the frame is a true negative for tips. A tip that is out of
        plane or in a shadow is neither: nobody can point at it, so it is no miss, and what is found is no false alarm.
    tip_px : tuple of float or None
        The labelled tip [px]; None on a true negative.
    tip_box : tuple of float or None
    needle_judged : bool
        As ``tip_judged``, for needles.
    needle_box : tuple of float or None
        Hull of the visible shaft [px].
    axis : tuple of points or None
        Entry and tip of the needle [px], where both are labelled.
    mm_per_px : tuple of float or None
        (x, y) [mm/px]; None leaves the frame out of everything in millimetres.
    """

    tip_judged: bool
    tip_px: PointPx | None = None
    tip_box: Box | None = None
    needle_judged: bool = False
    needle_box: Box | None = None
    axis: Axis | None = None
    mm_per_px: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class FrameAnswer:
    """What a plugin said about a frame.

    Attributes
    ----------
    tip_px : tuple of float or None
        Its best tip [px].
    score : float or None
        Its confidence that a tip is there, 0..1; None where it said nothing at all about tips.
    radius90_px : float or None
        Radius [px] of the circle meant to hold the tip 9 times in 10.
    withheld : bool
        It gave no tip and a reason for that.
    unfamiliar : bool
        It called the picture one of a kind that it does not know.
    tip_boxes, needle_boxes : tuple of (score, box)
    axis : tuple of points or None
        Entry and tip of its needle [px].
    elapsed_ns : int or None
        Time the frame took [ns]; None leaves it out.
    """

    tip_px: PointPx | None = None
    score: float | None = None
    radius90_px: float | None = None
    withheld: bool = False
    unfamiliar: bool = False
    tip_boxes: tuple[tuple[float, Box], ...] = ()
    needle_boxes: tuple[tuple[float, Box], ...] = ()
    axis: Axis | None = None
    elapsed_ns: int | None = None


@dataclass(frozen=True, slots=True)
class JudgedFrame:
    """Labels and answer of one frame, with the clip it belongs to.

    Attributes
    ----------
    clip : int
        Number of its clip, 0 .. clips - 1; clips are what is resampled.
    machine : str or None
    difficulty : str or None
        "easy" or "hard"; None where it is not known.
    image : int
        Number of the picture in its dataset, by which two runs are paired.
    """

    clip: int
    labels: FrameLabels
    answer: FrameAnswer
    machine: str | None = None
    difficulty: str | None = None
    image: int = 0


@dataclass(frozen=True, slots=True)
class Column:
    """Values of some frames and the clips they come from."""

    values: NDArray[np.float64]
    clip_of: NDArray[np.intp]


def column(pairs: Sequence[tuple[float, int]]) -> Column:
    """Make a column of (value, clip) pairs."""
    values = np.asarray([value for value, _clip in pairs], dtype=np.float64)
    return Column(values, np.asarray([clip for _value, clip in pairs], dtype=np.intp))
