"""Lines through points."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPen, QPolygonF

from puncta.core.overlay import Dash, Stroke
from puncta.gui.video.layers.bands import draw_in_bands
from puncta.gui.video.layers.canvas import HALO_PT, Canvas


def draw_stroke(painter: QPainter, item: Stroke, canvas: Canvas) -> None:
    """Draw a line, open, with its halo below it."""
    places = [canvas.place(point) for point in item.points_px]
    pens = canvas.pens(item.colour, item.width_pt, item.dash, item.opacity)
    if len(places) != 2 or item.dash is Dash.DOTTED:
        points = QPolygonF(places)
        for pen in pens:
            painter.setPen(pen)
            painter.drawPolyline(points)
        return
    # Qt draws a single line with plain ends many times faster than a path through two points.
    plain = [_with_plain_ends(pen) for pen in pens] if item.dash is Dash.SOLID else pens
    a, b = places

    def draw() -> None:
        for pen in plain:
            painter.setPen(pen)
            painter.drawLine(a, b)

    if item.dash is Dash.DASHED:
        draw()  # its pieces are small
        return
    wide = item.width_pt * canvas.point + 2 * HALO_PT * canvas.point
    draw_in_bands(painter, QRectF(a, b).normalized().adjusted(-wide, -wide, wide, wide), canvas.ratio, draw)


def _with_plain_ends(pen: QPen) -> QPen:
    plain = QPen(pen)
    plain.setCapStyle(Qt.PenCapStyle.SquareCap)
    return plain
