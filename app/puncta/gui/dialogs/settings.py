"""Settings that are not at hand elsewhere. Changes count at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from puncta.gui.actions import KEY_SETS
from puncta.gui.i18n import LANGUAGES, tr
from puncta.gui.panels.parts import text_label
from puncta.gui.preferences import Preferences
from puncta.gui.theme import Theme

PROFILES = {"trainee": "Trainee", "annotator": "Annotator", "educator": "Educator"}
THEMES = {"dark": "Dark", "light": "Light"}
PRESENTATIONS = {
    "coherent": "Picture and overlay of the same frame",
    "low latency": "Newest picture at once",
}


class SettingsDialog(QDialog):
    """One form."""

    def __init__(
        self, preferences: Preferences, theme: Theme, open_keys: Callable[[], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Settings"))
        self._preferences = preferences
        content = QWidget()
        self._form = QFormLayout(content)
        self._form.setContentsMargins(0, 0, 12, 0)
        self._form.setHorizontalSpacing(20)
        self._form.setVerticalSpacing(8)
        self._form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._head(tr("You"))
        self.profile = self._choice("profile", tr("Profile"), PROFILES)
        self.language = self._choice("language", tr("Language"), LANGUAGES, translate=False)
        self._note(tr("Another language shows when Puncta starts next."))
        self._head(tr("Look"))
        self.theme = self._choice("theme", tr("Theme"), THEMES)
        self.font_scale = QSlider(Qt.Orientation.Horizontal)
        self.font_scale.setRange(100, 200)
        self.font_scale.setSingleStep(10)
        self.font_scale.setPageStep(25)
        self.font_scale.setAccessibleName(tr("Size of text"))
        self.font_scale.setValue(round(preferences.settings.font_scale * 100))
        self._scale_words = QLabel(f"{preferences.settings.font_scale * 100:.0f} %")
        self.font_scale.valueChanged.connect(lambda v: self._scale_words.setText(f"{v} %"))
        # The whole window is laid out again, so not at every step of a drag.
        self.font_scale.sliderReleased.connect(self._take_scale)
        self.font_scale.actionTriggered.connect(lambda _action: self._take_scale_later())
        self._form.addRow(tr("Size of text"), self.font_scale)
        self._form.addRow("", self._scale_words)
        self._check("far_view", tr("Figures large enough to read two metres away"))
        self._check("touch_size", tr("Larger controls for touch"))
        self._head(tr("Playing"))
        self.presentation = self._choice("presentation", tr("Show"), PRESENTATIONS)
        self._check("every_frame", tr("Analyse every frame, even where that is slower than real time"))
        self._head(tr("Keys"))
        self.key_set = self._choice("key_set", tr("Key set"), {name: name for name in KEY_SETS}, translate=False)
        keys = QPushButton(tr("Change keys"))
        keys.setAutoDefault(False)
        keys.clicked.connect(lambda: open_keys())
        self._form.addRow("", keys)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(content)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setText(tr("Close"))
        buttons.button(QDialogButtonBox.StandardButton.Close).setAutoDefault(False)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        column.addWidget(area, 1)
        column.addWidget(buttons)
        room = parent.height() - 48 if parent is not None else 10_000
        self.resize(theme.font_px(500), min(room, theme.font_px(650)))

    def _head(self, words: str) -> None:
        label = text_label(words.upper(), "head")
        label.setContentsMargins(0, 10, 0, 0)
        self._form.addRow(label)

    def _note(self, words: str) -> None:
        label = text_label(words, "small")
        label.setWordWrap(True)
        self._form.addRow("", label)

    def _choice(self, name: str, words: str, choices: dict[str, str], *, translate: bool = True) -> QComboBox:
        box = QComboBox()
        box.setAccessibleName(words)
        for value, title in choices.items():
            box.addItem(tr(title) if translate else title, value)
        box.setCurrentIndex(max(0, box.findData(getattr(self._preferences.settings, name))))
        box.activated.connect(lambda i: self._preferences.set(name, box.itemData(i)))
        self._form.addRow(words, box)
        return box

    def _check(self, name: str, words: str) -> None:
        box = WrappingCheck(words, getattr(self._preferences.settings, name), lambda on: self._set(name, on))
        self._form.addRow(box)

    def _set(self, name: str, value: Any) -> None:
        self._preferences.set(name, value)

    def _take_scale(self) -> None:
        self._preferences.set("font_scale", self.font_scale.value() / 100)

    def _take_scale_later(self) -> None:
        """A step by key counts when the slider has its new value, that is after this signal."""
        if not self.font_scale.isSliderDown():
            self._preferences.set("font_scale", self.font_scale.sliderPosition() / 100)


class WrappingCheck(QWidget):
    """A check box whose words may take two lines."""

    def __init__(self, words: str, on: bool, take: Callable[[bool], None]) -> None:
        super().__init__()
        self.box = QCheckBox()
        self.box.setAccessibleName(words)
        self.box.setChecked(on)
        self.box.toggled.connect(take)
        label = text_label(words)
        label.setWordWrap(True)
        label.mousePressEvent = lambda _event: self.box.toggle()  # type: ignore[method-assign]
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(10)
        row.addWidget(self.box)
        row.addWidget(label, 1)
