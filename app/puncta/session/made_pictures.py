"""Pictures that are no ultrasound, made by code and always the same: what a tip finder has to be silent on.

Somebody shares the wrong window, the probe's cable is out, a player stands on its start screen: nothing here holds a
needle, and some of it holds lines that move like one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.frame import SourceInfo, SourceKind
from puncta.sources.recorded import Picture, RecordedSource
from puncta.sources.region_guess import SAMPLE_COUNT, geometry_with_guess

Grey = NDArray[np.uint8]
WIDTH_PX, HEIGHT_PX = 640, 480
INTERVAL_NS = 40_000_000


@dataclass(frozen=True, slots=True, eq=False)
class MadePictures:
    """One made cine: a name, what it shows, and its frames, shape (T, H, W)."""

    name: str
    shows: str
    frames: Grey


def made_pictures(frames: int) -> tuple[MadePictures, ...]:
    """Return every made cine with so many frames; the same call gives the same pixels."""
    return tuple(
        MadePictures(name, shows, make(np.random.default_rng([4, number]), frames))
        for number, (name, shows, make) in enumerate(_KINDS)
    )


def source_of_pictures(name: str, frames: Grey) -> RecordedSource:
    """Return pictures in memory as a source; the ultrasound region is looked for as in any file that states none.

    Parameters
    ----------
    name : str
    frames : ndarray of uint8, shape (T, H, W)
    """
    count, height, width = frames.shape
    spread = np.unique(np.linspace(0, count - 1, SAMPLE_COUNT).round().astype(int))
    info = SourceInfo(
        uri=name,
        stream=name,
        title=name,
        kind=SourceKind.FILE,
        geometry=geometry_with_guess(width, height, [frames[i] for i in spread]),
        frame_count=count,
        times_ns=np.arange(count, dtype=np.int64) * INTERVAL_NS,
    )
    return RecordedSource(info, _InMemory(frames))


class _InMemory:
    """Implements ``PictureReader``."""

    def __init__(self, frames: Grey) -> None:
        self._frames = frames

    def picture(self, index: int) -> Picture:
        return Picture(self._frames[index].copy())

    def close(self) -> None:
        """Nothing stays open."""


def _grey_noise(rng: np.random.Generator, frames: int) -> Grey:
    return rng.integers(0, 256, (frames, HEIGHT_PX, WIDTH_PX), dtype=np.uint8)


def _soft_noise(rng: np.random.Generator, frames: int) -> Grey:
    rough = rng.standard_normal((frames, HEIGHT_PX, WIDTH_PX)).astype(np.float32)
    soft = np.stack([_blur(f, 3.0) for f in rough])
    return np.clip(110 + 45 * soft / soft.std(), 0, 255).astype(np.uint8)


def _gradients(rng: np.random.Generator, frames: int) -> Grey:
    x, y = _grid()
    out = []
    for i in range(frames):
        angle = 2 * math.pi * i / 60 + float(rng.uniform(0, 0.01))
        ramp = x / WIDTH_PX * math.cos(angle) + y / HEIGHT_PX * math.sin(angle)
        out.append(np.clip(127 + 120 * ramp, 0, 255))
    return np.stack(out).astype(np.uint8)


def _text_screen(rng: np.random.Generator, frames: int) -> Grey:
    lines = ["".join(rng.choice(list("abcdefghijklmnop 0123456789"), 60)) for _ in range(frames + 40)]
    out = np.full((frames, HEIGHT_PX, WIDTH_PX), 18, np.uint8)
    for i in range(frames):
        for row in range(26):
            cv2.putText(out[i], lines[i // 3 + row], (8, 16 + 18 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.42, 210, 1,
                        cv2.LINE_AA)
    return out


def _desktop(rng: np.random.Generator, frames: int) -> Grey:
    """Windows with bars and buttons, and a pointer that goes about."""
    x, y = _grid()
    screen = np.clip(90 + 40 * x / WIDTH_PX + 25 * y / HEIGHT_PX, 0, 255).astype(np.uint8)
    for _ in range(4):
        x0, y0 = int(rng.integers(10, 340)), int(rng.integers(10, 240))
        w, h = int(rng.integers(160, 290)), int(rng.integers(120, 220))
        cv2.rectangle(screen, (x0, y0), (x0 + w, y0 + h), int(rng.integers(190, 250)), -1)
        cv2.rectangle(screen, (x0, y0), (x0 + w, y0 + 20), int(rng.integers(40, 90)), -1)
        for k in range(5):
            cv2.putText(screen, "Open  Save  Close", (x0 + 8, y0 + 40 + 16 * k), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 60, 1)
    out = np.repeat(screen[None], frames, axis=0)
    for i in range(frames):
        px, py = int(320 + 250 * math.sin(i / 9)), int(240 + 180 * math.cos(i / 13))
        cv2.fillPoly(out[i], [np.array([[px, py], [px + 6, py + 17], [px + 12, py + 12]])], 0)
    return out


def _landscape(rng: np.random.Generator, frames: int) -> Grey:
    """Sky, hills with grass and tree trunks, seen by a camera that pans: like a photograph in what it is made of."""
    wide = WIDTH_PX + 2 * frames
    x, y = (g.astype(np.float32) for g in np.meshgrid(np.arange(wide), np.arange(HEIGHT_PX)))
    picture: NDArray[np.float32] = (215 - 60 * y / HEIGHT_PX).astype(np.float32)
    ridge = 200 + 40 * np.sin(x / 130) + 22 * np.sin(x / 47 + 1)
    grass = rng.standard_normal((HEIGHT_PX, wide)).astype(np.float32)
    grass = _blur(grass, 0.8, 2.5)
    picture = np.where(y > ridge, 95 + 40 * grass / grass.std() - 0.08 * (y - ridge), picture).astype(np.float32)
    for _ in range(9):
        foot, at = int(rng.integers(260, 420)), int(rng.integers(0, wide))
        cv2.line(picture, (at, foot), (at + int(rng.integers(-15, 15)), foot - 150), 40, int(rng.integers(5, 14)))
        cv2.circle(picture, (at, foot - 160), int(rng.integers(30, 60)), float(rng.integers(50, 90)), -1)
    picture = _blur(picture, 0.9)
    return np.stack([np.clip(picture[:, 2 * i : 2 * i + WIDTH_PX], 0, 255) for i in range(frames)]).astype(np.uint8)


def _face(rng: np.random.Generator, frames: int) -> Grey:
    """A round head before a wall, as a web camera sees it, nodding."""
    x, y = _grid()
    grain = rng.standard_normal((8, HEIGHT_PX, WIDTH_PX)).astype(np.float32)
    out = []
    for i in range(frames):
        cx, cy = 320 + 10 * math.sin(i / 7), 250 + 6 * math.sin(i / 5)
        wall = 120 + 30 * np.sin(x / 90)
        head = np.hypot((x - cx) / 115, (y - cy) / 150)
        shade = np.where(head < 1, 185 - 70 * head**2 + 30 * (cx - x) / 115, wall).astype(np.float32)
        for side in (-1, 1):
            eye = np.hypot((x - cx - 45 * side) / 20, (y - cy + 35) / 9)
            shade = np.where(eye < 1, 40, shade)
        mouth = np.hypot((x - cx) / 45, (y - cy - 70) / 8)
        shade = _blur(np.where(mouth < 1, 85, shade), 2.0)
        out.append(np.clip(shade + 4 * grain[i % 8], 0, 255))
    return np.stack(out).astype(np.uint8)


def _frozen(rng: np.random.Generator, frames: int) -> Grey:
    """Speckle with layers, one picture repeated to the bit: a machine that was frozen."""
    return np.repeat(_speckle(rng)[None], frames, axis=0)


def _frozen_noisy(rng: np.random.Generator, frames: int) -> Grey:
    """The same through a capture card: still, but every frame a little other."""
    still = _speckle(rng).astype(np.float32)
    noise = 1.5 * rng.standard_normal((frames, HEIGHT_PX, WIDTH_PX)).astype(np.float32)
    return np.clip(still + noise, 0, 255).astype(np.uint8)


def _speckle(rng: np.random.Generator) -> Grey:
    _x, y = _grid()
    level = rng.rayleigh(1.0, (HEIGHT_PX, WIDTH_PX)).astype(np.float32)
    level = _blur(level, 1.6, 0.9)
    layers = 1 + 0.8 * np.exp(-0.5 * np.square((y % 90 - 45) / 5))
    return np.clip(60 + 60 * np.log(np.maximum(level * layers * np.exp(-y / 500), 1e-3)), 0, 255).astype(np.uint8)


def _black(_rng: np.random.Generator, frames: int) -> Grey:
    return np.zeros((frames, HEIGHT_PX, WIDTH_PX), np.uint8)


def _checks(_rng: np.random.Generator, frames: int) -> Grey:
    x, y = _grid()
    return np.stack([(((x + 2 * i) // 40 + y // 40) % 2) * 200 + 20 for i in range(frames)]).astype(np.uint8)


def _sweeping_line(_rng: np.random.Generator, frames: int) -> Grey:
    """A bright line that grows from the left over black: the motion of a needle without any tissue."""
    out = np.zeros((frames, HEIGHT_PX, WIDTH_PX), np.uint8)
    for i in range(frames):
        reach = 60 + 6 * i
        cv2.line(out[i], (0, 120), (reach, int(120 + 0.35 * reach)), 230, 3, cv2.LINE_AA)
    return out


def _trace(_rng: np.random.Generator, frames: int) -> Grey:
    """A monitor's trace that runs on over a grid."""
    out = np.full((frames, HEIGHT_PX, WIDTH_PX), 10, np.uint8)
    at = np.arange(WIDTH_PX)
    for i in range(frames):
        out[i, ::40, :] = 45
        out[i, :, ::40] = 45
        beat = (at + 5 * i) % 160
        height = 240.0 - 120 * np.exp(-0.5 * np.square((beat - 60) / 4))
        height -= 25 * np.exp(-0.5 * np.square((beat - 110) / 12))
        points = np.stack([at, height], axis=1).astype(np.int32)
        cv2.polylines(out[i], [points], False, 230, 2, cv2.LINE_AA)
    return out


def _blur(picture: NDArray[Any], sigma_x: float, sigma_y: float = 0.0) -> NDArray[np.float32]:
    blurred = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), sigma_x, sigmaY=sigma_y)
    return np.asarray(blurred, np.float32)


def _grid() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    x, y = np.meshgrid(np.arange(WIDTH_PX, dtype=np.float32), np.arange(HEIGHT_PX, dtype=np.float32))
    return x, y


_KINDS: tuple[tuple[str, str, Callable[[np.random.Generator, int], Grey]], ...] = (
    ("grey-noise", "noise without any structure, fresh on every frame", _grey_noise),
    ("soft-noise", "blurred noise, fresh on every frame", _soft_noise),
    ("gradients", "a brightness ramp that turns", _gradients),
    ("text-screen", "lines of text that scroll", _text_screen),
    ("desktop", "windows of a computer and a pointer", _desktop),
    ("landscape", "drawn hills and trees, panned", _landscape),
    ("face", "a drawn head before a wall", _face),
    ("frozen-speckle", "one made speckle picture, repeated", _frozen),
    ("frozen-captured", "the same through a noisy capture", _frozen_noisy),
    ("black", "a black screen", _black),
    ("checks", "a chess board that slides", _checks),
    ("sweeping-line", "a bright line that grows over black", _sweeping_line),
    ("trace", "a monitor's trace on a grid", _trace),
)
