"""The way of a needle that is watched from outside: aimed at the target, clear of what must not be hit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from puncta.sim.frame_view import Displacement
from puncta.sim.insertion import MOST_TURN_RAD
from puncta.sim.needle import INFANT_DEG, PROBE_HALF_THICK_MM, Approach, FieldOfView, NeedlePlan, with_entry
from puncta.sim.pose import PointMm, ProbePose, SceneState
from puncta.sim.probing import label_at, rest_of
from puncta.sim.steered import SLIDE_MM
from puncta.sim.subject import Subject
from puncta.sim.tissue_kinds import Tissue

DRAWS = 16
PRESS_MM = 1.0
"""Usual pressure of the probe while ways are judged [mm]."""
MARGINS_MM = (1.0, 0.6, 0.3)
"""Distances kept from what must not be hit, best first [mm]."""
TURN_SHARES = (1.0, 0.5, 0.15)
"""Shares of the hand's redirections that are judged, best first."""
OVERSHOOT_MM = 0.8
"""A hand goes this far beyond the place it wants [mm]."""
STEP_MM = 0.3
UNDER_FACE_COST = 100.0
"""Against a way that would enter under the probe's face; no other fault weighs as much."""


def aimed_plan(
    rng: np.random.Generator, subject: Subject, field: FieldOfView, approach: Approach, deformation: Displacement,
    *, elevation_sigma_mm: float, gauge_mm: float = 0.91,
) -> NeedlePlan:
    """The best of some drawn ways to the target, stopped before what must not be hit where none is free.

    Parameters
    ----------
    approach : {"in-plane", "out-of-plane"}
    deformation : Displacement
        How tissue shows under this probe.
    elevation_sigma_mm : float
        Half thickness of the image plane at its focus [mm].
    gauge_mm : float
        Thicker needles bend less.
    """
    best: NeedlePlan | None = None
    least = math.inf
    for _ in range(DRAWS):
        draw = _across if approach == "out-of-plane" else _beside
        plan = draw(rng, subject, field, deformation, elevation_sigma_mm)
        bend = float(rng.normal(0.0, 0.3)) * (1.2 - 0.35 * gauge_mm)
        plan = replace(plan, bend_mm=bend, bend_at_mm=max(plan.goal_mm, 10.0))
        under_face = abs(plan.entry_mm[0] - plan.slide_mm) < field.face_half_mm - 0.5 and approach == "in-plane"
        cost, plan = _judged(plan, subject, deformation)
        # The nearer the probe stays to its usual place, the more of the subject it shows.
        cost += 0.05 * abs(plan.slide_mm) + (UNDER_FACE_COST if under_face else 0.0)
        if cost < least:
            best, least = plan, cost
    assert best is not None
    return best


def _beside(
    rng: np.random.Generator, subject: Subject, field: FieldOfView, deformation: Displacement, sigma_mm: float
) -> NeedlePlan:
    """A way along the picture's plane, from its left or right."""
    side, share, jitter = int(rng.choice([-1, 1])), float(rng.uniform()), rng.normal(size=3)
    slide = 0.0
    tx, ty, tz = _shown(subject, deformation, slide, jitter)
    if subject.procedure == "infant-lp" and subject.view == "longitudinal":
        slope = math.tan(math.radians(INFANT_DEG[0] - 5.0 + (INFANT_DEG[1] - INFANT_DEG[0] + 5.0) * share))
        # The probe stands aside, so that so steep a needle passes its end; the skin beside a convex face is raised.
        beyond = field.face_half_mm + 1.0
        for _ in range(2):
            slide = float(np.clip(tx - side * (tz - field.skin_z(beyond)) / slope + side * beyond, -SLIDE_MM, SLIDE_MM))
            tx, ty, tz = _shown(subject, deformation, slide, jitter)
        entry = tx - side * tz / slope
    else:
        face = -side * (field.face_half_mm + 0.5)
        reach = max(side * (tx - face), 3.0)
        steepest = math.degrees(math.atan2(tz, reach))
        flattest = math.degrees(math.atan2(max(tz - min(14.0, 0.35 * field.extent_mm[3]), 0.17 * reach), reach))
        steep = min(max(flattest + (steepest - flattest) * share, 10.0), 65.0)
        entry = tx - side * tz / math.tan(math.radians(steep))
        entry = side * min(side * entry, side * face)
    angle, way = math.atan2(tz, side * (tx - entry)), math.hypot(tz, tx - entry)
    y = (ty if abs(ty) < 2.0 else 0.0) + 0.25 * sigma_mm * float(jitter[2])
    azimuth = 0.0 if side > 0 else math.pi
    return with_entry(NeedlePlan((entry, y, 0.0), angle, azimuth, 0.0, way, slide_mm=slide), field, None)


def _across(
    rng: np.random.Generator, subject: Subject, field: FieldOfView, deformation: Displacement, sigma_mm: float
) -> NeedlePlan:
    """A way across the picture's plane, which it crosses near the target."""
    sign, share, jitter = int(rng.choice([-1, 1])), float(rng.uniform()), rng.normal(size=3)
    tx, ty, tz = _shown(subject, deformation, 0.0, jitter)
    low, high = max(4.5, tz / math.tan(math.radians(75))), max(6.0, min(14.0, tz / math.tan(math.radians(25))))
    gap = max(low + max(high - low, 0.0) * share, PROBE_HALF_THICK_MM + abs(ty) + 0.5)
    azimuth = sign * math.pi / 2
    entry = (tx, ty - sign * gap, 0.0)
    plan = NeedlePlan(entry, math.atan2(tz, gap), azimuth, 0.0, math.hypot(tz, gap), approach="out-of-plane")
    return with_entry(plan, field, 2.5 * sigma_mm)


def _state(slide_mm: float) -> SceneState:
    return SceneState(probe=ProbePose(slide_mm=slide_mm, press_mm=PRESS_MM))


def _shown(subject: Subject, deformation: Displacement, slide_mm: float, jitter: NDArray) -> PointMm:
    """A place within the target as it shows under a probe at its place [mm]."""
    x, y, z = subject.target.centre_mm
    spread = min(0.25 * subject.target.radius_mm, 1.0)
    x += spread * float(np.clip(jitter[0], -2, 2))
    z += spread * float(np.clip(jitter[1], -2, 2))
    ux, uz = deformation.at(_state(slide_mm), np.array([x]), np.array([y]), np.array([z]))
    return x + float(ux[0]), y, max(z + float(uz[0]), 2.0)


def _judged(plan: NeedlePlan, subject: Subject, deformation: Displacement) -> tuple[float, NeedlePlan]:
    """How bad a way is, and the way with the goal and the turns that keep clear."""
    best, least = plan, math.inf
    bad = np.array([int(k) for k in (subject.forbidden - subject.target.inside) | {Tissue.BONE}])
    ways = np.arange(0.0, plan.goal_mm + OVERSHOOT_MM + STEP_MM, STEP_MM)
    for share in TURN_SHARES:
        turns = (-share * MOST_TURN_RAD, 0.0, share * MOST_TURN_RAD)
        places = np.stack([
            np.stack(rest_of(deformation, _state(plan.slide_mm), *plan.pose(0.0, turn).points(ways))) for turn in turns
        ])
        for margin in MARGINS_MM:
            hit = np.isin(_around(subject, places, margin), bad).any(axis=(0, 1))
            stop = plan.goal_mm
            if hit.any():
                stop = min(stop, float(ways[int(np.argmax(hit))]) - OVERSHOOT_MM)
            cost = 3.0 * (plan.goal_mm - stop) + 2.0 * (MARGINS_MM[0] - margin) + 0.5 * (1.0 - share)
            if cost < least:
                kept = max(stop, 0.5)
                best = replace(plan, goal_mm=kept, enter_mm=min(plan.enter_mm, max(0.0, kept - 1.0)), turn_share=share)
                least = cost
    return least, best


def _around(subject: Subject, places: NDArray, margin_mm: float) -> NDArray[np.uint8]:
    """Kinds of tissue at places of shape (turns, 3, n) and about them, shape (offsets, turns, n)."""
    d, s = margin_mm, margin_mm * math.sqrt(0.5)
    offsets = ((0, 0, 0), (d, 0, 0), (-d, 0, 0), (0, 0, d), (0, 0, -d), (s, 0, s), (s, 0, -s), (-s, 0, s), (-s, 0, -s),
               (0, d, 0), (0, -d, 0))
    return np.stack([
        label_at(subject, places[:, 0] + ox, places[:, 1] + oy, places[:, 2] + oz) for ox, oy, oz in offsets
    ])
