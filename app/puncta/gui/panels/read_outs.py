"""Figures below the picture, never on it: each with its doubt and what it is measured from."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QBoxLayout, QWidget

from puncta.core.overlay import ReadOut
from puncta.gui.i18n import numbers, tr
from puncta.gui.panels.flow import FlowLayout
from puncta.gui.panels.parts import set_property, text_label
from puncta.gui.theme import Theme

EXPECTED = ("Angle", "Tip depth")
"""Shown with a dash before the first result, so that the strip does not jump."""


class ReadOutTile(QWidget):
    """One figure."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = text_label(role="readName")
        self._value = text_label("–", "readValue")
        self._basis = text_label(role="readBasis")
        self._box = QBoxLayout(QBoxLayout.Direction.TopToBottom, self)
        self._box.setContentsMargins(0, 0, 18, 0)
        for label in (self._name, self._value, self._basis):
            self._box.addWidget(label)
        self._box.addStretch(1)
        self.set_inline(False)

    def set_inline(self, inline: bool) -> None:
        """Put name and figure beside each other, to save height; the basis then stands in the tool tip."""
        self._inline = inline
        directions = QBoxLayout.Direction
        self._box.setDirection(directions.LeftToRight if inline else directions.TopToBottom)
        self._box.setSpacing(10 if inline else 0)

    def show_read_out(self, read_out: ReadOut | None, name: str, size: str) -> None:
        """Show a figure, or its name with a dash."""
        value = "–" if read_out is None else read_out.text()
        basis = "" if read_out is None else tr(read_out.basis)
        for label, text in ((self._name, tr(name).upper()), (self._value, numbers(value)), (self._basis, basis)):
            if label.text() != text:
                label.setText(text)
            set_property(label, "big", size)
        self._basis.setVisible(bool(basis) and not self._inline)
        self.setToolTip(basis)
        spoken = f"{tr(name)}: {value}"
        if self.accessibleName() != spoken:
            self.setAccessibleName(spoken)
        # A figure must not push its neighbours about while it changes: the tile only ever grows.
        widths = [label.sizeHint().width() for label in (self._name, self._value)]
        wanted = (sum(widths) + 28) if self._inline else max(widths) + 18
        if wanted > self.minimumWidth():
            self.setMinimumWidth(wanted)

    def relax(self) -> None:
        """Forget the width it has grown to."""
        self.setMinimumWidth(0)


class ReadOutStrip(QWidget):
    """The figures of the picture on the screen, in a row."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("readOuts")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName(tr("Read-outs"))
        self._theme = theme
        self._tiles: list[ReadOutTile] = []
        self._size = ""
        self._inline = False
        self._last: tuple[ReadOut, ...] = ()
        self._flow = FlowLayout(self, gap=8)
        self._flow.setContentsMargins(16, 6, 16, 8)
        self.show_read_outs(())

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme or font scale."""
        self._theme = theme
        self._relax()

    def set_size(self, size: str) -> None:
        """Choose "" (review), "live" or "far" (to be read two metres away)."""
        if size != self._size:
            self._size = size
            self._relax()

    def set_inline(self, inline: bool) -> None:
        """Use one line instead of three."""
        if inline != self._inline:
            self._inline = inline
            for tile in self._tiles:
                tile.set_inline(inline)
            self._flow.setContentsMargins(16, 2 if inline else 6, 16, 2 if inline else 8)
            self._relax()

    def show_read_outs(self, read_outs: Sequence[ReadOut]) -> None:
        """Show figures; where there are none, the usual ones with a dash."""
        self._last = tuple(read_outs)
        shown: list[tuple[str, ReadOut | None]] = [(entry.name, entry) for entry in read_outs]
        shown = shown or [(name, None) for name in EXPECTED]
        while len(self._tiles) < len(shown):
            tile = ReadOutTile(self)
            tile.set_inline(self._inline)
            self._tiles.append(tile)
            self._flow.addWidget(tile)
        for i, tile in enumerate(self._tiles):
            tile.setVisible(i < len(shown))
            if i < len(shown):
                tile.show_read_out(shown[i][1], shown[i][0], self._size)

    def _relax(self) -> None:
        for tile in self._tiles:
            tile.relax()
        self.show_read_outs(self._last)
