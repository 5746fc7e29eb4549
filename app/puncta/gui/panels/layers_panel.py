"""Overlay layers with visibility, opacity and order; gain and gamma of the view."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QMenu, QSlider, QVBoxLayout, QWidget

from puncta.core.overlay import Layer
from puncta.gui.i18n import numbers, tr
from puncta.gui.panels.parts import IconButton, text_label
from puncta.gui.preferences import Preferences
from puncta.gui.theme import Theme

LAYER_WORDS = {
    Layer.TIP: "Tip",
    Layer.PATH: "Path",
    Layer.MASK: "Needle mask",
    Layer.THROW: "Throw",
    Layer.TARGET: "Target",
    Layer.HEAT_MAP: "Heat map",
}
ALWAYS_SHOWN = frozenset({Layer.TIP, Layer.PATH, Layer.TARGET})
"""Other layers get their row when a plugin first draws into them."""


def plain_slider(name: str, low: int, high: int) -> QSlider:
    """Return a slider that takes the focus by Tab only, so that a click leaves the arrow keys to the picture."""
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(low, high)
    slider.setAccessibleName(name)
    slider.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    slider.setMinimumWidth(40)
    return slider


class LayersPanel(QWidget):
    """One row a layer, topmost first."""

    def __init__(self, preferences: Preferences, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._preferences, self._theme = preferences, theme
        self.eyes: dict[Layer, IconButton] = {}
        self.opacities: dict[Layer, QSlider] = {}
        self._shares: dict[Layer, QLabel] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(text_label(tr("Layers").upper(), "head"))
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(6)
        self._grid.setVerticalSpacing(0)
        self._grid.setColumnStretch(2, 1)
        column.addLayout(self._grid)
        kept = {layer for layer in Layer if layer.value in preferences.settings.layers}
        self._shown = set(ALWAYS_SHOWN | kept)
        self._names: dict[Layer, QLabel] = {}
        for layer in Layer:
            self._make_row(layer)
        self._lay_out()
        column.addSpacing(8)
        column.addWidget(text_label(tr("View").upper(), "head"))
        tone = QGridLayout()
        tone.setHorizontalSpacing(6)
        tone.setVerticalSpacing(0)
        tone.setColumnStretch(1, 1)
        self.gain = plain_slider(tr("Gain"), 25, 400)
        self.gamma = plain_slider(tr("Gamma"), 30, 300)
        self._gain_words, self._gamma_words = text_label(role="small"), text_label(role="small")
        for row, (words, slider, value) in enumerate(
            ((tr("Gain"), self.gain, self._gain_words), (tr("Gamma"), self.gamma, self._gamma_words))
        ):
            tone.addWidget(text_label(words), row, 0)
            tone.addWidget(slider, row, 1)
            tone.addWidget(value, row, 2)
        column.addLayout(tone)
        below = QHBoxLayout()
        below.addWidget(text_label(tr("View only"), "small"))
        below.addStretch(1)
        self.reset = IconButton("rotate-ccw", tr("Show the picture as it is"), theme)
        self.reset.clicked.connect(lambda: preferences.set_view(gain=1.0, gamma=1.0))
        below.addWidget(self.reset)
        column.addLayout(below)
        self.gain.valueChanged.connect(lambda v: preferences.set_view(gain=v / 100))
        self.gamma.valueChanged.connect(lambda v: preferences.set_view(gamma=v / 100))
        preferences.changed.connect(self._follow)
        self.refresh()

    def set_theme(self, theme: Theme) -> None:
        """Keep the theme for icons that change."""
        self._theme = theme
        self.refresh()

    def see(self, layers: set[Layer]) -> bool:
        """Show the rows of layers that something draws into; True when a row is new."""
        if layers <= self._shown:
            return False
        self._shown |= layers
        self._lay_out()
        return True

    def refresh(self) -> None:
        """Show the settings."""
        for layer in Layer:
            setting = self._preferences.layer(layer)
            eye, slider = self.eyes[layer], self.opacities[layer]
            eye.setChecked(setting.visible)
            eye.set_icon("eye" if setting.visible else "eye-off", self._theme)
            slider.blockSignals(True)
            slider.setValue(round(setting.opacity * 100))
            slider.blockSignals(False)
            slider.setEnabled(setting.visible)
            self._shares[layer].setText(f"{setting.opacity * 100:.0f} %" if setting.visible else tr("off"))
        view = self._preferences.settings.view
        for slider, value in ((self.gain, view.gain), (self.gamma, view.gamma)):
            slider.blockSignals(True)
            slider.setValue(round(value * 100))
            slider.blockSignals(False)
        self._gain_words.setText(numbers(f"{view.gain:.2f}×"))
        self._gamma_words.setText(numbers(f"{view.gamma:.2f}"))
        self.reset.setEnabled((view.gain, view.gamma) != (1.0, 1.0))

    def _make_row(self, layer: Layer) -> None:
        words = tr(LAYER_WORDS[layer])
        eye = IconButton("eye", tr("Show {layer}").format(layer=words), self._theme)
        eye.setCheckable(True)
        eye.setProperty("bare", "true")
        eye.clicked.connect(lambda on: self._preferences.set_layer(layer, visible=on))
        name = text_label(words)
        name.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        name.customContextMenuRequested.connect(lambda at: self._offer_order(layer, name.mapToGlobal(at)))
        eye.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        eye.customContextMenuRequested.connect(lambda at: self._offer_order(layer, eye.mapToGlobal(at)))
        slider = plain_slider(tr("Opacity of {layer}").format(layer=words), 10, 100)
        slider.valueChanged.connect(lambda v: self._preferences.set_layer(layer, opacity=v / 100))
        share = text_label(role="small")
        share.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.eyes[layer], self._names[layer] = eye, name
        self.opacities[layer], self._shares[layer] = slider, share

    def _lay_out(self) -> None:
        for row, layer in enumerate(reversed(self._preferences.layer_order())):
            cells = (self.eyes[layer], self._names[layer], self.opacities[layer], self._shares[layer])
            for column, widget in enumerate(cells):
                self._grid.addWidget(widget, row, column)
                widget.setVisible(layer in self._shown)

    def _offer_order(self, layer: Layer, at: QPoint) -> None:
        menu = QMenu(self)
        menu.addAction(tr("Draw further up"), lambda: self._preferences.move_layer(layer, 1))
        menu.addAction(tr("Draw further down"), lambda: self._preferences.move_layer(layer, -1))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(at)

    def _follow(self, name: str) -> None:
        if name == "layer_order":
            self._lay_out()
        if name in {"layers", "view"}:
            self.refresh()
