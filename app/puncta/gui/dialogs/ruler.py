"""How long the line between two points is, in millimetres."""

from __future__ import annotations

from PySide6.QtCore import QLocale, Qt
from PySide6.QtGui import QDoubleValidator
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.panels.parts import text_label

LIMITS_MM = (0.1, 500.0)


class RulerDialog(QDialog):
    """Asks for the true distance; `mm_per_px` is the answer."""

    def __init__(self, length_px: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Two-point ruler"))
        self._length_px = length_px
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        words = text_label(
            tr(
                "The line is {length:.0f} px long. How long is it in millimetres? Depth marks beside the picture tell."
            ).format(length=length_px)
        )
        words.setWordWrap(True)
        column.addWidget(words)
        row = QHBoxLayout()
        self.distance = QLineEdit()
        self.distance.setAccessibleName(tr("Distance in millimetres"))
        self.distance.setPlaceholderText("10")
        check = QDoubleValidator(LIMITS_MM[0], LIMITS_MM[1], 2, self)
        check.setNotation(QDoubleValidator.Notation.StandardNotation)
        self.distance.setValidator(check)
        row.addWidget(self.distance, 1)
        row.addWidget(text_label("mm"))
        column.addLayout(row)
        self._result = text_label(" ", "small")
        column.addWidget(self._result)
        note = text_label(tr("Kept for this source. The same scale is used along both axes."), "small")
        note.setWordWrap(True)
        column.addWidget(note)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self._buttons.button(QDialogButtonBox.StandardButton.Ok).setText(tr("Calibrate"))
        self._buttons.button(QDialogButtonBox.StandardButton.Cancel).setText(tr("Cancel"))
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        column.addWidget(self._buttons)
        self.distance.textChanged.connect(lambda _text: self._follow())
        self.distance.setFocus(Qt.FocusReason.OtherFocusReason)
        self._follow()

    def mm_per_px(self) -> float | None:
        """Millimetres per pixel, or None while the distance is not usable."""
        value, ok = QLocale().toDouble(self.distance.text())
        if not ok:
            value, ok = QLocale.c().toDouble(self.distance.text())
        return value / self._length_px if ok and LIMITS_MM[0] <= value <= LIMITS_MM[1] and self._length_px > 0 else None

    def _follow(self) -> None:
        scale = self.mm_per_px()
        self._buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(scale is not None)
        self._result.setText(" " if scale is None else f"{scale:.3g} mm/px")
