"""The keys that work here, and what is open."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget

from puncta.gui.i18n import tr
from puncta.gui.panels.parts import ElidedLabel, text_label

MESSAGE_MS = 10_000


class _Hint(QWidget):
    def __init__(self, key: str, words: str) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 8, 0)
        row.setSpacing(6)
        row.addWidget(text_label(key, "key"))
        row.addWidget(text_label(words, "small"))


class _HintRow(QWidget):
    """Hints from the left; those that do not fit are left out whole."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._hints: list[_Hint] = []

    def set_hints(self, hints: Sequence[tuple[str, str]]) -> None:
        for hint in self._hints:
            hint.hide()
            hint.deleteLater()
        self._hints = [_Hint(key, words) for key, words in hints]
        for hint in self._hints:
            hint.setParent(self)
        self.arrange()

    def arrange(self) -> None:
        x, tallest = 0, 0
        for hint in self._hints:
            hint.adjustSize()
            fits = x + hint.width() <= self.width()
            hint.setVisible(fits)
            hint.move(x, max(0, (self.height() - hint.height()) // 2))
            tallest = max(tallest, hint.sizeHint().height())
            x = x + hint.width() if fits else 1 << 20
        self.setMinimumHeight(tallest)

    def resizeEvent(self, _event: object) -> None:
        self.arrange()


class StatusLine(QWidget):
    """Lowest line of the window."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("statusLine")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._hints = _HintRow()
        self._case = ElidedLabel(role="small")
        self._case.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._work = text_label(role="small")
        self._work.hide()
        self._message = ElidedLabel(role="strong")
        self._button = QPushButton()
        self._button.setAccessibleName(tr("Show folder"))
        self._button.setProperty("slim", "true")
        self._button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._button.clicked.connect(lambda: self._act())
        self._act: Callable[[], object] = lambda: None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(MESSAGE_MS)
        self._timer.timeout.connect(self.hush)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 4, 16, 4)
        row.setSpacing(16)
        row.addWidget(self._hints, 3)
        row.addWidget(self._message, 3)
        row.addWidget(self._button)
        row.addWidget(self._work)
        row.addWidget(self._case, 1)
        self.hush()

    def say(self, text: str, action: tuple[str, Callable[[], object]] | None = None) -> None:
        """Show what was done, in place of the keys, for some seconds. The picture does not move for it."""
        self._message.set_full(text)
        self._hints.hide()
        self._message.show()
        self._button.setVisible(action is not None)
        if action is not None:
            self._button.setText(action[0])
            self._act = action[1]
        self._timer.start()

    def hush(self) -> None:
        """Show the keys again."""
        self._timer.stop()
        self._message.set_full("")
        self._message.hide()
        self._button.hide()
        self._hints.show()

    @property
    def message(self) -> str:
        """What was said last, while it stands."""
        return self._message.full()

    def set_hints(self, hints: Sequence[tuple[str, str]]) -> None:
        """Show (key, words) pairs."""
        self._hints.set_hints(hints)
        self.setAccessibleName(tr("Keys that work here"))

    def set_theme(self, _theme: object) -> None:
        """The font may have grown: arrange again."""
        self._hints.arrange()

    def set_work(self, text: str) -> None:
        """Say quietly what goes on behind, in every mode; nothing takes it away."""
        self._work.setText(text)
        self._work.setVisible(bool(text))

    @property
    def work(self) -> str:
        """What goes on behind."""
        return self._work.text()

    def set_case(self, text: str) -> None:
        """Name what is open."""
        self._case.set_full(text)
