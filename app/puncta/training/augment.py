"""One training sample out of a clip: frames picked in time, one warp and one look for all of them, and the targets.

Time: stride 1-3, reversal, dropped and repeated frames, a history cut short, brightness that jitters. Space: mirror,
scale, stretch, shift, turn. Looks: gain, gamma, TGC, dark columns, blur, noise, speckle, burnt-in dots.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.imaging.motion_history import lags_used, stack_channels
from puncta.training.data import Clip

STRIDE = 4
"""Input pixels per cell of the network's map."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What the network gets and what it is asked for; maps are (S / 4, S / 4).

    Attributes
    ----------
    channels : ndarray of float32, shape (5, S, S)
    heat : ndarray of float32
        1 at the tip's cell, falling off around it.
    shaft : ndarray of float32
        1 on the visible axis.
    cell : tuple of int
        (row, column) of the tip's cell; (-1, -1) without a tip.
    offset : tuple of float
        Tip minus the cell's centre [cells], (x, y).
    direction : tuple of float
        Unit vector from the tip towards the entry, in input pixels.
    present : float
        1, 0, or -1 where the sample does not tell.
    """

    channels: NDArray[np.float32]
    heat: NDArray[np.float32]
    shaft: NDArray[np.float32]
    cell: tuple[int, int]
    offset: tuple[float, float]
    direction: tuple[float, float]
    present: float


def pick_frames(rng: np.random.Generator, clip: Clip, plain: bool) -> tuple[int, list[int]]:
    """Pick the newest frame and one older frame per lag; returns (newest, indices in the order of `lags_used`)."""
    lags = lags_used()
    count = len(clip.frames)
    usable = np.flatnonzero(clip.judged >= 0)
    if plain:
        now = int(usable[-1])
        return now, [max(0, now - lag) for lag in lags]
    stride = int(rng.choice([1, 1, 1, 2, 2, 3]))
    back = -1 if rng.random() < 0.85 else 1
    room = usable if back < 0 else count - 1 - usable
    full = usable[room >= min(lags[-1] * stride, count - 6)]
    pool = full if len(full) and rng.random() < 0.85 else usable
    now = int(pool[rng.integers(len(pool))])
    indices = [int(np.clip(now + back * stride * lag, 0, count - 1)) for lag in lags]
    for k in range(1, len(indices)):
        if rng.random() < 0.08:
            indices[k] = int(np.clip(indices[k] + rng.choice([-1, 1]), 0, count - 1))
    if rng.random() < 0.04:
        # The stream has just begun: everything older is the frame itself.
        indices = [now] * len(indices)
    return now, indices


def draw_warp(rng: np.random.Generator, source: int, size: int, plain: bool) -> NDArray[np.float64]:
    """Draw the affine map, shape (2, 3), from cached pixels to input pixels."""
    s = size / source
    base = np.array([[s, 0.0, (s - 1) / 2], [0.0, s, (s - 1) / 2], [0.0, 0.0, 1.0]])
    if plain:
        return base[:2]
    c = (size - 1) / 2
    zoom = float(rng.uniform(0.8, 1.25))
    stretch = float(rng.uniform(0.85, 1.18))
    turn = math.radians(float(rng.uniform(-10, 10)))
    flip = -1.0 if rng.random() < 0.5 else 1.0
    linear = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    linear = linear @ np.diag([flip * zoom * math.sqrt(stretch), zoom / math.sqrt(stretch)])
    move = rng.uniform(-0.1, 0.1, 2) * size
    about = np.eye(3)
    about[:2, :2] = linear
    about[:2, 2] = np.array([c, c]) + move - linear @ np.array([c, c])
    return (about @ base)[:2]


class Look:
    """One way a machine may show a clip, the same for all its frames but for a little jitter."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng = rng
        self.gain = float(rng.uniform(0.7, 1.35))
        self.gamma = float(rng.uniform(0.7, 1.4))
        self.lift = float(rng.uniform(-8, 12))
        self.jitter = float(rng.choice([0.0, 0.01, 0.04]))
        self.blur = float(rng.uniform(0.4, 1.1)) if rng.random() < 0.3 else 0.0
        self.noise = float(rng.uniform(1, 9)) if rng.random() < 0.4 else 0.0
        self.speckle = float(rng.uniform(0.03, 0.2)) if rng.random() < 0.3 else 0.0
        self.map = self._gain_map(size)
        self.grain = rng.standard_normal((size, size), dtype=np.float32) if self.noise or self.speckle else None

    def _gain_map(self, size: int) -> NDArray[np.float32] | None:
        rng = self.rng
        if rng.random() < 0.55:
            return None
        rows = np.interp(np.linspace(0, 1, size), np.linspace(0, 1, 5), rng.uniform(0.6, 1.3, 5))
        columns = np.ones(size)
        for _ in range(int(rng.integers(0, 3))):
            at, width = int(rng.integers(size)), int(rng.integers(4, size // 4))
            columns[at : at + width] *= float(rng.uniform(0.15, 0.8))
        columns = cv2.blur(columns[None].astype(np.float32), (9, 1))[0]
        return (rows[:, None] * columns[None]).astype(np.float32)

    def show(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return one frame as this machine shows it."""
        rng = self.rng
        gain = self.gain * (1.0 + self.jitter * float(rng.standard_normal()))
        levels = 255.0 * (np.arange(256) / 255.0) ** self.gamma * gain + self.lift * (np.arange(256) > 3)
        frame = cv2.LUT(frame, np.clip(levels, 0, 255).astype(np.uint8))
        if self.map is not None:
            frame = cv2.multiply(frame, self.map, dtype=cv2.CV_8U)
        if self.blur:
            frame = cv2.GaussianBlur(frame, (0, 0), self.blur)
        if self.grain is not None:
            shift = (int(rng.integers(len(self.grain))), int(rng.integers(len(self.grain))))
            grain = np.roll(self.grain, shift, (0, 1))
            shown = frame * (1.0 + np.float32(self.speckle) * grain) + np.float32(self.noise) * grain[::-1]
            frame = np.clip(shown, 0, 255).astype(np.uint8)
        return frame


def make_sample(clip: Clip, size: int, rng: np.random.Generator, plain: bool = False) -> Sample:
    """Draw one sample of a clip. ``plain`` leaves everything as it is and takes the last judged frame."""
    now, indices = pick_frames(rng, clip, plain)
    warp = draw_warp(rng, clip.frames.shape[1], size, plain)
    border = cv2.BORDER_CONSTANT if rng.random() < 0.5 else cv2.BORDER_REFLECT
    tip, entry = (warp @ np.append(p[now], 1.0) for p in (clip.tip_px, clip.entry_px))
    has_tip = clip.judged[now] == 1
    inside = has_tip and bool((tip > 1).all() and (tip < size - 2).all())
    if has_tip and not inside:
        border = cv2.BORDER_CONSTANT
    look = None if plain else Look(rng, size)
    aligned: list[NDArray[np.uint8]] = []
    done: dict[int, NDArray[np.uint8]] = {}
    for index in indices:
        if index not in done:
            # The frame is moved to where its tissue lies now, in the same step that warps it.
            moved = warp.copy()
            moved[:, 2] += warp[:, :2] @ (clip.drift_px[now] - clip.drift_px[index])
            frame = cv2.warpAffine(clip.frames[index], moved, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)
            done[index] = look.show(frame) if look else frame
        aligned.append(done[index])
    present = 1.0 if inside else 0.0
    heat, shaft, cell, offset, direction = _targets(tip, entry, size, inside, has_tip)
    return Sample(stack_channels(aligned), heat, shaft, cell, offset, direction, present)


def _targets(
    tip: NDArray[np.float64], entry: NDArray[np.float64], size: int, inside: bool, has_axis: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32], tuple[int, int], tuple[float, float], tuple[float, float]]:
    cells = size // STRIDE
    heat = np.zeros((cells, cells), np.float32)
    shaft = np.zeros((cells, cells), np.float32)
    if not has_axis:
        return heat, shaft, (-1, -1), (0.0, 0.0), (0.0, 0.0)
    # Centre of cell k lies at input pixel 4 k + 1.5.
    at = (tip - (STRIDE - 1) / 2) / STRIDE
    start = (entry - (STRIDE - 1) / 2) / STRIDE
    axis = start - at
    length = float(np.hypot(*axis))
    direction = (float(axis[0] / length), float(axis[1] / length)) if length > 1e-6 else (0.0, 0.0)
    y, x = np.mgrid[0:cells, 0:cells].astype(np.float32)
    along = (x - at[0]) * direction[0] + (y - at[1]) * direction[1]
    across = (x - at[0]) * direction[1] - (y - at[1]) * direction[0]
    beyond = np.maximum(0, np.maximum(-along, along - length))
    shaft = np.exp(-0.5 * (np.square(across) + np.square(beyond)) / 0.9**2).astype(np.float32)
    if not inside:
        return heat, shaft, (-1, -1), (0.0, 0.0), direction
    heat = np.exp(-0.5 * (np.square(x - at[0]) + np.square(y - at[1])) / 1.5**2).astype(np.float32)
    column, row = (int(np.clip(round(float(v)), 0, cells - 1)) for v in at)
    heat[row, column] = 1.0
    return heat, shaft, (row, column), (float(at[0] - column), float(at[1] - row)), direction
