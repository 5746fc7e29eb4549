"""An exported picture: the frame with its overlay, and below it, never on tissue, the safety line and the read-outs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from puncta.core.flags import FLAG_WORDS, Flag
from puncta.core.overlay import OverlayScene
from puncta.core.results import Analysis
from puncta.recording.raster import colours, draw_scene, font, point_size, rgb_from_pixels

SAFETY_LINE = "Simulation and training only, not for clinical use"


def footer_height_px(height_px: int) -> int:
    """Height of the strip below an exported picture [px]; even, as video needs."""
    return 2 * round(24 * point_size(height_px))


def draw_sheet(analysis: Analysis, scene: OverlayScene | None) -> NDArray[np.uint8]:
    """Return an exported picture.

    Parameters
    ----------
    scene : OverlayScene or None
        None leaves the overlay away; the safety line stays.

    Returns
    -------
    ndarray of uint8, shape (H', W', 3)
        RGB, both sides even; the frame's pixels begin at (0, 0).
    """
    pixels = analysis.frame.pixels
    picture = draw_scene(pixels, scene) if scene is not None else rgb_from_pixels(pixels)
    height, width = picture.shape[:2]
    strip = footer_height_px(height)
    sheet = np.empty((height + height % 2 + strip, width + width % 2, 3), np.uint8)
    sheet[:] = colours()["ground"]
    sheet[:height, :width] = picture
    sheet[height + height % 2 :] = _footer(analysis, scene, sheet.shape[1], strip)
    return sheet


def _footer(analysis: Analysis, scene: OverlayScene | None, width: int, height: int) -> NDArray[np.uint8]:
    """Two lines: safety line, flags, advice; frame, time, findings, figures. Text shrinks to stay inside."""
    image = Image.new("RGB", (width, height), colours()["ground"])
    draw = ImageDraw.Draw(image)
    key = analysis.frame.key
    shown = scene.chips if scene else ()
    facts = [chip.words() for chip in shown if not chip.finding or chip.advice]
    if scene is None and analysis.frame.source.simulated:
        facts = [FLAG_WORDS[Flag.SIMULATED]]  # a film without an overlay says it too
    findings = [chip.words() for chip in shown if chip.finding and not chip.advice]
    figures = [f"{r.name} {r.text()}" for r in scene.read_outs if r.value is not None] if scene else []
    seconds = key.pts_ns / 1e9
    lines = [
        ("safety", "   ".join([SAFETY_LINE, *facts])),
        ("text2", "   ".join([f"frame {key.index}", f"{seconds:.2f} s", *findings, *figures])),
    ]
    for row, (colour, text) in enumerate(lines):
        size = max(8, round(height * 0.29))
        while size > 7 and draw.textlength(text, font=font(size)) > width - height // 3:
            size -= 1
        y = round(height * (0.28 + 0.46 * row))
        draw.text((height // 6, y), text, font=font(size), fill=colours()[colour], anchor="lm")
    return np.asarray(image)
