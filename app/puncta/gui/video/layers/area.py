"""Translucent polygons."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter, QPolygonF

from puncta.core.overlay import Area
from puncta.gui.video.layers.canvas import Canvas


def draw_area(painter: QPainter, item: Area, canvas: Canvas) -> None:
    """Tint a polygon; it has neither line nor halo, so that the tissue below it stays readable.

    So faint a tint shows no steps at its border; smoothing them takes several times as long as all the rest of it.
    """
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(canvas.colour(item.colour, item.fill_opacity * item.opacity))
    painter.drawPolygon(QPolygonF([canvas.place(point) for point in item.points_px]))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
