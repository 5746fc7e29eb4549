"""Lines through points."""

from __future__ import annotations

from PySide6.QtGui import QPainter, QPolygonF

from puncta.core.overlay import Stroke
from puncta.gui.video.layers.canvas import Canvas


def draw_stroke(painter: QPainter, item: Stroke, canvas: Canvas) -> None:
    """Draw a line, open, with its halo below it."""
    points = QPolygonF([canvas.place(point) for point in item.points_px])
    for pen in canvas.pens(item.colour, item.width_pt, item.dash, item.opacity):
        painter.setPen(pen)
        painter.drawPolyline(points)
