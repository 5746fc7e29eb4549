"""Fill an infant's block: skin, muscle, vertebrae with their cartilage, canal, dural sac, cord and roots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from puncta.sim.anatomy.infant_plan import SpinePlan, part_rng
from puncta.sim.anatomy.infant_space import Space
from puncta.sim.subject import Float32
from puncta.sim.tissue_kinds import FACTS, Tissue

LEVEL_DB: dict[Tissue, float] = {
    Tissue.SKIN: -17.0, Tissue.FAT: -27.0, Tissue.MUSCLE: -34.0, Tissue.LIGAMENT: -24.0, Tissue.CARTILAGE: -40.0,
    Tissue.BONE: -24.0, Tissue.EPIDURAL_FAT: -21.0, Tissue.DURA: -25.0, Tissue.CSF: -60.0, Tissue.CORD: -36.0,
    Tissue.CAUDA_EQUINA: -50.0, Tissue.DISC: -32.0, Tissue.HAEMATOMA: -19.0, Tissue.CONNECTIVE: -26.0,
    Tissue.ARTERY: -54.0, Tissue.VEIN: -54.0, Tissue.AIR: -40.0,
}
"""Backscatter of an infant's tissues [dB], set by eye against published pictures; young cartilage is nearly dark."""
ATTENUATION: dict[Tissue, float] = {Tissue.BONE: 14.0, Tissue.AIR: 30.0, Tissue.CARTILAGE: 0.8, Tissue.MUSCLE: 0.7,
                                    Tissue.LIGAMENT: 0.9, Tissue.SKIN: 0.35}
"""Where an infant's tissue differs from the table of kinds [dB/cm/MHz]; air stands for lost coupling."""
TEXTURE: dict[Tissue, float] = {Tissue.CSF: 0.0, Tissue.CORD: 0.45, Tissue.CARTILAGE: 0.6, Tissue.HAEMATOMA: 1.3,
                                Tissue.CAUDA_EQUINA: 0.8, Tissue.MUSCLE: 1.3, Tissue.ARTERY: 0.0, Tissue.VEIN: 0.0}
BODY_HALF_WIDTH_MM = 8.5
BODY_REACH = 0.355
"""Half the length of a body's bone along the spine, as a share of the pitch."""
GREAT_VESSELS: dict[Tissue, tuple[float, float, float, float]] = {
    Tissue.ARTERY: (-2.4, 3.4, 2.3, 2.3), Tissue.VEIN: (3.6, 3.2, 2.8, 1.7),
}
"""Aorta and vena cava in front of the bodies: place across, depth before the bodies, half axes [mm]."""
DURA_MM = 0.4
STALE_MM = 4.0
"""Depth under air within which only echoes of the face itself stand [mm]."""


@dataclass(frozen=True, slots=True, eq=False)
class Borders:
    """Surfaces shared by painting and line drawing, on the block's (y, x) grid, shape (ny, nx) [mm]."""

    skin: Float32
    fascia: Float32
    axis: Float32
    canal_half: Float32
    sac_axis: Float32
    sac_half: Float32
    cord_axis: Float32
    cord_half: Float32
    vertebra: Float32
    """Place along the spine within a vertebra, -.5 to .5, 0 at the middle of the posterior arch."""
    body: Float32
    """The same for the vertebral bodies."""
    turn: Float32
    """What sets a vertebra apart from its neighbours, -1 to 1."""


def find_borders(space: Space) -> Borders:
    """Work out the surfaces of a plan over a block."""
    plan, s = space.plan, space.s[:, 0, :]
    rng = part_rng(plan_seed(plan), "borders")
    sac_axis, sac_half = plan.sac(s)
    cord_axis, cord_half = plan.cord(s)
    phase = (s - plan.interspace_mm) / plan.pitch_mm
    number = np.rint(phase - 0.12 + 0.5)
    own = float(rng.uniform(0, 6.28))
    return Borders(
        skin=plan.skin_mm + space.wave(rng, 9.0, 0.05), fascia=plan.skin_mm + plan.fat_mm + space.wave(rng, 14.0, 0.16),
        axis=plan.axis_z(s), canal_half=plan.canal_half(s), sac_axis=sac_axis, sac_half=sac_half,
        cord_axis=cord_axis, cord_half=cord_half,
        vertebra=_within(phase - 0.12 + 0.5), body=_within(phase + 0.5),
        turn=np.sin(number * 2.4 + own).astype(np.float32),
    )


def plan_seed(plan: SpinePlan) -> int:
    """A number that stands for a plan's own draws, so that painters need not be handed the seed."""
    return int(abs(plan.slope) * 1e12) ^ int(plan.canal_ap_mm * 1e9)


def _within(turns: NDArray) -> Float32:
    return np.asarray(turns - np.rint(turns), np.float32)


def process_top(plan: SpinePlan, borders: Borders, t: NDArray) -> tuple[Float32, Float32]:
    """Top and bottom of the spinous processes [mm], NaN beside them; shape of ``t``."""
    roof = np.minimum(borders.fascia + 0.9 + 0.35 * borders.turn, borders.axis - borders.canal_half - 3.2)
    base = borders.axis - borders.canal_half - 0.9
    along = borders.vertebra / (0.29 + 0.03 * borders.turn)
    across = t / (1.15 + 0.05 * plan.weight_kg)
    inside = np.maximum(1.0 - np.abs(along) ** 2.6 - across**2, 0.0) ** 0.45
    middle = (roof + base) / 2
    half = (base - roof) / 2 * inside
    gone = inside <= 0
    return (np.where(gone, np.nan, middle - half).astype(np.float32),
            np.where(gone, np.nan, middle + half).astype(np.float32))


def lamina_shell(plan: SpinePlan, borders: Borders, t: NDArray) -> tuple[Float32, Float32]:
    """Outer and inner surface of the laminae [mm], NaN between vertebrae; shape of ``t``."""
    away = np.abs(t)
    half_width = borders.canal_half * 1.1
    reach = 0.26 + 0.27 * np.clip((away - 0.55 * half_width) / half_width, 0.0, 1.0)
    present = (np.abs(borders.vertebra) < reach) & (away < half_width + 5.0)
    outer = borders.axis - borders.canal_half - 1.7 + 0.5 * away
    bow = np.sqrt(np.maximum(1.0 - (away / half_width) ** 2, 0.0))
    inner = np.where(away < half_width, borders.axis - borders.canal_half * bow - 0.25, borders.axis + 2.5)
    # The arch's edge is round: its surface falls off towards the gaps.
    outer = outer + 1.1 * (borders.vertebra / reach) ** 4
    present &= inner > outer + 0.3
    return np.where(present, outer, np.nan).astype(np.float32), np.where(present, inner, np.nan).astype(np.float32)


def body_back(borders: Borders, t: NDArray) -> tuple[Float32, NDArray[np.bool_]]:
    """Back of the row of bodies and discs [mm], and where a body's bone is; shape of ``t``."""
    back = borders.axis + borders.canal_half + 0.3 + 0.018 * np.minimum(np.abs(t), 9.0) ** 2
    reach = BODY_REACH + 0.015 * borders.turn
    bony = np.abs(borders.body) < reach
    arc = 0.85 * (borders.body / reach) ** 2 - 0.1 * borders.turn
    return np.where(bony, back + 0.1 + arc, back).astype(np.float32), bony


def paint_labels(space: Space, borders: Borders) -> NDArray[np.uint8]:
    """Label map of the block, shape (ny, nz, nx)."""
    plan = space.plan
    label = np.full(space.lattice.shape, int(Tissue.MUSCLE), np.uint8)
    z = space.z
    _paint_back(space, borders, label)
    deep = float(plan.canal_depth_mm) - 9.0
    _paint_arches(space, borders, label)
    rows = space.rows(deep, float(borders.axis.max()) + 7.0)
    _paint_canal(space, borders, label[:, rows], z[:, rows])
    _paint_bodies(space, borders, label)
    if plan.contact < 1.0:
        _lift_off(space, label)
    return label


def _put(label: NDArray[np.uint8], where: NDArray[np.bool_], kind: Tissue) -> None:
    label[np.broadcast_to(where, label.shape)] = int(kind)


def _paint_back(space: Space, borders: Borders, label: NDArray[np.uint8]) -> None:
    plan = space.plan
    rows = space.rows(0.0, float(borders.fascia.max()) + 0.5)
    z = space.z[:, rows]
    part = label[:, rows]
    _put(part, z < borders.fascia[:, None], Tissue.FAT)
    _put(part, z < borders.skin[:, None], Tissue.SKIN)
    rows = space.rows(float(borders.fascia.min()), plan.canal_depth_mm)
    z = space.z[:, rows]
    part = label[:, rows]
    width = 1.0 + 0.1 * (z - borders.fascia[:, None])
    _put(part, (np.abs(space.t(z)) < width) & (z > borders.fascia[:, None]), Tissue.LIGAMENT)


def _paint_arches(space: Space, borders: Borders, label: NDArray[np.uint8]) -> None:
    plan = space.plan
    rows = space.rows(plan.skin_mm + 0.5, float(borders.axis.max()) + 3.5)
    z, part = space.z[:, rows], label[:, rows]
    t_deep = space.t(plan.canal_depth_mm - plan.canal_ap_mm / 2)[:, 0]
    t_back = space.t((plan.roof_mm + plan.canal_depth_mm - plan.canal_ap_mm / 2) / 2)[:, 0]
    # Flavum closes the gap between two arches above the canal.
    flavum = borders.axis - borders.canal_half
    _put(part, (z > (flavum - 1.3 + 0.35 * np.abs(t_deep))[:, None]) & (z < (flavum + 0.5)[:, None])
         & (np.abs(t_deep) < borders.canal_half)[:, None], Tissue.LIGAMENT)
    outer, inner = lamina_shell(plan, borders, t_deep)
    arch = (z >= outer[:, None]) & (z <= inner[:, None])
    soft = (np.abs(t_deep) < plan.ossified_mm)[:, None]
    _put(part, arch & ~soft, Tissue.BONE)
    _put(part, arch & soft, Tissue.CARTILAGE)
    top, bottom = process_top(plan, borders, t_back)
    _put(part, (z >= top[:, None]) & (z <= bottom[:, None]), Tissue.CARTILAGE)
    if plan.bony_spine:
        core = np.abs(borders.vertebra) < 0.24
        _put(part, (z >= (top + 0.5)[:, None]) & (z <= (bottom + 1.0)[:, None]) & core[:, None], Tissue.BONE)
    # Transverse processes: knobs of bone beside the canal, seen from planes far off the midline.
    away = np.abs(t_deep) - (plan.canal_ap_mm * 0.55 + 5.0)
    knob = (np.abs(borders.vertebra) < 0.17) & (away > 0) & (away < 4.5)
    _put(part, knob[:, None] & (np.abs(z - (borders.axis + 0.6)[:, None]) < 1.2), Tissue.BONE)


def _paint_canal(space: Space, borders: Borders, label: NDArray[np.uint8], z: Float32) -> None:
    plan = space.plan
    t = space.t(z)
    canal = ((z - borders.axis[:, None]) / borders.canal_half[:, None]) ** 2 + (
        t / (1.1 * borders.canal_half[:, None])) ** 2 < 1.0
    _put(label, canal, Tissue.EPIDURAL_FAT)
    axis, half = borders.sac_axis[:, None], borders.sac_half[:, None]
    open_sac = half > 0.3
    deep = (z - axis) / np.maximum(half, 0.3)
    off = t / sac_width(borders)[:, None]
    rho = deep * deep + off * off
    if plan.haematoma_mm > 0:
        blood = canal & (z < axis) & (rho >= 1.0) & (np.abs(t) < 0.95 * borders.canal_half[:, None])
        _put(label, blood & (plan.clot(space.s) > 0.25), Tissue.HAEMATOMA)
    rim = 1.0 + DURA_MM / np.maximum(half, 0.5)
    _put(label, canal & open_sac & (rho < rim * rim), Tissue.DURA)
    inside = open_sac & (rho < 1.0)
    _put(label, inside, Tissue.CSF)
    # Roots lie to the front, higher at the sides than in the middle, and thin out towards the end of the sac.
    below = np.clip((space.s - plan.tip_mm + 3.0) / 8.0, 0.0, 1.0)
    share = 2.0 * plan.root_share * below * plan.crowding(space.s)
    _put(label, inside & (deep > 1.0 - share - 0.35 * off * off * below) & (below > 0.02), Tissue.CAUDA_EQUINA)
    past = space.s - plan.tip_mm
    thread = (past > -1.0) & (np.abs(z - plan.filum(space.s)) < 0.35) & (np.abs(t) < 0.4)
    _put(label, inside & thread, Tissue.CAUDA_EQUINA)
    cord_axis, cord_half = borders.cord_axis[:, None], np.maximum(borders.cord_half[:, None], 1e-3)
    round_ = ((z - cord_axis) / cord_half) ** 2 + (t / (1.14 * cord_half)) ** 2
    _put(label, inside & (round_ < 1.0) & (cord_half > 0.15), Tissue.CORD)


def sac_width(borders: Borders) -> Float32:
    """Half the sac's breadth [mm]: round, but never wider than the canal leaves room for."""
    half = np.maximum(borders.sac_half, 0.3)
    wide = 1.05 * borders.canal_half * np.minimum(1.0, half / (0.8 * borders.canal_half)) ** 0.5
    return np.asarray(np.maximum(wide, 0.3), np.float32)


def _paint_bodies(space: Space, borders: Borders, label: NDArray[np.uint8]) -> None:
    plan = space.plan
    rows = space.rows(plan.canal_depth_mm, 200.0)
    z, part = space.z[:, rows], label[:, rows]
    t = space.t(plan.canal_depth_mm + plan.canal_ap_mm / 2)[:, 0]
    floor = borders.axis + borders.canal_half
    back, bony = body_back(borders, t)
    front = floor + 8.5 + 0.6 * plan.weight_kg
    height = (front - floor)[:, None]
    # A rounded column: its breadth shrinks towards the front.
    breadth = BODY_HALF_WIDTH_MM * np.sqrt(np.clip(1.0 - ((z - floor[:, None] - 0.3 * height) / (0.72 * height)) ** 2,
                                                   0.0, 1.0))
    column = (z > (floor + 0.3)[:, None]) & (z < front[:, None]) & (np.abs(t)[:, None] < breadth)
    end = np.abs(borders.body)[:, None]
    _put(part, column & (end >= BODY_REACH), Tissue.CARTILAGE)
    _put(part, column & (end > BODY_REACH + 0.05), Tissue.DISC)
    _put(part, column & (z > back[:, None]) & bony[:, None], Tissue.BONE)
    # Beside the column the loin's muscles reach deeper.
    loin = front + space.wave(part_rng(plan_seed(plan), "loin"), 9.0, 1.0) + 0.35 * np.maximum(np.abs(t) - 6.0, 0.0)
    _put(part, z >= loin[:, None], Tissue.CONNECTIVE)
    for kind, (off, below, wide, high) in GREAT_VESSELS.items():
        inside = ((t - off) / wide)[:, None] ** 2 + ((z - (front + below)[:, None]) / high) ** 2 < 1.0
        _put(part, inside, kind)


def contact_gaps(space: Space) -> NDArray[np.bool_]:
    """Where air lies under the face, shape (ny, nx)."""
    plan = space.plan
    rng = part_rng(plan_seed(plan), "contact")
    x, y = space.lattice.xs[None, :], space.lattice.ys[:, None]
    total = sum(np.float32(a) * np.sin((x + float(b) * y) * np.float32(2 * np.pi / w) + np.float32(c))
                for a, b, w, c in zip((1.0, 0.8, 0.6, 0.4), rng.normal(0, 0.3, 4), rng.uniform(11, 40, 4),
                                      rng.uniform(0, 6.28, 4), strict=True))
    # The quantile of a sum of four sines, nearly that of a normal deviate of deviation 1.04.
    return np.asarray(total > 2.4 * (plan.contact - 0.5), bool)


def _lift_off(space: Space, label: NDArray[np.uint8]) -> None:
    rows = space.rows(0.0, 0.5)
    _put(label[:, rows], contact_gaps(space)[:, None], Tissue.AIR)


def paint_level(space: Space, borders: Borders, label: NDArray[np.uint8]) -> Float32:
    """Backscatter with texture [dB], shape of ``label``."""
    plan = space.plan
    rng = part_rng(plan_seed(plan), "texture")
    base = _lookup(LEVEL_DB, {kind: facts.level_db for kind, facts in FACTS.items()})
    shift = rng.normal(0, 1.2, 256).astype(np.float32)
    strength = np.ones(256, np.float32)
    for kind, share in TEXTURE.items():
        strength[int(kind)] = share
    shift[[int(Tissue.CSF), int(Tissue.ARTERY), int(Tissue.VEIN), int(Tissue.AIR)]] = 0.0
    level = np.take(base + shift, label)
    # Tissue is uneven along its layers more than across them.
    grain = (1.0, 2.6) if plan.view == "transverse" else (2.6, 1.0)
    noise = space.noise(int(rng.integers(1 << 31)), (grain[0], grain[1], 0.6))
    noise *= np.float32(1.3)
    noise += np.float32(1.5) * space.noise(int(rng.integers(1 << 31)), (7.0, 5.0, 2.6))
    noise *= np.take(strength, label)
    level += noise
    if plan.contact < 1.0:
        level[:, space.rows(0.0, STALE_MM)] -= 22.0 * contact_gaps(space)[:, None]
    # Sound that runs to and fro in the layers above veils the fluid just inside the sac.
    rows = space.rows(plan.canal_depth_mm - 8.0, plan.canal_depth_mm + 8.0)
    inside = space.z[:, rows] - (borders.sac_axis - borders.sac_half)[:, None]
    veil = np.float32(rng.uniform(6.0, 16.0)) * np.exp(-np.maximum(inside, 0.0) / np.float32(rng.uniform(0.7, 1.6)))
    level[:, rows] += veil * (label[:, rows] == int(Tissue.CSF))
    return level


def paint_attenuation(space: Space, label: NDArray[np.uint8]) -> Float32:
    """One way attenuation [dB/cm/MHz], shape of ``label``."""
    table = _lookup(ATTENUATION, {kind: facts.attenuation_db_cm_mhz for kind, facts in FACTS.items()})
    attenuation = np.take(table, label)
    if space.plan.contact < 1.0:
        # What air leaves dies out over the first millimetres, where echoes between it and the face stand.
        rows = space.rows(0.5, STALE_MM)
        attenuation[:, rows][np.broadcast_to(contact_gaps(space)[:, None], attenuation[:, rows].shape)] = 9.0
    return attenuation


def _lookup(own: dict[Tissue, float], usual: dict[Tissue, float]) -> Float32:
    table = np.full(256, -80.0, np.float32)
    for kind in Tissue:
        table[int(kind)] = own.get(kind, usual[kind])
    return table
