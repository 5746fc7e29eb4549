"""The few options of a plugin that its card offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QGridLayout, QLabel, QLineEdit, QWidget

from puncta.core.events import OptionStatus
from puncta.core.findings import finding_name
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import Switch, text_label
from puncta.gui.theme import Theme

Change = Callable[[str, Any], None]


class OptionRows(QWidget):
    """One row an option: a choice, a switch, or a number with its unit.

    Parameters
    ----------
    change : callable
        Takes an option's name and its new value; raises nothing.
    """

    def __init__(self, theme: Theme, change: Change, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._change = theme, change
        self.fields: dict[str, QWidget] = {}
        self._shown: dict[str, OptionStatus] = {}
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(5)
        self._grid.setColumnStretch(1, 1)

    def set_theme(self, theme: Theme) -> None:
        """New rows take this theme."""
        self._theme = theme

    def show_options(self, options: Sequence[OptionStatus]) -> None:
        """Show options and their values; a field being typed into is left alone."""
        for option in options:
            if option.name not in self.fields:
                self._make(option)
            if self._shown.get(option.name) != option:
                self._shown[option.name] = option
                self._fill(option)
        self.setVisible(bool(self.fields))

    def _make(self, option: OptionStatus) -> None:
        row = len(self.fields)
        name = text_label(tr(option.title), "quiet")
        field: QWidget
        if option.choices:
            field = self._choice(option)
        elif isinstance(option.value, bool):
            field = Switch(tr(option.title), self._theme)
            field.clicked.connect(lambda on: self._change(option.name, on))
        else:
            field = self._number(option)
        field.setAccessibleName(tr(option.title))
        name.setBuddy(field)
        self._grid.addWidget(name, row, 0)
        self._grid.addWidget(field, row, 1)
        if option.unit:
            self._grid.addWidget(_unit_label(option.unit), row, 2)
        self.fields[option.name] = field

    def _choice(self, option: OptionStatus) -> QComboBox:
        field = QComboBox()
        field.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        for choice in option.choices:
            field.addItem(tr(finding_name(str(choice))), choice)
        field.activated.connect(lambda place: self._change(option.name, option.choices[place]))
        return field

    def _number(self, option: OptionStatus) -> QLineEdit:
        field = QLineEdit()
        field.setPlaceholderText(tr("not entered"))
        field.setMaximumWidth(self._theme.control_px(110))
        field.setAlignment(Qt.AlignmentFlag.AlignRight)
        field.editingFinished.connect(lambda: self._typed(option, field))
        field.returnPressed.connect(field.clearFocus)
        return field

    def _typed(self, option: OptionStatus, field: QLineEdit) -> None:
        """Take a typed number over; what is no number in the range brings the old one back."""
        text = field.text().strip().replace(",", ".")
        try:
            value = float(text) if text else float(option.default)
        except ValueError:
            value = None
        least, most = option.least, option.most
        fits = value is not None and (least is None or value >= least) and (most is None or value <= most)
        if not fits:
            field.setText(_number_words(self._shown[option.name]))
            span = tr("A number from {least} to {most}").format(least=f"{least or 0:g}", most=f"{most or 0:g}")
            field.setToolTip(f"{span} {option.unit}".rstrip())
        elif value != self._shown[option.name].value:
            self._change(option.name, value)

    def _fill(self, option: OptionStatus) -> None:
        field = self.fields[option.name]
        if isinstance(field, QComboBox):
            field.setCurrentIndex(option.choices.index(option.value) if option.value in option.choices else -1)
        elif isinstance(field, Switch):
            field.setChecked(bool(option.value))
        elif isinstance(field, QLineEdit) and not field.hasFocus():
            field.setText(_number_words(option))


def _unit_label(unit: str) -> QLabel:
    return text_label(unit, "quiet")


def _number_words(option: OptionStatus) -> str:
    """The value, or nothing where it is the default: not entered."""
    return "" if option.value == option.default else f"{option.value:g}"
