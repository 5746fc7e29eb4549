"""A round glass in a corner of the picture: what lies under the cursor, enlarged, with a fine cross."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from puncta.core.geometry import PointPx
from puncta.gui.i18n import tr
from puncta.gui.theme import Theme
from puncta.gui.video.view import VideoView

EDGE_PT = 132
MARGIN_PT = 14
TIMES = 2.5
"""Magnification beyond the view's own."""
LEAST_SCALE = 4.0


class Magnifier(QWidget):
    """Lies in the corner farthest from the hand, so that it never covers what it shows."""

    def __init__(self, view: VideoView, theme: Theme) -> None:
        super().__init__(view)
        self.setAccessibleName(tr("Magnifier"))
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._view, self._theme = view, theme
        self._at: PointPx | None = None
        self.wanted = True
        self.resize(EDGE_PT, EDGE_PT)
        self.hide()
        view.installEventFilter(self)

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme."""
        self._theme = theme
        self.update()

    def look_at(self, point_px: PointPx | None) -> None:
        """Show a point of the picture [px], or nothing."""
        self._at = point_px
        shown = self.wanted and point_px is not None and self._view.picture is not None
        if shown and point_px is not None:
            x, y = self._view.transform().display_from_image(point_px)
            left = x > self._view.width() / 2
            top = y > self._view.height() / 2
            self.move(
                MARGIN_PT if left else self._view.width() - EDGE_PT - MARGIN_PT,
                MARGIN_PT if top else self._view.height() - EDGE_PT - MARGIN_PT,
            )
        self.setVisible(shown)
        self.update()

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """Go when the hand leaves the picture, and when the window loses the focus."""
        if event.type() in {QEvent.Type.Leave, QEvent.Type.Hide, QEvent.Type.WindowDeactivate}:
            self.look_at(None)
        elif event.type() is QEvent.Type.Resize and self._at is not None:
            self.look_at(self._at)
        return False

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint the enlarged picture inside a ring."""
        picture = self._view.picture
        if picture is None or self._at is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ring = QRectF(2, 2, EDGE_PT - 4, EDGE_PT - 4)
        glass = QPainterPath()
        glass.addEllipse(ring)
        painter.setClipPath(glass)
        painter.fillPath(glass, self._theme.colour("picture"))
        scale = max(LEAST_SCALE, self._view.transform().scale * TIMES)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        size = picture.image.size()
        middle = EDGE_PT / 2
        left, top = middle - (self._at[0] + 0.5) * scale, middle - (self._at[1] + 0.5) * scale
        painter.drawImage(QRectF(left, top, size.width() * scale, size.height() * scale), picture.image)
        painter.setClipping(False)
        painter.setPen(QPen(self._theme.on_picture("tip", 0.9), 1.0))
        for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            painter.drawLine(QPointF(middle + 5 * x, middle + 5 * y), QPointF(middle + 16 * x, middle + 16 * y))
        painter.setPen(QPen(QColor(0, 0, 0, 150), 4.0))
        painter.drawEllipse(ring)
        painter.setPen(QPen(self._theme.colour("line_strong"), 1.6))
        painter.drawEllipse(ring)
