"""Where the ultrasound picture lies in a captured screen: shown for confirmation, or drawn by hand."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QSizePolicy, QVBoxLayout, QWidget

from puncta.core.geometry import ViewTransform, fit_view
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import text_label
from puncta.gui.theme import Theme
from puncta.gui.video.picture import Picture

LEAST_PX = 40
Box = tuple[int, int, int, int]


class RegionCanvas(QWidget):
    """A still picture on which a box is shown and drawn anew by dragging."""

    drawn = Signal()

    def __init__(self, picture: Picture, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(tr("Captured picture; drag to draw the ultrasound region"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(480, 320)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.box: Box | None = None
        self._picture, self._theme = picture, theme
        self._from: tuple[float, float] | None = None

    def transform(self) -> ViewTransform:
        """From picture pixels to widget positions."""
        size = self._picture.image.size()
        return fit_view((size.width(), size.height()), (max(1, self.width()), max(1, self.height())))

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint the picture, and the box with everything outside it dimmed."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), self._theme.colour("picture"))
        view, size = self.transform(), self._picture.image.size()
        whole = QRectF(*view.offset, size.width() * view.scale, size.height() * view.scale)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
        painter.drawImage(whole, self._picture.image)
        if self.box is not None:
            x, y, w, h = self.box
            corner = view.display_from_image((x - 0.5, y - 0.5))
            painter.setPen(QPen(self._theme.on_picture("accent"), 2.0))
            painter.drawRect(QRectF(corner[0], corner[1], w * view.scale, h * view.scale))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a new box."""
        self._from = self._at(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Draw it."""
        if self._from is None:
            return
        (ax, ay), (bx, by) = self._from, self._at(event.position())
        x, y = round(min(ax, bx)), round(min(ay, by))
        self.box = (x, y, round(abs(bx - ax)) + 1, round(abs(by - ay)) + 1)
        self.update()
        self.drawn.emit()

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:
        """Leave it as it is."""
        self._from = None

    def _at(self, position: QPointF) -> tuple[float, float]:
        """Pixel under a position, inside the picture."""
        x, y = self.transform().image_from_display((position.x(), position.y()))
        size = self._picture.image.size()
        return min(size.width() - 1.0, max(0.0, x)), min(size.height() - 1.0, max(0.0, y))


class RegionDialog(QDialog):
    """Shows what was found; where that is not sure, nothing is preset and a person has to draw it."""

    def __init__(self, picture: Picture, box: Box | None, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Ultrasound region"))
        self.canvas = RegionCanvas(picture, theme)
        self.canvas.box = box
        found = tr("Is this the ultrasound picture, without names and marks? Drag to draw another box.")
        unsure = tr("The ultrasound picture cannot be told from the screen with certainty. Please draw it: drag a box.")
        words = text_label(found if box is not None else unsure, "strong")
        words.setWordWrap(True)
        note = text_label(tr("Millimetres are not known until you lay a ruler on the marks of the machine."), "small")
        note.setWordWrap(True)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setText(tr("Use this region"))
        self.buttons.button(QDialogButtonBox.StandardButton.Cancel).setText(tr("Cancel"))
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        column.addWidget(words)
        column.addWidget(self.canvas, 1)
        column.addWidget(note)
        column.addWidget(self.buttons)
        self.canvas.drawn.connect(self._follow)
        self.resize(860, 640)
        self._follow()

    def region(self) -> Box | None:
        """The box [px]; None while it is too small to be one."""
        box = self.canvas.box
        return box if box is not None and min(box[2], box[3]) >= LEAST_PX else None

    def _follow(self) -> None:
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(self.region() is not None)
