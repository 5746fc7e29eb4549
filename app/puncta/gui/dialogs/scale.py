"""The depth scale that was read from a captured screen: shown on its marks, for a person to confirm."""

from __future__ import annotations

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QSizePolicy, QVBoxLayout, QWidget

from puncta.core.geometry import ViewTransform, fit_view
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import text_label
from puncta.gui.theme import Theme
from puncta.gui.video.picture import Picture
from puncta.imaging.tick_comb import Box, TickComb

BAR_MM = 10.0


class ScaleCanvas(QWidget):
    """A still picture with its region, the marks that were read, and a bar of ten millimetres."""

    def __init__(
        self,
        picture: Picture,
        box: Box,
        comb: TickComb | None,
        mm_per_px: float,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setAccessibleName(tr("Captured picture with the depth marks that were read"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(480, 320)
        self._picture, self._theme = picture, theme
        self._box, self._comb, self._mm_per_px = box, comb, mm_per_px

    def transform(self) -> ViewTransform:
        """From picture pixels to widget positions."""
        size = self._picture.image.size()
        return fit_view((size.width(), size.height()), (max(1, self.width()), max(1, self.height())))

    def bar_px(self) -> tuple[float, float, float]:
        """Where the bar stands: x and its two ends [px]; beside the marks, or in the region where there are none."""
        length = BAR_MM / self._mm_per_px
        if self._comb is None:
            return self._box[0] + self._box[2] / 2, float(self._box[1]), self._box[1] + length
        first = self._comb.y_px(self._comb.offset)
        return self._comb.x_px - 14.0, first, first + length

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint picture, region, marks and bar."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), self._theme.colour("picture"))
        view, size = self.transform(), self._picture.image.size()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        whole = QRectF(*view.offset, size.width() * view.scale, size.height() * view.scale)
        painter.drawImage(whole, self._picture.image)
        x, y, w, h = self._box
        corner = view.display_from_image((x - 0.5, y - 0.5))
        painter.setPen(QPen(self._theme.on_picture("text2"), 1.0))
        painter.drawRect(QRectF(corner[0], corner[1], w * view.scale, h * view.scale))
        accent = self._theme.on_picture("accent")
        painter.setPen(QPen(accent, 1.6))
        for x0, y0, x1, y1 in self._comb.extents_px if self._comb is not None else ():
            left, top = view.display_from_image((x0 - 2.5, y0 - 2.5))
            painter.drawRect(QRectF(left, top, (x1 - x0 + 4) * view.scale, (y1 - y0 + 4) * view.scale))
        bar_x, begin, end = self.bar_px()
        upper, lower = (
            QPointF(*view.display_from_image((bar_x, begin))),
            QPointF(*view.display_from_image((bar_x, end))),
        )
        painter.setPen(QPen(self._theme.on_picture("target"), 3.0, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap))
        painter.drawLine(QLineF(upper, lower))
        cap = QPointF(5.0, 0.0)
        painter.drawLine(QLineF(upper - cap, upper + cap))
        painter.drawLine(QLineF(lower - cap, lower + cap))
        text = QRectF(upper.x() - 70.0, (upper.y() + lower.y()) / 2 - 10.0, 60.0, 20.0)
        painter.drawText(text, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, "10 mm")
        painter.end()


class ScaleDialog(QDialog):
    """Asks whether a scale is right; nothing uses it before."""

    def __init__(self, canvas: ScaleCanvas, mm_per_px: float, says: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Depth scale"))
        self.canvas = canvas
        question = tr("Is the pink bar 10 mm long by the marks of the machine? The scale is then {scale} mm/px.")
        words = text_label(question.format(scale=f"{mm_per_px:#.3g}"), "strong")
        words.setWordWrap(True)
        basis = tr("It rests on: {words}. The same scale is used along both axes.").format(words=says)
        note = text_label(basis, "small")
        note.setWordWrap(True)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setText(tr("Use this scale"))
        self.buttons.button(QDialogButtonBox.StandardButton.Cancel).setText(tr("No, use a ruler"))
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        column.addWidget(words)
        column.addWidget(self.canvas, 1)
        column.addWidget(note)
        column.addWidget(self.buttons)
        self.resize(900, 700)
