"""Sheets of small pictures with what is true and what was answered, for reports and model cards.

What is true is a blue ring at the tip with a dashed line towards the entry; the answer is a yellow cross with a short
solid line. Neither covers the tip itself, and the two differ in shape as well as in colour.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from puncta.core.geometry import PointPx
from puncta.recording.raster import RGB, font
from puncta.recording.sheet import SAFETY_LINE

Picture = NDArray[np.uint8]

TRUTH: RGB = (86, 180, 233)
ANSWER: RGB = (240, 228, 66)
WORST: RGB = (213, 94, 0)
BEST: RGB = (0, 158, 115)
_INK: RGB = (20, 24, 29)
_QUIET: RGB = (74, 85, 98)
_LINE: RGB = (213, 219, 225)
_HALO: RGB = (8, 10, 14)
_SHIFT = 4
_GAP = 10
_CAPTION = 34


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One small picture.

    Attributes
    ----------
    picture : ndarray of uint8, shape (H, W)
        The ultrasound region alone.
    caption : tuple of str
        One or two short lines below it.
    true_tip_px, true_entry_px, tip_px, entry_px : tuple of float or None
        In pixels of ``picture``; the last two are the answer.
    radius_px : float or None
        The answer's circle.
    mask : ndarray of bool, shape (H, W), or None
        The answer's mask, drawn as an outline.
    origin : str
        Written on the picture: where it comes from, "simulated".
    badge : str
        "best", "worst" or "".
    """

    picture: Picture
    caption: tuple[str, ...]
    true_tip_px: PointPx | None = None
    true_entry_px: PointPx | None = None
    tip_px: PointPx | None = None
    entry_px: PointPx | None = None
    radius_px: float | None = None
    origin: str = "simulated"
    badge: str = ""
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Tiles under one heading."""

    heading: str
    tiles: Sequence[Tile]
    note: str = ""


def lay_sheet(title: str, rows: Sequence[Row], columns: int = 5, tile_px: tuple[int, int] = (232, 190)) -> Picture:
    """Lay tiles in rows under their headings, with a legend above and the safety line below.

    The legend names the circle only where a tile has one.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        RGB, on white.
    """
    width = columns * (tile_px[0] + _GAP) + _GAP
    parts = [_draw_head(title, width, any(tile.radius_px for row in rows for tile in row.tiles))]
    for row in rows:
        if not row.tiles:
            continue
        parts.append(_draw_heading(row, width))
        for start in range(0, len(row.tiles), columns):
            parts.append(_lay_band(row.tiles[start : start + columns], tile_px, width))
    parts.append(_draw_foot(width))
    return np.vstack(parts)


def encode_sheet(sheet: Picture) -> bytes:
    """Return a sheet as a PNG of few colours: greys and the colours of the marks, so that it stays small."""
    # The marks' own colours go over the grey ones: their darker shades serve the edges.
    picture = Image.fromarray(sheet).quantize(palette=_palette(), dither=Image.Dither.NONE)
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


@lru_cache(maxsize=1)
def _palette() -> Image.Image:
    steps = np.concatenate([np.arange(0, 120, 5), np.linspace(120, 255, 16)]).astype(int)
    greys = [(int(v),) * 3 for v in np.unique(steps)]
    marks = [tuple(int(c * share) for c in mark) for mark in (TRUTH, ANSWER, WORST, BEST) for share in (1.0, 0.75, 0.5)]
    tints = [tuple(int(255 - (255 - c) * share) for c in mark) for mark in (WORST, BEST) for share in (0.66, 0.33)]
    flat = [v for colour in [*greys, *marks, *tints] for v in colour]
    holder = Image.new("P", (1, 1))
    holder.putpalette(flat + flat[:3] * (256 - len(flat) // 3))
    return holder


def _draw_head(title: str, width: int, circles: bool) -> Picture:
    image = Image.new("RGB", (width, 66), "white")
    draw = ImageDraw.Draw(image)
    draw.text((_GAP, 10), title, font=font(18, "SemiBold"), fill=_INK)
    words = "true tip, dashes towards the entry", f"answer, its axis{' and its 90 % circle' if circles else ''}"
    signs: list[tuple[float, bool]] = []
    x = float(_GAP)
    for word in words:
        draw.rounded_rectangle((x, 38, x + 34, 60), 4, fill=(38, 44, 52))
        signs.append((x + 17, not signs))
        draw.text((x + 42, 49), word, font=font(13), fill=_INK, anchor="lm")
        x += 42 + round(draw.textlength(word, font=font(13))) + 28
    canvas = np.array(image)
    for middle, ring in signs:
        (_draw_truth if ring else _draw_cross)(canvas, (middle, 49.0), None)
    return canvas


def _draw_heading(row: Row, width: int) -> Picture:
    image = Image.new("RGB", (width, 34), "white")
    draw = ImageDraw.Draw(image)
    draw.line((_GAP, 3, width - _GAP, 3), fill=_LINE)
    draw.text((_GAP, 20), row.heading, font=font(15, "SemiBold"), fill=_INK, anchor="lm")
    if row.note:
        x = _GAP + draw.textlength(row.heading, font=font(15, "SemiBold")) + 14
        draw.text((x, 21), _shortened(draw, row.note, 13, width - x - _GAP), font=font(13), fill=_QUIET, anchor="lm")
    return np.asarray(image)


def _draw_foot(width: int) -> Picture:
    image = Image.new("RGB", (width, 28), "white")
    ImageDraw.Draw(image).text((_GAP, 13), SAFETY_LINE, font=font(12), fill=_QUIET, anchor="lm")
    return np.asarray(image)


def _lay_band(tiles: Sequence[Tile], tile_px: tuple[int, int], width: int) -> Picture:
    band = np.full((tile_px[1] + _CAPTION + 8, width, 3), 255, np.uint8)
    for k, tile in enumerate(tiles):
        x = _GAP + k * (tile_px[0] + _GAP)
        band[: tile_px[1] + _CAPTION, x : x + tile_px[0]] = draw_tile(tile, tile_px)
    return band


def draw_tile(tile: Tile, tile_px: tuple[int, int]) -> Picture:
    """Draw a tile, its caption below; shape (height + caption, width, 3), RGB."""
    width, height = tile_px
    rows, columns = tile.picture.shape
    scale = min(width / columns, height / rows)
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas = np.zeros((height, width, 3), np.uint8)
    x0, y0 = (width - size[0]) // 2, (height - size[1]) // 2
    shown = cv2.cvtColor(cv2.resize(tile.picture, size, interpolation=kind), cv2.COLOR_GRAY2RGB)
    canvas[y0 : y0 + size[1], x0 : x0 + size[0]] = shown

    def place(point: PointPx | None) -> PointPx | None:
        if point is None:
            return None
        return (point[0] + 0.5) * scale - 0.5 + x0, (point[1] + 0.5) * scale - 0.5 + y0

    if tile.mask is not None:
        _draw_outline(canvas[y0 : y0 + size[1], x0 : x0 + size[0]], tile.mask)
    _draw_truth(canvas, place(tile.true_tip_px), place(tile.true_entry_px))
    _draw_answer(canvas, place(tile.tip_px), place(tile.entry_px), (tile.radius_px or 0.0) * scale)
    image = Image.new("RGB", (width, height + _CAPTION), "white")
    image.paste(Image.fromarray(canvas), (0, 0))
    draw = ImageDraw.Draw(image)
    draw.text(
        (5, height - 5),
        tile.origin,
        font=font(11),
        fill=(225, 230, 235),
        anchor="ls",
        stroke_width=2,
        stroke_fill=_HALO,
    )
    if tile.badge:
        colour = WORST if tile.badge == "worst" else BEST
        draw.rectangle((0, 0, width - 1, height - 1), outline=colour, width=3)
        wide = draw.textlength(tile.badge, font=font(12, "SemiBold")) + 12
        draw.rectangle((width - wide, 0, width - 1, 18), fill=colour)
        draw.text((width - wide / 2, 9), tile.badge, font=font(12, "SemiBold"), fill="white", anchor="mm")
    for line, text in enumerate(tile.caption[:2]):
        fill, face = (_INK, font(13, "SemiBold")) if line == 0 else (_QUIET, font(12))
        draw.text((1, height + 10 + 16 * line), _shortened(draw, text, 13, width), font=face, fill=fill, anchor="lm")
    return np.asarray(image)


def _shortened(draw: ImageDraw.ImageDraw, text: str, size: int, width: float) -> str:
    if draw.textlength(text, font=font(size, "SemiBold")) <= width:
        return text
    while text and draw.textlength(text + "...", font=font(size, "SemiBold")) > width:
        text = text[:-1]
    return text.rstrip() + "..."


def _draw_truth(canvas: Picture, tip: PointPx | None, entry: PointPx | None) -> None:
    if tip is None:
        return
    pieces = [_circle(tip, 7.0)]
    if entry is not None:
        pieces += [np.array(p) for p in _dashes(tip, entry, 12.0, 4.0, 7.0)]
    _stroke(canvas, pieces, TRUTH)


def _draw_answer(canvas: Picture, tip: PointPx | None, entry: PointPx | None, radius: float) -> None:
    if tip is None:
        return
    _draw_cross(canvas, tip, entry)
    if radius > 2.0:
        _stroke(canvas, [_circle(tip, radius)], ANSWER, halo=False)


def _draw_cross(canvas: Picture, tip: PointPx, entry: PointPx | None) -> None:
    arms = [np.array([[tip[0] + a * i, tip[1] + b * i] for i in (3.0, 9.0)]) for a, b in _ARMS]
    if entry is not None and math.dist(tip, entry) > 14.0:
        share = min(1.0, 34.0 / math.dist(tip, entry))
        begin = 12.0 / math.dist(tip, entry)
        arms.append(np.array([[t + (e - t) * s for t, e in zip(tip, entry)] for s in (begin, max(begin, share))]))
    _stroke(canvas, arms, ANSWER)


def _draw_outline(canvas: Picture, mask: NDArray[np.bool_]) -> None:
    """Draw a mask's outline round its pixels; thin masks of a reduced picture keep theirs."""
    small = cv2.resize(mask.astype(np.uint8) * 255, (canvas.shape[1], canvas.shape[0]), interpolation=cv2.INTER_AREA)
    lines, _tree = cv2.findContours((small > 60).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(canvas, lines, -1, _HALO, 3)
    cv2.drawContours(canvas, lines, -1, ANSWER, 1)


_ARMS = ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))


def _circle(centre: PointPx, radius: float) -> NDArray[np.float64]:
    turns = np.linspace(0.0, 2 * math.pi, 48)
    return np.stack([centre[0] + radius * np.cos(turns), centre[1] + radius * np.sin(turns)], axis=1)


def _dashes(tip: PointPx, entry: PointPx, first: float, on: float, off: float) -> list[list[PointPx]]:
    length = math.dist(tip, entry)
    if length < first + on:
        return []
    x, y = (entry[0] - tip[0]) / length, (entry[1] - tip[1]) / length
    begins = np.arange(first, length, on + off)
    return [
        [(tip[0] + x * s, tip[1] + y * s), (tip[0] + x * min(s + on, length), tip[1] + y * min(s + on, length))]
        for s in begins
    ]


def _stroke(canvas: Picture, pieces: Sequence[NDArray[np.float64]], colour: RGB, halo: bool = True) -> None:
    fixed = [np.rint(p * 2**_SHIFT).astype(np.int32).reshape(-1, 1, 2) for p in pieces]
    if halo:
        cv2.polylines(canvas, fixed, False, _HALO, 3, cv2.LINE_AA, _SHIFT)
    cv2.polylines(canvas, fixed, False, colour, 1, cv2.LINE_AA, _SHIFT)
