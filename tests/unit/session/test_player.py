"""The promise of the whole program: a picture and its overlay never part, whatever happens around them."""

from __future__ import annotations

import threading
import time

import pytest
from pipeline_stage import EchoPlugin, NumberedSource
from player_stage import own_overlay, players, shown, wait_for

from puncta.core.events import PlayState
from puncta.sdk.plugin import ResetReason
from puncta.session.player import Presentation


@pytest.fixture
def make():
    with players() as build:
        yield build


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
