"""A two-point ruler while its ends are being set."""

from __future__ import annotations

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QPainter, QPen

from puncta.core.overlay import Dash
from puncta.gui.video.layers.canvas import Canvas
from puncta.gui.video.tools import RulerPoints


def draw_ruler(painter: QPainter, ruler: RulerPoints, cursor: QPointF | None, canvas: Canvas) -> None:
    """Draw the ends with crosses and the line between them; the second end is under the cursor until it is set."""
    ends = [canvas.place(point) for point in ruler.points_px]
    if len(ends) == 1 and cursor is not None:
        ends.append(cursor)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    for pen in canvas.pens("accent", 2.0, Dash.SOLID, 1.0):
        painter.setPen(pen)
        if len(ends) == 2:
            painter.drawLine(ends[0], ends[1])
        for end in ends:
            painter.drawLine(end + QPointF(-6, 0), end + QPointF(6, 0))
            painter.drawLine(end + QPointF(0, -6), end + QPointF(0, 6))
    painter.setPen(QPen(Qt.PenStyle.NoPen))
