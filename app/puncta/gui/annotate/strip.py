"""Below the picture: what the frame's label is and who made it, with accept, fix and reject beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from puncta.gui.annotate.adjudication_scene import A_MARK, A_TOKEN, B_MARK, B_TOKEN
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import ChipLabel, ElidedLabel, ShapeMark, set_property, text_label
from puncta.gui.theme import Theme


class ProposalStrip(QWidget):
    """Keeps its height, so that the picture does not move from frame to frame."""

    def __init__(self, theme: Theme, run: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("readOuts")
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 6, 16, 6)
        row.setSpacing(10)
        self.mark = ShapeMark(theme, "ring", "neutral")
        row.addWidget(self.mark)
        self.words = ElidedLabel("", "quiet", at_end=True)  # who made it stands first
        row.addWidget(self.words, 1)
        self.fix = text_label(tr("Drag to fix"), "small")
        self.buttons: dict[str, QPushButton] = {}
        for action, words in (("accept", tr("Accept")), ("reject", tr("Reject"))):
            button = QPushButton(words)
            button.setFocusPolicy(button.focusPolicy().TabFocus)
            button.clicked.connect(lambda _checked=False, action=action: run(action))
            self.buttons[action] = button
        row.addWidget(self.buttons["accept"])
        row.addWidget(self.fix)
        row.addWidget(self.buttons["reject"])
        self.legend = (ChipLabel(theme, "", A_TOKEN, A_MARK), ChipLabel(theme, "", B_TOKEN, B_MARK))
        for chip in self.legend:
            row.addWidget(chip)
            chip.hide()

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme."""
        self.mark.set_theme(theme)
        for chip in self.legend:
            chip.set_theme(theme)
            chip.mark.set_theme(theme)

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Name the keys on the buttons."""
        for action, title in (("accept", tr("Accept")), ("reject", tr("Reject"))):
            key = words.get(action, "")
            self.buttons[action].setText(f"{title}  {key}" if key else title)
            self.buttons[action].setAccessibleName(title)

    def show_legend(self, readers: tuple[str, str] | None) -> None:
        """Name the two readers by shape and colour in place of the buttons; None brings these back."""
        for chip, name in zip(self.legend, readers or ("", "")):
            chip.set_chip(name, chip.mark.tone, chip.mark.shape)
            chip.setVisible(readers is not None)
        for button in self.buttons.values():
            button.setVisible(readers is None)
        if readers is not None:
            self.fix.hide()

    def show_state(self, words: str, shape: str, tone: str, *, proposed: bool) -> None:
        """Say what the frame's label is; the buttons work where something is proposed."""
        self.words.set_full(words)
        self.mark.set_mark(shape, tone)
        for button in self.buttons.values():
            button.setEnabled(proposed)
        set_property(self.buttons["accept"], "primary", "true" if proposed else "false")
        self.fix.setVisible(proposed and not self.legend[0].isVisibleTo(self))
