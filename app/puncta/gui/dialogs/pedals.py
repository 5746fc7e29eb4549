"""Foot pedals: what the computer takes for a key. Press one in a field, and choose what it does."""

from __future__ import annotations

from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QComboBox, QGridLayout, QKeySequenceEdit, QWidget

from puncta.gui.actions import SPECS, find_conflict, keys_of
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import IconButton, text_label
from puncta.gui.preferences import Preferences
from puncta.gui.theme import Theme

PEDALS = 3
PEDAL_ACTIONS = ("play", "record", "save_last", "snapshot", "target", "target_clear", "plan", "sounds")
"""What a foot may do."""


class PedalRows(QWidget):
    """One row a pedal: its key, what it does, a way to clear it. Changes count at once."""

    def __init__(self, preferences: Preferences, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._preferences = preferences
        self.fields: list[QKeySequenceEdit] = []
        self.choices: list[QComboBox] = []
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 12, 0)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        grid.addWidget(text_label(tr("Foot pedals").upper(), "head"), 0, 0, 1, 3)
        kept = list(preferences.settings.pedals.items())[:PEDALS]
        for place in range(PEDALS):
            key, action = kept[place] if place < len(kept) else ("", PEDAL_ACTIONS[place])
            field = QKeySequenceEdit(QKeySequence(key))
            field.setMaximumSequenceLength(1)
            field.setAccessibleName(tr("Key of pedal {number}").format(number=place + 1))
            field.setMinimumWidth(theme.font_px(150))
            field.editingFinished.connect(self._take)
            choice = QComboBox()
            choice.setAccessibleName(tr("What pedal {number} does").format(number=place + 1))
            choice.addItems([tr(SPECS[name].words) for name in PEDAL_ACTIONS])
            choice.setCurrentIndex(PEDAL_ACTIONS.index(action) if action in PEDAL_ACTIONS else 0)
            choice.activated.connect(lambda _place: self._take())
            clear = IconButton("x", tr("Take the pedal away: {number}").format(number=place + 1), theme)
            clear.clicked.connect(lambda _checked=False, field=field: self._clear(field))
            for column, widget in enumerate((field, choice, clear)):
                grid.addWidget(widget, place + 1, column)
            self.fields.append(field)
            self.choices.append(choice)
        self.note = text_label(tr("A pedal counts as a keyboard; press it in a field."), "small")
        self.note.setWordWrap(True)
        grid.addWidget(self.note, PEDALS + 1, 0, 1, 3)

    def _clear(self, field: QKeySequenceEdit) -> None:
        field.clear()
        self._take()

    def _take(self) -> None:
        settings = self._preferences.settings
        keys = keys_of(settings.key_set, settings.keys)
        pedals: dict[str, str] = {}
        words = tr("A pedal counts as a keyboard; press it in a field.")
        for field, choice in zip(self.fields, self.choices, strict=True):
            key = field.keySequence().toString(QKeySequence.SequenceFormat.PortableText)
            action = PEDAL_ACTIONS[choice.currentIndex()]
            other = find_conflict(action, key, keys) if key else None
            if other is not None or key in pedals:
                taken = tr(SPECS[other].words) if other is not None else tr("another pedal")
                words = tr("This key is taken by: {action}").format(action=taken)
                field.blockSignals(True)
                field.clear()
                field.blockSignals(False)
            elif key:
                pedals[key] = action
        self.note.setText(words)
        self._preferences.set("pedals", pedals)
