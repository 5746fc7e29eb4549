"""Needles for coarse cines: the amplitude that a needle adds to the made tissue, and how one is drawn from chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.training.coarse_tissue import BEAMS, SAMPLES, Probe, Tissue
from puncta.training.synthesis import Field

GRAIN_PX = 1.0
"""Length of one grain of a rough needle [px]: less than any beam is wide."""
GRAIN_STRENGTH = 2.5
"""Amplitude of the grain against that of a mirror."""


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
    bevel, bevel_px : float
        The tip's own echo, as a share of the shaft's, and how wide it is.
    half_px : float
        Half its thickness.
    haze, haze_px : float
        What the sides of the beam hear of it, as a share, and half its thickness.
    bow : float
        Bend [1/px].
    phase, profile : ndarray, shape (64,)
        Back from the tip along the shaft [rad] and [share of its light]: how evenly it mirrors.
    tails : tuple of (float, float)
        Depth [px] and share of its repetitions.
    rough : float
        Share of its light that is scattered by a rough surface, 0..1: a bar of speckle in place of a mirror.
    grain : ndarray of float32, shape (2, 96, 512)
        Real and imaginary part of what the surface scatters, over the way across and back from the tip.
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
    bevel_px: float
    half_px: float
    haze: float
    haze_px: float
    bow: float
    phase: NDArray[np.float32]
    profile: NDArray[np.float32]
    tails: tuple[tuple[float, float], ...]
    rough: float
    grain: NDArray[np.float32]

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
        aside, places = np.square(across), np.linspace(0, 400, 64)
        light *= np.interp(np.clip(back, 0, 400), places, needle.profile).astype(np.float32)
        line = light * _bell(aside, needle.half_px)
        if needle.haze:
            line += np.float32(needle.haze) * light * _bell(aside, needle.haze_px)
        if needle.bevel:
            wide = needle.bevel_px
            spot = _bell(aside, max(needle.half_px, 0.7 * wide)) * _bell(np.square(back - 0.7 * wide), wide)
            line += np.float32(needle.bevel) * spot * (back > -0.8 * wide)
        phase = np.interp(np.clip(back, 0, 400), places, needle.phase).astype(np.float32)
        line *= np.float32(share * needle.gain)
        grain = _grain_at(needle, back, across) if needle.rough else (np.float32(0), np.float32(0))
        total_re += line * ((1 - np.float32(needle.rough)) * np.cos(phase) + grain[0])
        total_im += line * ((1 - np.float32(needle.rough)) * np.sin(phase) + grain[1])
    return total_re, total_im


def _grain_at(needle: CoarseNeedle, back: Field, across: Field) -> tuple[Field, Field]:
    """What the rough surface scatters on every sample: it goes along with the needle."""
    rows = np.clip(across / np.float32(GRAIN_PX) + len(needle.grain[0]) / 2, 0, len(needle.grain[0]) - 1)
    columns = np.clip(back / np.float32(GRAIN_PX) + 8, 0, needle.grain.shape[2] - 1)
    at = columns.astype(np.float32), rows.astype(np.float32)
    # The grain is finer than the beam, which leaves little of it: to be as bright as a mirror it has to start brighter.
    strong = np.float32(GRAIN_STRENGTH * needle.rough)
    real, imaginary = (strong * cv2.remap(part, *at, cv2.INTER_LINEAR) for part in needle.grain)
    return real, imaginary


def _bell(squared: Field, wide: float) -> Field:
    """A Gaussian of squared distances."""
    return np.exp(-0.5 * np.minimum(squared / np.float32(wide * wide), 40))


def _draw_profile(rng: np.random.Generator) -> NDArray[np.float32]:
    """How bright the shaft is back from the tip: even, patchy, or fading away from it [share of its light]."""
    uneven_db = float(rng.choice([0.0, rng.uniform(1, 6)]))
    patches = np.interp(np.arange(64), np.arange(0, 70, 6), rng.normal(0, uneven_db, 12))
    slope_db = float(rng.choice([0.0, rng.uniform(-10, 4)]))  # over 100 px
    level_db = patches - patches[0] + slope_db * np.linspace(0, 4, 64)
    return (10 ** (level_db / 20)).astype(np.float32)


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
    seen = way if rng.random() < 0.6 else float(rng.uniform(0.12, 0.7)) * max(way, 0.3 * size)
    turn = float(rng.choice([0.0, 0.3, 1.5]))
    # As bright as the tissue it lies in, or brighter: what is fainter is learnt where it moves.
    gain_db = tissue.level_along(entry, (dx, dy), way - min(seen, 0.4 * size), way) + float(rng.uniform(1, 24))
    half = float(rng.choice([rng.uniform(0.4, 2.2), rng.uniform(1.0, 3.5), rng.uniform(1.5, 5)]))
    return CoarseNeedle(
        entry_px=entry, direction=(dx, dy),
        way_px=np.maximum(way + walk - walk[-1] * float(rng.random()), 0.05 * size), seen_px=seen,
        taper_px=float(rng.choice([rng.uniform(2, 12), rng.uniform(10, 0.6 * seen + 11)])),
        tip_taper_px=float(rng.choice([1.0, rng.uniform(1, 5), rng.uniform(4, 30)])),
        tip_light=float(rng.uniform(0.4, 1.0)), gain=10 ** (gain_db / 20),
        bevel=float(rng.choice([0.0, 0.0, rng.uniform(0.3, 3.0)])), bevel_px=float(rng.uniform(1.5, 6)),
        half_px=half, haze=float(rng.choice([0.0, 0.0, rng.uniform(0.05, 0.4)])),
        haze_px=half * float(rng.uniform(2, 5)),
        bow=float(rng.normal(0, 2e-4)) if rng.random() < 0.3 else 0.0,
        phase=np.cumsum(rng.normal(0, turn, 64)).astype(np.float32), profile=_draw_profile(rng),
        tails=tuple((k * float(rng.uniform(4, 14)), float(rng.uniform(0.1, 0.5)) ** k) for k in (1, 2, 3))
        if rng.random() < 0.35 else (),
        rough=float(rng.choice([0.0, rng.uniform(0.2, 0.8), 1.0])),
        grain=rng.standard_normal((2, 96, 512)).astype(np.float32),
    )
