"""Plain simulated subjects for tests: one even tissue, or layers with a round vessel."""

from __future__ import annotations

import numpy as np

from puncta.sim.subject import Lattice, Sheet, Streaks, Subject, Target
from puncta.sim.tissue_kinds import FACTS, Tissue


def even_subject(*, level_db: float = 0.0, depth_mm: float = 30.0, y_half_mm: float = 3.0) -> Subject:
    """Tissue of one level everywhere, of attenuation .6 dB/cm/MHz and of the scanner's speed of sound (no delay)."""
    lattice = Lattice((-36.0, -y_half_mm, -4.0), (0.5, 0.5, 0.5), (int(4 * y_half_mm) + 1, 180, 145))
    # Tissue kind 0 has the scanner's own speed.
    label = np.zeros(lattice.shape, np.uint8)
    level = np.full(lattice.shape, level_db, np.float32)
    return Subject("nerve", 1, "short-axis", lattice, label, level, np.full_like(level, 0.6), (), Streaks.none(), (),
                   Target("middle", (0.0, 0.0, 0.5 * depth_mm), 3.0), frozenset(), 1.5, depth_mm)


def layered_subject(*, depth_mm: float = 32.0, y_half_mm: float = 2.5) -> Subject:
    """Gel, skin, fat, and muscle with a vein, a sheet at every border."""
    ny = int(4 * y_half_mm) + 1
    lattice = Lattice((-36.0, -y_half_mm, -2.0), (0.25, 0.5, 0.25), (ny, 280, 289))
    x, z = np.meshgrid(lattice.xs, lattice.zs)
    flat = np.full(z.shape, Tissue.MUSCLE, np.uint8)
    flat[z < 8.0] = Tissue.FAT
    flat[z < 1.5] = Tissue.SKIN
    flat[z < 0.0] = Tissue.GEL
    flat[(x - 4.0) ** 2 + (z - 18.0) ** 2 < 16.0] = Tissue.VEIN
    label = np.ascontiguousarray(np.broadcast_to(flat, (ny, *flat.shape)))
    level, loss = np.zeros(label.shape, np.float32), np.zeros(label.shape, np.float32)
    for kind, facts in FACTS.items():
        level[label == kind] = facts.level_db
        loss[label == kind] = facts.attenuation_db_cm_mhz
    bright = np.full((ny, len(lattice.xs)), -12.0, np.float32)
    sheets = tuple(Sheet(np.full_like(bright, depth), bright, 2.0, 0.1) for depth in (0.1, 1.5, 8.0))
    return Subject("nerve", 1, "short-axis", lattice, label, level, loss, sheets, Streaks.none(), (),
                   Target("vein lumen", (4.0, 0.0, 18.0), 3.0), frozenset(), 1.5, depth_mm)
