"""Words with a dark rim, drawn once and copied from then on: stroking letters takes milliseconds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QSizeF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPainterPath, QPen, QPixmap

if TYPE_CHECKING:
    from puncta.gui.video.layers.canvas import Canvas

RIM_PT = 1.2
"""Width of the dark rim of letters [display points]."""
WORDS_KEPT = 256
_PIECES = re.compile(r"\d|\D+")
"""Figures change from frame to frame; their digits, and the words before them, do not."""


@dataclass(frozen=True, slots=True)
class DrawnWords:
    """Words ready to be copied; their letters begin a rim's width from the left [painter units].

    Attributes
    ----------
    size : QSizeF
        Of the letters alone.
    advance : float
        From the first letter's place to that of the letter after the last.
    rim, letters : QPixmap
        Apart, so that nothing dark comes to lie on a letter put beside them; `rim` holds both in whole texts.
    """

    size: QSizeF
    advance: float
    rim: QPixmap
    letters: QPixmap


def draw_words(text: str, token: str, canvas: Canvas) -> DrawnWords:
    """Return words as one picture, rim and letters in `rim`.

    A text with another figure than before is put together from words and digits that are drawn already.
    """
    place = (text, token, canvas.font.pixelSize(), canvas.theme.name, canvas.ratio, True)
    known = canvas.words.get(place)
    if known is not None:
        return known
    pieces = [_draw_piece(piece, token, canvas) for piece in _PIECES.findall(text)]
    metrics = QFontMetricsF(canvas.font)
    advance = sum(piece.advance for piece in pieces)
    whole = _blank(advance, metrics, canvas)
    painter = QPainter(whole)
    for rims in (True, False):
        left = 0.0
        for piece in pieces:
            painter.drawPixmap(QPointF(left, 0.0), piece.rim if rims else piece.letters)
            left += piece.advance
    painter.end()
    size = QSizeF(metrics.boundingRect(text).width(), metrics.height())
    return _keep(place, DrawnWords(size, advance, whole, whole), canvas)


def _draw_piece(text: str, token: str, canvas: Canvas) -> DrawnWords:
    place = (text, token, canvas.font.pixelSize(), canvas.theme.name, canvas.ratio, False)
    known = canvas.words.get(place)
    if known is not None:
        return known
    metrics = QFontMetricsF(canvas.font)
    advance = metrics.horizontalAdvance(text)
    rim, letters = _blank(advance, metrics, canvas), _blank(advance, metrics, canvas)
    path = QPainterPath()
    path.addText(RIM_PT * canvas.point, metrics.ascent(), canvas.font, text)
    pen = QPen(QColor(0, 0, 0, 200), 2 * RIM_PT * canvas.point)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter = QPainter(rim)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.strokePath(path, pen)
    painter.end()
    painter = QPainter(letters)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.fillPath(path, canvas.colour(token, 1.0))
    painter.end()
    return _keep(place, DrawnWords(QSizeF(advance, metrics.height()), advance, rim, letters), canvas)


def _blank(advance: float, metrics: QFontMetricsF, canvas: Canvas) -> QPixmap:
    rim = RIM_PT * canvas.point
    size = QSizeF(advance + 2 * rim + 2, metrics.height() + 2 * rim)
    pixmap = QPixmap((size * canvas.ratio).toSize())
    pixmap.setDevicePixelRatio(canvas.ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    return pixmap


def _keep(place: tuple[object, ...], words: DrawnWords, canvas: Canvas) -> DrawnWords:
    if len(canvas.words) >= WORDS_KEPT:
        canvas.words.pop(next(iter(canvas.words)))
    canvas.words[place] = words
    return words
