"""Point scatterers of a cine: tissue speckle and reflecting surfaces, in tissue, as the moving probe sees them.

Speckle: a jittered lattice of random-phase scatterers lies in the unrolled plane, u along the probe's way and w down,
and repeats in u, so that the probe slides without end. Their strength is sampled from the subject anew whenever the
plane has moved a little; their places and phases stay, so speckle moves with tissue.
Elevation: a scatterer's phase turns by ``kappa * y`` as the image plane passes by y, kappa ~ N(0, 1/(sqrt(2) s_e)), so
that the speckle of two planes correlates as exp(-dy^2 / (4 s_e^2)), as a slab of thickness s_e would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.sim.machines import Machine
from puncta.sim.plane import LANES, BeamTable, Plane
from puncta.sim.pose import ProbePose
from puncta.sim.scan import Scan, axial_sigma_cells, lateral_sigma_cells

Float32 = NDArray[np.float32]
SPACING_SIGMAS, CONVEX_SPACING_SIGMAS = 1.75, 1.45
"""Lattice spacing of the speckle scatterers in sigmas of the point spread, in both directions; a fan of beams crosses
the lattice aslant and needs more."""
EQUAL_SHARE, CONVEX_EQUAL_SHARE = 0.47, 0.35
"""Share of a scatterer's power that is the same for all, the rest being exponential. With these, speckle is fully
developed at so few scatterers (found by simulation). A scatterer lies anywhere in its lattice cell: a place nearer the
middle would do with fewer, but its lattice would show as a plaid against the grid's rows."""
MARGIN_MM = 3.0
"""How far beyond the field surfaces are followed."""
REACH_MM = 0.8
"""How far beyond the field, and the way it may go before scatterers are gathered anew, these are kept."""
STALE_ACROSS_MM = 0.12
"""Movement of the plane across itself after which tissue is sampled anew."""
STALE_WITHIN_MM = 0.8
"""Movement of the plane within itself after which scatterers are gathered anew."""
SURFACE_KAPPA = 0.35
"""Surfaces reach across the slab, so they change more slowly with the plane than speckle does."""


@dataclass(frozen=True, slots=True)
class Track:
    """The probe's way through tissue: how far it has gone along (u) and across (v) its own picture [mm]."""

    pose: ProbePose = ProbePose()
    u_mm: float = 0.0
    v_mm: float = 0.0

    def to(self, pose: ProbePose) -> Track:
        """The way after a step to a new pose; along and across are the picture's in the middle of the step."""
        twist = 0.5 * (pose.twist_rad + self.pose.twist_rad)
        dx, dy = pose.slide_mm - self.pose.slide_mm, pose.sweep_mm - self.pose.sweep_mm
        c, s = math.cos(twist), math.sin(twist)
        return Track(pose, self.u_mm + dx * c + dy * s, self.v_mm - dx * s + dy * c)

    def distance(self, other: Track, scan: Scan) -> tuple[float, float]:
        """Farthest a point of the field has moved across and within the plane [mm]."""
        a, b = self.pose, other.pose
        half = max(abs(scan.extent_mm[0]), 1.0)
        across = abs(self.v_mm - other.v_mm) + abs(a.tilt_rad - b.tilt_rad) * scan.depth_mm
        across += abs(a.twist_rad - b.twist_rad) * half
        within = abs(self.u_mm - other.u_mm) + abs(a.press_mm - b.press_mm)
        within += abs(a.rock_rad - b.rock_rad) * (scan.depth_mm + half)
        return across, within

    def probe_from_plane(self, u: NDArray, w: NDArray) -> tuple[NDArray, NDArray]:
        """Probe space [mm] of the unrolled plane's points: rock turns, press lifts."""
        du = u - np.float32(self.u_mm)
        dw = w - np.float32(self.pose.press_mm * math.cos(self.pose.tilt_rad))
        if self.pose.rock_rad == 0.0:
            return du, dw
        c, s = np.float32(math.cos(self.pose.rock_rad)), np.float32(math.sin(self.pose.rock_rad))
        return du * c + dw * s, dw * c - du * s

    def plane_from_probe(self, x: NDArray, z: NDArray) -> tuple[NDArray, NDArray]:
        """Inverse of ``probe_from_plane``."""
        c, s = math.cos(self.pose.rock_rad), math.sin(self.pose.rock_rad)
        return x * c - z * s + self.u_mm, x * s + z * c + self.pose.press_mm * math.cos(self.pose.tilt_rad)


@dataclass(frozen=True, slots=True)
class Points:
    """Scatterers near the field: places in the unrolled plane [mm], strength, phase [rad], turn across [rad/mm]."""

    u: Float32
    w: Float32
    amplitude: Float32
    phase: Float32
    kappa: Float32

    @staticmethod
    def joined(parts: list[Points]) -> Points:
        """All parts as one, filled up with silent points to whole rows of `LANES` for `remap_points`."""
        total = sum(len(p.u) for p in parts)
        silent = np.zeros(-total % LANES, np.float32)
        return Points(*(np.concatenate([*(getattr(p, name) for p in parts), silent]).astype(np.float32, copy=False)
                        for name in Points.__slots__))


class Speckle:
    """The lattice of tissue scatterers, repeating in u; ``gather`` picks and weighs those in the field."""

    def __init__(self, scan: Scan, machine: Machine, rng: np.random.Generator) -> None:
        self.scan = scan
        x0, z0, x1, _ = scan.extent_mm
        spacing = CONVEX_SPACING_SIGMAS if scan.convex else SPACING_SIGMAS
        self.dw = spacing * axial_sigma_cells(scan, machine) * scan.dr_mm
        depths = np.linspace(0.0, scan.depth_mm, 24)
        per_cell = scan.dc * (scan.radius_mm + depths if scan.convex else np.ones_like(depths))
        self.du = spacing * float(np.min(lateral_sigma_cells(scan, machine, depths) * per_cell))
        nu = int(math.ceil((x1 - x0 + 2 * MARGIN_MM + 2.0) / self.du))
        self.top = z0 - 6.0
        nw = int(math.ceil((scan.depth_mm + 8.0 - self.top) / self.dw))
        self.period = nu * self.du
        u = np.arange(nu, dtype=np.float32)[None, :] + rng.random((nw, nu), np.float32)
        w = np.arange(nw, dtype=np.float32)[:, None] + rng.random((nw, nu), np.float32)
        self.u = (u * np.float32(self.du)).ravel()
        self.w = (w * np.float32(self.dw)).ravel() + np.float32(self.top)
        share = CONVEX_EQUAL_SHARE if scan.convex else EQUAL_SHARE
        power = share - (1.0 - share) * np.log(1.0 - rng.random(nw * nu, np.float32))
        self.strength = np.sqrt(power)
        self.phase = rng.random(nw * nu, np.float32) * np.float32(2 * math.pi)
        sigma = np.asarray(machine.elevation_sigma_mm(self.w), np.float32)
        self.kappa = rng.standard_normal(nw * nu, np.float32) / (np.float32(math.sqrt(2.0)) * sigma)

    def gather(self, track: Track, plane: Plane) -> Points:
        """Scatterers in and near the field on this pose, with their tissue's strength."""
        scan = self.scan
        x0, _, x1, _ = scan.extent_mm
        # A rocked field leans: with depth its middle wanders along u, and the stretch that is picked goes with it.
        lean = self.w - np.float32(track.pose.press_mm * math.cos(track.pose.tilt_rad))
        start = np.float32(track.u_mm - 0.5 * self.period) - lean * np.float32(math.tan(track.pose.rock_rad))
        u = np.mod(self.u - start, np.float32(self.period)) + start
        reach = STALE_WITHIN_MM + REACH_MM
        # Tissue under pressure comes down from above the face.
        top = -reach - max(0.0, track.pose.press_mm)
        x, z = track.probe_from_plane(u, self.w)
        r, c = scan.beam_from_mm(x, z)
        near = (r > top) & (r < scan.depth_mm + reach)
        if scan.convex:
            near &= np.abs(c) < scan.half_c + reach / (scan.radius_mm + np.maximum(r, 0.0))
        else:
            near &= (x > x0 - reach) & (x < x1 + reach)
        picked = np.flatnonzero(near)
        rest, c = r[picked].astype(np.float32), c[picked].astype(np.float32)
        # Scatterers rest in flat tissue; a convex face bends it and draws them apart.
        r = np.asarray(plane.conform.picture_r(rest, c), np.float32)
        level = plane.level_at(r, c) + plane.residual.sample(r, c)
        amplitude = self.strength[picked] * np.exp(level * np.float32(math.log(10.0) / 20.0))
        if scan.convex:
            amplitude /= np.sqrt(plane.conform.crowding(rest, r, c)).astype(np.float32)
        return Points(u[picked], self.w[picked], amplitude, self.phase[picked], self.kappa[picked])

    @property
    def density(self) -> float:
        """Scatterers a square millimetre."""
        return 1.0 / (self.du * self.dw)


def spread_gain(scan: Scan, machine: Machine, density: float, r: NDArray | float) -> NDArray:
    """Factor after sum-one blurs that gives speckle of unit scatterers unit power."""
    across = scan.dc * ((np.maximum(r, 0.0) + scan.radius_mm) if scan.convex else 1.0)
    per_cell = density * scan.dr_mm * across
    # Points go to the nearest row: that widens the point spread on the whole, but each point's own stays narrower.
    axial = math.sqrt(axial_sigma_cells(scan, machine) ** 2 - 1.0 / 12.0)
    return np.sqrt(4.0 * math.pi * axial * lateral_sigma_cells(scan, machine, r) / per_cell)


def coherent_point_amplitude(
    scan: Scan, machine: Machine, density: float, r: NDArray, across: NDArray, down: NDArray, step_mm: NDArray | float,
    off: NDArray | float = 0.0,
) -> NDArray:
    """Amplitude per point so that a smooth line of points ``step_mm`` apart has unit envelope after the point spread.

    The line's integral through a Gaussian spread is sqrt(2 pi) times its sigma along the line.

    Parameters
    ----------
    across, down, off : ndarray
        The line's unit direction in the beam's frame: across the beam, along it, and off the plane.
    """
    per_cell = scan.dc * ((np.maximum(r, 0.0) + scan.radius_mm) if scan.convex else 1.0)
    cells_a, cells_l = axial_sigma_cells(scan, machine), lateral_sigma_cells(scan, machine, r)
    inverse = (across / (cells_l * per_cell)) ** 2 + (down / (cells_a * scan.dr_mm)) ** 2
    inverse = inverse + (off / machine.elevation_sigma_mm(np.maximum(r, 0.0))) ** 2
    peak = spread_gain(scan, machine, density, r) / (2.0 * math.pi * cells_a * cells_l)
    return step_mm * np.sqrt(inverse) / math.sqrt(2 * math.pi) / peak


def move_points(points: Points, track: Track, scan: Scan, table: BeamTable) -> tuple[Float32, Float32]:
    """Beam coordinates (r, c) at which scatterers show: carried by the probe's pose, then by a table of (dr, dc)."""
    x, z = track.probe_from_plane(points.u, points.w)
    r, c = scan.beam_from_mm(x, z)
    shift = table.sample(r, c)
    return r + shift[:, 0], c + shift[:, 1]


def splat(
    points: Points, track: Track, scan: Scan, table: BeamTable, wave: float
) -> NDArray[np.complex64]:
    """Put moved scatterers on the beam grid with their true phase; see `splat_points`."""
    r, c = move_points(points, track, scan, table)
    pose = track.pose
    y: Float32 | np.float32 = np.float32(track.v_mm)
    if pose.tilt_rad != 0.0:
        y = y + points.w * np.float32(pose.tilt_rad)
    if pose.twist_rad != 0.0:
        y = y + (points.u - np.float32(track.u_mm)) * np.float32(pose.twist_rad)
    phase = points.phase + np.float32(wave) * r
    phase += points.kappa * y
    real, imag = (np.asarray(part, np.float32).ravel() for part in cv2.polarToCart(points.amplitude, phase))
    return splat_points(scan, r, c, real, imag)


def splat_points(scan: Scan, r: NDArray, c: NDArray, real: Float32, imag: Float32) -> NDArray[np.complex64]:
    """Sum points on the beam grid: linear between columns, nearest row."""
    rows, cols = scan.rows, scan.cols
    width = cols + 3
    place = r * np.float32(1.0 / scan.dr_mm)
    place += np.float32(1.0)
    cell = np.clip(place, 0, rows + 1, out=place).astype(np.intp)
    cell *= width
    place = c * np.float32(1.0 / scan.dc)
    place += np.float32(scan.half_c / scan.dc + 0.5)
    np.clip(place, 0, cols + 1.001, out=place)
    left = place.astype(np.int32)
    cell += left
    share = np.subtract(place, left, out=place, casting="same_kind")
    size = (rows + 2) * width
    out = np.empty((rows, cols, 2), np.float32)
    for k, part in enumerate((real, imag)):
        # One pass over both columns: cell + 1 of the far share is the same as shifting the whole sum by one.
        far = part * share
        total = np.bincount(cell, weights=part - far, minlength=size)
        total[1:] += np.bincount(cell, weights=far, minlength=size)[:-1]
        out[..., k] = total.reshape(rows + 2, width)[1:-1, 1 : cols + 1]
    return out.view(np.complex64)[..., 0]
