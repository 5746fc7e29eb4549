"""The middle of the window: safety line, banners, the picture, and the figures below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.panels.banners import BannerStack
from puncta.gui.panels.parts import ChipLabel, IconButton, text_label
from puncta.gui.panels.read_outs import ReadOutStrip
from puncta.gui.panels.try_card import TryCard
from puncta.gui.theme import Theme
from puncta.gui.video.tools import Tool
from puncta.gui.video.view import VideoView

SAFETY_LINE = "Simulation and training only, not for clinical use"


class Stage(QWidget):
    """Everything that stands beside, above or below the picture; on the picture lies only the overlay."""

    def __init__(self, theme: Theme, run: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.header = QWidget()
        self.header.setObjectName("stageHeader")
        self.header.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        row = QHBoxLayout(self.header)
        row.setContentsMargins(16, 3, 10, 3)
        row.setSpacing(4)
        self.safety = text_label(tr(SAFETY_LINE), "safety")
        self.safety.setWordWrap(True)
        self.safety.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        row.addWidget(self.safety, 1)
        self.hint = text_label(role="strong")
        self.hint.setWordWrap(True)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.hint.hide()
        row.addWidget(self.hint, 1)
        row.addSpacing(8)
        self.simulated = ChipLabel(theme, tr("Simulated"), "accent", "square")
        self.simulated.hide()
        row.addWidget(self.simulated)
        row.addSpacing(6)
        self.buttons: dict[str, IconButton] = {}
        for action, icon, name in (
            ("target", "target", tr("Set the target")),
            ("ruler", "ruler", tr("Calibrate with a two-point ruler")),
            ("fit", "scan", tr("Show the whole picture")),
            ("snapshot", "camera", tr("Save the picture with its overlay, with Shift without")),
        ):
            button = IconButton(icon, name, theme)
            button.clicked.connect(lambda _checked=False, action=action: run(_with_shift(action)))
            self.buttons[action] = button
            if action == "fit":
                self.zoom = text_label(role="small")
                self.zoom.hide()
                row.addWidget(self.zoom)
            row.addWidget(button)
        for action in ("target", "ruler"):
            self.buttons[action].setCheckable(True)
            self.buttons[action].set_theme(theme)
        self.banners = BannerStack(theme)
        self.try_card = TryCard(theme)
        self.banners.standing.connect(self.try_card.give_way)
        self.view = VideoView(theme)
        self.view.empty_text = tr("Open a file, or drop files and folders on the window")
        self.view.zoomed.connect(self._show_zoom)
        self.read_outs = ReadOutStrip(theme)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.header)
        column.addWidget(self.banners)
        column.addWidget(self.try_card)
        column.addWidget(self.view, 1)
        column.addWidget(self.read_outs)

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Name the keys in the tool tips."""
        for action, button in self.buttons.items():
            button.set_key(words.get(action, ""))
        self.try_card.set_keys(words)

    def say_hint(self, words: str) -> None:
        """Say what the tool in hand wants, beside the safety line, so that the picture does not move."""
        self.hint.setText(words)
        self.hint.setVisible(bool(words))

    def _show_zoom(self) -> None:
        self.zoom.setText(f"{self.view.zoom:.1f}×")
        self.zoom.setVisible(self.view.zoom > 1.0)

    def set_tool(self, tool: Tool) -> None:
        """Take a tool in hand and mark its button."""
        self.view.set_tool(tool)
        self.buttons["target"].setChecked(tool is Tool.TARGET)
        self.buttons["ruler"].setChecked(tool is Tool.RULER)


def _with_shift(action: str) -> str:
    """With Shift held, the camera saves the picture without its overlay."""
    shift = QApplication.keyboardModifiers() & Qt.KeyboardModifier.ShiftModifier
    return "snapshot_raw" if action == "snapshot" and shift else action
