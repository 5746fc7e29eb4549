"""The protocol sheet of a label set: how labels are meant, beside the work."""

from __future__ import annotations

from PySide6.QtWidgets import QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from puncta.formats.label_sets import LabelSet
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import text_label


class ProtocolDialog(QDialog):
    """Shows the sheet, line by line."""

    def __init__(self, label_set: LabelSet, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Protocol sheet"))
        self.setMinimumWidth(460)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(10)
        column.addWidget(text_label(tr(label_set.title), "title"))
        for number, line in enumerate(label_set.protocol, 1):
            words = text_label(f"{number}.  {tr(line)}")
            words.setWordWrap(True)
            column.addWidget(words)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setText(tr("Close"))
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)
