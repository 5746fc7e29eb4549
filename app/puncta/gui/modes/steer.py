"""What stands under a steered picture: freeze, what the needle does, and the attempt's end."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from puncta.core.events import PlayState
from puncta.gui.desk import Desk
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import ChipLabel, ElidedLabel, text_label
from puncta.gui.steering.words import event_lines, where_words
from puncta.gui.theme import Theme
from puncta.sources.steering import SteeredView


class SteerBar(QWidget):
    """Buttons for those who steer by mouse alone; each has its key."""

    def __init__(
        self,
        desk: Desk,
        theme: Theme,
        run: Callable[[str], None],
        hold: Callable[[str, bool], object],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._desk, self._theme = desk, theme
        self.freeze = self._button(lambda: run("play"))
        self.where = ChipLabel(theme, tr("outside"), "neutral", "ring")
        self.last = ElidedLabel("", "quiet")
        self.clock = text_label("–", "strong")
        self.inject = QPushButton(tr("Inject"))
        self.inject.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.inject.pressed.connect(lambda: hold("needle_inject", True))
        self.inject.released.connect(lambda: hold("needle_inject", False))
        self.fire = self._button(lambda: run("needle_fire"), tr("Fire"))
        self.done = self._button(lambda: run("attempt_done"), tr("Done"))
        self.done.setProperty("primary", "true")
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 16, 8)
        row.setSpacing(12)
        row.addWidget(self.freeze)
        row.addWidget(self.where)
        row.addWidget(self.last, 1)
        row.addWidget(self.clock)
        for button in (self.inject, self.fire, self.done):
            row.addWidget(button)
        self.refresh()

    def _button(self, act: Callable[[], None], words: str = "") -> QPushButton:
        button = QPushButton(words)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(lambda: act())
        return button

    def set_theme(self, theme: Theme) -> None:
        """Tint the icon."""
        self._theme = theme
        self.refresh()

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Name the keys in the tool tips."""
        pairs = ((self.freeze, "play"), (self.inject, "needle_inject"), (self.fire, "needle_fire"),
                 (self.done, "attempt_done"))
        for button, action in pairs:
            button.setToolTip(words.get(action, ""))

    def show_view(self, view: SteeredView | None, *, can_fire: bool) -> None:
        """Follow the picture on the screen."""
        self.fire.setVisible(can_fire)
        if view is None:
            return
        words, tone, shape = where_words(view)
        self.where.set_chip(words, tone, shape)
        seconds = view.attempt.seconds
        clock = "–" if seconds is None else f"{seconds:.1f} s"
        if clock != self.clock.text():
            self.clock.setText(clock)
        self.last.set_full((event_lines(view.attempt) or [""])[-1])
        self.done.setEnabled(seconds is not None)

    def refresh_place(self) -> None:
        """Figures follow at a pace at which they can be read, by `show_view`."""

    def refresh(self) -> None:
        """Follow the player's state."""
        playing = self._desk.status.state is PlayState.PLAYING
        words = tr("Freeze") if playing else tr("Run")
        self.freeze.setText(f" {words}")
        self.freeze.setAccessibleName(words)
        self.freeze.setIconSize(self._theme.icon_size())
        self.freeze.setIcon(self._theme.icon("pause" if playing else "play", "text1"))
        self.freeze.setEnabled(self._desk.status.info is not None)
