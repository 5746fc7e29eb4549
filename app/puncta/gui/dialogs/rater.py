"""Who is labelling: asked once, kept in the settings, written on every label."""

from __future__ import annotations

from PySide6.QtCore import QRegularExpression, Qt
from PySide6.QtGui import QRegularExpressionValidator
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLineEdit, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.panels.parts import text_label

LONGEST = 40


class RaterDialog(QDialog):
    """Asks for a short name; `rater` is the answer."""

    def __init__(self, rater: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Who is labelling?"))
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        words = text_label(
            tr("Every label keeps who made it. Initials or a code will do; the name is asked once and remembered.")
        )
        words.setWordWrap(True)
        column.addWidget(words)
        self.name = QLineEdit(rater)
        self.name.setAccessibleName(tr("Rater"))
        self.name.setPlaceholderText("AN-1")
        self.name.setMaxLength(LONGEST)
        # "model:" in front is how a machine signs.
        self.name.setValidator(QRegularExpressionValidator(QRegularExpression(r"[^\s:][^:]*"), self))
        column.addWidget(self.name)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self._buttons.button(QDialogButtonBox.StandardButton.Ok).setText(tr("Begin"))
        self._buttons.button(QDialogButtonBox.StandardButton.Cancel).setText(tr("Cancel"))
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        column.addWidget(self._buttons)
        self.name.textChanged.connect(lambda _text: self._follow())
        self.name.setFocus(Qt.FocusReason.OtherFocusReason)
        self._follow()

    def rater(self) -> str:
        """The name, without blanks at its ends."""
        return self.name.text().strip()

    def _follow(self) -> None:
        self._buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(bool(self.rater()))
