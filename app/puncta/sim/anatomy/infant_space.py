"""Where the cells of an infant's block lie against the spine."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from puncta.sim.anatomy.infant_plan import SpinePlan
from puncta.sim.anatomy.noise import Noise, Surface
from puncta.sim.subject import Float32, Lattice

HALF_X_MM, STEP_XZ_MM, STEP_Y_MM = 36.0, 0.25, 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Spine coordinates over a block.

    Attributes
    ----------
    s : ndarray, shape (ny, 1, nx)
        Along the spine [mm].
    u : ndarray, shape (ny, 1, nx)
        Across the spine at the canal's depth [mm].
    z : ndarray, shape (1, nz, 1)
        Depth [mm].
    """

    plan: SpinePlan
    lattice: Lattice
    s: Float32
    u: Float32
    z: Float32

    @staticmethod
    def over(plan: SpinePlan, y_half_mm: float) -> Space:
        """Lay a block of half thickness ``y_half_mm`` [mm] around the plan's image plane."""
        slices = max(1, math.ceil(y_half_mm / STEP_Y_MM))
        nx = 2 * round(HALF_X_MM / STEP_XZ_MM) + 1
        nz = math.ceil((plan.depth_mm * 1.32 + 4.0) / STEP_XZ_MM)
        lattice = Lattice((-HALF_X_MM, -slices * STEP_Y_MM, 0.0), (STEP_XZ_MM, STEP_Y_MM, STEP_XZ_MM),
                          (2 * slices + 1, nz, nx))
        x, y = np.meshgrid(lattice.xs, lattice.ys)
        s, across = spine_axes(plan, x, y)
        return Space(plan, lattice, s[:, None, :], (across - plan.midline_mm)[:, None, :], lattice.zs[None, :, None])

    def t(self, z: NDArray | float) -> Float32:
        """Distance from the midline at depths ``z`` [mm]."""
        lean = self.plan.lean
        if lean == 0.0:
            return self.u
        return (self.u - np.float32(lean) * (np.asarray(z, np.float32) - np.float32(self.plan.canal_depth_mm)))

    def rows(self, low_mm: float, high_mm: float) -> slice:
        """Rows between two depths [mm]."""
        top = int(np.clip(low_mm / STEP_XZ_MM, 0, self.lattice.shape[1]))
        return slice(top, int(np.clip(math.ceil(high_mm / STEP_XZ_MM) + 1, top, self.lattice.shape[1])))

    def wave(self, rng: np.random.Generator, length_mm: float, amplitude_mm: float) -> Float32:
        """A smooth random surface over x and y, shape (ny, nx), deviation ``amplitude_mm``."""
        x, y = self.lattice.xs[None, :], self.lattice.ys[:, None]
        return np.asarray(Surface.waves(rng, length_mm, amplitude_mm)(x, y), np.float32)

    def noise(self, key: int, grain_mm: tuple[float, float, float]) -> Float32:
        """Noise of about unit deviation with grains of the given size in x, y and z [mm], shape (ny, nz, nx)."""
        made = Noise(key, self.lattice.xs, self.lattice.zs, grain_mm)
        return np.stack([made.at(float(y)) for y in self.lattice.ys])


def spine_axes(plan: SpinePlan, x: NDArray, y: NDArray) -> tuple[Float32, Float32]:
    """Places along and across the spine [mm] of places in tissue space: the view lays one on x, the other on y."""
    along, across = (x, y) if plan.view == "longitudinal" else (y, x)
    return np.asarray(along, np.float32), np.asarray(across, np.float32)


def tissue_point(plan: SpinePlan, s: float, across: float, z: float) -> tuple[float, float, float]:
    """A point in tissue space [mm] from a place along the spine, across it, and depth."""
    return (s, across, z) if plan.view == "longitudinal" else (across, s, z)
