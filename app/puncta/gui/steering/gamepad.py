"""A gamepad as hands: sticks and triggers become speeds, buttons become verbs.

It is read through SDL where the optional package pygame-ce is installed; without it, or without a pad, nothing happens.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable
from typing import Any, Protocol

from PySide6.QtCore import QObject, QTimer

from puncta.gui.steering.speeds import SPEEDS, speed_of
from puncta.sim.controls import STILL, Controls

log = logging.getLogger(__name__)

POLL_MS = 8
LOOK_MS = 2000
"""While no pad is there, one is looked for so often [ms]."""
DEAD = 0.15
"""A stick nearer to its middle than this rests."""

STICKS: tuple[tuple[str, str, str], ...] = (
    ("left_x", "probe_left", "probe_right"),
    ("left_y", "probe_behind", "probe_front"),
    ("right_x", "needle_flatter", "needle_steeper"),
    ("right_y", "needle_out", "needle_in"),
)
"""Stick, action towards its negative end, action towards its positive end; y is positive downwards."""
HELD: dict[str, str] = {
    "left_shoulder": "probe_rock_left",
    "right_shoulder": "probe_rock_right",
    "up": "probe_tilt_behind",
    "down": "probe_tilt_front",
    "left": "needle_swing_left",
    "right": "needle_swing_right",
    "x": "probe_press",
    "y": "probe_lift",
    "a": "needle_inject",
}
PRESSED: dict[str, str] = {"b": "needle_fire", "start": "attempt_done", "back": "attempt_again"}


class Pad(Protocol):
    """A gamepad in the layout that most share."""

    def axes(self) -> dict[str, float]:
        """Sticks by name, -1 .. 1."""
        ...

    def buttons(self) -> set[str]:
        """Names of the buttons that are down."""
        ...

    def gone(self) -> bool:
        """It was unplugged."""
        ...


def speed_of_pad(axes: dict[str, float], buttons: set[str]) -> Controls:
    """Speeds that sticks and held buttons ask for; the way of a stick is squared, so that small moves stay small."""
    total = speed_of(HELD[name] for name in buttons if name in HELD)
    for stick, negative, positive in STICKS:
        value = axes.get(stick, 0.0)
        reach = (abs(value) - DEAD) / (1.0 - DEAD)
        if reach > 0:
            total = total + _scaled(SPEEDS[positive if value > 0 else negative], min(1.0, reach) ** 2)
    return total


def _scaled(speed: Controls, share: float) -> Controls:
    values = {name: getattr(speed, name) * share for name in Controls.__slots__ if name not in ("fire", "done")}
    return Controls(**values)


class Gamepad(QObject):
    """Reads a pad while a simulation is steered.

    Parameters
    ----------
    push : callable
        Gets the speeds that the pad asks for.
    run : callable
        Gets the id of an action whose button was pressed.
    find : callable
        Returns a pad, or None.
    """

    def __init__(
        self,
        push: Callable[[Controls], None],
        run: Callable[[str], None],
        find: Callable[[], Pad | None] | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._push, self._run, self._find = push, run, find or find_pad
        self._pad: Pad | None = None
        self._down: set[str] = set()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.read)

    def set_on(self, on: bool) -> None:
        """Read it, or leave it alone."""
        if not on:
            self._timer.stop()
            self._pad = None
        elif not self._timer.isActive():
            self._look()

    def read(self) -> None:
        """Follow sticks and buttons once."""
        if self._pad is None:
            self._look()
            return
        if self._pad.gone():
            self._pad = None
            self._push(STILL)
            self._look()
            return
        buttons = self._pad.buttons()
        self._push(speed_of_pad(self._pad.axes(), buttons))
        for name in sorted(buttons - self._down):
            if name in PRESSED:
                self._run(PRESSED[name])
        self._down = buttons

    def _look(self) -> None:
        self._pad = self._find()
        self._down = self._pad.buttons() if self._pad is not None else set()
        self._timer.start(POLL_MS if self._pad is not None else LOOK_MS)


class SdlPad:
    """A pad read by SDL."""

    _AXES = {"left_x": "LEFTX", "left_y": "LEFTY", "right_x": "RIGHTX", "right_y": "RIGHTY"}
    _BUTTONS = {
        "a": "A", "b": "B", "x": "X", "y": "Y", "start": "START", "back": "BACK", "left_shoulder": "LEFTSHOULDER",
        "right_shoulder": "RIGHTSHOULDER", "up": "DPAD_UP", "down": "DPAD_DOWN", "left": "DPAD_LEFT",
        "right": "DPAD_RIGHT",
    }

    def __init__(self, pygame: Any, controller: Any) -> None:
        self._pygame, self._controller = pygame, controller
        self._axes = {name: getattr(pygame, f"CONTROLLER_AXIS_{sdl}") for name, sdl in self._AXES.items()}
        self._keys = {name: getattr(pygame, f"CONTROLLER_BUTTON_{sdl}") for name, sdl in self._BUTTONS.items()}

    def axes(self) -> dict[str, float]:
        """Sticks, -1 .. 1; SDL counts to 32767."""
        self._pygame.event.pump()
        return {name: self._controller.get_axis(axis) / 32767.0 for name, axis in self._axes.items()}

    def buttons(self) -> set[str]:
        """Buttons that are down."""
        return {name for name, key in self._keys.items() if self._controller.get_button(key)}

    def gone(self) -> bool:
        """It was unplugged."""
        self._pygame.event.pump()
        return not self._controller.attached()


def find_pad() -> Pad | None:
    """The first pad that is plugged in; None without one, or without pygame-ce."""
    try:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # SDL reads pads only beside a screen of its own
        os.environ.setdefault("SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", "1")
        pygame = importlib.import_module("pygame")
        sdl = importlib.import_module("pygame._sdl2.controller")
        pygame.display.init()
        sdl.init()
        pygame.event.pump()
        for index in range(sdl.get_count()):
            if sdl.is_controller(index):
                return SdlPad(pygame, sdl.Controller(index))
    except ImportError:
        return None
    except Exception:
        log.exception("the gamepad cannot be read")
    return None
