"""A block of tissue while it is painted: layers, bodies, bone, textures, sheets and strands.

Everything painted is a function of place (x, y, z) [mm] and of draws whose number does not depend on the block, so
that a thin and a wide block of the same seed agree wherever both reach.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import BugError
from puncta.sim.anatomy.marks import Marks, Strand
from puncta.sim.anatomy.noise import Noise, Surface
from puncta.sim.anatomy.shapes import X_REACH_MM, Body
from puncta.sim.subject import Lattice, Sheet, Subject, Target, Vessel
from puncta.sim.tissue_kinds import FACTS, Tissue

Float32 = NDArray[np.float32]
STEP_MM = (0.25, 0.5, 0.25)
X_HALF_MM = X_REACH_MM
DEEP_MM = 72.0
STRANDS_Y_MM = 17.0
"""Strands are drawn this far to both sides whatever the block's extent."""
WIDEST_MM = 16.0


class Canvas:
    """A block that starts as fat.

    Parameters
    ----------
    procedure : str
    seed : int
    y_half_mm : float
        Half the extent across the slices [mm], up to `WIDEST_MM`.

    Raises
    ------
    BugError
        For a block without extent, or one wider than strands are drawn for.
    """

    def __init__(self, procedure: str, seed: int, y_half_mm: float) -> None:
        if not 0.0 < y_half_mm <= WIDEST_MM:
            raise BugError(f"A block of +-{y_half_mm:g} mm across is not 0 to {WIDEST_MM:g} mm.")
        words = [seed & 0xFFFFFFFFFFFFFFFF, zlib.crc32(f"subject/{procedure}".encode())]
        self.rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))
        self.procedure, self.seed = procedure, seed
        ny = math.ceil(y_half_mm / STEP_MM[1])
        nx, nz = int(2 * X_HALF_MM / STEP_MM[0]) + 1, int(DEEP_MM / STEP_MM[2])
        self.lattice = Lattice((-X_HALF_MM, -ny * STEP_MM[1], 0.0), STEP_MM, (2 * ny + 1, nz, nx))
        self.xs, self.ys, self.zs = self.lattice.xs, self.lattice.ys, self.lattice.zs
        self.x, self.y, self.z = self.xs[None, None, :], self.ys[:, None, None], self.zs[None, :, None]
        shape = self.lattice.shape
        self.label = np.full(shape, int(Tissue.FAT), np.uint8)
        self.level = np.full(shape, FACTS[Tissue.FAT].level_db, np.float32)
        self.attenuation = np.full(shape, FACTS[Tissue.FAT].attenuation_db_cm_mhz, np.float32)
        self.sheets: list[Sheet] = []
        self.marks = Marks(float(self.ys[-1]))
        self.vessels: list[Vessel] = []

    # ---- draws

    def u(self, low: float, high: float) -> float:
        """Uniform draw."""
        return float(self.rng.uniform(low, high))

    def n(self, low: int, high: int) -> int:
        """Whole number from ``low`` to below ``high``."""
        return int(self.rng.integers(low, high))

    def chance(self, share: float) -> bool:
        """True in a share of all draws."""
        return bool(self.rng.random() < share)

    def sign(self) -> int:
        """-1 or 1."""
        return 1 if self.chance(0.5) else -1

    def waves(self, length_mm: float, amplitude_mm: float, length_y_mm: float = 0.0) -> Surface:
        """Waves about zero; see `Surface.waves`."""
        return Surface.waves(self.rng, length_mm, amplitude_mm, length_y_mm)

    def noise(
        self, length_mm: tuple[float, float, float], slope_deg: float = 0.0, dip: Surface | None = None
    ) -> Noise:
        """Noise of place with its grain along a slope, or following the relief of a surface."""
        key = int(self.rng.integers(1 << 31))
        dip_mm = None if dip is None else dip(self.xs, 0.0) - dip.nominal_mm
        return Noise(key, self.xs, self.zs, length_mm, math.radians(slope_deg), dip_mm)

    def grid(self, surface: Surface) -> Float32:
        """A surface's depth on the block's columns [mm], shape (ny, nx)."""
        return np.asarray(surface(self.xs[None, :], self.ys[:, None]), np.float32)

    # ---- volumes

    def _rows(self, low_mm: float, high_mm: float) -> slice:
        step = STEP_MM[2]
        first = int(np.clip(math.floor(low_mm / step) - 1, 0, len(self.zs)))
        return slice(first, int(np.clip(math.ceil(high_mm / step) + 2, first, len(self.zs))))

    def layer(
        self, kind: Tissue, top: Surface, bottom: Surface | None = None, level_db: float | None = None,
        attenuation: float | None = None, soft_mm: float = 0.4,
    ) -> None:
        """Fill between two surfaces, or from one down to the block's end."""
        facts = FACTS[kind]
        level_db = facts.level_db if level_db is None else level_db
        attenuation = facts.attenuation_db_cm_mhz if attenuation is None else attenuation
        upper = self.grid(top)
        lower = self.grid(bottom) if bottom is not None else np.full_like(upper, DEEP_MM + 5.0)
        self._fill(kind, upper, lower, level_db, attenuation, soft_mm)

    def _fill(
        self, kind: Tissue | None, upper: Float32, lower: Float32, level_db: float, attenuation: float, soft_mm: float
    ) -> None:
        for j in range(len(self.ys)):
            known = np.isfinite(upper[j])
            if not known.any():
                continue
            rows = self._rows(float(upper[j][known].min()), float(lower[j][known].max()))
            z = self.zs[rows, None]
            depth = np.minimum(z - upper[j], lower[j] - z)  # NaN columns compare as outside
            weight = np.nan_to_num(np.clip(depth / np.float32(soft_mm) + np.float32(0.5), 0.0, 1.0))
            level = self.level[j, rows]
            level += weight * (np.float32(level_db) - level)
            inside = depth >= 0
            self.attenuation[j, rows][inside] = attenuation
            if kind is not None:
                self.label[j, rows][inside] = int(kind)

    def box(self, body: Body, beyond_mm: float = 1.0) -> tuple[slice, slice, slice]:
        """Slices (y, z, x) around a body."""
        parts = []
        order = ((1, self.ys), (2, self.zs), (0, self.xs))
        for axis, places in order:
            half = body.half_mm[axis] * (1.35 if body.lobes else 1.02) + beyond_mm
            first = int(np.searchsorted(places, body.centre_mm[axis] - half)) if math.isfinite(half) else 0
            last = int(np.searchsorted(places, body.centre_mm[axis] + half)) if math.isfinite(half) else len(places)
            parts.append(slice(first, last))
        return parts[0], parts[1], parts[2]

    def weight(self, body: Body, soft_mm: float = 0.25) -> tuple[tuple[slice, slice, slice], Float32]:
        """Box and soft weight of a body on the block's cells."""
        box = self.box(body, soft_mm)
        weight = body.weight(self.x[..., box[2]], self.y[box[0]], self.z[:, box[1]], soft_mm)
        return box, np.broadcast_to(weight, tuple(s.stop - s.start for s in box))

    def paint(
        self, body: Body, kind: Tissue | None, level_db: float | None = None, *, soft_mm: float = 0.25,
        attenuation: float | None = None, within: tuple[Tissue, ...] = (),
    ) -> None:
        """Put a body into the block; ``kind`` None changes only level and, if given, attenuation.

        ``within`` limits it to places that are of these kinds.
        """
        box, weight = self.weight(body, soft_mm)
        if weight.size == 0:
            return
        if within:
            weight = weight * np.isin(self.label[box], [int(k) for k in within])
        if level_db is None:
            level_db = FACTS[kind or Tissue.FAT].level_db
        level = self.level[box]
        level += weight * (np.float32(level_db) - level)
        inside = weight > 0.5
        if kind is not None:
            self.label[box][inside] = int(kind)
            if attenuation is None:
                attenuation = FACTS[kind].attenuation_db_cm_mhz
        if attenuation is not None:
            self.attenuation[box][inside] = attenuation

    def lift(self, body: Body, by_db: float, soft_mm: float = 1.0) -> None:
        """Add to the level inside a body."""
        box, weight = self.weight(body, soft_mm)
        if weight.size:
            self.level[box] += weight * np.float32(by_db)

    def grain(
        self, field: Callable[[float], Float32], top: Surface | None = None, bottom: Surface | None = None,
        within: tuple[Tissue, ...] = (), soft_mm: float = 0.5,
    ) -> None:
        """Add ``field(y)`` [dB], shape (nz, nx), to the level between two surfaces, or in given kinds of tissue."""
        upper = None if top is None else self.grid(top)
        lower = None if bottom is None else self.grid(bottom)
        for j, y in enumerate(self.ys):
            rows = self._rows(0.0 if upper is None else float(upper[j].min()),
                              DEEP_MM if lower is None else float(lower[j].max()))
            add = field(float(y))[rows]
            z = self.zs[rows, None]
            if upper is not None:
                add = add * np.clip((z - upper[j]) / np.float32(soft_mm) + np.float32(0.5), 0.0, 1.0)
            if lower is not None:
                add = add * np.clip((lower[j] - z) / np.float32(soft_mm) + np.float32(0.5), 0.0, 1.0)
            if within:
                add = add * np.isin(self.label[j, rows], [int(k) for k in within])
            self.level[j, rows] += add

    # ---- reflecting surfaces and strands

    def _noise_2d(self, length_mm: float, length_y_mm: float) -> Float32:
        """Noise over (y, x) of unit deviation."""
        key = int(self.rng.integers(1 << 31))
        noise = Noise(key, self.xs, np.zeros(1, np.float32), (length_mm, length_y_mm, 1.0))
        return np.stack([noise.at(float(y))[0] for y in self.ys]) * np.float32(1.2)

    def sheet(
        self, surface: Surface | Float32, level_db: float | Float32, *, rough_mm: float = 1.0, thick_mm: float = 0.0,
        specular: float = 0.5, patchy_db: float = 4.0, gaps: float = 0.0,
    ) -> None:
        """Add a reflecting surface, given as a function or on the block's columns with NaN where there is none."""
        z = self.grid(surface) if isinstance(surface, Surface) else np.asarray(surface, np.float32)
        patches, fade = self._noise_2d(3.0, 4.0), self._noise_2d(4.0, 5.0)
        level = np.asarray(level_db, np.float32) + np.float32(patchy_db) * patches
        if gaps > 0:
            level = level + 14.0 * np.clip(fade + 1.3 - 2.0 * gaps, -2.0, 0.0)
        self.sheets.append(Sheet(z.astype(np.float32), np.broadcast_to(level, z.shape).astype(np.float32),
                                 rough_mm, thick_mm, specular))

    def wall(self, body: Body, sign: int, level_db: float, *, share: float = 1.0, **look: float) -> None:
        """Upper (-1) or lower (1) border of a body as a sheet; ``share`` < 1 keeps only its middle part."""
        x, y = self.xs[None, :].astype(float), self.ys[:, None].astype(float)
        z = body.border(x, y, sign)
        middle = 0.5 * (z + body.border(x, y, -sign))
        rise = np.abs(z - middle)
        with np.errstate(invalid="ignore"):
            full = 1.0 / math.sqrt(float((body.frame[:, 2] ** 2).sum()))
            z = np.where(rise < full * math.sqrt(max(0.0, 1.0 - share * share)), np.nan, z)
        self.sheet(np.asarray(z, np.float32), level_db, **look)

    def line(self, x: NDArray, z: NDArray, level_db: float, **look: float | tuple[float, float]) -> None:
        """Add one curve in the picture's plane; see `Marks.polyline`."""
        self.marks.polyline(self.rng, x, z, level_db, **look)  # type: ignore[arg-type]

    def strands(
        self, per_cm2: float, top: Surface, bottom: Surface, how: Strand, *, x_range: tuple[float, float] | None = None
    ) -> None:
        """Scatter strands between two surfaces, ``per_cm2`` of them in sight in a picture's square centimetre."""
        x0, x1 = x_range or (-X_HALF_MM, X_HALF_MM)
        sight = 2.5 * 0.5 * (how.reach_mm[0] + how.reach_mm[1])
        area = max(0.0, bottom.nominal_mm - top.nominal_mm) * (x1 - x0) / 100.0
        count = int(per_cm2 * area * max(1.0, 2 * STRANDS_Y_MM / sight))
        cx, cy = self.rng.uniform(x0, x1, count), self.rng.uniform(-STRANDS_Y_MM, STRANDS_Y_MM, count)
        share = self.rng.random(count)
        upper, lower = top(cx, cy), bottom(cx, cy)
        slope = np.nan_to_num(np.arctan(((top(cx + 1.0, cy) - top(cx - 1.0, cy)) * (1 - share)
                           + (bottom(cx + 1.0, cy) - bottom(cx - 1.0, cy)) * share) / 2.0))
        open_to = lower > upper + 0.3
        before = len(self.marks.chunks)
        self.marks.strands(self.rng, cx, cy, np.where(open_to, upper + share * (lower - upper), -99.0), slope, how)
        for chunk in self.marks.chunks[before:]:  # a strand ends where its layer does
            x, y, z = chunk["x_mm"], chunk["y_mm"], chunk["z_mm"]
            out = np.maximum(top(x, y) - z, z - bottom(x, y))
            chunk["level_db"] -= (20.0 * np.clip(out / 0.4, 0.0, 1.0)).astype(np.float32)

    def hide(self, body: Body, by_db: float = -30.0) -> None:
        """Dim sheets and strands drawn so far inside a body: it takes their place."""
        self.marks.hide(body, by_db)
        box_y, _, box_x = self.box(body)
        if box_y.stop <= box_y.start or box_x.stop <= box_x.start:
            return
        for sheet in self.sheets:
            z = np.nan_to_num(sheet.z_mm[box_y, box_x], nan=-99.0)
            weight = body.weight(self.xs[None, box_x], self.ys[box_y, None], z)
            sheet.level_db[box_y, box_x] += np.float32(by_db) * weight

    def bone(
        self, surface: Surface | Float32, level_db: float, *, thick_mm: float = 6.0, leak: float = 0.0,
        kind: Tissue | None = Tissue.BONE, inside_db: float = -46.0,
    ) -> None:
        """A bright rough surface over bone that casts a shadow; ``leak`` 0..1 lets a part of the beam through."""
        z = self.grid(surface) if isinstance(surface, Surface) else np.asarray(surface, np.float32)
        facts = FACTS[Tissue.BONE]
        loss = facts.attenuation_db_cm_mhz * (1.0 - leak) + FACTS[Tissue.MUSCLE].attenuation_db_cm_mhz * leak
        level = inside_db * (1.0 - leak) + FACTS[Tissue.MUSCLE].level_db * leak
        self._fill(kind, z, z + np.float32(thick_mm), level, loss, 0.4)
        self.bone_face(z, level_db)

    def bone_face(self, z: Float32, level_db: float) -> None:
        """The bright face of bone: several broken sheets just below each other, as a rough surface echoes."""
        for k in range(self.n(2, 5)):
            wave = self.grid(self.waves(1.5, 0.05))
            self.sheet(z + np.float32(0.16 * k) + wave, level_db - 3.0 * k, rough_mm=self.u(0.4, 2.0),
                       thick_mm=self.u(0.15, 0.5), specular=0.2, patchy_db=3.5, gaps=0.25 * (k > 0))

    # ---- whole block

    def texture(self, strength_db: float, stretch: float, dip: Surface | None = None) -> None:
        """Make the echo level uneven at several scales, longer along the layers than across them."""
        lie = self.waves(8.0, 0.5) + Surface.plane(math.tan(math.radians(self.u(-7, 7))))
        lie = lie + (dip + -dip.nominal_mm) if dip is not None else lie
        parts = []
        for across, share in ((2.4, 1.0), (1.1, 0.9), (0.55, 0.6), (0.3, 0.35)):
            along = across * stretch * self.u(0.7, 1.3)
            parts.append((share * strength_db, self.noise((along, max(1.2, 0.7 * along), across), dip=lie)))
        parts.append((self.u(0.5, 2.5), self.noise((14.0, 12.0, 8.0))))
        for j, y in enumerate(self.ys):
            level = self.level[j]
            add = np.zeros_like(level)
            for share, noise in parts[:-1]:
                add += np.float32(share) * noise.at(float(y))
            add += np.float32(0.05) * add * add  # bright places stand out more than dark ones
            level += add * np.clip((level + 48.0) / 12.0, 0.15, 1.0)  # vessels, cysts and shadows stay dark
            level += np.float32(parts[-1][0]) * parts[-1][1].at(float(y)) * (level > -47.0)

    def subject(
        self, *, view: str, target: Target, forbidden: frozenset[Tissue], skin_mm: float, depth_mm: float,
        facts: dict[str, float | int | str | bool], pulse_hz: tuple[float, float] = (1.0, 2.0),
        breath_hz: tuple[float, float] = (0.2, 0.5), breath_mm: tuple[float, float] = (0.0, 0.8),
    ) -> Subject:
        """The finished block."""
        return Subject(
            self.procedure, self.seed, view, self.lattice, self.label, self.level, self.attenuation,
            tuple(self.sheets), self.marks.streaks(), tuple(self.vessels), target, forbidden, skin_mm, depth_mm, facts,
            pulse_hz, breath_hz, breath_mm,
        )
