"""A needle laid into probe space without an engine: what truth needs of it, and no echo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from puncta.sim.frame_view import Delay, appear
from puncta.sim.machines import Machine
from puncta.sim.pose import SceneState
from puncta.sim.scan import Scan


@dataclass(frozen=True, slots=True, eq=False)
class PlacedNeedle:
    """A plain `Placement`."""

    s: NDArray
    x: NDArray
    y: NDArray
    z: NDArray
    weight: NDArray
    shade_db: NDArray
    inside: NDArray[np.bool_]


def place_needle(
    state: SceneState, scan: Scan, machine: Machine, delay: Delay | None = None, *, step_mm: float = 0.1
) -> PlacedNeedle | None:
    """Lay the needle into probe space without looking at what shades it; None while it is outside the skin."""
    needle = state.needle
    if needle is None or needle.way_mm <= step_mm:
        return None
    count = max(2, int(needle.way_mm / step_mm))
    s = needle.way_mm - np.arange(count)[::-1] * step_mm
    x, y, z, r = appear(state, scan, delay, *needle.points(s))
    weight = np.exp(-0.5 * (y / machine.elevation_sigma_mm(np.maximum(r, 0.0))) ** 2)
    return PlacedNeedle(s, x, y, z, weight, np.zeros(count), scan.inside(x, z))
