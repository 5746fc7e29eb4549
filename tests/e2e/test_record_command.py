"""The whole program records: from a file, to Ctrl+C, to a kill, to a full disk; and analyses what it recorded."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from kill_recordings import ROOT, kill_one
from paced_source import PacedSource

from puncta.cli.main import main
from puncta.formats.results_lines import read_results
from puncta.formats.validate import validate
from puncta.recording.video_writer import VideoWriter
from puncta.session.record import RecordRequest, record_case
from puncta.sources.factory import open_source


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A short clip with a sector of speckle on black."""
    path = tmp_path / "clip.mp4"
    rng = np.random.default_rng(2)
    with_times = [0, 40_000_000, 80_000_000, 133_000_000, 160_000_000, 200_000_000]
    writer = VideoWriter(path, 1_000_000)
    for pts_ns in with_times:
        picture = np.zeros((120, 160, 3), np.uint8)
        picture[20:110, 30:130] = rng.integers(30, 220, (90, 100, 1), np.uint8)
        writer.put(picture, pts_ns)
    writer.close()
    return path


def all_frames(uri: Path) -> list:
    source = open_source(str(uri))
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    source.close()
    return frames


def test_a_file_recorded_whole_is_the_same_source(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "s"
    assert main(["record", str(clip), "--out", str(out), "--plugins", "none", "--whole-picture"]) == 0
    assert "6 of 6 frames stored" in capsys.readouterr().out
    sent, back = all_frames(clip), all_frames(out)
    assert [f.key.pts_ns for f in back] == [f.key.pts_ns for f in sent]
    assert [f.digest() for f in back] == [f.digest() for f in sent]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(sent, back))
    assert main(["doctor", str(out)]) == 0
    assert all_frames(out / "session.json")[3].key.pts_ns == 133_000_000


def test_a_session_is_analysed_again_with_the_same_results(clip: Path, tmp_path: Path) -> None:
    out, again = tmp_path / "s", tmp_path / "again.jsonl"
    arguments = ["--plugins", "needle-tip-baseline"]
    assert main(["record", str(clip), "--out", str(out), *arguments]) == 0
    assert main(["run", str(out), "--results", str(again), *arguments]) == 0
    recorded, repeated = list(read_results(out / "results.jsonl")), list(read_results(again))
    assert [r.key for r in recorded] == [r.key for r in repeated]
    assert len(recorded) == 6


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing.mp4", "--out", "s"], "does not exist"),
        (["CLIP", "--out", "."], "is not empty"),
        (["CLIP", "--out", "no/such/s"], "does not exist; make it first"),
        (["CLIP", "--out", "s", "--seconds", "0"], "is not a time"),
        (["CLIP", "--out", "s", "--plugins", "nothing"], "nothing"),
    ],
)
def test_wrong_use_is_one_sentence(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture,
    arguments: list[str], sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["record", *[str(clip) if a == "CLIP" else a for a in arguments]]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and "Traceback" not in said
    assert not (tmp_path / "s").exists()


def test_a_killed_recording_opens_and_says_so(tmp_path: Path) -> None:
    rng = random.Random()
    for n in range(3):
        killed = kill_one(tmp_path / f"s{n}", rng.uniform(0.3, 2.0))
        assert killed.problems == (), killed
        # How fast this machine is just now is no part of the test: what was handed to the system is there.
        assert killed.stored == 0 or "ended without closing" in killed.says, killed


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_the_recording_properly(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "app")}
    out = tmp_path / "s"
    child = subprocess.Popen(
        [sys.executable, "-m", "puncta", "record", "sim:breast?seed=1&size=96x96", "--out", str(out)]
        + ["--plugins", "none"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    frames, begun = out / "frames.pfr", time.monotonic()
    while (not frames.is_file() or frames.stat().st_size < 20_000) and time.monotonic() - begun < 120:
        assert child.poll() is None, child.communicate()
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    said, wrong = child.communicate(timeout=120)
    assert child.returncode == 0, wrong
    assert "frames stored" in said
    assert json.loads((out / "session.json").read_text())["closed"]
    assert validate(out).problems == ()


def test_a_full_disk_ends_the_recording_and_keeps_it(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk of its own takes the right to mount one")
    try:
        source = PacedSource((320, 240), 200.0)
        summary = record_case(RecordRequest("paced", disk / "s"), opener=lambda _uri: source, plugins=())
        assert "disk is" in summary.ended_early
        assert summary.status.stored > 50
        report = validate(disk / "s")
        assert report.problems == ()
        assert len(all_frames(disk / "s")) == summary.status.stored
    finally:
        subprocess.run(["umount", str(disk)], capture_output=True, check=False)


def test_1080p_is_stored_to_the_byte(tmp_path: Path) -> None:
    source = PacedSource((1920, 1080), count=6)
    summary = record_case(RecordRequest("paced", tmp_path / "s"), opener=lambda _uri: source, plugins=())
    assert (summary.status.stored, summary.status.lost) == (6, 0)
    x0, y0, w, h = source.info.geometry.region.box
    for n, frame in enumerate(all_frames(tmp_path / "s")):
        assert np.array_equal(frame.pixels, source.pixels(n)[y0 : y0 + h, x0 : x0 + w])
