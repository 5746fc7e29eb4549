"""How hard a simulated frame is, by rules a reader can check."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from puncta.sim.machines import Machine
from puncta.sim.scan import Scan
from puncta.sim.subject import Subject
from puncta.sim.truth import FrameTruth

HARD_SHAFT_CNR = 1.4
HARD_INCIDENCE_DEG = 40.0
HARD_OFFSET_SIGMA = 0.7
OUT_OF_PLANE_DEG = 45.0
"""Direction to the image plane, seen from above, from which on a needle counts as approaching out of plane [deg]."""


def incidence_deg(
    angle_deg: float, side: int, tip_mm: tuple[float, float], scan: Scan, plane_angle_deg: float = 0.0
) -> float:
    """Return the angle between a needle and the perpendicular of the beam at its tip [deg], 0..90.

    Parameters
    ----------
    angle_deg : float
        Downward angle of the needle to the picture's horizontal [deg].
    side : int
        +1 for a needle that goes to the right, -1 to the left.
    tip_mm : (x, z) [mm]
    plane_angle_deg : float
        Angle of the needle to the image plane [deg].
    """
    beam_rad = 0.0
    if scan.convex:
        beam_rad = float(scan.beam_from_mm(*map(_array, tip_mm))[1])
    # The needle runs along (side cos a, sin a), the beam along (sin b, cos b): their product is sin(a + side b). Of a
    # needle that leaves the plane, the part in the plane counts.
    along = math.cos(math.radians(plane_angle_deg)) * math.sin(math.radians(angle_deg) + side * beam_rad)
    return math.degrees(math.asin(min(1.0, abs(along))))


def describe_difficulty(
    truth: FrameTruth, machine: Machine, scan: Scan, subject: Subject | None = None
) -> dict[str, Any] | None:
    """Return Dataset v1's `difficulty` of a frame; None on a frame without a needle's tip.

    Hard is: the shaft shows at a contrast to noise under 1.4 or not at all, or the needle lies more than 40 degrees off
    the beam's perpendicular, or its tip lies more than 0.7 beam sigmas off the image plane. Whether a longer bright
    line competes is not judged here.

    ``approach`` is ``out-of-plane`` where the needle, seen from above, runs at 45 degrees or more to the image plane;
    ``depth_shift_mm`` is how much deeper the tip appears than it lies, since its tissues sound slower than the machine
    takes them; ``condition`` and ``lesion`` are the subject's, where it has one.
    """
    if truth.tip_mm is None or truth.angle_deg is None or truth.in_plane_offset_mm is None:
        return None
    plane_angle = truth.plane_angle_deg or 0.0
    incidence = incidence_deg(truth.angle_deg, 1 if truth.side == "left" else -1, truth.tip_mm, scan, plane_angle)
    sigma = float(machine.elevation_sigma_mm(max(0.0, truth.tip_mm[1])))
    offset = abs(truth.in_plane_offset_mm) / sigma
    hard = (
        truth.shaft_cnr is None
        or truth.shaft_cnr < HARD_SHAFT_CNR
        or incidence > HARD_INCIDENCE_DEG
        or offset > HARD_OFFSET_SIGMA
    )
    ahead = math.cos(math.radians(plane_angle)) * math.cos(math.radians(truth.angle_deg))
    azimuth = math.degrees(math.atan2(math.sin(math.radians(plane_angle)), ahead))
    facts = {} if subject is None else {k: subject.facts[k] for k in ("condition", "lesion") if k in subject.facts}
    return {
        "hard": bool(hard),
        "shaft_cnr": None if truth.shaft_cnr is None else round(truth.shaft_cnr, 3),
        "tip_cnr": None if truth.tip_cnr is None else round(truth.tip_cnr, 3),
        "incidence_deg": round(incidence, 2),
        "offset_sigma": round(offset, 3),
        "competing_line": None,
        "approach": "in-plane" if azimuth < OUT_OF_PLANE_DEG else "out-of-plane",
        "depth_shift_mm": None if truth.depth_shift_mm is None else round(truth.depth_shift_mm, 3),
        **facts,
    }


def _array(value: float) -> np.ndarray:
    return np.asarray(value, dtype=np.float64)
