"""What a user set on a case stays with that case."""

from __future__ import annotations

import threading

from pipeline_stage import EchoPlugin, hosted

from puncta.core.events import PlayState


def opened(parts, qtbot, uri: str) -> None:
    parts.window.open_uri(uri)
    qtbot.waitUntil(lambda: parts.desk.uri == uri and parts.desk.analysis is not None and parts.desk.info is not None)
    qtbot.waitUntil(lambda: parts.desk.analysis is not None and parts.desk.analysis.frame.key.stream == uri)


def test_target_and_range_come_back_with_their_case(stage, qtbot) -> None:
    parts = stage.open()
    desk = parts.desk
    opened(parts, qtbot, "first")
    desk.player.pause()
    desk.set_target((50.0, 10.0))
    desk.loop_marks = [3, 9]
    opened(parts, qtbot, "sim:other")
    assert desk.target_px is None, "another picture has no target yet"
    opened(parts, qtbot, "first")
    assert desk.target_px == (50.0, 10.0)
    assert desk.loop_marks == [3, 9]


def test_a_mark_set_before_the_picture_came_belongs_to_the_frame_asked_for(stage, qtbot) -> None:
    plugin = EchoPlugin()
    parts = stage.open(plugins=[hosted(plugin)])
    desk = parts.desk
    opened(parts, qtbot, "first")
    desk.player.pause()
    desk.seek(0)
    qtbot.waitUntil(lambda: desk.status.state is PlayState.PAUSED and desk.shown_index() == 0)
    plugin.gate = threading.Event()
    for _ in range(3):
        desk.step(10)
    desk.mark_loop(0)
    plugin.gate.set()
    assert desk.loop_marks[0] == 30
