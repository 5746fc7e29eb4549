"""The first start without a window: what it runs, what it counts, what it says."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from bootstrap_steps import sample

MAIN = """
import sys
from pathlib import Path
_, verb, case, out, video, results, jsonl, force = sys.argv
assert (verb, out, results, force) == ("run", "--out", "--results", "--force"), sys.argv
Path(video).write_bytes(b"video of " + Path(case).read_bytes())
found = '{"label": "needle_tip", "box": [1, 2, 3, 4], "tip_px": [2, 3]}'
Path(jsonl).write_text(('{"outputs": {"needle-tip": [' + found + ']}}\\n') * 3)
"""


def line(*results: dict[str, object], plugin: str = "needle-tip") -> str:
    return json.dumps({"key": {"index": 0}, "outputs": {plugin: list(results)}, "flags": []})


def test_tips_are_counted_where_they_have_a_place() -> None:
    found = {"type": "detection", "label": "needle_tip", "box": [1, 2, 3, 4], "tip_px": [2.0, 3.0], "reason": None}
    lost = {"type": "detection", "label": "needle_tip", "box": None, "tip_px": None, "reason": "nothing moves"}
    mask = {"type": "mask", "label": "needle", "rle": None}
    lines = [
        line(found),
        line(lost),
        line(lost, found, mask),
        line(),
        line({"type": "class", "label": "csf", "value": True}, plugin="infant-lp"),
    ]
    assert sample.count_tips(lines) == sample.Tally(frames=5, tips={"needle-tip": 2})
    assert sample.count_tips([]) == sample.Tally(frames=0, tips={})


def test_the_summary_fits_one_screen_and_says_what_matters(tmp_path: Path) -> None:
    video, results = tmp_path / "sample.mp4", tmp_path / "sample.jsonl"
    text = sample.write_summary(Path("breast-sample.dcm"), video, results, sample.Tally(90, {"needle-tip": 81}))
    assert len(text.splitlines()) <= 24
    assert "81 of 90 frames" in text
    assert str(video) in text
    assert str(results) in text
    assert text.rstrip().endswith("Simulation and training only, not for clinical use.")


@pytest.fixture
def stand_in(tmp_path: Path) -> dict[str, str]:
    """An environment in which a stand-in answers for the program."""
    package = tmp_path / "app" / "puncta"
    package.mkdir(parents=True)
    case = tmp_path / "case.dcm"
    package.joinpath("__init__.py").touch()
    package.joinpath("paths.py").write_text(
        f"from pathlib import Path\ndef sample_case(): return Path({str(case)!r})\n"
    )
    package.joinpath("__main__.py").write_text(MAIN)
    return {**os.environ, "PYTHONPATH": str(package.parent)}


def test_the_sample_is_run_and_told(
    tmp_path: Path, stand_in: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "case.dcm").write_bytes(b"case")
    assert sample.run_sample(Path(sys.executable), tmp_path, stand_in) == 0
    assert (tmp_path / "puncta-out" / "sample.mp4").read_bytes() == b"video of case"
    said = capfd.readouterr().out
    assert "finds the tip on 3 of 3 frames" in said
    assert str(tmp_path / "puncta-out" / "sample.jsonl") in said


def test_a_copy_without_the_sample_says_so(
    tmp_path: Path, stand_in: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert sample.run_sample(Path(sys.executable), tmp_path, stand_in) == 2
    assert "sample case is missing" in capfd.readouterr().out
    assert not (tmp_path / "puncta-out").exists()


def test_a_failing_program_gives_its_status_and_no_summary(
    tmp_path: Path, stand_in: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "case.dcm").write_bytes(b"case")
    (tmp_path / "app" / "puncta" / "__main__.py").write_text("raise SystemExit(2)")
    assert sample.run_sample(Path(sys.executable), tmp_path, stand_in) == 2
    assert "finds the tip" not in capfd.readouterr().out
