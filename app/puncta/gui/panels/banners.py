"""Sentences above the picture that say what is wrong. What was merely done stands in the status line."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.panels.parts import IconButton, text_label
from puncta.gui.theme import Theme

ICONS = {"bad": "circle-alert", "caution": "triangle-alert", "good": "circle-check", "info": "info"}
TOKENS = {"bad": "bad", "caution": "caution", "good": "good", "info": "text2"}


class Banner(QFrame):
    """One sentence with an icon, at most one button, and a way to close it."""

    def __init__(
        self,
        theme: Theme,
        tone: str,
        text: str,
        close: Callable[[], None],
        action: tuple[str, Callable[[], None]] | None = None,
    ) -> None:
        super().__init__()
        self.setObjectName("banner")
        self.setProperty("tone", tone)
        self.setAccessibleName(text)
        self.text = text
        self._tone = tone
        self._mark = QLabel()
        words = text_label(text)
        words.setWordWrap(True)
        words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 6, 6)
        row.setSpacing(10)
        row.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(words, 1)
        if action is not None:
            button = QPushButton(action[0])
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(lambda: action[1]())
            row.addWidget(button)
        closer = IconButton("x", tr("Close this message"), theme)
        closer.clicked.connect(lambda: close())
        row.addWidget(closer)
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        """Tint the icon."""
        icon: QIcon = theme.icon(ICONS[self._tone], TOKENS[self._tone])
        self._mark.setPixmap(icon.pixmap(theme.icon_size()))


class BannerStack(QWidget):
    """All sentences that stand now, one for each topic; a newer one of the same topic replaces the older."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._banners: dict[str, Banner] = {}
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(12, 0, 12, 0)
        self._column.setSpacing(6)
        self.hide()

    def set_theme(self, theme: Theme) -> None:
        """New banners take this theme."""
        self._theme = theme

    def say(
        self,
        topic: str,
        tone: str,
        text: str,
        action: tuple[str, Callable[[], None]] | None = None,
    ) -> None:
        """Show a sentence.

        Parameters
        ----------
        topic : str
            What it is about.
        tone : str
            "bad", "caution", "good" or "info".
        """
        old = self._banners.get(topic)
        if old is not None and old.text == text:
            return
        self.hush(topic)
        banner = Banner(self._theme, tone, text, lambda: self.hush(topic), action)
        self._banners[topic] = banner
        self._column.addWidget(banner)
        self._column.setContentsMargins(12, 8, 12, 8)
        self.show()

    def hush(self, topic: str) -> None:
        """Take the sentence of a topic away."""
        banner = self._banners.pop(topic, None)
        if banner is not None:
            self._column.removeWidget(banner)
            banner.hide()
            banner.deleteLater()
        if not self._banners:
            self.hide()

    def texts(self) -> dict[str, str]:
        """Sentences that stand now, by topic."""
        return {topic: banner.text for topic, banner in self._banners.items()}
