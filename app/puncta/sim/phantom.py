"""Tissue: echo level, attenuation, reflecting surfaces and a target, drawn anew for every cine.

Levels are [dB] on the scale of specs: 0 dB about the brightest tissue interface, gland -18..-10, fat -30..-22, masses
-40..-28. Attenuation is [dB/cm/MHz], one way. Space is the tissue's own: x lateral, z depth [mm], at rest equal to
probe space.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

STEP_MM = 0.15

FAT, GLAND, MUSCLE, BLOOD, BONE, CONNECTIVE = 0.6, 0.75, 1.05, 0.17, 12.0, 1.4


@dataclass(slots=True)
class Reflector:
    """A surface seen edge-on: a polyline of points with levels.

    Attributes
    ----------
    x, z : ndarray, shape (N,)
        Points [mm], about ``STEP`` apart.
    level_db : ndarray, shape (N,)
    rough_mm : float
        Length over which the echo stays coherent; short is beaded and streaky, long is a smooth line.
    thick_mm : float
        Spread of the points across the surface.
    specular : float
        0 keeps the level at any slope, 1 dims steep parts as mirrors do.
    """

    x: NDArray[np.float64]
    z: NDArray[np.float64]
    level_db: NDArray[np.float64]
    rough_mm: float = 1.0
    thick_mm: float = 0.0
    specular: float = 0.5


@dataclass(frozen=True, slots=True)
class Vessel:
    """A vessel in short axis: centre and radius [mm], and how far its wall moves with the pulse [mm]."""

    x: float
    z: float
    radius: float
    pulse_mm: float


@dataclass(slots=True)
class Phantom:
    """Tissue maps on a grid of ``STEP_MM`` with origin ``x0, z0`` [mm]."""

    x0: float
    z0: float
    level_db: Float32
    attenuation: Float32
    target: tuple[float, float] = (0.0, 0.0)
    target_radius: float = 3.0
    reflectors: list[Reflector] = field(default_factory=list)
    vessels: list[Vessel] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the maps."""
        return self.level_db.shape  # type: ignore[return-value]

    @property
    def xs(self) -> Float32:
        """Column places [mm]."""
        return (self.x0 + np.arange(self.shape[1]) * STEP_MM).astype(np.float32)

    @property
    def zs(self) -> Float32:
        """Row places [mm]."""
        return (self.z0 + np.arange(self.shape[0]) * STEP_MM).astype(np.float32)

    def sample(self, grid: Float32, x: Float32, z: Float32) -> Float32:
        """Sample a map at points [mm], bilinear, clamped at the borders."""
        u = ((x - self.x0) / STEP_MM).astype(np.float32).reshape(-1, 1)
        v = ((z - self.z0) / STEP_MM).astype(np.float32).reshape(-1, 1)
        out = np.empty(len(u), np.float32)
        for i in range(0, len(u), 30000):  # cv2.remap takes at most 32767 rows
            out[i : i + 30000] = cv2.remap(
                grid, u[i : i + 30000], v[i : i + 30000], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )[:, 0]
        return out


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], corr_x_mm: float, corr_z_mm: float
) -> Float32:
    """Gaussian-like noise of unit deviation with the given correlation lengths [mm] on the phantom's grid."""
    rows = max(2, int(shape[0] * STEP_MM / corr_z_mm) + 2)
    cols = max(2, int(shape[1] * STEP_MM / corr_x_mm) + 2)
    coarse = rng.standard_normal((rows, cols)).astype(np.float32)
    noise = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return noise / max(float(noise.std()), 1e-3)


def wavy(rng: np.random.Generator, xs: NDArray, corr_mm: float, amplitude_mm: float) -> NDArray[np.float64]:
    """A smooth random curve over ``xs`` [mm] with deviation ``amplitude_mm`` and zero mean."""
    knots = np.arange(xs.min() - 2 * corr_mm, xs.max() + 2 * corr_mm, corr_mm)
    values = rng.standard_normal(len(knots))
    t = (xs - knots[0]) / corr_mm
    i = np.clip(t.astype(int), 0, len(knots) - 2)
    f = t - i
    f = f * f * (3 - 2 * f)
    curve = values[i] * (1 - f) + values[np.minimum(i + 1, len(knots) - 1)] * f
    return (curve - curve.mean()) * amplitude_mm


class Builder:
    """Collects maps and reflectors while a phantom is drawn."""

    def __init__(self, rng: np.random.Generator, extent_mm: tuple[float, float, float, float]) -> None:
        self.rng = rng
        x0, z0, x1, z1 = extent_mm
        self.view = extent_mm
        margin = 7.0
        # One row of maps reaches from above the face to below the deepest sample, so that motion finds tissue.
        nx = int((x1 - x0 + 2 * margin) / STEP_MM) + 1
        nz = int((z1 - z0 + 2 + margin) / STEP_MM) + 1
        level = np.full((nz, nx), -24.0, np.float32)
        self.phantom = Phantom(x0 - margin, z0 - 2.0, level, np.full((nz, nx), FAT, np.float32))
        self.x = self.phantom.xs
        self.z = self.phantom.zs
        self.gx, self.gz = np.meshgrid(self.x, self.z)

    def u(self, low: float, high: float) -> float:
        """Uniform draw."""
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        """True in a share of all draws."""
        return bool(self.rng.random() < share)

    def paint(self, where: NDArray[np.bool_] | Float32, level_db: float | Float32, attenuation: float) -> None:
        """Set level and attenuation where a mask (or soft weight 0..1) says so."""
        weight = where.astype(np.float32)
        p = self.phantom
        p.level_db += weight * (level_db - p.level_db)
        p.attenuation += weight * (attenuation - p.attenuation)

    def ellipse(
        self, cx: float, cz: float, rx: float, rz: float, tilt_deg: float = 0.0, ragged: float = 0.0, soft_mm: float = 0.2
    ) -> Float32:
        """Soft weight 0..1 of an ellipse whose border wanders by a share ``ragged`` of its radius."""
        a = math.radians(tilt_deg)
        dx, dz = self.gx - cx, self.gz - cz
        px = (dx * math.cos(a) + dz * math.sin(a)) / rx
        pz = (-dx * math.sin(a) + dz * math.cos(a)) / rz
        distance = np.sqrt(px * px + pz * pz)
        if ragged > 0:
            angle = np.arctan2(pz, px)
            border = np.ones_like(distance)
            for k in range(2, 9):
                border += ragged / math.sqrt(k) * self.rng.standard_normal() * np.cos(
                    k * angle + self.u(0, 2 * math.pi)
                ).astype(np.float32)
            distance = distance / np.maximum(border, 0.3)
        scale = min(rx, rz) / soft_mm
        return np.clip((1.0 - distance) * scale + 0.5, 0.0, 1.0).astype(np.float32)

    def line(
        self, x: NDArray, z: NDArray, level_db: float, *, rough_mm: float = 1.0, thick_mm: float = 0.0,
        specular: float = 0.5, patchy_db: float = 4.0, gaps: float = 0.0,
    ) -> None:
        """Add a reflecting surface along a polyline, its level wandering by ``patchy_db``."""
        x, z = np.asarray(x, float), np.asarray(z, float)
        arc = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(z)))])
        if arc[-1] < 0.2:
            return
        at = np.arange(0.0, arc[-1], 0.06 if thick_mm == 0 else 0.04)
        level = level_db + wavy(self.rng, at, 1.6, patchy_db) if len(at) > 3 else np.full(len(at), level_db)
        ends = np.minimum(at, arc[-1] - at)
        level = level - 14.0 * np.exp(-ends / max(0.15, 0.12 * arc[-1]))
        if gaps > 0:
            level = level - 30.0 * (smooth_row(self.rng, at, 2.5) < -1.3 + 2.0 * gaps)
        self.phantom.reflectors.append(
            Reflector(np.interp(at, arc, x), np.interp(at, arc, z), level, rough_mm, thick_mm, specular)
        )

    def texture(self, share_of_fine: float = 0.6) -> None:
        """Make the echo level uneven at several scales, longer along than across, as filtered pictures show."""
        level = self.phantom.level_db
        strength = self.u(1.5, 4.0)
        level += strength * smooth_noise(self.rng, level.shape, self.u(2.0, 4.5), self.u(0.7, 1.5))
        level += strength * share_of_fine * smooth_noise(self.rng, level.shape, self.u(0.8, 1.8), self.u(0.35, 0.7))
        level += self.u(0.5, 2.5) * smooth_noise(self.rng, level.shape, 12.0, 7.0)

    def streaks(
        self, count: int, z_range: tuple[float, float], level_db: tuple[float, float], length_mm: tuple[float, float],
        slope_deg: float = 0.0, spread_deg: float = 4.0,
    ) -> None:
        """Scatter short bright streaks: septa, perimysium, connective strands."""
        for _ in range(count):
            length = self.u(*length_mm)
            cx, cz = self.u(float(self.x[0]), float(self.x[-1])), self.u(*z_range)
            angle = math.radians(slope_deg + float(self.rng.normal(0, spread_deg)))
            s = np.linspace(-length / 2, length / 2, max(4, int(length / 0.3)))
            bow = self.u(-0.05, 0.05) * (s * s / max(length, 1.0))
            self.line(cx + s * math.cos(angle), cz + s * math.sin(angle) + bow, self.u(*level_db),
                      rough_mm=self.u(0.5, 3.0), thick_mm=self.u(0.0, 0.12), specular=0.3, patchy_db=2.5)

    def layer_line(self, curve: NDArray, level_db: float, **kind: float) -> None:
        """Add a surface that crosses the whole field."""
        self.line(self.x, curve, level_db, **kind)

    def skin(self) -> NDArray[np.float64]:
        """Bright double line of the skin with the gel and pad above; returns its lower border [mm]."""
        thickness = self.u(0.8, 2.2)
        border = thickness + wavy(self.rng, self.x, 9.0, 0.12)
        self.paint(self.gz < border[None, :], self.u(-17, -10), 0.35)
        self.layer_line(0.15 + 0 * self.x, self.u(-8, 0), rough_mm=20.0, patchy_db=1.0)
        self.layer_line(border, self.u(-12, -3), rough_mm=6.0, thick_mm=0.05, patchy_db=2.0)
        return border

    def fat_layer(self, top: NDArray, bottom: NDArray) -> None:
        """Fat lobules with thin septa between two borders [mm]."""
        band = (self.gz >= top[None, :]) & (self.gz < bottom[None, :])
        self.paint(band, self.u(-30, -23), FAT)
        mean_top, mean_bottom = float(top.mean()), float(bottom.mean())
        count = int((mean_bottom - mean_top) * (self.x[-1] - self.x[0]) / self.u(14, 40))
        self.streaks(count, (mean_top, mean_bottom), (-16, -6), (2.0, 12.0), spread_deg=9.0)

    def bone(self, x: NDArray, z: NDArray, level_db: float, *, leak: float = 0.0) -> None:
        """A bright surface with shadow below; ``leak`` 0..1 lets a part of the beam through."""
        at = np.interp(self.x, x, z, left=np.nan, right=np.nan)
        below = (self.gz > np.nan_to_num(at, nan=1e6)[None, :] + 0.2).astype(np.float32)
        below = cv2.GaussianBlur(below, (0, 0), 2.0)
        self.paint(below * (1 - leak), -46.0, BONE * (1 - leak) + GLAND * leak)
        self.line(x, z, level_db, rough_mm=self.u(0.6, 3.0), thick_mm=self.u(0.15, 0.45), specular=0.25, patchy_db=3.0)
        self.line(x, z + 0.25, level_db - 4, rough_mm=0.5, thick_mm=0.3, specular=0.2, patchy_db=3.0)

    def look_alikes(self) -> None:
        """Straight bright lines that are not needles, often brighter than one: fascia or bone aslant."""
        x0, z0, x1, z1 = self.view
        for _ in range(int(self.rng.choice([0, 1, 1, 2]))):
            depth = self.u(0.3, 0.9) * (z1 - z0)
            slope = math.radians(self.u(-32, 32))
            length = self.u(0.35, 1.4) * (x1 - x0)
            cx = self.u(x0, x1)
            s = np.linspace(-length / 2, length / 2, 60)
            x = cx + s * math.cos(slope)
            z = depth + s * math.sin(slope) + wavy(self.rng, s, 6.0, self.u(0.05, 0.35))
            keep = z > 3.0
            if keep.sum() < 8:
                continue
            level = self.u(-9, 4)
            if self.chance(0.35):
                self.bone(x[keep], z[keep], level, leak=self.u(0.2, 0.97))
            else:
                self.line(x[keep], z[keep], level, rough_mm=self.u(0.5, 3.0), thick_mm=self.u(0.05, 0.4),
                          specular=0.2, patchy_db=3.0)

    def dark_patches(self, count: int) -> None:
        """Hypoechoic patches without a clear border."""
        x0, z0, x1, z1 = self.view
        for _ in range(count):
            weight = self.ellipse(self.u(x0, x1), self.u(0.1 * z1, z1), self.u(1, 6), self.u(0.6, 3),
                                  self.u(-25, 25), 0.25, self.u(0.4, 1.5))
            self.phantom.level_db -= weight * self.u(5, 16)

    def bright_specks(self, count: int) -> None:
        """Small bright dashes and dots such as foil of air or calcium."""
        x0, z0, x1, z1 = self.view
        for _ in range(count):
            half = self.u(0.2, 1.3)
            cx, cz = self.u(x0, x1), self.u(2.0, z1)
            s = np.linspace(-half, half, 8)
            self.line(cx + s, cz + self.u(-0.2, 0.2) * s, self.u(-8, 4), rough_mm=3.0, thick_mm=0.08,
                      specular=0.0, patchy_db=1.0)

    def finish(self) -> Phantom:
        """Add what every tissue has and return the phantom."""
        self.look_alikes()
        self.dark_patches(int(self.rng.integers(0, 6)))
        self.bright_specks(int(self.rng.integers(0, 6)))
        self.texture()
        return self.phantom


def smooth_row(rng: np.random.Generator, at: NDArray, corr_mm: float) -> NDArray[np.float64]:
    """Unit-deviation smooth noise along an arc [mm]."""
    return wavy(rng, at, corr_mm, 1.0) if len(at) > 3 else np.zeros(len(at))
