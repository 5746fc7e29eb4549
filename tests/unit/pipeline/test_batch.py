from __future__ import annotations

import threading

import pytest
from pipeline_stage import EchoPlugin, NumberedSource, hosted

from puncta.core.errors import SourceError
from puncta.pipeline.batch import analyse, frames_of
from puncta.pipeline.host import PluginHost


def run(source, plugin, *span, **more):
    host = PluginHost([hosted(plugin)])
    with analyse(frames_of(source, *span, **more), host) as analyses:
        return list(analyses)


def test_every_frame_once_in_order_with_its_hash():
    source = NumberedSource(50)
    out = run(source, EchoPlugin(delay_s=0.0005))
    assert [a.frame.key.index for a in out] == list(range(50))
    assert [a.output("echo").results[0].tip_px[0] for a in out] == [float(i) for i in range(50)]
    assert len({a.frame.key.sha256 for a in out}) == 50
    assert all(a.frame.key.sha256 == a.frame.digest() for a in out)


def test_a_span_is_half_open_and_counts_from_zero():
    assert [a.frame.key.index for a in run(NumberedSource(50), EchoPlugin(), 10, 14)] == [10, 11, 12, 13]


def test_seconds_count_the_sources_own_time():
    out = run(NumberedSource(50, interval_ms=100), EchoPlugin(), seconds=1.0)
    assert [a.frame.key.index for a in out] == list(range(10))


def test_stopping_early_leaves_no_thread():
    host = PluginHost([hosted(EchoPlugin())])
    with analyse(frames_of(NumberedSource(1000)), host) as analyses:
        next(analyses)
    assert not [t for t in threading.enumerate() if t.name.startswith("puncta-")]


def test_a_broken_file_gives_the_frames_before_the_break_then_its_sentence():
    host = PluginHost([hosted(EchoPlugin())])
    got = []
    breaks = pytest.raises(SourceError, match="breaks off at frame 7")
    with breaks, analyse(frames_of(NumberedSource(50, fail_at=7)), host) as analyses:
        for analysis in analyses:
            got.append(analysis.frame.key.index)
    assert got == list(range(7))


def test_a_stop_event_ends_an_endless_source():
    stop = threading.Event()
    out = []
    host = PluginHost([hosted(EchoPlugin())])
    with analyse(frames_of(NumberedSource(10_000), stop=stop), host) as analyses:
        for analysis in analyses:
            out.append(analysis)
            if len(out) == 5:
                stop.set()
    assert 5 <= len(out) < 100


def test_frames_before_the_span_warm_up_the_history_and_are_not_handed_out():
    plugin = EchoPlugin()
    host = PluginHost([hosted(plugin)])
    frames = frames_of(NumberedSource(50, interval_ms=100), 10, pre_roll=4, seconds=0.3)
    with analyse(frames, host, first=10) as analyses:
        out = list(analyses)
    assert [a.frame.key.index for a in out] == [10, 11, 12]
    assert [index for _, index in plugin.seen] == list(range(6, 13))
