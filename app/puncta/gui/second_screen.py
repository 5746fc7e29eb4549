"""A second window with nothing but the picture, its overlay, the figures and the safety line, for another monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QCloseEvent, QFont, QGuiApplication, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from puncta.core.geometry import fit_view
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import text_label
from puncta.gui.panels.read_outs import ReadOutStrip
from puncta.gui.theme import Theme
from puncta.gui.video.layers import draw_scene
from puncta.gui.video.layers.canvas import Canvas
from puncta.gui.video.stage import SAFETY_LINE

if TYPE_CHECKING:
    from puncta.gui.main_window import MainWindow
    from puncta.gui.video.view import VideoView


class MirrorView(QWidget):
    """Paints what another view shows: the same picture and the same scene, so that the two screens cannot part."""

    def __init__(self, view: VideoView, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(tr("Picture"))
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._view, self._theme = view, theme

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme or font scale."""
        self._theme = theme
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint the whole picture with its overlay."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), self._theme.colour("picture"))
        picture = self._view.picture
        if picture is not None:
            size = picture.image.size()
            view = fit_view((size.width(), size.height()), (max(1, self.width()), max(1, self.height())))
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
            target = QRectF(*view.offset, size.width() * view.scale, size.height() * view.scale)
            painter.drawImage(target, picture.image)
            if self._view.overlay_on and self._view.scene is not None:
                # A wall screen is read from afar: lines and words grow with the picture.
                point = max(1.0, self.height() / 900)
                font = self._theme.font(round(14 * point), QFont.Weight.DemiBold)
                bounds = QRectF(self.rect()).adjusted(4, 4, -4, -4)
                draw_scene(painter, self._view.scene, Canvas(view, bounds, self._theme, font, point))
        painter.end()


class SecondScreen(QWidget):
    """The window itself. Its keys are those of the main window."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(None, Qt.WindowType.Window)
        self._window = window
        self.setObjectName("window")
        self.setWindowTitle(tr("Puncta, second screen"))
        self.mirror = MirrorView(window.stage.view, window.theme)
        self.safety = text_label(tr(SAFETY_LINE), "safety")
        self.safety.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.lost = text_label("", "strong")
        self.lost.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.lost.setWordWrap(True)
        self.lost.hide()
        self.read_outs = ReadOutStrip(window.theme)
        self.read_outs.set_size("far")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 6, 0, 0)
        column.setSpacing(4)
        for widget in (self.safety, self.lost):
            column.addWidget(widget)
        column.addWidget(self.mirror, 1)
        column.addWidget(self.read_outs)
        for name, action in window.keyboard.actions.items():
            if name not in {"escape", "quit"}:
                self.addAction(action)

    def show_somewhere(self) -> None:
        """Fill a screen on which the main window is not; where there is one screen only, be an ordinary window."""
        home = self._window.screen()
        other = next((screen for screen in QGuiApplication.screens() if screen is not home), None)
        if other is None:
            self.resize(960, 720)
            self.show()
            return
        self.setGeometry(other.geometry())
        self.showFullScreen()

    def show_picture(self) -> None:
        """Paint the newest picture."""
        self.mirror.update()

    def show_figures(self) -> None:
        """Show the same figures and the worst sentence that stands."""
        window = self._window
        shown = not window.desk.stalled
        scene = window.stage.view.scene
        self.read_outs.show_read_outs(scene.read_outs if scene is not None and shown else ())
        texts = window.stage.banners.texts()
        words = texts.get("source") or texts.get("stall") or ""
        if words != self.lost.text():
            self.lost.setText(words)
            self.lost.setVisible(bool(words))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc closes it."""
        if event.key() == Qt.Key.Key_Escape:
            self.close()
        else:
            super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Tell the main window."""
        super().closeEvent(event)
        self._window.second = None
        self.deleteLater()
