"""Breast masses: cyst, benign and malignant."""

from __future__ import annotations

import math

import numpy as np

from puncta.sim.anatomy.canvas import Canvas
from puncta.sim.anatomy.shapes import Body
from puncta.sim.subject import PointMm
from puncta.sim.tissue_kinds import Tissue

REFERENCE_MHZ = 9.0
"""Frequency at which a mass's shadow or enhancement has the level drawn for it."""


def paint_mass(c: Canvas, kind: str, centre_mm: PointMm, radius_mm: float) -> float:
    """Paint a mass; returns the radius within which its centre counts as reached [mm]."""
    if kind == "cyst":
        return _cyst(c, centre_mm, radius_mm)
    if kind == "benign":
        return _benign(c, centre_mm, radius_mm)
    if kind == "malignant":
        return _malignant(c, centre_mm, radius_mm)
    return 3.0


def _loss(change_db: float, height_mm: float) -> float:
    """Attenuation [dB/cm/MHz] of a body that changes the level below it by ``change_db`` against gland."""
    return max(0.01, 0.75 - change_db / (2.0 * REFERENCE_MHZ * height_mm / 10.0))


def _cyst(c: Canvas, centre: PointMm, radius: float) -> float:
    flat = c.u(0.6, 1.0)
    body = Body.ellipsoid(centre, (radius, radius * c.u(0.8, 1.1), radius * flat), c.u(-8, 8)).ragged(c.rng, 0.05, 2, 4)
    c.hide(body, -45.0)
    c.paint(body.grown(0.35), None, c.u(-20, -15))
    c.paint(body, Tissue.CYST, c.u(-60, -52) if c.chance(0.8) else c.u(-48, -42), soft_mm=0.3,
            attenuation=_loss(c.u(4, 8), 2 * radius * flat))
    for sign in (-1, 1):
        c.wall(body, sign, c.u(-17, -8), share=0.75, rough_mm=4.0, thick_mm=0.05, patchy_db=2.0)
    return max(1.5, 0.8 * radius * flat)


def _benign(c: Canvas, centre: PointMm, radius: float) -> float:
    flat = c.u(0.45, 0.72)
    body = Body.ellipsoid(centre, (radius, radius * c.u(0.75, 1.0), radius * flat), c.u(-10, 10))
    body = body.ragged(c.rng, c.u(0.04, 0.16), 2, 3, turn=0.1).ragged(c.rng, 0.06, 4, 6, turn=0.1)
    c.hide(body, -38.0)
    c.paint(body.grown(0.3), None, c.u(-19, -14))
    level = c.u(-40, -32)
    c.paint(body, Tissue.BENIGN_MASS, level, soft_mm=0.3, attenuation=_loss(c.u(-2, 4), 2 * radius * flat))
    _inner_grain(c, body, c.u(0.5, 1.3))
    for sign in (-1, 1):
        c.wall(body, sign, c.u(-20, -12), share=0.8, rough_mm=4.0, thick_mm=0.05, patchy_db=2.0, gaps=0.1)
    return max(1.5, 0.8 * radius * flat)


def _malignant(c: Canvas, centre: PointMm, radius: float) -> float:
    wide, tall = radius * c.u(0.65, 0.85), radius * c.u(0.95, 1.3)
    halo = Body.ellipsoid(centre, (wide * 1.45, wide * 1.4, tall * 1.25)).ragged(c.rng, 0.35, 2, 8)
    box, weight = c.weight(halo, 1.6)
    rim_db = c.u(-17, -13)
    if weight.size:  # desmoplastic rim: brighter than what it grew into
        c.level[box] += weight * np.maximum(np.float32(rim_db) - c.level[box], 0.0)
    body = Body.ellipsoid(centre, (wide, wide, tall), c.u(-22, 22))
    body = body.ragged(c.rng, 0.25, 2, 7).ragged(c.rng, c.u(0.15, 0.5), 7, 14, turn=0.4)
    c.hide(body, -20.0)
    c.paint(body, Tissue.MALIGNANT_MASS, c.u(-42, -35), soft_mm=c.u(0.7, 1.5), attenuation=_loss(-c.u(6, 12), 2 * tall))
    _inner_grain(c, body, c.u(0.8, 1.8))
    for _ in range(c.n(16, 34)):  # spicules run out into the tissue around
        a, start, length = c.u(0, 2 * math.pi), c.u(0.8, 1.05), c.u(1.2, 5.0)
        bend, dark = c.u(-0.12, 0.12), c.chance(0.35)
        s = np.linspace(0, length, 20)
        x = centre[0] + (wide * start + s) * math.cos(a) - bend * s * s * math.sin(a)
        z = centre[2] + (tall * start + s) * math.sin(a) + bend * s * s * math.cos(a)
        y, level = centre[1] + c.u(-0.8, 0.8) * wide, c.u(-24, -12)
        look = {"y": y, "reach_mm": c.u(0.5, 1.5), "rough_mm": c.u(0.3, 1.0), "thick_mm": c.u(0.05, 0.25),
                "specular": 0.2, "patchy_db": 3.0}
        if not dark:
            c.line(x, z, level, **look)
        else:
            c.lift(Body.ellipsoid((float(x[6]), y, float(z[6])), (length / 2, 0.8, 0.28), math.degrees(a)), -9.0, 0.5)
    for _ in range(c.n(3, 12) if c.chance(0.4) else 0):  # calcium
        q, a = math.sqrt(c.u(0, 0.6)), c.u(0, 2 * math.pi)
        s = np.linspace(-0.12, 0.12, 4)
        c.line(centre[0] + wide * q * math.cos(a) + s, centre[2] + tall * q * math.sin(a) + 0 * s, c.u(-10, 0),
               y=centre[1] + c.u(-0.6, 0.6) * wide, reach_mm=c.u(0.3, 0.6), rough_mm=3.0, thick_mm=0.08, specular=0.0,
               patchy_db=0.5, fade_ends=False)
    return max(1.5, 0.9 * wide)


def _inner_grain(c: Canvas, body: Body, strength_db: float) -> None:
    """Unevenness inside a mass."""
    fine, broad = c.noise((1.2, 1.5, 0.7)), c.noise((3.0, 3.0, 2.0))
    box, weight = c.weight(body)
    for k, j in enumerate(range(box[0].start, box[0].stop)):
        y = float(c.ys[j])
        add = (fine.at(y) + broad.at(y))[box[1], box[2]]
        c.level[j, box[1], box[2]] += np.float32(strength_db) * weight[k] * add
