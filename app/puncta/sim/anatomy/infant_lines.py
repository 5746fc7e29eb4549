"""Reflecting surfaces and strands of an infant's spine: fasciae, bone and cartilage caps, dura, pia, roots."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from puncta.sim.anatomy.infant_paint import (
    BODY_REACH,
    Borders,
    body_back,
    contact_gaps,
    lamina_shell,
    plan_seed,
    process_top,
    sac_width,
)
from puncta.sim.anatomy.infant_plan import SpinePlan, part_rng
from puncta.sim.anatomy.infant_space import HALF_X_MM, Space
from puncta.sim.anatomy.marks import Marks, Strand
from puncta.sim.subject import Sheet
from puncta.sim.tissue_kinds import Tissue

STREWN_Y_MM = 16.0
"""Half thickness in which strands are strewn, whatever the block's [mm]."""
ROOT_STEP_MM = 0.25
ROOTS = 96
"""Roots and rootlets that are drawn, of both sides."""


class SheetMaker:
    """Collects surfaces over a block; each level wanders a little over the surface."""

    def __init__(self, space: Space, borders: Borders) -> None:
        self.space, self.borders = space, borders
        self.rng = part_rng(plan_seed(space.plan), "sheets")
        self.sheets: list[Sheet] = []

    def add(
        self, z_mm: NDArray, level_db: float, *, where: NDArray | None = None, patchy_db: float = 2.0,
        rough_mm: float = 3.0, thick_mm: float = 0.0, specular: float = 0.4, extra_db: NDArray | float = 0.0,
    ) -> None:
        """Add a surface; NaN or ``where`` false is a gap."""
        level = level_db + self.space.wave(self.rng, 2.2, patchy_db) + extra_db
        z = np.broadcast_to(np.asarray(z_mm, np.float32), level.shape)
        if where is not None:
            z = np.where(where, z, np.float32(np.nan))
        if np.isfinite(z).any():
            self.sheets.append(Sheet(np.asarray(z, np.float32), np.asarray(level, np.float32), rough_mm, thick_mm,
                                     specular))


def draw_sheets(space: Space, borders: Borders) -> tuple[Sheet, ...]:
    """All surfaces of the block."""
    plan, b = space.plan, borders
    make = SheetMaker(space, b)
    flat = np.zeros_like(b.skin)
    make.add(flat + 0.12, -6.0, rough_mm=20.0, patchy_db=0.8, specular=0.0)
    make.add(b.skin, -13.0, rough_mm=5.0, thick_mm=0.06)
    make.add(b.skin * 0.55, -20.0, rough_mm=4.0, thick_mm=0.05, patchy_db=3.0)
    t_back = space.t(plan.roof_mm)[:, 0]
    make.add(b.fascia, -9.0, rough_mm=1.5, thick_mm=0.16, patchy_db=3.0, where=np.abs(t_back) > 0.8)
    make.add(b.fascia + 0.4, -14.0, rough_mm=1.2, thick_mm=0.2, patchy_db=4.0, where=np.abs(t_back) > 1.2)
    _draw_arches(make, space, b)
    _draw_sac(make, space, b)
    _draw_bodies(make, space, b)
    if plan.contact < 1.0:
        gaps = contact_gaps(space)
        for k in range(1, 6):  # sound runs to and fro between the face and the air
            make.add(flat + 0.62 * k, 1.0 - 1.5 * k, where=gaps, rough_mm=15.0, patchy_db=1.0, specular=0.0)
    return tuple(make.sheets)


def _draw_arches(make: SheetMaker, space: Space, b: Borders) -> None:
    plan = space.plan
    t_back = space.t((plan.roof_mm + plan.canal_depth_mm - plan.canal_ap_mm / 2) / 2)[:, 0]
    top, bottom = process_top(plan, b, t_back)
    cap, shine = (2.0, 0.15) if plan.bony_spine else (-5.0 + 0.3 * plan.weight_kg, 0.6)
    cap = cap + 2.5 * b.turn
    make.add(top, 0.0, rough_mm=2.0, thick_mm=0.12, specular=shine, patchy_db=2.0, extra_db=cap)
    make.add(top + 0.25, -6.0, rough_mm=1.2, thick_mm=0.25, specular=shine, patchy_db=3.0, extra_db=cap)
    if not plan.bony_spine:
        make.add(bottom, -17.0, rough_mm=1.5, thick_mm=0.15, specular=0.2)
    else:
        make.add(top + 0.6, 1.0, rough_mm=1.0, thick_mm=0.3, specular=0.1, where=np.abs(b.vertebra) < 0.24)
    t = space.t(plan.canal_depth_mm - plan.canal_ap_mm / 2)[:, 0]
    outer, _ = lamina_shell(plan, b, t)
    bone = np.abs(t) >= plan.ossified_mm
    make.add(outer, 1.0, where=bone, rough_mm=1.2, thick_mm=0.18, specular=0.15, patchy_db=1.5)
    make.add(outer + 0.2, -5.0, where=bone, rough_mm=0.8, thick_mm=0.3, specular=0.15)
    make.add(outer, -15.0, where=~bone, rough_mm=1.5, thick_mm=0.1, specular=0.2)
    # Flavum's deep surface, between the arches.
    gap = np.isnan(outer) & (np.abs(t) < 0.8 * b.canal_half)
    make.add(b.axis - b.canal_half * np.sqrt(np.maximum(1 - (t / (1.1 * b.canal_half)) ** 2, 0)) + 0.05, -14.0,
             where=gap, rough_mm=2.0, thick_mm=0.1)
    away = np.abs(t) - (plan.canal_ap_mm * 0.55 + 5.0)
    make.add(b.axis - 0.6, 0.0, where=(np.abs(b.vertebra) < 0.17) & (away > 0) & (away < 4.5), rough_mm=1.0,
             thick_mm=0.2, specular=0.1)


def _draw_sac(make: SheetMaker, space: Space, b: Borders) -> None:
    plan = space.plan
    t = space.t(plan.canal_depth_mm)[:, 0]
    half = np.maximum(b.sac_half, 0.3)
    shape = np.sqrt(np.maximum(1.0 - (t / sac_width(b)) ** 2, 0.0))
    there = (b.sac_half > 0.5) & (shape > 0.05)
    make.add(b.sac_axis - half * shape - 0.2, -5.0, where=there, rough_mm=2.5, thick_mm=0.08, specular=0.75,
             patchy_db=2.6)
    make.add(b.sac_axis - half * shape + 0.18, -17.0, where=there, rough_mm=5.0, specular=0.75, patchy_db=2.5)
    make.add(b.sac_axis + half * shape + 0.2, -6.0, where=there, rough_mm=2.0, thick_mm=0.1, specular=0.75,
             patchy_db=2.6)
    cord = np.maximum(b.cord_half, 1e-3)
    outline = np.sqrt(np.maximum(1.0 - (t / (1.14 * cord)) ** 2, 0.0))
    # In the long view the lines run on a little beyond the cord's side, fading, or the thin tip would lose them between
    # two slices.
    past = np.abs(t) - 1.14 * cord
    there = (b.cord_half > 0.12) & (past < (0.6 if plan.view == "longitudinal" else -0.02))
    side = -26.0 * np.clip(past / 0.6, 0.0, 1.0)
    make.add(b.cord_axis - cord * outline, -9.0, where=there, rough_mm=2.2, thick_mm=0.05, specular=0.6, patchy_db=2.4,
             extra_db=side)
    make.add(b.cord_axis + cord * outline, -9.0, where=there, rough_mm=2.2, thick_mm=0.05, specular=0.6, patchy_db=2.4,
             extra_db=side)
    # Central echo: two lines close to each other, a dot when cut across.
    narrow, dim = (np.abs(t) < 1.0) & (b.cord_half > 0.8), -10.0 * (t / 0.6) ** 2
    apart = np.clip(0.10 + 0.09 * b.cord_half, 0.15, 0.32)
    for side in (-1.0, 1.0):
        make.add(b.cord_axis + side * apart, -11.0, where=narrow, rough_mm=1.6, thick_mm=0.05, specular=0.2,
                 patchy_db=3.0, extra_db=dim)


def _draw_bodies(make: SheetMaker, space: Space, b: Borders) -> None:
    plan = space.plan
    t = space.t(plan.canal_depth_mm + plan.canal_ap_mm / 2)[:, 0]
    near = np.abs(t) < 7.5
    back, bony = body_back(b, t)
    edge = np.abs(b.body) / BODY_REACH
    shine = 2.0 + 1.5 * b.turn - 9.0 * np.clip(edge - 0.75, 0.0, 0.25) * 4.0 * bony
    for down, level, rough, thick in ((0.0, 0.0, 1.6, 0.15), (0.25, -4.0, 1.0, 0.3), (0.6, -9.0, 0.8, 0.5)):
        make.add(back + down, level, where=near & bony, rough_mm=rough, thick_mm=thick, specular=0.35, extra_db=shine)
    make.add(back, -13.0, where=near & ~bony, rough_mm=2.0, thick_mm=0.15, patchy_db=3.0)
    disc = near & (edge * BODY_REACH > BODY_REACH + 0.05)
    for depth in (1.2, 2.4, 3.8, 5.5):
        make.add(back + depth, -21.0, where=disc & (np.abs(t) < 5.0), rough_mm=0.8, thick_mm=0.5, patchy_db=6.0)
    front = b.axis + b.canal_half + 8.5 + 0.6 * plan.weight_kg
    make.add(front, -12.0, where=near & ~bony, rough_mm=2.0, thick_mm=0.2)


def draw_strands(space: Space, borders: Borders, label: NDArray[np.uint8]) -> Marks:
    """Septa of the fat, fibres of muscle and ligament, roots and filum."""
    lattice = space.lattice
    marks = Marks(float(lattice.ys[-1]))
    plan, seed = space.plan, plan_seed(space.plan)
    rng = part_rng(seed, "strands")
    area = 2 * HALF_X_MM * 2 * STREWN_Y_MM

    def strew(kind: Tissue, z_range: tuple[float, float], per_mm3: float, how: Strand) -> None:
        n = int(max(z_range[1] - z_range[0], 0.5) * area * per_mm3)
        x, y = rng.uniform(-HALF_X_MM, HALF_X_MM, n), rng.uniform(-STREWN_Y_MM, STREWN_Y_MM, n)
        z = rng.uniform(*z_range, n)
        stream = np.random.Generator(np.random.PCG64(int(rng.integers(1 << 40))))
        before = len(marks.chunks)
        marks.strands(stream, x, y, z, np.zeros(n), how)
        for chunk in marks.chunks[before:]:  # a strand stays within its kind of tissue
            inside = _label_at(space, label, chunk["x_mm"], chunk["y_mm"], chunk["z_mm"]) == int(kind)
            chunk["level_db"] -= np.where(inside, 0.0, 60.0).astype(np.float32)

    fascia = plan.skin_mm + plan.fat_mm
    strew(Tissue.FAT, (plan.skin_mm, fascia), 0.05,
          Strand((-22.0, -7.0), (1.0, 11.0), 0.0, 7.0, (0.6, 2.0), (0.8, 3.0), (0.03, 0.15)))
    along = plan.view == "longitudinal"
    floor = plan.canal_depth_mm + plan.canal_ap_mm / 2
    strew(Tissue.MUSCLE, (fascia, floor), 0.04 if along else 0.16,
          Strand((-24.0, -6.0) if along else (-28.0, -9.0), (2.0, 18.0) if along else (0.3, 2.6),
                 float(rng.normal(0, 3)), 4.0 if along else 22.0, (0.3, 0.8), (0.5, 2.5), (0.04, 0.2)))
    strew(Tissue.LIGAMENT, (fascia, plan.canal_depth_mm - plan.canal_ap_mm / 2), 0.5,
          Strand((-22.0, -9.0), (0.6, 3.2), 0.0, 26.0, (0.3, 0.6), (0.4, 1.5), (0.04, 0.2)))
    strew(Tissue.CONNECTIVE, (floor + 8.0, float(lattice.zs[-1])), 0.008,
          Strand((-24.0, -12.0), (1.0, 8.0), 0.0, 12.0, (0.5, 2.0), (0.5, 2.0), (0.05, 0.3)))
    strew(Tissue.CSF, (plan.canal_depth_mm - 4.5, plan.canal_depth_mm + 4.5), 0.003,
          Strand((-40.0, -26.0), (1.0, 5.0), 0.0, 5.0 if along else 40.0, (0.3, 0.6), (1.0, 3.0), (0.0, 0.02),
                 gaps=0.4))
    if plan.haematoma_mm > 0:
        strew(Tissue.HAEMATOMA, (plan.canal_depth_mm - 6.0, plan.canal_depth_mm), 0.1,
              Strand((-20.0, -9.0), (0.5, 3.0), 0.0, 8.0, (0.4, 1.0), (0.4, 1.5), (0.05, 0.3)))
    _draw_roots(space, marks, part_rng(seed, "roots"))
    return marks


def _label_at(space: Space, label: NDArray[np.uint8], x: NDArray, y: NDArray, z: NDArray) -> NDArray[np.uint8]:
    lattice = space.lattice
    index = [np.clip(np.rint((v - o) / step), 0, n - 1).astype(np.intp) for v, o, step, n in (
        (y, lattice.origin_mm[1], lattice.step_mm[1], lattice.shape[0]),
        (z, lattice.origin_mm[2], lattice.step_mm[2], lattice.shape[1]),
        (x, lattice.origin_mm[0], lattice.step_mm[0], lattice.shape[2]),
    )]
    return label[index[0], index[1], index[2]]


def _draw_roots(space: Space, marks: Marks, rng: np.random.Generator) -> None:
    """Roots of the cauda equina and the filum: curves along the spine, cut as lines or as dots by the view."""
    plan = space.plan
    reach = 44.0 if plan.view == "longitudinal" else STREWN_Y_MM
    for _ in range(ROOTS):
        side = 1.0 if rng.random() < 0.5 else -1.0
        start = plan.tip_mm - float(rng.uniform(1.0, 16.0))
        end = plan.place(float(rng.uniform(2.6, 6.6)))
        height, breadth = float(rng.beta(1.2, 1.5)), side * float(rng.beta(1.0, 1.15))
        waves = rng.uniform(7.0, 22.0, 3), rng.uniform(0, 2 * math.pi, 3), rng.normal(0, 1, 3)
        level, drift = float(rng.uniform(-27.0, -12.0)), float(rng.normal(0, 0.12))
        low, high = max(start, -reach), min(end, reach)
        if high - low < 2.0:
            continue
        s = np.arange(low, high, ROOT_STEP_MM)
        z, across = _root_curve(plan, s, height, breadth, drift, waves)
        fade = -12.0 * np.exp(-(s - start) / 2.0) - 10.0 * np.exp(-(end - s) / 2.0)
        # Held up by others in places, out of the beam in others: a strand comes and goes.
        shown = 8.0 * np.sin(s * 2 * math.pi / float(rng.uniform(5.0, 12.0)) + float(rng.uniform(0, 6.28)))
        _add_thread(space, marks, s, across, z, level + fade + shown, 0.12)
    s = np.arange(max(plan.tip_mm - 1.0, -reach), min(plan.place(6.6), reach), ROOT_STEP_MM)
    if s.size > 4:
        for dz in (-0.22, 0.22):
            _add_thread(space, marks, s, np.zeros_like(s), plan.filum(s) + dz, np.full(s.shape, -14.0), 0.4)


def _root_curve(
    plan: SpinePlan, s: NDArray, height: float, breadth: float, drift: float, waves: tuple[NDArray, NDArray, NDArray]
) -> tuple[NDArray, NDArray]:
    """Depth and place across [mm] of a root: by the cord's front and sides, then in the front of the sac."""
    axis, half = plan.sac(s)
    _, cord_half = plan.cord(s)
    below = np.clip((s - plan.tip_mm + 3.0) / 9.0, 0.0, 1.0)
    share = plan.root_share * below + 0.12
    wobble = sum(0.12 * a * np.sin(s * 2 * math.pi / w + p) for w, p, a in zip(*waves, strict=True))
    off = np.clip(breadth * 0.86 + 0.05 * wobble, -0.9, 0.9)
    bottom = axis + half * np.sqrt(1 - off**2)
    # Roots heap up at the sides of the sac and leave the middle to the fluid.
    depth = 2.0 * half * (share + 0.1 * off * off) * height
    z = bottom - 0.35 - depth + (wobble + drift * (s - plan.tip_mm) * 0.1) * below
    across = off * half * 1.05
    # Beside the cord there is room only outside it.
    squeeze = np.sqrt(np.clip((z - plan.cord(s)[0]) ** 2 / np.maximum(cord_half, 0.05) ** 2, 0.0, 1.0))
    least = 1.14 * cord_half * np.sqrt(np.maximum(1 - squeeze**2, 0.0)) + 0.3 * (cord_half > 0.1)
    across = np.where(np.abs(across) < least, np.where(breadth > 0, least, -least), across)
    return np.clip(z, axis - 0.85 * half, bottom - 0.2), across


def _add_thread(
    space: Space, marks: Marks, s: NDArray, across: NDArray, z: NDArray, level_db: NDArray, half_mm: float
) -> None:
    """Put a curve along the spine into the block: a line in the longitudinal view, dots in the transverse one."""
    plan = space.plan
    side = across + plan.midline_mm + plan.lean * (z - plan.canal_depth_mm)
    slope_z, slope_t = np.gradient(z, s), np.gradient(side, s)
    if plan.view == "longitudinal":
        keep = np.abs(side) < marks.y_half_mm + 1.5
        marks.add(s[keep], z[keep], y=side[keep], level_db=level_db[keep], slope_rad=np.arctan(slope_z[keep]),
                  step_mm=np.full(int(keep.sum()), ROOT_STEP_MM), reach_mm=0.3 + 0.6 * half_mm, shear=(0.0, 0.0),
                  rough_mm=1.2, thick_mm=0.0, specular=0.3, line=np.zeros(int(keep.sum()), int))
        return
    every = slice(None, None, 5)
    at, x0, z0, level, dx, dz = s[every], side[every], z[every], level_db[every], slope_t[every], slope_z[every]
    keep = np.abs(at) < marks.y_half_mm + 2.0
    wide = np.linspace(-half_mm, half_mm, 5)
    n = int(keep.sum())
    if n == 0:
        return

    def each(values: NDArray) -> NDArray:
        return np.repeat(values[keep], wide.size)

    marks.add(each(x0) + np.tile(wide, n), each(z0), y=each(at), level_db=each(level) + 5.0, slope_rad=np.zeros(n * 5),
              step_mm=np.full(n * 5, half_mm / 2), reach_mm=0.5, shear=(each(dx), each(dz)), rough_mm=3.0, thick_mm=0.0,
              specular=0.0, line=np.repeat(np.arange(n), wide.size))


