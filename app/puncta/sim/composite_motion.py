"""Bends a still picture into a cine: hand drift, breathing, slow bending, a slide across the plane, drag by the needle.

The still never stands still, so that "what moves is the needle" does not hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


def smooth_noise(rng: np.random.Generator, size_px: tuple[int, int], cells: int) -> Float32:
    """Noise that changes over about a ``cells``-th of the picture, shape (h, w)."""
    coarse = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, size_px, interpolation=cv2.INTER_CUBIC), np.float32)


def draw_walk(rng: np.random.Generator, steps: int, sigma: float, slow: float) -> NDArray[np.float64]:
    """A smooth random walk of a given deviation that begins at 0; it turns about once in ``slow`` steps."""
    noise = rng.standard_normal(steps + 2 * int(slow) + 8)
    kernel = np.hanning(int(max(3, slow)) + 2)
    path = np.convolve(noise, kernel / np.sqrt((kernel**2).sum()), mode="same")[int(slow) + 4 :][:steps]
    return (path - path[0]) * sigma


@dataclass(frozen=True, slots=True)
class StillPose:
    """Where the still lies on one frame [px, rad]: shift, turn about the top's middle, breathing at full depth."""

    dx_px: float
    dy_px: float
    turn_rad: float
    breath_px: float


class MovingStill:
    """Gives the still as it lies on each frame.

    Parameters
    ----------
    still : ndarray of uint8, shape (h + 2 m, w + 2 m)
        The picture with a margin of ``margin_px`` that motion brings into view.
    steps : int
        Frames that can be asked for.
    """

    def __init__(
        self, rng: np.random.Generator, still: NDArray[np.uint8], margin_px: int, steps: int, mm_per_px: float,
        fps: float,
    ) -> None:
        self.margin_px = margin_px
        self.size_px = (still.shape[1] - 2 * margin_px, still.shape[0] - 2 * margin_px)
        w, h = self.size_px
        hand = float(rng.choice([0.1, 0.35, 0.8, 1.4]))
        second = fps
        most = 0.8 * margin_px
        slow = rng.uniform(0.5, 1.6, 4) * second

        def held(path: NDArray[np.float64]) -> NDArray[np.float64]:
            return most * np.tanh(path / max(most, 1e-6))

        self.dx = held(draw_walk(rng, steps, 0.5 * hand / mm_per_px, slow[0]))
        self.dy = held(draw_walk(rng, steps, 0.2 * hand / mm_per_px, slow[1]))
        self.turn = draw_walk(rng, steps, 0.006 * hand, slow[2])
        t = np.arange(steps) / fps
        rate, phase = float(rng.uniform(0.2, 0.5)), float(rng.uniform(0, 2 * math.pi))
        self.breath = float(rng.uniform(0.0, 0.6)) / mm_per_px * np.sin(2 * math.pi * rate * t + phase)
        self.bends = [(smooth_noise(rng, self.size_px, 4), smooth_noise(rng, self.size_px, 4)) for _ in range(2)]
        amount = float(rng.uniform(0.0, 0.12)) * (0.3 + hand) / mm_per_px
        self.amounts = [draw_walk(rng, steps, amount, rng.uniform(0.3, 1.2) * second) for _ in range(2)]
        # Elevation: speckle turns into that of a bent copy, as when the probe slides across.
        slides = rng.random() < 0.4
        self.slide = np.clip(np.abs(draw_walk(rng, steps, 0.6, slow[3])), 0, 0.9) if slides else np.zeros(steps)
        self.x, self.y = (grid.astype(np.float32) for grid in np.meshgrid(np.arange(w), np.arange(h)))
        # The skin moves with the probe: nothing shifts against it at the very top.
        self.held = np.clip(self.y / np.float32(0.12 * h), 0.0, 1.0)
        self.layers = self._split(still)
        big = (still.shape[1], still.shape[0])
        gx, gy = (g.astype(np.float32) for g in np.meshgrid(np.arange(big[0]), np.arange(big[1])))
        other = (gx + 3.5 * smooth_noise(rng, big, 5), gy + 1.5 * smooth_noise(rng, big, 5))
        bent = cv2.remap(still, *other, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        self.other = self._split(np.asarray(bent, np.uint8))

    @staticmethod
    def _split(still: NDArray[np.uint8]) -> tuple[Float32, Float32]:
        """Local brightness and what speckle and structures add to it."""
        level = still.astype(np.float32)
        mean = np.asarray(cv2.GaussianBlur(level, (0, 0), 3.0), np.float32)
        return mean, level - mean

    def pose(self, i: int) -> StillPose:
        """Return where the still lies on frame ``i``."""
        return StillPose(float(self.dx[i]), float(self.dy[i]), float(self.turn[i]), float(self.breath[i]))

    def forward(self, i: int, x: NDArray, y: NDArray, breath_share: float = 1.0) -> tuple[NDArray, NDArray]:
        """Pixels on frame ``i`` of points that lie at pixels (x, y) at rest; without bending and drag."""
        pose, (w, h) = self.pose(i), self.size_px
        middle = (w - 1) / 2
        cos, sin = math.cos(pose.turn_rad), math.sin(pose.turn_rad)
        px = x - middle + pose.dx_px
        py = y + pose.dy_px + breath_share * pose.breath_px * np.clip(y / h, 0.0, 1.0)
        return cos * px + sin * py + middle, -sin * px + cos * py

    def maps(self, i: int, drag: tuple[Float32, Float32] | None) -> tuple[Float32, Float32]:
        """Places in the still (without its margin) that each pixel of frame ``i`` shows."""
        pose, (w, h) = self.pose(i), self.size_px
        middle = np.float32((w - 1) / 2)
        cos, sin = np.float32(math.cos(pose.turn_rad)), np.float32(math.sin(pose.turn_rad))
        x = self.x - middle
        down = np.float32(pose.dy_px) + np.float32(pose.breath_px / h) * self.y
        mx = cos * x - sin * self.y + middle - np.float32(pose.dx_px)
        my = sin * x + cos * self.y - down
        for (bx, by), amounts in zip(self.bends, self.amounts):
            mx = mx + bx * np.float32(amounts[i])
            my = my + by * np.float32(0.6 * amounts[i])
        if drag is not None:
            mx, my = mx - drag[0], my - drag[1]
        my = self.y + self.held * (my - self.y)
        return mx, np.asarray(my, np.float32)

    def frame(self, i: int, maps: tuple[Float32, Float32]) -> Float32:
        """Return the still as frame ``i`` shows it, float grey levels."""
        margin = np.float32(self.margin_px)
        at = (maps[0] + margin, maps[1] + margin)
        mean, rest = (_sample(layer, at) for layer in self.layers)
        angle = float(self.slide[i])
        if angle > 0.01:
            other_mean, other_rest = (_sample(layer, at) for layer in self.other)
            # Turning from one speckle to the other keeps its strength, where fading would flatten it.
            mean = mean + np.float32(math.sin(angle) ** 2) * (other_mean - mean)
            rest = np.float32(math.cos(angle)) * rest + np.float32(math.sin(angle)) * other_rest
        return np.asarray(mean + rest, np.float32)


def _sample(layer: Float32, at: tuple[Float32, Float32]) -> Float32:
    return np.asarray(cv2.remap(layer, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32)
