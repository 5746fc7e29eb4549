"""One line why: a clip that is skipped, or a question about it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLineEdit, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.panels.parts import text_label


class ReasonDialog(QDialog):
    """Asks; `reason` is the answer."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setMinimumWidth(380)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        column.addWidget(text_label(title))
        self.line = QLineEdit()
        self.line.setAccessibleName(title)
        column.addWidget(self.line)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self._buttons.button(QDialogButtonBox.StandardButton.Ok).setText(tr("Keep"))
        self._buttons.button(QDialogButtonBox.StandardButton.Cancel).setText(tr("Cancel"))
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        column.addWidget(self._buttons)
        self.line.textChanged.connect(lambda _text: self._follow())
        self.line.setFocus(Qt.FocusReason.OtherFocusReason)
        self._follow()

    def reason(self) -> str:
        """The line, without blanks at its ends."""
        return self.line.text().strip()

    def _follow(self) -> None:
        self._buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(bool(self.reason()))
