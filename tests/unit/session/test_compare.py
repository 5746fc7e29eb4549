"""Two analyses of one recording: differences frame by frame, the small table, and the first one stays as it is."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from made_session import found_on, make_session

from puncta.cli import run as run_verb
from puncta.cli.compare import prepare_comparison
from puncta.cli.main import main
from puncta.core.errors import UserError
from puncta.core.results import Detection, MaskResult
from puncta.formats.results_lines import read_results
from puncta.formats.validate import validate
from puncta.session.compare import compare_results, mask_iou, next_analysis_file, spacing_of_session, table_of
from puncta.session.run import RunRequest, run_case


def lines_of(file: Path) -> dict:
    return {line.key.index: line for line in read_results(file)}


def moved(frame) -> tuple:
    """As recorded, but the tip is three pixels lower, and frame 5 is lost instead of frame 3."""
    if frame.frame_id == 5:
        return (Detection("needle_tip", None, None, 0.1, reason="no tip is seen"),)
    x0, y0, *_ = frame.geometry.region.box
    tip = (x0 + 40.0 + frame.frame_id, y0 + 33.0)
    return (Detection("needle_tip", (tip[0] - 4, tip[1] - 2, 8.0, 4.0), tip, 0.9, 5.0), *found_on(frame)[1:])


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return make_session(tmp_path / "a"), make_session(tmp_path / "b", find=moved)


def test_tips_masks_and_flags_are_compared(two: tuple[Path, Path]) -> None:
    first, second = (lines_of(folder / "results.jsonl") for folder in two)
    found = compare_results(first, second, spacing_of_session(two[0]))
    tips = {row.index: row for row in found.rows if row.what == "tip"}
    assert (tips[3].first, tips[3].second) == ("lost", "found") and tips[3].distance_px is None
    assert (tips[5].first, tips[5].second) == ("found", "lost")
    assert tips[1].distance_px == pytest.approx(3.0) and tips[1].distance_mm == pytest.approx(0.3)
    masks = {row.index: row for row in found.rows if row.what == "mask"}
    assert masks[1].iou == 1.0 and masks[5].second == "" and masks[5].iou is None
    text = "\n".join(table_of(found))
    assert "tip needle_tip: both 6, only the first 1, only the second 1, neither 0" in text
    assert "apart median 3.0 px" in text and "(median 0.30 mm" in text
    # Frame 3 has no flag in the recording, frame 5 none in the second analysis.
    assert "same answer on 6, another on 0, one of them gives none on 1" in text


def test_masks_in_different_parts_of_the_picture() -> None:
    a = MaskResult("needle", np.ones((4, 4), bool), (10, 10), 1.0)
    b = MaskResult("needle", np.ones((4, 4), bool), (12, 10), 1.0)
    assert mask_iou(a, b) == pytest.approx(8 / 24)
    assert mask_iou(a, MaskResult("needle", None, (0, 0), 0.0)) is None


def test_analyses_of_other_pictures_are_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    first = lines_of(two[0] / "results.jsonl")
    other = lines_of(make_session(tmp_path / "c", size_px=(164, 120)) / "results.jsonl")
    with pytest.raises(UserError, match="not of the same pictures"):
        compare_results(first, other)
    with pytest.raises(UserError, match="no frame in common"):
        compare_results(first, {})


def test_later_analyses_stand_beside_the_recorded_one(two: tuple[Path, Path]) -> None:
    folder = two[0]
    before = (folder / "results.jsonl").read_bytes()
    first = next_analysis_file(folder, ("needle-tip",), {"needle-tip": "needle-tip-ut@0.1"})
    assert first.name == "02-needle-tip-needle-tip-ut_0.1.jsonl"
    first.write_bytes(before)
    assert next_analysis_file(folder, ("needle-tip",), {}).name == "03-needle-tip.jsonl"
    assert validate(folder).problems == ()
    with pytest.raises(UserError, match="belongs to the recording"):
        run_case(RunRequest(str(folder), (), results=folder / "results.jsonl"))
    assert (folder / "results.jsonl").read_bytes() == before


def test_a_run_is_compared_with_what_was_recorded(two: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    class Done:
        class info:  # noqa: N801
            simulated = True

    table = tmp_path / "d.csv"
    request, show = prepare_comparison(RunRequest(str(two[0]), ("needle-tip",)), "", table)
    assert request.results is not None and request.results.parent == two[0] / "analyses"
    request.results.write_bytes((two[1] / "results.jsonl").read_bytes())
    show(Done)
    assert "recorded against this run: 8 frames" in capsys.readouterr().out
    rows = list(csv.DictReader(table.open()))
    assert {row["distance_px"] for row in rows if row["frame"] == "2" and row["what"] == "tip"} == {"3.0000"}
    assert all("simulated" in row["note"] for row in rows)


def test_a_comparison_without_anything_to_compare_with(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        prepare_comparison(RunRequest("clip.mp4"), "", None)
    with pytest.raises(UserError, match="Nothing was recorded"):
        prepare_comparison(RunRequest("sim:breast?size=64x64"), "", None)
    with pytest.raises(UserError, match="belongs to --compare"):
        prepare_comparison(RunRequest("clip.mp4"), None, tmp_path / "d.csv")


def test_a_run_that_fails_leaves_no_empty_folder(two: tuple[Path, Path], monkeypatch, capsys) -> None:  # noqa: ANN001
    def fail(*_all: object, **_named: object) -> None:
        assert (two[0] / "analyses").is_dir()
        raise UserError("The model is not here.")

    monkeypatch.setattr(run_verb, "run_case", fail)
    assert main(["run", str(two[0]), "--compare"]) == 2
    assert "The model is not here." in capsys.readouterr().err
    assert not (two[0] / "analyses").exists()
    (two[0] / "analyses").mkdir()
    earlier = two[0] / "analyses" / "02-needle-tip.jsonl"
    earlier.write_bytes((two[1] / "results.jsonl").read_bytes())
    assert main(["run", str(two[0]), "--compare"]) == 2
    assert earlier.is_file(), "what lies in it stays"
