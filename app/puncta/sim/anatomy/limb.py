"""Limbs: muscles between fascia, bone, and in them a nerve with its vessels, or an artery and a vein to puncture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from puncta.sim.anatomy.canvas import Canvas
from puncta.sim.anatomy.layers import (
    SIGHT_X_MM,
    distract,
    paint_belly,
    paint_fat,
    paint_loose,
    paint_muscle,
    paint_skin,
    sheath,
)
from puncta.sim.anatomy.marks import Strand
from puncta.sim.anatomy.noise import Surface
from puncta.sim.anatomy.options import SubjectOptions
from puncta.sim.anatomy.shapes import Body
from puncta.sim.subject import PointMm, Subject, Target, Vessel
from puncta.sim.tissue_kinds import Tissue


@dataclass(frozen=True, slots=True, eq=False)
class Limb:
    """A painted limb: skin thickness [mm], the fascia over each muscle, and how deep a picture shows [mm]."""

    skin_mm: float
    fascia: list[Surface]
    depth_mm: float


def build_nerve(c: Canvas, options: SubjectOptions) -> Subject:
    """Paint a nerve in short axis between muscles, with artery, vein and bone near it."""
    limb = _paint_limb(c, (26.0, 44.0))
    x, side = c.u(-7.0, 7.0), c.sign()
    rx, rz = c.u(1.8, 4.6), c.u(1.2, 2.8)
    z = _resting_depth(c, limb, x, rz, (0.32, 0.62))
    shape = str(c.rng.choice(["oval", "triangular", "round"], p=[0.5, 0.25, 0.25]))
    if shape == "round":
        rx = rz = min(rx, 3.0)
    if c.chance(0.55):
        _bone_below(c, (x - side * c.u(0.0, 10.0), z + rz + c.u(5.0, 13.0)))
    c.texture(c.u(1.4, 3.2), c.u(3.0, 7.0), dip=limb.fascia[0])
    distract(c, limb.depth_mm)
    way = _gentle(c, 0.16)
    has_artery, has_vein = c.chance(0.75), c.chance(0.55)
    artery_r, vein_r, near, far = c.u(1.3, 3.2), c.u(1.2, 3.2), c.u(0.8, 4.0), c.u(0.6, 2.0)
    artery_x = x + side * (rx + 0.8 + near + artery_r)
    artery_z = z + c.u(-2.0, 2.5)
    vein_flat = c.u(0.5, 0.9)
    if has_artery:
        _paint_vessel(c, "artery", Tissue.ARTERY, (artery_x, 0.0, artery_z), way, (artery_r, artery_r),
                      pulse_mm=c.u(0.08, 0.3))
    if has_vein:
        vein_x = artery_x + side * (artery_r + far + vein_r + 0.6)
        vein_z = max(artery_z + c.u(-1.5, 2.0), limb.skin_mm + vein_r + 2.0)
        _paint_vessel(c, "vein", Tissue.VEIN, (vein_x, 0.0, vein_z), way, (vein_r, vein_r * vein_flat),
                      pulse_mm=c.u(0.0, 0.06), collapse=c.u(0.12, 0.3))
    body = _paint_nerve(c, (x, 0.0, z), way, (rx, rz), shape)
    # Local anaesthetic goes beside or below the nerve, away from the vessels.
    angle = c.u(0.1, 0.5) * math.pi
    step = np.array([-side * math.cos(angle), 0.0, math.sin(angle)])
    reach = 1.0 / float(body.distance(*(np.array([v]) for v in np.array([x, 0.0, z]) + step))[0]) + c.u(1.3, 2.2)
    spot = np.array([x, 0.0, z]) + step * reach
    return c.subject(
        view="short-axis", target=Target("beside the nerve", (float(spot[0]), 0.0, float(spot[2])), 2.0),
        forbidden=frozenset({Tissue.NERVE, Tissue.ARTERY, Tissue.VEIN}), skin_mm=limb.skin_mm,
        depth_mm=float(np.clip(max(limb.depth_mm * 0.8, z + rz + c.u(7.0, 14.0)), 24.0, 48.0)), breath_mm=(0.0, 0.5),
        facts={"nerve_x_mm": round(x, 2), "nerve_depth_mm": round(z, 2), "nerve_width_mm": round(2 * rx, 2),
               "nerve_height_mm": round(2 * rz, 2), "nerve_shape": shape, "artery": has_artery, "vein": has_vein},
    )


def build_vessel(c: Canvas, options: SubjectOptions) -> Subject:
    """Paint a vein and an artery side by side."""
    view = options.view or "short-axis"
    limb = _paint_limb(c, (22.0, 38.0))
    long_axis = view == "long-axis"
    vein_r, artery_r = c.u(1.6, 4.6), c.u(1.2, 3.2)
    flat = c.u(0.5, 0.95)
    x = 0.0 if long_axis else c.u(-7.0, 7.0)
    z = _resting_depth(c, limb, x, vein_r * flat, (0.25, 0.55), near_fascia=False)
    z = min(z, 24.0)
    side, gap = c.sign(), c.u(0.9, 2.6)
    deeper = c.u(-2.0, 4.5)
    way = _gentle(c, 0.14)
    if c.chance(0.35):
        _bone_below(c, (x + c.u(-8, 8), z + vein_r + c.u(7.0, 15.0)))
    c.texture(c.u(1.4, 3.2), c.u(3.0, 7.0), dip=limb.fascia[0])
    distract(c, limb.depth_mm)
    apart = side * (vein_r + gap + artery_r + 0.6)
    artery_z = max(z + deeper, limb.skin_mm + artery_r + 2.5)
    artery_at: PointMm = (x + apart, 0.0, artery_z)
    if long_axis:
        slope = math.tan(math.radians(c.u(-7, 7)))
        way = _unit((1.0, math.tan(math.radians(c.u(-3, 3))), slope))
        artery_at = (0.0, apart, artery_z)
    vein = _paint_vessel(c, "vein", Tissue.VEIN, (x, 0.0, z), way, (vein_r, vein_r * flat), pulse_mm=c.u(0.0, 0.07),
                         collapse=c.u(0.1, 0.3))
    _paint_vessel(c, "artery", Tissue.ARTERY, artery_at, way, (artery_r, artery_r), pulse_mm=c.u(0.12, 0.4))
    if c.chance(0.4):  # a small companion, nerve or vein, beside the artery
        ahead = np.sign(apart) * (artery_r + c.u(1.6, 3.0))
        beside = (artery_at[0], artery_at[1] + ahead) if long_axis else (artery_at[0] + ahead, 0.0)
        _paint_nerve(c, (beside[0], beside[1], artery_z + c.u(-1, 1)), way, (c.u(1.0, 1.8), c.u(0.8, 1.3)), "oval")
    depth = max(0.75 * limb.depth_mm, z + vein_r + c.u(6.0, 14.0), artery_z + artery_r + 4.0)
    depth = float(np.clip(depth, 20.0, 42.0))
    return c.subject(
        view=view, target=Target("vein lumen", (x, 0.0, z), max(0.8, 0.85 * vein.radius_mm[1]),
                                 frozenset({Tissue.VEIN})),
        forbidden=frozenset({Tissue.ARTERY, Tissue.NERVE}), skin_mm=limb.skin_mm, depth_mm=depth, breath_mm=(0.0, 0.5),
        facts={"vein_depth_mm": round(z, 2), "vein_width_mm": round(2 * vein_r, 2),
               "vein_height_mm": round(2 * vein_r * flat, 2), "artery_depth_mm": round(artery_z, 2),
               "artery_diameter_mm": round(2 * artery_r, 2), "artery_side": "right" if apart > 0 else "left"},
    )


def _unit(direction: PointMm) -> PointMm:
    d = np.asarray(direction, float)
    return tuple(float(v) for v in d / np.linalg.norm(d))  # type: ignore[return-value]


def _gentle(c: Canvas, deviation: float) -> PointMm:
    """A direction that runs nearly straight through the picture."""
    return _unit((float(np.clip(c.rng.normal(0, deviation), -0.3, 0.3)), 1.0,
                  float(np.clip(c.rng.normal(0, deviation / 2), -0.15, 0.15))))


def _resting_depth(
    c: Canvas, limb: Limb, x: float, half_height: float, share: tuple[float, float], near_fascia: bool = True
) -> float:
    """A depth for a structure, on a fascia within reach where there is one."""
    z = c.u(*share) * limb.depth_mm
    off = c.u(-0.5, 1.5)
    low = limb.skin_mm + half_height + 3.0
    borders = [float(surface(x, 0.0)) for surface in limb.fascia]
    close = [b for b in borders if low < b + off < 0.8 * limb.depth_mm and abs(b - z) < 7.0]
    if near_fascia and close:
        z = min(close, key=lambda b: abs(b - z)) + off
    return max(z, low)


def _paint_limb(c: Canvas, depth_range: tuple[float, float]) -> Limb:
    """Skin, fat, and muscles with fascia between them."""
    depth = c.u(*depth_range)
    skin_mm = c.u(0.8, 2.2)
    skin = paint_skin(c, skin_mm)
    border = (c.waves(10.0, 0.6) + (skin_mm + c.u(0.07, 0.25) * depth)).at_least(skin, 1.0)
    paint_fat(c, skin, border, fibrous=c.u(0.0, 1.0))
    fascia = _paint_bellies(c, border, depth) if c.chance(0.45) else _paint_muscles(c, border, depth)
    if c.chance(0.5):  # a septum aslant through the muscles
        septum = Surface.plane(math.tan(math.radians(c.u(-24, 24))), c.u(-0.1, 0.1), c.u(-12, 12))
        septum = (c.waves(10.0, 0.4) + c.u(0.3, 0.8) * depth + septum).at_least(fascia[0], 0.5)
        sheath(c, septum)
    # Some bodies let less sound through: their depths are dark.
    c.attenuation *= np.float32(c.u(0.85, 1.3))
    if c.chance(0.4):
        # Interstitial tissue: many short level streaks, which heavy filtering turns into a smeared texture.
        c.strands(c.u(6.0, 18.0), skin + 0.5, Surface.flat(depth),
                  Strand((-22, 2), (0.5, 4.5), c.u(-6, 6), 5.0, (0.8, 2.4)), x_range=SIGHT_X_MM)
    return Limb(skin_mm, fascia, depth)


def _paint_muscles(c: Canvas, border: Surface, depth: float) -> list[Surface]:
    """Muscles in long section, one below the other; returns the fascia over each."""
    fascia = [border]
    slope = c.u(5, 22) * c.sign()
    while border.nominal_mm < depth + 4.0 and len(fascia) < 5:
        tilt = Surface.plane(0.6 * math.tan(math.radians(c.u(-14, 14))), c.u(-0.08, 0.08), c.u(-8, 8))
        following = c.waves(11.0, c.u(0.2, 0.9)) + (border + c.u(0.16, 0.45) * depth) + tilt
        following = following.at_least(border, 1.2)
        paint_muscle(c, border, following, slope)
        slope = -slope if c.chance(0.6) else c.u(-20, 20)
        border = following
        fascia.append(border)
    paint_muscle(c, border, None, slope)
    return fascia


def _paint_bellies(c: Canvas, border: Surface, depth: float) -> list[Surface]:
    """Muscle bellies in cross-section, side by side in loose tissue, over a deep muscle; returns fascia."""
    paint_loose(c, border, depth + 8.0)
    deep = c.waves(14.0, 1.2) + c.u(0.6, 0.9) * depth + Surface.plane(c.u(-0.15, 0.15))
    deep = deep.at_least(border, 6.0)
    paint_muscle(c, deep, None, c.u(-12, 12))
    sheath(c, border)
    x, right = c.u(-34, -20), -math.inf
    while x < 30.0:
        wide, high = c.u(5.0, 13.0), c.u(2.6, 6.5)
        room = max(border.nominal_mm + high + 1.0, c.u(0.2, 0.62) * depth)
        # Neighbours lie against each other, not in each other.
        thin = min(wide, max(0.9 * (x - right), 2.5))
        body = Body.tube((x, 0.0, room), (c.u(-0.25, 0.25), 1.0, c.u(-0.08, 0.08)), (thin, high), c.u(-25, 25))
        paint_belly(c, body.ragged(c.rng, 0.3, 2, 5, turn=0.03))
        right = x + thin
        x += wide * c.u(0.8, 1.8)
    return [border, deep]


def _bone_below(c: Canvas, at: tuple[float, float]) -> None:
    """A shaft of bone across the picture, or a plate aslant, with shadow."""
    x, z = at
    level = c.u(-5, 3)
    round_bone = c.chance(0.6)
    radius, way, ratio = c.u(7.0, 13.0), (c.u(-0.25, 0.25), 1.0, c.u(-0.06, 0.06)), c.u(0.75, 1.0)
    tilt, slope = c.u(-0.4, 0.4), c.waves(8.0, c.u(0.05, 0.4))
    if round_bone:
        body = Body.tube((x, 0.0, z + radius * ratio), way, (radius, radius * ratio)).ragged(c.rng, 0.05, 2, 5, 0.02)
        c.hide(body)
        c.paint(body, Tissue.BONE, -46.0)
        c.bone_face(body.border(c.xs[None, :].astype(float), c.ys[:, None].astype(float), -1).astype(np.float32), level)
        return
    plate = (slope + z) + Surface.plane(tilt, c.u(-0.1, 0.1), x)
    half = c.u(8.0, 30.0)
    depth = c.grid(plate.at_least(Surface.flat(6.0))) + (7.0 * (np.abs(c.xs - x) / np.float32(half)) ** 5)[None, :]
    depth[:, np.abs(c.xs - x) > half] = np.nan
    c.bone(depth, level, thick_mm=8.0)


def _paint_vessel(
    c: Canvas, name: str, kind: Tissue, centre: PointMm, way: PointMm, radius: tuple[float, float], *,
    pulse_mm: float, collapse: float = 0.0,
) -> Vessel:
    """A vessel with its wall, nearly free of echoes inside."""
    vessel = Vessel(name, kind, centre, way, radius, pulse_mm, collapse)
    lumen = Body.tube(centre, way, radius).ragged(c.rng, 0.09 if kind is Tissue.VEIN else 0.05, 2, 5, turn=0.03)
    lumen = lumen.swelling(c.rng, 0.05, 22.0)
    artery = kind is Tissue.ARTERY
    wall_mm, soft = (c.u(0.45, 0.8) if artery else c.u(0.3, 0.5)), c.u(0.3, 1.0)
    around, sheath_db = c.u(0.2, 0.7), c.u(-30, -21)
    c.hide(lumen.grown(wall_mm), -45.0)
    # Loose tissue around it, uneven and often not there.
    c.paint(lumen.grown(wall_mm + around).ragged(c.rng, 0.25, 2, 6), None, sheath_db, soft_mm=1.2)
    c.paint(lumen.grown(wall_mm), Tissue.VESSEL_WALL, c.u(-30, -20), soft_mm=0.7)
    clutter = c.u(-54, -45) if c.chance(0.5) else c.u(-46, -38)
    c.paint(lumen, kind, clutter, soft_mm=soft, attenuation=c.u(0.25, 0.6))
    for sign in (-1, 1):
        bright, gaps = c.u(-15, -5) if artery else c.u(-19, -9), c.u(0.0, 0.3)
        c.wall(lumen, sign, bright, share=0.72, rough_mm=4.0, thick_mm=0.1, specular=0.6, patchy_db=2.0, gaps=gaps)
        if artery:  # intima and adventitia: two lines
            c.wall(lumen.grown(wall_mm), sign, bright + 1.0, share=0.66, rough_mm=4.0, thick_mm=0.12, specular=0.6,
                   patchy_db=2.0)
    c.vessels.append(vessel)
    return vessel


def _paint_nerve(
    c: Canvas, centre: PointMm, way: PointMm, radius: tuple[float, float], shape: str
) -> Body:
    """A nerve: a bright sheath and honeycomb around dark fascicles; returns its border."""
    rx, rz = radius
    body = Body.tube(centre, way, (rx, rz), c.u(-18, 18)).ragged(c.rng, 0.08, 2, 5, turn=0.01)
    if shape == "triangular":
        corner = ((3, 0.16, float(c.rng.choice([0.5, 1.5])) * math.pi, 0.0),)
        body = Body(body.centre_mm, body.frame, body.half_mm, body.radius_mm, body.lobes + corner)
    c.hide(body.grown(0.6), -26.0)
    c.paint(body.grown(c.u(0.2, 0.7)).ragged(c.rng, 0.2, 2, 6), None, c.u(-24, -15), soft_mm=1.0)
    c.paint(body, Tissue.NERVE, c.u(-20, -13), soft_mm=0.5)
    pitch = c.u(0.9, 1.8) if max(rx, rz) > 1.9 else c.u(0.7, 1.0)
    turn, dark = c.u(0, math.pi), c.u(-40, -32)
    across, down = (row / float(row @ row) for row in body.frame)  # half axes as vectors [mm]
    steps = range(-int(max(rx, rz) / pitch) - 1, int(max(rx, rz) / pitch) + 2)
    for i in steps:
        for j in steps:
            p = pitch * (i + 0.5 * j) + c.u(-0.2, 0.2) * pitch, pitch * 0.87 * j + c.u(-0.2, 0.2) * pitch
            q = (p[0] * math.cos(turn) - p[1] * math.sin(turn), p[0] * math.sin(turn) + p[1] * math.cos(turn))
            size, flat, drift = pitch * c.u(0.34, 0.56), c.u(0.75, 1.0), (c.u(-0.03, 0.03), c.u(-0.03, 0.03))
            at = np.array(centre) + across * (q[0] / rx) + down * (q[1] / rz)
            room = float(body.distance(*(np.array([v]) for v in at))[0])
            if room > 1.02 - 0.7 * size / min(rx, rz):
                continue
            if abs(way[1]) > abs(way[0]):
                along = (way[0] + drift[0], way[1], way[2] + drift[1])
            else:
                along = (way[0], way[1] + drift[0], way[2] + drift[1])
            fascicle = Body.tube(tuple(float(v) for v in at), along, (size, size * flat))  # type: ignore[arg-type]
            c.paint(fascicle, Tissue.NERVE, dark, soft_mm=0.3, within=(Tissue.NERVE,))
    for sign in (-1, 1):  # epineurium
        c.wall(body, sign, c.u(-18, -8), share=0.85, rough_mm=c.u(0.8, 3.0), thick_mm=0.15, patchy_db=3.0,
               gaps=c.u(0.0, 0.4))
    return body

