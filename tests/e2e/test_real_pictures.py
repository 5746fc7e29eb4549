"""The shipped tip finder on a part of the marked recording: run as a user runs it, and reported whole.

No figure of quality is asked for here: the recording is reported and never tuned on. What is asked for is that the tip
is never laid on the bone line, and that what the report says follows from what `puncta run` writes.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from puncta.cli.main import main
from puncta.formats.jsontext import read_json

CLIP = "needle_inplane_video/ph_1_3_1.mp4"
MARKS = Path(__file__).resolve().parents[1] / "data" / "real" / "needle-inplane-marks.json"
FIRST, END = 10, 62
LIST = f"""
version = 1
name = "part"
[[marked]]
file = "{CLIP}"
marks = "{MARKS.name}"
"""
PART = f"first = {FIRST}\nend = {END}\n"


@pytest.fixture
def clip(shared_data: Path) -> Path:
    path = shared_data / CLIP
    if not path.is_file():
        pytest.skip(f"the marked recording is absent: there is no ../shared/data/{CLIP}")
    return path


def test_a_part_of_the_marked_recording_is_told_frame_by_frame(
    clip: Path, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / MARKS.name).write_bytes(MARKS.read_bytes())
    (tmp_path / "cases.toml").write_text(LIST + PART)
    told, run = tmp_path / "told.json", tmp_path / "run.jsonl"
    real = ["--real", str(tmp_path / "cases.toml"), "--data", str(shared_data), "--json", str(told)]
    assert main(["evaluate", "needle-tip", *real]) == 0
    said = capsys.readouterr()
    assert "the passes against each other" in said.out
    assert said.err == ""
    marked = read_json(told)["marked"][0]
    assert marked["figures"]["all_frames"]["frames"] == END - FIRST
    assert marked["figures"]["all_frames"]["on_lure"]["bone line"] == 0
    rows = {row["frame"]: row for row in marked["rows"]}
    assert sorted(rows) == [15, 27, 38, 49, 60]

    # What the report says is what `puncta run` says on the same frames.
    assert main(["run", str(clip), "--frames", f"{FIRST}:{END}", "--results", str(run), "--no-timings"]) == 0
    lines = [json.loads(line) for line in run.read_text().splitlines()]
    said_on = {line["key"]["index"]: line["outputs"]["needle-tip"] for line in lines}
    for number, row in rows.items():
        tips = [r["tip_px"] for r in said_on[number] if r["label"] == "needle_tip"]
        if row["found_px"] is None:
            assert tips == [None]
            continue
        assert row["found_px"] == pytest.approx(tips[0], abs=0.06)
        if row["error_mm"] is not None:
            true, scale = row["tip_px"], marked["mm_per_px"]
            error = math.hypot(*((a - b) * s for a, b, s in zip(row["found_px"], true, scale)))
            assert row["error_mm"] == pytest.approx(error, abs=0.01)


@pytest.mark.slow
def test_the_bone_line_is_never_taken_for_the_needle(clip: Path, shared_data: Path, tmp_path: Path):
    (tmp_path / MARKS.name).write_bytes(MARKS.read_bytes())
    (tmp_path / "cases.toml").write_text(LIST)
    real = ["--real", str(tmp_path / "cases.toml"), "--data", str(shared_data), "--json", str(tmp_path / "told.json")]
    assert main(["evaluate", "needle-tip", *real]) == 0
    whole = read_json(tmp_path / "told.json")["marked"][0]["figures"]["all_frames"]
    assert whole["frames"] == 448
    assert whole["shown"]["hits"] > 0
    assert whole["on_lure"]["bone line"] == 0
    assert whole["on_lure"]["anything deeper than 395 px"] == 0
