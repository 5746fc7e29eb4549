"""Lines through points."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter, QPolygonF

from puncta.core.overlay import Dash, Stroke
from puncta.gui.video.layers.canvas import Canvas


def draw_stroke(painter: QPainter, item: Stroke, canvas: Canvas) -> None:
    """Draw a line, open, with its halo below it."""
    places = [canvas.place(point) for point in item.points_px]
    # Qt draws a single line with plain ends many times faster than a path through two points.
    single = len(places) == 2 and item.dash is not Dash.DOTTED
    for pen in canvas.pens(item.colour, item.width_pt, item.dash, item.opacity):
        if single and item.dash is Dash.SOLID:
            pen.setCapStyle(Qt.PenCapStyle.SquareCap)
        painter.setPen(pen)
        if single:
            painter.drawLine(places[0], places[1])
        else:
            painter.drawPolyline(QPolygonF(places))
