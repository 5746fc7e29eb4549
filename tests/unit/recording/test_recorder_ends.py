"""How a recording ends by itself: a full or failing disk, another picture; and what it goes on through."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest
from recorder_stage import at_times, frames, read_back, record

from puncta.core.frame import Calibration, CalibrationOrigin, ImageGeometry, UltrasoundRegion
from puncta.formats.validate import validate
from puncta.recording import disk_watch, session_writer
from puncta.recording import recorder as module
from puncta.recording.recorder import Recorder, RecorderState
from puncta.sources.native_layout import layout_of


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
