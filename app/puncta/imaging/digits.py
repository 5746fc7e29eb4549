"""Reads the figures that stand beside a depth scale on a machine's screen: digits, a point, and "cm" or "mm".

No text recognition of the world: single clean glyphs are compared with drawn ones. What is not clearly one of them is
not read; whoever uses this decides from several glyphs together (`puncta.imaging.depth_ticks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from puncta import paths

GLYPHS = "0123456789cm"
SIDE_PX = 20
LEAST_LIKENESS = 0.62
CLEAR = 0.04
"""The best glyph has to be better than the second by this much."""
_HERSHEY = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_PLAIN)

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Glyph:
    """One connected bright thing of a letter's size.

    Attributes
    ----------
    box : tuple of int
        [x, y, w, h] [px of the picture].
    pixels : ndarray of float32, shape (h, w)
        0..1.
    """

    box: Box
    pixels: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much a glyph looks like each of `GLYPHS`, -1..1."""

    by_glyph: tuple[float, ...]

    @property
    def best(self) -> str:
        """The glyph it is; "" where that is not clear."""
        order = np.argsort(self.by_glyph)[::-1]
        first, second = self.by_glyph[order[0]], self.by_glyph[order[1]]
        return GLYPHS[order[0]] if first >= LEAST_LIKENESS and first - second >= CLEAR else ""


def find_glyphs(grey: NDArray[np.uint8], area: Box, heights_px: tuple[float, float]) -> list[Glyph]:
    """Return bright connected things of a height in an area of a picture, from left to right.

    Parameters
    ----------
    area : [x, y, w, h] [px]
        Looked at; what touches its border is left out.
    heights_px : (least, most) [px]
    """
    height, width = grey.shape
    x0, y0 = max(0, area[0]), max(0, area[1])
    x1, y1 = min(width, area[0] + area[2]), min(height, area[1] + area[3])
    if x1 - x0 < 3 or y1 - y0 < 3:
        return []
    part = grey[y0:y1, x0:x1].astype(np.float32)
    ground, top = float(np.median(part)), float(part.max())
    if top - ground < 50:
        return []
    share = np.clip((part - ground) / (top - ground), 0.0, 1.0).astype(np.float32)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((share > 0.4).astype(np.uint8), connectivity=8)
    found = []
    for label in range(1, count):
        x, y, w, h, _area = (int(v) for v in stats[label])
        cut_off = (
            (x == 0 and x0 > 0)
            or (y == 0 and y0 > 0)
            or (x + w == x1 - x0 < width - x0)
            or (y + h == y1 - y0 < height - y0)
        )
        if cut_off or not heights_px[0] <= h <= heights_px[1] or w > 2.2 * h:
            continue
        pixels = np.where(labels[y : y + h, x : x + w] == label, share[y : y + h, x : x + w], 0.0)
        found.append(Glyph((x0 + x, y0 + y, w, h), pixels.astype(np.float32)))
    return sorted(found, key=lambda glyph: glyph.box[0])


def liken(glyph: Glyph) -> Likeness:
    """Compare a glyph with the drawn ones."""
    seen, aspect = _normal(glyph.pixels), glyph.box[2] / glyph.box[3]
    best = [-1.0] * len(GLYPHS)
    for index, (pattern, its_aspect) in _patterns():
        # A bar has no shape of its own but its slenderness.
        off = abs(np.log(aspect / its_aspect))
        value = float((seen * pattern).sum()) - 0.35 * max(0.0, off - 0.15)
        best[index] = max(best[index], value)
    return Likeness(tuple(best))


def _normal(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """A glyph centred in a square, of unit power and no mean."""
    h, w = pixels.shape
    zoom = SIDE_PX / max(h, w)
    size = (max(2, round(w * zoom)), max(2, round(h * zoom)))
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    small = cv2.resize(pixels, size, interpolation=method)
    square = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    x, y = (SIDE_PX - size[0]) // 2, (SIDE_PX - size[1]) // 2
    square[y : y + size[1], x : x + size[0]] = small
    square = np.asarray(cv2.GaussianBlur(square, (0, 0), 1.0), np.float32)
    square -= square.mean()
    power = float(np.sqrt((square * square).sum()))
    return np.asarray(square / max(power, 1e-6), np.float32)


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[int, tuple[NDArray[np.float32], float]], ...]:
    drawn = []
    for index, letter in enumerate(GLYPHS):
        for picture in _drawings(letter):
            rows, columns = np.nonzero(picture > 100)
            cut = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].astype(
                np.float32
            ) / np.float32(255)
            drawn.append((index, (_normal(cut), cut.shape[1] / cut.shape[0])))
    return tuple(drawn)


def _drawings(letter: str) -> list[NDArray[np.uint8]]:
    """A letter in the fonts that ship with the program and its libraries."""
    pictures = []
    for face in _HERSHEY:
        for thickness in (2, 4):
            canvas = np.zeros((90, 90), np.uint8)
            cv2.putText(
                canvas,
                letter,
                (15, 70),
                face,
                3.6 if face == cv2.FONT_HERSHEY_PLAIN else 2.0,
                255,
                thickness,
                cv2.LINE_AA,
            )
            pictures.append(canvas)
    fonts = [
        ImageFont.truetype(str(file), 56) for file in sorted((paths.resources_dir() / "fonts").glob("Inter-*.ttf"))
    ]
    for font in (*fonts, ImageFont.load_default(56)):
        image = Image.new("L", (90, 90), 0)
        ImageDraw.Draw(image).text((20, 10), letter, font=font, fill=255)
        pictures.append(np.asarray(image))
    return pictures
