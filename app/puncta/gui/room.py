"""How the window shares its room: panels give way to the picture where it is narrow, bars get lower where it is low."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QWidget

if TYPE_CHECKING:
    from puncta.gui.main_window import MainWindow

PANEL_WIDTHS = {"left": 226, "right": 270}
NARROW = 1080
"""Below this width, in units of the font scale, the sources give their room to the picture."""
LOW = 620
"""Below this height, in units of the font scale, read-outs and timeline take one line each."""
SCROLL_BAR_PX = 10


class Room:
    """Sizes of one window."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._chosen: dict[str, bool] = {}

    def _sides(self) -> dict[str, QFrame]:
        return {"left": self._window.left, "right": self._window.right}

    def _grow(self) -> float:
        """Panels grow with the text, but less, since the picture owns the middle."""
        return 1.0 + (self._window.theme.scale - 1.0) * 0.75

    def restyle(self) -> None:
        """Fit everything to another theme, font scale or control size."""
        self._set_side_widths()
        self.adapt()

    def adapt(self) -> None:
        """Fit everything to the size of the window."""
        window, grow = self._window, self._grow()
        room = window.width() / grow
        low = window.height() / grow < LOW
        window.stage.read_outs.set_inline(low and not window.preferences.settings.far_view)
        window.review.timeline.set_compact(low)
        self.fit_bottom()
        models = window.mode == "models"  # its list is the way to its pages, and there is no picture to inspect
        window.left.setVisible(self._chosen.get("left", room >= NARROW) or models)
        window.right.setVisible(self._chosen.get("right", room >= NARROW * 0.7) and not models)

    def fit_bottom(self) -> None:
        """Give the bottom bar the height of the mode that is shown, and of the line above it."""
        bottom = self._window.bottom
        shown = bottom.currentWidget()
        bottom.ensurePolished()
        line_px = bottom.height() - bottom.contentsRect().height()
        bottom.setFixedHeight(shown.sizeHint().height() + line_px if shown is not None else 0)

    def toggle(self, side: str) -> None:
        """Show or hide a panel, whatever the width of the window."""
        self._chosen[side] = not self._sides()[side].isVisible()
        self.adapt()

    def restore(self) -> None:
        """Take size, place and panels from the settings."""
        window, kept = self._window, self._window.preferences.settings.window
        self._set_side_widths()
        if not kept.get("geometry") or not window.restoreGeometry(_bytes(kept["geometry"])):
            window.resize(1440, 900)
        sides = [window.left.minimumWidth(), window.right.minimumWidth()]
        window.split.setSizes([sides[0], max(400, window.width() - sum(sides)), sides[1]])
        if kept.get("split"):
            window.split.restoreState(_bytes(kept["split"]))
            window.split.setHandleWidth(1)
        for side in PANEL_WIDTHS:
            if kept.get(side) in {"shown", "hidden"}:
                self._chosen[side] = kept[side] == "shown"
        self.adapt()

    def keep(self) -> None:
        """Put size, place and panels into the settings."""
        window = self._window
        kept = {"geometry": _text(window.saveGeometry()), "split": _text(window.split.saveState())}
        kept |= {side: "shown" if shown else "hidden" for side, shown in self._chosen.items()}
        window.preferences.set("window", kept)

    def _set_side_widths(self) -> None:
        for name, side in self._sides().items():
            area = side.findChild(QScrollArea)
            inner = area.widget() if area is not None else None
            content = inner.minimumSizeHint().width() + SCROLL_BAR_PX if inner is not None else 0
            least = max(round(PANEL_WIDTHS[name] * self._grow()), content)
            side.setMinimumWidth(least)
            side.setMaximumWidth(round(least * 1.6))


def _bytes(text: str) -> QByteArray:
    return QByteArray.fromBase64(text.encode("ascii", "ignore"))


def _text(data: QByteArray) -> str:
    return bytes(data.toBase64().data()).decode("ascii")


def side_panel(content: QWidget, side: str) -> QFrame:
    """Put what stands at a side of the picture into a panel that scrolls."""
    frame = QFrame()
    frame.setObjectName("sidePanel")
    frame.setProperty("side", side)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setWidget(content)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    row = QHBoxLayout(frame)
    row.setContentsMargins(0, 0, 0, 0)
    row.addWidget(area)
    return frame
