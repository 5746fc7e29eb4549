"""Two models side by side, figure by figure: a dot with its whisker for each difference, and the verdict in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QWidget

from puncta.gui.i18n import tr
from puncta.gui.models.page_parts import wrapped
from puncta.gui.models.words import VERDICT_MARKS, VERDICT_WORDS, difference_words, number_words
from puncta.gui.panels.parts import ChipLabel, draw_mark, text_label, tone_colour
from puncta.gui.theme import Theme

if TYPE_CHECKING:
    from puncta.session.model_comparison import ComparedFigure

TITLE_PX, WHISKER_PX = 130, 150
"""Least widths of a figure's title and of its whisker where all stands in one line, at a font scale of 1."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A difference, seen so that better is to the right.

    Attributes
    ----------
    value, low, high : float or None
        Positive is better.
    reach : float
        Value at the ends of the axis; the same for all figures of a unit.
    """

    value: float | None
    low: float | None
    high: float | None
    reach: float


def dots_of(rows: Sequence[ComparedFigure]) -> list[Dot]:
    """Turn differences so that better is to the right, and give those of one unit one scale."""
    reach: dict[str, float] = {}
    for row in rows:
        ends = [abs(x) for x in (row.difference.value, row.difference.low, row.difference.high) if x is not None]
        reach[row.unit] = max([reach.get(row.unit, 0.0), *ends])
    dots = []
    for row in rows:
        way = 1.0 if row.better == "higher" else -1.0
        value, low, high = (None if x is None else way * x for x in _ends(row))
        if way < 0:
            low, high = high, low
        dots.append(Dot(value, low, high, reach[row.unit] * 1.08 or 1.0))
    return dots


def _ends(row: ComparedFigure) -> tuple[float | None, float | None, float | None]:
    return row.difference.value, row.difference.low, row.difference.high


class Whisker(QWidget):
    """The dot, its interval, and the line of no difference."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._dot = Dot(None, None, None, 1.0)
        self._mark = ("ring", "neutral")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme."""
        self._theme = theme
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """Grows with the text."""
        return QSize(self._theme.font_px(180), self._theme.font_px(26))

    def minimumSizeHint(self) -> QSize:
        """Gives way to words."""
        return QSize(self._theme.font_px(70), self._theme.font_px(26))

    def show_dot(self, dot: Dot, verdict: str, words: str) -> None:
        """Show a difference; the words are for those who do not see it."""
        self._dot, self._mark = dot, VERDICT_MARKS.get(verdict, ("ring", "neutral"))
        self.setAccessibleName(words)
        self.setToolTip(words)
        self.update()

    def x_of(self, value: float) -> float:
        """Place of a difference across the widget [display px]."""
        inset = self._theme.font_px(6)
        half = (self.width() - 2 * inset) / 2
        return inset + half + half * max(-1.0, min(1.0, value / self._dot.reach))

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint the line of no difference, the whisker and the dot."""
        theme, dot = self._theme, self._dot
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle, height = self.height() / 2, self.height()
        painter.setPen(QPen(theme.colour("line"), 1.0))
        painter.drawLine(QPointF(self.x_of(-dot.reach), middle), QPointF(self.x_of(dot.reach), middle))
        painter.setPen(QPen(theme.colour("line_strong"), 1.2))
        painter.drawLine(QPointF(self.x_of(0.0), 0.0), QPointF(self.x_of(0.0), height))
        if dot.value is None:
            return
        shape, tone = self._mark
        colour = tone_colour(theme, tone)
        if dot.low is not None and dot.high is not None:
            painter.setPen(QPen(colour, 2.0))
            cap = height * 0.18
            left, right = self.x_of(dot.low), self.x_of(dot.high)
            painter.drawLine(QPointF(left, middle), QPointF(right, middle))
            for x in (left, right):
                painter.drawLine(QPointF(x, middle - cap), QPointF(x, middle + cap))
        edge = theme.font_px(11)
        box = QRectF(self.x_of(dot.value) - edge / 2, middle - edge / 2, edge, edge)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("raised"))
        painter.drawEllipse(box.adjusted(-1, -1, 1, 1))
        draw_mark(painter, box.adjusted(0.5, 0.5, -0.5, -0.5), shape, colour)


class _Axis(QWidget):
    """Says which side is which, above the dots."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(tr("Left of the line is worse, right of it better"))

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        return QSize(self._theme.font_px(180), self._theme.font_px(18))

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setFont(self._theme.font(11))
        painter.setPen(self._theme.colour("text2"))
        gap = self._theme.font_px(10)
        box, half = QRectF(self.rect()), self.width() / 2
        upright = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(box.adjusted(0, 0, -half - gap, 0), upright | Qt.AlignmentFlag.AlignRight, tr("worse"))
        painter.drawText(box.adjusted(half + gap, 0, 0, 0), upright | Qt.AlignmentFlag.AlignLeft, tr("better"))


class DifferenceTable(QWidget):
    """One line a figure, or three where it is narrow."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._rows: tuple[ComparedFigure, ...] = ()
        self._parts: list[tuple[QWidget, QWidget, Whisker, QWidget, QWidget]] = []
        self._head: tuple[QWidget, ...] = ()
        self._narrow: bool | None = None
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(14)
        self._grid.setVerticalSpacing(3)

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme."""
        self._theme = theme
        self._arrange(force=True)

    def show_rows(self, rows: Sequence[ComparedFigure]) -> None:
        """Show compared figures."""
        for part in (*self._head, *(widget for line in self._parts for widget in line)):
            part.hide()
            part.deleteLater()
        self._rows = tuple(rows)
        axis = _Axis(self._theme)
        self._head = (
            text_label(tr("Figure"), "small"), text_label(tr("Old and new"), "small"), axis,
            text_label(tr("Difference, 95 of 100 within"), "small"),
        )
        self._parts = []
        for row, dot in zip(rows, dots_of(rows), strict=True):
            old = number_words(row.old.value, row.unit, named=False)
            new = number_words(row.new.value, row.unit)
            change = difference_words(*_ends(row), row.unit)
            title = tr(row.title)
            title = title[:1].upper() + title[1:]
            verdict = tr(VERDICT_WORDS.get(row.verdict, row.verdict))
            whisker = Whisker(self._theme)
            whisker.show_dot(dot, row.verdict, f"{title}: {verdict}, {change}")
            shape, tone = VERDICT_MARKS.get(row.verdict, ("ring", "neutral"))
            values = text_label(f"{old} → {new}")
            values.setToolTip(tr("Rests on {count} frames").format(count=row.new.n))
            chip = ChipLabel(self._theme, verdict, tone, shape)
            self._parts.append((wrapped(title), values, whisker, text_label(change, "quiet"), chip))
        for part in (*self._head, *(widget for line in self._parts for widget in line)):
            part.setParent(self)  # where it is narrow not all of them come into the grid
        self._arrange(force=True)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Take more lines a figure where it is narrow."""
        super().resizeEvent(event)
        self._arrange()

    def _needs(self) -> int:
        """Width at which each figure takes one line [display px]."""
        widest = [max((line[n].sizeHint().width() for line in self._parts), default=0) for n in (1, 3, 4)]
        widest[1] = max(widest[1], self._head[3].sizeHint().width() if self._head else 0)
        return sum(widest) + self._theme.font_px(TITLE_PX + WHISKER_PX) + 4 * self._grid.horizontalSpacing()

    def _arrange(self, *, force: bool = False) -> None:
        narrow = self.width() < self._needs()
        if narrow == self._narrow and not force:
            return
        self._narrow = narrow
        grid, right = self._grid, Qt.AlignmentFlag.AlignRight
        while grid.takeAt(0) is not None:
            pass
        figure, values_head, axis, change_head = self._head or (None, None, None, None)
        for part in (figure, values_head, change_head):
            if part is not None:
                part.setVisible(not narrow)
        for number, part in enumerate(self._head if not narrow else ()):
            grid.addWidget(part, 0, number)
        if narrow and axis is not None:
            grid.addWidget(axis, 0, 0, 1, 2)
        for column, stretch in enumerate((3, 0, 4, 0, 0) if not narrow else (1, 0, 0, 0, 0)):
            grid.setColumnStretch(column, stretch)
        grid.setVerticalSpacing(3 if narrow else 6)
        for number, (title, values, whisker, change, chip) in enumerate(self._parts):
            if narrow:
                line = 1 + 4 * number
                grid.addWidget(title, line, 0)
                grid.addWidget(chip, line, 1, right)
                grid.addWidget(values, line + 1, 0)
                grid.addWidget(change, line + 1, 1, right)
                grid.addWidget(whisker, line + 2, 0, 1, 2)
                grid.setRowMinimumHeight(line + 3, self._theme.font_px(8))
            else:
                for column, part in enumerate((title, values, whisker, change)):
                    grid.addWidget(part, 1 + number, column)
                grid.addWidget(chip, 1 + number, 4, Qt.AlignmentFlag.AlignLeft)
            for part in (title, values, whisker, change, chip):
                part.show()
        for line in range(1 + 4 * len(self._parts) if narrow else 1, grid.rowCount()):
            grid.setRowMinimumHeight(line, 0)
        self.setVisible(bool(self._parts))

    def words(self) -> list[str]:
        """Every row in words."""
        return [line[2].accessibleName() for line in self._parts]


def verdict_sentence(rows: Sequence[ComparedFigure]) -> str:
    """Say the whole comparison in one sentence."""
    better, worse = _counts(rows)
    if better and not worse:
        words = tr("The new model is better in {count} of {all} figures and worse in none.")
        one = tr("The new model is better in the only figure.")
        return (words if len(rows) > 1 else one).format(count=better, all=len(rows))
    if worse and not better:
        words = tr("The new model is worse in {count} of {all} figures and better in none.")
        one = tr("The new model is worse in the only figure.")
        return (words if len(rows) > 1 else one).format(count=worse, all=len(rows))
    if better and worse:
        words = tr("Of {all} figures the new model is better in {better} and worse in {worse}. Look at each.")
        return words.format(all=len(rows), better=better, worse=worse)
    return tr("No figure tells the two models apart. More held-out subjects would.")


def beside_sentence(name: str, rows: Sequence[ComparedFigure]) -> str:
    """Say in one sentence how a new model fares beside another one, which is named."""
    better, worse = _counts(rows)
    if better and not worse:
        words = tr("It is better than {model} in {count} of {all} figures and worse in none.")
        one = tr("It is better than {model} in the only figure.")
        return (words if len(rows) > 1 else one).format(model=name, count=better, all=len(rows))
    if worse and not better:
        words = tr("It is worse than {model} in {count} of {all} figures and better in none.")
        one = tr("It is worse than {model} in the only figure.")
        return (words if len(rows) > 1 else one).format(model=name, count=worse, all=len(rows))
    if better and worse:
        words = tr("Beside {model} it is worse in {worse} of {all} figures and better in {better}.")
        return words.format(model=name, worse=worse, better=better, all=len(rows))
    return tr("No figure tells it apart from {model}.").format(model=name)


def verdict_of_all(rows: Sequence[ComparedFigure]) -> str:
    """The verdict of a whole comparison: "worse" as soon as one figure is."""
    better, worse = _counts(rows)
    return "worse" if worse else "better" if better else "no clear difference"


def _counts(rows: Sequence[ComparedFigure]) -> tuple[int, int]:
    return sum(row.verdict == "better" for row in rows), sum(row.verdict == "worse" for row in rows)
