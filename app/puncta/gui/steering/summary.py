"""The card at the end of an attempt: how it went, and what next."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QApplication, QFrame, QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.panels.parts import IconButton, ShapeMark, text_label
from puncta.gui.steering.words import end_words, event_line
from puncta.gui.theme import Theme
from puncta.sources.steering import SteeredView

NEXT = (("again", "Try again"), ("another", "Another subject"), ("save", "Save the moves"))


class SummaryCard(QFrame):
    """Lies over the lower part of the held picture."""

    def __init__(self, theme: Theme, act: Callable[[str], None], over: QWidget) -> None:
        super().__init__(over)
        self.setObjectName("popup")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName(tr("The attempt"))
        self._over, self._theme = over, theme
        self._mark = ShapeMark(theme)
        self.title = text_label(role="title")
        self.title.setWordWrap(True)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(24)
        self._grid.setVerticalSpacing(6)
        self._grid.setColumnStretch(0, 1)
        self.values: dict[str, str] = {}
        self._hits = text_label(role="quiet")
        self._hits.setWordWrap(True)
        self.buttons: dict[str, QPushButton] = {}
        row = QHBoxLayout()
        row.setSpacing(8)
        for name, words in NEXT:
            button = QPushButton(tr(words))
            button.clicked.connect(lambda _checked=False, name=name: act(name))
            self.buttons[name] = button
            row.addWidget(button)
        self.buttons["again"].setProperty("primary", "true")
        head = QHBoxLayout()
        head.setSpacing(10)
        head.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignVCenter)
        head.addWidget(self.title, 1)
        closer = IconButton("x", tr("Close this card"), theme)
        closer.clicked.connect(lambda: self.setVisible(False))
        head.addWidget(closer)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(12)
        column.addLayout(head)
        column.addLayout(self._grid)
        column.addWidget(self._hits)
        column.addWidget(text_label(tr("Simulated; measured from where the needle really is."), "small"))
        column.addLayout(row)
        over.installEventFilter(self)
        self.hide()

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme or font scale."""
        self._theme = theme
        self._settle()

    def show_view(self, view: SteeredView, keys: dict[str, str]) -> None:
        """Show how an attempt ended."""
        attempt, figures = view.attempt, view.attempt.summary
        if figures is None:
            return
        bad = [event for event in attempt.events if event.bad]
        clean = figures.end_in_target and not bad
        self.title.setText(end_words(attempt, figures))
        self._mark.set_mark("circle" if clean else "diamond", "good" if clean else "caution")
        rows = [
            (tr("Time"), "–" if figures.seconds is None else f"{figures.seconds:.1f} s"),
            (tr("Tip to target at the end"), _millimetres(figures.end_distance_mm)),
            (tr("Nearest to the target"), _millimetres(figures.nearest_mm)),
            (tr("Insertions"), str(figures.insertions)),
            (tr("Hits of what must not be hit"), str(len(bad))),
        ]
        fluid = sum(figures.injected_ml.values())
        if fluid > 0:
            rows.append((tr("Fluid injected"), f"{fluid:.1f} ml"))
        if figures.shots:
            rows.append((tr("Shots"), str(figures.shots)))
        self._fill(rows)
        self._hits.setText("\n".join(event_line(event, attempt.start_ns) for event in bad[:6]))
        self._hits.setVisible(bool(bad))
        self.buttons["again"].setToolTip(keys.get("attempt_again", ""))
        self.show()
        self._settle()
        self.raise_()
        self.buttons["again"].setFocus(Qt.FocusReason.OtherFocusReason)

    def setVisible(self, visible: bool) -> None:
        """Give the focus back to the picture when the card goes."""
        focus = QApplication.focusWidget()
        if not visible and focus is not None and self.isAncestorOf(focus):
            self._over.setFocus(Qt.FocusReason.OtherFocusReason)
        super().setVisible(visible)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay in its place."""
        if watched is self._over and event.type() is QEvent.Type.Resize and self.isVisible():
            self._settle()
        return False

    def _fill(self, rows: list[tuple[str, str]]) -> None:
        while self._grid.count():
            item = self._grid.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.values = dict(rows)
        for line, (name, value) in enumerate(rows):
            self._grid.addWidget(text_label(name, "quiet"), line, 0)
            self._grid.addWidget(text_label(value, "strong"), line, 1, Qt.AlignmentFlag.AlignRight)

    def _settle(self) -> None:
        self.adjustSize()
        width = max(self.width(), self._theme.font_px(360))
        width = min(width, self._over.width() - 16)
        self.resize(width, max(self.sizeHint().height(), self.heightForWidth(width)))
        area = self._over.rect()
        # Low, so that tip and target stay in sight.
        self.move(area.center().x() - self.width() // 2, max(8, area.bottom() - self.height() - 16))


def _millimetres(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} mm"
