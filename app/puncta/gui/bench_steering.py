"""Measures steering for `puncta bench`: from a mouse event to the end of the paint event that shows its effect."""

from __future__ import annotations

import math
import random
import time
from collections import deque
from typing import Any

from PySide6.QtCore import QCoreApplication, QEvent, QObject, QPointF, Qt, QTimer
from PySide6.QtGui import QGuiApplication, QMouseEvent

from puncta.core.results import Analysis
from puncta.gui.app import Parts, run_window

WARM_UP_S = 2.0
"""Start of the window, left out of the figures [s]."""
EVENT_MS = (6, 30)
"""Mouse events come at random intervals of so long [ms], so that they beat against the frames at every phase."""
WAY_MM = 0.15
"""Each event moves the needle by this much [mm]."""
TURN_AFTER = 60


class Hand(QObject):
    """Drags the needle in and out by mouse events that go through the window's event queue.

    Attributes
    ----------
    delays_ms : list of float
        From an event to the end of the paint of the first frame that contains it [ms].
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.window)
        self.delays_ms: list[float] = []
        self.drops: dict[str, int] = {}
        self.rate = 0.0
        self._parts = parts
        self._random = random.Random(1)
        self._posted: deque[int] = deque()
        self._count_from_s = time.perf_counter() + WARM_UP_S
        self._events, self._held = 0, False
        self._place = QPointF()
        view = parts.window.stage.view
        self._report = view.on_painted
        view.on_painted = self._painted
        # The moves are stamped with the time at which their event was posted, not at which it was served.
        parts.window.cockpit.pilot.now_ns = lambda: self._posted.popleft() if self._posted else time.monotonic_ns()
        parts.window.closed.connect(self._stop)
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._act)
        self._timer.start(round(WARM_UP_S * 500))

    def _act(self) -> None:
        self._timer.start(self._random.randint(*EVENT_MS))
        window = self._parts.window
        picture, view = window.stage.view, window.cockpit.pilot.view
        if view is None or view.needle is None or picture.hands is None:
            return
        if not self._held:
            self._held = True
            self._place = QPointF(picture.width() / 2, picture.height() / 2)
            self._post(QEvent.Type.MouseButtonPress, stamped=False)
            return
        self._events += 1
        inwards = 1.0 if (self._events // TURN_AFTER) % 2 == 0 else -1.0
        way = inwards * WAY_MM / view.mm_per_px * picture.transform().scale
        ux, uy = view.needle.towards
        self._place += QPointF(ux * way, uy * way)
        self._post(QEvent.Type.MouseMove, stamped=True)

    def _post(self, kind: QEvent.Type, *, stamped: bool) -> None:
        picture = self._parts.window.stage.view
        left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        event = QMouseEvent(kind, self._place, picture.mapToGlobal(self._place), left, left, none)
        if stamped:
            self._posted.append(time.monotonic_ns())
        QCoreApplication.postEvent(picture, event)

    def _painted(self, analysis: Analysis, t_ns: int) -> None:
        self._report(analysis, t_ns)
        steering = self._parts.player.steering
        if steering is None:
            return
        inputs = steering.inputs_until(analysis.frame.key.index)
        if time.perf_counter() >= self._count_from_s:
            self.delays_ms += [(t_ns - given_ns) / 1e6 for given_ns in inputs]

    def _stop(self) -> None:
        self._timer.stop()
        status = self._parts.desk.status
        self.drops = dict(status.drops)
        self.rate = 1e9 / status.info.interval_ns if status.info is not None else math.nan


def measure_steering(uri: str, seconds: float) -> dict[str, Any]:
    """Steer a simulation in the window for some seconds.

    Returns
    -------
    dict
        ``input_to_painted_ms`` (list of float), ``screen`` and ``note`` (words).
    """
    hands: list[Hand] = []
    run_window(
        uri,
        quit_after_s=seconds + WARM_UP_S,
        on_ready=lambda parts: hands.append(Hand(parts)),
        keep_settings=False,
    )
    hand = hands[0]
    return {
        "input_to_painted_ms": hand.delays_ms,
        "screen": f"screen: {QGuiApplication.platformName()}",
        "note": f"{hand.rate:.0f} frames/s, dropped: {hand.drops or 'none'}",
    }
