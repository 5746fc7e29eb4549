"""`puncta dataset build` and `puncta evaluate` as a user meets them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from puncta.cli.main import main
from puncta.formats.jsontext import read_json
from puncta.formats.schemas import check

SPEC = """
name = "small"
description = "A small set for a test."
[[part]]
split = "test"
procedures = ["breast", "nerve"]
machines = ["A", "D"]
seeds = [40, 48]
frames = 4
sizes_px = [[96, 96]]
approaches = ["in-plane"]
needle_free = 0.25
late = 0.0
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "small.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="module")
def dataset(spec: Path) -> Path:
    folder = spec.parent / "data"
    assert main(["dataset", "build", str(spec), "--out", str(folder), "--jobs", "1"]) == 0
    return folder


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_two_processes_give_the_same_bytes_as_one(spec: Path, dataset: Path, tmp_path: Path, capfd):
    assert main(["dataset", "build", str(spec), "--out", str(tmp_path / "two"), "--jobs", "2"]) == 0
    said = capfd.readouterr()
    assert "simulated data" in said.out
    assert said.err == ""
    assert bytes_of(tmp_path / "two") == bytes_of(dataset)


def test_a_killed_build_goes_on_where_it_was(spec: Path, dataset: Path, tmp_path: Path, repo_root: Path):
    folder = tmp_path / "killed"
    call = [sys.executable, "-m", "puncta", "dataset", "build", str(spec), "--out", str(folder), "--jobs", "1"]
    process = subprocess.Popen(call, env={**os.environ, "PYTHONPATH": str(repo_root / "app")})
    first = folder / "images" / "00000" / "clip.json"
    while process.poll() is None and not first.is_file():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    written = first.with_name("0000.png").stat().st_mtime_ns
    assert main(["dataset", "build", str(spec), "--out", str(folder), "--jobs", "1"]) == 0
    assert first.with_name("0000.png").stat().st_mtime_ns == written
    assert bytes_of(folder) == bytes_of(dataset)


def test_evaluate_prints_a_table_and_writes_a_file(dataset: Path, tmp_path: Path, capsys):
    file = tmp_path / "baseline.json"
    assert main(["evaluate", "needle-tip-baseline", "--data", str(dataset), "--json", str(file)]) == 0
    said = capsys.readouterr().out
    head = said.splitlines()
    assert head[0] == "needle-tip-baseline on small (simulated data), split test"
    assert said.index("tip error") < said.index("misses") < said.index("false alarms") < said.index("AP50")
    document = read_json(file)
    assert check("evaluation", document) == []
    assert document["model"] is None
    assert document["metrics"]["tip_error_px"]["n"] > 0
    assert document["metrics"]["false_alarm_rate"]["value"] == 1.0  # it answers on every frame
    assert document["metrics"]["ms_per_frame"]["value"] > 0


def test_evaluate_repeats_to_the_byte(dataset: Path, tmp_path: Path):
    for name in ("a.json", "b.json"):
        call = ["evaluate", "needle-tip-baseline", "--data", str(dataset), "--no-timings", "--json"]
        assert main([*call, str(tmp_path / name)]) == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_compare_prints_paired_differences(dataset: Path, capsys):
    call = ["evaluate", "needle-tip-baseline", "--data", str(dataset), "--compare", "needle-tip-baseline"]
    assert main(call) == 0
    said = capsys.readouterr().out
    assert "paired by clip" in said
    assert said.count("no clear difference") >= 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "nonsense", "--data", "{data}"], "needle-tip-baseline"),
        (["evaluate", "needle-tip-baseline", "--data", "{data}/nowhere"], "There is no folder"),
        (["evaluate", "needle-tip-baseline", "--data", "{data}/images"], "not a dataset"),
        (["evaluate", "needle-tip-baseline", "--data", "{data}", "--split", "tune"], "its splits are: test"),
        (["evaluate", "needle-tip-baseline", "--data", "{data}", "--model", "nonsense"], "nonsense"),
        (["evaluate", "needle-tip-baseline", "--data", "{data}", "--json", "{data}"], "is a folder"),
        (["dataset", "build", "nonsense", "--out", "{data}/x"], "tip-same-machine"),
        (["dataset", "build", "{spec}", "--out", "{spec}"], "Cannot"),
        (["dataset", "build", "{spec}", "--out", "{data}/x", "--jobs", "0"], "--jobs 0"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], words: str, dataset: Path, spec: Path, capsys):
    before = bytes_of(dataset)
    assert main([a.format(data=dataset, spec=spec) for a in arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert words in said.err
    assert bytes_of(dataset) == before
