"""Heat maps: a tint that grows with the evidence, and an outline where it is strong."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPolygonF

from puncta.core.overlay import Dash, Heat
from puncta.gui.video.layers.canvas import Canvas
from puncta.imaging.heat_picture import MOST_ALPHA, draw_share, trace_share

FINEST_PX = 256
"""Cells are few; a picture of this side shows all there is of them, and Qt enlarges it smoothly."""
OUTLINE_PT = 1.4


def draw_heat(painter: QPainter, item: Heat, canvas: Canvas) -> None:
    """Tint the box and outline where the evidence is strong."""
    x0, y0, width, height = item.box_px
    corner = canvas.place((x0, y0))
    scale = canvas.view.scale
    size = (max(1, min(FINEST_PX, round(width))), max(1, min(FINEST_PX, round(height))))
    share = draw_share(item.values, size)
    colour = canvas.colour(item.colour, 1.0)
    alpha = np.rint(255.0 * MOST_ALPHA * min(1.0, item.opacity) * share).astype(np.uint32)
    pixels = np.ascontiguousarray((alpha << 24) | np.uint32(colour.rgb() & 0xFFFFFF), dtype=np.uint32)
    image = QImage(pixels.data, size[0], size[1], 4 * size[0], QImage.Format.Format_ARGB32)
    target = QRectF(corner.x(), corner.y(), width * scale, height * scale)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
    painter.drawImage(target, image)
    along, down = target.width() / size[0], target.height() / size[1]
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for points in trace_share(share):
        outline = QPolygonF(
            [QPointF(target.left() + (x + 0.5) * along, target.top() + (y + 0.5) * down) for x, y in points]
        )
        for pen in canvas.pens(item.colour, OUTLINE_PT, Dash.SOLID, item.opacity):
            painter.setPen(pen)
            painter.drawPolygon(outline)
