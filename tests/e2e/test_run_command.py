"""`puncta run` as its user meets it: what it writes, that it repeats, and what it says to wrong input."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from puncta.formats.validate import validate
from puncta.recording.video_writer import VideoWriter
from puncta.sources.factory import open_source


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A small recorded clip with uneven times."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    writer = VideoWriter(path)
    rng = np.random.default_rng(5)
    noise = rng.integers(20, 120, (96, 128), np.uint8)
    for index in range(24):
        picture = noise.copy()
        picture[40 + index // 2, 10 : 20 + index * 3] = 250
        writer.put(np.repeat(picture[..., None], 3, 2), index * 40_000_000 + (index % 3) * 5_000_000)
    writer.close()
    return path


@pytest.fixture
def puncta(repo_root, user_home):
    def call(*arguments, cwd=None) -> subprocess.CompletedProcess:
        env = {**os.environ, "PYTHONPATH": str(repo_root / "app"), "PUNCTA_HOME": str(user_home)}
        env.pop("DISPLAY", None)
        env.pop("QT_QPA_PLATFORM", None)
        command = [sys.executable, "-m", "puncta", *map(str, arguments)]
        return subprocess.run(command, check=False, capture_output=True, text=True, env=env, cwd=cwd, timeout=120)

    return call


def decode(path: Path) -> list[tuple[int, str]]:
    """An independent decode: stored times and hashes of the native planes."""
    out = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            raw = frame.to_ndarray(format=frame.format.name)
            out.append((round(frame.pts * frame.time_base * 1_000_000_000), hashlib.sha256(raw.tobytes()).hexdigest()))
    return out


def one_sentence(result: subprocess.CompletedProcess) -> str:
    assert result.returncode == 2, (result.returncode, result.stderr)
    assert "Traceback" not in result.stderr + result.stdout
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_results_name_the_frames_of_an_independent_decode_and_repeat_to_the_byte(puncta, clip, tmp_path):
    for name in ("a", "b"):
        result = puncta(
            "run", clip, "--results", tmp_path / f"{name}.jsonl", "--out", tmp_path / f"{name}.mp4", "--no-timings"
        )
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [(k["pts_ns"], k["sha256"]) for k in (line["key"] for line in lines)] == decode(clip)
    assert [line["key"]["index"] for line in lines] == list(range(24))
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert [t for t, _ in decode(tmp_path / "a.mp4")] == [t for t, _ in decode(clip)]
    assert validate(tmp_path / "a.jsonl").problems == ()
    assert "Simulation and training only" in result.stdout


def test_a_range_and_a_report(puncta, clip, tmp_path):
    result = puncta("run", clip, "--frames", "5:9", "--results", tmp_path / "r.jsonl", "--report", tmp_path / "r.html")
    assert result.returncode == 0, result.stderr
    assert [json.loads(line)["key"]["index"] for line in (tmp_path / "r.jsonl").read_text().splitlines()] == [
        5,
        6,
        7,
        8,
    ]
    page = (tmp_path / "r.html").read_text()
    assert "not for clinical use" in page and "http" not in page.replace("http://www.w3.org", "")


def test_a_simulator_is_flagged_simulated_and_stops_after_its_seconds(puncta, tmp_path):
    names = ["--results", tmp_path / "s.jsonl", "--out", tmp_path / "s.mp4"]
    result = puncta("run", "sim:breast?seed=1&size=160x120", "--seconds", "0.5", *names)
    assert result.returncode == 0, result.stderr
    again = open_source(str(tmp_path / "s.mp4"))
    assert again.info.simulated, "an exported simulation stays known as simulated"
    again.close()
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert lines and all("simulated" in line["flags"] for line in lines)


@pytest.mark.skipif(os.name != "posix", reason="signals differ")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ctrl_c_and_a_polite_kill_close_the_files_of_an_endless_run_properly(repo_root, user_home, tmp_path, name):
    import signal
    import time

    env = {**os.environ, "PYTHONPATH": str(repo_root / "app"), "PUNCTA_HOME": str(user_home)}
    out, results = tmp_path / "s.mp4", tmp_path / "s.jsonl"
    command = [
        sys.executable,
        "-m",
        "puncta",
        "run",
        "sim:breast?seed=1&size=160x120",
        "--out",
        out,
        "--results",
        results,
    ]
    # Under `nohup` the tests themselves ignore a closed terminal; the program under test must not inherit that.
    heed = (lambda: signal.signal(getattr(signal, name), signal.SIG_DFL)) if os.name == "posix" else None
    process = subprocess.Popen(
        [str(c) for c in command],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed,  # noqa: PLW1509 - nothing but one signal is touched
    )
    try:
        end = time.monotonic() + 60
        while not list(tmp_path.glob(".s.jsonl*")) and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(2)
        process.send_signal(getattr(signal, name))
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, stderr
    assert "Stopped after" in stdout
    assert len(decode(out)) == len(results.read_text().splitlines()) > 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.jsonl", "s.mp4"]


def test_wrong_input_gets_one_sentence_and_leaves_nothing(puncta, clip, tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n" * 50)
    empty = tmp_path / "empty.dcm"
    empty.touch()
    folder = tmp_path / "folder"
    folder.mkdir()
    out = tmp_path / "out"
    out.mkdir()
    cases = {
        "missing.mp4": ["run", tmp_path / "missing.mp4"],
        "text.mp4": ["run", text],
        "empty.dcm": ["run", empty],
        "folder": ["run", folder],
        "9:3": ["run", clip, "--frames", "9:3"],
        "x:y": ["run", clip, "--frames", "x:y"],
        "500": ["run", clip, "--frames", "500:600"],
        "nonsense": ["run", clip, "--plugins", "nonsense"],
        "no-such-model": ["run", clip, "--model", "no-such-model"],
        "none": ["run", clip, "--results", tmp_path / "none" / "r.jsonl"],
        "source itself": ["run", clip, "--out", clip],
        "sim:liver": ["run", "sim:liver"],
        "seconds": ["run", clip, "--seconds", "-1"],
        "--seconds inf": ["run", clip, "--seconds", "inf"],
        "too long": ["run", clip, "--results", out / ("a" * 300)],
        "same name": ["run", clip, "--results", out / "a.html", "--report", folder / ".." / "out" / "a.html"],
    }
    for word, arguments in cases.items():
        outputs = (
            []
            if {"--results", "--out", "--report"} & set(map(str, arguments))
            else ["--results", out / "r.jsonl", "--out", out / "o.mp4"]
        )
        sentence = one_sentence(puncta(*arguments, *outputs))
        assert word.split(":")[0] in sentence, (word, sentence)
        assert list(out.iterdir()) == [], word


@pytest.mark.skipif(os.name != "posix", reason="folder permissions differ")
def test_a_read_only_folder_and_a_full_disk(puncta, clip, tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("needs a device that is always full")
    for name in ("r.jsonl", "o.mp4"):
        flag = "--results" if name.endswith("jsonl") else "--out"
        locked = Path("/proc") / name
        assert "Cannot write" in one_sentence(puncta("run", clip, flag, locked))


def test_no_screen_is_one_sentence(puncta):
    if not sys.platform.startswith("linux"):
        pytest.skip("other systems always have a screen")
    assert "no screen" in one_sentence(puncta())


def test_help_and_version(puncta):
    top = puncta("--help")
    assert top.returncode == 0 and "puncta run" in top.stdout and "not for clinical use" in top.stdout
    assert puncta("--version").stdout.startswith("Puncta ")
    for verb in ("run", "open", "simulate", "dataset", "train", "evaluate", "models", "plugins", "bench", "doctor"):
        result = puncta(verb, "--help")
        assert result.returncode == 0 and len(result.stdout) > 200, verb
    one_sentence(puncta("nonsense"))


def test_a_run_over_a_clip_that_is_stopped_leaves_no_file(repo_root, user_home, tmp_path):
    import signal
    import time

    if os.name != "posix":
        pytest.skip("signals differ on Windows")
    env = {**os.environ, "PYTHONPATH": str(repo_root / "app"), "PUNCTA_HOME": str(user_home)}
    command = [sys.executable, "-m", "puncta", "run", "sim:breast?seed=1&size=160x120", "--frames", "0:100000"]
    command += ["--results", str(tmp_path / "s.jsonl")]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 60
        while not list(tmp_path.glob(".s.jsonl*")) and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "nothing was written" in stderr
    assert list(tmp_path.iterdir()) == []


def test_doctor_checks_every_file_it_is_given(puncta, clip, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<html></html>")
    result = puncta("doctor", clip, page, tmp_path / "gone.mp4", clip)
    assert result.returncode == 2
    assert result.stdout.count("ok  ") == 2 and result.stdout.count("BAD") == 2
    one_sentence(puncta("doctor", tmp_path / "gone.mp4"))
