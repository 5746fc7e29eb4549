"""The clip from its first to its last frame: what is labelled, proposed and open; edges of flags can be dragged."""

from __future__ import annotations

from collections.abc import Mapping

from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QPixmap, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from puncta.annotation.labels import NOTE, PHASE
from puncta.gui.annotate.ribbons import ABSENT, PRESENT, bin_codes, draw_codes, runs_of
from puncta.gui.annotate.things import Thing
from puncta.gui.i18n import tr
from puncta.gui.theme import Theme

EDGE_PX = 5.0
"""An edge of a flag's ribbon this near to the press is taken in hand [px]."""


class LabelTimeline(QWidget):
    """Painted from arrays; `scrubbed` gives the frame the user drags to."""

    scrubbed = Signal(int)
    stretched = Signal(str, int, int, int, int)
    """A flag's ribbon was dragged: name, old first, old last, new first, new last."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(tr("Labels over time"))
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._theme = theme
        self._count = 0
        self._rows: dict[str, NDArray] = {}
        self._things: dict[str, Thing] = {}
        self._index = 0
        self._marks: tuple[int | None, int | None] = (None, None)
        self._looping = False
        self._held: tuple[str, int, bool] | None = None
        self._ground: QPixmap | None = None
        self._scrubbing = False
        self._edge: tuple[str, int, int, str, int] | None = None
        self._compact = False

    # what is shown ---------------------------------------------------------------------------------------------

    def set_rows(self, rows: Mapping[str, NDArray], things: Mapping[str, Thing], count: int) -> None:
        """Show other labels."""
        if rows.keys() != self._rows.keys():
            self.updateGeometry()
        self._rows, self._things, self._count = dict(rows), dict(things), count
        self._redraw()

    def set_index(self, index: int) -> None:
        """Move the playhead."""
        if index != self._index:
            self._index = index
            self.setAccessibleDescription(tr("Frame {index}").format(index=index))
            self.update()

    def set_range(self, marks: tuple[int | None, int | None], *, looping: bool) -> None:
        """Show the marked range, and whether it loops."""
        if (marks, looping) != (self._marks, self._looping):
            self._marks, self._looping = marks, looping
            self.update()

    def set_held(self, held: tuple[str, int, bool] | None) -> None:
        """Show the flag whose key is held: its name, the frame since when, and whether it says yes."""
        if held != self._held:
            self._held = held
            self.update()

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme or font scale."""
        self._theme = theme
        self.updateGeometry()
        self._redraw()

    def set_compact(self, compact: bool) -> None:
        """Show thinner rows, to save height."""
        if compact != self._compact:
            self._compact = compact
            self.updateGeometry()
            self._redraw()

    # geometry --------------------------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        """Room for all rows and the frame numbers."""
        return QSize(400, max(1, len(self._rows)) * self._row() + self._theme.font_px(11) + 18)

    def minimumSizeHint(self) -> QSize:
        """Never lower than its rows."""
        return QSize(160, self.sizeHint().height())

    def resizeEvent(self, _event: QResizeEvent) -> None:
        """Draw again in the new size."""
        self._ground = None

    def _row(self) -> int:
        return self._theme.font_px(11) + 4 if self._compact else self._theme.font_px(13) + 9

    def _words(self, name: str) -> str:
        if name == PHASE:
            return tr("Phase")
        if name == NOTE:
            return tr("Notes")
        thing = self._things.get(name)
        return tr(thing.title) if thing is not None else name

    def _lane(self) -> QRectF:
        metrics = self.fontMetrics()
        left = 16 + max((metrics.horizontalAdvance(self._words(name)) for name in self._rows), default=40) + 14
        return QRectF(left, 4, max(10, self.width() - left - 18), self.height() - 4)

    def x_of(self, index: float) -> float:
        """Widget position of a frame's middle."""
        lane = self._lane()
        return lane.left() + (index + 0.5) / max(1, self._count) * lane.width()

    def index_at(self, x: float) -> int:
        """Frame at a widget position."""
        lane = self._lane()
        return max(0, min(self._count - 1, int((x - lane.left()) / lane.width() * self._count)))

    def row_at(self, y: float) -> str | None:
        """Row at a widget position."""
        number = int((y - self._lane().top()) // self._row())
        names = list(self._rows)
        return names[number] if 0 <= number < len(names) else None

    def y_of(self, name: str) -> float:
        """Widget position of a row's middle."""
        return self._lane().top() + (list(self._rows).index(name) + 0.5) * self._row()

    # painting --------------------------------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint the ready-made rows, then range, held flag and playhead over them."""
        ratio = self.devicePixelRatioF()
        if self._ground is None:
            self._ground = QPixmap(self.size() * ratio)
            self._ground.setDevicePixelRatio(ratio)
            self._ground.fill(Qt.GlobalColor.transparent)
            under = QPainter(self._ground)
            self._paint_rows(under)
            under.end()
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._ground)
        if not self._count or not self._rows:
            return
        lane = self._lane()
        bottom = lane.top() + len(self._rows) * self._row()
        self._paint_range(painter, lane, bottom)
        if self._held is not None and self._held[0] in self._rows:
            self._paint_held(painter)
        if self._edge is not None:
            name, first, last, _side, _at = self._edge
            self._outline(painter, name, first, last)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        x = self.x_of(self._index)
        painter.setPen(QPen(self._theme.colour("text1"), 2.0))
        painter.drawLine(QPointF(x, lane.top()), QPointF(x, bottom))

    def _paint_rows(self, painter: QPainter) -> None:
        theme, lane, row = self._theme, self._lane(), self._row()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for number, (name, codes) in enumerate(self._rows.items()):
            top = lane.top() + number * row
            painter.setPen(theme.colour("text2"))
            painter.setFont(theme.font(12))
            words = QRectF(16, top, lane.left() - 20, row)
            painter.drawText(words, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), self._words(name))
            box = QRectF(lane.left(), top + 2, lane.width(), row - 4)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour("ground"))
            painter.drawRoundedRect(box, 3, 3)
            width, height = max(1, int(box.width())), max(1, int(box.height()))
            thing = self._things.get(name)
            tokens = (thing.token if thing is not None else "accent", "text3", "text2")
            pixels = draw_codes(bin_codes(codes, width), height, *(theme.colour(t).rgb() for t in tokens))
            image = QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_ARGB32)
            painter.drawImage(QPointF(box.left(), box.top()), image)
        painter.setPen(theme.colour("text2"))
        painter.setFont(theme.font(11))
        below = QRectF(lane.left(), lane.top() + len(self._rows) * row + 1, lane.width(), theme.font_px(11) + 6)
        if self._count:
            first = tr("frame {index}").format(index=0)
            painter.drawText(below, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), first)
            last = str(self._count - 1)
            painter.drawText(below, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), last)

    def _paint_range(self, painter: QPainter, lane: QRectF, bottom: float) -> None:
        first, last = self._marks
        if first is None and last is None:
            return
        left = lane.left() if first is None else self.x_of(first - 0.5)
        right = lane.right() if last is None else self.x_of(last + 0.5)
        shade = self._theme.colour("ground", 0.55)
        painter.fillRect(QRectF(lane.left(), lane.top(), left - lane.left(), bottom - lane.top()), shade)
        painter.fillRect(QRectF(right, lane.top(), lane.right() - right, bottom - lane.top()), shade)
        pen = QPen(self._theme.colour("accent"), 2.0)
        if not self._looping:
            pen.setDashPattern([2, 2])
        painter.setPen(pen)
        for mark, x in ((first, left), (last, right)):
            if mark is not None:
                painter.drawLine(QPointF(x, lane.top()), QPointF(x, bottom))

    def _paint_held(self, painter: QPainter) -> None:
        assert self._held is not None
        name, since, yes = self._held
        first, last = min(since, self._index), max(since, self._index)
        left, right = self.x_of(first - 0.5), self.x_of(last + 0.5)
        height = (self._row() - 4) if yes else 3
        token = self._things[name].token if name in self._things else "good"
        painter.fillRect(
            QRectF(left, self.y_of(name) - height / 2, max(2.0, right - left), height), self._theme.colour(token, 0.85)
        )

    def _outline(self, painter: QPainter, name: str, first: int, last: int) -> None:
        left, right = self.x_of(first - 0.5), self.x_of(last + 0.5)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(self._theme.colour("text1"), 1.5))
        row = self._row()
        painter.drawRect(QRectF(left, self.y_of(name) - row / 2 + 2, right - left, row - 4))

    def _redraw(self) -> None:
        self._ground = None
        self.update()

    # mouse -----------------------------------------------------------------------------------------------------

    def _edge_at(self, x: float, y: float) -> tuple[str, int, int, str, int] | None:
        """The edge of a flag's ribbon under the cursor: row, its frames, which side, and where it was."""
        name = self.row_at(y)
        thing = self._things.get(name) if name is not None else None
        if name is None or thing is None or not thing.is_flag:
            return None
        for first, last, code in runs_of(self._rows[name]):
            if code not in {PRESENT, ABSENT}:
                continue
            if abs(self.x_of(first - 0.5) - x) <= EDGE_PX:
                return name, first, last, "first", first
            if abs(self.x_of(last + 0.5) - x) <= EDGE_PX:
                return name, first, last, "last", last
        return None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take an edge of a ribbon, or start to scrub."""
        if event.button() is not Qt.MouseButton.LeftButton or not self._count:
            return
        self._edge = self._edge_at(event.position().x(), event.position().y())
        if self._edge is None:
            self._scrubbing = True
            self.scrubbed.emit(self.index_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Stretch, scrub, or name what is under the cursor."""
        if not self._count:
            return
        x, y = event.position().x(), event.position().y()
        index = self.index_at(x)
        if self._edge is not None:
            name, first, last, side, was = self._edge
            moved = (min(index, last), last) if side == "first" else (first, max(index, first))
            self._edge = (name, *moved, side, was)
            self.update()
        elif self._scrubbing:
            self.scrubbed.emit(index)
        else:
            near = self._edge_at(x, y) is not None
            self.setCursor(Qt.CursorShape.SizeHorCursor if near else Qt.CursorShape.ArrowCursor)
            row = self.row_at(y)
            words = tr("Frame {index}").format(index=index)
            words = f"{words}\n{self._words(row)}" if row else words
            QToolTip.showText(event.globalPosition().toPoint(), words, self)

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:
        """Let go."""
        self._scrubbing = False
        if self._edge is not None:
            name, first, last, side, was = self._edge
            self._edge = None
            old = (was, last) if side == "first" else (first, was)
            if (first, last) != old:
                self.stretched.emit(name, *old, first, last)
            self.update()
