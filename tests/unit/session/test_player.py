"""The promise of the whole program: a picture and its overlay never part, whatever happens around them."""

from __future__ import annotations

import dataclasses
import threading
import time

import numpy as np
import pytest
from pipeline_stage import EchoPlugin, NumberedSource, hosted

from puncta.core.errors import UserError
from puncta.core.events import PlayState
from puncta.core.flags import Flag
from puncta.core.frame import Calibration, CalibrationOrigin
from puncta.sdk.plugin import ResetReason
from puncta.session.player import Player, Presentation


def wait_for(condition, timeout_s=5.0):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.002)
    raise AssertionError("the awaited state did not come")


@pytest.fixture
def make(request):
    players = []

    def build(source=None, plugin=None, **more):
        sources = {"numbered": source or NumberedSource(200)}
        more.setdefault("opener", lambda uri: sources[uri])
        player = Player(
            plugins=[hosted(plugin or EchoPlugin(), **more.pop("spec", {}))], enabled_plugins=["echo"], **more
        )
        players.append(player)
        return player

    yield build
    for player in players:
        player.close()


def shown(player, analyses=None):
    analysis = player.take()
    if analysis is not None and analyses is not None:
        analyses.append(analysis)
    return analysis


def own_overlay(analysis):
    """The overlay's x betrays the frame it was computed from."""
    return all(
        o.frame_id == analysis.frame.frame_id and o.results[0].tip_px[0] == float(analysis.frame.pixels[0, 0])
        for o in analysis.outputs
    )


def test_a_slow_plugin_never_puts_an_old_overlay_on_a_new_frame(make):
    player = make(plugin=EchoPlugin(delay_s=0.03), source=NumberedSource(60, interval_ms=5))
    player.open("numbered")
    analyses = []
    wait_for(lambda: shown(player, analyses) is None and player.status().state is PlayState.ENDED)
    time.sleep(0.1)
    shown(player, analyses)
    assert len(analyses) >= 3
    assert all(own_overlay(a) for a in analyses)
    drops = dict(player.status().drops)
    assert drops.get("replaced by newer", 0) > 0, "frames dropped by slow inference are counted"


def test_a_seek_voids_what_was_under_way(make):
    plugin = EchoPlugin()
    player = make(plugin=plugin)
    player.open("numbered", paused=True)
    wait_for(lambda: shown(player))
    plugin.gate = threading.Event()
    player.seek(50)
    wait_for(lambda: (plugin.seen or [(0, 0)])[-1][1] == 50)
    player.seek(90)
    plugin.gate.set()
    analysis = wait_for(lambda: shown(player))
    assert analysis.frame.key.index == 90 and own_overlay(analysis)
    time.sleep(0.05)
    assert shown(player) is None, "frame 50's analysis is discarded"


def test_another_source_starts_clean(make):
    second = NumberedSource(200, name="second")
    first = NumberedSource(200)
    plugin = EchoPlugin(delay_s=0.01)
    player = make(plugin=plugin, opener=lambda uri: {"numbered": first, "second": second}[uri])
    player.open("numbered")
    before = wait_for(lambda: shown(player))
    player.open("second")
    analysis = wait_for(lambda: shown(player))
    assert analysis.frame.source.stream == "second"
    assert analysis.frame.epoch > before.frame.epoch
    assert first.closed


def test_seek_resets_and_pre_rolls_the_history(make):
    plugin = EchoPlugin()
    player = make(plugin=plugin, spec={"history_frames": 4})
    player.open("numbered", paused=True)
    wait_for(lambda: shown(player))
    plugin.seen.clear()
    player.seek(30)
    assert wait_for(lambda: shown(player)).frame.key.index == 30
    assert [index for _, index in plugin.seen] == [26, 27, 28, 29, 30]
    assert plugin.resets[-1] is ResetReason.SEEK


def test_step_forward_runs_the_history_on_and_back_seeks(make):
    plugin = EchoPlugin()
    player = make(plugin=plugin)
    player.open("numbered", paused=True, start_index=10)
    assert wait_for(lambda: shown(player)).frame.key.index == 10
    resets = len(plugin.resets)
    for expected in (11, 12, 13):
        player.step(1)
        assert wait_for(lambda: shown(player)).frame.key.index == expected
    assert len(plugin.resets) == resets
    player.step(-1)
    assert wait_for(lambda: shown(player)).frame.key.index == 12
    player.step(10)
    assert wait_for(lambda: shown(player)).frame.key.index == 22
    player.step(-100)
    assert wait_for(lambda: shown(player)).frame.key.index == 0
    player.seek(10_000)
    assert wait_for(lambda: shown(player)).frame.key.index == 199


def test_quick_seeks_are_carried_out_for_the_newest_only(make):
    source = NumberedSource(200)
    player = make(source=source)
    player.open("numbered", paused=True)
    wait_for(lambda: shown(player))
    source.reads.clear()
    for index in range(100, 160):
        player.seek(index)
    wait_for(lambda: (a := shown(player)) is not None and a.frame.key.index == 159)
    assert len(source.reads) < 120


def test_every_frame_shows_each_frame_to_the_plugin(make):
    plugin = EchoPlugin(delay_s=0.004)
    player = make(plugin=plugin, source=NumberedSource(40, interval_ms=1), every_frame=True)
    player.open("numbered")
    wait_for(lambda: player.status().state is PlayState.ENDED and player.status().analysed == 40)
    assert [i for _, i in plugin.seen] == list(range(40))


def test_a_loop_stays_inside_its_range(make):
    plugin = EchoPlugin()
    player = make(plugin=plugin, source=NumberedSource(200, interval_ms=2))
    player.open("numbered", paused=True)
    wait_for(lambda: shown(player))
    player.set_loop((20, 30))
    wait_for(lambda: shown(player))
    plugin.seen.clear()
    player.play()
    wait_for(lambda: len(plugin.seen) > 35)
    player.pause()
    indices = [i for _, i in plugin.seen]
    assert set(indices) <= set(range(20, 30))
    assert indices.count(20) >= 2


def test_low_latency_never_presents_an_old_overlay_as_new(make):
    player = make(
        plugin=EchoPlugin(delay_s=0.05), source=NumberedSource(60, interval_ms=5), presentation=Presentation.LOW_LATENCY
    )
    player.open("numbered")
    analyses = []
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        shown(player, analyses)
        time.sleep(0.002)
    carried = [a for a in analyses if a.outputs and a.outputs[0].frame_id != a.frame.frame_id]
    own = [a for a in analyses if a.outputs and a.outputs[0].frame_id == a.frame.frame_id]
    assert carried, "pictures run ahead of inference"
    assert all(own_overlay(a) for a in own)
    for analysis in carried:
        assert analysis.outputs[0].frame_t_ns < analysis.frame.t_ns, "a carried result keeps its own time"


def test_a_stalled_plugin_lets_the_raw_picture_through(make):
    plugin = EchoPlugin()
    plugin.gate = threading.Event()
    player = make(plugin=plugin, source=NumberedSource(400, interval_ms=10))
    player.open("numbered")
    raw = wait_for(lambda: shown(player))
    assert raw.outputs == () and player.stalled()
    plugin.gate.set()
    plugin.gate = None
    wait_for(lambda: (a := shown(player)) is not None and a.outputs)


def test_a_stall_wakes_for_each_raw_picture_and_nothing_else_does_without_an_analysis(make):
    plugin = EchoPlugin()
    plugin.gate = threading.Event()
    taken, handed = [], []
    # Taken in the wake itself, hence before the next frame is handed out: nobody polls.
    player = make(plugin=plugin, source=NumberedSource(400, interval_ms=10), wake=lambda: taken.append(player.take()))
    player.listen(lambda frame: handed.append(frame.frame_id), lambda _analysis: None)
    player.open("numbered")
    wait_for(lambda: len(taken) > 20)
    opening, *raw = taken[:21]
    plugin.gate.set()
    assert opening is None and all(a is not None and a.outputs == () for a in raw)
    shown_ids = [a.frame.frame_id for a in raw]
    begins = handed.index(shown_ids[0])
    assert shown_ids == handed[begins : begins + 20], "each one that was handed out since the stall began"


def test_who_sees_a_picture_finds_its_analysis_recorded(make):
    heard, late = [], []

    def wake():
        analysis = player.take()
        if analysis is not None and threading.current_thread().name == "puncta-inference":
            late.append(not heard or heard[-1] is not analysis)

    player = make(source=NumberedSource(30, interval_ms=1), every_frame=True, wake=wake)
    player.listen(lambda _frame: None, heard.append)
    player.open("numbered")
    wait_for(lambda: len(late) >= 20)
    assert not any(late)


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
