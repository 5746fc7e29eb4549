"""A gamepad stand-in: sticks become speeds, buttons verbs, and an unplugged pad stops everything."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from puncta.gui.steering.gamepad import HELD, PRESSED, STICKS, Gamepad, find_pad, speed_of_pad
from puncta.gui.steering.speeds import SPEEDS
from puncta.sim.controls import STILL, Controls


class StandIn:
    """A pad whose sticks and buttons a test sets."""

    def __init__(self) -> None:
        self.sticks: dict[str, float] = {}
        self.down: set[str] = set()
        self.unplugged = False

    def axes(self) -> dict[str, float]:
        return self.sticks

    def buttons(self) -> set[str]:
        return set(self.down)

    def gone(self) -> bool:
        return self.unplugged


def test_sticks_move_by_the_speed_of_their_keys_and_rest_in_the_middle() -> None:
    assert speed_of_pad({"left_x": 0.1, "right_y": -0.14}, set()) == STILL
    assert speed_of_pad({"left_x": 1.0}, set()) == SPEEDS["probe_right"]
    assert speed_of_pad({"left_y": -1.0}, set()) == SPEEDS["probe_behind"]
    half = speed_of_pad({"right_y": 0.575}, set()).advance_mm
    assert half == pytest.approx(SPEEDS["needle_in"].advance_mm / 4)
    both = speed_of_pad({"right_y": 1.0, "right_x": 1.0}, {"left_shoulder"})
    assert both == SPEEDS["needle_in"] + SPEEDS["needle_steeper"] + SPEEDS["probe_rock_left"]


def test_every_action_of_the_pad_exists() -> None:
    used = {*HELD.values(), *(action for _stick, *both in STICKS for action in both)}
    assert used <= set(SPEEDS)
    assert not set(PRESSED) & set(HELD)


def test_the_pad_is_read_and_an_unplugged_one_stops_the_hands(qapp) -> None:
    pad, pushed, run = StandIn(), [], []
    gamepad = Gamepad(pushed.append, run.append, lambda: None if pad.unplugged else pad)
    gamepad.set_on(True)
    pad.sticks = {"left_x": 1.0}
    pad.down = {"b"}
    gamepad.read()
    gamepad.read()
    assert pushed[-1] == SPEEDS["probe_right"]
    assert run == ["needle_fire"]  # once a press
    pad.down = set()
    gamepad.read()
    pad.down = {"start"}
    gamepad.read()
    assert run == ["needle_fire", "attempt_done"]
    pad.unplugged = True
    gamepad.read()
    assert pushed[-1] == STILL
    gamepad.set_on(False)


def test_a_button_that_is_down_when_the_pad_is_found_does_nothing(qapp) -> None:
    pad, run = StandIn(), []
    pad.down = {"start"}
    gamepad = Gamepad(lambda _speed: None, run.append, lambda: pad)
    gamepad.set_on(True)
    gamepad.read()
    assert run == []
    gamepad.set_on(False)


def test_without_the_optional_package_there_is_no_pad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    assert find_pad() is None


def test_a_pad_is_read_through_sdl(monkeypatch: pytest.MonkeyPatch) -> None:
    pygame, sdl, package = ModuleType("pygame"), ModuleType("pygame._sdl2.controller"), ModuleType("pygame._sdl2")
    names = ["AXIS_LEFTX", "AXIS_LEFTY", "AXIS_RIGHTX", "AXIS_RIGHTY", *(
        f"BUTTON_{n}" for n in ("A", "B", "X", "Y", "START", "BACK", "LEFTSHOULDER", "RIGHTSHOULDER", "DPAD_UP",
                                "DPAD_DOWN", "DPAD_LEFT", "DPAD_RIGHT"))]
    for number, name in enumerate(names):
        setattr(pygame, f"CONTROLLER_{name}", number)
    pygame.display = SimpleNamespace(init=lambda: None)
    pygame.event = SimpleNamespace(pump=lambda: None)
    values = {pygame.CONTROLLER_AXIS_LEFTX: -32768, pygame.CONTROLLER_AXIS_RIGHTY: 32767}
    device = SimpleNamespace(
        get_axis=lambda axis: values.get(axis, 0), get_button=lambda b: b == pygame.CONTROLLER_BUTTON_A,
        attached=lambda: True,
    )
    sdl.init, sdl.get_count, sdl.is_controller = (lambda: None), (lambda: 2), (lambda index: index == 1)
    sdl.Controller = lambda index: device
    for name, module in (("pygame", pygame), ("pygame._sdl2", package), ("pygame._sdl2.controller", sdl)):
        monkeypatch.setitem(sys.modules, name, module)
    pad = find_pad()
    assert pad is not None and not pad.gone()
    assert pad.buttons() == {"a"}
    speed = speed_of_pad(pad.axes(), pad.buttons())
    assert speed == SPEEDS["probe_left"] + SPEEDS["needle_in"] + SPEEDS["needle_inject"]
    assert isinstance(speed, Controls)
