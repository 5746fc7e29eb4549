"""Sentences above the picture that say what is wrong. What was merely done stands in the status line."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.panels.parts import IconButton, text_label
from puncta.gui.theme import Theme

ICONS = {"bad": "circle-alert", "caution": "triangle-alert", "good": "circle-check", "info": "info"}
RANKS = ("bad", "caution", "info", "good")
"""Worst first."""
LONGEST_TEXT = 320
"""Characters of a banner; what is longer stands whole in its tool tip."""
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
        words = text_label(text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…")
        words.setToolTip(text if len(text) > LONGEST_TEXT else "")
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
        self._place = text_label(role="small")
        self._place.hide()
        row.addWidget(self._place)
        closer = IconButton("x", tr("Close this message"), theme)
        closer.clicked.connect(lambda: close())
        row.addWidget(closer)
        self.set_theme(theme)

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return RANKS.index(self._tone)

    def set_count(self, count: int) -> None:
        """Say how many sentences stand, this one among them."""
        self._place.setText(tr("1 of {count}").replace("{count}", str(count)))
        self._place.setVisible(count > 1)

    def set_theme(self, theme: Theme) -> None:
        """Tint the icon."""
        icon: QIcon = theme.icon(ICONS[self._tone], TOKENS[self._tone])
        self._mark.setPixmap(icon.pixmap(theme.icon_size()))


class BannerStack(QWidget):
    """All sentences that stand now, one for each topic; a newer one of the same topic replaces the older.

    The picture owns the middle, so one sentence is shown at a time: the worst, then the oldest. Closing it shows the
    next.
    """

    standing = Signal(bool)

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
        self._show_worst()

    def hush(self, topic: str) -> None:
        """Take the sentence of a topic away."""
        banner = self._banners.pop(topic, None)
        if banner is not None:
            self._column.removeWidget(banner)
            banner.hide()
            banner.deleteLater()
        self._show_worst()

    def _show_worst(self) -> None:
        shown = min(self._banners.values(), key=lambda banner: banner.rank, default=None)
        for banner in self._banners.values():
            banner.set_count(len(self._banners))
            banner.setVisible(banner is shown)
        self.setVisible(shown is not None)
        self.standing.emit(shown is not None)

    def texts(self) -> dict[str, str]:
        """Sentences that stand now, by topic."""
        return {topic: banner.text for topic, banner in self._banners.items()}
