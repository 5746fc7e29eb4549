"""How hard a simulated frame is, by rules a reader can check."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from puncta.sim.machines import Machine
from puncta.sim.needle import Needle
from puncta.sim.scan import Scan
from puncta.sim.truth import FrameTruth

HARD_SHAFT_CNR = 1.4
HARD_INCIDENCE_DEG = 40.0
HARD_OFFSET_SIGMA = 0.7


def incidence_deg(angle_deg: float, side: int, tip_mm: tuple[float, float], scan: Scan) -> float:
    """Return the angle between a needle and the perpendicular of the beam at its tip [deg], 0..90.

    Parameters
    ----------
    angle_deg : float
        Downward angle of the needle to the picture's horizontal [deg].
    side : int
        +1 for a needle that goes to the right, -1 to the left.
    tip_mm : (x, z) [mm]
    """
    beam_rad = 0.0
    if scan.convex:
        beam_rad = float(scan.beam_from_mm(*map(_array, tip_mm))[1])
    # The needle runs along (side cos a, sin a), the beam along (sin b, cos b): their product is sin(a + side b).
    along = math.sin(math.radians(angle_deg) + side * beam_rad)
    return math.degrees(math.asin(min(1.0, abs(along))))


def describe_difficulty(truth: FrameTruth, machine: Machine, scan: Scan) -> dict[str, Any] | None:
    """Return Dataset v1's `difficulty` of a frame; None on a frame without a needle's tip.

    Hard is: the shaft shows at a contrast to noise under 1.4 or not at all, or the needle lies more than 40 degrees off
    the beam's perpendicular, or its tip lies more than 0.7 beam sigmas off the image plane. Whether a longer bright
    line competes is not judged here.
    """
    if truth.tip_mm is None or truth.angle_deg is None or truth.in_plane_offset_mm is None:
        return None
    incidence = incidence_deg(truth.angle_deg, 1 if truth.side == "left" else -1, truth.tip_mm, scan)
    sigma = float(machine.elevation_sigma_mm(max(0.0, truth.tip_mm[1])))
    offset = abs(truth.in_plane_offset_mm) / sigma
    hard = (
        truth.shaft_cnr is None
        or truth.shaft_cnr < HARD_SHAFT_CNR
        or incidence > HARD_INCIDENCE_DEG
        or offset > HARD_OFFSET_SIGMA
    )
    return {
        "hard": bool(hard),
        "shaft_cnr": None if truth.shaft_cnr is None else round(truth.shaft_cnr, 3),
        "tip_cnr": None if truth.tip_cnr is None else round(truth.tip_cnr, 3),
        "incidence_deg": round(incidence, 2),
        "offset_sigma": round(offset, 3),
        "competing_line": None,
    }


def needle_is_hard(needle: Needle, machine: Machine, scan: Scan) -> bool:
    """Tell before anything is rendered whether a needle's way makes its clip hard: steep, or off the image plane."""
    x, z = (float(v) for v in needle.point(_array(needle.goal_mm)))
    slope_deg = math.degrees(float(needle.slope_rad(_array(needle.goal_mm))))
    offset = abs(needle.offset_mm) / float(machine.elevation_sigma_mm(max(0.0, z)))
    return incidence_deg(slope_deg, needle.side, (x, z), scan) > HARD_INCIDENCE_DEG or offset > HARD_OFFSET_SIGMA


def _array(value: float) -> np.ndarray:
    return np.asarray(value, dtype=np.float64)
