"""Showing the needle in the window: a drag becomes a prompt for the frame on the screen."""

from __future__ import annotations

import pytest
from pipeline_stage import EchoPlugin, hosted
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from puncta.core.events import PlayState
from puncta.core.prompts import BoxPrompt, Prompt, ScribblePrompt
from puncta.gui.video.tools import NeedleSketch, Tool


class Promptly(EchoPlugin):
    """Remembers which frame came with a prompt."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, Prompt]] = []
        self._pending: Prompt | None = None

    def prompt(self, prompt: Prompt) -> None:
        self._pending = prompt

    def step(self, frame, upstream):  # noqa: ANN001, ANN201
        if self._pending is not None:
            self.asked.append((frame.key.index, self._pending))
            self._pending = None
        return super().step(frame, upstream)


def shown(parts, qtbot) -> None:
    parts.window.open_uri("case-a")
    qtbot.waitUntil(lambda: parts.desk.analysis is not None and parts.desk.info is not None, timeout=5000)


def drag(parts, points, modifier=Qt.KeyboardModifier.NoModifier) -> None:
    view = parts.window.stage.view
    places = [QPoint(*(round(v) for v in view.transform().display_from_image(p))) for p in points]
    QTest.mousePress(view, Qt.MouseButton.LeftButton, modifier, places[0])
    for place in places[1:]:
        QTest.mouseMove(view, place)
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, modifier, places[-1])


def test_a_drag_along_the_needle_is_taken_on_the_frame_that_is_held(stage, qtbot) -> None:
    plugin = Promptly()
    parts = stage.open(plugins=[hosted(plugin, prompts=True)])
    shown(parts, qtbot)
    window = parts.window
    window.does.run("needle_here")
    assert window.stage.view.tool is Tool.NEEDLE and window.stage.hint.text()
    qtbot.waitUntil(lambda: parts.desk.player.status().state is PlayState.PAUSED, timeout=5000)
    qtbot.wait(50)
    index = parts.desk.shown_index()
    drag(parts, [(20.0, 4.0), (60.0, 8.0), (120.0, 14.0)])
    assert window.stage.view.tool is Tool.NONE
    qtbot.waitUntil(lambda: bool(plugin.asked), timeout=5000)
    frame, prompt = plugin.asked[0]
    assert frame == index and isinstance(prompt, ScribblePrompt)
    assert prompt.points_px[0] == pytest.approx((20.0, 4.0), abs=0.5)
    assert prompt.points_px[-1] == pytest.approx((120.0, 14.0), abs=0.5)


def test_with_shift_it_is_a_box_and_it_can_be_taken_back(stage, qtbot) -> None:
    plugin = Promptly()
    parts = stage.open(plugins=[hosted(plugin, prompts=True)])
    shown(parts, qtbot)
    parts.window.does.run("needle_here")
    qtbot.waitUntil(lambda: parts.desk.player.status().state is PlayState.PAUSED, timeout=5000)
    qtbot.wait(50)
    drag(parts, [(30.0, 3.0), (100.0, 15.0)], Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: bool(plugin.asked), timeout=5000)
    prompt = plugin.asked[0][1]
    assert isinstance(prompt, BoxPrompt) and prompt.box == pytest.approx((30.0, 3.0, 70.0, 12.0), abs=1.0)
    seen = len(plugin.seen)
    parts.window.does.run("needle_forget")
    qtbot.waitUntil(lambda: len(plugin.seen) > seen, timeout=5000)
    assert len(plugin.asked) == 1


def test_without_a_plugin_that_takes_it_nothing_is_taken_in_hand(stage, qtbot) -> None:
    parts = stage.open(plugins=[hosted(EchoPlugin())])
    shown(parts, qtbot)
    parts.window.does.run("needle_here")
    assert parts.window.stage.view.tool is Tool.NONE


def test_a_slip_of_the_hand_is_no_prompt() -> None:
    sketch = NeedleSketch()
    sketch.begin((10.0, 10.0), box=False)
    sketch.add((11.0, 11.0))
    assert sketch.finish() is None and not sketch.points_px
    sketch.begin((10.0, 10.0), box=True)
    sketch.add((40.0, 10.0))
    assert sketch.finish() is None, "a box without a height"
