"""Point scatterers of a cine: tissue speckle and reflecting surfaces, with everything that stays the same precomputed.

Speckle: a jittered lattice of random-phase scatterers, about three a resolution cell, gives Rayleigh statistics.
Elevation: a scatterer's phase turns by ``kappa * y`` as the image plane moves by y, kappa ~ N(0, 1/(sqrt(2) s_e)), so
that the speckle of two planes correlates as exp(-dy^2 / (4 s_e^2)), as a slab of thickness s_e would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.sim.machines import Machine
from puncta.sim.motion import MotionState
from puncta.sim.phantom import Phantom
from puncta.sim.scan import Scan, lateral_growth

Float32 = NDArray[np.float32]
LATTICE_CELLS = 1.65
"""Lattice spacing of the speckle scatterers in grid cells, in both directions."""
EQUAL_SHARE = 0.5
"""Share of a scatterer's power that is the same for all; the rest is exponential."""
POINTS_PER_CELL = 1.0 / LATTICE_CELLS**2


@dataclass(frozen=True, slots=True)
class AttenuationMap:
    """Echo level left after attenuation and time-gain compensation, on a coarse beam grid [dB]."""

    residual_db: Float32
    dr_mm: float
    dc: float
    half_c: float

    def sample(self, r: NDArray, c: NDArray) -> Float32:
        """Level at beam coordinates [dB], bilinear."""
        rows = (np.asarray(r, np.float32) / self.dr_mm - 0.5).reshape(-1, 1).astype(np.float32)
        cols = ((np.asarray(c, np.float32) + self.half_c) / self.dc - 0.5).reshape(-1, 1).astype(np.float32)
        out = np.empty(len(rows), np.float32)
        for i in range(0, len(rows), 30000):
            out[i : i + 30000] = cv2.remap(self.residual_db, cols[i : i + 30000], rows[i : i + 30000],
                                           cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
        return out


def make_attenuation(phantom: Phantom, scan: Scan, machine: Machine) -> AttenuationMap:
    """Integrate attenuation along the beams and take off what the machine's compensation gives back.

    Two-way loss is 2 a f r; the compensation follows the median beam within the range an operator would set.
    """
    nr, nc = 220, 140
    half = scan.half_c * 1.15
    reach = scan.depth_mm + 6.0
    r = (np.arange(nr) + 0.5) * reach / nr
    c = (np.arange(nc) + 0.5) * 2 * half / nc - half
    gr, gc = np.meshgrid(r, c, indexing="ij")
    x, z = scan.mm_from_beam(gr, gc)
    alpha = phantom.sample(phantom.attenuation, x.ravel().astype(np.float32), z.ravel().astype(np.float32))
    alpha = alpha.reshape(nr, nc)
    median = np.clip(np.median(alpha, axis=1), 0.4, 1.0)
    excess = alpha - median[:, None]
    loss = 2.0 * machine.f0_mhz * np.cumsum(excess, axis=0) * (reach / nr / 10.0)
    residual = np.clip(-loss, -70.0, 9.0).astype(np.float32)
    residual = np.asarray(cv2.GaussianBlur(residual, (0, 0), sigmaX=1.5, sigmaY=0.6), np.float32)
    return AttenuationMap(residual, reach / nr, 2 * half / nc, half)


class Scatterers:
    """All scatterers of a cine in beam space, and how each moves with the tissue."""

    def __init__(
        self, phantom: Phantom, scan: Scan, machine: Machine, attenuation: AttenuationMap, rng: np.random.Generator
    ) -> None:
        self.scan = scan
        self.wave = 4.0 * math.pi / machine.wavelength_mm
        r, c = _lattice(scan, rng)
        x, z = scan.mm_from_beam(r, c)
        level = phantom.sample(phantom.level_db, x.astype(np.float32), z.astype(np.float32))
        # Between equal and complex Gaussian scatterers: so few a cell, the one would be too even, the other too uneven.
        power = EQUAL_SHARE - (1.0 - EQUAL_SHARE) * np.log(1.0 - rng.random(len(r), np.float32))
        amplitude = np.sqrt(power) * 10.0 ** ((level + attenuation.sample(r, c)) / 20.0)
        phase = rng.random(len(r), np.float32) * (2 * math.pi)
        rx, rz, ra, rp = _reflector_points(phantom, scan, machine, rng)
        rr, rc = scan.beam_from_mm(rx, rz)
        ra = ra * 10.0 ** (attenuation.sample(rr, rc) / 20.0)
        keep = (rr > -1.0) & (rr < scan.depth_mm + 3.0) & (np.abs(rc) < scan.half_c * 1.3)
        self.r = np.concatenate([r, rr[keep]]).astype(np.float32)
        self.c = np.concatenate([c, rc[keep]]).astype(np.float32)
        self.x = np.concatenate([x, rx[keep]]).astype(np.float32)
        self.z = np.concatenate([z, rz[keep]]).astype(np.float32)
        self.amplitude = np.concatenate([amplitude, ra[keep]]).astype(np.float32)
        self.phase = np.concatenate([phase, rp[keep]]).astype(np.float32)
        sigma = np.asarray(machine.elevation_sigma_mm(self.r), np.float32)
        self.kappa = (rng.standard_normal(len(self.r)).astype(np.float32) / (math.sqrt(2.0) * sigma)).astype(np.float32)
        # Surfaces reach across the slab, so they change more slowly with the plane than speckle does.
        self.kappa[len(r) :] *= 0.35
        self.breath = (0.3 + 0.7 * self.z / scan.depth_mm).astype(np.float32)
        self.pulse_x, self.pulse_z = self._pulse_field(phantom)
        self.slide_x, self.slide_z = (
            phantom.sample(_slide(rng, phantom), self.x, self.z) for _ in range(2)
        )
        if scan.convex:
            radius = self.r + scan.radius_mm
            self.sin, self.cos = np.sin(self.c), np.cos(self.c)
            self.inverse = (1.0 / radius).astype(np.float32)

    def _pulse_field(self, phantom: Phantom) -> tuple[Float32, Float32]:
        """Displacement at full pulse [mm]: away from each vessel, falling off with distance."""
        ux, uz = np.zeros_like(self.x), np.zeros_like(self.x)
        for v in phantom.vessels:
            dx, dz = self.x - v.x, self.z - v.z
            rho = np.sqrt(dx * dx + dz * dz) + 1e-3
            push = v.pulse_mm * np.where(rho < v.radius, rho / v.radius, v.radius / rho) / rho
            ux += push * dx
            uz += push * dz
        return ux, uz

    def displacement(self, motion: MotionState) -> tuple[Float32, Float32]:
        """Displacement of every scatterer [mm] in probe space."""
        y = motion.elevation_mm
        dx = motion.dx_mm + motion.tilt_rad * self.z + motion.pulse * self.pulse_x + y * self.slide_x
        dz = motion.dz_mm - motion.tilt_rad * self.x + motion.breath_mm * self.breath
        dz += motion.pulse * self.pulse_z + y * self.slide_z
        return dx.astype(np.float32), dz.astype(np.float32)

    def splat(self, dx: Float32, dz: Float32, elevation_mm: float) -> NDArray[np.complex64]:
        """Put displaced scatterers on the beam grid; linear between columns, nearest row, true phase.

        Returns
        -------
        ndarray of complex64, shape (rows, cols)
        """
        scan = self.scan
        if scan.convex:
            dr = dx * self.sin + dz * self.cos
            dc = (dx * self.cos - dz * self.sin) * self.inverse
        else:
            dr, dc = dz, dx
        phase = self.phase + np.float32(self.wave) * dr + np.float32(elevation_mm) * self.kappa
        return splat_points(scan, self.r + dr, self.c + dc, self.amplitude * np.cos(phase),
                            self.amplitude * np.sin(phase))


def splat_points(scan: Scan, r: NDArray, c: NDArray, real: Float32, imag: Float32) -> NDArray[np.complex64]:
    """Sum points on the beam grid."""
    rows, cols = scan.rows, scan.cols
    width = cols + 3
    row = np.clip(r * (1.0 / scan.dr_mm) + 1.0, 0, rows + 1).astype(np.int32)
    col = np.clip((c + scan.half_c) * (1.0 / scan.dc) + 0.5, 0, cols + 1.001)
    left = col.astype(np.int32)
    share = (col - left).astype(np.float32)
    cell = row * width + left
    size = (rows + 2) * width
    near, far = 1.0 - share, share
    # One pass over both columns: cell + 1 of the far share is the same as shifting the whole sum by one.
    out = np.empty((rows + 2, width, 2), np.float32)
    for k, part in enumerate((real, imag)):
        total = np.bincount(cell, weights=part * near, minlength=size)
        total[1:] += np.bincount(cell, weights=part * far, minlength=size)[:-1]
        out[..., k] = total.reshape(rows + 2, width)
    return np.ascontiguousarray(out[1:-1, 1 : cols + 1]).view(np.complex64)[..., 0]


def _lattice(scan: Scan, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Jittered lattice in beam space reaching a little beyond the field."""
    r_margin, c_margin = 2.5, scan.half_c * 0.12
    nr = int((scan.depth_mm + 2 * r_margin) / (scan.dr_mm * LATTICE_CELLS))
    nc = int(2 * (scan.half_c + c_margin) / (scan.dc * LATTICE_CELLS))
    jr = rng.random((nr, nc), np.float32)
    jc = rng.random((nr, nc), np.float32)
    r = (np.arange(nr, dtype=np.float32)[:, None] + jr) * (scan.dr_mm * LATTICE_CELLS) - r_margin
    c = (np.arange(nc, dtype=np.float32)[None, :] + jc) * (scan.dc * LATTICE_CELLS) - scan.half_c - c_margin
    return r.ravel(), c.ravel()


def _slide(rng: np.random.Generator, phantom: Phantom) -> Float32:
    """How structures run across the slab: shift per mm of elevation, smooth over the field."""
    coarse = rng.normal(0.0, 0.22, (4, 4)).astype(np.float32)
    whole = cv2.resize(coarse, (phantom.shape[1], phantom.shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(whole, np.float32)


def coherent_point_amplitude(
    scan: Scan, machine: Machine, r: NDArray, slope_rad: NDArray, step_mm: NDArray | float
) -> NDArray:
    """Amplitude per point so that a smooth line of points ``step_mm`` apart has unit envelope after the point spread.

    The line's integral through a Gaussian spread is sqrt(2 pi) times its sigma along the line.
    """
    lateral = machine.lateral_sigma_mm * lateral_growth(machine, r)
    axial = max(machine.axial_sigma_mm, scan.dr_mm)
    along = 1.0 / np.sqrt((np.cos(slope_rad) / lateral) ** 2 + (np.sin(slope_rad) / axial) ** 2)
    return step_mm / (math.sqrt(2 * math.pi) * along) / spread_peak(scan, machine, r)


def lateral_sigma_cells(scan: Scan, machine: Machine, r: NDArray | float) -> NDArray:
    """Lateral sigma in grid columns at depth r."""
    sigma = machine.lateral_sigma_mm * lateral_growth(machine, r)
    per_cell = scan.dc * ((np.asarray(r, float) + scan.radius_mm) if scan.convex else 1.0)
    return np.maximum(sigma / per_cell, 0.6)


def axial_sigma_cells(scan: Scan, machine: Machine) -> float:
    """Axial sigma in grid rows."""
    return max(machine.axial_sigma_mm / scan.dr_mm, 0.8)


def spread_gain(scan: Scan, machine: Machine, r: NDArray | float) -> NDArray:
    """Factor after sum-one blurs that gives unit-power speckle unit power."""
    area = 4.0 * math.pi * axial_sigma_cells(scan, machine) * np.sqrt(lateral_sigma_cells(scan, machine, r) ** 2 + 0.17)
    return np.sqrt(area / POINTS_PER_CELL)


def spread_peak(scan: Scan, machine: Machine, r: NDArray | float) -> NDArray:
    """Envelope of one unit point after blurs and ``spread_gain``."""
    lateral = np.sqrt(lateral_sigma_cells(scan, machine, r) ** 2 + 0.17)
    cells = 2.0 * math.pi * axial_sigma_cells(scan, machine) * lateral
    return spread_gain(scan, machine, r) / cells


def _reflector_points(
    phantom: Phantom, scan: Scan, machine: Machine, rng: np.random.Generator
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Points, amplitudes and phases of all reflecting surfaces."""
    lines = [line for line in phantom.reflectors if len(line.x) >= 3]
    if not lines:
        empty = np.zeros(0)
        return empty, empty, empty, empty
    counts = np.array([len(line.x) for line in lines])

    def per_point(values: list[float]) -> NDArray:
        return np.repeat(np.array(values), counts)

    x, z = np.concatenate([line.x for line in lines]), np.concatenate([line.z for line in lines])
    level = np.concatenate([line.level_db for line in lines])
    specular = per_point([line.specular for line in lines])
    thick = per_point([line.thick_mm for line in lines])
    rough = np.maximum(per_point([line.rough_mm for line in lines]), 0.05)
    steps = [float(np.hypot(np.diff(line.x), np.diff(line.z)).mean()) for line in lines]
    slope = np.concatenate([np.arctan2(_steps(line.z), np.abs(_steps(line.x)) + 1e-9) * np.sign(line.x[-1] - line.x[0])
                            for line in lines])
    r, c = scan.beam_from_mm(x, z)
    against_beam = slope + (c if scan.convex else 0.0)
    step = per_point(steps)
    mirror = np.exp(-0.5 * (against_beam / math.radians(16.0)) ** 2)
    level = level + 20 * np.log10(1.0 - specular + specular * mirror + 0.02)
    amplitude = 10.0 ** (level / 20.0) * coherent_point_amplitude(scan, machine, r, against_beam, step)
    # The walk runs on from line to line, which sets lines at random phases to each other as well.
    phase = np.cumsum(rng.standard_normal(len(x)) * np.sqrt(step / rough) * 1.4)
    # Points spread across the surface are not in step: more of them are needed for the same level.
    spread = thick > 0
    z = z + rng.standard_normal(len(x)) * thick / 2
    phase = phase + rng.standard_normal(len(x)) * 0.9 * spread
    return x, z, amplitude * np.where(spread, 2.0, 1.0), np.mod(phase, 2 * math.pi)


def _steps(values: NDArray) -> NDArray:
    """Central differences."""
    out = np.empty_like(values)
    out[1:-1] = values[2:] - values[:-2]
    out[0], out[-1] = 2 * (values[1] - values[0]), 2 * (values[-1] - values[-2])
    return out
