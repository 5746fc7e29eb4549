"""A picture that was held is not late: neither under Models nor under another mode is that time a delay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from puncta.core.events import Percentiles, PipelineStatus, PlayState
from puncta.core.results import Analysis
from puncta.gui.panels.latency import LatencyButton
from puncta.gui.theme import make_theme
from puncta.session.latency import LatencySnapshot


@pytest.fixture
def window(stage, qtbot):
    """A window in Review whose clip is held on a frame that has been painted, and the pictures that it reports."""
    parts = stage.open()
    view = parts.window.stage.view
    parts.window.open_uri("case-a")
    qtbot.waitUntil(lambda: parts.desk.analysis is not None and parts.desk.info is not None)
    parts.desk.player.pause()
    qtbot.waitUntil(lambda: parts.desk.status.state is PlayState.PAUSED and not view._unpainted)
    seen: list[Analysis] = []
    view.on_painted = lambda analysis, _t_ns: seen.append(analysis)
    return parts, seen


def next_one(analysis: Analysis) -> Analysis:
    frame = analysis.frame
    return replace(analysis, frame=replace(frame, frame_id=frame.frame_id + 1_000, pixels=np.zeros_like(frame.pixels)))


def test_what_came_under_models_is_not_late_when_the_picture_is_seen_again(window, qtbot) -> None:
    parts, seen = window
    view = parts.window.stage.view
    parts.window.does.run("mode_models")
    qtbot.waitUntil(lambda: not view.isVisible())
    view.show_analysis(next_one(parts.desk.analysis))  # it was being analysed when the clip was held
    parts.window.does.run("mode_review")
    qtbot.waitUntil(view.isVisible)
    view.repaint()
    assert seen == []
    further = next_one(view.analysis)
    view.show_analysis(further)
    view.repaint()
    assert [one.frame.frame_id for one in seen] == [further.frame.frame_id]


def test_what_waits_for_its_painting_when_the_view_goes_is_not_late_afterwards(window, qtbot) -> None:
    parts, seen = window
    view = parts.window.stage.view
    view.show_analysis(next_one(parts.desk.analysis))
    parts.window.does.run("mode_models")
    parts.window.does.run("mode_review")
    qtbot.waitUntil(view.isVisible)
    view.repaint()
    assert seen == []


def test_a_held_picture_that_is_covered_uncovered_or_drawn_once_more_is_not_late(window) -> None:
    parts, seen = window
    view = parts.window.stage.view
    held = parts.desk.analysis
    for again in (replace(held, outputs=()), held, held):
        view.show_analysis(again)
        view.repaint()
    assert seen == [] and view.analysis is held
    view.show_analysis(replace(held, t_done_ns=held.t_done_ns + 1))  # its analysis has come
    view.repaint()
    assert len(seen) == 1


def test_a_clip_that_goes_on_is_not_lost_before_its_first_picture(window, qtbot) -> None:
    parts, _seen = window
    button = LatencyButton(make_theme("dark"))
    qtbot.addWidget(button)
    known = Percentiles(8.0, 9.0, 9.0, 5)
    old = LatencySnapshot(known, None, 20.0, 1)  # painted when this machine was started
    held = parts.desk.status
    playing = replace(held, state=PlayState.PLAYING)
    assert isinstance(held, PipelineStatus)
    for status, word in ((held, "paused"), (playing, "live")):
        button.show_values(status, old, stalled=False, figures=False)
        assert button.word == word
    button._since_ns = 1
    button.show_values(playing, old, stalled=False, figures=False)
    assert button.word == "lost"
