"""A small sketch from above: the image plane as a line, needle and target beside it. A drawing, not a picture."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from puncta.gui.i18n import tr
from puncta.gui.steering.words import plane_colour, plane_words
from puncta.gui.theme import Theme
from puncta.sim.pose import NeedlePose
from puncta.sources.steering import SteeredView

HEIGHT_PX = 92
HALF_WIDTH_MM = 36.0
OUTSIDE_MM = 14.0
"""This much of a needle that is still outside is drawn behind its entry [mm]."""


class AboveSketch(QWidget):
    """The scene from above, as the probe sees it: left is left, up is behind the plane."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._view: SteeredView | None = None
        self.setAccessibleName(tr("From above"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme."""
        self._theme = theme
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """Grows with the text."""
        return QSize(self._theme.font_px(160), self._theme.font_px(HEIGHT_PX))

    def show_view(self, view: SteeredView | None) -> None:
        """Draw another frame."""
        self._view = view
        if view is not None:
            self.setAccessibleDescription(f"{tr('target')}: {plane_words(view.target.behind_mm)}")
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint plane, target, needle."""
        theme, view = self._theme, self._view
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setPen(QPen(theme.colour("line"), 1.0))
        painter.setBrush(theme.colour("ground"))
        painter.drawRoundedRect(box, 6, 6)
        painter.setClipRect(box)
        scale = box.width() / (2 * HALF_WIDTH_MM)
        middle = box.center()

        def place(x_mm: float, y_mm: float) -> QPointF:
            return QPointF(middle.x() + x_mm * scale, middle.y() - y_mm * scale)

        face = 19.0
        painter.setPen(QPen(theme.colour("text2"), 5.0, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.setOpacity(0.35)
        painter.drawLine(place(-face, 0.0), place(face, 0.0))
        painter.setOpacity(1.0)
        if view is None:
            return
        probe = view.state.probe
        target = view.target
        # The target stands where the picture shows it, at its distance from the plane.
        left = view.region[0] + view.region[2] / 2.0
        tx = (target.centre_px[0] - left) * view.mm_per_px
        pen = QPen(theme.colour("target"), 2.0)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        radius = max(3.0, target.radius_mm * scale)
        painter.drawEllipse(place(tx, target.behind_mm), radius, radius)
        needle = view.state.needle
        if needle is None or view.needle is None:
            return

        def point(way_mm: float) -> QPointF:
            pose = NeedlePose(needle.entry_mm, needle.angle_rad, needle.azimuth_rad, way_mm, needle.bend_mm,
                              needle.bend_at_mm)
            x, y, _z = probe.probe_from_tissue(*pose.points(way_mm))
            return place(float(x), float(y))

        way = needle.way_mm
        painter.setPen(QPen(theme.colour("accent"), 2.0, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawLine(point(min(way, 0.0) - OUTSIDE_MM), point(way))
        entry = point(0.0)
        painter.drawEllipse(entry, 2.5, 2.5)
        if way <= 0:
            ahead = QPen(theme.colour("accent"), 1.2, Qt.PenStyle.DotLine)
            painter.setPen(ahead)
            painter.drawLine(entry, point(20.0))
            return
        tip = point(way)
        painter.setPen(QPen(theme.colour(plane_tip_token(view)), 2.0))
        painter.setBrush(theme.colour(plane_tip_token(view)))
        painter.drawEllipse(tip, 3.5, 3.5)


def plane_tip_token(view: SteeredView) -> str:
    """Colour of the tip: its own in the plane, that of its side elsewhere."""
    if view.needle is None or not math.isfinite(view.needle.tip_behind_mm):
        return "tip"
    token = plane_colour(view.needle.tip_behind_mm)
    return "tip" if token == "target" else token
