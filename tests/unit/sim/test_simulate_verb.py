"""`puncta simulate`: a file, its truth keyed by the pictures as they decode, and plain refusals."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from puncta.cli import simulate
from puncta.core.errors import UserError
from puncta.core.frame import hash_planes
from puncta.formats.truth import read_truth_head, read_truth_lines
from puncta.sim.cine import simulate_cine
from puncta.sources.factory import open_source


def _run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    simulate.configure(parser)
    return simulate.run(parser.parse_args(list(words)))


@pytest.mark.parametrize(("name", "codec"), [("case.dcm", "jpeg"), ("case.dcm", "jpeg-ls"), ("case.mp4", "jpeg")])
def test_truth_is_keyed_by_the_written_pictures(tmp_path: Path, name: str, codec: str) -> None:
    out, truth = tmp_path / name, tmp_path / "truth"
    words = ["nerve", "--machine", "F", "--seed", "6", "--frames", "4", "--size", "161x121", "--start", "inside"]
    assert _run(*words, "--codec", codec, "--out", str(out), "--truth", str(truth)) == 0
    expected = simulate_cine("nerve", "F", 6, 4, size_px=(161, 121), furniture=True, needle=True, start="inside")
    lines = list(read_truth_lines(truth))
    head = read_truth_head(truth)
    assert head.seed == 6 and head.machine == "F" and head.region == expected.region
    source = open_source(str(out))
    try:
        assert source.info.geometry.width_px in (161, 162)
        for line, known in zip(lines, expected.truth, strict=True):
            frame = source.read()
            assert frame is not None
            assert frame.hashed_key().sha256 == line.key.sha256
            assert line.key.pts_ns == pytest.approx(known.t_ns, abs=12_000)
            assert line.needle is not None and line.needle.tip_px is not None and known.tip_px is not None
            assert line.needle.tip_px == pytest.approx(known.tip_px, abs=0.01)
    finally:
        source.close()
    if codec == "jpeg-ls":
        assert [line.key.sha256 for line in lines] == [hash_planes((f,)) for f in expected.frames]


@pytest.mark.parametrize(
    "words",
    [
        ["breast", "--out", "case.avi"], ["breast", "--frames", "0", "--out", "case.dcm"],
        ["breast", "--size", "big", "--out", "case.dcm"], ["spine", "--out", "case.dcm"],
        ["breast", "--machine", "Z", "--out", "case.dcm"], ["breast", "--quality", "99", "--out", "case.dcm"],
        ["breast", "--seed", "-2", "--out", "case.dcm"], ["breast", "--frames", "1", "--out", "none/case.dcm"],
    ],
)
def test_bad_arguments_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        _run(*words)
    assert list(tmp_path.iterdir()) == []


def test_the_sample_case_is_calibrated_and_says_it_is_simulated(repo_root: Path) -> None:
    path = repo_root / "resources" / "samples" / "breast-sample.dcm"
    assert path.stat().st_size < 6_000_000
    source = open_source(str(path))
    try:
        frame = source.read()
        assert source.info.simulated and source.info.frame_count == 140
        assert frame is not None and frame.geometry.calibration is not None
        x0, y0, w, h = frame.geometry.region.box
        assert frame.pixels[y0 : y0 + h, x0 : x0 + w].std() > 20
    finally:
        source.close()
