"""The picture with its overlay: painted by one paint event from one analysis, so that the two cannot part."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QFont,
    QHideEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from puncta.core.geometry import PointPx, ViewTransform
from puncta.core.last_seen import LostTip, TipMemory
from puncta.core.overlay import OverlayScene, OverlayStyle, compose
from puncta.core.prompts import Prompt
from puncta.core.results import Analysis
from puncta.gui.i18n import tr
from puncta.gui.theme import Theme
from puncta.gui.video.fresh import differ
from puncta.gui.video.layers import draw_scene
from puncta.gui.video.layers.canvas import Canvas
from puncta.gui.video.layers.ruler import draw_ruler
from puncta.gui.video.layers.sketch import draw_sketch
from puncta.gui.video.magnified import Magnified
from puncta.gui.video.picture import SHRINK_BELOW, Picture, fit_picture, picture_from_pixels, shrink_picture, tone_table
from puncta.gui.video.tools import NeedleSketch, RulerPoints, Tool

Composer = Callable[[Analysis, OverlayStyle, int | None, Sequence[LostTip]], OverlayScene]

ZOOM_STEP = 1.25


class PictureHands(Protocol):
    """Who takes the mouse on the picture before the view does; each answers whether it did."""

    def press(self, point_px: PointPx, button: Qt.MouseButton) -> bool:
        """A button went down."""
        ...

    def move(self, point_px: PointPx, modifiers: Qt.KeyboardModifier) -> bool:
        """The mouse moved."""
        ...

    def release(self) -> bool:
        """A button went up."""
        ...

    def wheel(self, notches: float) -> bool:
        """The wheel turned."""
        ...


class VideoView(QWidget):
    """Shows one analysis at a time.

    Signals carry no picture: `clicked` gives a point [px], `zoomed` says that the view changed, `ruled` that both
    ends of the ruler are set.
    """

    clicked = Signal(float, float)
    ruled = Signal()
    sketched = Signal()
    """What was drawn to show the needle, a `puncta.core.prompts.Prompt`."""
    zoomed = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("videoView")
        self.setAccessibleName(tr("Picture"))
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.on_painted: Callable[[Analysis, int], None] = _ignore
        self.analysis: Analysis | None = None
        self.scene: OverlayScene | None = None
        self.hands: PictureHands | None = None
        self.compose: Composer = compose
        self.tool = Tool.NONE
        self.ruler = RulerPoints()
        self.sketch = NeedleSketch()
        self.drawn: Prompt | None = None
        self.empty_text = ""
        self._theme = theme
        self._style = OverlayStyle()
        self._composed_ns = 0
        self._memory = TipMemory()
        self._lost: tuple[LostTip, ...] = ()
        self._overlay_on = True
        self._table = tone_table(1.0, 1.0)
        self._picture: Picture | None = None
        self._scaled: tuple[tuple[float, bool], Picture, Picture] | None = None
        self._unpainted = self._away = False
        self._magnified = Magnified()
        self._drag_from: QPointF | None = None
        self._cursor: QPointF | None = None
        self._canvas = Canvas(ViewTransform(1.0, (0.0, 0.0)), QRectF(), theme, self._label_font())

    # what is shown ---------------------------------------------------------------------------------------------

    def show_analysis(self, analysis: Analysis | None, now_ns: int | None = None) -> None:
        """Show a frame with its own overlay, or nothing at all."""
        before = self.analysis
        self.analysis = analysis
        self._composed_ns = time.monotonic_ns() if now_ns is None else now_ns
        # What comes while nobody sees this, or is shown once more, has been held: that is no delay to report.
        self._unpainted = analysis is not None and not self._away and (self._unpainted or differ(before, analysis))
        if analysis is None:
            self._picture = self.scene = None
            self._memory.clear()
        else:
            self._lost = self._memory.take(analysis)
            self._picture = picture_from_pixels(analysis.frame.pixels, self._table)
            self._compose()
            if before is None or before.frame.pixels.shape[:2] != analysis.frame.pixels.shape[:2]:
                self.fit()
        self.update()

    def set_style(self, style: OverlayStyle) -> None:
        """Change layers, their opacity and order, or the target."""
        self._style = style
        self._compose()
        self.update()

    def set_overlay_on(self, on: bool) -> None:
        """Show or take away everything that lies over the picture."""
        if on != self._overlay_on:
            self._overlay_on = on
            self.update()

    @property
    def overlay_on(self) -> bool:
        """Whether the overlay is drawn."""
        return self._overlay_on

    def set_tone(self, gain: float, gamma: float) -> None:
        """Change gain and gamma of the view. Models and exports never see it."""
        self._table = tone_table(gain, gamma)
        if self.analysis is not None:
            self._picture = picture_from_pixels(self.analysis.frame.pixels, self._table)
        self.update()

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme or font scale."""
        self._theme = theme
        self._canvas.theme = theme
        self._canvas.words.clear()
        self._canvas.font = self._label_font()
        self.update()

    @property
    def picture(self) -> Picture | None:
        """The picture as it is toned now."""
        return self._picture

    def set_tool(self, tool: Tool) -> None:
        """Take a tool in hand; a ruler begun before is forgotten."""
        self.tool = tool
        self.ruler.clear()
        self.sketch.clear()
        self.setCursor(Qt.CursorShape.ArrowCursor if tool is Tool.NONE else Qt.CursorShape.CrossCursor)
        self.update()

    # where it is shown -----------------------------------------------------------------------------------------

    def transform(self) -> ViewTransform:
        """From source pixels to widget positions, as painted now."""
        self._magnified.ratio = self.devicePixelRatioF()
        return self._magnified.transform(self._picture_size(), self._size())

    @property
    def zoom(self) -> float:
        """1 shows the whole picture."""
        return self._magnified.zoom

    def fit(self) -> None:
        """Show the whole picture."""
        self._magnified.fit()
        self._moved()

    def zoom_by(self, factor: float, at: QPointF | None = None) -> None:
        """Magnify about a widget position; the point of the picture that is there stays there."""
        if self._picture is None:
            return
        anchor = at or QPointF(self.width() / 2, self.height() / 2)
        self._magnified.zoom_by(factor, (anchor.x(), anchor.y()), self._picture_size(), self._size())
        self._moved()

    def point_at(self, position: QPointF) -> PointPx | None:
        """Source point [px] at a widget position; None beside the picture."""
        if self._picture is None:
            return None
        x, y = self.transform().image_from_display((position.x(), position.y()))
        size = self._picture.image.size()
        inside = -0.5 <= x <= size.width() - 0.5 and -0.5 <= y <= size.height() - 0.5
        return (x, y) if inside else None

    def cursor_point(self) -> PointPx | None:
        """Source point [px] under the mouse; None where the mouse is elsewhere."""
        return self.point_at(self._cursor) if self._cursor is not None else None

    # painting --------------------------------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint picture, overlay and tool, then report the moment at which that was done."""
        painter = QPainter(self)
        if self._picture is None:
            painter.fillRect(self.rect(), self._theme.colour("picture"))
            self._paint_empty(painter)
        else:
            view = self.transform()
            self._paint_picture(painter, view)
            self._canvas.view = view
            self._canvas.ratio = self.devicePixelRatioF()
            self._canvas.bounds = QRectF(self.rect()).adjusted(4, 4, -4, -4)
            if self._overlay_on and self.scene is not None:
                draw_scene(painter, self.scene, self._canvas)
            if self.tool is Tool.RULER:
                draw_ruler(painter, self.ruler, self._cursor, self._canvas)
            elif self.sketch.drawing:
                draw_sketch(painter, self.sketch, self._canvas)
        painter.end()
        if self._unpainted and self.analysis is not None:
            self._unpainted = False
            self.on_painted(self.analysis, time.monotonic_ns())

    def hideEvent(self, event: QHideEvent) -> None:
        """A picture that nobody saw in time is not late when this is seen again."""
        super().hideEvent(event)
        self._unpainted, self._away = False, True

    def showEvent(self, event: QShowEvent) -> None:
        """Pictures are seen again."""
        super().showEvent(event)
        self._away = False

    def _paint_picture(self, painter: QPainter, view: ViewTransform) -> None:
        """Paint the picture and the ground round it; the whole picture lies on device pixels and is only copied."""
        assert self._picture is not None
        ratio = self.devicePixelRatioF()
        shown = self._picture_at(view.scale * ratio).image
        painter.fillRect(self.rect(), self._theme.colour("picture"))
        if self.zoom == 1.0:
            shown.setDevicePixelRatio(ratio)
            painter.drawImage(QPointF(*view.offset), shown)
            return
        size = self._picture.image.size()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
        painter.drawImage(QRectF(*view.offset, size.width() * view.scale, size.height() * view.scale), shown)

    def _picture_at(self, scale: float) -> Picture:
        """The picture for a magnification [device px a pixel]; Qt's own shrinking leaves pixels out below a half."""
        assert self._picture is not None
        whole, shrinks = self.zoom == 1.0, scale < SHRINK_BELOW
        if not (whole or shrinks):
            return self._picture
        if self._scaled is None or self._scaled[0] != (scale, whole) or self._scaled[1] is not self._picture:
            made = fit_picture(self._picture, scale) if whole else shrink_picture(self._picture, scale)
            self._scaled = ((scale, whole), self._picture, made)
        return self._scaled[2]

    def _paint_empty(self, painter: QPainter) -> None:
        if self.empty_text:
            painter.setPen(self._theme.on_picture("text2"))
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignCenter), self.empty_text)

    # mouse -----------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Use the tool, or start to drag the picture."""
        hands = self.hands if self.tool is Tool.NONE and self._picture is not None else None
        if hands is not None and hands.press(self._place_of(event.position()), event.button()):
            return
        pans = event.button() is Qt.MouseButton.MiddleButton or (
            event.button() is Qt.MouseButton.LeftButton and self.tool is Tool.NONE
        )
        if pans:
            self._drag_from = event.position()
            return
        point = self.point_at(event.position())
        if event.button() is not Qt.MouseButton.LeftButton or point is None:
            return
        if self.tool in (Tool.TARGET, Tool.PLAN):
            self.clicked.emit(*point)
        elif self.tool is Tool.RULER:
            if self.ruler.add(point):
                self.ruled.emit()
            self.update()
        elif self.tool is Tool.NEEDLE:
            self.sketch.begin(point, box=bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the picture, and know where the cursor is."""
        self._cursor = event.position()
        if self.hands is not None and self.hands.move(self._place_of(event.position()), event.modifiers()):
            return
        if self._drag_from is not None:
            self._pan(event.position() - self._drag_from)
            self._drag_from = event.position()
        elif self.sketch.drawing:
            point = self.point_at(event.position())
            if point is not None:
                self.sketch.add(point)
            self.update()
        elif self.tool is Tool.RULER:
            self.update()

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:
        """Let the picture go, or end a sketch."""
        self._drag_from = None
        if self.sketch.drawing:
            self.drawn = self.sketch.finish()
            self.update()
            if self.drawn is not None:
                self.sketched.emit()
        if self.hands is not None:
            self.hands.release()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Show the whole picture; while hands steer, a quick second press is a press."""
        if self.hands is not None and self.tool is Tool.NONE:
            self.mousePressEvent(event)
        elif event.button() is Qt.MouseButton.LeftButton and self.tool is Tool.NONE:
            self.fit()

    def leaveEvent(self, _event: QEvent) -> None:
        """Forget the cursor."""
        self._cursor = None

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Magnify about the cursor; a sideways wheel pans. While hands steer, Ctrl magnifies."""
        steps = event.angleDelta().y() / 120.0
        magnify = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if steps and not magnify and self.hands is not None and self.hands.wheel(steps):
            pass
        elif steps:
            self.zoom_by(ZOOM_STEP**steps, event.position())
        elif event.angleDelta().x():
            self._pan(QPointF(event.angleDelta().x() / 2.0, 0.0))
        event.accept()

    def event(self, event: QEvent) -> bool:
        """Take pinches of a touch pad as magnification."""
        if isinstance(event, QNativeGestureEvent) and event.gestureType() is Qt.NativeGestureType.ZoomNativeGesture:
            self.zoom_by(1.0 + event.value(), event.position())
            return True
        return super().event(event)

    def resizeEvent(self, _event: QResizeEvent) -> None:
        """Keep the picture in sight."""
        if self._picture is not None:
            self._magnified.keep_in_sight(self._picture_size())

    # inside ----------------------------------------------------------------------------------------------------

    def _label_font(self) -> QFont:
        return self._theme.font(12, QFont.Weight.DemiBold)

    def _compose(self) -> None:
        if self.analysis is not None:
            self.scene = self.compose(self.analysis, self._style, self._composed_ns, self._lost)

    def _place_of(self, position: QPointF) -> PointPx:
        """Source point [px] of a widget position, also beside the picture."""
        return self.transform().image_from_display((position.x(), position.y()))

    def _pan(self, by: QPointF) -> None:
        shown = self._picture is not None
        if shown and self._magnified.pan((by.x(), by.y()), self._picture_size(), self._size()):
            self._moved()

    def _picture_size(self) -> tuple[int, int]:
        if self._picture is None:
            return (1, 1)
        size = self._picture.image.size()
        return (size.width(), size.height())

    def _size(self) -> tuple[int, int]:
        return (self.width(), self.height())

    def _moved(self) -> None:
        self.update()
        self.zoomed.emit()


def _ignore(_analysis: Analysis, _t_ns: int) -> None:
    """Nobody measures."""
