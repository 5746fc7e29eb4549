"""Which simulated procedure to open, and who steers it."""

from __future__ import annotations

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from puncta.gui.i18n import tr
from puncta.gui.panels.parts import text_label
from puncta.gui.panels.source_panel import PROCEDURES
from puncta.sim.anatomy.options import VIEWS

VIEW_WORDS = {
    "short-axis": "Short axis",
    "long-axis": "Long axis",
    "longitudinal": "Longitudinal",
    "transverse": "Transverse",
    "radial": "Radial",
}
APPROACH_WORDS = {"in-plane": "In the picture's plane", "out-of-plane": "Across the plane"}

HANDS_WORDS = {"steer": "Steer it yourself", "watch": "Watch"}


class SimulatorDialog(QDialog):
    """Procedure, view, approach, machine, seed and who steers; `uri` puts them together."""

    def __init__(self, machines: list[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Open the simulator"))
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        words = text_label(tr("A virtual needle in simulated tissue. The same seed gives the same subject."), "quiet")
        words.setWordWrap(True)
        column.addWidget(words)
        self._form = QFormLayout()
        self._form.setHorizontalSpacing(16)
        self.procedure = _choice(PROCEDURES)
        self.view, self.approach = _choice({}), _choice(APPROACH_WORDS, tr("As usual"))
        self.machine = QComboBox()
        for name in machines:
            self.machine.addItem(name, name)
        self.seed = QLineEdit("1")
        self.seed.setMaxLength(24)
        self.seed_hint = text_label(tr("A whole number, 0 to 999999."), "small")
        self.seed_hint.setWordWrap(True)
        self.hands = _choice(HANDS_WORDS)
        for title, widget in (
            (tr("Procedure"), self.procedure),
            (tr("View"), self.view),
            (tr("Needle"), self.approach),
            (tr("Machine"), self.machine),
            (tr("Seed"), self.seed),
            (tr("Hands"), self.hands),
        ):
            widget.setAccessibleName(title)
            self._form.addRow(title, widget)
            if widget is self.seed:
                self._form.addRow("", self.seed_hint)
        if not machines:
            self._form.setRowVisible(self.machine, False)
        column.addLayout(self._form)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel)
        self.opener = buttons.button(QDialogButtonBox.StandardButton.Open)
        self.opener.setText(tr("Open"))
        buttons.button(QDialogButtonBox.StandardButton.Cancel).setText(tr("Cancel"))
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)
        self.procedure.currentIndexChanged.connect(lambda _index: self._offer_views())
        self.seed.textChanged.connect(lambda _text: self._check_seed())
        self._offer_views()
        self._check_seed()

    def uri(self) -> str:
        """URI of the simulator as chosen."""
        asked = [f"seed={seed_of(self.seed.text()) or 0}"]
        for key, box in (("machine", self.machine), ("view", self.view), ("approach", self.approach)):
            if box.currentData():
                asked.append(f"{key}={box.currentData()}")
        if self.hands.currentData() == "steer":
            asked.append("steer=yes")
        return f"sim:{self.procedure.currentData()}?{'&'.join(asked)}"

    def showEvent(self, event: QShowEvent) -> None:
        """Make room for the words as they are styled: bold on the button, and longer in other languages."""
        super().showEvent(event)
        for label in self.findChildren(QLabel):
            if not label.wordWrap():
                label.ensurePolished()
                label.setMinimumWidth(label.sizeHint().width() + 6)
        self.opener.setMinimumWidth(self.opener.sizeHint().width() + self.fontMetrics().averageCharWidth() * 2)
        self.setMinimumWidth(max(self.sizeHint().width(), self.fontMetrics().averageCharWidth() * 52))

    def accept(self) -> None:
        """Open; not with a seed that is none."""
        if seed_of(self.seed.text()) is not None:
            super().accept()

    def _check_seed(self) -> None:
        fine = seed_of(self.seed.text()) is not None
        self.opener.setEnabled(fine)
        self._form.setRowVisible(self.seed_hint, not fine)

    def _offer_views(self) -> None:
        views = VIEWS.get(self.procedure.currentData(), ())
        self.view.clear()
        self.view.addItem(tr("By the seed"), "")
        for name in views:
            self.view.addItem(tr(VIEW_WORDS.get(name, name)), name)
        self._form.setRowVisible(self.view, len(views) > 1)


def seed_of(text: str) -> int | None:
    """Return the seed that somebody wrote; None where it is no whole number from 0 to 999999."""
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 6 else None


def _choice(words: dict[str, str], first: str = "") -> QComboBox:
    box = QComboBox()
    if first:
        box.addItem(first, "")
    for name, title in words.items():
        box.addItem(tr(title), name)
    return box
