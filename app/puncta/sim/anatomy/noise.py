"""Smooth noise and wavy surfaces that are functions of place: the same wherever and however large a block is cut."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
_PLANES_FROM = 1 << 20
_MARGIN = 4


def _cubic_energy() -> float:
    """Mean of the summed squares of OpenCV's cubic weights over all phases, one dimension."""
    phase = np.linspace(0, 1, 101)
    a = -0.75
    near = ((a + 2) * phase - (a + 3)) * phase * phase + 1
    rest = 1 - phase
    near2 = ((a + 2) * rest - (a + 3)) * rest * rest + 1
    far = ((a * (phase + 1) - 5 * a) * (phase + 1) + 8 * a) * (phase + 1) - 4 * a
    far2 = 1 - near - near2 - far
    return float(np.mean(near**2 + near2**2 + far**2 + far2**2))


_UNIT = 1.0 / _cubic_energy()


class Noise:
    """Gaussian noise of about unit deviation over a block, drawn on a coarse lattice that is fixed in space.

    Parameters
    ----------
    key : int
        Chooses the noise.
    xs, zs : ndarray
        Columns and rows of the block [mm]; these must not depend on the block's y extent.
    length_mm : (along, y, across)
        Correlation lengths [mm]: along the grain, between slices, across the grain.
    slope_rad : float
        Downward angle of the grain in the picture's plane.
    dip_mm : ndarray of shape (nx,) or (nz, nx), optional
        How far the pattern lies lower than level [mm].
    """

    def __init__(
        self, key: int, xs: Float32, zs: Float32, length_mm: tuple[float, float, float], slope_rad: float = 0.0,
        dip_mm: NDArray | None = None,
    ) -> None:
        self.key = key
        self.length_y = length_mm[1]
        gx, gz = np.meshgrid(xs, zs)
        if dip_mm is not None:
            gz = gz - np.asarray(dip_mm, np.float32)
        cos, sin = math.cos(slope_rad), math.sin(slope_rad)
        u = (gx * cos + gz * sin) / length_mm[0]
        v = (gz * cos - gx * sin) / length_mm[2]
        self.u = (u - math.floor(float(u.min())) + _MARGIN).astype(np.float32)
        self.v = (v - math.floor(float(v.min())) + _MARGIN).astype(np.float32)
        self.shape = (int(self.v.max()) + 2 * _MARGIN, int(self.u.max()) + 2 * _MARGIN)
        self._planes: dict[int, Float32] = {}

    def _plane(self, j: int) -> Float32:
        if j not in self._planes:
            if len(self._planes) > 2:
                self._planes.pop(min(self._planes))
            stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.key, _PLANES_FROM + j])))
            coarse = stream.standard_normal(self.shape, np.float32)
            plane = cv2.remap(coarse, self.u, self.v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
            self._planes[j] = np.asarray(plane, np.float32) * np.float32(_UNIT)
        return self._planes[j]

    def at(self, y_mm: float) -> Float32:
        """The noise on a slice, shape (nz, nx)."""
        place = y_mm / self.length_y
        j = math.floor(place)
        share = place - j
        share = share * share * (3.0 - 2.0 * share)
        unit = 1.0 / math.hypot(share, 1.0 - share)
        near = self._plane(j)
        if share < 1e-6:
            return near
        return near * np.float32((1.0 - share) * unit) + self._plane(j + 1) * np.float32(share * unit)


@dataclass(frozen=True, slots=True)
class Surface:
    """A surface z(x, y) [mm] over the whole plane.

    Attributes
    ----------
    of : callable
        z of broadcastable x and y [mm].
    nominal_mm : float
        Its typical depth.
    """

    of: Callable[[NDArray, NDArray], NDArray]
    nominal_mm: float

    @staticmethod
    def flat(z_mm: float) -> Surface:
        """A level surface."""
        return Surface(lambda x, y: np.full(np.broadcast_shapes(np.shape(x), np.shape(y)), z_mm), z_mm)

    @staticmethod
    def waves(rng: np.random.Generator, length_mm: float, amplitude_mm: float, length_y_mm: float = 0.0) -> Surface:
        """Waves about zero with deviation ``amplitude_mm``; ``length_y_mm`` 0 takes 1.5 times ``length_mm``."""
        across = length_y_mm or 1.5 * length_mm
        terms = []
        for wave, share in ((6.0, 0.8), (4.0, 0.5), (2.6, 0.28), (1.8, 0.18)):
            kx = 2 * math.pi / (length_mm * wave * float(rng.uniform(0.8, 1.25)))
            ky = 2 * math.pi / (across * wave) * float(rng.normal(0, 0.8))
            terms.append((share * math.sqrt(2.0) * float(rng.normal()) * amplitude_mm, kx, ky,
                          float(rng.uniform(0, 2 * math.pi))))

        def of(x: NDArray, y: NDArray) -> NDArray:
            return sum(a * np.sin(x * kx + y * ky + phase) for a, kx, ky, phase in terms)  # type: ignore[return-value]

        return Surface(of, 0.0)

    @staticmethod
    def plane(slope_x: float, slope_y: float = 0.0, x0_mm: float = 0.0) -> Surface:
        """A tilted plane through (x0, 0, 0)."""
        return Surface(lambda x, y: (x - x0_mm) * slope_x + y * slope_y, 0.0)

    def __call__(self, x: NDArray | float, y: NDArray | float) -> NDArray:
        return np.asarray(self.of(np.asarray(x), np.asarray(y)))

    def __add__(self, other: Surface | float) -> Surface:
        if isinstance(other, Surface):
            mine, yours = self.of, other.of
            return Surface(lambda x, y: mine(x, y) + yours(x, y), self.nominal_mm + other.nominal_mm)
        mine, by = self.of, float(other)
        return Surface(lambda x, y: mine(x, y) + by, self.nominal_mm + by)

    def __mul__(self, factor: float) -> Surface:
        mine = self.of
        return Surface(lambda x, y: mine(x, y) * factor, self.nominal_mm * factor)

    def at_least(self, other: Surface, gap_mm: float = 0.0) -> Surface:
        """The deeper of this surface and another one plus a gap."""
        mine, floor = self.of, other.of
        return Surface(lambda x, y: np.maximum(mine(x, y), floor(x, y) + gap_mm),
                       max(self.nominal_mm, other.nominal_mm + gap_mm))
