"""Reflecting surfaces of a subject where the probe's plane cuts them: sheets and streaks as coherent points."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.sim.machines import Machine
from puncta.sim.plane import Plane, remap_points
from puncta.sim.scan import Scan
from puncta.sim.scatterers import MARGIN_MM, SURFACE_KAPPA, Points, Track, coherent_point_amplitude
from puncta.sim.subject import Float32, Subject

SHEET_STEP_MM = 0.08
"""Distance of a sheet's points along the picture."""
LAYER_POINTS = 12
"""Points over which a layer inside a surface keeps its place; about a millimetre."""
_PATTERN = 4096
"""Points after which a sheet's fine pattern repeats."""
_FAINTEST_DB = -62.0


class Surfaces:
    """Sheets and streaks of one subject; ``gather`` cuts them with a plane."""

    def __init__(
        self, subject: Subject, scan: Scan, machine: Machine, density: float, rng: np.random.Generator
    ) -> None:
        self.scan, self.machine, self.density = scan, machine, density
        lattice = subject.lattice
        self.ny, _, self.nx = lattice.shape
        (self.x0, self.y0, _), (self.sx, self.sy, _) = lattice.origin_mm, lattice.step_mm
        sheets = subject.sheets
        self.count = len(sheets)
        self.sheet_z = self.sheet_level = np.zeros((0, self.nx), np.float32)
        if sheets:
            self.sheet_z = np.concatenate([np.asarray(s.z_mm, np.float32) for s in sheets])
            self.sheet_level = np.concatenate([np.asarray(s.level_db, np.float32) for s in sheets])
        self.rough = np.array([max(s.rough_mm, 0.05) for s in sheets], np.float32)
        self.thick = np.array([s.thick_mm for s in sheets], np.float32)
        self.specular = np.array([s.specular for s in sheets], np.float32)
        shape = (self.count, _PATTERN)
        walk = rng.standard_normal(shape, np.float32) * (1.4 * np.sqrt(SHEET_STEP_MM / self.rough))[:, None]
        self.walk = np.cumsum(walk, axis=1, dtype=np.float32)
        spread = (self.thick > 0)[:, None]
        # Points spread across the surface are not in step: more of them are needed for the same level.
        self.walk += rng.standard_normal(shape, np.float32) * np.float32(0.9) * spread
        self.jitter = _layered(rng.standard_normal(shape, np.float32), 2) * (0.5 * self.thick)[:, None]
        self.loud = np.where(self.thick > 0, 2.0, 1.0).astype(np.float32)
        self.turn = rng.standard_normal(shape, np.float32)
        self.streaks = t = subject.streaks
        n = len(t.x_mm)
        step = np.asarray(t.step_mm, np.float32)
        # The walk runs on from line to line, which sets lines at random phases to each other as well.
        self.phase = np.mod(np.cumsum(rng.standard_normal(n) * np.sqrt(step / np.maximum(t.rough_mm, 0.05)) * 1.4),
                            2 * math.pi).astype(np.float32)
        soft = np.asarray(t.thick_mm) > 0
        self.phase += (rng.standard_normal(n) * 0.9 * soft).astype(np.float32)
        across = _layered(rng.standard_normal((1, n)).astype(np.float32), 1)[0] if n else np.zeros(0, np.float32)
        self.streak_jitter = across * np.asarray(t.thick_mm, np.float32) * np.float32(0.3)
        self.streak_loud = np.where(soft, 2.0, 1.0).astype(np.float32)
        self.streak_turn = rng.standard_normal(n).astype(np.float32)

    def gather(self, track: Track, plane: Plane) -> list[Points]:
        """Points of the surfaces on this pose."""
        parts = []
        if self.count:
            parts.append(self._sheets(track, plane))
        if len(self.phase):
            parts.append(self._streaks(track, plane))
        return parts

    def _sheets(self, track: Track, plane: Plane) -> Points:
        scan, pose = self.scan, track.pose
        x0, _, x1, _ = scan.extent_mm
        # Points keep their places in tissue while the probe slides over them.
        lean = scan.depth_mm * math.sin(pose.rock_rad)  # a rocked field wanders along u with depth
        first = math.floor((track.u_mm + x0 - max(lean, 0.0) - MARGIN_MM) / SHEET_STEP_MM)
        last = math.ceil((track.u_mm + x1 - min(lean, 0.0) + MARGIN_MM) / SHEET_STEP_MM)
        index = np.arange(first, last)
        u = (index * SHEET_STEP_MM).astype(np.float32)
        axes, origin = pose.axes(), pose.origin_mm
        lateral, depth = axes[0], axes[2]
        du = u - track.u_mm
        # In the plane, u runs along the twisted horizontal and w down the tilted plane, before any rock.
        cr, sr = math.cos(pose.rock_rad), math.sin(pose.rock_rad)
        eu = cr * lateral - sr * depth
        ew = sr * lateral + cr * depth
        press = pose.press_mm * math.cos(pose.tilt_rad)
        w = np.full((self.count, len(u)), press, np.float32)
        level_uv = None
        for _ in range(1 if abs(ew[0]) + abs(ew[1]) < 1e-6 else 4):
            down = w - np.float32(press)
            x = origin[0] + du[None, :] * eu[0] + down * ew[0]
            y = origin[1] + du[None, :] * eu[1] + down * ew[1]
            level_uv = self._places(x, y)
            z = self._sample(self.sheet_z, level_uv)
            w = np.asarray((z - origin[2] - du[None, :] * eu[2]) / ew[2] + press, np.float32)
        assert level_uv is not None
        level = self._sample(self.sheet_level, level_uv)
        slope = np.gradient(w, SHEET_STEP_MM, axis=1)
        pick = np.mod(index, _PATTERN)
        phase = self.walk[:, pick]
        shape = w.shape
        turn = self.turn[:, pick]
        # Where a surface is steep its points lie apart along the beam; scattered over the gap they make a line again.
        gap = np.clip(np.abs(np.nan_to_num(slope)), 0.0, 4.0) * np.float32(0.35 * SHEET_STEP_MM)
        w = w + self.jitter[:, pick] + turn * gap
        spec = np.broadcast_to(self.specular[:, None], shape)
        step = np.float32(SHEET_STEP_MM) * np.sqrt(1.0 + np.nan_to_num(slope) ** 2)
        flat = [np.ascontiguousarray(np.broadcast_to(a, shape)).ravel() for a in
                (u[None, :], w, np.arctan(slope), level, phase, turn, spec, step, self.loud[:, None])]
        keep = np.isfinite(flat[1]) & np.isfinite(flat[3]) & np.isfinite(flat[2])
        keep &= flat[3] > _FAINTEST_DB
        uu, ww, sl, lv, ph, tn, sp, st, loud = (a[keep] for a in flat)
        return self._points(track, plane, uu, ww, sl, lv, ph, tn, sp, st, loud)

    def _streaks(self, track: Track, plane: Plane) -> Points:
        t, pose, scan = self.streaks, track.pose, self.scan
        axes, origin = pose.axes(), pose.origin_mm
        off = axes[1]
        distance = (t.x_mm - origin[0]) * off[0] + (t.y_mm - origin[1]) * off[1] + (t.z_mm - origin[2]) * off[2]
        near = np.flatnonzero(np.abs(distance) < 3.0 * t.reach_mm)
        x, y, z, reach = t.x_mm[near], t.y_mm[near], t.z_mm[near], t.reach_mm[near]
        dy = -distance[near] / off[1] if abs(off[1]) > 0.2 else -distance[near]
        x = x + t.shear_x[near] * dy
        z = z + t.shear_z[near] * dy
        px, _, pz = pose.probe_from_tissue(x, y + dy, z)
        bound = MARGIN_MM + 1.0
        left, top, right, bottom = scan.extent_mm
        inside = (px > left - bound) & (px < right + bound) & (pz > top - bound - 6.0) & (pz < bottom + bound + 6.0)
        near, px, pz, dy, reach = near[inside], px[inside], pz[inside], dy[inside], reach[inside]
        u, w = track.plane_from_probe(px, pz)
        weight = np.exp(-0.5 * (dy / reach) ** 2)
        loud = self.streak_loud[near] * weight
        return self._points(track, plane, u.astype(np.float32), (w + self.streak_jitter[near]).astype(np.float32),
                            t.slope_rad[near], t.level_db[near], self.phase[near], self.streak_turn[near],
                            t.specular[near], t.step_mm[near], loud)

    def _points(
        self, track: Track, plane: Plane, u: Float32, w: Float32, slope: NDArray, level: NDArray, phase: Float32,
        turn: Float32, specular: NDArray, step: NDArray, loud: NDArray,
    ) -> Points:
        """Weigh points by their slope against the beam and by the tissue in front of them, where they show."""
        scan, machine = self.scan, self.machine
        x, z = track.probe_from_plane(u, w)
        r, c = scan.beam_from_mm(x, z)
        if scan.convex:
            r = plane.conform.picture_r(r, c)
        keep = (r > -2.0) & (r < scan.depth_mm + MARGIN_MM) & (np.abs(c) < scan.half_c * 1.25)
        r, c, u, w, slope = r[keep], c[keep], u[keep], w[keep], slope[keep]
        against = slope - track.pose.rock_rad + (c if scan.convex else 0.0)
        mirror = np.exp(-0.5 * (against / math.radians(16.0)) ** 2)
        sp = specular[keep]
        # Rough surfaces scatter less to the side too, about as Lambert's law says: both ways along the beam.
        gain = (1.0 - sp + sp * mirror + 0.02) * np.cos(against) ** 2 * loud[keep]
        gain = gain * np.exp((level[keep] + plane.residual.sample(r, c)) * np.float32(math.log(10.0) / 20.0))
        unit = coherent_point_amplitude(scan, machine, self.density, r, np.cos(against), np.sin(against), step[keep])
        sigma = machine.elevation_sigma_mm(np.maximum(r, 0.0))
        kappa = turn[keep] * (SURFACE_KAPPA / math.sqrt(2.0)) / sigma
        return Points(*(np.asarray(a, np.float32) for a in (u, w, gain * unit, phase[keep], kappa)))

    def _places(self, x: NDArray, y: NDArray) -> tuple[Float32, Float32, Float32]:
        """Columns, rows and shares of the next slice in the stacked sheets."""
        u = (x - self.x0) / self.sx
        last = self.nx - 1.0
        if float(u.min()) < 0 or float(u.max()) > last:
            u = last - np.abs(np.mod(u, 2 * last) - last)
        v = np.clip((y - self.y0) / self.sy, 0.0, self.ny - 1.0)
        below = np.minimum(np.floor(v), max(self.ny - 2, 0))
        base = below + (np.arange(self.count) * self.ny)[:, None]
        return (np.broadcast_to(u, base.shape).astype(np.float32).ravel(), base.astype(np.float32).ravel(),
                (v - below).astype(np.float32))

    def _sample(self, stack: Float32, places: tuple[Float32, Float32, Float32]) -> Float32:
        u, base, share = places
        near = remap_points(stack, u, base).reshape(share.shape)
        if self.ny == 1:
            return near
        far = remap_points(stack, u, base + np.float32(1.0)).reshape(share.shape)
        return near + share * (far - near)


def _layered(white: Float32, layers: int) -> Float32:
    """Spread of points across a surface, unit deviation: thin layers that wind about each other, not loose dots.

    Points belong to the layers in turn; each layer keeps its place over `LAYER_POINTS` points.
    """
    out = np.empty_like(white)
    sigma = LAYER_POINTS / layers
    # White noise through a Gaussian keeps 1 / (2 sqrt(pi) sigma) of its power.
    unit = math.sqrt(2.0 * math.sqrt(math.pi) * sigma)
    for k in range(layers):
        part = np.ascontiguousarray(white[:, k::layers])
        if part.size:
            smooth = cv2.GaussianBlur(part, (0, 0), sigmaX=sigma, sigmaY=0.01)
            out[:, k::layers] = 0.96 * unit * smooth + 0.28 * part
    return out
