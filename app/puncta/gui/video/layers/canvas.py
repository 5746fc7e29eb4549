"""What every renderer needs to know: where the picture lies, how large a point is, which colour a token has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainterPath, QPen

from puncta.core.geometry import PointPx, ViewTransform
from puncta.core.overlay import Dash, Fill
from puncta.gui.theme import Theme

if TYPE_CHECKING:
    from puncta.gui.video.layers.words import DrawnWords

HALO_PT = 1.0
"""Width of the dark rim on each side of a line [display points]."""
HALO = QColor(0, 0, 0, 150)

_DASHES = {Dash.DASHED: [4.0, 3.0], Dash.DOTTED: [0.1, 2.2]}


@dataclass(slots=True)
class Canvas:
    """Place and style of a drawing.

    Attributes
    ----------
    view : ViewTransform
        From source pixels to the painter's coordinates.
    bounds : QRectF
        Where words may stand, in the painter's coordinates.
    theme : Theme
    font : QFont
        Of labels.
    point : float
        Painter units to a display point: 1 on the screen, more in a large snapshot.
    ratio : float
        Device pixels to a painter unit.
    outlines, words : dict
        Outlines of masks already traced, and words already drawn.
    """

    view: ViewTransform
    bounds: QRectF
    theme: Theme
    font: QFont
    point: float = 1.0
    ratio: float = 1.0
    outlines: dict[int, tuple[Fill, QPainterPath]] = field(default_factory=dict)
    words: dict[tuple, DrawnWords] = field(default_factory=dict)

    def place(self, point_px: PointPx) -> QPointF:
        """Painter position of a source point [px]."""
        return QPointF(*self.view.display_from_image(point_px))

    def colour(self, token: str, opacity: float) -> QColor:
        """Colour of a token at an opacity of 0..1."""
        return self.theme.on_picture(token, min(1.0, max(0.0, opacity)))

    def pens(self, token: str, width_pt: float, dash: Dash, opacity: float) -> tuple[QPen, QPen]:
        """Pens of the halo and of the line itself."""
        rim = QColor(HALO)
        rim.setAlphaF(HALO.alphaF() * min(1.0, opacity))
        width = width_pt * self.point
        halo = QPen(rim, width + 2 * HALO_PT * self.point)
        line = QPen(self.colour(token, opacity), width)
        for pen in (halo, line):
            # Round ends of many dashes cost more than all the rest of the overlay; dots need them to be round.
            pen.setCapStyle(Qt.PenCapStyle.FlatCap if dash is Dash.DASHED else Qt.PenCapStyle.RoundCap)
            pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        if dash in _DASHES:
            # Dash lengths count in pen widths, and the halo's pen is wider.
            line.setDashPattern(_DASHES[dash])
            halo.setDashPattern([length * line.widthF() / halo.widthF() for length in _DASHES[dash]])
        return halo, line
