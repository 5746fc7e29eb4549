"""Short words near a point, never on the tip and never outside the view."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPainterPath, QPen, QPixmap

from puncta.core.overlay import Label, Layer, OverlayItem, Ring, Stroke
from puncta.gui.i18n import tr
from puncta.gui.video.layers.canvas import Canvas

GAP_PT = 5.0
RIM_PT = 1.2
"""Width of the dark rim of letters [display points]."""
WORDS_KEPT = 128
_FIGURE = re.compile(r"(?<=\S) \d[\d.]*( mm| px)?$")
"""A figure with its unit at the end of a label."""


def clear_spots(items: Iterable[OverlayItem], canvas: Canvas) -> list[QRectF]:
    """Return the rectangles that no word may cover: the tip's brackets, cross and circle."""
    spots: list[QRectF] = []
    for item in items:
        if item.layer is not Layer.TIP:
            continue
        if isinstance(item, Ring):
            reach = item.radius_px * canvas.view.scale
            centre = canvas.place(item.centre_px)
            spots.append(QRectF(centre.x() - reach, centre.y() - reach, 2 * reach, 2 * reach))
        elif isinstance(item, Stroke):
            spots.append(_rectangle_round([canvas.place(point) for point in item.points_px]))
    return spots


def draw_label(painter: QPainter, item: Label, canvas: Canvas, taken: Sequence[QRectF]) -> QRectF:
    """Draw a word at the first place near its point that is free; return the place it takes."""
    text = translate_label(item.text)
    metrics = QFontMetricsF(canvas.font)
    size = metrics.boundingRect(text).size()
    box = _free_place(
        canvas.place(item.at_px), canvas.place(item.avoid_px), size.width(), metrics.height(), canvas, taken
    )
    words = _drawn_words(text, item.colour, canvas)
    painter.setOpacity(min(1.0, max(0.0, item.opacity)))
    painter.drawPixmap(QPointF(box.left() - RIM_PT * canvas.point, box.top()), words)
    painter.setOpacity(1.0)
    return box


def translate_label(text: str) -> str:
    """Translate the words of a label and keep the figure that may follow them."""
    found = _FIGURE.search(text)
    return tr(text) if found is None else f"{tr(text[: found.start()])}{found.group()}"


def _drawn_words(text: str, token: str, canvas: Canvas) -> QPixmap:
    """Draw words with their dark rim once; the next frames copy them, since stroking letters takes milliseconds."""
    place = (text, token, canvas.font.pixelSize(), canvas.theme.name, canvas.ratio)
    known = canvas.words.get(place)
    if known is not None:
        return known
    metrics = QFontMetricsF(canvas.font)
    rim = RIM_PT * canvas.point
    size = QSizeF(metrics.horizontalAdvance(text) + 2 * rim + 2, metrics.height() + 2 * rim)
    pixmap = QPixmap((size * canvas.ratio).toSize())
    pixmap.setDevicePixelRatio(canvas.ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    path = QPainterPath()
    path.addText(rim, metrics.ascent(), canvas.font, text)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    pen = QPen(QColor(0, 0, 0, 200), 2 * rim)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.strokePath(path, pen)
    painter.fillPath(path, canvas.colour(token, 1.0))
    painter.end()
    if len(canvas.words) >= WORDS_KEPT:
        canvas.words.pop(next(iter(canvas.words)))
    canvas.words[place] = pixmap
    return pixmap


def _rectangle_round(points: Sequence[QPointF]) -> QRectF:
    xs, ys = [p.x() for p in points], [p.y() for p in points]
    return QRectF(min(xs) - 2, min(ys) - 2, max(xs) - min(xs) + 4, max(ys) - min(ys) + 4)


def _free_place(
    at: QPointF, avoid: QPointF, width: float, height: float, canvas: Canvas, taken: Sequence[QRectF]
) -> QRectF:
    gap = GAP_PT * canvas.point
    right, below = at.x() >= avoid.x(), at.y() > avoid.y()
    first = [(right, below), (right, not below), (not right, below), (not right, not below)]
    boxes: list[QRectF] = []
    if abs(at.x() - avoid.x()) < gap:  # straight above or below its point: centred
        boxes += [
            QRectF(at.x() - width / 2, y, width, height) for y in (at.y() + gap, 2 * avoid.y() - at.y() - gap - height)
        ]
    for to_right, to_below in first:
        x = at.x() if to_right == right else 2 * avoid.x() - at.x()
        y = at.y() if to_below == below else 2 * avoid.y() - at.y()
        for far in (0.0, 1.0, 2.0):
            left = x + gap * (1 + far) if to_right else x - gap * (1 + far) - width
            top = y + far * height if to_below else y - height - far * height
            boxes.append(QRectF(left, top, width, height))
    around = QRectF()
    for spot in taken:
        around = around.united(spot)
    if not around.isEmpty():  # a wide circle or other words fill the near places: stand outside all of them
        sides = (around.right() + gap, around.left() - gap - width)
        boxes += [QRectF(x, y, width, height) for x in sides for y in (around.top(), around.bottom() - height)]
        ends = (around.top() - gap - height, around.bottom() + gap)
        boxes += [QRectF(around.center().x() - width / 2, y, width, height) for y in ends]
    inside = [box for box in boxes if canvas.bounds.contains(box)]
    free = [box for box in inside if not any(box.intersects(spot) for spot in taken)]
    return (free or inside or boxes)[0]
