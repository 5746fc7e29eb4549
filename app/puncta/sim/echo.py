"""The needle's own echo on the beam grid: shaft, bevel, reverberation, comet tail, side lobes and shadow.

A needle is a row of points in space. Each echoes as far as it lies in the beam's thickness, by the angle between axis
and beam, and shows where the delay of the tissue in front puts it (which kinks the line at borders of fat and gland).
A needle that crosses the plane is in it over a millimetre or two only: a bright dot with a tail, at the crossing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.sim.machines import Machine
from puncta.sim.needle import NeedleKind, shaft_gain_db, tip_gain_db
from puncta.sim.plane import Delay, Plane
from puncta.sim.pose import NeedlePose, ProbePose
from puncta.sim.render import Complex64, Float32, Renderer, Roi
from puncta.sim.scan import Scan, lateral_sigma_cells
from puncta.sim.scatterers import coherent_point_amplitude

STEP_MM = 0.07
LOBE_DEG = 83.0
"""Angle at which shafts are brightest [deg]; measured ones are brighter at 80 than at 90."""
SKIRT_DB_DEG = 0.1
"""How a shaft without texture fades with its angle where only the floor of the echo law is left [dB/deg]."""
REACH_MM = 160.0
"""Longest needle whose surface is drawn [mm]."""


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Where the needle lies on one frame; samples run from the skin to the tip, all arrays of shape (N,).

    Attributes
    ----------
    s : ndarray
        Ways along the axis [mm].
    x, z : ndarray
        Where it shows, in probe space [mm]: the delay of the tissue in front is in it.
    y : ndarray
        Distance from the image plane [mm], signed.
    r, c : ndarray
        The same places as ``x, z`` in beam space.
    slope_rad : ndarray
        Downward angle of the axis in the picture, 0..pi/2.
    direction : ndarray, shape (3, N)
        Unit direction of the axis in probe space, before delay.
    weight : ndarray
        Elevational weight 0..1.
    shade_db : ndarray
        Level left after tissue in front [dB].
    inside : ndarray of bool
        In the field.
    offset_mm : float
        Distance of the tip from the image plane [mm].
    side : int
        +1 goes to the picture's right, -1 to the left.
    """

    s: NDArray
    x: NDArray
    y: NDArray
    z: NDArray
    r: NDArray
    c: NDArray
    slope_rad: NDArray
    direction: NDArray
    weight: NDArray
    shade_db: NDArray
    inside: NDArray[np.bool_]
    offset_mm: float
    side: int


def place_in_picture(
    needle: NeedlePose, probe: ProbePose, plane: Plane, delay: Delay, machine: Machine
) -> Placement | None:
    """Lay a needle into the picture; None while it is wholly outside the skin."""
    if needle.way_mm < 0.3:
        return None
    scan = plane.scan
    count = min(max(2, int(needle.way_mm / STEP_MM)), int(REACH_MM / STEP_MM))
    s = needle.way_mm - np.arange(count)[::-1] * STEP_MM
    px, py, pz = probe.probe_from_tissue(*needle.points(s))
    direction = np.stack([_steps(px), _steps(py), _steps(pz)])
    direction /= np.maximum(np.sqrt(np.einsum("ij,ij->j", direction, direction)), 1e-9)
    r, c = scan.beam_from_mm(px, pz)
    sigma = machine.elevation_sigma_mm(np.maximum(r, 0.0))
    weight = np.exp(-0.5 * (py / sigma) ** 2)
    shade = plane.residual.sample(r, c).astype(float)
    shown = delay.apparent(r, c)
    x, z = scan.mm_from_beam(shown, c)
    flat = np.hypot(direction[0], 1e-9)
    slope = np.arctan2(direction[2], flat)
    side = 1 if px[-1] >= px[0] else -1
    return Placement(s, x, py, z, shown, c, slope, direction, weight, shade, scan.inside(x, z), float(py[-1]), side)


class NeedleEcho:
    """Renders one needle; everything random about it is drawn once."""

    def __init__(
        self, kind: NeedleKind, scan: Scan, machine: Machine, density: float, rng: np.random.Generator
    ) -> None:
        self.kind = kind
        self.scan = scan
        self.machine = machine
        self.density = density
        length = int(REACH_MM / STEP_MM) + 1
        # The surface pattern is fixed to the needle, so it is indexed from the tip.
        self.phase = np.cumsum(rng.standard_normal(length)) * math.sqrt(STEP_MM / rng.uniform(0.5, 5.0))
        self.phase += rng.normal(0, rng.uniform(0.1, 1.1), length)
        pitch = int(rng.integers(12, 60))
        knots = rng.normal(0.0, rng.uniform(0.5, 3.0), length // pitch + 3)
        self.pattern_db = np.interp(np.arange(length), np.arange(len(knots)) * pitch, knots)
        self.scatter = rng.normal(0.0, 0.06 * kind.gauge_mm, length)
        if kind.floor > 0.45:  # dimples or coils of echogenic needles
            self.pattern_db += 2.5 * np.sign(np.sin(np.arange(length) * STEP_MM * 2 * math.pi / rng.uniform(0.8, 2.0)))
        self.copies = rng.uniform(0, 2 * math.pi, 12)

    def angles(self, at: Placement) -> tuple[NDArray, NDArray]:
        """Angle between axis and beam [deg], 90 perpendicular, steering included; share of the axis off the plane."""
        tx, ty, tz = at.direction
        down = tx * np.sin(at.c) + tz * np.cos(at.c) if self.scan.convex else tz
        angle = np.degrees(np.arccos(np.clip(np.abs(down), 0.0, 1.0))) + self.machine.steer_deg
        return np.minimum(angle, 90.0), ty**2

    def amplitudes(self, at: Placement) -> tuple[NDArray, NDArray]:
        """Amplitude of every sample (0 outside the field) and the axis's angle to the beam [deg]."""
        k, scan = self.kind, self.scan
        angle, oblique = self.angles(at)
        tx, _, tz = at.direction
        if scan.convex:
            down, across = tx * np.sin(at.c) + tz * np.cos(at.c), tx * np.cos(at.c) - tz * np.sin(at.c)
        else:
            down, across = tz, tx
        count = len(at.s)
        order = np.arange(count)[::-1]
        unit = coherent_point_amplitude(scan, self.machine, self.density, np.maximum(at.r, 0.5), across, down, STEP_MM,
                                        at.direction[1])
        # Across the plane the beam meets the shaft's round side: a dot shows whatever the angle.
        dot = 0.5 * np.clip((oblique - 0.12) / 0.38, 0.0, 1.0)
        # Off the lobe a plain shaft still fades slowly, about 3 dB from 60 to 30 degrees, as the measurements show.
        skirt = 10.0 ** (-SKIRT_DB_DEG * np.clip(85.0 - angle, 0.0, 60.0) * (1.0 - k.floor) / 20.0)
        floor = np.maximum(k.floor * skirt, dot)
        if k.plastic:
            floor = np.maximum(floor, 0.35)
        lobe = 10.0 ** (shaft_gain_db(angle, 0.0001, LOBE_DEG) / 20.0)
        gain = floor + (1.0 - floor) * lobe
        decibel = k.level_db + self.pattern_db[order] + at.shade_db - (6.0 if k.plastic else 0.0)
        shaft = gain * 10.0 ** (decibel / 20.0)
        bevel = np.exp(-0.5 * ((at.s[-1] - at.s - 0.35 * k.bevel_mm) / (0.35 * k.bevel_mm)) ** 2)
        tip_level = k.level_db + k.tip_boost_db + tip_gain_db(angle[-1], k.tip_floor) + at.shade_db
        tip = 10.0 ** (tip_level / 20.0) * bevel
        # Across the plane the beam's thickness counts both ways, which keeps the dot short.
        weight = at.weight ** (1.0 + 2.5 * np.clip(oblique / 0.3, 0.0, 1.0))
        return np.where(at.inside, np.maximum(shaft, tip) * unit * weight, 0.0), angle

    def field(self, at: Placement, renderer: Renderer) -> tuple[Float32, Roi] | None:
        """Echo of the needle in a part of the grid, (rows, cols, 2); None when it is not in the field."""
        k, scan, machine = self.kind, self.scan, self.machine
        amplitude, angle = self.amplitudes(at)
        near = at.inside & (at.weight > 0.01)
        if not near.any():
            return None
        order = np.arange(len(at.s))[::-1]
        sigma_c = float(lateral_sigma_cells(scan, machine, float(np.median(at.r[near]))))
        lobe = max(2, int(round(machine.side_lobe_sigmas * sigma_c)))
        step = max(1, int(round(k.reverb_mm / scan.dr_mm)))
        oblique = float(np.max(at.direction[1][near] ** 2))
        comet = k.comet or oblique > 0.2
        tail = step * k.reverb_copies + (int(2.4 / scan.dr_mm) if comet else 0)
        rows, cols = scan.grid_from_beam(at.r[near], at.c[near])
        roi = (
            max(0, int(rows.min()) - 8), min(scan.rows, int(rows.max()) + 9 + tail + int(k.gauge_mm / scan.dr_mm)),
            max(0, int(cols.min()) - 6 - lobe), min(scan.cols, int(cols.max()) + 7 + lobe),
        )
        if roi[1] - roi[0] < 3 or roi[3] - roi[2] < 3:
            return None
        r, c = at.r[near] + self.scatter[order[near]], at.c[near]
        grid = _splat_into(scan, r, c, amplitude[near], self.phase[order[near]], roi)
        field = renderer.blur_plain(grid, roi).view(np.complex64)[..., 0]
        out = field.copy()
        gauge = int(round(k.gauge_mm / scan.dr_mm))
        if k.plastic:  # two walls, as bright as each other
            _add_below(out, field, gauge, 0.85, self.copies[0])
        elif k.back_wall > 0:
            _add_below(out, field, gauge, k.back_wall, self.copies[0])
        # Reverberation needs the mirror-like echo: it fades with the specular lobe.
        mirror = float(np.max(10.0 ** (shaft_gain_db(angle[near], 0.02, LOBE_DEG) / 20.0)))
        if not k.plastic:
            for n in range(1, k.reverb_copies + 1):
                _add_below(out, field, n * step, mirror * k.reverb_decay**n, self.copies[n])
        if comet:
            # The tail hangs from the brightest end: the tip in plane, the dot where the needle crosses.
            last = float(cols[int(np.argmax(at.weight[near]))] if oblique > 0.2 else cols[-1]) - roi[2]
            near_tip = field * _window(field.shape[1], last, 3.0 * sigma_c)
            share, decay, copies = (0.3, 0.5, 5) if oblique > 0.2 else (1.0, 0.7, 9)
            for n in range(1, copies + 1):
                _add_below(out, near_tip, int(round(0.2 * n / scan.dr_mm)), share * decay**n, self.copies[n])
        ghost = np.float32(10.0 ** (machine.side_lobe_db / 20.0))
        if lobe < field.shape[1]:
            out[:, lobe:] += ghost * field[:, :-lobe]
            out[:, :-lobe] += ghost * field[:, lobe:]
        return out.view(np.float32).reshape(*out.shape, 2), roi

    def shadow(self, at: Placement) -> tuple[Float32, slice, slice] | None:
        """Factor on tissue below the needle, and the grid's rows and columns it is for."""
        near = at.inside & (at.weight > 0.05)
        if self.kind.shadow_db < 0.3 or near.sum() < 4:
            return None
        rows, cols = self.scan.grid_from_beam(at.r[near], at.c[near])
        order = np.argsort(cols)
        first, last = max(0, int(cols.min())), min(self.scan.cols, int(cols.max()) + 1)
        if last - first < 2:
            return None
        columns = np.arange(first, last)
        top = np.interp(columns, cols[order], rows[order])
        weight = np.interp(columns, cols[order], at.weight[near][order])
        weight = cv2.GaussianBlur(weight.reshape(1, -1), (0, 0), 2.0)[0]
        fade = np.minimum(np.minimum(columns - first + 1, last - columns) / 5.0, 1.0)
        highest = int(np.clip(top.min(), 0, self.scan.rows - 1))
        below = np.arange(highest, self.scan.rows, dtype=np.float32)[:, None] - top[None, :].astype(np.float32)
        below *= np.float32(self.scan.dr_mm / 0.5)
        np.clip(below, 0.0, 1.0, out=below)
        loss = (1.0 - 10.0 ** (-self.kind.shadow_db / 20.0)) * weight * fade
        below *= -loss[None, :].astype(np.float32)
        below += 1.0
        return below, slice(highest, self.scan.rows), slice(first, last)


def _splat_into(scan: Scan, r: NDArray, c: NDArray, amplitude: NDArray, phase: NDArray, roi: Roi) -> Complex64:
    """Sum points on a part of the grid: nearest row, linear between columns."""
    r0, r1, c0, c1 = roi
    rows, cols = scan.grid_from_beam(r, c)
    row = np.rint(rows).astype(int) - r0
    left = np.floor(cols)
    share = cols - left
    col = left.astype(int) - c0
    keep = (row >= 0) & (row < r1 - r0) & (col >= 0) & (col < c1 - c0 - 1)
    width = c1 - c0
    cell = (row * width + col)[keep]
    near, far = (amplitude * (1.0 - share))[keep], (amplitude * share)[keep]
    cosine, sine = np.cos(phase[keep]), np.sin(phase[keep])
    size = (r1 - r0) * width
    out = np.empty((size, 2), np.float32)
    for k, part in enumerate((cosine, sine)):
        out[:, k] = np.bincount(cell, near * part, size) + np.bincount(cell + 1, far * part, size)
    return out.reshape(r1 - r0, width, 2).view(np.complex64)[..., 0]


def _add_below(out: Complex64, field: Complex64, rows: int, share: float, phase: float) -> None:
    if 0 < rows < len(field):
        out[rows:] += np.complex64(share * complex(math.cos(phase), math.sin(phase))) * field[:-rows]


def _window(size: int, middle: float, sigma: float) -> Float32:
    return np.exp(-0.5 * ((np.arange(size) - middle) / sigma) ** 2).astype(np.float32)


def _steps(values: NDArray) -> NDArray:
    """Differences, as long as the values."""
    return np.append(values[1:] - values[:-1], values[-1] - values[-2])
