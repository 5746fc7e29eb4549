"""As which format labels go out, and where to."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from puncta.gui.i18n import tr
from puncta.gui.panels.parts import text_label

KIND_WORDS = {
    "dataset": "Dataset of Puncta, for training and evaluation",
    "coco": "COCO",
    "yolo": "YOLO",
    "mot": "MOT",
    "masks": "Masks (PNG)",
    "csv": "Table (CSV)",
}


class LabelExportDialog(QDialog):
    """Asks; while labels are written it shows how far that is. `kind` and `folder` are the answers."""

    def __init__(self, title: str, folder: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setMinimumWidth(460)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        self.kinds = QComboBox()
        self.kinds.setAccessibleName(tr("Format"))
        for kind, words in KIND_WORDS.items():
            self.kinds.addItem(tr(words), kind)
        self.line = QLineEdit(str(folder))
        self.line.setAccessibleName(tr("New folder"))
        browse = QPushButton(tr("Choose"))
        browse.clicked.connect(self._browse)
        row = QHBoxLayout()
        row.addWidget(self.line, 1)
        row.addWidget(browse)
        form = QFormLayout()
        form.addRow(tr("Format"), self.kinds)
        form.addRow(tr("New folder"), row)
        column.addLayout(form)
        self.note = text_label(tr("Confirmed labels go out, with the key of every frame."), "small")
        self.note.setWordWrap(True)
        column.addWidget(self.note)
        self.progress = QProgressBar()
        self.progress.setAccessibleName(tr("Progress"))
        self.progress.setRange(0, 0)
        self.progress.hide()
        column.addWidget(self.progress)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self.go = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        self.go.setText(tr("Export"))
        self.buttons.button(QDialogButtonBox.StandardButton.Cancel).setText(tr("Cancel"))
        self.buttons.rejected.connect(self.reject)
        column.addWidget(self.buttons)

    @property
    def kind(self) -> str:
        """The format."""
        return str(self.kinds.currentData())

    @property
    def folder(self) -> Path:
        """The folder to be made."""
        return Path(self.line.text().strip())

    def show_busy(self, busy: bool, trouble: str = "") -> None:
        """Labels are being written, or that has ended in trouble."""
        self.progress.setVisible(busy)
        self.go.setEnabled(not busy)
        if trouble:
            self.note.setText(trouble)

    def _browse(self) -> None:
        parent = QFileDialog.getExistingDirectory(self, tr("Choose"), str(self.folder.parent))
        if parent:
            self.line.setText(str(Path(parent) / self.folder.name))
