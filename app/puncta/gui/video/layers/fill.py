"""Translucent masks with an outline."""

from __future__ import annotations

import cv2
import numpy as np
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPolygonF, QTransform

from puncta.core.overlay import Fill
from puncta.gui.video.layers.canvas import Canvas

OUTLINE_PT = 1.6


def draw_fill(painter: QPainter, item: Fill, canvas: Canvas) -> None:
    """Draw a mask: its area translucent, its border as a line with a halo."""
    scale = canvas.view.scale
    corner = canvas.place((float(item.origin_px[0]), float(item.origin_px[1])))
    path = QTransform(scale, 0, 0, scale, corner.x(), corner.y()).map(_outline_of(item, canvas))
    painter.fillPath(path, canvas.colour(item.colour, item.fill_opacity * item.opacity))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen in canvas.pens(item.colour, OUTLINE_PT, item.dash, item.opacity):
        painter.setPen(pen)
        painter.drawPath(path)


def _outline_of(item: Fill, canvas: Canvas) -> QPainterPath:
    known = canvas.outlines.get(id(item))
    if known is not None and known[0] is item:
        return known[1]
    path = trace_outline(item)
    canvas.outlines.clear()
    canvas.outlines[id(item)] = (item, path)
    return path


def trace_outline(item: Fill) -> QPainterPath:
    """Return the border of a mask, holes included, relative to the centre of the mask's first pixel [px]."""
    path = QPainterPath()
    path.setFillRule(Qt.FillRule.OddEvenFill)
    contours, _tree = cv2.findContours(
        np.ascontiguousarray(item.mask, dtype=np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1
    )
    for contour in contours:
        path.addPolygon(QPolygonF([QPointF(float(x), float(y)) for x, y in contour[:, 0, :]]))
        path.closeSubpath()
    return path
