"""What the player does where something changes, fails or ends: rulers, sources, threads, rounds, quick steps."""

from __future__ import annotations

import dataclasses
import threading
import time

import numpy as np
import pytest
from pipeline_stage import EchoPlugin, NumberedSource
from player_stage import own_overlay, players, shown, wait_for

from puncta.core.errors import UserError
from puncta.core.events import PlayState
from puncta.core.flags import Flag
from puncta.core.frame import Calibration, CalibrationOrigin


@pytest.fixture
def make():
    with players() as build:
        yield build


def test_a_ruler_replaces_the_calibration_and_takes_effect_on_a_held_picture(make):
    player = make()
    player.open("numbered", paused=True)
    assert wait_for(lambda: shown(player)).frame.geometry.calibration is None
    player.set_calibration(Calibration((0.1, 0.1), CalibrationOrigin.RULER))
    assert wait_for(lambda: shown(player)).frame.geometry.calibration.origin is CalibrationOrigin.RULER
    assert player.status().info.geometry.calibration.mm_per_px == (0.1, 0.1)
    player.set_calibration(None)
    assert wait_for(lambda: shown(player)).frame.geometry.calibration is None


def test_a_source_that_cannot_open_ends_in_a_state(make):
    def refuse(uri):
        raise UserError("There is no file x.mp4; check the name.")

    player = make(opener=refuse)
    player.open("x.mp4")
    wait_for(lambda: player.status().state is PlayState.FAILED)
    assert player.status().message == "There is no file x.mp4; check the name."


def test_a_source_that_breaks_keeps_its_last_picture_and_says_so(make):
    player = make(source=NumberedSource(50, interval_ms=2, fail_at=20))
    player.open("numbered")
    wait_for(lambda: player.status().state is PlayState.FAILED)
    assert "breaks off" in player.status().message


def test_wake_comes_once_until_taken_and_without_a_payload(make):
    calls = []
    player = make(wake=lambda: calls.append(threading.current_thread().name), source=NumberedSource(100, interval_ms=2))
    player.open("numbered")
    time.sleep(0.15)
    assert len(calls) == 1
    player.take()
    wait_for(lambda: len(calls) == 2)


def test_the_track_holds_confidence_by_frame(make):
    player = make(source=NumberedSource(30, interval_ms=1), every_frame=True)
    player.open("numbered")
    wait_for(lambda: player.status().analysed == 30)
    track = player.track()["tip"]
    assert track.shape == (30,) and np.allclose(track, 0.9)


def test_plugins_run_in_the_inference_thread_only(make):
    plugin = EchoPlugin()
    player = make(plugin=plugin)
    player.open("numbered")
    wait_for(lambda: len(plugin.seen) > 5)
    assert plugin.threads == {"puncta-inference"}


def test_closing_ends_both_threads_and_closes_plugin_and_source(make):
    plugin, source = EchoPlugin(), NumberedSource(200)
    player = make(plugin=plugin, source=source)
    player.open("numbered")
    wait_for(lambda: plugin.seen)
    player.close()
    assert plugin.closed and source.closed
    assert not [t for t in threading.enumerate() if t.name.startswith("puncta-")]


@pytest.mark.parametrize("every_frame", [False, True])
def test_the_last_frame_of_each_round_is_shown_too(make, every_frame):
    player = make(source=NumberedSource(6, interval_ms=25), repeat=True, every_frame=every_frame)
    player.open("numbered")
    analyses = []
    wait_for(lambda: (shown(player, analyses) or True) and player.status().played > 20)
    assert sum(a.frame.key.index == 5 for a in analyses) >= 2
    assert all(own_overlay(a) for a in analyses)


def test_steps_in_quick_succession_add_up(make):
    player = make()
    player.open("numbered", paused=True, start_index=50)
    wait_for(lambda: shown(player))
    player.step(1)
    player.step(1)
    player.step(1)
    wait_for(lambda: (a := shown(player)) is not None and a.frame.key.index == 53)
    player.step(1)
    player.step(-1)
    player.step(-1)
    wait_for(lambda: (a := shown(player)) is not None and a.frame.key.index == 52)


def test_a_plugin_switched_during_a_seek_does_not_undo_the_seek(make):
    player = make()
    player.open("numbered", paused=True, start_index=10)
    wait_for(lambda: shown(player))
    player.seek(90)
    player.set_plugin_enabled("echo", True)
    player.set_calibration(Calibration((0.1, 0.1), CalibrationOrigin.RULER))
    wait_for(lambda: (a := shown(player)) is not None and a.frame.key.index == 90)
    time.sleep(0.05)
    assert player.status().index == 90


def test_a_pause_on_the_last_frame_is_no_delay_to_make_up_for(make):
    plugin = EchoPlugin()
    player = make(plugin=plugin, source=NumberedSource(200, interval_ms=10), repeat=True)
    player.open("numbered", paused=True, start_index=199)
    wait_for(lambda: shown(player))
    time.sleep(0.4)
    plugin.seen.clear()
    player.play()
    wait_for(lambda: plugin.seen)
    assert plugin.seen[0][1] < 20, "the next round begins at its start, not 40 frames on"


def test_a_range_that_is_not_there_is_not_looped(make):
    player = make(source=NumberedSource(20, interval_ms=2))
    player.open("numbered")
    player.set_loop((50, 60))
    wait_for(lambda: player.status().state is PlayState.ENDED)
    player.set_loop((15, 60))
    assert player.status().loop == (15, 20)


def test_an_endless_source_ignores_a_loop_and_a_start_frame(make):
    source = NumberedSource(10_000, interval_ms=2)
    source.info = dataclasses.replace(source.info, frame_count=None, times_ns=None)
    source.read = lambda read=source.read: _with_end(source, read)
    player = make(source=source)
    player.open("numbered", start_index=5)
    wait_for(lambda: player.status().index > 3)
    player.set_loop((0, 4))
    before = player.status().index
    wait_for(lambda: player.status().index > before + 5)
    assert player.status().loop is None


def _with_end(source, read):
    full = NumberedSource(10_000, interval_ms=2)
    endless, source.info = source.info, full.info
    try:
        return dataclasses.replace(read(), source=endless)
    finally:
        source.info = endless


def test_a_raw_picture_of_a_simulation_still_says_that_it_is_simulated(make):
    source = NumberedSource(400, interval_ms=10)
    source.info = dataclasses.replace(source.info, simulated=True)
    plugin = EchoPlugin()
    plugin.gate = threading.Event()
    player = make(plugin=plugin, source=source)
    player.open("numbered")
    raw = wait_for(lambda: shown(player))
    plugin.gate.set()
    assert raw.outputs == () and Flag.SIMULATED in raw.flags


def test_the_status_names_the_frame_a_held_picture_is_going_to(make):
    plugin = EchoPlugin()
    player = make(plugin=plugin)
    player.open("numbered", paused=True)
    wait_for(lambda: shown(player))
    plugin.gate = threading.Event()
    for _ in range(3):
        player.step(10)
    assert player.status().index == 30, "a mark set at once belongs to the frame that was asked for"
    plugin.gate.set()
    wait_for(lambda: (a := shown(player)) is not None and a.frame.key.index == 30)
