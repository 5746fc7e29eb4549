"""How a mask lies on a needle that was marked by hand as tip and axis: no mask was drawn, so no overlap is told."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from puncta.formats.tip_marks import Axis, Lure
from puncta.metrics.marks import Scale
from puncta.session.real_runner import FoundMask

SHAFT_HALF_MM = 2.0
"""A pixel this far across the marked axis [mm] lies on the shaft: a needle's echo and the passes' disagreement."""
BEYOND_MM = 3.0
"""A mask may reach so far beyond the marked tip [mm], as far as two passes may lie apart."""
BEHIND_MM = 15.0
"""The part of the shaft behind the tip that is asked for [mm], as far as it lies in the region."""
STEP_MM = 0.5
ON_LURE = 0.2
"""A mask lies on a lure where that share of it does."""


@dataclass(frozen=True, slots=True)
class MaskOnShaft:
    """A mask against the marked axis.

    Attributes
    ----------
    on_shaft : float
        Share of the mask that lies on the marked shaft, 0..1.
    covered : float
        Share of the marked shaft, from the tip backwards, that the mask covers, 0..1.
    """

    on_shaft: float
    covered: float


def lay_on_shaft(found: FoundMask, axis: Axis, scale: Scale, region: tuple[int, int, int, int]) -> MaskOnShaft:
    """Lay a mask on a marked axis.

    Parameters
    ----------
    axis : two points
        The second is the tip, the first lies behind it [px].
    scale : (x, y) [mm/px]
    region : tuple of int
        [x0, y0, w, h] [px]; the shaft is asked for inside it only.
    """
    (bx, by), (tx, ty) = axis
    vx, vy = (tx - bx) * scale[0], (ty - by) * scale[1]
    length = math.hypot(vx, vy)
    ux, uy = vx / length, vy / length
    x, y = pixels_of(found)
    dx, dy = (x - tx) * scale[0], (y - ty) * scale[1]
    along, across = dx * ux + dy * uy, np.abs(dy * ux - dx * uy)
    near = across <= SHAFT_HALF_MM
    steps = np.arange(0.0, BEHIND_MM, STEP_MM)
    px, py = tx - steps * ux / scale[0], ty - steps * uy / scale[1]
    x0, y0, w, h = region
    asked = steps[(px >= x0) & (px < x0 + w) & (py >= y0) & (py < y0 + h)]
    behind = np.unique(np.round(-along[near] / STEP_MM))
    covered = float(np.isin(asked / STEP_MM, behind).mean()) if len(asked) else 0.0
    return MaskOnShaft(float((near & (along <= BEYOND_MM)).mean()), covered)


def pixels_of(found: FoundMask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y of a mask's pixels in the picture [px]."""
    rows, cols = np.nonzero(found.mask)
    return cols.astype(np.float64) + found.origin_px[0], rows.astype(np.float64) + found.origin_px[1]


def lies_on_lure(found: FoundMask, frame: int, lure: Lure, scale: Scale) -> bool:
    """Tell whether a mask lies on something that is no needle: `ON_LURE` of its pixels do."""
    if not lure.frames[0] <= frame <= lure.frames[1]:
        return False
    x, y = pixels_of(found)
    if lure.box_px is not None:
        x0, y0, w, h = lure.box_px
        inside = (x0 <= x) & (x <= x0 + w) & (y0 <= y) & (y <= y0 + h)
        return bool(inside.mean() >= ON_LURE)
    nearest = np.full(x.shape, np.inf)
    points = np.stack([x * scale[0], y * scale[1]], axis=1)
    line = np.asarray(lure.line_px, np.float64) * np.asarray(scale)
    for a, b in zip(line[:-1], line[1:]):
        run = b - a
        share = np.clip((points - a) @ run / max(float(run @ run), 1e-12), 0.0, 1.0)
        nearest = np.minimum(nearest, np.hypot(*(points - a - share[:, None] * run).T))
    return bool((nearest <= lure.half_width_mm).mean() >= ON_LURE)
