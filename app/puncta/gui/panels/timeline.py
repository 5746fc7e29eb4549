"""The case from its first to its last frame: tracks, range and playhead. Dragging it scrubs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QPixmap, QPolygonF, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from puncta.core.findings import TARGET_INTERSPACE, finding_name
from puncta.core.frame import SourceInfo
from puncta.gui.i18n import numbers, tr
from puncta.gui.panels.ribbons import bin_ribbon, draw_ribbon, order_ribbons, ribbon_words
from puncta.gui.theme import Theme

GAP_FACTOR = 1.75
"""A step between stored times longer than this many usual steps is a gap."""
PLAYHEAD_PX = 7
"""So far [display px] the playhead reaches to each side."""
SURE = 0.5
"""Confidence below this is drawn hatched, so that doubt has a shape too."""


def find_gaps(times_ns: NDArray[np.int64] | None) -> NDArray[np.intp]:
    """Return the indexes of frames that come later than they should after the frame before."""
    if times_ns is None or len(times_ns) < 3:
        return np.empty(0, np.intp)
    steps = np.diff(times_ns)
    usual = float(np.median(steps[steps > 0])) if np.any(steps > 0) else 0.0
    return np.flatnonzero(steps > GAP_FACTOR * usual) + 1 if usual else np.empty(0, np.intp)


def bin_track(values: NDArray[np.float32], columns: int) -> NDArray[np.float32]:
    """Reduce confidence by frame to confidence by screen column: the mean of what is known, NaN where nothing is."""
    count = len(values)
    if not count or columns < 1:
        return np.empty(0, np.float32)
    if count <= columns:
        return values[np.minimum(count - 1, np.arange(columns) * count // columns)]
    edges = np.arange(columns) * count // columns
    known = np.isfinite(values)
    total = np.add.reduceat(np.where(known, values, 0.0), edges)
    number = np.add.reduceat(known.astype(np.float32), edges)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (total / np.where(number > 0, number, np.nan)).astype(np.float32)


def draw_bars(columns: NDArray[np.float32], height: int, colour: int, lost: int) -> NDArray[np.uint32]:
    """Return bars as ARGB pixels: confidence as height; below `SURE` paler and hatched; 0 a mark on the ground line.

    Parameters
    ----------
    columns : ndarray of float32, shape (w,)
        0..1; NaN leaves the column empty.
    colour, lost : int
        0xAARRGGBB of the bars and of the mark for a lost tip.

    Returns
    -------
    ndarray of uint32, shape (height, w)
    """
    known = np.isfinite(columns)
    value = np.where(known, columns, 0.0)
    sure = value >= SURE
    hatched = ~sure & (np.arange(len(columns)) % 3 == 0)
    tall = np.where(known & (value > 0) & ~hatched, np.maximum(2, np.round(value * height)), 0)
    rows = np.arange(height)[:, None]
    paint = np.where(sure, np.uint32(0xBF000000), np.uint32(0x66000000)) | np.uint32(colour & 0xFFFFFF)
    pixels = np.where(rows >= height - tall, paint, np.uint32(0))
    pixels[-1] = np.where(known & (value <= 0), np.uint32(lost), pixels[-1])
    return np.ascontiguousarray(pixels, dtype=np.uint32)


def tip_words(track: NDArray[np.float32] | None, index: int) -> str:
    """Say what is known of the tip on a frame: its confidence, that none was found, or that nobody has looked yet."""
    if track is None or index >= len(track) or not np.isfinite(track[index]):
        return tr("Not analysed yet")
    return f"{tr('Tip')} {numbers(f'{track[index]:.2f}')}" if track[index] > 0 else tr("No tip in sight")


def tick_step(length_s: float, most: int) -> float:
    """Return a round step [s] that cuts a length [s] into at most ``most`` parts; 0 for no length."""
    if length_s <= 0:
        return 0.0
    for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600):
        if length_s / step <= most:
            return float(step)
    return 3600.0 * math.ceil(length_s / 3600.0 / most)


def clock_words(seconds: float, *, tenths: bool = False) -> str:
    """Return a time as "01:42" or "01:42.50"."""
    seconds = max(0.0, seconds)
    minutes = int(seconds // 60)
    rest = seconds - 60 * minutes
    return f"{minutes:02d}:{rest:05.2f}" if tenths else f"{minutes:02d}:{int(rest):02d}"


class Timeline(QWidget):
    """Painted from arrays; `scrubbed` gives the index the user drags to."""

    scrubbed = Signal(int)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(tr("Timeline"))
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._theme = theme
        self._info: SourceInfo | None = None
        self._gaps = np.empty(0, np.intp)
        self._tracks: dict[str, NDArray[np.float32]] = {}
        self._ribbons: dict[str, NDArray[np.uint8]] = {}
        self._known = self._seen = -1
        self._index = 0
        self._marks: tuple[int | None, int | None] = (None, None)
        self._looping = False
        self._ground: QPixmap | None = None
        self._dragging = False
        self._compact = False

    # what is shown ---------------------------------------------------------------------------------------------

    def set_source(self, info: SourceInfo | None) -> None:
        """Show another case."""
        self._info = info
        self._gaps = find_gaps(info.times_ns if info else None)
        self._tracks, self._known = {}, -1
        self._ribbons, self._seen = {}, -1
        self._redraw()
        self.updateGeometry()

    def set_tracks(self, tracks: Mapping[str, NDArray[np.float32]]) -> None:
        """Show confidence by frame; draws only when something new is known."""
        known = sum(int(np.count_nonzero(np.isfinite(v))) for v in tracks.values())
        if known == self._known and len(tracks) == len(self._tracks):
            return
        if len(tracks) != len(self._tracks):
            self.updateGeometry()
        self._known = known
        self._tracks = {name: np.array(values) for name, values in tracks.items()}
        self._redraw()

    def set_ribbons(self, ribbons: Mapping[str, NDArray[np.uint8]]) -> None:
        """Show findings by frame; draws only when something new is known."""
        seen = sum(int(codes.sum(dtype=np.int64)) for codes in ribbons.values())
        if seen == self._seen and ribbons.keys() == self._ribbons.keys():
            return
        if ribbons.keys() != self._ribbons.keys():
            self.updateGeometry()
        self._seen = seen
        self._ribbons = {label: np.array(codes) for label, codes in ribbons.items()}
        self._redraw()

    def set_index(self, index: int) -> None:
        """Move the playhead; only where it was and where it is now is painted again."""
        if index != self._index:
            for place in (self.x_of(self._index), self.x_of(index)):
                self.update(math.floor(place) - PLAYHEAD_PX, 0, 2 * PLAYHEAD_PX + 1, self.height())
            self._index = index
            self.setAccessibleDescription(tr("Frame {index}").format(index=index))

    def set_range(self, marks: tuple[int | None, int | None], *, looping: bool) -> None:
        """Show the marked range, and whether it loops."""
        if (marks, looping) != (self._marks, self._looping):
            self._marks, self._looping = marks, looping
            self.update()

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme or font scale."""
        self._theme = theme
        self.updateGeometry()
        self._redraw()

    def set_compact(self, compact: bool) -> None:
        """Show the tip alone, to save height; gaps then need a taller window."""
        if compact != self._compact:
            self._compact = compact
            self.updateGeometry()
            self._redraw()

    # geometry --------------------------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        """Room for all tracks and the time axis."""
        return QSize(400, (len(self._names()) * self._row() + self._axis() + 10))

    def minimumSizeHint(self) -> QSize:
        """Never lower than its tracks."""
        return QSize(160, self.sizeHint().height())

    def resizeEvent(self, _event: QResizeEvent) -> None:
        """Draw again in the new size."""
        self._ground = None

    def _names(self) -> list[str]:
        """Tracks from top to bottom."""
        tip = {"tip"} if "tip" in self._tracks or not self._ribbons else set()
        ribbons = order_ribbons(set(self._ribbons))
        if self._compact:
            return ["tip"] if tip else ribbons[-1:]
        known = sorted(set(self._tracks) | tip, key=lambda name: (name != "tip", name))
        return [*known, *ribbons, "gaps"]

    def _row(self) -> int:
        return self._theme.font_px(13) + 9

    def _axis(self) -> int:
        return self._theme.font_px(11) + 8

    def _lane(self) -> QRectF:
        left = 16 + max(self.fontMetrics().horizontalAdvance(_track_words(name)) for name in self._names()) + 14
        return QRectF(left, 4, max(10, self.width() - left - 18), self.height() - 4)

    def _count(self) -> int:
        return self._info.frame_count or 0 if self._info is not None else 0

    def x_of(self, index: float) -> float:
        """Widget position of a frame's middle."""
        lane = self._lane()
        return lane.left() + (index + 0.5) / max(1, self._count()) * lane.width()

    def index_at(self, x: float) -> int:
        """Frame at a widget position."""
        lane = self._lane()
        share = (x - lane.left()) / lane.width()
        return max(0, min(self._count() - 1, int(share * self._count())))

    # painting --------------------------------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint the ready-made tracks, then range and playhead over them."""
        ratio = self.devicePixelRatioF()
        if self._ground is None:
            self._ground = QPixmap(self.size() * ratio)
            self._ground.setDevicePixelRatio(ratio)
            self._ground.fill(Qt.GlobalColor.transparent)
            under = QPainter(self._ground)
            under.setFont(self.font())
            self._paint_tracks(under)
            under.end()
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._ground)
        if not self._count():
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        lane = self._lane()
        bottom = lane.top() + len(self._names()) * self._row()
        self._paint_range(painter, lane, bottom)
        x = self.x_of(self._index)
        painter.setPen(QPen(self._theme.colour("text1"), 2.0))
        painter.drawLine(QPointF(x, lane.top()), QPointF(x, bottom))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.colour("text1"))
        painter.drawPolygon(QPolygonF([QPointF(x - 5, bottom + 6), QPointF(x + 5, bottom + 6), QPointF(x, bottom)]))

    def _paint_tracks(self, painter: QPainter) -> None:
        theme, lane, row = self._theme, self._lane(), self._row()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for number, name in enumerate(self._names()):
            top = lane.top() + number * row
            painter.setPen(theme.colour("text2"))
            painter.setFont(theme.font(12))
            words = QRectF(16, top, lane.left() - 20, row)
            painter.drawText(words, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), _track_words(name))
            box = QRectF(lane.left(), top + 3, lane.width(), row - 6)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour("ground"))
            painter.drawRoundedRect(box, 3, 3)
            if name == "gaps":
                self._paint_gaps(painter, box)
            elif name in self._ribbons:
                self._paint_ribbon(painter, box, self._ribbons[name], "good" if name == TARGET_INTERSPACE else "accent")
            elif name in self._tracks:
                self._paint_confidence(painter, box, self._tracks[name], "tip" if name == "tip" else "accent")
        self._paint_axis(painter, lane, lane.top() + len(self._names()) * row)

    def _paint_confidence(self, painter: QPainter, box: QRectF, values: NDArray[np.float32], token: str) -> None:
        """Height says the confidence; low confidence is hatched, a frame without analysis is empty."""
        width, height = max(1, int(box.width())), max(1, int(box.height()))
        bars = draw_bars(bin_track(values, width), height, *(self._theme.colour(t).rgb() for t in (token, "bad")))
        image = QImage(bars.data, width, height, 4 * width, QImage.Format.Format_ARGB32)
        painter.drawImage(QPointF(box.left(), box.top()), image)

    def _paint_ribbon(self, painter: QPainter, box: QRectF, codes: NDArray[np.uint8], token: str) -> None:
        width, height = max(1, int(box.width())), max(1, int(box.height()))
        colours = (self._theme.colour(t).rgb() for t in (token, "text2", "caution"))
        ribbon = draw_ribbon(bin_ribbon(codes, width), height, *colours)
        image = QImage(ribbon.data, width, height, 4 * width, QImage.Format.Format_ARGB32)
        painter.drawImage(QPointF(box.left(), box.top()), image)

    def _paint_gaps(self, painter: QPainter, box: QRectF) -> None:
        painter.setBrush(self._theme.colour("caution"))
        for index in self._gaps:
            x = self.x_of(float(index) - 0.5)
            painter.drawRoundedRect(QRectF(x - 2.5, box.top(), 5, box.height()), 2, 2)

    def _paint_axis(self, painter: QPainter, lane: QRectF, top: float) -> None:
        count = self._count()
        times = self._info.times_ns if self._info is not None else None
        if not count or times is None or len(times) < count:
            return
        start = int(times[0])
        last = (int(times[count - 1]) - start) / 1e9
        painter.setFont(self._theme.font(11))
        width = painter.fontMetrics().horizontalAdvance("00:00.0") + 16
        step = tick_step(last, max(1, int(lane.width() / (width * 1.6))))
        for number in range(int(last / step + 1e-6) + 1 if step else 0):
            seconds = number * step
            x = self.x_of(float(np.searchsorted(times, start + seconds * 1e9 - 1)))
            painter.setPen(self._theme.colour("line_strong"))
            painter.drawLine(QPointF(x, top + 1), QPointF(x, top + 4))
            painter.setPen(self._theme.colour("text2"))
            left = min(max(lane.left(), x - width / 2), lane.right() - width)
            at_edge = Qt.AlignmentFlag.AlignLeft if x - width / 2 < lane.left() else Qt.AlignmentFlag.AlignHCenter
            box = QRectF(left, top + 5, width, self._axis())
            words = clock_words(seconds, tenths=step < 1)
            painter.drawText(box, int(at_edge | Qt.AlignmentFlag.AlignTop), words[:7])

    def _paint_range(self, painter: QPainter, lane: QRectF, bottom: float) -> None:
        first, last = self._marks
        if first is None and last is None:
            return
        left = lane.left() if first is None else self.x_of(first - 0.5)
        right = lane.right() if last is None else self.x_of(last + 0.5)
        shade = self._theme.colour("ground", 0.65)
        painter.fillRect(QRectF(lane.left(), lane.top(), left - lane.left(), bottom - lane.top()), shade)
        painter.fillRect(QRectF(right, lane.top(), lane.right() - right, bottom - lane.top()), shade)
        pen = QPen(self._theme.colour("accent"), 2.0)
        if not self._looping:
            pen.setDashPattern([2, 2])
        painter.setPen(pen)
        for mark, x, side in ((first, left, 1), (last, right, -1)):
            if mark is not None:
                painter.drawLine(QPointF(x, lane.top()), QPointF(x, bottom))
                painter.drawLine(QPointF(x, lane.top()), QPointF(x + 6 * side, lane.top()))
        if self._looping:
            painter.drawLine(QPointF(left, lane.top()), QPointF(right, lane.top()))

    def _redraw(self) -> None:
        self._ground = None
        self.update()

    # mouse -----------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Start to scrub."""
        if event.button() is Qt.MouseButton.LeftButton and self._count():
            self._dragging = True
            self.scrubbed.emit(self.index_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Scrub, or name the frame under the cursor."""
        if not self._count():
            return
        index = self.index_at(event.position().x())
        if self._dragging:
            self.scrubbed.emit(index)
        elif self._info is not None and self._info.times_ns is not None and index < len(self._info.times_ns):
            seconds = (int(self._info.times_ns[index]) - int(self._info.times_ns[0])) / 1e9
            words = tr("Frame {index}").format(index=index)
            words = f"{words}, {clock_words(seconds, tenths=True)}"
            if "tip" in self._tracks or not self._ribbons:
                words += f"\n{tip_words(self._tracks.get('tip'), index)}"
            for label in order_ribbons(set(self._ribbons)):
                words += f"\n{ribbon_words(label, self._ribbons[label], index)}"
            QToolTip.showText(event.globalPosition().toPoint(), words, self)

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:
        """Stop scrubbing."""
        self._dragging = False


def _track_words(name: str) -> str:
    return {"tip": tr("Tip"), "gaps": tr("Gaps")}.get(name) or tr(finding_name(name))
