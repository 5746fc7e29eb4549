"""Needles for real stills: where they come from, how they look, how far they are in on each frame.

Space of a composite: x [mm] from the region's left edge, z [mm] down from its top, y [mm] away from the image plane.
The millimetres are assumed, since stills state none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from puncta.sim.needle import NeedleKind, draw_needle_kind
from puncta.sim.pose import NeedlePose

ELEVATION_SIGMA_MM = (0.45, 0.8)
"""Half thickness of the image plane that is assumed [mm]."""
LIFT_DB = 4.0
"""Our choice: real tissue is full of bright layers, and with this nearly as many shafts show as in simulated tissue."""
OUT_OF_PLANE_SHARE = 0.15
"""Share of needles across the plane where nothing is asked for."""


@dataclass(frozen=True, slots=True)
class StillNeedle:
    """One needle for one still.

    Attributes
    ----------
    pose : NeedlePose
        With ``way_mm`` at the deepest; a needle in the plane begins at the region's border.
    approach : str
        ``in-plane`` or ``out-of-plane``.
    enter_mm : float
        Way at which it begins to show: at the border, or near the plane that it crosses [mm].
    kind : NeedleKind
        How it is made and echoes; level 0 dB is the brightest interfaces of the still.
    elevation_sigma_mm : float
        Half thickness of the image plane [mm].
    pattern_db, coherence_mm : float
        Unevenness of the surface's echo, and the length over which it stays in phase.
    """

    pose: NeedlePose
    approach: str
    enter_mm: float
    kind: NeedleKind
    elevation_sigma_mm: float
    pattern_db: float
    coherence_mm: float

    def at(self, way_mm: float, turn_rad: float) -> NeedlePose:
        """The pose with the needle in by ``way_mm`` and turned by the hand."""
        return replace(self.pose, way_mm=way_mm, angle_rad=self.pose.angle_rad + turn_rad)


def draw_still_needle(
    rng: np.random.Generator, width_mm: float, depth_mm: float, tissue_db: float, approach: str | None
) -> StillNeedle:
    """Draw a needle that comes into a region of a given size.

    Parameters
    ----------
    tissue_db : float
        Typical tissue against the brightest interfaces [dB]; operators choose needles and gain that stand out from it.
    approach : str or None
        None takes one needle in seven across the plane.
    """
    across = rng.random() < OUT_OF_PLANE_SHARE
    if approach is not None:
        across = approach == "out-of-plane"
    sigma = float(rng.uniform(*ELEVATION_SIGMA_MM))
    kind = draw_needle_kind(rng, str(rng.choice(["nerve", "vessel"])), tissue_db)
    kind = replace(kind, level_db=kind.level_db + LIFT_DB)
    pose = _across(rng, width_mm, depth_mm) if across else _in_plane(rng, width_mm, depth_mm, sigma)
    enter = 0.0
    if across:
        sinks = math.cos(pose.angle_rad) * abs(math.sin(pose.azimuth_rad))
        enter = max(0.0, (abs(pose.entry_mm[1]) - 2.0 * sigma) / sinks)
    bends = (1.0 if rng.random() < 0.4 else 0.2) * (1.2 - 0.35 * kind.gauge_mm)
    pose = replace(pose, bend_mm=float(rng.normal(0, 1.0)) * bends, bend_at_mm=max(pose.way_mm, 10.0))
    return StillNeedle(
        pose=pose,
        approach="out-of-plane" if across else "in-plane",
        enter_mm=min(enter, pose.way_mm - 1.0),
        kind=kind,
        elevation_sigma_mm=sigma,
        pattern_db=float(rng.uniform(0.5, 3.0)),
        coherence_mm=float(rng.uniform(0.5, 5.0)),
    )


def _in_plane(rng: np.random.Generator, width_mm: float, depth_mm: float, sigma_mm: float) -> NeedlePose:
    """A needle from the left or right border, or the top beside it; 8 mm or more lie in a region that holds them."""
    longest = 0.0
    while longest < min(8.0, 0.5 * depth_mm, width_mm):
        side = 1 if rng.random() < 0.5 else -1
        angle = math.radians(float(rng.choice([rng.uniform(5, 28), rng.uniform(8, 40), rng.uniform(15, 65)])))
        if rng.random() < 0.7:
            x, z = 0.0, float(rng.beta(1.2, 2.5)) * 0.6 * depth_mm
        else:
            angle = max(angle, math.radians(20))
            x, z = float(rng.uniform(0.0, 0.5)) * width_mm, 0.0
        longest = min((width_mm - x) / math.cos(angle), (depth_mm - z) / math.sin(angle))
    stray = rng.random() < 0.2
    skew = math.radians(float(rng.normal(0, 4.0 if stray else 0.7)))
    offset = float(rng.normal(0, (1.2 if stray else 0.35) * sigma_mm))
    way = 0.92 * longest
    entry = (x if side > 0 else width_mm - x, offset - math.tan(skew) * way * math.cos(angle), z)
    return NeedlePose(entry, angle, skew if side > 0 else math.pi - skew, way)


def _across(rng: np.random.Generator, width_mm: float, depth_mm: float) -> NeedlePose:
    """A needle from before or behind the picture that crosses the plane at a depth."""
    forth = 1.0 if rng.random() < 0.5 else -1.0
    angle = math.radians(float(rng.uniform(35, 70)))
    depth = float(rng.uniform(0.2, 0.7)) * depth_mm
    x = float(rng.uniform(0.2, 0.8)) * width_mm
    run = depth / math.tan(angle)
    azimuth = forth * (math.pi / 2 + float(rng.normal(0, math.radians(4.0))))
    entry = (x - run * math.cos(azimuth), -forth * run, 0.0)
    past = float(rng.uniform(0.0, 6.0))
    return NeedlePose(entry, angle, azimuth, min(depth / math.sin(angle) + past, 0.95 * depth_mm / math.sin(angle)))


def plan_way(
    rng: np.random.Generator, steps: int, dt_s: float, enter_mm: float, longest_mm: float, start: str
) -> NDArray[np.float64]:
    """Draw how far the needle is in on every frame [mm]: it advances, rests, withdraws, up to ``longest_mm``.

    Parameters
    ----------
    start : "outside" or "inside"
        Outside is short of ``enter_mm``.
    """
    low, high = enter_mm + 0.1 * (longest_mm - enter_mm), longest_mm
    within = float(rng.uniform(low, 0.05 * low + 0.95 * high))
    place = within if start == "inside" else enter_mm - float(rng.uniform(0.2, 2.5))
    way, speed, wanted, left = np.empty(steps), 0.0, 0.0, 0.0
    for i in range(steps):
        way[i] = place
        if left <= 0:
            left = float(rng.uniform(0.15, 1.0))
            draw = rng.random()
            pace = float(rng.choice([rng.uniform(0.5, 2.5), rng.uniform(2.0, 8.0)]))
            wanted = 0.0 if draw < 0.22 else (pace if draw < 0.75 or place < low else -pace)
            if place < low:
                wanted = max(wanted, 4.0)
        if place > 0.97 * high and wanted > 0:
            wanted = 0.0 if rng.random() < 0.5 else -wanted
        left -= dt_s
        speed += (wanted - speed) * (1.0 - math.exp(-dt_s / 0.09))
        place = min(place + speed * dt_s, high)
    return way
