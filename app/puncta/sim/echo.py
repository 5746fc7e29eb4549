"""The needle's own echo on the beam grid: shaft, bevel, reverberation, comet tail, side lobes and shadow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.sim.machines import Machine
from puncta.sim.motion import MotionState
from puncta.sim.needle import Hand, Needle, shaft_gain_db, tip_gain_db
from puncta.sim.render import Complex64, Renderer, Roi
from puncta.sim.scan import Scan
from puncta.sim.scatterers import (
    AttenuationMap,
    coherent_point_amplitude,
    lateral_sigma_cells,
    splat_points,
)

STEP_MM = 0.07
BREATH_SHARE = 0.6
"""Share of the breathing excursion that a held needle follows."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the needle lies on one frame, in probe space; samples run from the skin to the tip.

    Attributes
    ----------
    s : ndarray
        Ways along the axis [mm].
    x, z : ndarray
        Places [mm].
    slope_rad : ndarray
        Downward angle of the axis.
    weight : ndarray
        Elevational weight 0..1.
    shade_db : ndarray
        Level left after tissue in front [dB].
    inside : ndarray of bool
        In the field.
    offset_mm : float
        Distance of the tip from the image plane [mm].
    """

    s: NDArray
    x: NDArray
    z: NDArray
    slope_rad: NDArray
    weight: NDArray
    shade_db: NDArray
    inside: NDArray[np.bool_]
    offset_mm: float


class NeedleEcho:
    """Renders one needle; everything random about it is drawn once."""

    def __init__(
        self, needle: Needle, scan: Scan, machine: Machine, attenuation: AttenuationMap, rng: np.random.Generator
    ) -> None:
        self.needle = needle
        self.scan = scan
        self.machine = machine
        self.attenuation = attenuation
        length = int((needle.goal_mm + 40.0) / STEP_MM)
        # The surface pattern is fixed to the needle, so it is indexed from the tip.
        self.phase = np.cumsum(rng.standard_normal(length)) * math.sqrt(STEP_MM / rng.uniform(0.5, 5.0))
        self.phase += rng.normal(0, rng.uniform(0.1, 1.1), length)
        pitch = int(rng.integers(12, 60))
        knots = rng.normal(0.0, rng.uniform(0.5, 3.0), length // pitch + 3)
        self.pattern_db = np.interp(np.arange(length), np.arange(len(knots)) * pitch, knots)
        self.scatter = rng.normal(0.0, 0.06 * needle.gauge_mm, length)
        if needle.floor > 0.45:  # dimples or coils of echogenic needles
            self.pattern_db += 2.5 * np.sign(np.sin(np.arange(length) * STEP_MM * 2 * math.pi / rng.uniform(0.8, 2.0)))
        self.copies = rng.uniform(0, 2 * math.pi, 12)

    def place(self, hand: Hand, motion: MotionState) -> Placement | None:
        """Lay the needle into probe space; None while it is wholly outside the skin."""
        n = self.needle
        if hand.s_mm < 0.3:
            return None
        count = max(2, int(hand.s_mm / STEP_MM))
        s = hand.s_mm - np.arange(count)[::-1] * STEP_MM
        x0, z0 = n.point(s, hand.turn_rad)
        breath = BREATH_SHARE * motion.breath_mm
        x = x0 + motion.dx_mm + motion.tilt_rad * z0
        z = z0 + motion.dz_mm - motion.tilt_rad * x0 + breath
        r, c = self.scan.beam_from_mm(x, z)
        sigma = self.machine.elevation_sigma_mm(np.maximum(r, 0.0))
        offset = n.elevation(s) - motion.elevation_mm
        weight = np.exp(-0.5 * (offset / sigma) ** 2)
        rest_r, rest_c = self.scan.beam_from_mm(x0, z0)
        shade = self.attenuation.sample(rest_r, rest_c).astype(float)
        return Placement(s, x, z, n.slope_rad(s, hand.turn_rad), weight, shade, self.scan.inside(x, z),
                         float(offset[-1]))

    def field(self, at: Placement, renderer: Renderer) -> tuple[Complex64, Roi] | None:
        """Echo field of the needle in a part of the grid, or None when it is not in the field."""
        n, scan, machine = self.needle, self.scan, self.machine
        near = at.inside
        if not near.any():
            return None
        r, c = scan.beam_from_mm(at.x, at.z)
        against = at.slope_rad * n.side  # signed slope of the line in the picture
        if scan.convex:
            # In beam space the line's slope against the arc is what the beam sees.
            angle = 90.0 - np.degrees(np.abs(against + c)) + machine.steer_deg
        else:
            angle = 90.0 - np.degrees(at.slope_rad) + machine.steer_deg
        angle = np.minimum(angle, 90.0)
        count = len(at.s)
        order = np.minimum(np.arange(count)[::-1], len(self.phase) - 1)
        phase = self.phase[order]
        level = n.level_db + shaft_gain_db(angle, n.floor) + self.pattern_db[order] + at.shade_db
        slope = np.abs(against + (c if scan.convex else 0.0))
        unit = coherent_point_amplitude(scan, machine, np.maximum(r, 0.5), slope, STEP_MM)
        shaft = 10.0 ** (level / 20.0) * at.weight * unit
        bevel = np.exp(-0.5 * ((at.s[-1] - at.s - 0.5 * n.bevel_mm) / (0.35 * n.bevel_mm)) ** 2)
        tip_level = n.level_db + n.tip_boost_db + tip_gain_db(angle[-1], n.tip_floor) + at.shade_db
        tip = 10.0 ** (tip_level / 20.0) * at.weight * unit * bevel
        amplitude = np.where(near, np.maximum(shaft, tip), 0.0)
        # A margin for the point spread, the side lobes below and the reverberation.
        rows, cols = scan.grid_from_beam(r[near], c[near])
        sigma_c = float(lateral_sigma_cells(scan, machine, float(np.median(r[near]))))
        lobe = max(2, int(round(machine.side_lobe_sigmas * sigma_c)))
        step = int(round(n.reverb_mm / scan.dr_mm))
        tail = step * n.reverb_copies + (int(2.2 / scan.dr_mm) if n.comet else 0)
        roi = (
            max(0, int(rows.min()) - 8), min(scan.rows, int(rows.max()) + 9 + tail + int(n.gauge_mm / scan.dr_mm)),
            max(0, int(cols.min()) - 6 - lobe), min(scan.cols, int(cols.max()) + 7 + lobe),
        )
        if roi[1] - roi[0] < 3 or roi[3] - roi[2] < 3:
            return None
        grid = splat_points(scan, r + self.scatter[order], c, (amplitude * np.cos(phase)).astype(np.float32),
                            (amplitude * np.sin(phase)).astype(np.float32))
        field = renderer.blur_plain(grid, roi)
        out = field.copy()
        if n.back_wall > 0:
            _add_below(out, field, int(round(n.gauge_mm / scan.dr_mm)), n.back_wall, self.copies[0])
        # Reverberation needs the mirror-like echo: it fades with the specular lobe.
        mirror = float(np.max(10.0 ** (shaft_gain_db(angle[near], 0.02) / 20.0)))
        for k in range(1, n.reverb_copies + 1):
            _add_below(out, field, k * step, mirror * n.reverb_decay**k, self.copies[k])
        if n.comet:
            last = max(0, int(cols_of_tip(scan, r[-1], c[-1])) - roi[2])
            for k in range(1, 9):
                down = int(round(0.2 * k / scan.dr_mm))
                near_tip = field * _window(field.shape[1], last, 3.0 * sigma_c)
                _add_below(out, near_tip, down, 0.7**k, self.copies[k])
        ghost = np.float32(10.0 ** (machine.side_lobe_db / 20.0))
        if lobe < field.shape[1]:
            out[:, lobe:] += ghost * field[:, :-lobe]
            out[:, :-lobe] += ghost * field[:, lobe:]
        return out, roi

    def shadow(self, at: Placement) -> tuple[NDArray[np.float32], slice] | None:
        """Factor on tissue below the needle, over the grid's columns it covers."""
        near = at.inside
        if self.needle.shadow_db < 0.3 or near.sum() < 4:
            return None
        r, c = self.scan.beam_from_mm(at.x[near], at.z[near])
        rows, cols = self.scan.grid_from_beam(r, c)
        order = np.argsort(cols)
        first, last = max(0, int(cols.min())), min(self.scan.cols, int(cols.max()) + 1)
        if last - first < 2:
            return None
        columns = np.arange(first, last)
        top = np.interp(columns, cols[order], rows[order])
        weight = np.interp(columns, cols[order], at.weight[near][order])
        weight = cv2.GaussianBlur(weight.reshape(1, -1), (0, 0), 2.0)[0]
        fade = np.minimum(np.minimum(columns - first + 1, last - columns) / 5.0, 1.0)
        below = np.arange(self.scan.rows, dtype=np.float32)[:, None] - top[None, :].astype(np.float32)
        soft = np.clip(below / np.float32(0.5 / self.scan.dr_mm), 0.0, 1.0)
        loss = (1.0 - 10.0 ** (-self.needle.shadow_db / 20.0)) * weight * fade
        return 1.0 - soft * loss[None, :].astype(np.float32), slice(first, last)


def cols_of_tip(scan: Scan, r: float, c: float) -> float:
    """Grid column of one beam coordinate."""
    return float(scan.grid_from_beam(np.asarray(r), np.asarray(c))[1])


def _add_below(out: Complex64, field: Complex64, rows: int, share: float, phase: float) -> None:
    if 0 < rows < len(field):
        out[rows:] += np.complex64(share * complex(math.cos(phase), math.sin(phase))) * field[:-rows]


def _window(size: int, middle: float, sigma: float) -> NDArray[np.float32]:
    return np.exp(-0.5 * ((np.arange(size) - middle) / sigma) ** 2).astype(np.float32)
