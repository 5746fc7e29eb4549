"""`puncta simulate`: a file, its truth keyed by the pictures as they decode, and plain refusals."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
from aim_script import EXAMPLES, watch_moves

from puncta.cli import simulate
from puncta.cli.main import main
from puncta.core.errors import UserError
from puncta.core.frame import hash_planes
from puncta.formats.attempt import read_attempt
from puncta.formats.moves import GUN_PROCEDURES, MoveScript, read_moves
from puncta.formats.truth import read_truth_head, read_truth_lines
from puncta.sim.cine import simulate_cine
from puncta.sim.needle import draw_needle_kind
from puncta.sim.subject import PROCEDURES
from puncta.sources.factory import open_source
from puncta.sources.moves import request_of_script
from puncta.sources.simulated_address import parse_simulation


def _run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    simulate.configure(parser)
    return simulate.run(parser.parse_args(list(words)))


@pytest.mark.parametrize(("name", "codec"), [("case.dcm", "jpeg"), ("case.dcm", "jpeg-ls"), ("case.mp4", None)])
def test_truth_is_keyed_by_the_written_pictures(tmp_path: Path, name: str, codec: str | None) -> None:
    out, truth = tmp_path / name, tmp_path / "truth"
    words = ["nerve", "--machine", "F", "--seed", "6", "--frames", "4", "--size", "161x121", "--start", "inside"]
    words += ["--codec", codec] if codec else []
    assert _run(*words, "--out", str(out), "--truth", str(truth)) == 0
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
        ["breast", "--size", "640", "--out", "case.dcm"],
        ["breast", "--no-needle", "--start", "inside", "--out", "case.dcm"],
        ["breast", "--codec", "rle", "--quality", "50", "--out", "case.dcm"],
        ["breast", "--codec", "rle", "--out", "case.mp4"], ["breast", "--quality", "50", "--out", "case.mp4"],
        ["breast", "--machine", "Z", "--out", "case.dcm"], ["breast", "--quality", "99", "--out", "case.dcm"],
        ["breast", "--seed", "-2", "--out", "case.dcm"], ["breast", "--frames", "1", "--out", "none/case.dcm"],
        ["vessel", "--view", "sideways", "--out", "case.dcm"], ["breast", "--lesion", "wart", "--out", "case.dcm"],
        ["nerve", "--weight", "3", "--out", "case.dcm"], ["infant-lp", "--level", "L9-S1", "--out", "case.dcm"],
        ["nerve", "--approach", "across", "--out", "case.dcm"], ["nerve", "--fps", "1000", "--out", "case.dcm"],
        ["nerve", "--maps", "labels", "--out", "case.dcm"], ["nerve", "--script", "none.toml", "--out", "case.dcm"],
        ["nerve", "--maps", "colours", "--truth", "t", "--out", "case.dcm"],
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


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["vesel"], "vessel"), (["vessel", "--machine", "AA"], "A"), (["vessel", "--view", "longaxis"], "long-axis"),
        (["breast", "--lesion", "benin"], "benign"), (["nerve", "--approach", "inplane"], "in-plane"),
        (["infant-lp", "--condition", "hematoma"], "haematoma"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(tmp_path: Path, words: list[str], name: str) -> None:
    with pytest.raises(UserError, match=f"nearest is {name}") as caught:
        _run(*words, "--out", str(tmp_path / "case.dcm"))
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_an_example_script_hits_its_target_and_nothing_else(repo_root: Path, name: str) -> None:
    script = read_moves(repo_root / "resources" / "samples" / name)
    request = request_of_script(script)
    assert request is not None and request.procedure == script.procedure
    log = watch_moves(request, script.moves)
    said = "aim the examples again with tests/support/aim_script.py"
    assert log.done and log.summary().end_in_target and not any(event.bad for event in log.events), said


def test_a_script_steers_and_its_attempt_is_recorded(tmp_path: Path, repo_root: Path) -> None:
    script = repo_root / "resources" / "samples" / "vessel-in-plane.toml"
    out, truth = tmp_path / "case.dcm", tmp_path / "truth"
    words = ["vessel", "--script", str(script), "--out", str(out), "--truth", str(truth)]
    assert _run(*words, "--maps", "labels,masks", "--frames", "250", "--size", "160x120") == 0
    attempt = read_attempt(truth / "attempt.json")
    assert attempt.procedure == "vessel" and attempt.seed == 3 and attempt.machine == "A"
    assert attempt.events[0].kind == "contact" and attempt.summary.insertions == 1
    lines = list(read_truth_lines(truth))
    assert len(lines) == 250
    touched = attempt.events[0].index
    assert lines[touched - 1].needle is None or lines[touched - 1].needle.tip_px is None
    assert any(line.needle is not None and line.needle.tip_px is not None for line in lines[touched:])
    assert read_truth_head(truth).seed == 3
    source = open_source(str(out))
    try:
        assert source.info.frame_count == 250
        assert source.info.times_ns is not None and int(source.info.times_ns[30]) == pytest.approx(1e9, rel=0.01)
    finally:
        source.close()


def test_the_same_script_gives_the_same_bytes(tmp_path: Path, repo_root: Path) -> None:
    script = repo_root / "resources" / "samples" / "breast-biopsy.toml"
    files = [tmp_path / f"{name}.dcm" for name in "ab"]
    for file in files:
        words = ["breast", "--script", str(script), "--frames", "30", "--size", "160x120", "--codec", "jpeg-ls"]
        assert _run(*words, "--out", str(file)) == 0
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("procedure", "more", "words"),
    [
        ("breast", [], "made for vessel"), ("vessel", ["--no-needle"], "does not go with --script"),
        ("vessel", ["--start", "inside"], "does not go with --script"),
    ],
)
def test_a_script_that_does_not_fit_is_refused(
    tmp_path: Path, repo_root: Path, procedure: str, more: list[str], words: str
) -> None:
    script = repo_root / "resources" / "samples" / "vessel-in-plane.toml"
    with pytest.raises(UserError, match=words):
        _run(procedure, "--script", str(script), *more, "--out", str(tmp_path / "case.dcm"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("sim:vessel?machine=B&sed=5&steer=yes", "no key 'sed'; the nearest is seed"),
        ("sim:vessel?machine=Q", "no simulated machine 'Q'; choose one of A, B"),
        ("sim:vessel?needle=no", "leave needle= out"), ("sim:nerve?seed=2", "address of a simulated nerve, not of"),
    ],
)
def test_a_wrong_title_is_refused_by_the_verb_and_found_by_the_doctor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], title: str, words: str
) -> None:
    script = tmp_path / "moves.toml"
    script.write_text(f'format = "puncta-moves"\nversion = 1\ntitle = "{title}"\n'
                      'move = [{ at_s = 0, do = "advance", by = 2 }]\n')
    assert main(["simulate", "vessel", "--script", str(script), "--out", str(tmp_path / "case.dcm")]) == 2
    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["moves.toml"]
    assert main(["doctor", str(script)]) == (0 if "nerve" in title else 2)
    assert "nerve" in title or words in capsys.readouterr().out


def test_the_help_says_that_the_approach_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    """Seed 5 is the rare out-of-plane needle of the long axis; steering it takes the view's usual way."""
    address = "sim:vessel?view=long-axis&size=96x64&seed=5"
    plans = [parse_simulation(address + steer).open_generator().hands.plan for steer in ("", "&steer=yes")]
    assert [plan.approach for plan in plans if plan is not None] == ["out-of-plane", "in-plane"]
    with pytest.raises(SystemExit):
        main(["simulate", "--help"])
    assert "drawn from the seed, as often as it is usual" in " ".join(capsys.readouterr().out.split())


def test_only_a_biopsy_needle_fires(tmp_path: Path) -> None:
    script = tmp_path / "moves.toml"
    script.write_text('format = "puncta-moves"\nversion = 1\nmove = [{ at_s = 0, do = "fire" }]\n')
    with pytest.raises(UserError, match="'fire' needs a biopsy gun, and nerve has none"):
        _run("nerve", "--script", str(script), "--out", str(tmp_path / "case.dcm"))
    for procedure in PROCEDURES:
        kind = draw_needle_kind(np.random.default_rng(1), procedure, -20.0)
        assert (kind.throw_mm > 0) == (procedure in GUN_PROCEDURES)


def test_a_title_without_steer_is_steered_all_the_same() -> None:
    request = request_of_script(MoveScript((), title="sim:vessel?machine=B&seed=5"))
    assert request is not None and (request.machine, request.seed, request.steer) == ("B", 5, True)
    assert request_of_script(MoveScript((), title="my first try")) is None


def test_a_wish_changes_the_subject_of_a_script(repo_root: Path) -> None:
    parser = argparse.ArgumentParser()
    simulate.configure(parser)
    script = read_moves(repo_root / "resources" / "samples" / "vessel-in-plane.toml")
    args = parser.parse_args(["vessel", "--seed", "9", "--view", "long-axis", "--out", "x.dcm"])
    request = simulate.request_of(args, script)
    assert (request.seed, request.machine, request.fps, request.options.view) == (9, "A", 30.0, "long-axis")
    assert request.steer


def test_a_simulated_file_is_a_valid_ultrasound_multi_frame(tmp_path: Path) -> None:
    import pydicom

    out = tmp_path / "case.dcm"
    wishes = ["--level", "L4-L5", "--weight", "3.5"]
    assert _run("infant-lp", "--frames", "6", "--fps", "25", *wishes, "--out", str(out)) == 0
    data = pydicom.dcmread(out)
    assert data.SOPClassUID == pydicom.uid.UltrasoundMultiFrameImageStorage
    assert data.NumberOfFrames == 6 and float(data.FrameTime) == pytest.approx(40.0)
    region = data.SequenceOfUltrasoundRegions[0]
    assert 0 <= region.RegionLocationMinX0 < region.RegionLocationMaxX1 < data.Columns
    assert region.PhysicalUnitsXDirection == 3 and region.PhysicalDeltaX > 0
    assert "imulated" in str(data.ImageComments)
