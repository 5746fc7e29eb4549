"""Which other analysis of a recording to lay beside what is found now, and how it differs from the recorded one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QPlainTextEdit, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.panels.parts import text_label


class CompareDialog(QDialog):
    """Lists the analyses of a recording; `file` is the chosen one, None for "none"."""

    chosen = Signal(str)
    """Its file; whoever knows the table answers with `show_table`."""

    def __init__(
        self,
        analyses: Sequence[tuple[str, Path]],
        shown: Path | None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Compare analyses"))
        self.choices = QComboBox()
        self.choices.setAccessibleName(tr("Analysis to show beside"))
        self.choices.addItem(tr("None"), "")
        for words, file in analyses:
            self.choices.addItem(words, str(file))
        note = text_label(
            tr("What this analysis found is drawn dotted and green, beside what the plugins find now."), "strong"
        )
        note.setWordWrap(True)
        self.table = QPlainTextEdit()
        self.table.setReadOnly(True)
        self.table.setAccessibleName(tr("Differences from the recorded analysis"))
        self.table.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.button(QDialogButtonBox.StandardButton.Ok).setText(tr("Show"))
        buttons.button(QDialogButtonBox.StandardButton.Cancel).setText(tr("Cancel"))
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        column.addWidget(note)
        column.addWidget(self.choices)
        column.addWidget(self.table, 1)
        column.addWidget(buttons)
        self.resize(860, 320)
        self.choices.currentIndexChanged.connect(lambda _index: self.follow())
        at = self.choices.findData(str(shown)) if shown is not None else min(1, len(analyses))
        self.choices.setCurrentIndex(max(0, at))

    def file(self) -> Path | None:
        """The analysis that is chosen."""
        chosen = self.choices.currentData()
        return Path(chosen) if chosen else None

    def show_table(self, file: Path, text: str) -> None:
        """Show how an analysis differs, where it is still the chosen one."""
        if self.file() == file:
            self.table.setPlainText(text)

    def follow(self) -> None:
        """Ask for the table of the analysis that is chosen."""
        file = self.file()
        self.table.setPlainText("")
        if file is not None:
            self.chosen.emit(str(file))
