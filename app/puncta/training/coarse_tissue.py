"""Made tissue for coarse cines, in the beam's own space: where beams lie, what scatters, what is shown of it.

Scatterers are a complex field that a point spread function smears; its envelope is compressed and scan converted.
Everything is simulated; see `puncta.training.coarse`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.training.synthesis import Field, Grey

BEAMS, SAMPLES = 176, 288
"""Beams, and samples along each."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """How the beams lie in the square picture of the region.

    Attributes
    ----------
    x_px, y_px : ndarray, shape (SAMPLES, BEAMS)
        Where a sample is shown [px of the square].
    beam, sample : ndarray of float32, shape (S, S)
        Which beam and sample a pixel shows; outside of the beams where ``inside`` is False.
    inside : ndarray of bool, shape (S, S)
    """

    x_px: Field
    y_px: Field
    beam: Field
    sample: Field
    inside: NDArray[np.bool_]


    def carry(self, point_px: NDArray[np.float64], shift: tuple[float, float]) -> NDArray[np.float64]:
        """Where a point [px] comes to lie when everything moves by (beams, samples)."""
        x, y = (int(np.clip(round(float(v)), 0, len(self.inside) - 1)) for v in point_px)
        beam = np.clip(self.beam[y, x] + np.array([0.0, shift[0]]), 0, BEAMS - 1).astype(np.float32)
        sample = np.clip(self.sample[y, x] + np.array([0.0, shift[1]]), 0, SAMPLES - 1).astype(np.float32)
        there = [cv2.remap(f, beam[None], sample[None], cv2.INTER_LINEAR)[0] for f in (self.x_px, self.y_px)]
        # The difference alone: the point itself lies between pixels.
        return np.array(point_px) + np.array([float(f[1] - f[0]) for f in there])


def draw_probe(rng: np.random.Generator, size: int) -> Probe:
    """Draw a linear, trapezoid or convex probe."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / np.float32(size - 1)
    u, v = np.meshgrid(np.linspace(0, 1, BEAMS, dtype=np.float32), np.linspace(0, 1, SAMPLES, dtype=np.float32))
    kind = rng.random()
    if kind < 0.35:
        return Probe(u * (size - 1), v * (size - 1), x * (BEAMS - 1), y * (SAMPLES - 1), np.ones((size, size), bool))
    half = math.radians(float(rng.uniform(8, 22) if kind < 0.5 else rng.uniform(22, 44)))
    radius = float(rng.uniform(0.6, 2.5) if kind < 0.5 else rng.uniform(0.12, 1.0))
    flat = kind < 0.5 and rng.random() < 0.5  # a trapezoid's face is flat
    top = radius * math.cos(half)
    wide = (radius + 1.0) * math.sin(half)
    angle = (u - 0.5) * 2 * half
    begins = top / np.cos(angle) if flat else np.float32(radius)
    r = begins + v * (radius + 1.0 - begins)
    deep = radius + 1.0 - top
    x_px = (r * np.sin(angle) / (2 * wide) + 0.5) * (size - 1)
    y_px = (r * np.cos(angle) - top) / deep * (size - 1)
    ax, ay = (x - 0.5) * 2 * wide, y * deep + top
    at, far = np.arctan2(ax, ay), np.hypot(ax, ay)
    first = top / np.cos(at) if flat else np.full_like(far, radius)
    beam = (at / (2 * half) + 0.5) * (BEAMS - 1)
    sample = (far - first) / (radius + 1.0 - first) * (SAMPLES - 1)
    inside = (np.abs(at) <= half) & (sample >= 0) & (sample <= SAMPLES - 1)
    return Probe(*(f.astype(np.float32) for f in (x_px, y_px, beam, sample)), inside)


def moved(field: Field, shift: tuple[float, float]) -> Field:
    """A field over samples and beams, moved by (beams, samples)."""
    by = np.float32([[1, 0, shift[0]], [0, 1, shift[1]]])
    return cv2.warpAffine(field, by, (BEAMS, SAMPLES), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


class Tissue:
    """Made tissue in the beam's space: how strongly every sample scatters, and what the machine makes of it."""

    def __init__(self, rng: np.random.Generator, probe: Probe) -> None:
        self.rng, self.probe = rng, probe
        size = len(probe.inside)
        self.level_db = self._levels(rng, size)
        # Looks from several directions are put together by better machines, which evens the speckle out.
        looks = int(rng.choice([1, 1, 1, 2, 4]))
        self.fields = rng.standard_normal((looks, 2, 2, SAMPLES, BEAMS)).astype(np.float32)
        self.axial = float(rng.uniform(0.4, 2.2))
        near, far = float(rng.uniform(0.4, 2.0)), float(rng.choice([rng.uniform(0.8, 2.5), rng.uniform(1.5, 6.0)]))
        self.lateral = (near, max(near, far))
        focus = float(rng.uniform(0.0, 0.7))
        depth = np.linspace(0, 1, SAMPLES, dtype=np.float32)[:, None]
        self.off_focus = np.clip(np.abs(depth - focus) / max(focus, 1 - focus), 0, 1)
        self.range_db = float(rng.uniform(42, 75))
        self.gain_db = float(rng.uniform(-30, 2))
        self.floor_db = float(rng.uniform(-70, -45))
        self.fade_db = np.float32(rng.uniform(0, 25)) * depth ** float(rng.uniform(1, 3))
        self.tgc_db = np.interp(depth, np.linspace(0, 1, 6), rng.normal(0, 3.0, 6)).astype(np.float32)

    def level_along(
        self, entry_px: tuple[float, float], direction: tuple[float, float], first_px: float, last_px: float
    ) -> float:
        """Scattering that six tenths of the way between two lengths along a line stay below [dB]."""
        s = np.linspace(max(first_px, 0.0), last_px, 40)
        size = len(self.probe.inside)
        x, y = (np.clip(entry_px[k] + direction[k] * s, 0, size - 1).astype(int) for k in (0, 1))
        there = self.probe.inside[y, x]
        beam = np.clip(self.probe.beam[y, x], 0, BEAMS - 1).astype(int)[there]
        sample = np.clip(self.probe.sample[y, x], 0, SAMPLES - 1).astype(int)[there]
        return float(np.percentile(self.level_db[sample, beam], 60)) if len(beam) else 0.0

    def _levels(self, rng: np.random.Generator, size: int) -> Field:
        """Scattering of every sample [dB]."""
        px, py = self.probe.x_px / size, self.probe.y_px / size
        cells = int(rng.integers(3, 9))
        coarse = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
        level = float(rng.uniform(0, 7)) * cv2.remap(coarse, px * cells + 1, py * cells + 1, cv2.INTER_CUBIC)
        streaks = cv2.GaussianBlur(rng.standard_normal((SAMPLES, BEAMS)).astype(np.float32), (0, 0),
                                   float(rng.uniform(3, 14)), sigmaY=float(rng.uniform(0.7, 3)))
        level += float(rng.choice([0.0, rng.uniform(1, 9)])) * streaks / streaks.std()
        for _ in range(int(rng.integers(0, 5))):
            level = self._add_body(rng, level, px, py)
        for _ in range(int(rng.integers(0, 4))):
            level = self._add_sheet(rng, level, px, py)
        if rng.random() < 0.35:  # bright dots: gas, fibres
            dots = (rng.random((SAMPLES, BEAMS)) < rng.uniform(5e-4, 6e-3)).astype(np.float32)
            level += cv2.GaussianBlur(dots, (0, 0), 0.8) * float(rng.uniform(40, 110))
        for _ in range(int(rng.integers(0, 3))):  # shadowed or brightened beams
            at, width = int(rng.integers(BEAMS)), int(rng.integers(3, BEAMS // 3))
            begins = int(rng.integers(0, SAMPLES // 2))
            dark = np.zeros((SAMPLES, BEAMS), np.float32)
            dark[begins:, at : at + width] = float(rng.choice([rng.uniform(-25, -4), rng.uniform(2, 9)]))
            level += cv2.GaussianBlur(dark, (0, 0), 3.0)
        return level

    @staticmethod
    def _add_body(rng: np.random.Generator, level: Field, px: Field, py: Field) -> Field:
        cx, cy = rng.uniform(0, 1, 2)
        a, b, t = rng.uniform(0.04, 0.3), rng.uniform(0.04, 0.3), rng.uniform(0, 3.14)
        x, y = px - cx, py - cy
        q = np.hypot((x * math.cos(t) + y * math.sin(t)) / a, (y * math.cos(t) - x * math.sin(t)) / b)
        inside = 1 / (1 + np.exp(np.clip((q - 1) * float(rng.uniform(8, 40)), -30, 30)))
        step = float(rng.choice([rng.uniform(-30, -5), rng.uniform(2, 16)]))
        rim = float(rng.choice([0.0, rng.uniform(3, 14)])) * np.exp(-np.minimum(np.square((q - 1) * 14), 40))
        return level + step * inside + rim

    @staticmethod
    def _add_sheet(rng: np.random.Generator, level: Field, px: Field, py: Field) -> Field:
        """A bright interface: a plate through the whole picture, or a bent sheet that comes and goes."""
        base, tilt = float(rng.uniform(0.0, 1.0)), float(rng.normal(0, 0.15))
        whole = rng.random() < 0.5
        wavy = not (whole and rng.random() < 0.4)
        wave = float(rng.choice([-1, 1])) * float(rng.uniform(0.02, 0.09)) if wavy else 0.0
        turns, phase = float(rng.uniform(0.5, 2.5)), float(rng.uniform(0, 6.3))
        off = py - base - tilt * (px - 0.5) - wave * np.sin(phase + 6.28 * turns * px)
        width, gain = float(rng.uniform(0.002, 0.012)), float(rng.uniform(6, 26))
        present = 1.0 if whole else np.clip(1.5 * np.sin(phase * 3 + 6.28 * float(rng.uniform(0.5, 2)) * px), 0, 1)
        for k in range(1 + (int(rng.integers(1, 6)) if rng.random() < 0.3 else 0)):  # with its repetitions below
            echo = np.exp(-0.5 * np.minimum(np.square((off - k * 0.03) / width), 40)) * 0.7**k
            level = level + gain * echo * present
        if rng.random() < 0.3:  # nothing comes from behind a plate
            level = level - float(rng.uniform(8, 40)) * (off > 0.02) * present
        return level

    def show(self, shift: tuple[float, float], turned: float, needle: tuple[Field, Field] | None) -> Grey:
        """One frame of the square picture.

        Parameters
        ----------
        shift : (x, y)
            How far the tissue has moved [beams, samples].
        turned : float
            How far the plane has left the first one [rad]: other scatterers come in.
        needle : (real, imaginary) or None
        """
        scale = 10 ** (moved(self.level_db, shift) / 20)
        envelope = np.zeros_like(scale)
        for scatterers in self.fields:
            parts = []
            for k in (0, 1):
                mixed = math.cos(turned) * scatterers[0, k] + math.sin(turned) * scatterers[1, k]
                part = moved(mixed, shift) * scale
                if needle is not None:
                    part = part + needle[k]
                narrow, broad = (cv2.GaussianBlur(part, (0, 0), s, sigmaY=self.axial) for s in self.lateral)
                parts.append(narrow + self.off_focus * (broad - narrow))
            envelope += np.hypot(*parts)
        # A Gaussian of deviations s, t leaves 1 / sqrt(4 pi s t) of white noise; tissue has amplitude 1 after that.
        left = 1 / math.sqrt(4 * math.pi * self.axial * self.lateral[0])
        envelope /= np.float32(left * len(self.fields))
        db = 20 * np.log10(envelope + 1e-4) - self.fade_db + self.tgc_db
        floor = self.floor_db + 20 * np.log10(np.abs(self.rng.standard_normal(db.shape).astype(np.float32)) + 1e-3)
        db = np.maximum(db, floor + 0.3 * self.fade_db) + self.gain_db
        grey = np.clip(255 * (db + 0.75 * self.range_db) / self.range_db, 0, 255).astype(np.float32)
        shown = cv2.remap(grey, self.probe.beam, self.probe.sample, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.where(self.probe.inside, shown, 0).astype(np.uint8)
