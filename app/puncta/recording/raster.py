"""The second renderer: draws an overlay scene into an array. For exports, the command line and golden pictures.

Mirrors the screen's renderers kind by kind. Each line has a dark halo of one point, so that it reads on bright tissue.
"""

from __future__ import annotations

import math
import tomllib
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from puncta import paths
from puncta.core.overlay import Area, Dash, Fill, Heat, Label, OverlayScene, Ring, Stroke
from puncta.imaging.heat_picture import MOST_ALPHA, draw_share, trace_share

_SHIFT = 4
_HALO = (8, 10, 14)
_DASHES = {Dash.DASHED: (7.0, 5.0), Dash.DOTTED: (1.5, 4.0)}
RGB = tuple[int, int, int]


@lru_cache(maxsize=1)
def colours() -> dict[str, RGB]:
    """Return what is drawn on pictures, by token, as RGB; read from the one file of tokens."""
    table = tomllib.loads((paths.resources_dir() / "styles" / "tokens.toml").read_text(encoding="utf-8"))
    return {name: rgb_from_hex(value) for name, value in {**table["dark"], **table["on_picture"]}.items()}


def rgb_from_hex(text: str) -> RGB:
    """Return the RGB triple of "#rrggbb"."""
    return (int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16))


def point_size(height_px: int) -> float:
    """Pixels per display point of a picture that is shown about 700 points high."""
    return max(1.0, height_px / 700.0)


@lru_cache(maxsize=16)
def font(size_px: int, weight: str = "Medium") -> ImageFont.FreeTypeFont:
    """Return Inter, the type that ships with the program."""
    return ImageFont.truetype(str(paths.resources_dir() / "fonts" / f"Inter-{weight}.ttf"), size_px)


def draw_scene(picture: NDArray[np.uint8], scene: OverlayScene) -> NDArray[np.uint8]:
    """Draw a scene over a picture.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, W) or (H, W, 3)
        Grey or RGB; not changed.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        RGB.
    """
    canvas = rgb_from_pixels(picture)
    unit = point_size(canvas.shape[0])
    for item in scene.items:
        if isinstance(item, Stroke):
            _draw_stroke(canvas, item, unit)
        elif isinstance(item, Ring):
            _draw_ring(canvas, item, unit)
        elif isinstance(item, Area):
            _draw_area(canvas, item)
        elif isinstance(item, Fill):
            _draw_fill(canvas, item, unit)
        elif isinstance(item, Heat):
            _draw_heat(canvas, item, unit)
    for item in scene.items:
        if isinstance(item, Label):
            _draw_label(canvas, item, unit)
    return canvas


def rgb_from_pixels(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a writable RGB copy of a grey or RGB picture."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB), np.uint8) if picture.ndim == 2 else picture.copy()


def _draw_stroke(canvas: NDArray[np.uint8], item: Stroke, unit: float) -> None:
    pieces: list[NDArray[np.float64]] = []
    for piece in _dashed([np.asarray(item.points_px, np.float64)], item.dash, unit):
        pieces.append(piece)
    _blend(canvas, pieces, item.colour, item.width_pt * unit, item.opacity, closed=False)


def _draw_ring(canvas: NDArray[np.uint8], item: Ring, unit: float) -> None:
    turns = np.linspace(0.0, 2 * math.pi, max(24, int(item.radius_px)), endpoint=item.dash is not Dash.SOLID)
    points = np.stack(
        [item.centre_px[0] + item.radius_px * np.cos(turns), item.centre_px[1] + item.radius_px * np.sin(turns)], 1
    )
    pieces = _dashed([points], item.dash, unit)
    _blend(canvas, pieces, item.colour, item.width_pt * unit, item.opacity, closed=item.dash is Dash.SOLID)


def _draw_area(canvas: NDArray[np.uint8], item: Area) -> None:
    if len(item.points_px) < 3:
        return
    corners = np.rint(np.asarray(item.points_px) * 2**_SHIFT).astype(np.int32).reshape(-1, 1, 2)
    cover = np.zeros(canvas.shape[:2], np.uint8)
    cv2.fillPoly(cover, [corners], 255, cv2.LINE_AA, _SHIFT)
    x, y, w, h = cv2.boundingRect(cover)
    part = canvas[y : y + h, x : x + w]
    alpha = cover[y : y + h, x : x + w, None].astype(np.float32) * (item.fill_opacity * item.opacity / 255.0)
    part[:] = (part * (1.0 - alpha) + np.array(colours()[item.colour], np.float32) * alpha + 0.5).astype(np.uint8)


def _draw_fill(canvas: NDArray[np.uint8], item: Fill, unit: float) -> None:
    x0, y0 = item.origin_px
    height, width = item.mask.shape
    left, top = max(0, x0), max(0, y0)
    right, bottom = min(canvas.shape[1], x0 + width), min(canvas.shape[0], y0 + height)
    if right <= left or bottom <= top:
        return
    mask = np.ascontiguousarray(item.mask[top - y0 : bottom - y0, left - x0 : right - x0])
    part = canvas[top:bottom, left:right]
    colour = np.array(colours()[item.colour], np.float32)
    alpha = item.fill_opacity * item.opacity
    part[mask] = (part[mask] * (1 - alpha) + colour * alpha + 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outlines = [c[:, 0, :].astype(np.float64) + (left, top) for c in contours]
    whole = item.dash is Dash.SOLID
    pieces = outlines if whole else _dashed([np.concatenate([o, o[:1]]) for o in outlines], item.dash, unit)
    _blend(canvas, pieces, item.colour, 1.6 * unit, item.opacity, closed=whole)


def _draw_heat(canvas: NDArray[np.uint8], item: Heat, unit: float) -> None:
    x0, y0, width, height = item.box_px
    # Whole pixels: the box's edges lie half a pixel before its first and behind its last pixel.
    left, top = math.floor(x0 + 1.0), math.floor(y0 + 1.0)
    size = (max(1, round(width)), max(1, round(height)))
    share = draw_share(item.values, size)
    begin_x, begin_y = max(0, -left), max(0, -top)
    end_x, end_y = min(size[0], canvas.shape[1] - left), min(size[1], canvas.shape[0] - top)
    if end_x <= begin_x or end_y <= begin_y:
        return
    part = canvas[top + begin_y : top + end_y, left + begin_x : left + end_x]
    alpha = share[begin_y:end_y, begin_x:end_x, None] * np.float32(MOST_ALPHA * item.opacity)
    part[:] = (part * (1.0 - alpha) + np.array(colours()[item.colour], np.float32) * alpha + 0.5).astype(np.uint8)
    outlines = [points + (left, top) for points in trace_share(share)]
    _blend(canvas, outlines, item.colour, 1.4 * unit, item.opacity, closed=True)


def _blend(
    canvas: NDArray[np.uint8],
    pieces: list[NDArray[np.float64]],
    colour: str,
    width_px: float,
    opacity: float,
    *,
    closed: bool,
) -> None:
    """Draw lines with a halo on the part of the canvas they touch, then mix it in with the opacity."""
    if not pieces:
        return
    margin = int(math.ceil(width_px + 4))
    everything = np.concatenate(pieces)
    low = np.maximum(np.floor(everything.min(0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(everything.max(0)).astype(int) + margin + 1, (canvas.shape[1], canvas.shape[0]))
    if (high <= low).any():
        return
    part = canvas[low[1] : high[1], low[0] : high[0]]
    drawn = part.copy()
    fixed = [np.rint((p - low) * 2**_SHIFT).astype(np.int32).reshape(-1, 1, 2) for p in pieces]
    core = max(1, round(width_px))
    halo = core + 2 * max(1, round(width_px / 2))
    cv2.polylines(drawn, fixed, closed, _HALO, halo, cv2.LINE_AA, _SHIFT)
    cv2.polylines(drawn, fixed, closed, colours()[colour], core, cv2.LINE_AA, _SHIFT)
    part[:] = drawn if opacity >= 1.0 else cv2.addWeighted(drawn, opacity, part, 1.0 - opacity, 0.0)


def _dashed(lines: list[NDArray[np.float64]], dash: Dash, unit: float) -> list[NDArray[np.float64]]:
    """Cut polylines into dashes by length along the line."""
    if dash is Dash.SOLID:
        return lines
    on, off = (length * unit for length in _DASHES[dash])
    pieces: list[NDArray[np.float64]] = []
    for line in lines:
        lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
        for begin in np.arange(0.0, lengths[-1], on + off):
            cuts = np.array([begin, *lengths[(lengths > begin) & (lengths < begin + on)], min(begin + on, lengths[-1])])
            pieces.append(np.stack([np.interp(cuts, lengths, line[:, i]) for i in (0, 1)], 1))
    return pieces


def _draw_label(canvas: NDArray[np.uint8], item: Label, unit: float) -> None:
    size = round(12 * unit)
    type_face = font(size, "SemiBold")
    left, top, right, bottom = type_face.getbbox(item.text)
    width, height = right - left, bottom - top
    gap = round(5 * unit)
    # Away from the point that must stay visible, and inside the picture.
    x = item.at_px[0] + gap if item.at_px[0] >= item.avoid_px[0] else item.at_px[0] - gap - width
    y = item.at_px[1] - height - gap if item.at_px[1] <= item.avoid_px[1] else item.at_px[1] + gap
    if x + width > canvas.shape[1] - gap:
        x = min(item.at_px[0], 2 * item.avoid_px[0] - item.at_px[0]) - gap - width
    if y < gap:
        y = max(item.at_px[1], 2 * item.avoid_px[1] - item.at_px[1]) + gap
    x = int(min(max(gap, x), max(gap, canvas.shape[1] - width - gap)))
    y = int(min(max(gap, y), max(gap, canvas.shape[0] - height - gap)))
    pad = round(3 * unit)
    x0, y0 = max(0, x - pad), max(0, y - pad)
    part = canvas[y0 : y + height + 2 * pad, x0 : x + width + 2 * pad]
    picture = Image.fromarray(np.ascontiguousarray(part))
    ImageDraw.Draw(picture).text(
        (x - x0 - left, y - y0 - top),
        item.text,
        font=type_face,
        fill=colours()[item.colour],
        stroke_width=max(1, round(unit)),
        stroke_fill=_HALO,
    )
    drawn = np.asarray(picture)
    part[:] = drawn if item.opacity >= 1.0 else cv2.addWeighted(drawn, item.opacity, part, 1.0 - item.opacity, 0.0)
