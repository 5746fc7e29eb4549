"""Composite cines: a drawn needle moved through a still picture without one, which is bent slowly into a cine.

Why: a network that has seen simulated tissue only takes real fascia for needles. Real needle-free stills give it real
tissue as background; the needle's echo is drawn (a thin line, brighter at the tip, speckled, broken, faded, with
reverberation and shadow) and added where the display is logarithmic. Everything made here is simulated needle on a
still; nothing of the stills is written anywhere but into the cache.

`puncta.sim.composite` makes datasets of the same kind with the simulator's law of the needle's echo. This recipe stays
as it is, because the shipped model was trained by it and its card can be repeated.

The still never stands still: probe drift, breathing, a turn, slow bending, tissue dragged along the needle and a slide
out of the plane (a cross-fade into a bent copy), so that "what moves is the needle" does not hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.training.capture import captured

Grey = NDArray[np.uint8]
Field = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Cine:
    """Frames of one region with the truth about the tip, in pixels of these frames.

    Attributes
    ----------
    frames : ndarray of uint8, shape (T, S, S)
    tip_px, entry_px : ndarray, shape (T, 2)
        NaN where there is no needle.
    judged : ndarray of int8, shape (T,)
        1 tip visible, 0 no tip in the plane, -1 not to be judged.
    mm_per_px : tuple of float or None
        (x, y) [mm/px].
    """

    frames: Grey
    tip_px: NDArray[np.float64]
    entry_px: NDArray[np.float64]
    judged: NDArray[np.int8]
    mm_per_px: tuple[float, float] | None


def _smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Field:
    coarse = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def _walk(rng: np.random.Generator, steps: int, sigma: float, slow: float) -> NDArray[np.float64]:
    """A smooth random walk of a given deviation that begins at 0."""
    noise = rng.standard_normal(steps + 64)
    width = int(max(3, slow))
    kernel = np.hanning(width + 2)
    path = np.convolve(noise, kernel / np.sqrt((kernel**2).sum()), mode="same")[32 : 32 + steps]
    return (path - path[0]) * sigma


class MovingStill:
    """Bends a still into a cine: every call of `frame` gives the still at one instant."""

    def __init__(self, rng: np.random.Generator, still: Grey, steps: int, mm_per_px: tuple[float, float]) -> None:
        self.size = still.shape[0]
        self.base = still
        hand = float(rng.choice([0.05, 0.3, 0.7, 1.4]))
        mx, my = mm_per_px
        t = np.arange(steps)
        breath = float(rng.uniform(0, 0.6)) * np.sin(t * float(rng.uniform(0.05, 0.16)) + float(rng.uniform(0, 6.3)))
        self.dx = _walk(rng, steps, 0.35 * hand / mx, rng.uniform(10, 30))
        self.dy = _walk(rng, steps, 0.2 * hand / my, rng.uniform(10, 30)) + breath / my
        self.turn = _walk(rng, steps, 0.006 * hand, 25)
        self.bend = [(_smooth_noise(rng, self.size, 4), _smooth_noise(rng, self.size, 4)) for _ in range(2)]
        amount = float(rng.uniform(0.0, 0.25)) * (0.3 + hand)
        self.amounts = [_walk(rng, steps, amount / mx, rng.uniform(8, 25)) for _ in range(2)]
        # Elevation: the picture turns slowly into a bent copy of itself, as when the probe slides.
        self.slide = np.clip(np.abs(_walk(rng, steps, 0.5, 30)), 0, 0.6) if rng.random() < 0.35 else np.zeros(steps)
        grid_y, grid_x = np.mgrid[0 : self.size, 0 : self.size].astype(np.float32)
        self.grid_x, self.grid_y = grid_x, grid_y
        other_x, other_y = (_smooth_noise(rng, self.size, 7) * 6.0 for _ in range(2))
        at = (grid_x + other_x, grid_y + other_y)
        self.other = cv2.remap(still, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)

    def places(self, i: int, drag: tuple[Field, Field] | None = None) -> tuple[Field, Field]:
        """Where in the still every pixel of instant ``i`` is taken from, (x, y) [px]; dragged as in `frame`."""
        c = (self.size - 1) / 2
        cos, sin = math.cos(self.turn[i]), math.sin(self.turn[i])
        x, y = self.grid_x - c, self.grid_y
        mx = cos * x - sin * y + c - self.dx[i]
        my = sin * x + cos * y - self.dy[i]
        for (bx, by), amount in zip(self.bend, self.amounts):
            mx = mx + bx * np.float32(amount[i])
            my = my + by * np.float32(amount[i] * 0.6)
        if drag is not None:
            mx, my = mx - drag[0], my - drag[1]
        return mx.astype(np.float32), my.astype(np.float32)

    def frame(self, i: int, drag: tuple[Field, Field] | None = None) -> Field:
        """Return the still at instant ``i``, float grey levels, dragged along by (x, y) fields [px]."""
        mx, my = self.places(i, drag)
        picture = cv2.remap(self.base, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT).astype(np.float32)
        if self.slide[i] > 0.01:
            other = cv2.remap(self.other, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            picture += np.float32(self.slide[i]) * (other - picture)
        return picture


@dataclass(frozen=True, slots=True, eq=False)
class DrawnNeedle:
    """Looks and way of one drawn needle; lengths [mm] in the region, levels [grey levels].

    Attributes
    ----------
    origin_mm : tuple of float
        Where the axis enters the region.
    direction : tuple of float
        Unit vector from entry to tip.
    way_mm : ndarray, shape (T,)
        Inserted length on every frame; below 0 the needle is still outside.
    """

    origin_mm: tuple[float, float]
    direction: tuple[float, float]
    way_mm: NDArray[np.float64]
    sway_mm: NDArray[np.float64]
    bow: float
    level: float
    tip_level: float
    width_mm: float
    tip_mm: tuple[float, float]
    profile: NDArray[np.float32]
    fade_start: float
    fade_stop: float
    second_wall_mm: float
    reverb_mm: float
    reverb_share: float
    shadow: float


def plan_way(rng: np.random.Generator, steps: int, longest_mm: float, start: str) -> NDArray[np.float64]:
    """Draw the inserted length [mm] on every frame: advance, pause, withdraw, at 10-35 frames a second."""
    dt = 1.0 / float(rng.uniform(10, 35))
    lo, hi = 0.08 * longest_mm, 0.9 * longest_mm
    s = float(rng.uniform(lo, hi)) if start == "inside" else -float(rng.uniform(0.2, 3.0))
    way, speed, wanted, left = np.empty(steps), 0.0, 0.0, 0.0
    for i in range(steps):
        if left <= 0:
            left = float(rng.uniform(0.15, 1.0))
            draw = rng.random()
            pace = float(rng.choice([rng.uniform(0.4, 2.5), rng.uniform(2.0, 10.0)]))
            wanted = 0.0 if draw < 0.22 else (pace if draw < 0.75 or s < lo else -pace)
            if start == "outside" and s < lo:
                wanted = max(wanted, 4.0)
        if s > hi and wanted > 0:
            wanted = 0.0 if rng.random() < 0.5 else -wanted
        left -= dt
        speed += (wanted - speed) * (1 - math.exp(-dt / 0.08))
        s = min(s + speed * dt, hi)
        way[i] = s
    return way


def draw_needle(
    rng: np.random.Generator, steps: int, width_mm: float, height_mm: float, start: str
) -> tuple[DrawnNeedle, float]:
    """Draw a needle that enters a region of a given size [mm] by a side or the top; also its longest way [mm]."""
    for _ in range(50):
        side = float(rng.choice([-1.0, 1.0]))
        angle = math.radians(float(rng.choice([rng.uniform(3, 26), rng.uniform(5, 35), rng.uniform(10, 70)])))
        if rng.random() < 0.75:
            origin = (0.0 if side > 0 else width_mm, float(rng.beta(1.2, 2.5)) * 0.6 * height_mm)
        else:
            angle = max(angle, math.radians(20))
            at = float(rng.uniform(0.0, 0.6)) * width_mm
            origin = (at if side > 0 else width_mm - at, 0.0)
        dx, dy = side * math.cos(angle), math.sin(angle)
        reach_x = (width_mm - origin[0]) / dx if dx > 0 else origin[0] / -dx
        longest = min(reach_x, (height_mm - origin[1]) / dy)
        if longest > 8.0:
            break
    faint = rng.random() < 0.6
    level = float(rng.uniform(18, 65)) if faint else float(rng.uniform(50, 170))
    # From an even shaft to a broken one.
    uneven = float(rng.choice([0.12, 0.25, 0.45]))
    cells = np.clip(1.0 + uneven * rng.standard_normal(64), 0.0, 2.0).astype(np.float32)
    profile = cv2.resize(cells[None], (512, 1), interpolation=cv2.INTER_CUBIC)[0]
    thickness = float(rng.uniform(0.16, 0.6))
    # A tip without an echo of its own is the end of the shaft; that asks for a shaft that can be seen.
    bare = 0.0 if level > 30 else 0.5
    tip_level = float(rng.choice([bare, rng.uniform(0.3, 1.2), rng.uniform(0.8, 2.0)])) * max(level, 30.0)
    needle = DrawnNeedle(
        origin_mm=origin,
        direction=(dx, dy),
        way_mm=plan_way(rng, steps, longest, start),
        sway_mm=_walk(rng, steps, float(rng.choice([0.0, 0.15, 0.5])), 12),
        bow=float(rng.normal(0, 0.0012)) if rng.random() < 0.5 else 0.0,
        level=level,
        tip_level=tip_level,
        width_mm=thickness,
        tip_mm=(float(rng.uniform(0.2, 0.9)), float(rng.uniform(0.12, 0.45))),
        profile=np.clip(profile, 0.0, 2.0),
        # Share of the shaft's light at the entry and at the tip's end: a shaft may be lost at either.
        fade_start=float(rng.choice([1.0, rng.uniform(0.0, 0.8)])),
        fade_stop=float(rng.choice([1.0, rng.uniform(0.15, 0.9)])),
        second_wall_mm=float(rng.choice([0.0, rng.uniform(0.4, 1.3)])),
        reverb_mm=float(rng.uniform(0.6, 1.9)),
        reverb_share=float(rng.choice([0.0, 0.0, rng.uniform(0.1, 0.45)])),
        shadow=float(rng.choice([0.0, rng.uniform(0.03, 0.3)])),
    )
    return needle, longest


class NeedlePainter:
    """Adds a needle's echo to pictures of one region."""

    def __init__(self, rng: np.random.Generator, size: int, mm_per_px: tuple[float, float]) -> None:
        mx, my = mm_per_px
        y, x = np.mgrid[0:size, 0:size].astype(np.float32)
        self.x_mm, self.y_mm, self.mm_per_px, self.size = x * mx, y * my, mm_per_px, size
        grain = (float(rng.uniform(0.7, 2.2)), float(rng.uniform(0.4, 1.0)))
        white = [rng.standard_normal((size, size)).astype(np.float32) for _ in range(4)]
        fields = [cv2.GaussianBlur(field, (0, 0), *grain) for field in white]
        envelope = [np.hypot(a / a.std(), b / b.std()) / 1.25 for a, b in (fields[:2], fields[2:])]
        self.speckle = envelope
        self.blend = float(rng.uniform(0.2, 1.0))
        self.lateral_px = float(rng.uniform(0.5, 2.4))
        self.dynamic_db = float(rng.uniform(45, 70))

    def end_px(self, needle: DrawnNeedle, i: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Tip and entry [px] at instant ``i``."""
        s = needle.way_mm[i]
        normal = (-needle.direction[1], needle.direction[0])
        side = needle.bow * s * s + needle.sway_mm[i]
        tip = [needle.origin_mm[k] + needle.direction[k] * s + normal[k] * side for k in (0, 1)]
        entry = [needle.origin_mm[k] + normal[k] * needle.sway_mm[i] for k in (0, 1)]
        scale = np.array(self.mm_per_px)
        return np.array(tip) / scale, np.array(entry) / scale

    def paint(self, picture: Field, needle: DrawnNeedle, i: int) -> Field:
        """Return the picture with the needle as it is at instant ``i``."""
        s_tip = float(needle.way_mm[i])
        (ox, oy), (dx, dy) = needle.origin_mm, needle.direction
        along = (self.x_mm - ox) * dx + (self.y_mm - oy) * dy
        across = (self.y_mm - oy) * dx - (self.x_mm - ox) * dy - np.float32(needle.sway_mm[i])
        if needle.bow:
            across = across - np.float32(needle.bow) * np.square(along)
        down = across if dx > 0 else -across
        echo = self._shaft(needle, along, across, down, s_tip)
        tip_along, tip_across = needle.tip_mm
        # The bevel's echo lies just behind the tip.
        blob = np.square((along - s_tip + 0.5 * tip_along) / tip_along) + np.square(across / (tip_across + 0.1))
        echo += np.float32(needle.tip_level) * np.exp(-0.5 * np.minimum(blob, 40.0))
        echo = cv2.GaussianBlur(echo, (0, 0), self.lateral_px, sigmaY=0.6)
        mix = self.speckle[0] * (1 - self.blend) + self.blend * self.speckle[i % 2]
        echo *= 0.35 + 0.65 * mix
        if needle.shadow:
            under = (down > 0.4) & (along > 0) & (along < s_tip)
            dark = np.where(under, np.float32(1 - needle.shadow), np.float32(1))
            picture = picture * cv2.GaussianBlur(dark, (0, 0), 3.0)
        # Both are display values of a logarithmic scale: amplitudes add, so the sum is a soft maximum.
        slope = np.float32(self.dynamic_db / 255.0 / 20.0 * math.log(10.0))
        shown = echo > 1.0
        out = picture.copy()
        out[shown] = np.logaddexp(picture[shown] * slope, (echo[shown] + 0.35 * picture[shown]) * slope) / slope
        out[shown] -= np.float32(math.log(2.0)) / slope * np.exp(-echo[shown] / 12.0)
        return np.maximum(out, picture * np.float32(0.9), out=out)

    def _shaft(self, needle: DrawnNeedle, along: Field, across: Field, down: Field, s_tip: float) -> Field:
        half = np.float32(needle.width_mm / 2)
        length = max(s_tip, 1.0)
        u = np.clip(along / np.float32(length), 0.0, 1.0)
        light = needle.profile[np.clip((along - s_tip) * 6.0 + 500, 0, 511).astype(np.int32)]
        light = light * (needle.fade_start + (needle.fade_stop - needle.fade_start) * u) * np.float32(needle.level)
        light *= 1.0 / (1.0 + np.exp(np.clip((along - s_tip) * 8.0, -30, 30)))
        line = np.exp(-0.5 * np.minimum(np.square(across / half), 40.0))
        if needle.second_wall_mm:
            line += 0.5 * np.exp(-0.5 * np.minimum(np.square((down - needle.second_wall_mm) / half), 40.0))
        for k in (1, 2, 3):
            if needle.reverb_share:
                off = np.square((down - k * needle.reverb_mm) / (half * (1 + 0.3 * k)))
                line += np.float32(needle.reverb_share**k) * np.exp(-0.5 * np.minimum(off, 40.0))
        return line * light


def add_lures(rng: np.random.Generator, still: Grey) -> Grey:
    """Draw needle-like lines that belong to the tissue (fascia, bone): straight, bright, and going with it."""
    out = still.astype(np.float32)
    size = still.shape[0]
    for _ in range(int(rng.integers(0, 4))):
        line = np.zeros((size, size), np.float32)
        x, y = rng.uniform(0, size, 2)
        angle = float(rng.uniform(-0.9, 0.9))
        length = float(rng.uniform(0.15, 1.2)) * size
        a = (int(x), int(y))
        b = (int(x + length * math.cos(angle)), int(y + length * math.sin(angle)))
        cv2.line(line, a, b, 1.0, int(rng.integers(1, 5)), cv2.LINE_AA)
        line = cv2.GaussianBlur(line, (0, 0), float(rng.uniform(0.8, 2.5)), sigmaY=float(rng.uniform(0.6, 1.6)))
        grain = np.clip(1 + 0.4 * _smooth_noise(rng, size, 40), 0.1, 2.0)
        out = np.maximum(out, line * grain * float(rng.uniform(40, 240)))
    return np.clip(out, 0, 255).astype(np.uint8)


def draw_furniture(rng: np.random.Generator, frames: Grey) -> None:
    """Burn ruler dots or a caption into all frames, in place: they never move, whatever the tissue does."""
    size = frames.shape[1]
    level = int(rng.integers(120, 256))
    if rng.random() < 0.7:
        x = int(rng.choice([rng.integers(2, 16), size - rng.integers(3, 18)]))
        step = float(rng.uniform(8, 40))
        for k in range(int(size / step)):
            for frame in frames:
                cv2.circle(frame, (x, int(k * step)), 2 if k % 5 == 0 else 1, level, -1, cv2.LINE_AA)
    if rng.random() < 0.5:
        words = str(rng.choice(["3 cm", "R", "MI 0.9", "V", "12L", "NERVE", "o"]))
        row = int(rng.choice([rng.integers(10, 24), rng.integers(size - 14, size - 2)]))
        at = (int(rng.integers(2, size - 40)), row)
        for frame in frames:
            cv2.putText(frame, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, level, 1, cv2.LINE_AA)


def crop_still(rng: np.random.Generator, picture: Grey, size: int) -> tuple[Grey, tuple[float, float]]:
    """Cut a random part out of a still and stretch it to a square; also its scale (x, y) [mm/px], drawn."""
    rows = np.flatnonzero(picture.mean(axis=1) > 6)
    columns = np.flatnonzero(picture.mean(axis=0) > 6)
    if len(rows) > 60 and len(columns) > 60:
        picture = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    h, w = picture.shape
    ch, cw = int(h * rng.uniform(0.6, 1.0)), int(w * rng.uniform(0.6, 1.0))
    y0, x0 = int(rng.integers(0, h - ch + 1)), int(rng.integers(0, w - cw + 1))
    part = picture[y0 : y0 + ch, x0 : x0 + cw]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    height_mm = float(rng.uniform(22, 50))
    width_mm = float(np.clip(height_mm * cw / ch * rng.uniform(0.85, 1.2), 20, 70))
    how = cv2.INTER_AREA if min(ch, cw) > size else cv2.INTER_LINEAR
    still = cv2.resize(np.ascontiguousarray(part), (size, size), interpolation=how)
    return still, (width_mm / size, height_mm / size)


def compose_cine(rng: np.random.Generator, picture: Grey, size: int, steps: int) -> Cine:
    """Make one composite cine from a needle-free still (two in three with a needle)."""
    still, mm_per_px = crop_still(rng, picture, size)
    gain = float(rng.uniform(0.75, 1.5))
    still = np.clip(still.astype(np.float32) * gain, 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        still = add_lures(rng, still)
    moving = MovingStill(rng, still, steps, mm_per_px)
    painter = NeedlePainter(rng, size, mm_per_px)
    kind = str(rng.choice(["inside", "outside", "none"], p=[0.62, 0.12, 0.26]))
    needle = None
    if kind != "none":
        needle, _longest = draw_needle(rng, steps, size * mm_per_px[0], size * mm_per_px[1], kind)
    tips = np.full((steps, 2), np.nan)
    entries = np.full((steps, 2), np.nan)
    judged = np.zeros(steps, np.int8)
    frames = np.empty((steps, size, size), np.uint8)
    noise = float(rng.uniform(0.0, 5.0))
    share, reach = float(rng.uniform(0.05, 0.3)), float(rng.uniform(1.5, 4.0))
    quality = int(rng.integers(45, 96)) if rng.random() < 0.6 else 0
    fresh = [rng.standard_normal((size, size)).astype(np.float32) for _ in range(3)]
    for i in range(steps):
        drag = None
        inside = needle is not None and needle.way_mm[i] > 0.5
        if needle is not None and inside:
            drag = _drag(painter, needle, i, share, reach)
        shown = moving.frame(i, drag)
        if needle is not None and inside:
            shown = painter.paint(shown, needle, i)
            tips[i], entries[i] = painter.end_px(needle, i)
            in_view = (tips[i] > 1).all() and (tips[i] < size - 2).all() and needle.way_mm[i] > 1.5
            judged[i] = 1 if in_view else -1
        frames[i] = captured(rng, shown, fresh[i % 3], noise, quality)
    if rng.random() < 0.3:
        draw_furniture(rng, frames)
    tips[judged != 1] = np.nan
    entries[judged != 1] = np.nan
    return Cine(frames, tips, entries, judged, mm_per_px)


def _drag(painter: NeedlePainter, needle: DrawnNeedle, i: int, share: float, reach_mm: float) -> tuple[Field, Field]:
    """Tissue carried along the axis [px], most at the shaft and up to a little ahead of the tip."""
    moved = float(needle.way_mm[i] - needle.way_mm[max(0, i - 12)])
    (ox, oy), (dx, dy) = needle.origin_mm, needle.direction
    along = (painter.x_mm - ox) * dx + (painter.y_mm - oy) * dy
    across = np.abs((painter.y_mm - oy) * dx - (painter.x_mm - ox) * dy)
    ahead = np.maximum(along - np.float32(needle.way_mm[i]), 0.0)
    pull = np.float32(np.clip(share * moved, -0.8, 0.8)) * np.exp(-(across + ahead) / np.float32(reach_mm))
    return pull * np.float32(dx / painter.mm_per_px[0]), pull * np.float32(dy / painter.mm_per_px[1])
