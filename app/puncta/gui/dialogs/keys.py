"""All keys, each of which can be changed."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QKeySequenceEdit,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from puncta.gui.actions import ACTIONS, KEY_SETS, SPECS, find_conflict, keys_of
from puncta.gui.dialogs.pedals import PedalRows
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import IconButton, text_label
from puncta.gui.preferences import Preferences
from puncta.gui.theme import Theme


class KeysDialog(QDialog):
    """Key set, search, and one field an action. Changes count at once."""

    def __init__(self, preferences: Preferences, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("All keys"))
        self._preferences, self._theme = preferences, theme
        self.fields: dict[str, QKeySequenceEdit] = {}
        self._rows: dict[str, tuple[QWidget, ...]] = {}
        self._resets: dict[str, IconButton] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(10)
        head = QHBoxLayout()
        self.search = QLineEdit()
        self.search.setPlaceholderText(tr("Search"))
        self.search.setAccessibleName(tr("Search"))
        self.search.textChanged.connect(self._filter)
        self.key_set = QComboBox()
        self.key_set.setAccessibleName(tr("Key set"))
        self.key_set.addItems(list(KEY_SETS))
        self.key_set.setCurrentText(preferences.settings.key_set)
        self.key_set.activated.connect(lambda i: self._choose_set(KEY_SETS[i]))
        head.addWidget(self.search, 1)
        head.addWidget(text_label(tr("Key set"), "quiet"))
        head.addWidget(self.key_set)
        column.addLayout(head)
        self._note = text_label(" ", "small")
        self._note.setWordWrap(True)
        content = QWidget()
        grid = QGridLayout(content)
        grid.setContentsMargins(0, 0, 12, 0)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(0, 1)
        line, group = 0, ""
        for spec in ACTIONS:
            if spec.group != group:
                group = spec.group
                title = text_label(tr(group).upper(), "head")
                title.setContentsMargins(0, 10, 0, 2)
                grid.addWidget(title, line, 0, 1, 4)
                line += 1
            self._add_row(grid, line, spec.id)
            line += 1
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(content)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column.addWidget(area, 1)
        self.pedals = PedalRows(preferences, theme)
        column.addWidget(self.pedals)
        column.addWidget(self._note)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setText(tr("Close"))
        back = buttons.addButton(tr("All back to the key set"), QDialogButtonBox.ButtonRole.ResetRole)
        back.clicked.connect(self._reset_all)
        for button in buttons.buttons():
            if isinstance(button, QPushButton):
                button.setAutoDefault(False)
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)
        room = parent.height() - 48 if parent is not None else 10_000
        self.resize(theme.font_px(540), min(room, theme.font_px(620)))
        self._show_keys()

    def _add_row(self, grid: QGridLayout, line: int, name: str) -> None:
        words = tr(SPECS[name].words)
        label = QLabel(words)
        label.setWordWrap(True)
        field = QKeySequenceEdit()
        field.setMaximumSequenceLength(1)
        field.setAccessibleName(tr("Key for: {action}").format(action=words))
        field.setMinimumWidth(self._theme.font_px(150))
        field.editingFinished.connect(lambda: self._take(name))
        reset = IconButton("rotate-ccw", tr("Back to the key set: {action}").format(action=words), self._theme)
        reset.clicked.connect(lambda: self._reset(name))
        clear = IconButton("x", tr("Take the key away: {action}").format(action=words), self._theme)
        clear.clicked.connect(lambda: self._clear(name))
        for column, widget in enumerate((label, field, clear, reset)):
            grid.addWidget(widget, line, column)
        self.fields[name], self._resets[name] = field, reset
        self._rows[name] = (label, field, clear, reset)

    def _show_keys(self) -> None:
        settings = self._preferences.settings
        for name, key in keys_of(settings.key_set, settings.keys).items():
            field = self.fields[name]
            field.blockSignals(True)
            field.setKeySequence(QKeySequence(key))
            field.blockSignals(False)
            self._resets[name].setEnabled(name in settings.keys)

    def _take(self, name: str) -> None:
        settings = self._preferences.settings
        key = self.fields[name].keySequence().toString(QKeySequence.SequenceFormat.PortableText)
        now = keys_of(settings.key_set, settings.keys)
        if key == now[name]:
            return
        other = find_conflict(name, key, now)
        if other is not None:
            self._note.setText(tr("This key is taken by: {action}").format(action=tr(SPECS[other].words)))
            self._show_keys()
            return
        self._note.setText(" ")
        own = dict(settings.keys)
        if key == SPECS[name].default_key(settings.key_set):
            own.pop(name, None)
        else:
            own[name] = key
        self._preferences.set("keys", own)
        self._show_keys()

    def _clear(self, name: str) -> None:
        self.fields[name].clear()
        self._take(name)

    def _reset(self, name: str) -> None:
        self._preferences.set("keys", {k: v for k, v in self._preferences.settings.keys.items() if k != name})
        self._show_keys()

    def _reset_all(self) -> None:
        self._preferences.set("keys", {})
        self._show_keys()

    def _choose_set(self, key_set: str) -> None:
        self._preferences.set("key_set", key_set)
        self._show_keys()

    def _filter(self, text: str) -> None:
        wanted = text.strip().casefold()
        for name, row in self._rows.items():
            found = (
                wanted in tr(SPECS[name].words).casefold()
                or wanted in self.fields[name].keySequence().toString().casefold()
            )
            for widget in row:
                widget.setVisible(found)
