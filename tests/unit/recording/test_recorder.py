"""The recorder: bytes as they came, every frame accounted for, the last seconds remembered, ends cleanly by itself."""

from __future__ import annotations

import errno
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from paced_source import NAME_ROWS, NAME_VALUE, PacedSource, number_of

from puncta.core.frame import Calibration, CalibrationOrigin, Frame, ImageGeometry, UltrasoundRegion, hash_planes
from puncta.core.results import Analysis, Certainty, Detection, HeatMap, MaskResult, PluginOutput
from puncta.core.target import TargetFix, TargetLoss
from puncta.formats.results_lines import read_results
from puncta.formats.validate import validate
from puncta.recording import disk_watch, session_writer
from puncta.recording import recorder as module
from puncta.recording.recorder import FULL, SOURCE_LOST, Recorder, RecorderState
from puncta.sources.factory import open_source
from puncta.sources.native_layout import layout_of
from puncta.sources.video_pixels import display_pixels, native_planes


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    made = Recorder(layout_of, pre_roll_s=0.0)
    yield made
    made.close()


def frames(count: int, **options: object) -> list[Frame]:
    source = PacedSource(count=count, **options)
    return [replace(source.read(), frame_id=n) for n in range(count)]


def record(recorder: Recorder, pictures: list[Frame], folder: Path) -> dict:
    recorder.begin(folder)
    for frame in pictures:
        recorder.put_wait(frame)
    recorder.end()
    assert recorder.wait_idle()
    return json.loads((folder / "session.json").read_text())


def read_back(folder: Path) -> list[Frame]:
    source = open_source(str(folder))
    found = []
    while (frame := source.read()) is not None:
        found.append(frame)
    source.close()
    return found


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


def analysis_of(frame: Frame) -> Analysis:
    x0, y0, *_ = frame.geometry.region.box
    tip = Detection("needle_tip", (x0 + 5.0, y0 + 6.0, 4.0, 2.0), (x0 + 7.0, y0 + 7.0), 0.9, 2.0)
    mask = MaskResult("needle", np.ones((2, 3), bool), (x0 + 1, y0 + 2), 0.5, Certainty.SURE)
    output = PluginOutput("needle-tip", frame.frame_id, (tip, mask), model="tip 1", model_sha256="a" * 64)
    return Analysis(frame, (output,), timings_ns=(("needle-tip", 1000),))


def test_results_stand_in_the_kept_pictures_pixels_and_join_by_key(recorder: Recorder, tmp_path: Path) -> None:
    sent = frames(3)
    recorder.begin(tmp_path / "s")
    for frame in sent:
        recorder.put_wait(frame)
        recorder.put_analysis(analysis_of(frame))
    recorder.mark("bookmark", "here", (10.0, 30.0))
    recorder.put_transform("ProbeToTracker", np.eye(4).ravel(), sent[0].t_ns + 5)
    recorder.end()
    assert recorder.wait_idle()
    lines = list(read_results(tmp_path / "s" / "results.jsonl"))
    assert [line.key.sha256 for line in lines] == [f.digest() for f in read_back(tmp_path / "s")]
    tip, mask = lines[0].outputs["needle-tip"]
    assert tip.tip_px == (7.0, 7.0) and tip.box == (5.0, 6.0, 4.0, 2.0) and mask.origin_px == (1, 2)
    manifest = json.loads((tmp_path / "s" / "session.json").read_text())
    assert manifest["results"] == [
        {"file": "results.jsonl", "plugins": ["needle-tip"], "models": [{"id": "tip 1", "sha256": "a" * 64}]}
    ]
    assert manifest["markers"][0]["point_px"] == [7.0, 30.0 - manifest["streams"][0]["origin_px"][1]]
    assert manifest["markers"][0]["key"]["index"] == 2
    events = [json.loads(line) for line in (tmp_path / "s" / "events.jsonl").read_text().splitlines()]
    transform = next(e for e in events if e["type"] == "transform")
    assert transform["matrix"][0] == 1.0 and transform["t_ns"] == 5
    assert manifest["transforms"] == [{"name": "ProbeToTracker", "count": 1}]
    source = open_source(str(tmp_path / "s"))
    assert dict(source.info.details)["Transforms"] == "1 of ProbeToTracker"
    source.close()
    assert validate(tmp_path / "s").problems == ()


def test_each_change_of_a_model_is_an_event_also_where_one_comes_back(recorder: Recorder, tmp_path: Path) -> None:
    recorder.begin(tmp_path / "s")
    for frame, model in zip(frames(5), "aabba", strict=True):
        recorder.put_wait(frame)
        found = analysis_of(frame)
        output = replace(found.outputs[0], model=f"tip {model}", model_sha256=model * 64)
        recorder.put_analysis(replace(found, outputs=(output,)))
    recorder.end()
    assert recorder.wait_idle()
    events = [json.loads(line) for line in (tmp_path / "s" / "events.jsonl").read_text().splitlines()]
    told = [(e["after_index"], e["id"]) for e in events if e["type"] == "model"]
    assert [name for _, name in told] == ["tip a", "tip b", "tip a"]
    manifest = json.loads((tmp_path / "s" / "session.json").read_text())
    assert [m["id"] for m in manifest["results"][0]["models"]] == ["tip a", "tip b"]
    assert validate(tmp_path / "s").problems == ()


def test_the_target_stands_with_each_frame_in_the_kept_pictures_pixels(recorder: Recorder, tmp_path: Path) -> None:
    sent = frames(4)
    x0, y0, *_ = sent[0].geometry.region.box
    fixes = [None, TargetFix((x0 + 30.0, y0 + 20.0), 2.5), TargetFix(None, 9.0, TargetLoss.PLANE)]
    recorder.begin(tmp_path / "s")
    for frame, fix in zip(sent, fixes, strict=False):
        recorder.put_wait(frame)
        recorder.put_analysis(replace(analysis_of(frame), target=fix))
    recorder.end()
    assert recorder.wait_idle()
    lines = list(read_results(tmp_path / "s" / "results.jsonl"))
    assert [line.target for line in lines] == [
        None,
        TargetFix((30.0, 20.0), 2.5),
        TargetFix(None, 9.0, TargetLoss.PLANE),
    ]
    assert validate(tmp_path / "s").problems == ()


def test_a_heat_map_lies_on_the_kept_picture(recorder: Recorder, tmp_path: Path) -> None:
    (frame,) = frames(1)
    x0, y0, *_ = frame.geometry.region.box
    heat = HeatMap("csf", np.full((2, 2), 0.5, np.float32), (x0 + 1.0, y0 + 2.0, 40.0, 30.0))
    recorder.begin(tmp_path / "s")
    recorder.put_wait(frame)
    recorder.put_analysis(Analysis(frame, (PluginOutput("infant-lp", frame.frame_id, (heat,)),)))
    recorder.end()
    assert recorder.wait_idle()
    (line,) = read_results(tmp_path / "s" / "results.jsonl")
    assert line.outputs["infant-lp"][0].box_px == (1.0, 2.0, 40.0, 30.0)


def test_transforms_of_the_last_seconds_are_saved_between_their_frames(tmp_path: Path) -> None:
    sent = at_times(frames(30), 100.0)
    recorder = Recorder(layout_of, pre_roll_s=1.0)
    matrix = [float(v) for v in np.eye(4).ravel()]
    try:
        for n, frame in enumerate(sent):
            recorder.put_wait(frame)
            recorder.put_transform(f"Probe{n}", matrix, frame.t_ns + 1_000)
        recorder.save_last(tmp_path / "last")
        recorder.begin(tmp_path / "on")
        assert recorder.wait_idle()
        recorder.put_transform("Later", matrix, sent[-1].t_ns + 2_000)
        recorder.end()
        assert recorder.wait_idle()
        assert recorder.status().stored == 11
    finally:
        recorder.close()
    for name, more in (("last", []), ("on", [("Later", 10)])):
        lines = [json.loads(line) for line in (tmp_path / name / "events.jsonl").read_text().splitlines()]
        found = [(e["name"], e["after_index"]) for e in lines if e["type"] == "transform"]
        assert found == [(f"Probe{n}", n - 19) for n in range(19, 30)] + more
        assert validate(tmp_path / name).problems == ()


def at_times(pictures: list[Frame], step_ms: float) -> list[Frame]:
    return [replace(f, t_ns=1_000_000_000 + round(n * step_ms * 1e6)) for n, f in enumerate(pictures)]


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


def test_the_recording_ends_before_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(layout_of, pre_roll_s=0.0)
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    try:
        recorder.begin(tmp_path / "s")
        sent = frames(9)
        for frame in sent[:5]:
            recorder.put_wait(frame)
        assert recorder.wait_idle()
        monkeypatch.setattr(disk_watch, "free_bytes", lambda _folder: (-1, 500_000_000))
        for frame in sent[5:]:
            recorder.put_wait(frame)
        assert recorder.wait_idle()
        status = recorder.status()
    finally:
        recorder.close()
    assert status.failed and status.state is RecorderState.IDLE
    assert status.message == "The disk is nearly full (500 MB stay free). The recording has ended and is kept."
    report = validate(tmp_path / "s")
    assert report.problems == () and len(read_back(tmp_path / "s")) >= 5


def test_a_write_that_does_not_fit_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(layout_of, pre_roll_s=0.0)
    try:
        recorder.begin(tmp_path / "s")
        sent = frames(8)
        for frame in sent[:4]:
            recorder.put_wait(frame)
        assert recorder.wait_idle()

        writer = recorder._writer
        real = writer._files[session_writer.FRAMES_FILE]

        class Full:
            """A file on a disk that takes half of the next write."""

            def write(self, data: bytes) -> int:
                if len(data) < 1000:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return real.write(data[: len(data) // 2][:900])

            def __getattr__(self, name: str) -> object:
                return getattr(real, name)

        class Once(Full):
            def write(self, data: bytes) -> int:
                if getattr(self, "half", False):
                    raise OSError(errno.ENOSPC, "No space left on device")
                self.half = True
                return super().write(data)

        monkeypatch.setitem(writer._files, session_writer.FRAMES_FILE, Once())
        for frame in sent[4:]:
            recorder.put_wait(frame)
        assert recorder.wait_idle()
        status = recorder.status()
    finally:
        recorder.close()
    assert status.message == "The disk is full. The recording has ended; everything up to here is kept."
    manifest = json.loads((tmp_path / "s" / "session.json").read_text())
    assert manifest["accounting"] == {"received": 5, "stored": 4, "lost": 1, "pre_roll": 0}
    assert manifest["gaps"][0]["cause"] == "the disk took no more"
    assert validate(tmp_path / "s").problems == ()
    assert len(read_back(tmp_path / "s")) == 4


def test_a_change_of_region_or_size_ends_the_recording(recorder: Recorder, tmp_path: Path) -> None:
    sent = frames(4)
    recorder.begin(tmp_path / "s")
    for frame in sent[:2]:
        recorder.put_wait(frame)
    first = sent[0].geometry
    moved = UltrasoundRegion((0, 0, 30, 30), "detected")
    recorder.put_wait(replace(sent[2], geometry=ImageGeometry(first.width_px, first.height_px, (moved,))))
    assert recorder.wait_idle()
    assert recorder.status().failed and "changed its size or its ultrasound region" in recorder.status().message
    # What is outside the old region may hold a name: nothing of the moved picture was stored.
    assert len(read_back(tmp_path / "s")) == 2


def test_a_new_calibration_holds_from_its_frame_on(recorder: Recorder, tmp_path: Path) -> None:
    sent = frames(4)
    ruler = Calibration((0.2, 0.2), CalibrationOrigin.RULER, "by hand")
    later = [replace(f, geometry=f.geometry.with_calibration(ruler)) for f in sent[2:]]
    record(recorder, [*sent[:2], *later], tmp_path / "s")
    back = [f.geometry.calibration.mm_per_px for f in read_back(tmp_path / "s")]
    assert back == [(0.1, 0.1), (0.1, 0.1), (0.2, 0.2), (0.2, 0.2)]


def test_times_that_start_again_go_on_behind_the_last_frame(recorder: Recorder, tmp_path: Path) -> None:
    sent = at_times(frames(6), 40.0)
    again = [replace(f, key=replace(f.key, pts_ns=sent[n].key.pts_ns)) for n, f in enumerate(sent[3:])]
    record(recorder, [*sent[:3], *again], tmp_path / "s")
    times = [f.key.pts_ns for f in read_back(tmp_path / "s")]
    assert times[3] - times[2] == 40_000_000
    assert [b - a for a, b in zip(times[3:], times[4:])] == [33_366_667] * 2
    assert validate(tmp_path / "s").problems == ()


def test_a_folder_with_something_in_it_is_refused(recorder: Recorder, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    recorder.begin(tmp_path)
    for frame in frames(2):
        recorder.put_wait(frame)
    assert recorder.wait_idle()
    assert "is not empty" in recorder.status().message
    assert [p.name for p in tmp_path.iterdir()] == ["note.txt"]


def test_a_disk_that_fails_while_it_is_synced_ends_the_recording(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    sent = frames(6)
    recorder.begin(tmp_path / "s")
    recorder.put_wait(sent[0])
    assert recorder.wait_idle()
    recorder._writer._syncing.failure = OSError(errno.EIO, "Input/output error")
    for frame in sent[1:]:
        recorder.put_wait(frame)
    assert recorder.wait_idle()
    assert recorder.status().failed and "cannot be written (input/output error)" in recorder.status().message
    assert validate(tmp_path / "s").problems == ()
