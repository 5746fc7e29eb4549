"""Hands that a person or a script steers: limits, resistance, tenting and snap, bending, fluid, the gun's throw."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np

from puncta.sim.controls import STILL, Controls
from puncta.sim.deform import Deformation
from puncta.sim.frame_view import Displacement
from puncta.sim.motion import Motion, held, trembling
from puncta.sim.needle import (
    INFANT_DEG,
    PROBE_HALF_THICK_MM,
    Approach,
    FieldOfView,
    NeedleKind,
    NeedlePlan,
    on_skin,
)
from puncta.sim.pose import Bolus, NeedlePose, ProbePose, SceneState
from puncta.sim.probing import carried, label_at, rest_of
from puncta.sim.puncture import Puncture
from puncta.sim.subject import Subject
from puncta.sim.tissue_kinds import Tissue

RATES: dict[str, float] = {
    "advance_mm": 150.0, "angle_deg": 120.0, "swing_deg": 120.0, "entry_mm": 120.0, "entry_across_mm": 120.0,
    "slide_mm": 120.0, "sweep_mm": 80.0, "rock_deg": 80.0, "tilt_deg": 80.0, "twist_deg": 80.0, "press_mm": 40.0,
    "inject_ml": 2.5,
}
"""Fastest that hands move, a second; what is asked beyond it follows on the next frames."""
BACKLOG_S = 1.0
"""No more than what this time takes is kept for the next frames [s]; a runaway input stops soon after it ends."""
SLIDE_MM, SWEEP_MM = 24.0, 10.0
"""How far the probe goes from its rest place [mm]."""
ROCK_RAD, TILT_RAD, TWIST_RAD = math.radians(25), math.radians(20), math.radians(45)
PRESS_MM = (-3.0, 10.0)
ANGLE_RAD = (math.radians(5), math.radians(88))
AROUND_MM = 70.0
"""No entry lies farther from the middle of the block along the skin [mm]."""
LENGTH_MM = 110.0
"""Length of the needle [mm]."""
OUT_MM = -12.0
"""Farthest that the tip is held above the skin [mm]."""
PIVOT_MM = 25.0
"""Depth at which tissue halves a needle's turning [mm]."""
MOST_BEND_MM = 3.0
THROW_MM_S = 600.0
NEAR_BOLUS_MM = 2.5
"""Fluid joins a depot when the tip is this near to it, or inside [mm]."""
MOST_BOLUSES = 8
MOST_ML = 30.0
FLAT = {Tissue.FASCIA: 1.5, Tissue.MUSCLE: 1.4, Tissue.CONNECTIVE: 1.45}
"""How much wider than a ball of the same volume fluid spreads along the layers; 1.3 elsewhere."""
RUNS_OFF = frozenset({Tissue.OUTSIDE, Tissue.GEL, Tissue.ARTERY, Tissue.VEIN, Tissue.CSF, Tissue.CAUDA_EQUINA,
                      Tissue.AIR, Tissue.LUNG, Tissue.CYST, Tissue.DUCT})
"""Where fluid flows or mixes away and opens nothing."""


class SteeredHands:
    """Hands that do what a person's or a script's controls say, as far as tissue lets them.

    The needle turns about its entry, the less the deeper it is, and bends; its entry moves only while it is outside;
    resistance slows it, tough layers tent and snap, bone stops it, pressed tissue takes it along. Fluid spreads. A
    biopsy gun fires once and is cocked again outside. Small breathing, pulse and tremor go on; they come from ``rng``.

    Parameters
    ----------
    plan : NeedlePlan or None
        Where the needle is held at first, just off the skin (`start_plan`); None holds no needle.
    kind : NeedleKind or None
        Its gauge and throw matter here.
    field : FieldOfView
        The needle cannot enter under the probe's face.
    deformation : Displacement or None
        How tissue shows under this probe; None bends it under no face.

    Attributes
    ----------
    state : SceneState
    injected_ml : float
        Fluid that left the needle on the latest frame [ml].
    tip_kind : Tissue
        What the tip is in.
    blocked : bool
        Bone stops the needle.
    done : bool
        The trainee declared the attempt finished.
    """

    def __init__(
        self, subject: Subject, plan: NeedlePlan | None, rng: np.random.Generator, *, kind: NeedleKind | None,
        field: FieldOfView, deformation: Displacement | None = None,
    ) -> None:
        self.subject, self.plan, self.kind, self.field = subject, plan, kind, field
        self.deformation: Displacement = deformation or Deformation(subject)
        self.motion = Motion(rng, pulse_hz=subject.pulse_hz, breath_hz=subject.breath_hz,
                             breath_mm=subject.breath_mm, steady=0.12)
        self.gauge_mm = kind.gauge_mm if kind else 0.9
        self.puncture = Puncture(subject, self.gauge_mm)
        self.rest = ProbePose(slide_mm=plan.slide_mm if plan else 0.0, press_mm=0.6)
        self.probe = self.rest
        self.curve = plan.bend_mm / plan.bend_at_mm**2 if plan else 0.0  # downward deflection is curve * way^2
        self.needle = plan.pose(-4.0) if plan else None
        self.pending = dict.fromkeys(RATES, 0.0)
        self.throw_left_mm = 0.0
        self.cocked = True
        self.depots: tuple[Bolus, ...] = ()  # where their tissue lies at rest
        self.total_ml = self.injected_ml = 0.0
        self.done = False
        self.state = SceneState(probe=self.probe, needle=self.needle)

    @property
    def tip_kind(self) -> Tissue:
        """What the tip is in."""
        return self.puncture.kind

    @property
    def blocked(self) -> bool:
        """Bone stopped the latest move."""
        return self.puncture.blocked

    def step(self, dt_s: float, controls: Controls = STILL) -> SceneState:
        """Advance by the time since the last frame [s]."""
        dt = min(max(float(dt_s), 1e-3), 0.2)
        m = self.motion.step(dt)
        wanted = self._take(controls, dt)
        pressed = self.probe.press_mm
        self._move_probe(wanted)
        probe = trembling(self.probe, m)
        bare = SceneState(probe=probe, breath_mm=m.breath_mm, pulse=m.pulse, gain_db=m.gain_db)
        scene = replace(bare, boluses=self._depots_now(bare))
        self.injected_ml, self.done = 0.0, self.done or controls.done
        if self.needle is None:
            self.state = scene
            return scene
        self.needle = carried(self.deformation, self.needle, replace(self.probe, press_mm=pressed), self.probe.press_mm)
        fired = self._fire(controls.fire)
        shift = self._shift(scene, m.breath_mm)
        before = self.needle.way_mm
        self._turn(wanted, probe, m.breath_mm, shift)
        self._advance(wanted["advance_mm"], dt, m.breath_mm, shift)
        self._inject(wanted["inject_ml"], m.breath_mm, bare)
        self.puncture.relax(dt)
        self.state = replace(
            scene, needle=held(self.needle, m.breath_mm), speed_mm_s=(self.needle.way_mm - before) / dt,
            drag_mm=self.puncture.drag_mm, tent_mm=self.puncture.tent_mm,
            boluses=self._depots_now(bare), fired=fired,
        )
        return self.state

    def _take(self, controls: Controls, dt: float) -> dict[str, float]:
        """What the hands do on this frame; the rest waits."""
        out = {}
        for f in fields(controls):
            if f.name not in RATES:
                continue
            value = float(getattr(controls, f.name))
            most, kept = RATES[f.name] * dt, RATES[f.name] * BACKLOG_S
            total = self.pending[f.name] + (value if math.isfinite(value) else 0.0)
            out[f.name] = min(max(total, -most), most)
            self.pending[f.name] = min(max(total - out[f.name], -kept), kept)
        return out

    def _move_probe(self, w: dict[str, float]) -> None:
        p, a = self.probe, self.probe.axes()
        x = float(p.slide_mm + w["slide_mm"] * a[0, 0] + w["sweep_mm"] * a[1, 0])
        y = float(p.sweep_mm + w["slide_mm"] * a[0, 1] + w["sweep_mm"] * a[1, 1])
        rest = self.rest.slide_mm
        self.probe = ProbePose(
            slide_mm=_within(x, min(rest, 0.0) - SLIDE_MM, max(rest, 0.0) + SLIDE_MM),
            sweep_mm=_within(y, -SWEEP_MM, SWEEP_MM),
            rock_rad=_within(p.rock_rad + math.radians(w["rock_deg"]), -ROCK_RAD, ROCK_RAD),
            tilt_rad=_within(p.tilt_rad + math.radians(w["tilt_deg"]), -TILT_RAD, TILT_RAD),
            twist_rad=_within(p.twist_rad + math.radians(w["twist_deg"]), -TWIST_RAD, TWIST_RAD),
            press_mm=_within(p.press_mm + w["press_mm"], *PRESS_MM),
        )

    def _shift(self, scene: SceneState, breath_mm: float) -> tuple[float, float]:
        """How far tissue at the tip is displaced by all but the needle [mm]."""
        assert self.needle is not None
        x, y, z = held(self.needle, breath_mm).tip_mm
        rx, _, rz = rest_of(self.deformation, scene, x, y, z)
        return x - float(rx), z - float(rz)

    def _depots_now(self, bare: SceneState) -> tuple[Bolus, ...]:
        """The injected fluid where pressure, breath and pulse have moved it on this frame."""
        now = []
        for depot in self.depots:
            x, y, z = (np.asarray(v) for v in depot.centre_mm)
            ux, uz = self.deformation.at(bare, x, y, z)
            now.append(replace(depot, centre_mm=(float(x + ux), float(y), float(z + uz))))
        return tuple(now)

    def _turn(self, w: dict[str, float], probe: ProbePose, breath_mm: float, shift: tuple[float, float]) -> None:
        """Angle, azimuth and entry."""
        n = self.needle
        assert n is not None
        deep = max(n.way_mm, 0.0)
        share = 1.0 / (1.0 + deep / PIVOT_MM)
        angle = _within(n.angle_rad + math.radians(w["angle_deg"]) * share, *ANGLE_RAD)
        turned = replace(n, angle_rad=angle, azimuth_rad=n.azimuth_rad + math.radians(w["swing_deg"]) * share)
        curve = self.curve
        if deep > 0:
            # Tissue holds the tip back, thin needles more: it lags behind the turn, and the shaft bends.
            lag = _within(0.55 - 0.2 * self.gauge_mm, 0.1, 0.5)
            curve -= lag * (angle - n.angle_rad) * deep / max(deep, 10.0) ** 2
        else:
            turned = replace(turned, entry_mm=self._entry(turned.entry_mm, w, probe))
        turned = self._bent(turned, curve)
        if deep > 0 and self.puncture.solid_at(held(turned, breath_mm), shift):
            return
        self.needle, self.curve = turned, turned.bend_mm / turned.bend_at_mm**2

    def _bent(self, n: NeedlePose, curve: float) -> NeedlePose:
        most = MOST_BEND_MM / max(n.way_mm, 15.0) ** 2
        at = max(n.bend_at_mm, 1.0)
        return replace(n, bend_mm=_within(curve, -most, most) * at**2)

    def _entry(self, entry: tuple[float, float, float], w: dict[str, float], probe: ProbePose
               ) -> tuple[float, float, float]:
        """Entry moved along the skin, kept beside the probe's face."""
        a = probe.axes()
        along, across = _level(a[0]), _level(a[1])
        x = entry[0] + w["entry_mm"] * along[0] + w["entry_across_mm"] * across[0]
        y = entry[1] + w["entry_mm"] * along[1] + w["entry_across_mm"] * across[1]
        dx, dy = x - probe.slide_mm, y - probe.sweep_mm
        u, v = dx * along[0] + dy * along[1], dx * across[0] + dy * across[1]
        half, thick = self.field.face_half_mm + 0.5, PROBE_HALF_THICK_MM
        if abs(u) < half and abs(v) < thick:
            # Leave by the nearer side; in doubt by that which the needle comes from.
            if half - abs(u) <= thick - abs(v):
                u = math.copysign(half, u)
            else:
                v = math.copysign(thick, v)
            x = probe.slide_mm + u * along[0] + v * across[0]
            y = probe.sweep_mm + u * along[1] + v * across[1]
        return _within(x, -AROUND_MM, AROUND_MM), _within(y, -AROUND_MM / 2, AROUND_MM / 2), self.field.skin_z(u)

    def _advance(self, by_mm: float, dt: float, breath_mm: float, shift: tuple[float, float]) -> None:
        n = self.needle
        assert n is not None
        way = n.way_mm

        def pose_at(to_mm: float) -> NeedlePose:
            return held(replace(n, way_mm=to_mm), breath_mm)

        if self.throw_left_mm > 0:
            throw = min(self.throw_left_mm, max(THROW_MM_S * dt, 0.5 * self._throw_mm + 1e-6))
            self.throw_left_mm -= throw
            way = self.puncture.move(pose_at, way, throw, shift, sharp=True)
            by_mm = 0.0
        goal = _within(way + by_mm, OUT_MM, LENGTH_MM)
        way = self.puncture.move(pose_at, way, goal - way, shift)
        if self.puncture.blocked:
            self.pending["advance_mm"] = self.throw_left_mm = 0.0
        # New way through tissue straightens the shaft towards its own bend.
        own = self.plan.bend_mm / self.plan.bend_at_mm**2 if self.plan else 0.0
        curve = own + (self.curve - own) * math.exp(-abs(way - n.way_mm) / 30.0) if way > 0 else own
        self.needle = self._bent(replace(n, way_mm=way), curve)
        self.curve = self.needle.bend_mm / self.needle.bend_at_mm**2
        if way <= 0:
            self.cocked = True

    @property
    def _throw_mm(self) -> float:
        return self.kind.throw_mm if self.kind else 0.0

    def _fire(self, asked: bool) -> bool:
        """Let the gun go; it fires in tissue only, and once until the needle was outside again."""
        if not (asked and self.cocked and self._throw_mm > 0 and self.needle and self.needle.way_mm > 0):
            return False
        self.cocked = False
        self.throw_left_mm = self._throw_mm
        self.pending["advance_mm"] = 0.0
        return True

    def _inject(self, ml: float, breath_mm: float, bare: SceneState) -> None:
        """Let fluid out at the tip: it joins a depot nearby or opens a new one, or flows off inside a vessel."""
        n = self.needle
        assert n is not None
        if ml <= 0 or n.way_mm <= 0:
            self.pending["inject_ml"] = min(self.pending["inject_ml"], 0.0)
            return
        ml = min(ml, MOST_ML - self.total_ml)
        if ml <= 0:
            return
        self.total_ml += ml
        self.injected_ml = ml
        if self.puncture.kind in RUNS_OFF:
            return
        at = self.puncture.place(held(n, breath_mm), self._shift(bare, breath_mm))
        self.depots = add_fluid(self.depots, at, ml, FLAT.get(self.puncture.kind, 1.3))


def add_fluid(boluses: tuple[Bolus, ...], at_mm: tuple[float, float, float], ml: float, flat: float = 1.3
              ) -> tuple[Bolus, ...]:
    """Boluses after some more fluid left a tip at a place at rest [mm]; no volume is lost.

    Parameters
    ----------
    flat : float
        How much wider than a ball of its volume a new depot spreads along the layers.
    """
    best, nearest = -1, math.inf
    for k, b in enumerate(boluses):
        off = math.dist(b.centre_mm, at_mm)
        gap = off - b.radius_mm[0] * (1.0 if abs(at_mm[2] - b.centre_mm[2]) < b.radius_mm[2] + 0.5 else 0.0)
        if gap < nearest:
            best, nearest = k, gap
    if best < 0 or (nearest > NEAR_BOLUS_MM and len(boluses) < MOST_BOLUSES):
        return (*boluses, Bolus(at_mm, ball_radii_mm(ml, flat), ml))
    old = boluses[best]
    wide = old.radius_mm[0] / (old.radius_mm[0] ** 2 * old.radius_mm[2]) ** (1 / 3)
    grown = Bolus(old.centre_mm, ball_radii_mm(old.volume_ml + ml, wide), old.volume_ml + ml)
    return (*boluses[:best], grown, *boluses[best + 1 :])


def ball_radii_mm(ml: float, flat: float) -> tuple[float, float, float]:
    """Half axes [mm] of an ellipsoid of a volume [ml], ``flat`` times as wide as a ball of it."""
    r = (3000.0 * ml / (4.0 * math.pi)) ** (1.0 / 3.0)
    return r * flat, r * flat, r / flat**2


def start_plan(
    rng: np.random.Generator, subject: Subject, field: FieldOfView, approach: Approach | None = None
) -> NeedlePlan:
    """Where a trainee holds the needle at first: beside the face, aimed about at the target, a few degrees off.

    Parameters
    ----------
    approach : {"in-plane", "out-of-plane"} or None
        None takes what the view asks for: across the plane in an infant's transverse view, else along it. In plane,
        the needle comes from the side whose straight way meets less that it must not hit.
    """
    off = float(np.clip(rng.normal(0.0, math.radians(3.0)), -0.1, 0.1))
    first = int(rng.choice([-1, 1]))
    if approach is None:
        across = (subject.procedure, subject.view) == ("infant-lp", "transverse")
        approach = "out-of-plane" if across else "in-plane"
    tx, ty, tz = _shown_target(subject, field)
    if approach == "out-of-plane":
        gap = float(np.clip(0.6 * tz, PROBE_HALF_THICK_MM + 1.0, 14.0))
        way = math.hypot(tz, gap)
        return on_skin(NeedlePlan((tx, ty - gap, 0.0), math.atan2(tz, gap) + off, math.pi / 2, max(0.0, way - 5.0),
                                  way, approach=approach), field)
    # A spinal needle that would lie too flat counts each degree as much as 0.3 mm of bone.
    least = math.radians(INFANT_DEG[0]) if subject.procedure == "infant-lp" else 0.0
    best = min((_start_beside(subject, field, side) for side in (first, -first)),
               key=lambda p: _meets(subject, p) + math.degrees(max(0.0, least - p.angle_rad)))
    return replace(best, angle_rad=best.angle_rad + off)


def _start_beside(subject: Subject, field: FieldOfView, side: int) -> NeedlePlan:
    """A straight way to the target in the plane, from the picture's left (side 1) or right (-1)."""
    tx, ty, tz = _shown_target(subject, field)
    slide = 0.0
    if subject.procedure == "infant-lp" and subject.view == "longitudinal":
        entry = tx - side * tz / math.tan(math.radians(0.5 * sum(INFANT_DEG)))
        # The probe stands aside, so that so steep a needle passes its end.
        slide = _within(entry + side * (field.face_half_mm + 1.5), -SLIDE_MM, SLIDE_MM)
        face = slide - side * (field.face_half_mm + 1.0)
    else:
        face = -side * (field.face_half_mm + 2.0)
        # Deep targets are met steeply, yet the needle comes into the picture within its upper part.
        reach = max(side * (tx - face), 3.0)
        steep = _within(math.degrees(math.atan2(max(tz - 5.0, 0.3 * tz), reach)), 12.0, 60.0)
        entry = tx - side * tz / math.tan(math.radians(steep))
    entry = side * min(side * entry, side * face)
    angle, goal = math.atan2(tz, side * (tx - entry)), math.hypot(tz, tx - entry)
    return on_skin(NeedlePlan((entry, ty if abs(ty) < 2.0 else 0.0, 0.0), angle, 0.0 if side > 0 else math.pi, 2.0,
                              goal, slide_mm=slide), field)


def _shown_target(subject: Subject, field: FieldOfView) -> tuple[float, float, float]:
    """Where the target shows before anything moves [mm], at least 3 mm deep."""
    x, y, z = subject.target.centre_mm
    at_x, at_z = field.shown(x, z)
    return float(at_x), y, max(float(at_z), 3.0)


def _meets(subject: Subject, plan: NeedlePlan) -> int:
    """How much of a straight way to the target lies in what must not be hit, or in bone."""
    kinds = label_at(subject, *plan.pose(0.0).points(np.arange(0.0, plan.goal_mm, 0.3)))
    bad = subject.forbidden - subject.target.inside | {Tissue.BONE}
    return int(np.isin(kinds, [int(kind) for kind in bad]).sum())


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _level(axis: np.ndarray) -> tuple[float, float]:
    """Direction of an axis seen from above."""
    length = math.hypot(axis[0], axis[1]) or 1.0
    return float(axis[0]) / length, float(axis[1]) / length
