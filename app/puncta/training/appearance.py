"""How some machine may show a clip: one look for all its frames, drawn anew for every sample.

Tone (gain, gamma, window, S curve), TGC, shadowed columns, resolution along and across the beam, edge enhancement,
median smoothing, persistence, noise, speckle, JPEG, a fan-shaped frame and things burnt in (ticks, letters, guide
lines). A network that has seen enough of these does not take one machine's look for the needle's.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]


class Look:
    """One way a machine may show a clip.

    Parameters
    ----------
    rng : Generator
    size : int
        Side of the pictures [px].
    plain_share : float
        Share of samples shown as they are, but for gain and gamma: a network that ends its training on nothing but
        changed pictures is not at its best on unchanged ones.
    """

    def __init__(self, rng: np.random.Generator, size: int, plain_share: float = 0.0) -> None:
        self.rng = rng
        self.jitter = float(rng.choice([0.0, 0.01, 0.04]))
        self.levels = _tone(rng)
        self._before: Grey | None = None
        if plain_share and rng.random() < plain_share:
            t = np.arange(256) / 255.0
            self.levels = 255.0 * t ** float(rng.uniform(0.85, 1.2)) * float(rng.uniform(0.85, 1.15))
            self.blur, self.edge, self.median, self.persistence = None, 0.0, False, 0.0
            self.noise, self.speckle, self.jpeg = 0.0, 0.0, 0
            self.map, self.fan, self.burnt, self.grain = None, None, None, None
            return
        scale = size / 256
        across, along = 0.0, 0.0
        if rng.random() < 0.4:
            across, along = float(rng.uniform(0.0, 1.6)) * scale, float(rng.uniform(0.0, 0.9)) * scale
        self.blur = (across, along) if across > 0.3 or along > 0.3 else None
        self.edge = float(rng.uniform(0.2, 1.0)) if rng.random() < 0.2 else 0.0
        self.median = rng.random() < 0.1
        self.persistence = float(rng.uniform(0.15, 0.6)) if rng.random() < 0.2 else 0.0
        self.noise = float(rng.uniform(1, 10)) if rng.random() < 0.4 else 0.0
        self.speckle = float(rng.uniform(0.03, 0.22)) if rng.random() < 0.3 else 0.0
        self.jpeg = int(rng.integers(25, 85)) if rng.random() < 0.12 else 0
        self.map = _gain_map(rng, size)
        self.fan = _fan(rng, size) if rng.random() < 0.12 else None
        self.burnt = _burnt_in(rng, size) if rng.random() < 0.15 else None
        self.grain = rng.standard_normal((size, size), dtype=np.float32) if self.noise or self.speckle else None

    def show(self, frame: Grey) -> Grey:
        """Return one frame as this machine shows it; call in the order of time, oldest first."""
        rng = self.rng
        gain = 1.0 + self.jitter * float(rng.standard_normal())
        frame = cv2.LUT(frame, np.clip(self.levels * gain, 0, 255).astype(np.uint8))
        if self.map is not None:
            frame = cv2.multiply(frame, self.map, dtype=cv2.CV_8U)
        if self.blur is not None:
            frame = cv2.GaussianBlur(frame, (0, 0), max(self.blur[0], 0.1), sigmaY=max(self.blur[1], 0.1))
        if self.median:
            frame = cv2.medianBlur(frame, 3)
        if self.edge:
            frame = cv2.addWeighted(frame, 1 + self.edge, cv2.GaussianBlur(frame, (0, 0), 1.2), -self.edge, 0)
        if self.grain is not None:
            shift = (int(rng.integers(len(self.grain))), int(rng.integers(len(self.grain))))
            grain = np.roll(self.grain, shift, (0, 1))
            shown = frame * (1.0 + np.float32(self.speckle) * grain) + np.float32(self.noise) * grain[::-1]
            frame = np.clip(shown, 0, 255).astype(np.uint8)
        if self.persistence:
            if self._before is not None:
                frame = cv2.addWeighted(frame, 1 - self.persistence, self._before, self.persistence, 0)
            self._before = frame
        if self.fan is not None:
            frame = cv2.bitwise_and(frame, self.fan)
        if self.burnt is not None:
            frame = cv2.max(frame, self.burnt)
        if self.jpeg:
            frame = cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg])[1], 0)
        return frame

    def hides(self, point_px: NDArray[np.float64]) -> bool:
        """Tell whether a point lies outside the fan, where nothing is shown."""
        if self.fan is None:
            return False
        x, y = (int(np.clip(round(float(v)), 0, len(self.fan) - 1)) for v in point_px)
        return not self.fan[y, x]


def _tone(rng: np.random.Generator) -> NDArray[np.float64]:
    """Display curve: 256 grey levels out."""
    t = np.arange(256) / 255.0
    gamma = float(rng.uniform(0.65, 1.5))
    curve = t**gamma
    if rng.random() < 0.3:
        # A window: what lies below is black, what lies above is white.
        low, high = float(rng.uniform(0.0, 0.12)), float(rng.uniform(0.75, 1.1))
        curve = np.clip((curve - low) / (high - low), 0, 1)
    if rng.random() < 0.3:
        bend = float(rng.uniform(0.2, 0.8))
        curve = (1 - bend) * curve + bend * (3 * curve**2 - 2 * curve**3)
    gain, lift = float(rng.uniform(0.65, 1.35)), float(rng.uniform(-8, 14))
    return 255.0 * curve * gain + lift * (t > 3 / 255)


def _gain_map(rng: np.random.Generator, size: int) -> NDArray[np.float32] | None:
    if rng.random() < 0.55:
        return None
    rows = np.interp(np.linspace(0, 1, size), np.linspace(0, 1, 5), rng.uniform(0.6, 1.3, 5))
    columns = np.ones(size)
    for _ in range(int(rng.integers(0, 3))):
        at, width = int(rng.integers(size)), int(rng.integers(4, size // 4))
        columns[at : at + width] *= float(rng.uniform(0.15, 0.8))
    columns = cv2.blur(columns[None].astype(np.float32), (9, 1))[0]
    return (rows[:, None] * columns[None]).astype(np.float32)


def _fan(rng: np.random.Generator, size: int) -> Grey:
    """Mask of a sector, 255 inside: apex above the picture, a curved top and bottom."""
    half = math.radians(float(rng.uniform(26, 42)))
    radius = float(rng.uniform(0.25, 0.9))
    depth = 1.0 + radius * (1 - math.cos(half))
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / np.float32(size - 1)
    # The sector's corners touch the sides, its lowest point the bottom.
    wide = (radius + 1.0) * math.sin(half)
    ax = (x - 0.5) * 2 * wide
    ay = y * depth + radius * math.cos(half)
    r = np.hypot(ax, ay)
    inside = (np.abs(np.arctan2(ax, ay)) <= half) & (r >= radius) & (r <= radius * math.cos(half) + depth)
    return inside.astype(np.uint8) * 255


def _burnt_in(rng: np.random.Generator, size: int) -> Grey:
    """Marks that stand still on every frame: depth ticks, letters, calliper crosses, a dashed guide line, a box."""
    out = np.zeros((size, size), np.uint8)
    level = int(rng.integers(120, 256))
    kinds = rng.random(5)
    if kinds[0] < 0.5:
        x = int(rng.choice([2, size - 6]))
        for y in np.arange(rng.uniform(0, 20), size, rng.uniform(12, 40)):
            cv2.line(out, (x, int(y)), (x + 4, int(y)), level, 1)
    if kinds[1] < 0.5:
        text = "".join(rng.choice(list("ABRLTMHZ0123456789"), int(rng.integers(1, 8))))
        at = (int(rng.uniform(0, 0.85) * size), int(rng.uniform(0.06, 0.98) * size))
        cv2.putText(out, text, at, cv2.FONT_HERSHEY_SIMPLEX, float(rng.uniform(0.3, 0.6)), level, 1, cv2.LINE_AA)
    if kinds[2] < 0.25:
        for _ in range(2):
            at = tuple(int(v) for v in rng.uniform(0.1, 0.9, 2) * size)
            cv2.drawMarker(out, at, level, cv2.MARKER_CROSS, 9, 1)
    if kinds[3] < 0.3:
        a, b = rng.uniform(0, size, 2), rng.uniform(0, size, 2)
        count = int(rng.integers(12, 40))
        for k in range(count):
            p, q = a + (b - a) * k / count, a + (b - a) * (k + 0.4) / count
            cv2.line(out, tuple(p.astype(int).tolist()), tuple(q.astype(int).tolist()), level, 1, cv2.LINE_AA)
    if kinds[4] < 0.15:
        a, b = np.sort(rng.uniform(0.05, 0.95, (2, 2)) * size, axis=0).astype(int)
        cv2.rectangle(out, tuple(a.tolist()), tuple(b.tolist()), level, 1)
    return out
