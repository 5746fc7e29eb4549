"""Cines as coarse, convex or cheap probes show them: made speckle, smeared needles, everything drawn from chance.

Why: the stills and the simulator's machines are fine and mostly linear. On a convex probe, or at depth, the beam is
millimetres wide: a needle is a broad, soft bar, its tip a smear across the beam. Here nothing is meant to look like
any one machine; what is drawn is wide enough for real machines to lie within it ("domain randomisation", Tobin et al.,
IROS 2017).

The picture is made in the beam's own space. Scatterers and needle are one complex field, which one point spread
function smears (wider across the beam than along it, and wider away from the focus); its envelope is compressed and
scan converted. So the needle's echo interferes with the tissue's as it does in a scanner. Everything is simulated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.training.data import CACHE_SIZE, Report, cache_name, save_clip
from puncta.training.seen import is_seen
from puncta.training.synthesis import Cine, Field, Grey, draw_furniture

BEAMS, SAMPLES = 176, 288
"""Beams, and samples along each."""


@dataclass(frozen=True, slots=True)
class CoarseCineSpec:
    """Cines of made tissue and needles."""

    drawn_by: ClassVar[tuple[str, ...]] = ("coarse.py", "synthesis.py", "seen.py")

    clips: int
    frames: int = 16
    seed: int = 1


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


@dataclass(frozen=True, slots=True, eq=False)
class CoarseNeedle:
    """One needle, in pixels of the square.

    Attributes
    ----------
    entry_px : tuple of float
    direction : tuple of float
        Unit vector from entry to tip.
    way_px : ndarray, shape (T,)
        Length from the entry to the tip on every frame.
    seen_px, taper_px, tip_taper_px : float
        Length of the part that is seen; over these lengths it comes up, and goes down towards the tip.
    tip_light : float
        Share of its light left at the tip.
    gain : float
        Amplitude against that of tissue.
    bevel : float
        The tip's own echo, as a share of the shaft's.
    half_px : float
        Half its thickness.
    bow : float
        Bend [1/px].
    phase : ndarray, shape (64,)
        Along the shaft: how evenly it mirrors.
    tails : tuple of (float, float)
        Depth [px] and share of its repetitions.
    """

    entry_px: tuple[float, float]
    direction: tuple[float, float]
    way_px: NDArray[np.float64]
    seen_px: float
    taper_px: float
    tip_taper_px: float
    tip_light: float
    gain: float
    bevel: float
    half_px: float
    bow: float
    phase: NDArray[np.float32]
    tails: tuple[tuple[float, float], ...]

    def tip_px(self, i: int) -> NDArray[np.float64]:
        """Tip on a frame."""
        s = float(self.way_px[i])
        (dx, dy), bend = self.direction, self.bow * s * s
        return np.array([self.entry_px[0] + dx * s - dy * bend, self.entry_px[1] + dy * s + dx * bend])


def needle_field(needle: CoarseNeedle, probe: Probe, i: int) -> tuple[Field, Field]:
    """The needle's amplitude on every sample of a frame: real and imaginary part."""
    (dx, dy), s_tip = needle.direction, float(needle.way_px[i])
    total_re = np.zeros((SAMPLES, BEAMS), np.float32)
    total_im = np.zeros_like(total_re)
    for down, share in ((0.0, 1.0), *needle.tails):
        x = probe.x_px - np.float32(needle.entry_px[0])
        y = probe.y_px - np.float32(needle.entry_px[1] + down)
        along = x * np.float32(dx) + y * np.float32(dy)
        across = y * np.float32(dx) - x * np.float32(dy) - np.float32(needle.bow) * np.square(along)
        back = np.float32(s_tip) - along
        light = np.clip((np.float32(needle.seen_px) - back) / np.float32(needle.taper_px), 0, 1)
        ends = np.clip(back / np.float32(needle.tip_taper_px), 0, 1)
        light *= needle.tip_light + (1 - needle.tip_light) * ends
        light *= np.clip(back + np.float32(0.5), 0, 1) * (along > -2)
        if needle.bevel:
            light += np.float32(needle.bevel) * np.exp(-0.5 * np.minimum(np.square((back - 2) / 2.5), 40)) * (back > -3)
        line = light * np.exp(-0.5 * np.minimum(np.square(across / np.float32(needle.half_px)), 40))
        phase = np.interp(np.clip(back, 0, 400), np.linspace(0, 400, 64), needle.phase).astype(np.float32)
        total_re += np.float32(share * needle.gain) * line * np.cos(phase)
        total_im += np.float32(share * needle.gain) * line * np.sin(phase)
    return total_re, total_im


def _moved(field: Field, shift: tuple[float, float]) -> Field:
    """A field over samples and beams, moved by (beams, samples)."""
    by = np.float32([[1, 0, shift[0]], [0, 1, shift[1]]])
    return cv2.warpAffine(field, by, (BEAMS, SAMPLES), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


class Tissue:
    """Made tissue in the beam's space: how strongly every sample scatters, and what the machine makes of it."""

    def __init__(self, rng: np.random.Generator, probe: Probe) -> None:
        self.rng, self.probe = rng, probe
        size = len(probe.inside)
        self.level_db = self._levels(rng, size)
        self.field = [rng.standard_normal((2, SAMPLES, BEAMS)).astype(np.float32) for _ in range(2)]
        self.axial = float(rng.uniform(0.6, 2.2))
        near, far = float(rng.uniform(0.6, 2.0)), float(rng.choice([rng.uniform(0.8, 2.5), rng.uniform(1.5, 6.0)]))
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
        step = float(rng.choice([rng.uniform(-30, -5), rng.uniform(2, 10)]))
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
        scale = 10 ** (_moved(self.level_db, shift) / 20)
        parts = []
        for k in (0, 1):
            mixed = math.cos(turned) * self.field[0][k] + math.sin(turned) * self.field[1][k]
            part = _moved(mixed, shift) * scale
            if needle is not None:
                part = part + needle[k]
            narrow, broad = (cv2.GaussianBlur(part, (0, 0), s, sigmaY=self.axial) for s in self.lateral)
            parts.append(narrow + self.off_focus * (broad - narrow))
        # A Gaussian of deviations s, t leaves 1 / sqrt(4 pi s t) of white noise; tissue has amplitude 1 after that.
        left = 1 / math.sqrt(4 * math.pi * self.axial * self.lateral[0])
        envelope = np.hypot(*parts) / np.float32(left)
        db = 20 * np.log10(envelope + 1e-4) - self.fade_db + self.tgc_db
        floor = self.floor_db + 20 * np.log10(np.abs(self.rng.standard_normal(db.shape).astype(np.float32)) + 1e-3)
        db = np.maximum(db, floor + 0.3 * self.fade_db) + self.gain_db
        grey = np.clip(255 * (db + 0.75 * self.range_db) / self.range_db, 0, 255).astype(np.float32)
        shown = cv2.remap(grey, self.probe.beam, self.probe.sample, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.where(self.probe.inside, shown, 0).astype(np.uint8)


def draw_coarse_needle(rng: np.random.Generator, tissue: Tissue, steps: int) -> CoarseNeedle:
    """Draw a needle that enters by the top or a side of the picture and whose tip is among the beams."""
    probe = tissue.probe
    size = len(probe.inside)
    while True:
        side = float(rng.choice([-1.0, 1.0]))
        degrees = float(rng.choice([rng.uniform(-10, 20), rng.uniform(10, 50), rng.uniform(20, 80)]))
        dx, dy = side * math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        tip = rng.uniform(0.06, 0.96, 2) * (size - 1)
        if not probe.inside[int(tip[1]), int(tip[0])]:
            continue
        reaches = [tip[0] / dx if dx > 0 else (tip[0] - size + 1) / dx]
        if abs(dy) > 1e-3:
            reaches.append(tip[1] / dy if dy > 0 else (tip[1] - size + 1) / dy)
        way = float(min(reaches))
        if way > 0.12 * size:
            break
    entry = (float(tip[0] - dx * way), float(tip[1] - dy * way))
    kind, pace = rng.random(), abs(float(rng.normal(0, 0.5)))
    walk = np.zeros(steps)
    if kind > 0.5:
        speeds = np.repeat(rng.choice([-1.0, 0.0, 1.0, 1.0], steps // 4 + 1), 4)[:steps]
        walk = np.cumsum(speeds * pace * (3.0 if kind > 0.8 else 0.6))
    seen = way if rng.random() < 0.45 else float(rng.uniform(0.12, 0.7)) * max(way, 0.3 * size)
    turn = float(rng.choice([0.0, 0.3, 1.5]))
    # As bright as the tissue it lies in, or brighter: what is fainter is learnt where it moves.
    gain_db = tissue.level_along(entry, (dx, dy), way - min(seen, 0.4 * size), way) + float(rng.uniform(0, 22))
    return CoarseNeedle(
        entry, (dx, dy), np.maximum(way + walk - walk[-1] * float(rng.random()), 0.05 * size), seen,
        float(rng.choice([rng.uniform(2, 12), rng.uniform(10, 0.6 * seen + 11)])),
        float(rng.choice([1.0, rng.uniform(1, 5), rng.uniform(4, 30)])), float(rng.uniform(0.4, 1.0)),
        10 ** (gain_db / 20),
        float(rng.choice([0.0, 0.0, rng.uniform(0.3, 3.0)])), float(rng.uniform(0.4, 2.2)),
        float(rng.normal(0, 2e-4)) if rng.random() < 0.3 else 0.0,
        np.cumsum(rng.normal(0, turn, 64)).astype(np.float32),
        tuple((k * float(rng.uniform(4, 14)), float(rng.uniform(0.1, 0.5)) ** k) for k in (1, 2, 3))
        if rng.random() < 0.35 else (),
    )


def compose_coarse_cine(rng: np.random.Generator, size: int, steps: int) -> Cine:
    """Make one cine, five in seven with a needle."""
    probe = draw_probe(rng, size)
    tissue = Tissue(rng, probe)
    needle = draw_coarse_needle(rng, tissue, steps) if rng.random() < 5 / 7 else None
    hand = float(rng.choice([0.0, 0.1, 0.5, 1.2]))
    path = np.cumsum(cv2.blur(rng.normal(0, hand, (steps, 2)), (1, 5)), axis=0)
    turned = np.cumsum(np.abs(rng.normal(0, float(rng.choice([0.0, 0.02, 0.15])), steps)))
    carried = rng.random() < 0.65
    tips, entries = np.full((steps, 2), np.nan), np.full((steps, 2), np.nan)
    judged = np.zeros(steps, np.int8)
    frames = np.empty((steps, size, size), np.uint8)
    for i in range(steps):
        drawn = None
        shift = (float(path[i, 0]) * BEAMS / size, float(path[i, 1]) * SAMPLES / size)
        if needle is not None:
            drawn = needle_field(needle, probe, i)
            tip = needle.tip_px(i)
            if carried:
                drawn = (_moved(drawn[0], shift), _moved(drawn[1], shift))
                tip = probe.carry(tip, shift)
            tips[i], entries[i] = tip, np.array(needle.entry_px) + (tip - needle.tip_px(i))
        frames[i] = tissue.show(shift, float(turned[i]), drawn)
        if needle is not None:
            x, y = (int(round(float(v))) for v in tips[i])
            in_view = 2 <= x < size - 2 and 2 <= y < size - 2 and bool(probe.inside[y, x])
            # What nobody can see is neither asked for nor forbidden.
            seen = in_view and is_seen(tissue.show(shift, float(turned[i]), None), frames[i], tips[i])
            judged[i] = 1 if seen else -1
    if rng.random() < 0.3:
        draw_furniture(rng, frames)
    tips[judged != 1] = np.nan
    entries[judged != 1] = np.nan
    return Cine(frames, tips, entries, judged, None)


def build_coarse(spec: CoarseCineSpec, cache: Path, report: Report, part: tuple[int, int] = (0, 1)) -> Path:
    """Make the clips that the cache lacks, of them every n-th from the k-th on; return their folder."""
    folder = cache / cache_name(spec)
    for k in range(part[0], spec.clips, part[1]):
        name = f"{k:05d}"
        if not (folder / f"{name}.json").exists():
            rng = np.random.default_rng([spec.seed, 78, k])
            save_clip(folder, name, "composite", "coarse", compose_coarse_cine(rng, CACHE_SIZE, spec.frames))
        report("coarse cines", k + 1, spec.clips)
    return folder
