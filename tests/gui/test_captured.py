"""A captured screen: its region is shown for confirmation, remembered, and dropped when the layout changes."""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np
from PySide6.QtWidgets import QDialog

from puncta.gui.i18n import tr
from puncta.sources.live import LiveSource
from puncta.sources.live_device import DeviceFacts, Grab

PATIENCE_MS = 20_000
BOX = (90, 30, 200, 190)
URI = "camera:0"


class Screen:
    """A grabber that shows a machine's screen, whose depth can be changed."""

    def __init__(self) -> None:
        self.depth = "D 45"
        self.fade = 1.0
        self._count = 0

    def open(self, _stop: threading.Event) -> DeviceFacts:
        return DeviceFacts((), 40.0)

    def grab(self) -> Grab:
        time.sleep(0.025)
        self._count += 1
        picture = np.zeros((240, 320), np.uint8)
        cv2.putText(picture, self.depth, (4, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 230, 1, cv2.LINE_AA)
        x, y, w, h = BOX
        raw = np.hypot(*np.random.default_rng(self._count).standard_normal((2, h, w)))
        tissue = cv2.GaussianBlur(raw, (0, 0), 1.4) * 56 + 8
        tissue *= np.linspace(1.0, self.fade, h)[:, None] ** 3
        picture[y : y + h, x : x + w] = np.clip(tissue, 0, 255)
        return Grab(picture, time.monotonic_ns())

    def close(self) -> None:
        pass


def opened(stage, qtbot, screen: Screen):  # noqa: ANN001, ANN201
    parts = stage.open(opener=lambda uri: LiveSource(uri, "Camera 0", lambda: screen, "nothing comes"))
    window = parts.window
    window.captured._timer.setInterval(60)
    window.open_uri(URI)
    qtbot.waitUntil(lambda: window.mode == "live" and window.desk.analysis is not None, timeout=PATIENCE_MS)
    return window


def origin_of(window) -> str:  # noqa: ANN001
    return window.desk.analysis.frame.geometry.region.origin


def test_a_found_region_is_used_only_once_confirmed_and_then_remembered(stage, qtbot) -> None:  # noqa: ANN001
    window = opened(stage, qtbot, Screen())
    banners = window.stage.banners
    qtbot.waitUntil(lambda: "region" in banners.texts(), timeout=PATIENCE_MS)
    assert window.captured.proposal.sure and origin_of(window) == "whole picture"
    window.captured.ask()
    dialog = window.does.dialogs["region"]
    assert dialog.region() == window.captured.proposal.box
    dialog.accept()
    qtbot.waitUntil(lambda: origin_of(window) == "user", timeout=PATIENCE_MS)
    assert "region" not in banners.texts()
    assert window.desk.analysis.frame.geometry.calibration is None
    (kept,) = window.preferences.settings.regions.values()
    assert np.abs(np.subtract(kept, BOX)).max() <= 6
    # The same device again: the region is there, and it says so.
    window.open_uri(URI)
    qtbot.waitUntil(lambda: tr("Check it") in banners.texts().get("region", ""), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: origin_of(window) == "user", timeout=PATIENCE_MS)


def test_what_is_not_sure_is_drawn_by_a_person(stage, qtbot) -> None:  # noqa: ANN001
    screen = Screen()
    screen.fade = 0.0
    window = opened(stage, qtbot, screen)
    qtbot.waitUntil(lambda: "region" in window.stage.banners.texts(), timeout=PATIENCE_MS)
    assert "draw" in window.stage.banners.texts()["region"]
    window.captured.ask()
    dialog = window.does.dialogs["region"]
    assert dialog.region() is None
    dialog.done(QDialog.DialogCode.Accepted)
    qtbot.wait(50)
    assert origin_of(window) == "whole picture"
