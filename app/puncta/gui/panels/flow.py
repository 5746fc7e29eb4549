"""A layout that wraps: chips and keys stand in a row as long as there is room, then in the next."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtWidgets import QLayout, QLayoutItem, QWidget


class FlowLayout(QLayout):
    """Left to right, top to bottom; ``centred`` puts the rows into the middle of spare height."""

    def __init__(self, parent: QWidget | None = None, gap: int = 6, *, centred: bool = False) -> None:
        super().__init__(parent)
        self._entries: list[QLayoutItem] = []
        self._gap = gap
        self._centred = centred
        self.setContentsMargins(0, 0, 0, 0)

    def addItem(self, item: QLayoutItem) -> None:
        """Put an item at the end."""
        self._entries.append(item)

    def count(self) -> int:
        """Number of items."""
        return len(self._entries)

    def itemAt(self, index: int) -> QLayoutItem | None:
        """Item at a place, or None."""
        return self._entries[index] if 0 <= index < len(self._entries) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        """Take an item out."""
        return self._entries.pop(index) if 0 <= index < len(self._entries) else None

    def expandingDirections(self) -> Qt.Orientation:
        """Wants no more room than it needs."""
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:
        """A narrower place makes more rows."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Height of all rows [display px]."""
        return self._arrange(QRect(0, 0, width, 0), move=False)

    def setGeometry(self, rect: QRect) -> None:
        """Move the items to their places."""
        super().setGeometry(rect)
        if self._centred:
            spare = rect.height() - self.heightForWidth(rect.width())
            rect = rect.adjusted(0, max(0, spare // 2), 0, 0)
        self._arrange(rect, move=True)

    def sizeHint(self) -> QSize:
        """Smallest size."""
        return self.minimumSize()

    def minimumSize(self) -> QSize:
        """Room for the largest item."""
        size = QSize(0, 0)
        for entry in self._entries:
            widget = entry.widget()
            if widget is None or not widget.isHidden():
                size = size.expandedTo(entry.sizeHint())
        margins = self.contentsMargins()
        return size + QSize(margins.left() + margins.right(), margins.top() + margins.bottom())

    def _arrange(self, outer: QRect, *, move: bool) -> int:
        margins = self.contentsMargins()
        rect = outer.marginsRemoved(margins)
        x, y, row = rect.x(), rect.y(), 0
        for entry in self._entries:
            widget = entry.widget()
            if widget is not None and widget.isHidden():
                continue
            size = entry.sizeHint()
            if x > rect.x() and x + size.width() > rect.right() + 1:
                x, y, row = rect.x(), y + row + self._gap, 0
            if move:
                entry.setGeometry(QRect(QPoint(x, y), QSize(min(size.width(), rect.width()), size.height())))
            x += size.width() + self._gap
            row = max(row, size.height())
        return y + row - rect.y() + margins.top() + margins.bottom()
