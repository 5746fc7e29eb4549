"""The breast: skin, lobulated fat with Cooper's ligaments, gland with ducts, a mass, pectoral muscle, ribs, pleura."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from puncta.sim.anatomy.canvas import Canvas
from puncta.sim.anatomy.layers import SIGHT_X_MM, distract, paint_fat, paint_muscle, paint_skin, ridges
from puncta.sim.anatomy.marks import Strand
from puncta.sim.anatomy.masses import paint_mass
from puncta.sim.anatomy.noise import Surface
from puncta.sim.anatomy.options import SubjectOptions
from puncta.sim.anatomy.shapes import Body
from puncta.sim.subject import Subject, Target
from puncta.sim.tissue_kinds import Tissue


def build_breast(c: Canvas, options: SubjectOptions) -> Subject:
    """Paint a breast in the radial view."""
    density = c.u(0.0, 1.0)  # 0 fatty, 1 dense
    skin_mm = c.u(1.0, 2.5)
    skin = paint_skin(c, skin_mm)
    fat_mm, gland_mm = c.u(3.0, 9.0) + 5.0 * (1.0 - density), c.u(9.0, 15.0) + 7.0 * density
    scallop, cusps = _scalloped(c, c.u(7.0, 16.0), c.u(0.8, 3.0))
    fat_end = (skin + fat_mm + scallop).at_least(skin, 1.0)
    gland_end = (c.waves(12.0, 1.1) + (skin_mm + fat_mm + gland_mm)).at_least(fat_end, 2.0)
    retro_end = (c.waves(15.0, 0.4) + gland_end + c.u(1.0, 4.0))
    muscle_end = c.waves(20.0, 0.5) + (retro_end.nominal_mm + c.u(5.0, 10.0))
    muscle_end = muscle_end.at_least(retro_end, 2.5)

    paint_fat(c, skin, fat_end, fibrous=c.u(0.0, 0.4))
    _cooper(c, skin, fat_end, cusps)
    _gland(c, fat_end, gland_end, density)
    paint_fat(c, gland_end, retro_end, septa_db=c.u(2.0, 6.0))
    paint_muscle(c, retro_end, muscle_end, c.u(-6, 6))
    c.layer(Tissue.MUSCLE, muscle_end, None, c.u(-34, -28))
    chest = _chest_wall(c, muscle_end)

    kind = options.lesion or str(c.rng.choice(["cyst", "benign", "malignant", "none"], p=[0.2, 0.4, 0.25, 0.15]))
    radius = c.u(2.2, 7.5)
    radius = min(radius, 0.42 * (gland_end.nominal_mm - skin_mm - 2.0))
    across = c.u(-9.0, 9.0)
    top, bottom = float(fat_end(across, 0.0)), float(gland_end(across, 0.0))
    deep = float(np.clip(top + c.u(0.2, 0.8) * (bottom - top), skin_mm + radius + 1.5, max(bottom - 0.6 * radius, 6.0)))
    centre = (across, c.u(-0.25, 0.25) * radius, deep)
    depth_mm = float(np.clip(max(retro_end.nominal_mm + c.u(3.0, 14.0), deep + 1.4 * radius + 5.0), 28.0, 52.0))
    c.texture(c.u(0.8, 2.2), c.u(2.5, 6.0), dip=gland_end)
    distract(c, depth_mm)
    reached = paint_mass(c, kind, centre, radius)
    name = "lesion centre" if kind != "none" else "point in the gland"
    return c.subject(
        view="radial", target=Target(name, centre, reached), forbidden=frozenset({Tissue.PLEURA, Tissue.LUNG,
                                                                                 Tissue.BONE}),
        skin_mm=skin_mm, depth_mm=depth_mm, breath_mm=(0.1, 1.0),
        facts={"lesion": kind, "lesion_diameter_mm": round(2 * radius, 1) if kind != "none" else 0.0,
               "density": round(density, 2), "gland_top_mm": round(fat_end.nominal_mm, 1),
               "gland_bottom_mm": round(gland_end.nominal_mm, 1), "chest_wall_mm": round(chest, 1)},
    )


def _scalloped(c: Canvas, pitch_mm: float, height_mm: float) -> tuple[Surface, NDArray]:
    """A border that lobules bulge into, with cusps where ligaments hold it, and the cusps' places at y = 0 [mm]."""
    turn, drift, phase = math.pi / pitch_mm, c.waves(11.0, 0.9, 9.0), c.u(0, math.pi)
    tall = c.waves(16.0, 0.25)

    def angle(x: NDArray, y: NDArray) -> NDArray:
        return np.asarray(x) * turn + phase + drift(x, y)

    def of(x: NDArray, y: NDArray) -> NDArray:
        return height_mm * (1.0 + tall(x, y)) * (np.sqrt(np.abs(np.sin(angle(x, y)))) - 0.75)

    x = np.linspace(-36, 36, 1500)
    lobe = np.floor(angle(x, np.zeros(1)) / math.pi)
    return Surface(of, 0.0), x[1:][np.diff(lobe) != 0]


def _cooper(c: Canvas, skin: Surface, fat_end: Surface, cusps: NDArray) -> None:
    """Cooper's ligaments: arcs from the gland's cusps up to the skin, and some that stop in the fat."""
    starts = list(cusps) + list(c.rng.uniform(*SIGHT_X_MM, c.n(1, 5)))
    for x0 in starts:
        reach, rise, bow = c.u(1.0, 8.0) * c.sign(), c.u(0.55, 1.05), c.u(0.7, 2.0)
        y0, along, level = c.u(-3, 3), c.u(2.0, 8.0), c.u(-26, -12)
        shear = (c.u(-0.5, 0.5), c.u(-0.1, 0.1))
        t, sway = np.linspace(0, 1, 50), c.u(-1.2, 1.2)
        low, wave = float(fat_end(x0, 0.0)), c.waves(2.5, 0.25)
        height = (low - skin.nominal_mm) * rise + 0.4
        x = x0 + reach * t + sway * np.sin(t * math.pi) + wave(t * height, 0.0)
        z = low + 0.5 - height * np.sin(t * math.pi / 2) ** bow
        for k in range(c.n(1, 3)):
            c.line(x + 0.1 * k, z + 0.18 * k, level - 2.0 * k, y=y0, reach_mm=along, shear=shear, rough_mm=c.u(0.4, 2),
                   thick_mm=c.u(0.12, 0.4), specular=0.3, patchy_db=3.0, gaps=c.u(0.1, 0.55))


def _gland(c: Canvas, top: Surface, bottom: Surface, density: float) -> None:
    """Bright streaky gland with flat islands of fat, few where it is dense, and ducts."""
    bright = c.u(-18, -12)
    c.layer(Tissue.GLAND, top, bottom, bright)
    thin = c.u(0.9, 2.0)
    flat = c.noise((thin * c.u(5, 9), thin * c.u(3, 6), thin), dip=bottom)
    broad = c.noise((c.u(8, 15), c.u(6, 10), c.u(2.5, 4.5)), dip=bottom)
    limit, drop = -0.7 + 1.6 * density + c.u(-0.2, 0.2), c.u(7.0, 11.0)
    islands = [np.clip(((0.75 * broad.at(float(y)) + 0.6 * flat.at(float(y))) - limit) / 0.7, 0.0, 1.0) for y in c.ys]
    place = {float(y): island for y, island in zip(c.ys, islands, strict=True)}
    fine = c.noise((c.u(1.8, 3.5), 2.0, c.u(0.4, 0.7)), dip=bottom)
    lines = c.noise((c.u(6, 12), 4.0, c.u(0.8, 1.5)), dip=bottom)
    fine_db, line_db = c.u(1.0, 2.4), c.u(3.0, 7.0)
    c.grain(lambda y: -np.float32(drop) * place[y] + np.float32(fine_db) * fine.at(y) + ridges(lines, 0.22, line_db, y)
            - np.float32(0.4 * line_db), top, bottom)
    # Fat islands are fat also to sound speed and to the label.
    inside = (c.label == int(Tissue.GLAND)) & (np.stack(islands) > 0.5)
    c.label[inside] = int(Tissue.FAT)
    c.attenuation[inside] = 0.6
    c.strands(c.u(6.0, 18.0), top, bottom, Strand((-22, -4), (0.6, 7.0), spread_deg=9.0, reach_mm=(0.7, 3.0)),
              x_range=SIGHT_X_MM)
    c.sheet(top, c.u(-22, -11), rough_mm=1.0, thick_mm=0.15, gaps=0.45)
    for _ in range(c.n(0, 7)):
        _duct(c, top, bottom)


def _duct(c: Canvas, top: Surface, bottom: Surface) -> None:
    """A thin dark winding tube nearly in the picture's plane, as ducts lie in a radial view."""
    x, y, share = c.u(-20, 20), c.u(-4, 4), c.u(0.15, 0.85)
    radius, pieces, slope = c.u(0.22, 0.6), c.n(2, 6), c.u(-0.25, 0.25)
    z = float(top(x, y)) * (1 - share) + float(bottom(x, y)) * share
    level, drift, bright = c.u(-48, -36), c.u(-0.15, 0.15), c.u(-26, -17)
    for _ in range(pieces):
        half, size = c.u(1.2, 2.6), radius * c.u(0.7, 1.25)
        slope = float(np.clip(slope + c.u(-0.2, 0.2), -0.5, 0.5))
        body = Body.ellipsoid((x, y, z), (half, 1.3 * size, size), math.degrees(math.atan(slope)))
        c.hide(body, -14.0)
        c.paint(body, Tissue.DUCT, level, soft_mm=0.3, within=(Tissue.GLAND, Tissue.FAT, Tissue.DUCT))
        s = np.linspace(-half, half, 12)
        for sign in (-1, 1):
            c.line(x + s, z + slope * s + sign * size, bright, y=y, reach_mm=size, rough_mm=1.5, thick_mm=0.06,
                   patchy_db=3.0, gaps=0.3, fade_ends=False)
        x, y, z = x + 1.5 * half, y + drift * half, z + 1.5 * half * slope


def _chest_wall(c: Canvas, muscle_end: Surface) -> float:
    """Ribs as tubes aslant to the picture, pleura and lung below them; returns the pleura's depth [mm]."""
    start = muscle_end.nominal_mm
    pleura = c.waves(18.0, 0.4) + (start + c.u(9.0, 13.0))
    pleura = pleura.at_least(muscle_end, 4.0)
    c.layer(Tissue.LUNG, pleura, None, c.u(-32, -26), attenuation=c.u(1.5, 3.0))
    c.layer(Tissue.PLEURA, pleura + -0.3, pleura + 0.4, -12.0, attenuation=4.0)
    c.sheet(pleura, c.u(-6, 2), rough_mm=3.0, thick_mm=0.2, gaps=c.u(0.0, 0.3), patchy_db=2.5)
    c.sheet(pleura + 0.5, c.u(-14, -6), rough_mm=2.0, thick_mm=0.3, gaps=0.3)
    pitch, across = c.u(17, 25), c.u(-0.9, 0.9)
    first, level = c.u(-pitch, 0.0), c.u(-6, 2)
    gristle = c.chance(0.4)  # near the breastbone ribs are cartilage, which lets the beam through
    for k in range(-3, 4):
        radii = (c.u(3.5, 6.0), c.u(2.4, 4.0))
        x, z = first + k * pitch + c.u(-1.5, 1.5), start + radii[1] + c.u(0.3, 2.0)
        rib = Body.tube((x, 0.0, z), (across, 1.0, 0.0), radii, c.u(-12, 12)).ragged(c.rng, 0.12, 2, 4, turn=0.02)
        c.hide(rib)
        if gristle:
            c.paint(rib, Tissue.CARTILAGE, c.u(-42, -35), soft_mm=0.3, attenuation=c.u(1.2, 2.2))
            for sign in (-1, 1):
                c.wall(rib, sign, level - 8.0 - 3.0 * (sign + 1), share=0.85, rough_mm=2.0, thick_mm=0.15, gaps=0.15)
            continue
        c.paint(rib, Tissue.BONE, -46.0, soft_mm=0.3)
        x_mm, y_mm = c.xs[None, :].astype(float), c.ys[:, None].astype(float)
        c.bone_face(rib.border(x_mm, y_mm, -1).astype(np.float32), level)
    return pleura.nominal_mm
