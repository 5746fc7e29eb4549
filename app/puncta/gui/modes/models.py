"""Models: what the page shows can be done by the buttons below it, each with its key; and what takes long."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from puncta.gui.i18n import tr
from puncta.gui.panels.parts import Bar, ElidedLabel, set_property
from puncta.gui.theme import Theme


@dataclass(frozen=True, slots=True)
class Verb:
    """A button: which action of the table it does, its words, whether it can be pressed, and why not."""

    action: str
    words: str
    primary: bool = False
    enabled: bool = True
    why: str = ""


class ModelsBar(QWidget):
    """What stands under the page in Models."""

    def __init__(self, theme: Theme, run: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._run = theme, run
        self._keys: Mapping[str, str] = {}
        self._verbs: tuple[Verb, ...] = ()
        self.buttons: dict[str, QPushButton] = {}
        self.words = ElidedLabel("", "quiet")
        self.bar = Bar(tr("Progress"), theme)
        self.bar.setFixedWidth(theme.font_px(110))
        self._verbs_box = QWidget()
        self._row = QHBoxLayout(self._verbs_box)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(8)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 16, 8)
        row.setSpacing(12)
        row.addWidget(self.bar)
        row.addWidget(self.words, 1)
        row.addWidget(self._verbs_box)
        self.say("")

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme."""
        self._theme = theme
        self.bar.setFixedWidth(theme.font_px(110))

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Name the keys in the tool tips."""
        self._keys = words
        self._name_keys()

    def say(self, words: str, share: float | None = None) -> None:
        """Say what goes on, with how far it is."""
        self.words.set_full(words)
        self.bar.set_value(share)
        self.bar.setVisible(share is not None)

    def show_verbs(self, verbs: Sequence[Verb]) -> None:
        """Show what can be done; a button that stays keeps the focus."""
        verbs = tuple(verbs)
        if verbs == self._verbs:
            return
        self._verbs = verbs
        wanted = [verb.action for verb in verbs]
        for action in [name for name in self.buttons if name not in wanted]:
            button = self.buttons.pop(action)
            button.hide()
            button.deleteLater()
        for number, verb in enumerate(verbs):
            button = self.buttons.get(verb.action) or self._make(verb.action)
            self._row.removeWidget(button)
            self._row.insertWidget(number, button)
            button.setText(verb.words)
            button.setAccessibleName(verb.words)
            button.setEnabled(verb.enabled)
            set_property(button, "primary", "true" if verb.primary else "false")
            button.show()
        self._name_keys()

    def can(self, action: str) -> bool:
        """Whether an action can be done on this page now."""
        return any(verb.action == action and verb.enabled for verb in self._verbs)

    def verbs(self) -> tuple[Verb, ...]:
        """What can be done here."""
        return self._verbs

    def refresh(self) -> None:
        """The player's state is of no account here."""

    def refresh_place(self) -> None:
        """Nor is the picture."""

    def _make(self, action: str) -> QPushButton:
        button = QPushButton()
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(lambda: self._run(action))
        self.buttons[action] = button
        return button

    def _name_keys(self) -> None:
        for verb in self._verbs:
            button = self.buttons[verb.action]
            key = self._keys.get(verb.action, "")
            button.setToolTip(verb.why or key)
            button.setAccessibleDescription(verb.why)
