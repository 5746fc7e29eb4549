"""What the pages of Models are made of: a calm column, headings, sentences that wrap, facts, choices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QRadioButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from puncta.gui.panels.flow import FlowLayout
from puncta.gui.panels.parts import ChipLabel, ElidedLabel, ShapeMark, set_property, text_label
from puncta.gui.theme import Theme

NAME_CHARS = 30
"""Names of facts take another line beyond so many characters."""
COLUMN_PX = 880
"""A column of text is no wider than this, at a font scale of 1 [display px]."""


def wrapped(text: str = "", role: str = "") -> QLabel:
    """Return a label whose text takes as many lines as it needs."""
    label = text_label(text, role)
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
    label.setMinimumWidth(1)
    return label


def heading(words: str) -> QLabel:
    """Return the head of a section."""
    label = text_label(words.upper(), "head")
    label.setAccessibleName(words)
    label.setContentsMargins(0, 14, 0, 2)
    label.setWordWrap(True)
    return label


def choice_box(name: str) -> QComboBox:
    """Return a box to choose from, no wider than it has to be."""
    box = QComboBox()
    box.setAccessibleName(name)
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(28)
    return box


def empty(layout: QLayout) -> None:
    """Take everything out of a layout."""
    while (item := layout.takeAt(0)) is not None:
        widget, inner = item.widget(), item.layout()
        if widget is not None:
            widget.hide()
            widget.deleteLater()
        elif inner is not None:
            empty(inner)


class Page(QScrollArea):
    """A column of readable width that scrolls up and down, never sideways."""

    def __init__(self, theme: Theme, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme = theme
        self.setAccessibleName(name)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        inner = QWidget()
        around = QHBoxLayout(inner)
        around.setContentsMargins(24, 10, 24, 24)
        self.column_box = QWidget()
        self.column = QVBoxLayout(self.column_box)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(6)
        around.addWidget(self.column_box, 1)
        around.addStretch(0)
        self.setWidget(inner)
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme; the column grows with the text."""
        self.theme = theme
        self.column_box.setMaximumWidth(theme.font_px(COLUMN_PX))

    def bring_up(self) -> None:
        """Go to the top."""
        self.verticalScrollBar().setValue(0)


class Title(QWidget):
    """The name of what a page is about, and chips of its state."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self.name = wrapped("", "title")
        self.second = wrapped("", "quiet")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 6, 0, 2)
        column.setSpacing(4)
        column.addWidget(self.name)
        column.addWidget(self.second)
        self._chips = QWidget()
        self._flow = FlowLayout(self._chips, gap=6)
        column.addWidget(self._chips)

    def set_theme(self, theme: Theme) -> None:
        """New chips take this theme."""
        self._theme = theme

    def show_title(self, name: str, second: str, chips: Sequence[tuple[str, str, str]]) -> None:
        """Show a name, a quiet line below it, and chips: (words, tone, shape)."""
        self.name.setText(name)
        self.second.setText(second)
        self.second.setVisible(bool(second))
        empty(self._flow)
        for words, tone, shape in chips:
            chip = ChipLabel(self._theme, words, tone, shape)
            self._flow.addWidget(chip)
            chip.show()
        self._chips.setVisible(bool(chips))
        self._chips.updateGeometry()


class Facts(QWidget):
    """Names and values in two columns; long values wrap."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(20)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(1, 1)
        self.facts: tuple[tuple[str, str], ...] = ()
        self._whole: dict[str, str] = {}

    def show_facts(self, facts: Iterable[tuple[str, str]], whole: Mapping[str, str] | None = None) -> None:
        """Show pairs of name and value.

        Parameters
        ----------
        whole : mapping of str to str or None
            What stands behind a value that was cut short, by its name.
        """
        facts, behind_all = tuple(facts), dict(whole or {})
        if (facts, behind_all) == (self.facts, self._whole):
            return
        self.facts, self._whole = facts, behind_all
        empty(self._grid)
        for row, (name, value) in enumerate(facts):
            left, right = wrapped(name, "quiet"), wrapped(value)
            metrics = left.fontMetrics()
            left.setMinimumWidth(min(metrics.horizontalAdvance(name) + 2, metrics.averageCharWidth() * NAME_CHARS))
            right.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            behind = behind_all.get(name, "")
            right.setAccessibleName(f"{name}: {behind or value}")
            right.setToolTip(behind)
            self._grid.addWidget(left, row, 0, Qt.AlignmentFlag.AlignTop)
            self._grid.addWidget(right, row, 1, Qt.AlignmentFlag.AlignTop)
        self.setVisible(bool(facts))


class Notes(QWidget):
    """Sentences, each with a mark before it."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self.texts: tuple[str, ...] = ()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 2, 0, 0)
        self._column.setSpacing(5)
        self.hide()

    def set_theme(self, theme: Theme) -> None:
        """New marks take this theme."""
        self._theme = theme

    def show_notes(self, texts: Sequence[str], tone: str = "caution", shape: str = "diamond") -> None:
        """Show sentences."""
        if tuple(texts) == self.texts:
            return
        self.texts = tuple(texts)
        empty(self._column)
        for text in texts:
            line = QWidget()
            row = QHBoxLayout(line)
            row.setContentsMargins(0, 0, 0, 0)
            row.setSpacing(9)
            mark = QVBoxLayout()
            mark.setContentsMargins(0, self._theme.font_px(3), 0, 0)
            mark.addWidget(ShapeMark(self._theme, shape, tone))
            mark.addStretch(1)
            row.addLayout(mark)
            row.addWidget(wrapped(text), 1)
            self._column.addWidget(line)
        self.setVisible(bool(texts))


class Card(QFrame):
    """A raised box with a column."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(14, 11, 14, 12)
        self.column.setSpacing(5)


class Choice(QFrame):
    """One of several things to choose, in words: a radio button, a title, a sentence below it."""

    def __init__(self, title: str, second: str, take: Callable[[], None]) -> None:
        super().__init__()
        self.setObjectName("sourceRow")
        self.button = QRadioButton()
        self.button.setAccessibleName(title)
        self.button.setAccessibleDescription(second)
        self.button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.button.toggled.connect(self._follow)
        self._take = take
        words = QVBoxLayout()
        words.setSpacing(1)
        words.addWidget(wrapped(title, "strong"))
        if second:
            words.addWidget(wrapped(second, "small"))
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 6, 10, 7)
        row.setSpacing(8)
        row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Choose it, wherever it is clicked."""
        if event.button() is Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self.button.setChecked(True)

    def _follow(self, on: bool) -> None:
        set_property(self, "current", "true" if on else "false")
        if on:
            self._take()


class ListRow(QFrame):
    """A row of the list at the left: a mark, a title, a line below. Chosen by click, Enter, or the arrow keys.

    Once it is chosen it has no more use for Space, which then does what the page offers.
    """

    def __init__(self, theme: Theme, title: str, second: str, choose: Callable[[], None]) -> None:
        super().__init__()
        self._is_current = False
        self.setObjectName("sourceRow")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._choose = choose
        self.mark = ShapeMark(theme, "circle", "neutral")
        self._title, self._second = ElidedLabel(title), ElidedLabel(second, "small")
        words = QVBoxLayout()
        words.setSpacing(1)
        words.addWidget(self._title)
        words.addWidget(self._second)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 5, 8, 5)
        row.setSpacing(9)
        row.addWidget(self.mark, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addLayout(words, 1)
        self.show_words(title, second)

    def show_words(self, title: str, second: str, mark: tuple[str, str] | None = None) -> None:
        """Show other words, and a mark (shape, tone); None keeps its place free."""
        self._title.set_full(title)
        self._second.set_full(second)
        self._second.setVisible(bool(second))
        self.setAccessibleName(f"{title}, {second}" if second else title)
        policy = self.mark.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.mark.setSizePolicy(policy)
        self.mark.setVisible(mark is not None)
        if mark is not None:
            self.mark.set_mark(*mark)

    def set_current(self, current: bool) -> None:
        """Mark the row of what the page shows."""
        self._is_current = current
        set_property(self, "current", "true" if current else "false")

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Choose it."""
        if event.button() is Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self._choose()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Choose it by Enter or Space; the arrows go to the next row and choose that."""
        if event.key() in self._choosing():
            self._choose()
        elif event.key() in {Qt.Key.Key_Up, Qt.Key.Key_Down}:
            self._go(-1 if event.key() == Qt.Key.Key_Up else 1)
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        """While the row has the focus, these keys are its own."""
        own = {*self._choosing(), Qt.Key.Key_Up, Qt.Key.Key_Down}
        if (
            isinstance(event, QKeyEvent)
            and event.type() is QEvent.Type.ShortcutOverride
            and event.modifiers() == Qt.KeyboardModifier.NoModifier
            and event.key() in own
        ):
            event.accept()
            return True
        return super().event(event)

    def _choosing(self) -> set[Qt.Key]:
        keys = {Qt.Key.Key_Return, Qt.Key.Key_Enter}
        return keys if self._is_current else {*keys, Qt.Key.Key_Space}

    def _go(self, way: int) -> None:
        around = self.parentWidget()
        rows = [row for row in around.findChildren(ListRow) if not row.isHidden()] if around is not None else []
        rows.sort(key=lambda row: row.y())
        place = rows.index(self) + way if self in rows else -1
        if 0 <= place < len(rows):
            rows[place].setFocus(Qt.FocusReason.TabFocusReason)
            rows[place]._choose()
