"""Where pictures come from: what is open, the simulator, the sample, recent cases."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPixmap
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from puncta import paths
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import ElidedLabel, set_property, text_label
from puncta.gui.theme import Theme
from puncta.gui.thumbnails import Thumbnails
from puncta.gui.video.picture import picture_from_pixels
from puncta.sources.live_address import is_live, without_secret

PROCEDURES = {
    "breast": "Breast biopsy",
    "nerve": "Nerve block",
    "vessel": "Vessel access",
    "infant-lp": "Infant LP",
}
RECENT_SHOWN = 6


def is_stream(uri: str) -> bool:
    """Tell whether a URI names a source without an end: the simulator, a camera, a network stream."""
    scheme = uri.partition(":")[0].lower()
    return len(scheme) > 1 and (scheme == "sim" or is_live(uri))


def is_simulator(uri: str) -> bool:
    """Tell whether a URI names the simulator."""
    return uri.lower().startswith("sim:")


def procedure_of(uri: str) -> str:
    """Procedure of a simulator's URI, "breast"."""
    return urlsplit(uri).path if uri.lower().startswith("sim:") else ""


def words_of(uri: str) -> tuple[str, str]:
    """Return title and second line of a source for the list."""
    if uri.lower().startswith("sim:"):
        asked = parse_qs(urlsplit(uri).query)
        machine = tr("machine {name}").format(name=asked["machine"][0]) if "machine" in asked else ""
        seed = tr("seed {number}").format(number=asked["seed"][0]) if "seed" in asked else ""
        steered = asked.get("steer", [""])[0] in {"yes", "1"}
        title = tr(PROCEDURES.get(procedure_of(uri), procedure_of(uri)))
        kind = tr("Steered") if steered else tr("Simulator")
        return title, ", ".join(word for word in (kind, machine, seed) if word)
    if is_stream(uri):
        return without_secret(uri), tr("Live source")
    file = Path(uri)
    if file == paths.sample_case():
        return tr("Sample case"), tr("Simulated breast biopsy")
    return file.name, str(file.parent.name)


class SourceRow(QFrame):
    """One source: thumbnail, title, second line. Clicked, or chosen by Enter."""

    def __init__(self, uri: str, theme: Theme, open_it: Callable[[str], None]) -> None:
        super().__init__()
        self.setObjectName("sourceRow")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.uri, self._theme, self._open = uri, theme, open_it
        self._thumbnail: QPixmap | None = None
        self._tile = QLabel()
        title, second = words_of(uri)
        self.setAccessibleName(f"{tr('Open')} {title}")
        self._title, self._second = ElidedLabel(title), ElidedLabel(second, "small")
        words = QVBoxLayout()
        words.setSpacing(1)
        words.addWidget(self._title)
        words.addWidget(self._second)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 6, 8, 6)
        row.setSpacing(10)
        row.addWidget(self._tile)
        row.addLayout(words, 1)
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        """Draw the tile again."""
        self._theme = theme
        self._draw_tile()

    def set_current(self, current: bool, second: str = "") -> None:
        """Mark the row of what is open."""
        set_property(self, "current", "true" if current else "false")
        self._second.set_full(second or words_of(self.uri)[1])

    def set_thumbnail(self, pixels: NDArray[np.uint8]) -> None:
        """Show a small picture of the source."""
        self._thumbnail = QPixmap.fromImage(picture_from_pixels(pixels).image.copy())
        self._draw_tile()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Open it."""
        if event.button() is Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self._open(self.uri)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Open it by Enter or Space."""
        if event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space}:
            self._open(self.uri)
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        """While the row has the focus, Enter and Space are its own."""
        own = {Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space}
        if isinstance(event, QKeyEvent) and event.type() is QEvent.Type.ShortcutOverride and event.key() in own:
            event.accept()
            return True
        return super().event(event)

    def _draw_tile(self) -> None:
        theme = self._theme
        height = theme.control_px(32)
        size = QSize(round(height * 1.3), height)
        ratio = self.devicePixelRatioF()
        tile = QPixmap(size * ratio)
        tile.setDevicePixelRatio(ratio)
        tile.fill(Qt.GlobalColor.transparent)
        painter = QPainter(tile)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        box = QRectF(0, 0, size.width(), size.height())
        clip = QPainterPath()
        clip.addRoundedRect(box, 4, 4)
        painter.setClipPath(clip)
        painter.fillRect(box, theme.colour("ground"))
        if self._thumbnail is not None:
            painter.drawPixmap(box, self._thumbnail, QRectF(self._thumbnail.rect()))
        else:
            edge = round(height * 0.5)
            icon = theme.icon("waves" if is_stream(self.uri) else "film").pixmap(edge, edge)
            painter.drawPixmap(
                QRectF((size.width() - edge) / 2, (size.height() - edge) / 2, edge, edge), icon, QRectF(icon.rect())
            )
        painter.end()
        self._tile.setPixmap(tile)
        self._tile.setFixedSize(size)


class SourcePanel(QWidget):
    """Groups of rows; the open source is marked wherever it stands."""

    def __init__(
        self,
        theme: Theme,
        thumbnails: Thumbnails,
        open_uri: Callable[[str], None],
        open_file: Callable[[], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme, self._thumbnails, self._open_uri = theme, thumbnails, open_uri
        self.rows: list[SourceRow] = []
        self._current, self._second = "", ""
        self._recent: list[str] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self._column.addWidget(text_label(tr("Source").upper(), "head"))
        self.open_button = QPushButton(" " + tr("Open a file"))
        self.open_button.setAccessibleName(tr("Open a file"))
        self.open_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.open_button.setToolTip(tr("Open a file, or drop files and folders on the window"))
        self.open_button.clicked.connect(lambda: open_file())
        self._column.addSpacing(2)
        self._column.addWidget(self.open_button)
        self._list = QVBoxLayout()
        self._list.setSpacing(2)
        self._column.addLayout(self._list)
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        """New rows take this theme."""
        self._theme = theme
        self.open_button.setIcon(theme.icon("folder-open", "text1"))
        self.open_button.setIconSize(theme.icon_size())

    def show_sources(self, recent: list[str]) -> None:
        """Make the list: the sample, the simulator, and recent cases."""
        if recent == self._recent and self.rows:
            return
        self._recent = list(recent)
        while self._list.count():
            item = self._list.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.rows = []
        sample = str(paths.sample_case())
        streams = [f"sim:{name}?seed=1" for name in PROCEDURES]
        cases = [uri for uri in recent if uri != sample and uri not in streams][:RECENT_SHOWN]
        if cases:
            self._add_group(tr("Recent"), cases)
        self._add_group(tr("Simulator"), streams)
        if paths.sample_case().is_file():
            self._add_group(tr("Samples"), [sample])
        self.mark(self._current, self._second)

    def mark(self, uri: str, second: str = "") -> None:
        """Mark what is open."""
        self._current, self._second = uri, second
        for row in self.rows:
            row.set_current(row.uri == uri, second if row.uri == uri else "")

    def refresh_thumbnail(self, uri: str) -> None:
        """Read the small picture of a source again."""
        for row in self.rows:
            if row.uri == uri:
                self._thumbnails.fetch(uri, partial(self._put_thumbnail, row))

    def _put_thumbnail(self, row: SourceRow, pixels: NDArray[np.uint8]) -> None:
        if row in self.rows:  # the list may have been made anew since
            row.set_thumbnail(pixels)

    def _add_group(self, name: str, uris: list[str]) -> None:
        head = text_label(name, "small")
        head.setContentsMargins(0, 6, 0, 0)
        self._list.addWidget(head)
        for uri in uris:
            row = SourceRow(uri, self._theme, self._open_uri)
            self.rows.append(row)
            self._list.addWidget(row)
            self.refresh_thumbnail(uri)
