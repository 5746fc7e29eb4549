"""Joins the hands in the window to a steered simulation: keys, mouse, gamepad on one side, the mailbox on the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt

from puncta.core.events import PlayState
from puncta.core.geometry import PointPx
from puncta.core.last_seen import LostTip
from puncta.core.overlay import OverlayScene, OverlayStyle, compose
from puncta.core.results import Analysis
from puncta.gui.steering.grip import Grip, wheel_controls
from puncta.gui.steering.overlay import compose_steered
from puncta.gui.steering.speeds import SPEEDS, speed_of
from puncta.sim.controls import STILL, Controls
from puncta.sources.steering import SteeredView, Steering

if TYPE_CHECKING:
    from puncta.gui.desk import Desk


class Pilot(QObject):
    """The hands of one window. Does nothing while what is open is not steered."""

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.now_ns: Callable[[], int] = time.monotonic_ns
        self._desk = desk
        self._held: set[str] = set()
        self._pushed = STILL
        self._grip: Grip | None = None
        self._button = Qt.MouseButton.NoButton
        self._running = False
        desk.status_changed.connect(self._follow_state)

    @property
    def steering(self) -> Steering | None:
        """The mailbox of what is open; None where nothing is steered."""
        return self._desk.player.steering

    @property
    def view(self) -> SteeredView | None:
        """What is known about the picture on the screen; None where it is not steered."""
        steering, analysis = self.steering, self._desk.analysis
        return steering.view(analysis.frame.key.index) if steering is not None and analysis is not None else None

    def compose(
        self, analysis: Analysis, style: OverlayStyle, now_ns: int | None, lost: Sequence[LostTip] = ()
    ) -> OverlayScene:
        """Compose the scene of a picture, with target and needle guide where it is steered."""
        steering = self.steering
        view = steering.view(analysis.frame.key.index) if steering is not None else None
        if view is None:
            return compose(analysis, style, now_ns, lost)
        return compose_steered(analysis, view, style, now_ns, lost)

    # --- keys and buttons --------------------------------------------------------------------------------------

    def hold(self, name: str, held: bool) -> bool:
        """Follow a held key or button; False where it does not steer.

        A key pressed on a frozen picture does nothing, also later, until it is pressed anew.
        """
        if name not in SPEEDS:
            return False
        if not held:
            self._held.discard(name)
        elif self._is_running():
            self._held.add(name)
        self._send_speed()
        return True

    def push(self, per_second: Controls) -> None:
        """Follow the sticks of a gamepad."""
        if per_second != self._pushed:
            self._pushed = per_second
            self._send_speed()

    def fire(self) -> None:
        """The biopsy gun's throw."""
        self._send(Controls(fire=True), self.now_ns())

    def done(self) -> None:
        """The trainee declares the attempt finished."""
        self._send(Controls(done=True), self.now_ns())

    def let_go(self) -> None:
        """Hold everything still."""
        self._held.clear()
        self._pushed = STILL
        self._grip = None
        if self.steering is not None:
            self.steering.hold(STILL, self.now_ns())

    # --- the mouse on the picture ------------------------------------------------------------------------------

    def press(self, point_px: PointPx, button: Qt.MouseButton) -> bool:
        """Take hold; False where there is nothing to steer."""
        if self.view is None or button not in (Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton):
            return False
        self._grip, self._button = Grip(point_px), button
        return True

    def move(self, point_px: PointPx, modifiers: Qt.KeyboardModifier) -> bool:
        """Follow the mouse; False where nothing is held."""
        view, grip = self.view, self._grip
        if grip is None:
            return False
        t_ns = self.now_ns()
        if view is not None and view.needle is not None:
            scale = view.mm_per_px
            if self._button is Qt.MouseButton.RightButton:
                controls = grip.move_probe(point_px, scale)
            elif modifiers & Qt.KeyboardModifier.ShiftModifier:
                controls = grip.move_entry(point_px, view.needle, scale)
            else:
                controls = grip.move_needle(point_px, view.needle, scale)
            self._send(controls, t_ns)
        return True

    def release(self) -> bool:
        """Let go of what the mouse holds."""
        had, self._grip = self._grip is not None, None
        return had

    def wheel(self, notches: float) -> bool:
        """Advance or withdraw; False where there is nothing to steer."""
        if self.view is None:
            return False
        self._send(wheel_controls(notches), self.now_ns())
        return True

    def _send(self, controls: Controls, t_ns: int) -> None:
        steering = self.steering
        # Moves made on a frozen picture would all be carried out at once when it runs again.
        if steering is not None and controls != STILL and self._is_running():
            steering.steer(controls, t_ns)

    def _send_speed(self) -> None:
        steering = self.steering
        # The mailbox owes every tap its step, so taps (and a keyboard's repeats) must not reach it while frozen.
        if steering is not None and self._is_running():
            steering.hold(speed_of(self._held) + self._pushed, self.now_ns())

    def _is_running(self) -> bool:
        return self._desk.status.state is PlayState.PLAYING

    def _follow_state(self) -> None:
        """Let the keys go when the picture freezes; when it runs again, only sticks that are still pushed count."""
        running = self._is_running()
        if running == self._running:
            return
        self._running = running
        if running:
            self._send_speed()
            return
        self._held.clear()
        self._grip = None
        steering = self.steering
        if steering is not None:
            steering.hold(STILL, self.now_ns())
