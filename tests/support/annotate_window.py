"""A window in Annotate on a clip whose needle is known, and a hand that works in it by events alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from qt_waiting import wait_ms

from puncta.core.errors import UserError
from puncta.core.frame import (
    Calibration,
    CalibrationOrigin,
    Frame,
    FrameKey,
    ImageGeometry,
    SourceInfo,
    SourceKind,
    UltrasoundRegion,
)
from puncta.core.ports import FrameSource
from puncta.gui.app import Parts
from puncta.imaging.needle_pose import NeedlePose, mask_of_pose, reaching_edge
from puncta.settings import Settings

WIDTH, HEIGHT = 240, 180
MM = 0.2
LEFT, NONE, SHIFT = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CONTROL = Qt.KeyboardModifier.ControlModifier


def pose_at(index: int, count: int) -> NeedlePose:
    """A needle that goes in, not evenly, and turns a little."""
    share = index / max(1, count - 1)
    way = 0.5 - 0.5 * math.cos(math.pi * share)
    angle = math.radians(28.0 + 6.0 * share)
    tip = (150.0 - 80.0 * way, 60.0 + 50.0 * way)
    behind = (tip[0] + 20 * math.cos(angle), tip[1] - 20 * math.sin(angle))
    return reaching_edge(NeedlePose(tip, behind, 2.11 / MM), (0, 0, WIDTH, HEIGHT))


class NeedleClip:
    """Speckle with a bright needle; every frame a hash of its own."""

    def __init__(self, uri: str, count: int = 30, interval_ms: float = 20.0) -> None:
        self._next = 0
        region = UltrasoundRegion(
            (0, 0, WIDTH, HEIGHT), "simulated", Calibration((MM, MM), CalibrationOrigin.SIMULATED, "test")
        )
        times = (np.arange(count) * interval_ms * 1e6).astype(np.int64)
        self.info = SourceInfo(
            uri, uri, uri, SourceKind.FILE, ImageGeometry(WIDTH, HEIGHT, (region,)), count, times, simulated=True
        )

    def read(self) -> Frame | None:
        index, count = self._next, self.info.frame_count or 0
        if index >= count:
            return None
        self._next += 1
        rng = np.random.default_rng(index)
        picture = rng.integers(20, 60, (HEIGHT, WIDTH)).astype(np.uint8)
        picture[mask_of_pose(pose_at(index, count), (HEIGHT, WIDTH))] += 120
        assert self.info.times_ns is not None
        key = FrameKey(self.info.stream, index, int(self.info.times_ns[index]))
        return Frame(key, 0, index, key.pts_ns, 0, picture, self.info.geometry, self.info)

    def seek(self, index: int) -> None:
        self._next = index

    def close(self) -> None:
        """Nothing stays open."""


def open_clip(uri: str) -> FrameSource:
    """Open a made-up clip: "clip-a", "clip-b:100" has 100 frames; `missing` is not there."""
    if "missing" in uri:
        raise UserError(f"{uri} does not exist, check the name and the folder.")
    _, _, count = uri.partition(":")
    return NeedleClip(uri, int(count) if count.isdigit() else 30)


@dataclass
class Hand:
    """Works in the window by events, and counts presses of buttons and keys."""

    parts: Parts
    presses: int = 0
    log: list[str] = field(default_factory=list)

    @property
    def view(self):  # noqa: ANN201
        return self.parts.window.stage.view

    @property
    def notes(self):  # noqa: ANN201
        return self.parts.window.annotator

    def wait(self, done: Callable[[], bool], seconds: float = 30.0) -> None:
        """Let events run until something is true."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, "it did not happen in time"
            wait_ms(10)

    def calm(self) -> None:
        """Wait until nothing is under way: help, store, panels."""
        self.wait(lambda: not self.notes.jobs.running and not self.notes.desk.unsaved)
        self.notes.refresh()

    def key(self, key: Qt.Key, modifiers: Qt.KeyboardModifier = NONE) -> None:
        """Press a key."""
        self.presses += 1
        self.log.append(f"key {Qt.Key(key).name}")
        QTest.keyClick(self.view, key, modifiers)

    def go(self, index: int) -> None:
        """Go to a frame by the desk: no gesture of the person is meant."""
        self.parts.desk.seek(index)
        self.shows(index)

    def shows(self, index: int) -> None:
        """Wait until a frame is on the screen."""
        self.wait(lambda: self.parts.desk.analysis is not None and self.parts.desk.shown_index() == index)

    def at(self, point_px: tuple[float, float]) -> QPoint:
        """Where a point of the picture is on the widget."""
        x, y = self.view.transform().display_from_image(point_px)
        return QPoint(round(x), round(y))

    def click(self, point_px: tuple[float, float], button: Qt.MouseButton = LEFT) -> None:
        """Click on the picture."""
        self.presses += 1
        self.log.append("click")
        QTest.mouseClick(self.view, button, NONE, self.at(point_px))

    def drag(self, begin_px: tuple[float, float], end_px: tuple[float, float]) -> None:
        """Press, move, let go: one press."""
        self.presses += 1
        self.log.append("drag")
        QTest.mousePress(self.view, LEFT, NONE, self.at(begin_px))
        middle = ((begin_px[0] + end_px[0]) / 2, (begin_px[1] + end_px[1]) / 2)
        for point in (middle, end_px):
            QTest.mouseMove(self.view, self.at(point))
        QTest.mouseRelease(self.view, LEFT, NONE, self.at(end_px))


def annotating(stage, qtbot, uri: str = "clip-a", rater: str = "T", opener=open_clip, **settings) -> Hand:  # noqa: ANN001, ANN003
    """Open a clip in Annotate, held at its first frame."""
    parts = stage.open(
        Settings(first_start_done=True, enabled_plugins=["echo"], rater=rater, repeat=False, **settings), opener=opener
    )
    parts.window.annotator.jobs.opener = opener
    hand = Hand(parts)
    parts.window.open_uri(uri)
    qtbot.waitUntil(lambda: parts.desk.info is not None and parts.desk.info.uri == uri, timeout=10000)
    parts.player.pause()
    parts.window.activateWindow()
    qtbot.waitUntil(parts.window.isActiveWindow, timeout=10000)
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_3, CONTROL)
    hand.wait(lambda: parts.window.mode == "annotate")
    if rater:
        hand.wait(lambda: hand.notes.desk.board is not None)
    hand.go(0)
    hand.presses = 0
    return hand
