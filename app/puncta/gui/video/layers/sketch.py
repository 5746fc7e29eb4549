"""What a user draws to show the needle, while it is drawn."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter

from puncta.core.overlay import Dash
from puncta.gui.video.layers.canvas import Canvas
from puncta.gui.video.tools import NeedleSketch

WIDTH_PT = 3.0


def draw_sketch(painter: QPainter, sketch: NeedleSketch, canvas: Canvas) -> None:
    """Draw the line or the box as far as it has come."""
    places = [canvas.place(point) for point in sketch.points_px]
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen in canvas.pens("mask", WIDTH_PT, Dash.SOLID, 0.9):
        painter.setPen(pen)
        if sketch.box and len(places) == 2:
            painter.drawRect(QRectF(places[0], places[1]).normalized())
        else:
            painter.drawPolyline(places)
    painter.setPen(Qt.PenStyle.NoPen)
