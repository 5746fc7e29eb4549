"""Opens a source in a window, gives it the keys, and clicks on its picture."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest


def playing(parts, qtbot, uri: str = "case-a"):
    """Open a source and wait for its first picture."""
    parts.window.open_uri(uri)
    qtbot.waitUntil(lambda: parts.desk.info is not None and parts.desk.info.uri == uri, timeout=5000)
    qtbot.waitUntil(lambda: stream_of(parts) == uri and parts.window.windowTitle() != "Puncta", timeout=5000)


def stream_of(parts) -> str:
    """Stream of the picture on the screen."""
    return parts.desk.analysis.frame.key.stream if parts.desk.analysis is not None else ""


def active(parts, qtbot) -> None:
    parts.window.activateWindow()
    qtbot.waitUntil(parts.window.isActiveWindow)
    parts.window.stage.view.setFocus()


def click_picture(parts, point_px: tuple[float, float]) -> None:
    view = parts.window.stage.view
    at = view.transform().display_from_image(point_px)
    QTest.mouseClick(
        view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(round(at[0]), round(at[1]))
    )
