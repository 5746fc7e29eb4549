"""Composite cines of needles that hold still, go with the tissue, or show only a part of their shaft.

Why: in the other cines a needle nearly always moves against the tissue, and straight lines that do not move are lures.
A network that learnt from them alone holds a bright needle that rests for a fascia, as real needles do most of the
time. Here the needle can be told by its looks alone: the end of a straight, bright line. What must not be taken for
one is bent: sheets of fascia, membranes, and whatever the real still shows.

As in `puncta.training.synthesis`, everything is a drawn needle in a needle-free still.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.training.capture import captured
from puncta.training.data import CACHE_SIZE, Report, background_stills, cache_name, save_clip
from puncta.training.seen import is_seen
from puncta.training.synthesis import (
    Cine,
    DrawnNeedle,
    Field,
    Grey,
    MovingStill,
    NeedlePainter,
    crop_still,
    draw_furniture,
    draw_needle,
    plan_way,
)

FOLLOWED = 12
"""Steps of the search for where a point of the still is shown; each takes nine tenths of the error off."""


@dataclass(frozen=True, slots=True)
class SteadyCineSpec:
    """Resting needles in needle-free stills. ``folders`` are relative to the data root."""

    drawn_by: ClassVar[tuple[str, ...]] = ("steady.py", "synthesis.py", "capture.py", "seen.py")

    folders: tuple[str, ...]
    clips: int
    frames: int = 20
    seed: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class PartlySeen(DrawnNeedle):
    """A needle of which the part next to the tip is seen.

    Attributes
    ----------
    seen_mm : float
        Length of that part [mm].
    taper_mm, tip_taper_mm : float
        Over this length [mm] it comes up out of nothing, and goes down towards the tip.
    tip_light : float
        Share of the shaft's light that is left at the tip.
    """

    seen_mm: float
    taper_mm: float
    tip_taper_mm: float
    tip_light: float


class PartPainter(NeedlePainter):
    """Paints needles of which a part is seen, and which mirror the beam more or less evenly."""

    def __init__(self, rng: np.random.Generator, size: int, mm_per_px: tuple[float, float]) -> None:
        super().__init__(rng, size, mm_per_px)
        # Steel is a mirror: where it is well hit there is little speckle on it.
        uneven = np.float32(rng.choice([rng.uniform(0.05, 0.3), rng.uniform(0.2, 1.0)]))
        self.speckle = [np.float32(1.0) + uneven * (field - np.float32(1.0)) for field in self.speckle]

    def _shaft(self, needle: DrawnNeedle, along: Field, across: Field, down: Field, s_tip: float) -> Field:
        light = super()._shaft(needle, along, across, down, s_tip)
        if not isinstance(needle, PartlySeen):
            return light
        back = np.float32(s_tip) - along
        begins = np.clip((np.float32(needle.seen_mm) - back) / np.float32(needle.taper_mm), 0.0, 1.0)
        ends = np.clip(back / np.float32(needle.tip_taper_mm), 0.0, 1.0)
        low = np.float32(needle.tip_light)
        return light * begins * (low + (np.float32(1.0) - low) * ends)


    def cover(self, needle: PartlySeen, i: int) -> Grey:
        """Coverage by the part that is seen, 0..255: as wide as it is drawn, at least two pixels."""
        (ox, oy), (dx, dy) = needle.origin_mm, needle.direction
        s_tip = float(needle.way_mm[i])
        along = (self.x_mm - ox) * dx + (self.y_mm - oy) * dy
        across = (self.y_mm - oy) * dx - (self.x_mm - ox) * dy - np.float32(needle.sway_mm[i])
        if needle.bow:
            across = across - np.float32(needle.bow) * np.square(along)
        pixel = np.float32(min(self.mm_per_px))
        # A line that is a Gaussian in depth looks as wide as its half maximum: 2.35 of its deviations.
        half = max(np.float32(2.35 / 2 * needle.width_mm / 2), pixel)
        ends = np.minimum(np.float32(s_tip) - along, along - np.float32(max(s_tip - needle.seen_mm, 0.0)))
        inside = np.minimum(half - np.abs(across), ends) / pixel + np.float32(0.5)
        return (np.clip(inside, 0.0, 1.0) * 255).astype(np.uint8)


def draw_resting(rng: np.random.Generator, steps: int, still: Grey, mm_per_px: tuple[float, float]) -> PartlySeen:
    """Draw a needle that can be seen at rest in a still, and how it moves, if it does."""
    width_mm, height_mm = still.shape[1] * mm_per_px[0], still.shape[0] * mm_per_px[1]
    plain, _longest = draw_needle(rng, steps, width_mm, height_mm, "inside")
    origin, direction, longest = _draw_axis(rng, width_mm, height_mm)
    plain = replace(plain, origin_mm=origin, direction=direction)
    way = _way(rng, steps, longest)
    # Bright enough to be seen beside tissue; what is fainter is learnt where it moves.
    level = float(rng.choice([rng.uniform(60, 140), rng.uniform(130, 300), rng.uniform(200, 450)]))
    level = max(level, float(rng.uniform(1.1, 2.4)) * _light_along(still, plain, float(way[0]), mm_per_px))
    seen = longest if rng.random() < 0.35 else float(rng.uniform(5.0, 0.7 * longest + 6.0))
    kept = {f.name: getattr(plain, f.name) for f in fields(DrawnNeedle)}
    kept |= {
        "way_mm": way,
        "sway_mm": plain.sway_mm if rng.random() < 0.3 else np.zeros(steps),
        "level": level,
        "tip_level": float(rng.choice([0.0, 0.0, rng.uniform(0.3, 1.3)])) * level,
        "width_mm": float(rng.choice([rng.uniform(0.004, 0.010), rng.uniform(0.006, 0.018)])) * height_mm,
        "fade_start": float(rng.choice([1.0, 1.0, rng.uniform(0.2, 0.9)])),
        "fade_stop": float(rng.choice([1.0, 1.0, rng.uniform(0.5, 0.9)])),
        "seen_mm": seen,
        "taper_mm": float(rng.choice([rng.uniform(0.3, 2.0), rng.uniform(2.0, 0.6 * seen + 2.1)])),
        "tip_taper_mm": float(rng.choice([0.05, rng.uniform(0.05, 0.5), rng.uniform(0.5, 4.0)])),
        "tip_light": float(rng.uniform(0.4, 1.0)),
    }
    return PartlySeen(**kept)


def _draw_axis(
    rng: np.random.Generator, width_mm: float, height_mm: float
) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Entry [mm], direction and longest way [mm]: from any depth of a side, also upwards, or from the top."""
    while True:
        side = float(rng.choice([-1.0, 1.0]))
        degrees = float(rng.choice([rng.uniform(-12, 15), rng.uniform(3, 35), rng.uniform(10, 75)]))
        if rng.random() < 0.75:
            origin = (0.0 if side > 0 else width_mm, float(rng.uniform(0.02, 0.95)) * height_mm)
        else:
            degrees = max(degrees, 18.0)
            origin = (float(rng.uniform(0.0, 1.0)) * width_mm, 0.0)
        dx, dy = side * math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        reach_x = (width_mm - origin[0]) / dx if dx > 0 else origin[0] / -dx
        reach_y = (height_mm - origin[1]) / dy if dy > 1e-6 else origin[1] / max(-dy, 1e-6)
        longest = min(reach_x, reach_y)
        if longest > 8.0:
            return origin, (dx, dy), longest


def _light_along(still: Grey, needle: DrawnNeedle, way_mm: float, mm_per_px: tuple[float, float]) -> float:
    """Light of the tissue [grey levels] that four fifths of the needle's last 15 mm stay below."""
    back = np.linspace(0.0, min(15.0, way_mm), 24)
    x, y = (
        np.clip((needle.origin_mm[k] + needle.direction[k] * (way_mm - back)) / mm_per_px[k], 0, still.shape[1 - k] - 1)
        for k in (0, 1)
    )
    return float(np.percentile(cv2.blur(still, (5, 5))[y.astype(int), x.astype(int)], 80))


def _way(rng: np.random.Generator, steps: int, longest_mm: float) -> NDArray[np.float64]:
    """Inserted length [mm] on every frame: at rest, creeping, or as in the other cines."""
    kind = rng.random()
    if kind < 0.2:
        return plan_way(rng, steps, longest_mm, "inside")
    where = float(rng.uniform(0.15, 0.97)) * longest_mm
    if kind < 0.65:
        return np.full(steps, where)
    return np.maximum(where + float(rng.normal(0, 0.05)) * np.arange(steps), 2.0)


def add_sheets(rng: np.random.Generator, still: Grey) -> Grey:
    """Draw what is bright and long in tissue and no needle: bent sheets, in layers, that come and go."""
    size = still.shape[0]
    out = still.astype(np.float32)
    for _ in range(int(rng.integers(1, 4))):
        x = np.linspace(-0.1, 1.1, 60) * size
        base, tilt = float(rng.uniform(0.02, 0.98)) * size, float(rng.normal(0, 0.2))
        wave = float(rng.uniform(0.015, 0.07)) * size * (1 if rng.random() < 0.5 else -1)
        phase, turns = float(rng.uniform(0, 6.3)), float(rng.uniform(0.7, 2.5))
        y = base + tilt * (x - size / 2) + wave * np.sin(phase + turns * 2 * math.pi * x / size)
        path = np.stack([x, y], 1)
        first, last = sorted(int(v) for v in rng.choice(60, 2, replace=False))
        if rng.random() < 0.5:
            first, last = 0, 59
        sheet = np.zeros((size, size), np.float32)
        for layer in range(int(rng.integers(1, 4))):
            points = (path + [0, layer * float(rng.uniform(3, 9))])[first : last + 1]
            cv2.polylines(sheet, [np.round(points * 8).astype(np.int32)], False, 0.85**layer, int(rng.integers(1, 6)),
                          cv2.LINE_AA, 3)
        sheet = cv2.GaussianBlur(sheet, (0, 0), float(rng.uniform(1.5, 5.0)), sigmaY=float(rng.uniform(0.8, 1.8)))
        coarse = np.clip(0.8 + 0.7 * rng.standard_normal((1, 9)).astype(np.float32), 0.0, 1.5)
        sheet *= cv2.resize(coarse, (size, 1), interpolation=cv2.INTER_CUBIC)
        grain = cv2.GaussianBlur(rng.standard_normal((size, size)).astype(np.float32), (0, 0), 1.5)
        uneven = float(rng.uniform(0.05, 0.45))
        out = np.maximum(out, sheet * (1 + uneven * grain / grain.std()) * float(rng.uniform(60, 250)))
    return np.clip(out, 0, 255).astype(np.uint8)


def shown_at(moving: MovingStill, i: int, point_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where a point of the still is shown at instant ``i`` [px]."""
    places = moving.places(i)
    at = np.array(point_px, np.float64)
    for _ in range(FOLLOWED):
        x, y = np.clip(at, 0, moving.size - 1.001)
        column, row = int(x), int(y)
        weights = np.outer([1 - (y - row), y - row], [1 - (x - column), x - column])
        source = np.array([float((f[row : row + 2, column : column + 2] * weights).sum()) for f in places])
        # Beyond the picture's edge the shift is that at the edge.
        at = np.array(point_px) + (np.array([x, y]) - source)
    return at


def _carried(moving: MovingStill, cover: Grey, i: int) -> Grey:
    """A mask as the still carries it, mirrored at the edge as the still is."""
    return cv2.remap(cover, *moving.places(i), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def compose_steady_cine(
    rng: np.random.Generator, picture: Grey, size: int, steps: int, covers: list[Grey] | None = None
) -> Cine:
    """Make one cine from a needle-free still, five in seven with a needle.

    Parameters
    ----------
    covers : list or None
        Gets the needle's coverage on every frame, 0..255, shape (size, size).
    """
    still, (mx, my) = crop_still(rng, picture, size)
    # Other depths than the stills were taken at: the needle's thickness and length go with it.
    deeper = float(rng.uniform(0.8, 1.7))
    mm_per_px = (mx * deeper, my * deeper)
    t = still.astype(np.float32) / 255.0
    still = np.clip(255.0 * t ** float(rng.uniform(0.7, 1.6)) * float(rng.uniform(0.5, 1.4)), 0, 255).astype(np.uint8)
    if rng.random() < 0.15:
        still = np.ascontiguousarray(still[::-1])
    if rng.random() < 0.4:
        still = add_sheets(rng, still)
    moving = MovingStill(rng, still, steps, mm_per_px)
    painter = PartPainter(rng, size, mm_per_px)
    needle = draw_resting(rng, steps, still, mm_per_px) if rng.random() < 5 / 7 else None
    carried = rng.random() < 0.65
    tips, entries = np.full((steps, 2), np.nan), np.full((steps, 2), np.nan)
    judged = np.zeros(steps, np.int8)
    frames = np.empty((steps, size, size), np.uint8)
    noise, quality = float(rng.uniform(0.0, 5.0)), int(rng.integers(45, 96)) if rng.random() < 0.5 else 0
    fresh = rng.standard_normal((size, size)).astype(np.float32)
    base = still.astype(np.float32)
    for i in range(steps):
        if needle is not None and carried:
            moving.base = np.clip(painter.paint(base, needle, i), 0, 255).astype(np.uint8)
        shown = moving.frame(i)
        bare = shown
        if needle is not None and carried:
            moving.base = still
            bare = moving.frame(i)
        if needle is not None:
            tip, entry = painter.end_px(needle, i)
            if carried:
                tip, entry = shown_at(moving, i, tip), shown_at(moving, i, entry)
            else:
                shown = painter.paint(shown, needle, i)
            tips[i], entries[i] = tip, entry
            if covers is not None:
                cover = painter.cover(needle, i)
                covers.append(_carried(moving, cover, i) if carried else cover)
            in_view = bool((tip > 1).all() and (tip < size - 2).all()) and needle.way_mm[i] > 1.5
            # What nobody can see is neither asked for nor forbidden.
            judged[i] = 1 if in_view and is_seen(bare, shown, tip) else -1
        elif covers is not None:
            covers.append(np.zeros((size, size), np.uint8))
        frames[i] = captured(rng, shown, fresh, noise, quality)
    if rng.random() < 0.3:
        draw_furniture(rng, frames)
    tips[judged != 1] = np.nan
    entries[judged != 1] = np.nan
    return Cine(frames, tips, entries, judged, mm_per_px)


def build_steady(
    spec: SteadyCineSpec, root: Path, cache: Path, report: Report, part: tuple[int, int] = (0, 1)
) -> Path:
    """Compose the clips that the cache lacks, of them every n-th from the k-th on; return their folder.

    Raises
    ------
    UserError
        A folder of stills is missing, or a still cannot be read.
    """
    folder = cache / cache_name(spec)
    stills = background_stills(root, spec.folders)
    for k in range(part[0], spec.clips, part[1]):
        name = f"{k:05d}"
        if not (folder / f"{name}.json").exists():
            save_clip(folder, name, "composite", "stills", compose_clip(spec, k, stills))
        report("resting needles", k + 1, spec.clips)
    return folder


def compose_clip(spec: SteadyCineSpec, number: int, stills: list[Path], covers: list[Grey] | None = None) -> Cine:
    """Make the clip of a number; always the same.

    Raises
    ------
    UserError
        Its still cannot be read.
    """
    rng = np.random.default_rng([spec.seed, 77, number])
    path = stills[int(rng.integers(len(stills)))]
    still = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if still is None:
        raise UserError(f"The still {path} cannot be read; take it out of the folder of backgrounds.")
    return compose_steady_cine(rng, still, CACHE_SIZE, spec.frames, covers)
