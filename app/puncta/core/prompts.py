"""What a user draws to say where a needle is: a scribble along it, a box round it, or its mask. Source-image pixels.

Pure values: the window, the annotation and the command line make them, a session hands them to a plugin that takes
them (`puncta.sdk.plugin.Promptable`), and no plugin has to know where they came from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from puncta.core.geometry import PointPx
from puncta.core.results import Box


@dataclass(frozen=True, slots=True)
class ScribblePrompt:
    """A line drawn along the needle.

    Attributes
    ----------
    points_px : tuple of (x, y) [px]
        Two or more, in the order in which they were drawn.
    """

    points_px: tuple[PointPx, ...]

    def __post_init__(self) -> None:
        if len(self.points_px) < 2:
            raise ValueError("a scribble needs two points or more")


@dataclass(frozen=True, slots=True)
class BoxPrompt:
    """A box that holds the visible needle, [x0, y0, w, h] [px]."""

    box: Box

    def __post_init__(self) -> None:
        if self.box[2] <= 0 or self.box[3] <= 0:
            raise ValueError("a box prompt needs a width and a height")


@dataclass(frozen=True, slots=True, eq=False)
class MaskPrompt:
    """The needle's mask, as somebody has drawn or confirmed it.

    Attributes
    ----------
    mask : ndarray of bool, shape (h, w)
    origin_px : tuple of int
        (x, y) [px] of the mask's first pixel in the source picture.
    """

    mask: NDArray[np.bool_]
    origin_px: tuple[int, int] = (0, 0)


Prompt = ScribblePrompt | BoxPrompt | MaskPrompt


def box_between(a_px: PointPx, b_px: PointPx) -> BoxPrompt | None:
    """Return the box between two corners [px]; None where it has no area."""
    width, height = abs(b_px[0] - a_px[0]), abs(b_px[1] - a_px[1])
    if width <= 0 or height <= 0:
        return None
    return BoxPrompt((min(a_px[0], b_px[0]), min(a_px[1], b_px[1]), width, height))
