"""What all bodies share: skin, fat, muscle, and the distractors that a needle finder must learn to leave alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from puncta.sim.anatomy.canvas import Canvas, Float32
from puncta.sim.anatomy.marks import Strand
from puncta.sim.anatomy.noise import Noise, Surface
from puncta.sim.anatomy.shapes import Body
from puncta.sim.tissue_kinds import Tissue

SIGHT_X_MM = (-30.0, 30.0)
"""Where an operator's picture may reach; fine structures are drawn here."""


def ridges(noise: Noise, width: float, gain_db: float, y: float, broken: Noise | None = None) -> Float32:
    """Curved septa: bright where the noise passes zero, which it does on closed, winding surfaces.

    ``broken`` is noise that dims parts of them.
    """
    value = noise.at(y) * np.float32(1.0 / width)
    bright = np.float32(gain_db) * np.exp(-(value * value))
    return bright if broken is None else bright * np.clip(np.float32(0.55) + np.float32(0.7) * broken.at(y), 0.0, 1.3)


def paint_skin(c: Canvas, thickness_mm: float) -> Surface:
    """Bright layered skin; returns its lower border."""
    border = c.waves(9.0, 0.07) + thickness_mm
    top = Surface.flat(0.0)
    c.layer(Tissue.SKIN, top, border, c.u(-27, -17))
    c.sheet(Surface.flat(0.12), c.u(-12, 0), rough_mm=20.0, patchy_db=1.0, specular=0.0)
    for share in c.rng.uniform(0.25, 1.6, c.n(1, 6)):  # layers seen as parallel lines
        c.sheet(border * float(share) + c.waves(7.0, 0.05), c.u(-22, -8), rough_mm=4.0, thick_mm=0.06, patchy_db=3.0,
                gaps=c.u(0.2, 0.8))
    c.sheet(border, c.u(-20, -7), rough_mm=4.0, thick_mm=0.1, patchy_db=2.5, gaps=c.u(0.0, 0.5))
    return border


def fibres(c: Canvas, dip: Surface, gain_db: float) -> Callable[[float], Float32]:
    """Flat winding bright fibres, dense in some places and missing in others [dB]."""
    thin = c.u(0.7, 1.5)
    long = thin * c.u(5, 12)
    threads, crowd = c.noise((long, 0.8 * long, thin), dip=dip), c.noise((c.u(5, 10), 5.0, c.u(1.5, 3.0)), dip=dip)
    width = c.u(0.15, 0.3)
    return lambda y: ridges(threads, width, gain_db, y, crowd)


def paint_fat(
    c: Canvas, top: Surface, bottom: Surface, *, septa_db: float | None = None, fibrous: float = 0.0
) -> None:
    """Dark lobules between bright winding septa; ``fibrous`` 0..1 adds flat bright fibres, as over a limb's fascia."""
    c.layer(Tissue.FAT, top, bottom, c.u(-31, -26) - 4.0 * fibrous)
    fibre = fibres(c, bottom, c.u(10.0, 20.0) * fibrous)
    height = c.u(1.5, 3.2)
    lobules = c.noise((height * c.u(1.8, 4.0), height * c.u(1.6, 3.0), height), dip=bottom)
    width, gain = c.u(0.09, 0.17), c.u(8.0, 15.0) if septa_db is None else septa_db
    tone, tone_db = c.noise((6.0, 5.0, 2.2), dip=bottom), c.u(0.6, 1.8)
    c.grain(lambda y: fibre(y) + ridges(lobules, width, gain, y, tone) + np.float32(tone_db) * tone.at(y), top, bottom)
    c.strands(c.u(2.0, 6.0) + 10.0 * fibrous, top, bottom,
              Strand((-22, -1), (1.0, 13.0), spread_deg=8.0, reach_mm=(1.0, 5.0), gaps=0.3, wave=c.u(1.0, 4.0)),
              x_range=SIGHT_X_MM)


def paint_muscle(c: Canvas, top: Surface, bottom: Surface | None, slope_deg: float) -> None:
    """Dark muscle with bright perimysium aslant (pennate), and sheaths on its upper border."""
    end = bottom if bottom is not None else top + 16.0
    c.layer(Tissue.MUSCLE, top, bottom, c.u(-36, -27))
    across = c.u(0.6, 1.3)
    grain = c.noise((across * c.u(9, 22), across * c.u(3, 6), across), slope_deg)
    bundles = c.noise((across * c.u(16, 34), across * c.u(5, 9), across * c.u(2.2, 3.2)), slope_deg + c.u(-3, 3))
    width, gain, gain2 = c.u(0.15, 0.3), c.u(5.0, 10.0), c.u(6.0, 13.0)
    c.grain(lambda y: ridges(grain, width, gain, y) + ridges(bundles, 0.1, gain2, y), top, bottom)
    c.strands(c.u(2.5, 14.0), top, end,
              Strand((-26, -1), (1.0, 12.0), slope_deg, 2.5, reach_mm=(0.8, 3.5), gaps=0.2), x_range=SIGHT_X_MM)
    sheath(c, top)


def paint_loose(c: Canvas, top: Surface, bottom_mm: float) -> None:
    """Loose tissue between muscle bellies: uneven, full of bright winding strands."""
    c.layer(Tissue.CONNECTIVE, top, None, c.u(-35, -27), attenuation=0.9)
    fibre, more = fibres(c, top, c.u(9.0, 18.0)), fibres(c, top, c.u(5.0, 15.0))
    tone, tone_db = c.noise((c.u(6, 12), c.u(6, 10), c.u(2, 5))), c.u(2.5, 5.0)
    c.grain(lambda y: fibre(y) + more(y) + np.float32(tone_db) * tone.at(y), top)
    c.strands(c.u(6.0, 18.0), top, Surface.flat(bottom_mm),
              Strand((-20, 2), (1.0, 10.0), c.u(-6, 6), 9.0, (0.8, 3.0), gaps=0.25, wave=c.u(2.0, 5.0)),
              x_range=SIGHT_X_MM)


def paint_belly(c: Canvas, body: Body) -> None:
    """A muscle belly in cross-section: dark with short dashes and dots of perimysium, in a bright sheath."""
    c.hide(body, -40.0)
    c.paint(body.grown(0.3), Tissue.FASCIA, c.u(-24, -17), soft_mm=0.5)
    c.paint(body, Tissue.MUSCLE, c.u(-36, -29), soft_mm=0.5)
    upper = Surface(lambda x, y: body.border(x, y, -1), body.centre_mm[2] - 0.6 * body.half_mm[2])
    lower = Surface(lambda x, y: body.border(x, y, 1), body.centre_mm[2] + 0.6 * body.half_mm[2])
    half = body.half_mm[0] if math.isfinite(body.half_mm[0]) else 12.0
    c.strands(c.u(4.0, 18.0), upper, lower, Strand((-23, 1), (0.4, 4.0), c.u(-18, 18), 7.0, (0.6, 3.0), gaps=0.1),
              x_range=(body.centre_mm[0] - half, body.centre_mm[0] + half))
    for sign in (-1, 1):
        for k in range(c.n(1, 3)):
            c.wall(body.grown(0.3 * k), sign, c.u(-19, -7), share=0.93, rough_mm=c.u(0.6, 3.0), thick_mm=c.u(0.08, 0.2),
                   specular=0.3, patchy_db=3.0, gaps=c.u(0.25, 0.65))


def sheath(c: Canvas, surface: Surface) -> None:
    """Fascia over a muscle: one or two bright sheets."""
    c.layer(Tissue.FASCIA, surface + -0.15, surface + 0.3, c.u(-24, -17), soft_mm=0.3)
    for k in range(c.n(1, 4)):
        c.sheet(surface + 0.3 * k + c.waves(1.8, c.u(0.03, 0.1)), c.u(-19, -6), rough_mm=c.u(0.5, 3.0),
                thick_mm=c.u(0.08, 0.35), gaps=c.u(0.1, 0.6))
    if c.chance(0.4):
        c.sheet(surface + 0.1, c.u(-16, -3), rough_mm=c.u(0.7, 4.0), thick_mm=c.u(0.1, 0.4), patchy_db=5.0,
                gaps=c.u(0.0, 0.5))


def look_alikes(c: Canvas, depth_mm: float, half_width_mm: float) -> None:
    """Straight bright lines that are not needles, often brighter than one: fascia or bone aslant."""
    for _ in range(int(c.rng.choice([0, 1, 1, 2]))):
        slope = math.radians(c.u(-32, 32))
        length = c.u(0.25, 1.2) * 2 * half_width_mm
        cx, depth = c.u(-half_width_mm, half_width_mm), c.u(0.3, 0.9) * depth_mm
        s = np.linspace(-length / 2, length / 2, 80)
        relief, across = c.waves(6.0, c.u(0.05, 0.4)), c.u(-0.25, 0.25)
        y0, reach, level = c.u(-6, 6), c.u(1.0, 9.0), c.u(-9, 4)
        x, z = cx + s * math.cos(slope), depth + s * math.sin(slope) + relief(s, 0.0)
        keep = z > 3.0
        bony, leak, count = c.chance(0.35), c.u(0.5, 0.99), c.n(1, 4)
        looks = [(c.u(0.4, 3.0), c.u(0.05, 0.4), c.u(0.0, 0.3)) for _ in range(4)]
        if keep.sum() < 8:
            continue
        if bony:  # a plate that takes away a part of the beam
            body = Body.ellipsoid((cx, y0, depth + 0.9), (length / 2, 2.0 * reach, 0.8), math.degrees(slope))
            box, weight = c.weight(body, 0.3)
            if weight.size:
                loss = c.attenuation[box]
                loss += (weight > 0.5) * np.float32(14.0 * (1.0 - leak))
        for k in range(count + bony):
            rough, thick, gaps = looks[k]
            c.line(x[keep], z[keep] + 0.15 * k, level - 3.0 * k, y=y0, reach_mm=reach, shear=(0.0, across),
                   rough_mm=rough, thick_mm=thick, specular=0.2, patchy_db=3.5, gaps=gaps)


def dark_patches(c: Canvas, depth_mm: float, half_width_mm: float) -> None:
    """Hypoechoic patches without a clear border."""
    for _ in range(c.n(0, 8)):
        centre = (c.u(-half_width_mm, half_width_mm), c.u(-5, 5), c.u(0.12, 1.0) * depth_mm)
        radii = (c.u(1.5, 7), c.u(1.5, 5), c.u(0.6, 2.5))
        body = Body.ellipsoid(centre, radii, c.u(-20, 20)).ragged(c.rng, 0.12)
        c.lift(body, -c.u(4, 13), c.u(0.6, 2.0))


def bright_specks(c: Canvas, depth_mm: float, half_width_mm: float) -> None:
    """Small bright dashes and dots such as foil of air or calcium."""
    for _ in range(c.n(0, 14)):
        half = c.u(0.2, 1.3)
        s = np.linspace(-half, half, 8)
        c.line(c.u(-half_width_mm, half_width_mm) + s, c.u(2.5, depth_mm) + c.u(-0.2, 0.2) * s, c.u(-8, 4),
               y=c.u(-8, 8), reach_mm=c.u(0.4, 1.6), rough_mm=3.0, thick_mm=0.15, specular=0.0, patchy_db=1.0)


def distract(c: Canvas, depth_mm: float, half_width_mm: float = 24.0) -> None:
    """All distractors."""
    look_alikes(c, depth_mm, half_width_mm)
    dark_patches(c, depth_mm, half_width_mm)
    bright_specks(c, depth_mm, half_width_mm)
