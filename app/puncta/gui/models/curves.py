"""Curves of a training: losses and figures over the samples it has seen. Line and marker say what colour says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.models.page_parts import wrapped
from puncta.gui.models.words import SHARE, number_words
from puncta.gui.panels.flow import FlowLayout
from puncta.gui.panels.parts import draw_mark, text_label
from puncta.gui.theme import Theme

TOKENS = ("accent", "caution", "good", "target", "bad", "text2")
"""Colours of the curves in their order: Okabe-Ito, as everywhere."""
SHAPES = ("circle", "diamond", "square", "triangle", "ring", "cross")
SYMBOLS = {"circle": "o", "diamond": "d", "square": "s", "triangle": "t1", "ring": "o", "cross": "x"}
HEIGHT_PX = 190
THOUSAND = 10_000
"""From so many samples on the axis counts thousands."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve.

    Attributes
    ----------
    name : str
        Translated.
    samples, values : sequence of float
    dashed : bool
        Measured on tune frames, with a marker at each point; else the smooth line of what is learnt from.
    """

    name: str
    samples: Sequence[float]
    values: Sequence[float]
    dashed: bool = False


class _Sample(QWidget):
    """A piece of a curve for the legend."""

    def __init__(self, theme: Theme, token: str, shape: str, dashed: bool) -> None:
        super().__init__()
        self._theme, self._token, self._shape, self._dashed = theme, token, shape, dashed

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        return QSize(self._theme.font_px(26), self._theme.font_px(14))

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colour = self._theme.colour(self._token)
        middle = self.height() / 2
        style = Qt.PenStyle.DashLine if self._dashed else Qt.PenStyle.SolidLine
        painter.setPen(QPen(colour, 2.0, style))
        painter.drawLine(QPointF(0, middle), QPointF(self.width(), middle))
        if self._dashed:
            edge = self._theme.font_px(8)
            box = QRectF((self.width() - edge) / 2, middle - edge / 2, edge, edge)
            draw_mark(painter, box, self._shape, colour)


def last_sample(curves: Sequence[Curve]) -> float:
    """Samples at the end of curves."""
    return max((max(curve.samples) for curve in curves if len(curve.samples)), default=0.0)


class CurvePlot(QWidget):
    """One plot with its legend above it.

    Parameters
    ----------
    name : str
        What the plot is of, translated; also its accessible name.
    unit : str
        "%" shows shares of 0..1 in per cent; "" shows values as they are.
    axis : str
        Words beside the upright axis; "" takes the name.
    """

    def __init__(
        self, theme: Theme, name: str, unit: str = "", *, axis: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._theme, self._unit, self.name, self._axis = theme, unit, name, axis or name
        self.curves: tuple[Curve, ...] = ()
        self._names: tuple[str, ...] = ()
        self.setAccessibleName(name)
        self._legend = QWidget()
        self._flow = FlowLayout(self._legend, gap=14)
        # A plot item of pyqtgraph brings menus and buttons that nobody needs here; box and axes do without.
        self.plot = pg.GraphicsLayoutWidget()
        self.plot.setAccessibleName(name)
        for part in (self.plot, self.plot.viewport()):
            part.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)  # the page scrolls
        self._box = pg.ViewBox(enableMenu=False, enableMouse=False)
        self._axes = {side: pg.AxisItem(side) for side in ("left", "bottom")}
        self.plot.ci.layout.setSpacing(0)
        self.plot.addItem(self._axes["left"], 0, 0)
        self.plot.addItem(self._box, 0, 1)
        self.plot.addItem(self._axes["bottom"], 1, 1)
        for drawn in self._axes.values():
            drawn.linkToView(self._box)
            drawn.enableAutoSIPrefix(False)
        self._lines: list[pg.PlotDataItem] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(wrapped(name, "quiet"))
        column.addWidget(self._legend)
        column.addWidget(self.plot)
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        """Draw in the colours of a theme."""
        self._theme = theme
        self.plot.setBackground(theme.colour("ground"))
        self.plot.setFixedHeight(round(HEIGHT_PX * (0.7 + 0.3 * theme.scale)))
        for axis in self._axes.values():
            axis.setPen(pg.mkPen(theme.colour("line_strong")))
            axis.setTextPen(pg.mkPen(theme.colour("text2")))
            axis.setTickFont(theme.font(11))
            axis.label.setFont(theme.font(11))
        self._axes["left"].setGrid(40)
        self._names = ()
        self.show_curves(self.curves)

    def follow(self, other: CurvePlot) -> None:
        """Show the same samples across as another plot."""
        self._box.setXLink(other._box)

    def show_curves(self, curves: Sequence[Curve], most: float = 0.0) -> None:
        """Show curves; a name keeps its colour and marker by its place in the row.

        Parameters
        ----------
        most : float
            Samples at the end of the axis, where it is shared with a plot that goes further.
        """
        self.curves = tuple(curves)
        names = tuple(curve.name for curve in curves)
        if names != self._names:
            self._names = names
            self._make(curves)
        factor = 100.0 if self._unit == SHARE else 1.0
        in_thousands = max(most, last_sample(curves)) >= THOUSAND
        for line, curve in zip(self._lines, curves, strict=True):
            across = [x / 1000 for x in curve.samples] if in_thousands else list(curve.samples)
            line.setData(across, [y * factor for y in curve.values])
        words = tr("Pictures learnt from, thousands") if in_thousands else tr("Pictures learnt from")
        self._axes["bottom"].setLabel(words, **self._label_style())
        upright = f"{self._axis} [%]" if self._unit == SHARE else self._axis
        self._axes["left"].setLabel(upright, **self._label_style())
        self.plot.setAccessibleDescription(self.words())
        self.setVisible(any(len(curve.values) for curve in curves))

    def words(self) -> str:
        """The newest value of each curve."""
        said = [f"{c.name} {number_words(c.values[-1], self._unit)}" for c in self.curves if len(c.values)]
        return "; ".join(said)

    def _make(self, curves: Sequence[Curve]) -> None:
        theme = self._theme
        for old in self._lines:
            self._box.removeItem(old)
        self._lines = []
        while (item := self._flow.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for number, curve in enumerate(curves):
            token, shape = TOKENS[number % len(TOKENS)], SHAPES[number % len(SHAPES)]
            colour = theme.colour(token)
            style = Qt.PenStyle.DashLine if curve.dashed else Qt.PenStyle.SolidLine
            line = pg.PlotDataItem(pen=pg.mkPen(colour, width=2, style=style), antialias=True)
            self._box.addItem(line)
            if curve.dashed:
                line.setSymbol(SYMBOLS[shape])
                line.setSymbolSize(theme.font_px(7))
                line.setSymbolBrush(colour if shape != "ring" else None)
                line.setSymbolPen(pg.mkPen(colour))
            self._lines.append(line)
            entry = QWidget()
            row = QHBoxLayout(entry)
            row.setContentsMargins(0, 0, 0, 0)
            row.setSpacing(6)
            row.addWidget(_Sample(theme, token, shape, curve.dashed))
            row.addWidget(text_label(curve.name, "small"))
            self._flow.addWidget(entry)
            entry.show()
        self._legend.updateGeometry()

    def _label_style(self) -> dict[str, str]:
        return {"color": self._theme.colours["text2"], "font-size": f"{self._theme.font_px(11)}px"}
