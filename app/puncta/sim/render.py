"""From scatterers to a picture: point spread, compounding, envelope, log compression, grey map, scan conversion."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.sim.machines import Machine
from puncta.sim.scan import Scan, make_converter
from puncta.sim.scatterers import axial_sigma_cells, lateral_sigma_cells, spread_gain

Float32 = NDArray[np.float32]
Complex64 = NDArray[np.complex64]
BANDS = 8
Roi = tuple[int, int, int, int]
"""Rows r0:r1 and columns c0:c1 of the beam grid."""


class Renderer:
    """One machine's receive chain; the only state is the previous picture, for persistence."""

    def __init__(self, machine: Machine, scan: Scan, rng: np.random.Generator) -> None:
        self.machine = machine
        self.scan = scan
        self.converter = make_converter(scan)
        self.rng = rng
        rows, cols = scan.rows, scan.cols
        depth = (np.arange(rows) + 0.5) * scan.dr_mm
        self.axial = axial_sigma_cells(scan, machine)
        edges = np.linspace(0, rows, BANDS + 1).astype(int)
        self.bands = [
            (int(a), int(b), float(lateral_sigma_cells(scan, machine, depth[(a + b) // 2])))
            for a, b in zip(edges[:-1], edges[1:], strict=True)
        ]
        self.spread_gain = np.empty(rows, np.float32)
        for a, b, _ in self.bands:
            self.spread_gain[a:b] = spread_gain(scan, machine, depth[(a + b) // 2])
        focus = self.bands[len(self.bands) // 2][2]
        shifts = {1: (0.0,), 2: (-0.75, 0.75), 3: (-1.3, 0.0, 1.3)}[machine.looks]
        columns = np.arange(cols, dtype=np.float32)
        self.ramps = [None if k == 0 else np.exp(1j * k / focus * columns).astype(np.complex64) for k in shifts]
        self.gain = self._gain(depth, rng)
        noise = rng.standard_normal((rows + 64, cols + 64, 2)).astype(np.float32).view(np.complex64)[..., 0]
        rise = 10.0 ** ((machine.noise_db - 22.0 * (1.0 - depth / scan.depth_mm)) / 20.0)
        self.noise = noise * np.float32(0.7)
        self.noise_row = rise.astype(np.float32)[:, None]
        self.top_db = 0.0
        self.grey = self._grey_map()
        self.previous: Float32 | None = None

    def _gain(self, depth: NDArray, rng: np.random.Generator) -> Float32:
        """Receive gain error over the grid: time-gain sliders, weak elements, an edge without contact [amplitude]."""
        m, cols = self.machine, self.scan.cols
        sliders = np.interp(depth / self.scan.depth_mm, np.linspace(0, 1, len(m.tgc_error_db)), m.tgc_error_db)
        across = np.zeros(cols)
        at = np.linspace(0, 1, cols)
        across -= rng.uniform(0, 5.0) * (np.exp(-at / 0.04) + np.exp(-(1 - at) / 0.04))
        if rng.random() < 0.14:  # an end of the probe lifts off the skin
            edge, width = rng.uniform(0.0, 0.16), rng.uniform(0.01, 0.05)
            away = 1 - at if rng.random() < 0.5 else at
            across -= rng.uniform(15, 45) / (1.0 + np.exp((away - edge) / width))
        gain_db = sliders[:, None] + across[None, :]
        return (10.0 ** (gain_db / 20.0)).astype(np.float32) * self.spread_gain[:, None]

    def _grey_map(self) -> NDArray[np.uint8]:
        """256 entries from compressed echo to display grey: gamma and an S-curve."""
        v = np.linspace(0.0, 1.0, 256)
        g = v**self.machine.gamma
        s = self.machine.s_curve
        g = (1 - s) * g + s * (g * g * (3 - 2 * g))
        return np.clip(np.rint(g * 255), 0, 255).astype(np.uint8)

    def looks(self, grid: Complex64) -> list[Complex64]:
        """Blur splatted scatterers with the point spread, once for each look of the compound."""
        pairs = grid.view(np.float32).reshape(*grid.shape, 2)
        axial = cv2.GaussianBlur(pairs, (1, _odd(self.axial)), 1.0, None, self.axial, cv2.BORDER_REFLECT)
        looks = []
        for ramp in self.ramps:
            turned = axial
            if ramp is not None:
                turned = (axial.view(np.complex64)[..., 0] * ramp).view(np.float32).reshape(axial.shape)
            out = np.empty_like(turned)
            for a, b, sigma in self.bands:
                out[a:b] = cv2.GaussianBlur(turned[a:b], (_odd(sigma), 1), sigma, None, 1.0, cv2.BORDER_REFLECT)
            looks.append(out.view(np.complex64)[..., 0])
        return looks

    def blur_plain(self, grid: Complex64, roi: Roi) -> Complex64:
        """Blur the splatted needle inside a part of the grid, straight look only."""
        r0, r1, c0, c1 = roi
        part = np.ascontiguousarray(grid[r0:r1, c0:c1]).view(np.float32).reshape(r1 - r0, c1 - c0, 2)
        part[...] = cv2.GaussianBlur(part, (1, _odd(self.axial)), 1.0, None, self.axial, cv2.BORDER_CONSTANT)
        out = np.empty_like(part)
        for band_start, band_end, sigma in self.bands:
            a, b = max(band_start, r0) - r0, min(band_end, r1) - r0
            if a < b:
                out[a:b] = cv2.GaussianBlur(part[a:b], (_odd(sigma), 1), sigma, None, 1.0, cv2.BORDER_CONSTANT)
        return out.view(np.complex64)[..., 0]

    def noise_shift(self) -> tuple[int, int]:
        """Draw this frame's place in the noise bank."""
        return int(self.rng.integers(0, 64)), int(self.rng.integers(0, 64))

    def detect(self, looks: list[Complex64], shift: tuple[int, int], roi: Roi | None = None) -> Float32:
        """Envelope, compounding and log compression, 0..1, with the machine's speckle smoothing.

        Parameters
        ----------
        looks : complex grids, whole or cut to ``roi``
        shift : this frame's place in the noise bank
        roi : part of the grid the looks were cut to
        """
        r0, r1, c0, c1 = roi or (0, self.scan.rows, 0, self.scan.cols)
        gain = self.gain[r0:r1, c0:c1]
        noise = self.noise[r0 + shift[0] : r1 + shift[0], c0 + shift[1] : c1 + shift[1]] * self.noise_row[r0:r1]
        total = np.zeros((r1 - r0, c1 - c0), np.float32)
        for look in looks:
            field = look * gain
            field += noise
            pairs = field.view(np.float32).reshape(*field.shape, 2)
            envelope = cv2.magnitude(pairs[..., 0], pairs[..., 1])
            total += envelope
        strength = self.machine.smoothing
        if strength > 0.1:
            # Averaging the detected signal, as frequency compounding and receive filters do, fills speckle's dark gaps.
            total = np.asarray(cv2.GaussianBlur(total, (7, 5), 1.5 * strength, None, 0.8 * strength), np.float32)
        decibel = cv2.log(total + np.float32(1e-7))
        scale = 20.0 / math.log(10.0)
        level = decibel * np.float32(scale / self.machine.dynamic_range_db)
        level += np.float32(1.0 - (self.top_db + 20 * math.log10(len(looks))) / self.machine.dynamic_range_db)
        np.clip(level, 0.0, 1.05, out=level)
        return self._edge(self._smooth(level))

    def _smooth(self, level: Float32) -> Float32:
        """Adaptive smoothing after Lee (IEEE PAMI 2:165, 1980): flat where only speckle varies, kept at structures."""
        strength = self.machine.smoothing
        if strength < 0.05:
            return level
        size = 3 if strength < 0.3 else 5 if strength < 0.7 else 7
        mean = cv2.blur(level, (size, size))
        spread = cv2.blur(level * level, (size, size)) - mean * mean
        speckle = (5.57 / self.machine.dynamic_range_db) ** 2 / self.machine.looks / (1.0 + 3.0 * strength)
        keep = np.clip((spread - np.float32(speckle)) / (spread + 1e-6), 0.0, 1.0)
        filtered = mean + keep * (level - mean)
        return level + np.float32(strength) * (filtered - level)

    def _edge(self, level: Float32) -> Float32:
        amount = self.machine.edge
        if amount < 0.05:
            return level
        return level + np.float32(amount) * (level - cv2.GaussianBlur(level, (7, 7), 1.6))

    def calibrate_gain(self, looks: list[Complex64], shift: tuple[int, int]) -> None:
        """Set the overall gain so that lit tissue has the machine's median grey, as an operator would."""
        m = self.machine
        total = np.mean([np.abs(look) for look in looks], axis=0) * self.gain
        level = 20 * np.log10(total + 1e-7)
        lit = level[level > m.noise_db + 12]
        median = float(np.median(lit)) if lit.size else -25.0
        wanted = float(np.searchsorted(self.grey, m.median_grey)) / 255.0
        self.top_db = median - (wanted - 1.0) * m.dynamic_range_db

    def display(self, level: Float32, gain_db: float) -> NDArray[np.uint8]:
        """Persistence, grey map and scan conversion; returns the region's picture."""
        share = np.float32(self.machine.persistence)
        if self.previous is not None and share > 0:
            level = level + share * (self.previous - level)
        self.previous = level
        shifted = (level + np.float32(gain_db / self.machine.dynamic_range_db)) * np.float32(255.0)
        np.clip(shifted, 0, 255, out=shifted)
        return self.converter.convert(np.asarray(cv2.LUT(shifted.astype(np.uint8), self.grey), np.uint8))


def _odd(sigma: float) -> int:
    """Kernel length that holds three sigma on both sides."""
    return 2 * int(math.ceil(2.6 * sigma)) + 1
