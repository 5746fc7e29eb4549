"""Small reflecting structures while a subject is painted: lines and strands with a reach across the slices."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from puncta.sim.anatomy.shapes import Body
from puncta.sim.subject import Streaks

STEP_MM = 0.08
STEEP_STEP_MM = 0.05
SIGHT_MM = 62.0
"""Deeper than any operator sets these procedures; nothing fine is kept below."""
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Strand:
    """How a family of strands looks; ranges are drawn from for each one.

    Attributes
    ----------
    level_db : (low, high)
        Most are faint, few are bright.
    length_mm : (low, high)
        Most are short.
    slope_deg, spread_deg : float
        Mean downward angle and its deviation.
    reach_mm : (low, high)
        Over how many slices a strand shows.
    rough_mm, thick_mm : (low, high)
    specular, patchy_db, gaps : float
        ``gaps`` 0..1 is the share of a strand that fades.
    wave : float
        How much it winds; 1 is nearly straight.
    """

    level_db: Range = (-22.0, -4.0)
    length_mm: Range = (1.0, 10.0)
    slope_deg: float = 0.0
    spread_deg: float = 4.0
    reach_mm: Range = (0.8, 3.0)
    rough_mm: Range = (0.4, 2.0)
    thick_mm: Range = (0.05, 0.35)
    specular: float = 0.3
    patchy_db: float = 2.5
    gaps: float = 0.0
    wave: float = 1.0


class Marks:
    """Points of strands, chunk by chunk."""

    def __init__(self, y_half_mm: float) -> None:
        self.y_half_mm = y_half_mm
        self.chunks: list[dict[str, NDArray]] = []
        self.lines = 0

    def add(
        self, x: NDArray, z: NDArray, *, y: NDArray | float, level_db: NDArray, slope_rad: NDArray, step_mm: NDArray,
        reach_mm: NDArray | float, shear: tuple[NDArray | float, NDArray | float], rough_mm: NDArray | float,
        thick_mm: NDArray | float, specular: NDArray | float, line: NDArray,
    ) -> None:
        """Add points; ``line`` numbers the structures of this call from 0."""
        values = {
            "x_mm": x, "y_mm": y, "z_mm": z, "reach_mm": reach_mm, "shear_x": shear[0], "shear_z": shear[1],
            "level_db": level_db, "slope_rad": slope_rad, "step_mm": step_mm, "rough_mm": rough_mm,
            "thick_mm": thick_mm, "specular": specular,
        }
        if len(x) == 0:
            return
        chunk = {name: np.broadcast_to(np.asarray(v, np.float32), x.shape).astype(np.float32)
                 for name, v in values.items()}
        chunk["line"] = (line + self.lines).astype(np.int32)
        self.lines += int(line.max()) + 1
        self.chunks.append(chunk)

    def near(self, y: NDArray, reach: NDArray) -> NDArray[np.bool_]:
        """Tell which structures can show in the block."""
        return np.abs(y) <= self.y_half_mm + 2.5 * reach

    def polyline(
        self, rng: np.random.Generator, x: NDArray, z: NDArray, level_db: float, *, y: float = 0.0,
        reach_mm: float = 2.0, shear: tuple[float, float] = (0.0, 0.0), rough_mm: float = 1.0, thick_mm: float = 0.0,
        specular: float = 0.5, patchy_db: float = 4.0, gaps: float = 0.0, fade_ends: bool = True,
    ) -> None:
        """Add one curve, its level wandering by ``patchy_db``."""
        waves = rng.normal(size=4), rng.uniform(0, 2 * math.pi, 8), rng.uniform(0.8, 1.25, 8), rng.normal(size=4)
        x, z = np.asarray(x, float), np.asarray(z, float)
        arc = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(z)))])
        if arc[-1] < 0.2 or not self.near(np.asarray(y), np.asarray(reach_mm)):
            return
        at = np.arange(0.0, arc[-1], STEEP_STEP_MM if thick_mm > 0 else STEP_MM)
        level = level_db + patchy_db * _wander(at, 1.6, waves[0], waves[1][:4], waves[2][:4])
        if fade_ends:
            ends = np.minimum(at, arc[-1] - at)
            level = level - 16.0 * np.exp(-ends / max(0.2, min(3.0, 0.15 * arc[-1])))
        if gaps > 0:
            fade = _wander(at, 2.5, waves[3], waves[1][4:], waves[2][4:]) + 1.3 - 2.0 * gaps
            level = level + 14.0 * np.clip(fade, -2.0, 0.0)
        px, pz = np.interp(at, arc, x), np.interp(at, arc, z)
        slope = np.arctan2(np.gradient(pz), np.abs(np.gradient(px)) + 1e-9) * np.sign(x[-1] - x[0] + 1e-9)
        self.add(px, pz, y=y, level_db=level, slope_rad=slope, step_mm=np.full(len(at), at[1] - at[0]),
                 reach_mm=reach_mm, shear=shear, rough_mm=rough_mm, thick_mm=thick_mm, specular=specular,
                 line=np.zeros(len(at), int))

    def strands(
        self, rng: np.random.Generator, cx: NDArray, cy: NDArray, cz: NDArray, tilt_rad: NDArray, how: Strand
    ) -> None:
        """Add a strand at each centre, bent and wavy; ``tilt_rad`` [rad] is added to the family's slope."""
        n = len(cx)

        def between(low_high: Range, a: float = 1.0, b: float = 1.0) -> NDArray:
            return low_high[0] + (low_high[1] - low_high[0]) * rng.beta(a, b, n)

        length, level = between(how.length_mm, 1.0, 2.5), between(how.level_db, 1.6, 2.0)
        angle = tilt_rad + np.radians(how.slope_deg + rng.normal(0, how.spread_deg, n))
        reach, rough, thick = between(how.reach_mm), between(how.rough_mm), between(how.thick_mm)
        bow, phase = rng.uniform(-0.06, 0.06, n), rng.uniform(0, 2 * math.pi, (3, n))
        size, shear = rng.normal(size=(3, n)), rng.normal(0, 1, (2, n)) * np.array([[0.25], [0.12]])
        keep = np.flatnonzero(self.near(cy, reach))
        # Lines as steep as this are not in step along the beam; their points stand closer.
        step = np.where(np.abs(angle) > math.radians(30), STEEP_STEP_MM, STEP_MM)
        counts = np.maximum(4, (length[keep] / step[keep]).astype(int))
        i = np.repeat(keep, counts)
        k = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts)
        half = length[i] / 2
        s = k * step[i] - half
        across = bow[i] * s * s / np.maximum(length[i], 1.0) + 0.07 * size[0, i] * np.sin(s * 0.9 + phase[0, i])
        across += 0.04 * size[1, i] * np.sin(s * 2.1 + phase[1, i])
        across *= how.wave
        wander = how.patchy_db * (np.sin(s * 1.3 + phase[2, i]) + 0.5 * size[2, i] * np.sin(s * 2.9 + phase[0, i]))
        ends = half - np.abs(s)
        value = level[i] + wander - 16.0 * np.exp(-np.maximum(ends, 0) / np.clip(0.3 * half, 0.2, 3.0))
        if how.gaps > 0:
            fade = np.sin(s * 1.1 + phase[1, i]) + 0.6 * np.sin(s * 2.3 + phase[2, i]) + 1.3 - 2.0 * how.gaps
            value += 14.0 * np.clip(fade, -2.0, 0.0)
        x = cx[i] + s * np.cos(angle[i]) - across * np.sin(angle[i])
        z = cz[i] + s * np.sin(angle[i]) + across * np.cos(angle[i])
        renumber = np.cumsum(np.isin(np.arange(n), keep)) - 1
        self.add(x, z, y=cy[i], level_db=value, slope_rad=angle[i], step_mm=step[i], reach_mm=reach[i],
                 shear=(shear[0, i], shear[1, i]), rough_mm=rough[i], thick_mm=thick[i], specular=how.specular,
                 line=renumber[i])

    def hide(self, body: Body, by_db: float = -30.0, since: int = 0) -> None:
        """Dim points that pass through a body, drawn after chunk ``since``."""
        _, cy, _ = body.centre_mm
        hx, hy, hz = body.half_mm
        for chunk in self.chunks[since:]:
            # Take each structure where it comes closest to the body's middle slice and still shows.
            reach = np.minimum(1.8 * chunk["reach_mm"], 0.7 * chunk["reach_mm"] + 1.5)
            dy = np.clip(cy - chunk["y_mm"], -reach, reach) if np.isfinite(hy) else np.zeros_like(reach)
            x, z = chunk["x_mm"] + chunk["shear_x"] * dy, chunk["z_mm"] + chunk["shear_z"] * dy
            y = chunk["y_mm"] + dy
            pick = np.ones(len(x), bool)
            for v, c, h in ((x, body.centre_mm[0], hx), (y, cy, hy), (z, body.centre_mm[2], hz)):
                if np.isfinite(h):
                    pick &= np.abs(v - c) < 1.4 * h + 0.5
            at = np.flatnonzero(pick)
            if len(at):
                chunk["level_db"][at] += by_db * body.weight(x[at], y[at], z[at])

    def streaks(self, floor_db: float = -46.0) -> Streaks:
        """All points but those too faint to show."""
        if not self.chunks:
            return Streaks.none()
        names = [f.name for f in fields(Streaks)]
        whole = {name: np.concatenate([chunk[name] for chunk in self.chunks]) for name in names}
        keep = (whole["level_db"] > floor_db) & (whole["z_mm"] > 0.0) & (whole["z_mm"] < SIGHT_MM)
        return Streaks(**{name: np.ascontiguousarray(values[keep]) for name, values in whole.items()})


def _wander(at: NDArray, length_mm: float, size: NDArray, phase: NDArray, stretch: NDArray) -> NDArray:
    """A smooth random curve of unit deviation along a line [mm]."""
    out = np.zeros(len(at))
    for k, (wave, share) in enumerate(((6.0, 0.8), (4.0, 0.5), (2.6, 0.28), (1.8, 0.18))):
        turn = 2 * math.pi / (length_mm * wave * stretch[k])
        out += share * math.sqrt(2.0) * size[k] * np.sin(at * turn + phase[k])
    return out
