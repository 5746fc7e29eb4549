"""Where a beam sample lies in tissue and on the picture: linear and convex scans, and the picture's layout.

Probe space [mm]: x lateral from the middle of the probe, z down from its face. Beam space: ``r`` depth along a beam
[mm], ``c`` lateral place, in [mm] for a linear and in [rad] for a convex probe. Grid: rows along r, columns along c.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.sim.machines import Machine

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Layout:
    """Size of the picture and the whole-pixel box of the ultrasound region in it; isotropic pixels."""

    width_px: int
    height_px: int
    region: tuple[int, int, int, int]
    mm_per_px: float


@dataclass(frozen=True, slots=True)
class Scan:
    """Geometry of one cine's scan.

    Attributes
    ----------
    convex : bool
    width_mm, depth_mm : float
        Face width (linear) and depth of the picture [mm].
    radius_mm, half_angle : float
        Convex radius [mm] and half sector [rad]; unused when linear.
    layout : Layout
    rows, cols : int
        Beam grid.
    """

    convex: bool
    width_mm: float
    depth_mm: float
    radius_mm: float
    half_angle: float
    layout: Layout
    rows: int
    cols: int

    @property
    def dr_mm(self) -> float:
        """Row step [mm]."""
        return self.depth_mm / self.rows

    @property
    def dc(self) -> float:
        """Column step, [mm] linear or [rad] convex."""
        return (2.0 * self.half_angle if self.convex else self.width_mm) / self.cols

    @property
    def half_c(self) -> float:
        """Half the lateral span in beam space."""
        return self.half_angle if self.convex else self.width_mm / 2.0

    @property
    def extent_mm(self) -> tuple[float, float, float, float]:
        """x0, z0, x1, z1 [mm] of the picture's region in probe space."""
        if not self.convex:
            return (-self.width_mm / 2, 0.0, self.width_mm / 2, self.depth_mm)
        outer = (self.radius_mm + self.depth_mm) * math.sin(self.half_angle)
        return (-outer, self.radius_mm * (math.cos(self.half_angle) - 1.0), outer, self.depth_mm)

    def beam_from_mm(self, x: NDArray, z: NDArray) -> tuple[NDArray, NDArray]:
        """Beam coordinates (r, c) of points in probe space [mm]."""
        if not self.convex:
            return z, x
        zc = z + self.radius_mm
        return np.hypot(x, zc) - self.radius_mm, np.arctan2(x, zc)

    def mm_from_beam(self, r: NDArray, c: NDArray) -> tuple[NDArray, NDArray]:
        """Probe space [mm] of beam coordinates; inverse of ``beam_from_mm``."""
        if not self.convex:
            return c, r
        radius = r + self.radius_mm
        return radius * np.sin(c), radius * np.cos(c) - self.radius_mm

    def grid_from_beam(self, r: NDArray, c: NDArray) -> tuple[NDArray, NDArray]:
        """Fractional (row, column) of beam coordinates; cell centres at integers."""
        return r / self.dr_mm - 0.5, (c + self.half_c) / self.dc - 0.5

    def px_from_mm(self, x: NDArray | float, z: NDArray | float) -> tuple[NDArray | float, NDArray | float]:
        """Source-image pixels of points in probe space [mm]."""
        x0, y0, w, _ = self.layout.region
        left, top, right, _ = self.extent_mm
        scale = w / (right - left)
        return (x - left) * scale + x0 - 0.5, (z - top) * scale + y0 - 0.5

    def inside(self, x: NDArray, z: NDArray) -> NDArray[np.bool_]:
        """Tell which points [mm] lie in the insonified field."""
        r, c = self.beam_from_mm(x, z)
        return (r >= 0) & (r <= self.depth_mm) & (np.abs(c) <= self.half_c)


def lateral_growth(machine: Machine, r: NDArray | float) -> NDArray:
    """Lateral sigma against that at the focus."""
    off = (np.asarray(r, float) - machine.focus_mm) / machine.focus_mm
    return np.sqrt(1.0 + (0.9 * off) ** 2)


FILL_WIDTH_MM, FILL_DEPTH_MM = (24.0, 50.0), (10.0, 100.0)
"""Fields that a linear probe may be given so that they fill the picture [mm]."""


def plan_scan(
    machine: Machine, rng: np.random.Generator, size_px: tuple[int, int] | None, furniture: bool
) -> Scan:
    """Lay out the picture and choose a beam grid fine enough for the machine's point spread and the picture.

    Parameters
    ----------
    size_px : (width, height) [px] or None
        None takes the machine's screen (with furniture) or a picture 512 px high.
    furniture : bool
        Leave room for rulers and text, as machine screens do.
    """
    convex = machine.geometry == "convex"
    depth, width = machine.depth_mm, machine.width_mm
    half = math.radians(machine.sector_deg) / 2.0
    if convex:
        span_x = 2.0 * (machine.radius_mm + depth) * math.sin(half)
        span_z = depth + machine.radius_mm * (1.0 - math.cos(half))
    else:
        span_x, span_z = width, depth
    if size_px is None:
        size_px = machine.screen_px if furniture else (int(round(512 * span_x / span_z)), 512)
    canvas_w, canvas_h = size_px
    if furniture:
        left, right = rng.uniform(0.02, 0.09), rng.uniform(0.04, 0.12)
        top, bottom = rng.uniform(0.02, 0.10), rng.uniform(0.01, 0.06)
        if machine.ruler_inside:
            left, right, top, bottom = rng.uniform(0.0, 0.03, 4)
    else:
        left = right = top = bottom = 0.0
        if rng.random() < 0.15:
            left, right, top, bottom = rng.uniform(0.0, 0.06, 4)
    free_w, free_h = canvas_w * (1 - left - right), canvas_h * (1 - top - bottom)
    if not convex and (not furniture or machine.ruler_inside) and rng.random() < 0.75:
        # Most pictures fill the space they have: trade depth against width within the probe's range.
        wide = float(np.clip(depth * free_w / free_h, *FILL_WIDTH_MM))
        deep = wide * free_h / free_w
        if FILL_DEPTH_MM[0] <= deep <= FILL_DEPTH_MM[1]:  # a ribbon of a picture keeps black beside the field instead
            width, depth = wide, deep
        span_x, span_z = width, depth
    mm_per_px = max(span_x / free_w, span_z / free_h)
    w, h = max(16, int(round(span_x / mm_per_px))), max(16, int(round(span_z / mm_per_px)))
    w, h = min(w, canvas_w), min(h, canvas_h)
    x0 = int(round(canvas_w * left + (free_w - w) / 2))
    y0 = int(round(canvas_h * top + (free_h - h) * (0.5 if convex else 0.2)))
    x0, y0 = max(0, min(x0, canvas_w - w)), max(0, min(y0, canvas_h - h))
    mm_per_px = span_x / w
    if not convex:
        depth = h * mm_per_px  # whole pixels and square pixels at once
    # A grid much finer than the picture costs time and shows nothing.
    rows = int(np.clip(depth / (0.8 * machine.axial_sigma_mm), 200, max(320, 1.15 * h)))
    depths = np.linspace(0.0, depth, 24)
    per_radian = machine.radius_mm + depths if convex else np.ones_like(depths)
    lateral = float(np.min(machine.lateral_sigma_mm * lateral_growth(machine, depths) / per_radian))
    span_c = 2.0 * half if convex else width
    cols = int(np.clip(span_c / (0.95 * lateral), 96, min(320, max(160, 1.1 * w))))
    return Scan(convex, width, depth, machine.radius_mm, half, Layout(canvas_w, canvas_h, (x0, y0, w, h), mm_per_px),
                rows, cols)


LEAST_AXIAL_CELLS, LEAST_LATERAL_CELLS = 0.8, 0.65
"""Narrowest point spread that the grid carries [cells]; a finer one is below what the picture's pixels show."""


def axial_sigma_cells(scan: Scan, machine: Machine) -> float:
    """Axial sigma of the point spread in grid rows."""
    return max(machine.axial_sigma_mm / scan.dr_mm, LEAST_AXIAL_CELLS)


def lateral_sigma_cells(scan: Scan, machine: Machine, r: NDArray | float) -> NDArray:
    """Lateral sigma of the point spread in grid columns at depth r."""
    sigma = machine.lateral_sigma_mm * lateral_growth(machine, r)
    per_cell = scan.dc * ((np.maximum(r, 0.0) + scan.radius_mm) if scan.convex else 1.0)
    return np.maximum(sigma / per_cell, LEAST_LATERAL_CELLS)


@dataclass(frozen=True, slots=True)
class ScanConverter:
    """Turns a beam-grid picture into the region's pixels."""

    size_px: tuple[int, int]
    maps: tuple[Float32, Float32, NDArray[np.bool_]] | None
    blur: tuple[int, int]

    def convert(self, grid: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the region's picture, black outside the sector."""
        if self.maps is None:
            w, h = self.size_px
            # One direction after the other: a mean where it shrinks, a smooth curve where it grows. Both at once would
            # show the beams as columns.
            for size in ((grid.shape[1], h), (w, h)):
                if size != grid.shape[::-1]:
                    shrinks = size[0] < grid.shape[1] or size[1] < grid.shape[0]
                    kind = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
                    grid = np.asarray(cv2.resize(grid, size, interpolation=kind), np.uint8)
            return grid
        if max(self.blur) > 1:
            grid = np.asarray(cv2.blur(grid, self.blur), np.uint8)
        map_x, map_y, outside = self.maps
        remapped = cv2.remap(grid, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        picture = np.asarray(remapped, np.uint8)
        picture[outside] = 0
        return picture


def make_converter(scan: Scan) -> ScanConverter:
    """Precompute the scan conversion of one cine."""
    _, _, w, h = scan.layout.region
    if not scan.convex:
        return ScanConverter((w, h), None, (1, 1))
    left, top, right, _ = scan.extent_mm
    scale = (right - left) / w
    xs = left + (np.arange(w) + 0.5) * scale
    zs = top + (np.arange(h) + 0.5) * scale
    gx, gz = np.meshgrid(xs, zs)
    r, c = scan.beam_from_mm(gx, gz)
    rows, cols = scan.grid_from_beam(r, c)
    outside = ~scan.inside(gx, gz)
    # Averaging before sampling stands for the machine's own resampling; it keeps small pictures free of aliasing.
    blur = max(1, int(round(scale / scan.dr_mm)))
    if blur % 2 == 0:
        rows = rows + 0.5  # the mean of an even number of rows stands half a row above the place it is stored at
    return ScanConverter((w, h), (cols.astype(np.float32), rows.astype(np.float32), outside), (1, blur))
