"""One small renderer for each kind of overlay item; `recording.raster` draws the same scene for files.

Every line has a dark halo of one display point, so that it reads on bright tissue.
"""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtGui import QPainter

from puncta.core.overlay import Area, Fill, Heat, Label, OverlayItem, OverlayScene, Ring, Stroke
from puncta.gui.video.layers.area import draw_area
from puncta.gui.video.layers.canvas import Canvas
from puncta.gui.video.layers.fill import draw_fill
from puncta.gui.video.layers.heat import draw_heat
from puncta.gui.video.layers.label import clear_spots, draw_label
from puncta.gui.video.layers.ring import draw_ring
from puncta.gui.video.layers.stroke import draw_stroke


def draw_scene(painter: QPainter, scene: OverlayScene, canvas: Canvas) -> None:
    """Draw a scene, lowest layer first, words last so that no line runs through them."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    _draw_shapes(painter, scene.items, canvas)
    taken = clear_spots(scene.items, canvas)
    for item in scene.items:
        if isinstance(item, Label):
            taken.append(draw_label(painter, item, canvas, taken))


def _draw_shapes(painter: QPainter, items: Iterable[OverlayItem], canvas: Canvas) -> None:
    for item in items:
        if isinstance(item, Stroke):
            draw_stroke(painter, item, canvas)
        elif isinstance(item, Ring):
            draw_ring(painter, item, canvas)
        elif isinstance(item, Area):
            draw_area(painter, item, canvas)
        elif isinstance(item, Fill):
            draw_fill(painter, item, canvas)
        elif isinstance(item, Heat):
            draw_heat(painter, item, canvas)
