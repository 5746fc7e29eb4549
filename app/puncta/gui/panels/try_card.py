"""Three things to try, shown at the first start until dismissed."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.panels.flow import FlowLayout
from puncta.gui.panels.parts import IconButton, text_label
from puncta.gui.theme import Theme

THINGS = (
    ("play", "pauses the picture"),
    ("hide_overlay", "held down hides the overlay"),
    ("target", "over the lesion sets a target"),
)


class TryCard(QWidget):
    """A quiet strip above the picture."""

    dismissed = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        card = QFrame()
        card.setObjectName("tryCard")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(12, 8, 12, 8)
        outer.addWidget(card)
        row = QHBoxLayout(card)
        row.setContentsMargins(14, 8, 8, 8)
        things = QWidget()
        flow = FlowLayout(things, gap=16, centred=True)
        flow.addWidget(text_label(tr("Three things to try"), "strong"))
        self._keys: dict[str, QLabel] = {}
        for action, words in THINGS:
            thing = QWidget()
            inner = QHBoxLayout(thing)
            inner.setContentsMargins(0, 0, 0, 0)
            inner.setSpacing(7)
            self._keys[action] = text_label(role="key")
            inner.addWidget(self._keys[action])
            inner.addWidget(text_label(tr(words), "quiet"))
            flow.addWidget(thing)
        row.addWidget(things, 1)
        closer = IconButton("x", tr("Close this card"), theme)
        closer.clicked.connect(self.dismissed)
        row.addWidget(closer)
        self._wanted = self._in_the_way = self._steering = self._labelling = False
        self.hide()

    def want(self, on: bool) -> None:
        """Show the card, as soon as no banner stands above the picture."""
        self._wanted = on
        self._settle()

    def give_way(self, on: bool) -> None:
        """Make room while a banner is shown: the picture owns the middle."""
        self._in_the_way = on
        self._settle()

    def set_steering(self, on: bool) -> None:
        """Stay away while a needle is steered: the card is about other things, and its keys do others there."""
        self._steering = on
        self._settle()

    def set_labelling(self, on: bool) -> None:
        """Stay away in Annotate for the same reason."""
        self._labelling = on
        self._settle()

    def _settle(self) -> None:
        elsewhere = self._in_the_way or self._steering or self._labelling
        self.setVisible(self._wanted and not elsewhere)

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Show the keys as they are set."""
        for action, label in self._keys.items():
            label.setText(words.get(action, ""))
