"""The depth scale of a captured screen, in the real window: read and confirmed, remembered by layout, dropped."""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np
import pytest

from puncta.core.frame import CalibrationOrigin
from puncta.sources.live import LiveSource
from puncta.sources.live_device import DeviceFacts, Grab

PATIENCE_MS = 20_000
BOX = (150, 50, 400, 460)
URI = "camera:0"


class Machine:
    """A grabber that shows a machine's screen; its depth and its layout can be changed while it runs."""

    def __init__(self, depth_mm: float = 46.0, *, figures: bool = True, inside: bool = False) -> None:
        self.depth_mm, self.figures, self.inside = depth_mm, figures, inside
        self.text_at = 60
        self._count = 0

    @property
    def mm_per_px(self) -> float:
        return self.depth_mm / BOX[3]

    def open(self, _stop: threading.Event) -> DeviceFacts:
        return DeviceFacts((), 40.0)

    def grab(self) -> Grab:
        time.sleep(0.025)
        self._count += 1
        x, y, w, h = BOX
        picture = np.zeros((560, 720), np.uint8)
        raw = np.hypot(*np.random.default_rng(self._count % 40).standard_normal((2, h, w)).astype(np.float32))
        picture[y : y + h, x : x + w] = np.clip(cv2.GaussianBlur(raw, (0, 0), 1.4) * 40 + 8, 0, 255)
        cv2.putText(picture, "Gain 63", (8, self.text_at), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 230, 1, cv2.LINE_AA)
        for mark in range(int(self.depth_mm / 5) + 1):
            row, long = round(y + mark * 5 / self.mm_per_px), mark % 2 == 0
            if self.inside:
                cv2.circle(picture, (x + w - 14, row), 4 if long else 2, 240, -1, cv2.LINE_AA)
                continue
            cv2.line(picture, (x + w + 10, row), (x + w + (24 if long else 16), row), 220, 1)
            if long and mark and self.figures:
                place = (x + w + 30, row + 6)
                cv2.putText(picture, str(mark // 2), place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 220, 1, cv2.LINE_AA)
        return Grab(picture, time.monotonic_ns())

    def close(self) -> None:
        pass


def opened(stage, qtbot, machine: Machine):
    parts = stage.open(opener=lambda uri: LiveSource(uri, "Camera 0", lambda: machine, "nothing comes"))
    window = parts.window
    window.captured._timer.setInterval(60)
    window.open_uri(URI)
    qtbot.waitUntil(lambda: window.mode == "live" and window.desk.analysis is not None, timeout=PATIENCE_MS)
    return window


def with_region(stage, qtbot, machine: Machine):
    """A window in which the region that was found has been confirmed, and the scale has been looked for."""
    window = opened(stage, qtbot, machine)
    confirm_region(window, qtbot)
    return window


def confirm_region(window, qtbot) -> None:
    qtbot.waitUntil(lambda: window.captured.proposal is not None, timeout=PATIENCE_MS)
    window.captured.ask()
    dialog = window.does.dialogs["region"]
    dialog.canvas.box = BOX
    dialog.accept()
    qtbot.waitUntil(lambda: "scale" in window.stage.banners.texts() and window.captured.watching, timeout=PATIENCE_MS)


def calibration_of(window):
    return window.desk.analysis.frame.geometry.calibration


def lay_ruler(window, qtbot, length_px: float, length_mm: float) -> None:
    window.does.run("ruler")
    window.stage.view.ruler.add((200.0, 60.0))
    window.stage.view.ruler.add((200.0, 60.0 + length_px))
    window.does.finish_ruler()
    dialog = window.does.dialogs["ruler"]
    dialog.distance.setText(f"{length_mm:g}")
    dialog.accept()
    qtbot.waitUntil(lambda: calibration_of(window) is not None, timeout=PATIENCE_MS)


def test_a_scale_read_from_the_marks_is_used_once_confirmed_and_dropped_when_the_depth_changes(stage, qtbot) -> None:
    machine = Machine(46.0)
    window = with_region(stage, qtbot, machine)
    banners = window.stage.banners
    assert "0.100 mm/px" in banners.texts()["scale"]
    assert calibration_of(window) is None
    window.captured.ask_scale()
    window.does.dialogs["scale"].accept()
    qtbot.waitUntil(lambda: calibration_of(window) is not None, timeout=PATIENCE_MS)
    assert calibration_of(window).origin is CalibrationOrigin.TICKS
    assert calibration_of(window).mm_per_px[0] == pytest.approx(machine.mm_per_px, rel=0.01)
    assert "scale" not in banners.texts()
    window.show_figures()
    assert "depth ticks" in window.top.calibration.text()
    # The picture moves on and nothing happens; then somebody turns the depth knob.
    qtbot.wait(600)
    assert "layout" not in banners.texts() and calibration_of(window) is not None
    machine.depth_mm = 69.0
    qtbot.waitUntil(lambda: "layout" in banners.texts(), timeout=PATIENCE_MS)
    assert "changed" in banners.texts()["layout"] and "pixels" in banners.texts()["layout"]
    qtbot.waitUntil(lambda: calibration_of(window) is None, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: window.desk.analysis.frame.geometry.region.origin == "whole picture", timeout=PATIENCE_MS)
    window.show_figures()
    assert window.top.calibration.text() == "uncalibrated"
    # Confirmed anew, the new depth gives the new scale.
    confirm_region(window, qtbot)
    assert calibration_of(window) is None
    window.captured.ask_scale()
    window.does.dialogs["scale"].accept()
    qtbot.waitUntil(lambda: calibration_of(window) is not None, timeout=PATIENCE_MS)
    assert calibration_of(window).mm_per_px[0] == pytest.approx(69.0 / BOX[3], rel=0.01)


def test_another_layout_drops_the_scale_too(stage, qtbot) -> None:
    machine = Machine(46.0)
    window = with_region(stage, qtbot, machine)
    window.captured.ask_scale()
    window.does.dialogs["scale"].accept()
    qtbot.waitUntil(lambda: calibration_of(window) is not None, timeout=PATIENCE_MS)
    machine.text_at = 200
    qtbot.waitUntil(lambda: "layout" in window.stage.banners.texts(), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: calibration_of(window) is None, timeout=PATIENCE_MS)


def test_marks_on_the_picture_itself_are_watched(stage, qtbot) -> None:
    machine = Machine(46.0, inside=True)
    window = with_region(stage, qtbot, machine)
    assert "uler" in window.stage.banners.texts()["scale"] and window.captured.offer is None
    lay_ruler(window, qtbot, 100.0, 10.0)
    machine.depth_mm = 57.5
    qtbot.waitUntil(lambda: "layout" in window.stage.banners.texts(), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: calibration_of(window) is None, timeout=PATIENCE_MS)


def test_a_ruler_is_remembered_by_device_and_layout_and_used_once_confirmed(stage, qtbot) -> None:
    machine = Machine(46.0, figures=False)
    window = with_region(stage, qtbot, machine)
    assert window.captured.offer is None
    assert "ruler" in window.stage.banners.texts()["scale"]
    lay_ruler(window, qtbot, 120.0, 12.0)
    assert calibration_of(window).origin is CalibrationOrigin.RULER
    # The same device with the same marks: what was measured is offered, and used only once confirmed.
    window.open_uri(URI)
    qtbot.waitUntil(lambda: window.captured.offer is not None, timeout=PATIENCE_MS)
    assert "measured before" in window.stage.banners.texts()["scale"]
    assert calibration_of(window) is None
    window.captured.ask_scale()
    window.does.dialogs["scale"].accept()
    qtbot.waitUntil(lambda: calibration_of(window) is not None, timeout=PATIENCE_MS)
    assert calibration_of(window).mm_per_px[0] == pytest.approx(0.1)
    assert calibration_of(window).origin is CalibrationOrigin.RULER
    # The same device at another depth is another layout: nothing is offered.
    machine.depth_mm = 69.0
    window.open_uri(URI)
    qtbot.waitUntil(lambda: "scale" in window.stage.banners.texts(), timeout=PATIENCE_MS)
    assert window.captured.offer is None and calibration_of(window) is None
    # And back at the first depth it is known again.
    machine.depth_mm = 46.0
    window.open_uri(URI)
    qtbot.waitUntil(lambda: window.captured.offer is not None, timeout=PATIENCE_MS)


def test_refusing_the_scale_that_was_read_asks_for_a_ruler(stage, qtbot) -> None:
    window = with_region(stage, qtbot, Machine(46.0))
    window.captured.ask_scale()
    window.does.dialogs["scale"].reject()
    assert "ruler" in window.stage.banners.texts()["scale"]
    assert calibration_of(window) is None and not window.preferences.settings.scales
