"""The slim bar: menu, name, modes; calibration, latency, settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QEvent, Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QMenu, QPushButton, QWidget

from puncta.core.frame import Calibration
from puncta.gui.i18n import numbers, tr
from puncta.gui.panels.latency import LatencyButton
from puncta.gui.panels.parts import IconButton
from puncta.gui.theme import Theme

MODES = (("live", "Live"), ("review", "Review"), ("annotate", "Annotate"), ("models", "Models"))
OF_A_TRAINEE = frozenset({"live", "review"})
"""Modes that the bar offers to a trainee; the others are one setting, or one key, away."""
LEVELS = 7
"""How many times the bar gives way before it would be cut."""


def calibration_words(calibration: Calibration | None) -> str:
    """Return a calibration with where it comes from, "0.094 mm/px  two-point ruler"."""
    if calibration is None:
        return tr("uncalibrated")
    x, y = calibration.mm_per_px
    figure = f"{x:#.3g} mm/px" if abs(x - y) < 1e-6 * x else f"{x:#.3g} × {y:#.3g} mm/px"
    return f"{numbers(figure)}   {tr(str(calibration.origin.value))}"


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
        self._mode, self._profile = "review", ""
        self.level = 0
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
        self._words = ("", "")
        self._fitting = QTimer(self)
        self._fitting.setSingleShot(True)
        self._fitting.timeout.connect(self.fit)
        self.set_theme(theme)
        self.show_calibration(None, ruler=False, known=False)

    def set_theme(self, theme: Theme) -> None:
        """Colour the name."""
        self._theme = theme
        self._fitting.start(0)
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
        self._mode = mode
        self.mode_buttons[mode].setChecked(True)
        self._show_modes()

    def set_profile(self, profile: str) -> None:
        """Offer the modes that a profile needs; the mode that is on is always among them."""
        self._profile = profile
        self._show_modes()

    def _show_modes(self) -> None:
        for mode, button in self.mode_buttons.items():
            button.setVisible(self._profile != "trainee" or mode in OF_A_TRAINEE or mode == self._mode)
        self._fitting.start(0)

    # --- room ----------------------------------------------------------------------------------------------------

    @property
    def has_room_for_figures(self) -> bool:
        """Whether the latency button may say more than its word."""
        return self.level == 0

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give way where it is narrow."""
        super().resizeEvent(event)
        self.fit()

    def event(self, event: QEvent) -> bool:
        """Something in the bar has grown or gone: see whether all of it fits."""
        if event.type() is QEvent.Type.LayoutRequest:
            self._fitting.start(0)
        return super().event(event)

    def fit(self) -> None:
        """Show as much as fits.

        First the figures of the latency go, then where the calibration comes from, the name, the buttons of the panels,
        the calibration, the button of the keys. Modes, settings and the latency's word stay.
        """
        level = next((n for n in range(LEVELS - 1) if self._needs(n) <= self.width()), LEVELS - 1)
        self.level = level
        if level > 0:
            self.latency.drop_figures()
        words = self._words[0 if level < 2 else 1]
        if words != self.calibration.text():
            self.calibration.setText(words)
        for part, last in self._giving_way():
            part.setVisible(level <= last)

    def _giving_way(self) -> tuple[tuple[QWidget, int], ...]:
        """What is hidden where it is narrow, each with the last level at which it stands."""
        return (
            (self._name, 2),
            # Models has neither a picture nor a panel that could give way.
            (self.buttons["panel_left"], -1 if self._mode == "models" else 3),
            (self.buttons["panel_right"], -1 if self._mode == "models" else 3),
            (self.calibration, -1 if self._mode == "models" else 4),
            (self.buttons["keys"], 5),
        )

    def _needs(self, level: int) -> int:
        """Width of the bar at a level [display px]."""
        row, goes = self.layout(), dict(self._giving_way())
        assert row is not None
        margins = row.contentsMargins()
        needs = margins.left() + margins.right()
        for i in range(row.count()):
            item = row.itemAt(i)
            part = item.widget() if item is not None else None
            if part is None:
                needs += item.minimumSize().width() if item is not None else 0
                continue
            if level > goes[part] if part in goes else part.isHidden():
                continue
            width = max(part.minimumSizeHint().width(), part.minimumWidth() if part is not self.latency else 0)
            if part is self.calibration:
                metrics, words = part.fontMetrics(), self._words[0 if level < 2 else 1]
                width += metrics.horizontalAdvance(words) - metrics.horizontalAdvance(self.calibration.text())
            elif part is self.latency:
                width = self.latency.width_of(figures=level == 0)
            needs += width + row.spacing()
        return needs

    def show_calibration(self, calibration: Calibration | None, *, ruler: bool, known: bool) -> None:
        """Show the calibration of the picture on the screen."""
        words = calibration_words(calibration) if known else tr("no source")
        if words != self._words[0]:
            self._words = (words, words.partition("   ")[0])
            self.calibration.setAccessibleName(tr("Calibration: {words}").format(words=words))
            self.fit()
        note = calibration.note if calibration is not None else tr("Lengths are shown in pixels.")
        self.calibration.setToolTip(note)
        self.calibration.setEnabled(known)
        self.own.setEnabled(ruler)
