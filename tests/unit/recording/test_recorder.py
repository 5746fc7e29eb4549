"""The recorder: bytes as they came, every frame accounted for, the last seconds remembered, ends cleanly by itself."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from paced_source import NAME_ROWS, NAME_VALUE, number_of
from recorder_stage import analysis_of, at_times, frames, read_back, record

from puncta.core.frame import Frame, hash_planes
from puncta.formats.results_lines import read_results
from puncta.formats.validate import validate
from puncta.recording.recorder import FULL, SOURCE_LOST, Recorder, RecorderState
from puncta.sources.native_layout import layout_of
from puncta.sources.video_pixels import display_pixels, native_planes


@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
def test_the_region_alone_comes_back_byte_for_byte_at_its_times(
    recorder: Recorder, tmp_path: Path, colour: bool
) -> None:
    sent = frames(12, colour=colour)
    manifest = record(recorder, sent, tmp_path / "s")
    back = read_back(tmp_path / "s")
    x0, y0, w, h = sent[0].geometry.region.box
    assert [f.key.pts_ns for f in back] == [f.key.pts_ns for f in sent]
    for one, other in zip(sent, back):
        assert np.array_equal(one.pixels[y0 : y0 + h, x0 : x0 + w], other.pixels)
        # The name above the region never entered.
        assert not (other.pixels == NAME_VALUE).any()
    assert manifest["accounting"] == {"received": 12, "stored": 12, "lost": 0, "pre_roll": 0}
    assert manifest["streams"][0]["origin_px"] == [x0, y0] and y0 > NAME_ROWS
    assert back[0].geometry.region.box == (0, 0, w, h)
    assert back[0].geometry.calibration == sent[0].geometry.calibration
    assert back[0].source.simulated
    report = validate(tmp_path / "s")
    assert report.problems == () and report.kind == "session"


def test_the_stored_hash_is_that_of_the_planes(recorder: Recorder, tmp_path: Path) -> None:
    record(recorder, frames(3), tmp_path / "s")
    from puncta.formats.session import open_session

    stored = [r.sha256 for r in open_session(tmp_path / "s").index.records]
    assert stored == [f.hashed_key().sha256 for f in read_back(tmp_path / "s")]


def yuv_frame(number: int, frame: Frame, *, grey: bool) -> Frame:
    width, height = frame.geometry.width_px, frame.geometry.height_px
    video = av.VideoFrame(width, height, "yuv420p")
    rng = np.random.default_rng(number)
    for n, plane in enumerate(video.planes):
        rows = np.frombuffer(plane, np.uint8)[: plane.line_size * plane.height].reshape(plane.height, plane.line_size)
        rows[:] = rng.integers(16, 236, rows.shape) if n == 0 or not grey else 128
    planes = native_planes(video)
    return replace(frame, pixels=display_pixels(video, planes, grey), planes=planes)


def test_native_planes_are_kept_where_they_give_the_same_pixels(recorder: Recorder, tmp_path: Path) -> None:
    sent = [yuv_frame(n, f, grey=True) for n, f in enumerate(frames(4))]
    manifest = record(recorder, sent, tmp_path / "s")
    assert manifest["streams"][0]["pixel_format"] == "yuv420p"
    x0, y0, w, h = sent[0].geometry.region.box
    ox, oy = manifest["streams"][0]["origin_px"]
    assert (ox % 2, oy % 2) == (0, 0) and manifest["streams"][0]["region"] == [x0 - ox, y0 - oy, w, h]
    for one, other in zip(sent, read_back(tmp_path / "s")):
        rx, ry, rw, rh = other.geometry.region.box
        assert np.array_equal(one.pixels[y0 : y0 + h, x0 : x0 + w], other.pixels[ry : ry + rh, rx : rx + rw])
        outside = np.ones(other.planes[0].shape, bool)
        outside[ry : ry + rh, rx : rx + rw] = False
        assert not other.planes[0][outside].any()


def test_the_whole_picture_keeps_its_planes_to_the_byte(tmp_path: Path) -> None:
    recorder = Recorder(layout_of, whole=True, pre_roll_s=0.0)
    sent = [yuv_frame(n, f, grey=False) for n, f in enumerate(frames(3))]
    try:
        record(recorder, sent, tmp_path / "s")
    finally:
        recorder.close()
    back = read_back(tmp_path / "s")
    assert [f.digest() for f in back] == [hash_planes(f.planes) for f in sent]
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(sent, back))
    assert "whole picture" in " ".join(validate(tmp_path / "s").notes)


def test_planes_of_an_unknown_format_are_recorded_as_they_are_shown(recorder: Recorder, tmp_path: Path) -> None:
    sent = [replace(f, planes=(f.pixels.astype(np.uint16) * 3,)) for f in frames(2)]
    assert record(recorder, sent, tmp_path / "s")["streams"][0]["pixel_format"] == "gray8"


def test_without_a_region_nothing_is_recorded_and_it_says_so(recorder: Recorder, tmp_path: Path) -> None:
    recorder.begin(tmp_path / "s")
    for frame in frames(2, region=False):
        recorder.put_wait(frame)
    assert recorder.wait_idle()
    status = recorder.status()
    assert status.failed and status.state is RecorderState.IDLE and "No ultrasound region" in status.message
    assert not (tmp_path / "s").exists()


def hold(recorder: Recorder, gate: threading.Event) -> None:
    """Keep the recorder's thread busy, as a slow disk does."""
    recorder._intake.say(lambda: gate.wait(10))


def test_frames_that_do_not_fit_the_queue_are_declared_with_their_cause(tmp_path: Path) -> None:
    sent = frames(40)
    recorder = Recorder(layout_of, pre_roll_s=0.0, queue_bytes=6 * sent[0].pixels.nbytes)
    gate = threading.Event()
    try:
        recorder.begin(tmp_path / "s")
        recorder.put_wait(sent[0])
        assert recorder.wait_idle()
        hold(recorder, gate)
        begun = time.monotonic()
        for frame in sent[1:20]:
            recorder.put(frame)
        assert time.monotonic() - begun < 5  # it would wait ten seconds if it waited at all
        gate.set()
        assert recorder.wait_idle()
        recorder.put(replace(sent[20], skipped=2))
        for frame in sent[21:]:
            recorder.put_wait(frame)
        recorder.end()
    finally:
        gate.set()
        recorder.close()
    manifest = json.loads((tmp_path / "s" / "session.json").read_text())
    accounting = manifest["accounting"]
    assert accounting["received"] == 42 and accounting["stored"] + accounting["lost"] == 42
    causes = {gap["cause"]: gap["frames"] for gap in manifest["gaps"]}
    assert set(causes) == {FULL, SOURCE_LOST} and causes[SOURCE_LOST] == 2 and causes[FULL] >= 10
    assert validate(tmp_path / "s").problems == ()
    back = read_back(tmp_path / "s")
    origin = tuple(manifest["streams"][0]["origin_px"])
    numbers = [number_of(f.pixels, origin) for f in back]
    # The frames say themselves how many are missing just before them.
    lost_before = [0] + [b - a - 1 for a, b in zip(numbers, numbers[1:])]
    lost_before[numbers.index(20)] += 2
    assert [f.skipped for f in back] == lost_before


def test_frames_refused_just_before_the_end_are_declared_too(tmp_path: Path) -> None:
    sent = frames(12)
    recorder = Recorder(layout_of, pre_roll_s=0.0, queue_bytes=3 * sent[0].pixels.nbytes)
    gate = threading.Event()
    try:
        recorder.begin(tmp_path / "s")
        recorder.put_wait(sent[0])
        assert recorder.wait_idle()
        hold(recorder, gate)
        for frame in sent[1:]:
            recorder.put(frame)
        threading.Timer(0.2, gate.set).start()
        recorder.end()
    finally:
        recorder.close()
    accounting = json.loads((tmp_path / "s" / "session.json").read_text())["accounting"]
    assert accounting["received"] == 12 and accounting["lost"] >= 6
    assert validate(tmp_path / "s").problems == ()


def test_what_just_happened_is_saved_and_recorded_before_the_key(tmp_path: Path) -> None:
    sent = at_times(frames(60), 100.0)
    recorder = Recorder(layout_of, pre_roll_s=2.0)
    try:
        for frame in sent[:40]:
            recorder.put_wait(frame)
            recorder.put_analysis(analysis_of(frame))
        recorder.save_last(tmp_path / "last")
        recorder.begin(tmp_path / "on")
        for frame in sent[40:]:
            recorder.put_wait(frame)
        recorder.end()
        assert recorder.wait_idle()
    finally:
        recorder.close()
    origin = tuple(json.loads((tmp_path / "on" / "session.json").read_text())["streams"][0]["origin_px"])
    assert [number_of(f.pixels, origin) for f in read_back(tmp_path / "last")] == list(range(19, 40))
    assert [number_of(f.pixels, origin) for f in read_back(tmp_path / "on")] == list(range(19, 60))
    assert json.loads((tmp_path / "on" / "session.json").read_text())["accounting"]["pre_roll"] == 21
    assert len(list(read_results(tmp_path / "on" / "results.jsonl"))) == 21
    assert validate(tmp_path / "on").problems == validate(tmp_path / "last").problems == ()


def test_the_pre_roll_stays_within_its_memory(tmp_path: Path) -> None:
    sent = at_times(frames(50), 10.0)
    limit = 5 * sent[0].pixels.nbytes
    recorder = Recorder(layout_of, pre_roll_s=10.0, pre_roll_bytes=limit)
    try:
        for frame in sent:
            recorder.put_wait(frame)
        assert recorder.wait_idle()
        status = recorder.status()
        assert 0 < status.pre_roll_bytes <= limit and 0 < status.pre_roll_s < 0.2
        recorder.save_last(tmp_path / "last")
        recorder.forget()
        assert recorder.wait_idle()
        assert recorder.status().pre_roll_bytes == 0
    finally:
        recorder.close()
    assert number_of(read_back(tmp_path / "last")[-1].pixels, (3, NAME_ROWS + 1)) == 49
