"""Which simulated procedure to open."""

from __future__ import annotations

from PySide6.QtGui import QIntValidator
from PySide6.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QLineEdit, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.panels.parts import text_label
from puncta.gui.panels.source_panel import PROCEDURES


class SimulatorDialog(QDialog):
    """Procedure, machine and seed; `uri` puts them together."""

    def __init__(self, machines: list[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Open the simulator"))
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        words = text_label(tr("A virtual needle in simulated tissue. The same seed gives the same pictures."), "quiet")
        words.setWordWrap(True)
        column.addWidget(words)
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        self.procedure = QComboBox()
        for name, title in PROCEDURES.items():
            self.procedure.addItem(tr(title), name)
        self.machine = QComboBox()
        for name in machines:
            self.machine.addItem(name, name)
        self.seed = QLineEdit("1")
        self.seed.setValidator(QIntValidator(0, 999_999, self))
        for title, widget in (
            (tr("Procedure"), self.procedure),
            (tr("Machine"), self.machine),
            (tr("Seed"), self.seed),
        ):
            widget.setAccessibleName(title)
            form.addRow(title, widget)
        if not machines:
            form.setRowVisible(self.machine, False)
        column.addLayout(form)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel)
        buttons.button(QDialogButtonBox.StandardButton.Open).setText(tr("Open"))
        buttons.button(QDialogButtonBox.StandardButton.Cancel).setText(tr("Cancel"))
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)

    def uri(self) -> str:
        """URI of the simulator as chosen."""
        machine = self.machine.currentData()
        asked = f"seed={int(self.seed.text() or 1)}" + (f"&machine={machine}" if machine else "")
        return f"sim:{self.procedure.currentData()}?{asked}"
