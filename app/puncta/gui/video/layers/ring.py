"""Circles."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter

from puncta.core.overlay import Ring
from puncta.gui.video.layers.canvas import Canvas


def draw_ring(painter: QPainter, item: Ring, canvas: Canvas) -> None:
    """Draw a circle with its halo below it."""
    radius = item.radius_px * canvas.view.scale
    centre = canvas.place(item.centre_px)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen in canvas.pens(item.colour, item.width_pt, item.dash, item.opacity):
        painter.setPen(pen)
        painter.drawEllipse(centre, radius, radius)
