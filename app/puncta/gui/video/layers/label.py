"""Short words near a point, never on the tip and never outside the view."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from PySide6.QtCore import QPointF, QRectF, QSizeF
from PySide6.QtGui import QPainter

from puncta.core.overlay import Label, Layer, OverlayItem, Ring, Stroke
from puncta.gui.i18n import numbers, tr
from puncta.gui.video.layers.canvas import Canvas
from puncta.gui.video.layers.words import RIM_PT, draw_words

GAP_PT = 5.0
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
    words = draw_words(text, item.colour, canvas)
    at, avoid = canvas.place(item.at_px), canvas.place(item.avoid_px)
    box = _free_place(at, avoid, words.size.width(), words.size.height(), canvas, taken)
    painter.setOpacity(min(1.0, max(0.0, item.opacity)))
    painter.drawPixmap(QPointF(box.left() - RIM_PT * canvas.point, box.top()), words.rim)
    painter.setOpacity(1.0)
    return box


def translate_label(text: str) -> str:
    """Translate the words of a label and keep the figure that may follow them."""
    found = _FIGURE.search(text)
    return tr(text) if found is None else f"{tr(text[: found.start()])}{numbers(found.group())}"


def _rectangle_round(points: Sequence[QPointF]) -> QRectF:
    xs, ys = [p.x() for p in points], [p.y() for p in points]
    return QRectF(min(xs) - 2, min(ys) - 2, max(xs) - min(xs) + 4, max(ys) - min(ys) + 4)


def _free_place(
    at: QPointF, avoid: QPointF, width: float, height: float, canvas: Canvas, taken: Sequence[QRectF]
) -> QRectF:
    gap = GAP_PT * canvas.point
    right, below = at.x() >= avoid.x(), at.y() > avoid.y()
    places = _places(at, avoid, QSizeF(width, height), gap, taken, (right, below))
    second: QRectF | None = None
    for box in places:
        inside = canvas.bounds.contains(box)
        if inside and not any(box.intersects(spot) for spot in taken):
            return box
        if second is None or (inside and not canvas.bounds.contains(second)):
            second = box
    assert second is not None
    return second


def _places(
    at: QPointF, avoid: QPointF, size: QSizeF, gap: float, taken: Sequence[QRectF], side: tuple[bool, bool]
) -> Iterator[QRectF]:
    """Give the places of a word, best first."""
    width, height = size.width(), size.height()
    right, below = side
    if abs(at.x() - avoid.x()) < gap:  # straight above or below its point: centred
        for y in (at.y() + gap, 2 * avoid.y() - at.y() - gap - height):
            yield QRectF(at.x() - width / 2, y, width, height)
    for to_right, to_below in ((right, below), (right, not below), (not right, below), (not right, not below)):
        x = at.x() if to_right == right else 2 * avoid.x() - at.x()
        y = at.y() if to_below == below else 2 * avoid.y() - at.y()
        for far in (0.0, 1.0, 2.0):
            left = x + gap * (1 + far) if to_right else x - gap * (1 + far) - width
            top = y + far * height if to_below else y - height - far * height
            yield QRectF(left, top, width, height)
    around = QRectF()
    for spot in taken:
        around = around.united(spot)
    if around.isEmpty():
        return
    # A wide circle or other words fill the near places: stand outside all of them.
    for x in (around.right() + gap, around.left() - gap - width):
        for y in (around.top(), around.bottom() - height):
            yield QRectF(x, y, width, height)
    for y in (around.top() - gap - height, around.bottom() + gap):
        yield QRectF(around.center().x() - width / 2, y, width, height)
