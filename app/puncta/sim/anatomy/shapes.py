"""Ellipsoids and tubes with lumpy borders."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from puncta.sim.subject import PointMm

Lobe = tuple[int, float, float, float]
"""Lobe count around the border, share of the radius, phase [rad], turn along the shape's axis [rad/mm]."""

X_REACH_MM = 44.0
Y_REACH_MM = 20.0
"""Half the extent of any block [mm]; across the slices the widest that may be asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A region where |frame @ (point - centre)| is below one.

    Attributes
    ----------
    centre_mm : (x, y, z)
    frame : ndarray, shape (3, 3) for an ellipsoid, (2, 3) for an endless tube
        Rows are the shape's axes divided by its half axes [1/mm]; the first row lies across, the last one down.
    half_mm : (x, y, z)
        Half size of the box around it [mm]; infinite where it has no end.
    radius_mm : float
        Smallest half axis [mm].
    lobes : tuple of Lobe
    axis : (x, y, z)
        Unit vector along which lobes turn: a tube's way, y for an ellipsoid.
    """

    centre_mm: PointMm
    frame: NDArray[np.float64]
    half_mm: PointMm
    radius_mm: float
    lobes: tuple[Lobe, ...] = ()
    axis: PointMm = (0.0, 1.0, 0.0)

    @staticmethod
    def ellipsoid(centre_mm: PointMm, radii_mm: PointMm, tilt_deg: float = 0.0) -> Body:
        """An ellipsoid with half axes (x, y, z) [mm], its x axis tilted downwards in the picture's plane."""
        a = math.radians(tilt_deg)
        c, s = math.cos(a), math.sin(a)
        rx, ry, rz = radii_mm
        frame = np.array([[c / rx, 0.0, s / rx], [0.0, 1.0 / ry, 0.0], [-s / rz, 0.0, c / rz]])
        half = (math.hypot(rx * c, rz * s), ry, math.hypot(rx * s, rz * c))
        return Body(centre_mm, frame, half, min(radii_mm))

    @staticmethod
    def tube(centre_mm: PointMm, direction: PointMm, radii_mm: tuple[float, float], tilt_deg: float = 0.0) -> Body:
        """An endless tube with half axes (across, down) [mm]; ``tilt_deg`` turns its section."""
        d = np.asarray(direction, float) / np.linalg.norm(direction)
        down = np.array([0.0, 0.0, 1.0]) - d[2] * d
        down /= np.linalg.norm(down)
        across = np.cross(down, d)
        across *= 1.0 if across[0] >= 0 else -1.0
        c, s = math.cos(math.radians(tilt_deg)), math.sin(math.radians(tilt_deg))
        e1, e2 = c * across + s * down, c * down - s * across
        frame = np.stack([e1 / radii_mm[0], e2 / radii_mm[1]])
        size = np.hypot(e1 * radii_mm[0], e2 * radii_mm[1])
        main = int(np.argmax(np.abs(d)))
        # No block reaches further than this from a tube's middle along its way.
        drift = np.abs(d / d[main]) * (X_REACH_MM + 10.0 if main == 0 else Y_REACH_MM)
        half = tuple(math.inf if k == main else float(size[k] + drift[k]) for k in range(3))
        axis = (float(d[0]), float(d[1]), float(d[2]))
        return Body(centre_mm, frame, half, min(radii_mm), axis=axis)  # type: ignore[arg-type]

    def ragged(
        self, rng: np.random.Generator, share: float, first: int = 2, last: int = 8, turn: float = 0.25
    ) -> Body:
        """The same with a border that wanders by a share of the radius, in ``first`` to ``last`` lobes.

        ``turn`` [rad/mm] is how fast the lobes change from slice to slice.
        """
        lobes = tuple(
            (k, share / k * float(rng.normal()), float(rng.uniform(0, 2 * math.pi)), float(rng.normal(0, turn)))
            for k in range(first, last + 1)
        )
        return replace(self, lobes=self.lobes + lobes)

    def swelling(self, rng: np.random.Generator, share: float, wave_mm: float) -> Body:
        """The same, wider and narrower by turns along its axis."""
        waves = tuple(
            (0, share * part * float(rng.normal()), float(rng.uniform(0, 2 * math.pi)),
             2 * math.pi / (wave_mm * stretch * float(rng.uniform(0.8, 1.25))))
            for part, stretch in ((0.8, 1.0), (0.5, 0.45))
        )
        return replace(self, lobes=self.lobes + waves)

    def grown(self, by_mm: float) -> Body:
        """The same, larger by ``by_mm`` on every side."""
        length = np.linalg.norm(self.frame, axis=1, keepdims=True)
        frame = self.frame / (1.0 + by_mm * length)
        half = tuple(h + by_mm for h in self.half_mm)
        return replace(self, frame=frame, half_mm=half, radius_mm=self.radius_mm + by_mm)  # type: ignore[arg-type]

    def distance(self, x: NDArray, y: NDArray, z: NDArray) -> NDArray[np.float32]:
        """Place against the border: below 1 inside, 1 on it. Broadcasts."""
        dx, dy, dz = (np.asarray(v, np.float32) - np.float32(o) for v, o in zip((x, y, z), self.centre_mm, strict=True))
        parts = [_dot(row, (dx, dy, dz)) for row in self.frame.astype(np.float32)]
        square = parts[0] * parts[0]
        for part in parts[1:]:
            square = square + part * part
        distance = np.sqrt(square)
        if self.lobes:
            along = _dot(np.asarray(self.axis, np.float32), (dx, dy, dz))
            distance = distance / self._border(np.arctan2(parts[-1], parts[0]), along)
        return np.asarray(distance, np.float32)

    def _border(self, angle: NDArray, along: NDArray) -> NDArray:
        border: NDArray = np.ones((), np.float32)
        for k, share, phase, turn in self.lobes:
            border = border + np.float32(share) * np.cos(
                np.float32(k) * angle + (np.float32(phase) + np.float32(turn) * along))
        return np.maximum(border, np.float32(0.3))

    def weight(self, x: NDArray, y: NDArray, z: NDArray, soft_mm: float = 0.25) -> NDArray[np.float32]:
        """1 inside, 0 outside, over ``soft_mm`` across the border."""
        scale = np.float32(self.radius_mm / soft_mm)
        return np.clip((np.float32(1.0) - self.distance(x, y, z)) * scale + np.float32(0.5), 0.0, 1.0)

    def border(self, x: NDArray, y: NDArray, sign: int) -> NDArray[np.float64]:
        """Depth of the upper (sign -1) or lower (+1) border [mm] at (x, y); NaN where the shape is not."""
        dx, dy = np.asarray(x, float) - self.centre_mm[0], np.asarray(y, float) - self.centre_mm[1]
        n0 = [row[0] * dx + row[1] * dy for row in self.frame]
        a = float((self.frame[:, 2] ** 2).sum())
        b = sum(n * row[2] for n, row in zip(n0, self.frame, strict=True))
        c = sum(n * n for n in n0) - 1.0
        root = b * b - a * c
        dz = (-b + sign * np.sqrt(np.where(root >= 0, root, np.nan))) / a
        z = np.asarray(self.centre_mm[2] + dz, float)
        if self.lobes:  # walk from the smooth border to the lumpy one
            middle = self.centre_mm[2] - b / a
            for _ in range(4):
                z = middle + (z - middle) / np.clip(self.distance(x, y, z), 0.5, 2.0)
        return z


def _dot(row: NDArray, parts: tuple[NDArray, NDArray, NDArray]) -> NDArray:
    """Dot product that leaves out zeros, so that the planes of a straight shape stay small until they are summed."""
    total: NDArray = np.zeros((), np.float32)
    for weight, part in zip(row, parts, strict=True):
        if weight != 0:
            total = total + weight * part
    return np.asarray(total)
