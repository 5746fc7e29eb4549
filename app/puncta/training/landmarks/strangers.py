"""Pictures that are no infant's spine, made on the spot: phantoms, screens, spines taken apart or far too large.

They stand beside other organs and real stills, so that "no infant's spine" is not learnt as "another texture": a spine
cut into tiles keeps its texture and loses its anatomy. None of them imitates a recording that the program is tested on.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
_LEAST_TILES, _MOST_TILES = 2, 4


def break_picture(rng: np.random.Generator, picture: Grey) -> Grey:
    """Take a square picture apart: turned by a quarter or a half, upside down, or its tiles in another order."""
    kind = int(rng.integers(4))
    if kind == 0:
        return np.ascontiguousarray(np.rot90(picture, int(rng.integers(1, 4))))
    if kind == 1:
        return np.ascontiguousarray(picture[::-1])
    n = int(rng.integers(_LEAST_TILES, _MOST_TILES + 1))
    side = len(picture) // n
    tiles = [picture[r * side : (r + 1) * side, c * side : (c + 1) * side] for r in range(n) for c in range(n)]
    order = np.roll(rng.permutation(n * n), 1)
    if (order == np.arange(n * n)).all():
        order = order[::-1]
    rows = [np.hstack([tiles[order[r * n + c]] for c in range(n)]) for r in range(n)]
    whole = np.vstack(rows)
    return np.asarray(cv2.resize(whole, picture.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def magnify_picture(rng: np.random.Generator, picture: Grey) -> Grey:
    """Show a part of a square picture at 1.6 to 2.6 times its size: a spine of no infant's size.

    An adult's vertebrae are four to five times as long as an infant's and are looked at from two to three times as
    deep a picture, so that they appear about twice as large. Nothing else of an adult's spine is imitated.
    """
    n = picture.shape[0]
    side = int(n / float(rng.uniform(1.6, 2.6)))
    x, y = int(rng.integers(0, n - side + 1)), int(rng.integers(0, int(0.35 * n)))
    part = picture[min(y, n - side) :, x : x + side][:side]
    return np.asarray(cv2.resize(part, (n, n), interpolation=cv2.INTER_CUBIC), np.uint8)


def make_stranger(rng: np.random.Generator, size: int) -> Grey:
    """Draw a phantom, a water tank, a screen or a smooth photograph, ``size`` px square."""
    draw: Callable[[np.random.Generator, int], NDArray[np.float32]] = (_phantom, _phantom, _tank, _screen, _photograph)[
        int(rng.integers(5))
    ]
    return np.clip(draw(rng, size), 0, 255).astype(np.uint8)


def _speckle(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Fully developed speckle, compressed: mean 0 [dB], grain of a drawn size."""
    grain = (float(rng.uniform(0.8, 3.5)), float(rng.uniform(0.5, 1.4)))
    parts = [cv2.GaussianBlur(rng.standard_normal((size, size), dtype=np.float32), (0, 0), *grain) for _ in range(2)]
    envelope = np.hypot(parts[0] / parts[0].std(), parts[1] / parts[1].std())
    return 20 * np.log10(envelope + 1e-3) - 1.0


def _shown(rng: np.random.Generator, level_db: NDArray[np.float32]) -> NDArray[np.float32]:
    """Displayed greys of levels [dB], with a gain that changes with depth."""
    reach = float(rng.uniform(40, 75))
    ramp = np.interp(np.arange(len(level_db)), np.linspace(0, len(level_db), 5), rng.uniform(-8, 6, 5))
    return (255.0 * (level_db + ramp[:, None] + reach * float(rng.uniform(0.35, 0.7))) / reach).astype(np.float32)


def _phantom(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Even speckle with cysts, bright wires and layers."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    level = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(0, 5))):
        level[int(rng.integers(size)) :] += float(rng.uniform(-6, 6))
    for _ in range(int(rng.integers(0, 7))):
        a, b = rng.uniform(0.02, 0.22, 2) * size
        inside = ((x - rng.uniform(0, size)) / a) ** 2 + ((y - rng.uniform(0, size)) / b) ** 2 < 1
        level[inside] = float(rng.choice([-40.0, rng.uniform(-20, 10)]))
    picture = level + _speckle(rng, size)
    step = float(rng.uniform(0.06, 0.25)) * size
    if rng.random() < 0.6:
        wires = np.zeros((size, size), np.float32)
        for at_x in np.arange(rng.uniform(0, step), size, step * float(rng.choice([1, 2, 4]))):
            for at_y in np.arange(rng.uniform(0, step), size, step):
                cv2.line(wires, (int(at_x) - 3, int(at_y)), (int(at_x) + 3, int(at_y)), 1.0, 1)
        picture += 22 * cv2.GaussianBlur(wires, (0, 0), 1.2) / 0.4
    return _shown(rng, picture)


def _tank(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Nearly nothing but a bright wall or two with their echoes, as in water or with the probe in air."""
    level = np.full((size, size), -45.0, np.float32) + 0.3 * _speckle(rng, size)
    depth, tilt = float(rng.uniform(0.08, 0.8)) * size, float(rng.uniform(-0.25, 0.25))
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    for k in range(1, int(rng.integers(2, 6))):
        off = y - k * depth - tilt * (x - size / 2)
        level += float(rng.uniform(25, 50)) / k * np.exp(-0.5 * (off / float(rng.uniform(1.0, 4.0))) ** 2)
    return _shown(rng, level + 0.5 * _speckle(rng, size))


def _screen(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A user interface: flat areas, boxes, letters."""
    out = np.full((size, size), float(rng.uniform(0, 240)), np.float32)
    for _ in range(int(rng.integers(3, 14))):
        a, b = np.sort(rng.integers(0, size, (2, 2)), axis=0)
        cv2.rectangle(out, tuple(a.tolist()), tuple(b.tolist()), float(rng.uniform(0, 255)), int(rng.choice([-1, 1])))
    for _ in range(int(rng.integers(2, 14))):
        text = "".join(rng.choice(list("abcdefghiklmnoprstuvw 0123456789"), int(rng.integers(3, 18))))
        at = (int(rng.integers(0, size * 3 // 4)), int(rng.integers(8, size)))
        cv2.putText(out, text, at, cv2.FONT_HERSHEY_SIMPLEX, float(rng.uniform(0.25, 0.8)), float(rng.uniform(0, 255)),
                    1, cv2.LINE_AA)
    return out


def _photograph(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Smooth shapes of many sizes with edges, and noise."""
    out = np.zeros((size, size), np.float32)
    for cells in (2, 5, 11, 24):
        coarse = rng.standard_normal((cells + 1, cells + 1)).astype(np.float32)
        out += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC) / np.float32(cells**0.7)
    if rng.random() < 0.5:
        out = np.where(out > 0, out + 1.0, out).astype(np.float32)
    low, high = np.percentile(out, (2, 98))
    out = 255.0 * (out - low) / (high - low + 1e-6)
    return out + rng.normal(0, float(rng.uniform(0, 6)), out.shape).astype(np.float32)
