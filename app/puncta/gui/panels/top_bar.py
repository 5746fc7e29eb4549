"""The slim bar: menu, name, modes; calibration, latency, settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QMenu, QPushButton, QWidget

from puncta.core.frame import Calibration
from puncta.gui.i18n import tr
from puncta.gui.panels.latency import LatencyButton
from puncta.gui.panels.parts import IconButton
from puncta.gui.theme import Theme

MODES = (("live", "Live"), ("review", "Review"), ("annotate", "Annotate"))


def calibration_words(calibration: Calibration | None) -> str:
    """Return a calibration with where it comes from, "0.094 mm/px  two-point ruler"."""
    if calibration is None:
        return tr("uncalibrated")
    x, y = calibration.mm_per_px
    figure = f"{x:#.3g} mm/px" if abs(x - y) < 1e-6 * x else f"{x:#.3g} × {y:#.3g} mm/px"
    return f"{figure}   {tr(str(calibration.origin.value))}"


class TopBar(QWidget):
    """Chrome at the top; says little, and everything in words."""

    def __init__(self, theme: Theme, run: Callable[[str], None], menu: QMenu, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("topBar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme = theme
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 7, 12, 7)
        row.setSpacing(6)
        self.menu_button = IconButton("menu", tr("Menu"), theme)
        self.menu_button.setMenu(menu)
        self.menu_button.setPopupMode(IconButton.ToolButtonPopupMode.InstantPopup)
        row.addWidget(self.menu_button)
        self._name = QLabel()
        self._name.setAccessibleName("Puncta")
        self._name.setProperty("role", "title")
        self._name.setTextFormat(Qt.TextFormat.RichText)
        row.addWidget(self._name)
        row.addSpacing(14)
        self.modes = QButtonGroup(self)
        self.mode_buttons: dict[str, QPushButton] = {}
        for mode, words in MODES:
            button = QPushButton(tr(words))
            button.setProperty("mode", "true")
            button.setCheckable(True)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setAccessibleName(tr(words))
            button.clicked.connect(lambda _checked=False, mode=mode: run(f"mode_{mode}"))
            self.modes.addButton(button)
            self.mode_buttons[mode] = button
            row.addWidget(button)
        row.addStretch(1)
        self.calibration = QPushButton()
        self.calibration.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._calibration_menu = QMenu(self)
        self._calibration_menu.addAction(tr("Calibrate with a two-point ruler"), lambda: run("ruler"))
        self.own = self._calibration_menu.addAction(tr("Use the file's own calibration"), lambda: run("ruler_clear"))
        self.calibration.setMenu(self._calibration_menu)
        row.addWidget(self.calibration)
        self.latency = LatencyButton(theme)
        row.addWidget(self.latency)
        row.addSpacing(4)
        self.buttons: dict[str, IconButton] = {}
        for action, icon, name in (
            ("panel_left", "panel-left", tr("Show or hide the sources")),
            ("panel_right", "panel-right", tr("Show or hide the inspector")),
            ("settings", "settings", tr("Settings")),
            ("keys", "circle-question-mark", tr("All keys")),
        ):
            tool = IconButton(icon, name, theme)
            tool.clicked.connect(lambda _checked=False, action=action: run(action))
            self.buttons[action] = tool
            row.addWidget(tool)
        self.set_theme(theme)
        self.show_calibration(None, ruler=False, known=False)

    def set_theme(self, theme: Theme) -> None:
        """Colour the name."""
        self._theme = theme
        tip = theme.colours["tip"]
        self._name.setText(f'Punc<span style="color:{tip}">t</span>a')

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Name the keys in the tool tips."""
        for action, tool in self.buttons.items():
            tool.set_key(words.get(action, ""))
        for mode, button in self.mode_buttons.items():
            button.setToolTip(words.get(f"mode_{mode}", ""))

    def set_mode(self, mode: str) -> None:
        """Mark the mode."""
        self.mode_buttons[mode].setChecked(True)

    def show_calibration(self, calibration: Calibration | None, *, ruler: bool, known: bool) -> None:
        """Show the calibration of the picture on the screen."""
        words = calibration_words(calibration) if known else tr("no source")
        if words != self.calibration.text():
            self.calibration.setText(words)
            self.calibration.setAccessibleName(tr("Calibration: {words}").format(words=words))
        note = calibration.note if calibration is not None else tr("Lengths are shown in pixels.")
        self.calibration.setToolTip(note)
        self.calibration.setEnabled(known)
        self.own.setEnabled(ruler)
