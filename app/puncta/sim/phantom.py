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
        return self.level_db.shape

    @property
    def xs(self) -> Float32:
        """Column places [mm]."""
        return (self.x0 + np.arange(self.shape[1]) * STEP_MM).astype(np.float32)

    @property
    def zs(self) -> Float32:
        """Row places [mm]."""
        return (self.z0 + np.arange(self.shape[0]) * STEP_MM).astype(np.float32)

    def typical_level_db(self, extent_mm: tuple[float, float, float, float]) -> float:
        """Median echo level inside the field of view [dB]."""
        x0, z0, x1, z1 = extent_mm
        rows = (self.zs >= max(z0, 0.0)) & (self.zs <= z1)
        columns = (self.xs >= x0) & (self.xs <= x1)
        return float(np.median(self.level_db[np.ix_(rows, columns)][::3, ::3]))

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
    noise: Float32 = np.asarray(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)
    return noise / max(float(noise.std()), 1e-3)


def wavy(rng: np.random.Generator, xs: NDArray, corr_mm: float, amplitude_mm: float) -> NDArray[np.float64]:
    """A smooth random curve over ``xs`` [mm] with deviation ``amplitude_mm`` and zero mean."""
    curve = np.zeros(len(xs))
    for k in range(4):
        wave_mm = corr_mm * (6.0, 4.0, 2.6, 1.8)[k] * float(rng.uniform(0.8, 1.25))
        share = (0.8, 0.5, 0.28, 0.18)[k] * math.sqrt(2.0) * float(rng.normal(0, 1))
        curve += share * np.sin(xs * (2 * math.pi / wave_mm) + float(rng.uniform(0, 2 * math.pi)))
    return curve * amplitude_mm


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
        self, cx: float, cz: float, rx: float, rz: float, tilt_deg: float = 0.0, ragged: float = 0.0,
        soft_mm: float = 0.2,
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
                border += ragged / k * self.rng.standard_normal() * np.cos(
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
        level = level - 16.0 * np.exp(-ends / max(0.2, min(3.0, 0.15 * arc[-1])))
        if gaps > 0:
            fade = wavy(self.rng, at, 2.5, 1.0) + 1.3 - 2.0 * gaps
            level = level + 14.0 * np.clip(fade, -2.0, 0.0)
        self.phantom.reflectors.append(
            Reflector(np.interp(at, arc, x), np.interp(at, arc, z), level, rough_mm, thick_mm, specular)
        )

    def texture(self) -> None:
        """Make the echo level uneven at several scales, longer along than across, as layered tissue is."""
        level = self.phantom.level_db
        strength = self.u(1.2, 3.4)
        stretch = self.u(2.5, 6.0)
        noise = np.zeros_like(level)
        for across, share in ((2.4, 1.0), (1.1, 0.9), (0.55, 0.6), (0.3, 0.35)):
            noise += share * smooth_noise(self.rng, level.shape, across * stretch * self.u(0.7, 1.3), across)
        # Tissue does not lie level: shear the pattern along a gentle slope that changes over the field.
        tilt = math.tan(math.radians(self.u(-9, 9)))
        dip = (tilt * self.gx + wavy(self.rng, self.x, 8.0, 0.5)[None, :]).astype(np.float32) / STEP_MM
        grid_x, grid_z = np.meshgrid(np.arange(level.shape[1]), np.arange(level.shape[0]))
        noise = np.asarray(cv2.remap(noise, grid_x.astype(np.float32), (grid_z - dip).astype(np.float32),
                                     cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32)
        # Vessels, cysts and shadows stay dark.
        level += strength * noise * np.clip((level + 48.0) / 12.0, 0.15, 1.0)
        level += self.u(0.5, 2.5) * smooth_noise(self.rng, level.shape, 14.0, 8.0)

    def streaks(
        self, count: int, z_range: tuple[float, float], level_db: tuple[float, float], length_mm: tuple[float, float],
        slope_deg: float = 0.0, spread_deg: float = 4.0,
    ) -> None:
        """Scatter short bright streaks: septa, perimysium, connective strands; most are faint, few are bright."""
        for _ in range(count):
            length = length_mm[0] + (length_mm[1] - length_mm[0]) * float(self.rng.beta(1.0, 2.5))
            cx, cz = self.u(float(self.x[0]), float(self.x[-1])), self.u(*z_range)
            angle = math.radians(slope_deg + float(self.rng.normal(0, spread_deg)))
            s = np.linspace(-length / 2, length / 2, max(5, int(length / 0.3)))
            bow = self.u(-0.06, 0.06) * (s * s / max(length, 1.0)) + wavy(self.rng, s, 1.5, 0.05)
            level = level_db[0] + (level_db[1] - level_db[0]) * float(self.rng.beta(1.6, 2.0))
            self.line(cx + s * math.cos(angle), cz + s * math.sin(angle) + bow, level,
                      rough_mm=self.u(0.4, 2.0), thick_mm=self.u(0.05, 0.35), specular=0.3, patchy_db=2.5)

    def hide(self, weight: Float32, level_db: float = -30.0) -> None:
        """Dim reflectors drawn so far where ``weight`` is 1: a structure takes their place."""
        lines = self.phantom.reflectors
        if not lines:
            return
        x = np.concatenate([line.x for line in lines]).astype(np.float32)
        z = np.concatenate([line.z for line in lines]).astype(np.float32)
        dimmed = np.split(level_db * self.phantom.sample(weight, x, z), np.cumsum([len(line.x) for line in lines])[:-1])
        for line, by in zip(lines, dimmed, strict=True):
            line.level_db = line.level_db + by

    def layer_line(self, curve: NDArray, level_db: float, **kind: float) -> None:
        """Add a surface that crosses the whole field."""
        self.line(self.x, curve, level_db, **kind)

    def skin(self) -> NDArray[np.float64]:
        """Bright layered skin below the gel; returns its lower border [mm]."""
        thickness = self.u(0.8, 2.2)
        border = thickness + wavy(self.rng, self.x, 9.0, 0.1)
        self.paint(self.gz < border[None, :], self.u(-24, -13), 0.35)
        self.layer_line(0.12 + 0 * self.x, self.u(-12, 0), rough_mm=20.0, patchy_db=1.0, specular=0.0)
        for share in self.rng.uniform(0.25, 1.6, int(self.rng.integers(1, 6))):  # layers seen as parallel lines
            self.layer_line(border * share + wavy(self.rng, self.x, 7.0, 0.06), self.u(-22, -8), rough_mm=4.0,
                            thick_mm=0.06, patchy_db=3.0, gaps=self.u(0.2, 0.8))
        self.layer_line(border, self.u(-20, -7), rough_mm=4.0, thick_mm=0.1, patchy_db=2.5, gaps=self.u(0.0, 0.5))
        return border

    def fat_layer(self, top: NDArray, bottom: NDArray) -> None:
        """Fat lobules with thin septa between two borders [mm]."""
        band = (self.gz >= top[None, :]) & (self.gz < bottom[None, :])
        self.paint(band, self.u(-30, -23), FAT)
        mean_top, mean_bottom = float(top.mean()), float(bottom.mean())
        count = int((mean_bottom - mean_top) * (self.x[-1] - self.x[0]) / self.u(14, 40))
        self.streaks(count, (mean_top, mean_bottom), (-22, -4), (1.0, 14.0), spread_deg=6.0)

    def bone(self, x: NDArray, z: NDArray, level_db: float, *, leak: float = 0.0) -> None:
        """A bright surface with shadow below; ``leak`` 0..1 lets a part of the beam through."""
        at = np.interp(self.x, x, z, left=1e6, right=1e6)
        below = np.clip((self.gz - at[None, :]) / 0.6, 0.0, 1.0).astype(np.float32)
        below = cv2.GaussianBlur(below, (0, 0), sigmaX=9.0, sigmaY=1.0)
        self.paint(below * (1 - leak), -44.0, BONE * (1 - leak) + GLAND * leak)
        self.hide(below * (1 - leak))
        for k in range(int(self.rng.integers(2, 5))):  # a rough surface: several broken sheets just below each other
            self.line(x, z + 0.16 * k + wavy(self.rng, x, 1.5, 0.05), level_db - 3.0 * k, rough_mm=self.u(0.4, 2.0),
                      thick_mm=self.u(0.15, 0.5), specular=0.2, patchy_db=3.5, gaps=0.25 * (k > 0))

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
                self.bone(x[keep], z[keep], level, leak=self.u(0.5, 0.99))
            else:
                for k in range(int(self.rng.integers(1, 4))):
                    self.line(x[keep], z[keep] + 0.15 * k, level - 3.0 * k, rough_mm=self.u(0.4, 3.0),
                              thick_mm=self.u(0.05, 0.4), specular=0.2, patchy_db=3.5, gaps=self.u(0.0, 0.3))

    def dark_patches(self, count: int) -> None:
        """Hypoechoic patches without a clear border."""
        x0, z0, x1, z1 = self.view
        for _ in range(count):
            weight = self.ellipse(self.u(x0, x1), self.u(0.1 * z1, z1), self.u(1.5, 7), self.u(0.6, 2.5),
                                  self.u(-20, 20), 0.12, self.u(0.6, 2.0))
            self.phantom.level_db -= weight * self.u(5, 16)

    def bright_specks(self, count: int) -> None:
        """Small bright dashes and dots such as foil of air or calcium."""
        x0, z0, x1, z1 = self.view
        for _ in range(count):
            half = self.u(0.2, 1.3)
            cx, cz = self.u(x0, x1), self.u(2.0, z1)
            s = np.linspace(-half, half, 8)
            self.line(cx + s, cz + self.u(-0.2, 0.2) * s, self.u(-8, 4), rough_mm=3.0, thick_mm=0.15,
                      specular=0.0, patchy_db=1.0)

    def finish(self) -> Phantom:
        """Add what every tissue has and return the phantom."""
        self.look_alikes()
        self.dark_patches(int(self.rng.integers(0, 6)))
        self.bright_specks(int(self.rng.integers(0, 6)))
        self.texture()
        return self.phantom
