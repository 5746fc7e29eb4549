"""What of a recorded case to write, and where to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtWidgets import (
    QCheckBox,
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


@dataclass(frozen=True, slots=True)
class ExportChoice:
    """What was chosen.

    Attributes
    ----------
    results : Path or None
        Another analysis than the recorded one.
    """

    folder: Path
    results: Path | None
    burned: bool
    raw: bool
    dicom: bool
    pictures: bool
    table: bool


class ExportDialog(QDialog):
    """Asks what to export; while it is being written it shows how far that is, and Cancel stops it.

    Parameters
    ----------
    hidden : str
        Why there are findings that may not be seen; empty where none are kept from anybody.
    """

    def __init__(
        self,
        folder: Path,
        analyses: Sequence[tuple[str, Path | None]],
        parent: QWidget | None = None,
        *,
        hidden: str = "",
    ) -> None:
        super().__init__(parent)
        self._why_none = hidden or tr("Nothing was found with this case; record it with plugins on.")
        self.setWindowTitle(tr("Export this case"))
        self.burned = QCheckBox(tr("Film with the overlay burned in (MP4)"))
        self.raw = QCheckBox(tr("Film without the overlay (MP4)"))
        self.dicom = QCheckBox(tr("DICOM cine, labelled as training, without loss"))
        self.pictures = QCheckBox(tr("Single pictures without loss (PNG)"))
        self.table = QCheckBox(tr("Table of what was found (CSV)"))
        self.analysis = QComboBox()
        self.analysis.setAccessibleName(tr("Findings"))
        for words, file in analyses:
            self.analysis.addItem(words, str(file) if file is not None else "")
        self.folder = QLineEdit(str(folder))
        self.folder.setAccessibleName(tr("Folder"))
        browse = QPushButton(tr("Choose"))
        browse.clicked.connect(self._browse)
        self._note = text_label(
            tr("The recording stays as it is. Every file says that it is for simulation and training only."), "small"
        )
        self._note.setWordWrap(True)
        if hidden:
            self._note.setText(f"{hidden}\n{self._note.text()}")
        self.progress = QProgressBar()
        self.progress.setAccessibleName(tr("Progress"))
        self.progress.hide()
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self.go = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        self.go.setText(tr("Export"))
        self.buttons.button(QDialogButtonBox.StandardButton.Cancel).setText(tr("Cancel"))
        self._lay_out(browse, with_findings=bool(analyses))
        self.burned.setChecked(bool(analyses))
        self.raw.setChecked(not analyses)
        for box in self.boxes:
            box.toggled.connect(lambda _on: self._follow())
        self.folder.textChanged.connect(lambda _text: self._follow())
        self._follow()

    @property
    def boxes(self) -> tuple[QCheckBox, ...]:
        """Everything that can be asked for."""
        return (self.burned, self.raw, self.dicom, self.pictures, self.table)

    def choice(self) -> ExportChoice:
        """What is chosen now."""
        file = self.analysis.currentData()
        return ExportChoice(
            Path(self.folder.text().strip()),
            Path(file) if file else None,
            *(box.isChecked() for box in self.boxes),
        )

    def show_progress(self, done: int, total: int) -> None:
        """Show how far it is; what was chosen stands still meanwhile."""
        for widget in (*self.boxes, self.analysis, self.folder, self.go):
            widget.setEnabled(False)
        self.progress.show()
        self.progress.setMaximum(max(1, total))
        self.progress.setValue(done)

    def say(self, words: str) -> None:
        """Say what went wrong, and let everything be chosen anew."""
        self._note.setText(words)
        self.progress.hide()
        for widget in (*self.boxes, self.analysis, self.folder):
            widget.setEnabled(True)
        if self.analysis.count() == 0:
            self._bar_findings()
        self._follow()

    def _lay_out(self, browse: QPushButton, *, with_findings: bool) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(10)
        for box in self.boxes:
            column.addWidget(box)
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        if with_findings:
            form.addRow(tr("Findings"), self.analysis)
        else:
            self.analysis.hide()
            self._bar_findings()
        row = QHBoxLayout()
        row.addWidget(self.folder, 1)
        row.addWidget(browse)
        form.addRow(tr("Folder"), row)
        column.addLayout(form)
        column.addWidget(self._note)
        column.addWidget(self.progress)
        column.addWidget(self.buttons)
        self.setMinimumWidth(self.fontMetrics().averageCharWidth() * 72)

    def _bar_findings(self) -> None:
        """Without findings there is nothing to burn in and no table."""
        for box in (self.burned, self.table):
            box.setEnabled(False)
            box.setToolTip(self._why_none)

    def _browse(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, tr("Folder"), self.folder.text())
        if chosen:
            self.folder.setText(chosen)

    def _follow(self) -> None:
        self.go.setEnabled(any(box.isChecked() for box in self.boxes) and bool(self.folder.text().strip()))
