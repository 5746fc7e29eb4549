"""Draws long shapes in narrow bands, so that each stays in the thread that paints.

Qt hands a translucent shape of more than some sixty spans to threads of its own and waits for them, each time. On a
computer whose cores have other work that takes several times as long as the painting itself, and now and then tens of
milliseconds. Bands meet at whole pixels, so nothing shows where they do.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter

BAND_PX = 16
"""Height or width of a band [device px]: a line across it or the two sides of an area make few enough spans."""


def draw_in_bands(painter: QPainter, bounds: QRectF, ratio: float, draw: Callable[[], None]) -> None:
    """Call ``draw`` once a band of the longer side of ``bounds``, with the painter clipped to that band.

    Parameters
    ----------
    bounds : QRectF
        All that ``draw`` paints, in the painter's coordinates.
    ratio : float
        Device pixels to a painter unit.
    """
    upright = bounds.height() >= bounds.width()
    long, begin = (bounds.height(), bounds.top()) if upright else (bounds.width(), bounds.left())
    if long * ratio <= BAND_PX or painter.hasClipping():
        draw()
        return
    outer = bounds.toAlignedRect()
    step = max(1, round(BAND_PX / ratio))
    # Whole numbers only: a clip between them is a path to Qt and costs more than it saves.
    for place in range(math.floor(begin), math.ceil(begin + long), step):
        if upright:
            painter.setClipRect(outer.left(), place, outer.width(), step)
        else:
            painter.setClipRect(place, outer.top(), step, outer.height())
        draw()
    painter.setClipping(False)
