"""The needle: how it is made, its echo by angle, and the ways on which hands bring it to a target.

The echo law and its constants follow published measurements of needles in water and phantoms (angle from the beam's
axis, 90 deg = perpendicular): a floor plus a Gaussian lobe about 85 deg, 20 deg wide at half height.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from puncta.sim.plane import Conform
from puncta.sim.pose import NeedlePose
from puncta.sim.subject import PointMm, Subject
from puncta.sim.tissue_kinds import Tissue

if TYPE_CHECKING:
    from puncta.sim.scan import Scan

Approach = Literal["in-plane", "out-of-plane"]
Bend = Callable[[NDArray | float, NDArray | float], tuple[NDArray | float, NDArray | float]]

GAUGE_MM = {14: 2.1, 16: 1.65, 18: 1.27, 20: 0.91, 22: 0.72, 25: 0.51}
PROCEDURE_GAUGES = {"breast": (14, 14, 16, 18), "nerve": (20, 22, 22, 25), "vessel": (18, 20, 20, 22),
                    "infant-lp": (22, 22, 22, 25)}
PLASTIC_SHARE = {"nerve": 0.04, "vessel": 0.12}
"""Share of plastic cannulas, by procedure."""
OUT_OF_PLANE_SHARE = {
    ("breast", "radial"): 0.02, ("nerve", "short-axis"): 0.1, ("vessel", "short-axis"): 0.3,
    ("vessel", "long-axis"): 0.02, ("infant-lp", "longitudinal"): 0.05, ("infant-lp", "transverse"): 0.9,
}
"""Share of needles that cross the picture's plane, by procedure and view; our choice."""
INFANT_DEG = (65.0, 70.0)
"""Angle to the skin at which infants' spinal needles enter (Oulego-Erroz 2014) [deg]."""
PROBE_HALF_THICK_MM = 4.0
"""Half the thickness of a probe's face; no needle enters nearer to the picture's plane from across [mm]."""


def shaft_gain_db(angle_deg: NDArray | float, floor: float, lobe_centre_deg: float = 85.0) -> NDArray:
    """Echo of a shaft against its best angle [dB].

    Parameters
    ----------
    angle_deg : array
        Angle between shaft and beam [deg], 90 is perpendicular; may exceed 90.
    floor : float
        Share of amplitude left off the lobe: .03-.1 smooth, .1-.2 bevelled hollow, .6-1 textured.
    """
    lobe = np.exp(-0.5 * ((np.asarray(angle_deg) - lobe_centre_deg) / 8.5) ** 2)
    return 20.0 * np.log10(floor + (1.0 - floor) * lobe)


def tip_gain_db(angle_deg: NDArray | float, floor: float) -> NDArray:
    """Echo of the bevel against its best angle [dB]: a lobe three times as wide, so that tips outlast shafts."""
    lobe = np.exp(-0.5 * ((np.asarray(angle_deg) - 87.0) / 22.0) ** 2)
    return 20.0 * np.log10(floor + (1.0 - floor) * lobe)


@dataclass(frozen=True, slots=True)
class NeedleKind:
    """How a needle is made and how it echoes; lengths [mm], levels [dB] on the tissue's scale.

    Attributes
    ----------
    gauge_mm : float
        Outer diameter [mm].
    floor, tip_floor : float
        Share of amplitude left off the specular lobe, of shaft and bevel (`shaft_gain_db`, `tip_gain_db`).
    level_db, tip_boost_db : float
        Echo of the shaft at its best angle, and of the bevel against it [dB].
    bevel_mm : float
        Length of the bevel along the axis [mm].
    back_wall : float
        Share of the echo of the shaft's far wall.
    reverb_mm, reverb_decay, reverb_copies
        Spacing [mm], decay from copy to copy and number of copies below the shaft.
    comet : bool
        Comet tail below the tip.
    shadow_db : float
        Loss below the shaft [dB].
    plastic : bool
        A plastic cannula: two parallel lines, no specular flash.
    throw_mm : float
        Throw of a biopsy gun [mm]; 0 where the needle has none.
    """

    gauge_mm: float
    floor: float
    tip_floor: float
    level_db: float
    tip_boost_db: float
    bevel_mm: float
    back_wall: float
    reverb_mm: float
    reverb_decay: float
    reverb_copies: int
    comet: bool
    shadow_db: float
    plastic: bool = False
    throw_mm: float = 0.0


def draw_needle_kind(rng: np.random.Generator, procedure: str, tissue_db: float) -> NeedleKind:
    """Draw a needle as it is used for a procedure.

    Parameters
    ----------
    tissue_db : float
        Typical echo level of the tissue [dB]; operators choose needles and gain that stand out from it.
    """
    gauge = GAUGE_MM[int(rng.choice(PROCEDURE_GAUGES.get(procedure, (20, 22))))]
    make = str(rng.choice(["smooth", "hollow", "textured"], p=[0.3, 0.45, 0.25]))
    floor = {"smooth": (0.03, 0.1), "hollow": (0.1, 0.25), "textured": (0.5, 1.0)}[make]
    plastic = rng.random() < PLASTIC_SHARE.get(procedure, 0.0)
    return NeedleKind(
        gauge_mm=gauge,
        floor=float(rng.uniform(*floor)),
        tip_floor=float(rng.uniform(0.25, 0.9)),
        level_db=float(rng.uniform(-9.0, 4.0)) + 0.7 * float(np.clip(tissue_db + 27.0, -3.0, 10.0)),
        tip_boost_db=float(rng.uniform(-2.0, 7.0)),
        bevel_mm=gauge * float(rng.uniform(1.2, 2.6)),
        back_wall=float(rng.choice([0.0, rng.uniform(0.1, 0.45)])),
        reverb_mm=float(rng.uniform(0.6, 1.9)),
        reverb_decay=float(rng.uniform(0.08, 0.4)),
        reverb_copies=int(rng.choice([0, 0, 1, 2, 3])),
        comet=bool(rng.random() < 0.12),
        shadow_db=float(rng.uniform(0.5, 7.0)),
        plastic=bool(plastic),
        throw_mm=float(rng.choice([15.0, 22.0])) if procedure == "breast" else 0.0,
    )


@dataclass(frozen=True, slots=True)
class NeedlePlan:
    """Where a hand brings a needle: the axis in tissue space and the ways along it, all [mm].

    Attributes
    ----------
    entry_mm : (x, y, z)
        Where the axis meets the skin, beside the probe's face.
    angle_rad, azimuth_rad : float
        As in `NeedlePose`.
    enter_mm : float
        Way at which the needle comes into the picture: into the field and near its plane.
    goal_mm : float
        Way at which it is aimed to stop.
    bend_mm, bend_at_mm : float
        Quadratic bend, as in `NeedlePose`.
    approach : {"in-plane", "out-of-plane"}
    slide_mm : float
        Where the probe stands so that the needle passes beside its face.
    turn_share : float
        Share of the hand's redirections that the way leaves room for.
    """

    entry_mm: PointMm
    angle_rad: float
    azimuth_rad: float
    enter_mm: float
    goal_mm: float
    bend_mm: float = 0.0
    bend_at_mm: float = 50.0
    approach: Approach = "in-plane"
    slide_mm: float = 0.0
    turn_share: float = 1.0

    def pose(self, way_mm: float, turn_rad: float = 0.0) -> NeedlePose:
        """The needle at a way [mm], redirected by the hand [rad]."""
        return NeedlePose(self.entry_mm, self.angle_rad + turn_rad, self.azimuth_rad, way_mm, self.bend_mm,
                          self.bend_at_mm)


def _as_it_is(x: NDArray | float, z: NDArray | float) -> tuple[NDArray | float, NDArray | float]:
    return x, z


@dataclass(frozen=True, slots=True, eq=False)
class FieldOfView:
    """What the probe sees, in probe space [mm].

    Attributes
    ----------
    extent_mm : (x0, z0, x1, z1)
    face_half_mm : float
        Half width of the probe's face.
    inside : callable
        Tells which points (x, z) lie in the insonified field.
    shown, rest : callable
        Where tissue at rest (x, z) shows under the probe's face, and the inverse; a convex face bends it.
    """

    extent_mm: tuple[float, float, float, float]
    face_half_mm: float
    inside: Callable[[NDArray, NDArray], NDArray[np.bool_]]
    shown: Bend = _as_it_is
    rest: Bend = _as_it_is

    @staticmethod
    def of(scan: Scan) -> FieldOfView:
        """The field of a scan."""
        if not scan.convex:
            return FieldOfView(scan.extent_mm, scan.width_mm / 2, scan.inside)
        conform = Conform(scan)

        def bend(turn: Callable[[NDArray, NDArray], NDArray]) -> Bend:
            def bent(x: NDArray | float, z: NDArray | float) -> tuple[NDArray | float, NDArray | float]:
                r, c = scan.beam_from_mm(np.asarray(x), np.asarray(z))
                return scan.mm_from_beam(turn(r, c), c)

            return bent

        face = float(scan.radius_mm * math.sin(scan.half_angle))
        return FieldOfView(scan.extent_mm, face, scan.inside, bend(conform.picture_r), bend(conform.tissue_r))

    def skin_z(self, x_mm: float) -> float:
        """Depth at which the skin shows at x [mm]; negative beside a convex face, which sinks into the body."""
        if self.rest is _as_it_is:
            return 0.0
        z = np.arange(0.0, -30.0, -0.1)
        out = np.asarray(self.rest(np.full(z.shape, x_mm), z)[1]) <= 0.0
        return float(z[int(np.argmax(out))]) if out.any() else 0.0


def draw_approach(rng: np.random.Generator, subject: Subject) -> Approach:
    """Draw how the needle comes, as often as the procedure's operators do it."""
    share = OUT_OF_PLANE_SHARE.get((subject.procedure, subject.view), 0.05)
    return "out-of-plane" if rng.random() < share else "in-plane"


def draw_plan(
    rng: np.random.Generator,
    subject: Subject,
    field: FieldOfView,
    approach: Approach,
    *,
    elevation_sigma_mm: float,
    gauge_mm: float = 0.91,
) -> NeedlePlan:
    """Draw a way that a hand beside the probe can go; seven in ten are aimed at the target, the others anywhere.

    Parameters
    ----------
    approach : {"in-plane", "out-of-plane"}
        In-plane comes from the picture's left or right, one in five astray; out-of-plane crosses the plane at the aim.
    elevation_sigma_mm : float
        Half thickness of the image plane at its focus [mm].
    gauge_mm : float
        Thicker needles bend less.
    """
    x0, _, x1, z1 = field.extent_mm
    if rng.random() < 0.7:
        aim_x, aim_z = field.shown(subject.target.centre_mm[0], subject.target.centre_mm[2])
        tx, tz = float(aim_x) + float(rng.normal(0, 2.0)), float(aim_z) + float(rng.normal(0, 2.0))
    else:
        tx = float(rng.uniform(-0.35, 0.35)) * (x1 - x0)
        tz = float(rng.uniform(0.12, 0.8)) * min(z1, 60.0)
    tz = max(tz, 2.0)
    bends = rng.random() < 0.4
    bend = float(rng.normal(0, 1.0)) * (1.0 if bends else 0.2) * (1.2 - 0.35 * gauge_mm)
    if approach == "out-of-plane":
        return _short_of_bone(_across(rng, field, (tx, tz), elevation_sigma_mm, bend), subject, field)
    side = int(rng.choice([-1, 1]))
    edge = -side * min(field.face_half_mm, (x1 - x0) / 2)
    if subject.procedure == "infant-lp" and subject.view == "longitudinal":
        # So steep a needle enters beside the face and shows at the picture's edge, where the canal still runs.
        angle = float(rng.uniform(*INFANT_DEG))
        tx = edge + side * (tz / math.tan(math.radians(angle)) - float(rng.uniform(0.0, 1.0)))
    else:
        angle = _angle_beside(rng, abs(tx - edge) if (tx - edge) * side > 0 else 0.0, tz, z1)
    stray = rng.random() < 0.2
    skew = math.radians(float(rng.normal(0, 4.0 if stray else 0.7)))
    offset = float(rng.normal(0, (1.2 if stray else 0.35) * elevation_sigma_mm))
    a = math.radians(angle)
    along = max(max(3.0, abs(tx - edge)) / math.cos(a), tz / math.sin(a)) if math.sin(a) > 0.05 else 60.0
    goal = along + float(rng.uniform(-2.0, 3.0))
    # The axis leaves the picture's plane by tan(skew) a way.
    turn = math.asin(float(np.clip(math.tan(skew) / math.cos(a), -0.7, 0.7)))
    azimuth = turn if side > 0 else math.pi - turn
    entry = (tx - side * along * math.cos(a), offset - math.tan(skew) * goal, tz - along * math.sin(a))
    plan = with_entry(NeedlePlan(entry, a, azimuth, 0.0, goal, bend, max(goal, 10.0)), field, None)
    return _short_of_bone(plan, subject, field)


def _angle_beside(rng: np.random.Generator, reach_mm: float, depth_mm: float, field_depth_mm: float) -> float:
    """Angle [deg] of an in-plane way to a depth, from a skin entry at or beside the face's edge."""
    reach = max(3.0, reach_mm)
    steepest = math.degrees(math.atan2(depth_mm, reach))
    deepest_entry = min(0.35 * field_depth_mm, 14.0)
    flattest = math.degrees(math.atan2(max(depth_mm - deepest_entry, 0.17 * reach), reach))
    low, high = max(10.0, flattest), min(65.0, max(steepest, flattest + 1.0))
    if low >= high:
        low, high = 10.0, 14.0
    return low + (high - low) * float(rng.beta(1.6, 1.2))


def _across(
    rng: np.random.Generator, field: FieldOfView, aim_mm: tuple[float, float], sigma_mm: float, bend_mm: float
) -> NeedlePlan:
    """A way across the picture's plane, which it crosses at the aim (x, z)."""
    tx, tz = aim_mm
    sign = int(rng.choice([-1, 1]))
    gap = float(np.clip(rng.uniform(4.5, 14.0), tz / math.tan(math.radians(75)), tz / math.tan(math.radians(25))))
    gap = max(gap, PROBE_HALF_THICK_MM)
    angle = math.atan2(tz, gap)
    azimuth = sign * (math.pi / 2 + float(np.clip(rng.normal(0, math.radians(4.0)), -0.2, 0.2)))
    along = math.hypot(tz, gap)
    flat = along * math.cos(angle)
    goal = along + float(rng.uniform(-3.0, 6.0))
    entry = (tx - flat * math.cos(azimuth), -flat * math.sin(azimuth), 0.0)
    plan = NeedlePlan(entry, angle, azimuth, 0.0, max(goal, 3.0), 0.5 * bend_mm, max(goal, 10.0), "out-of-plane")
    return with_entry(plan, field, 2.5 * sigma_mm)


def _short_of_bone(plan: NeedlePlan, subject: Subject, field: FieldOfView) -> NeedlePlan:
    """The plan with its goal before the first bone on its way, if that leaves a way in the picture at all."""
    ways = np.arange(0.0, plan.goal_mm + 0.5, 0.3)
    x, y, z = plan.pose(0.0).points(ways)
    x, z = (np.asarray(v) for v in field.rest(x, z))
    lat = subject.lattice
    places = zip((x, y, z), lat.origin_mm, lat.step_mm, (lat.shape[2], lat.shape[0], lat.shape[1]), strict=True)
    ix, iy, iz = (np.clip(np.rint((v - o) / s), 0, n - 1).astype(int) for v, o, s, n in places)
    bone = subject.label[iy, iz, ix] == Tissue.BONE
    if not bone.any():
        return plan
    goal = float(ways[int(np.argmax(bone))]) - 0.6
    return replace(plan, goal_mm=goal) if goal > plan.enter_mm + 3.0 else plan


def on_skin(plan: NeedlePlan, field: FieldOfView) -> NeedlePlan:
    """The plan drawn out backwards to where the skin shows, which a convex face raises beside it."""
    ways = np.arange(0.0, 40.0, 0.1)
    x, _, z = NeedlePose(plan.entry_mm, plan.angle_rad, plan.azimuth_rad, 0.0).points(-ways)
    outside = np.asarray(field.rest(x - plan.slide_mm, z)[1]) <= 1e-6
    back = float(ways[int(np.argmax(outside))]) if outside.any() else 0.0
    if back == 0.0:
        return plan
    entry = NeedlePose(plan.entry_mm, plan.angle_rad, plan.azimuth_rad, -back).tip_mm
    return replace(plan, entry_mm=entry, goal_mm=plan.goal_mm + back, bend_at_mm=plan.bend_at_mm + back)


def with_entry(plan: NeedlePlan, field: FieldOfView, near_mm: float | None) -> NeedlePlan:
    """The plan from the skin on, with the way at which it comes into the field and within ``near_mm`` of its plane."""
    plan = on_skin(plan, field)
    ways = np.arange(0.0, plan.goal_mm + 8.0, 0.2)
    x, y, z = plan.pose(0.0).points(ways)
    within = field.inside(x - plan.slide_mm, z)
    if near_mm is not None:
        within &= np.abs(y) < near_mm
    enter = float(ways[int(np.argmax(within))]) if within.any() else max(0.0, plan.goal_mm - 5.0)
    return replace(plan, enter_mm=min(enter, max(0.0, plan.goal_mm - 1.0)))
