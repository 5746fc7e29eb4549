"""Marks made by hand, and lists of real cases: what is read, and what is refused with its place."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from puncta.core.errors import UserError
from puncta.formats.real_cases import Holds, read_real_cases
from puncta.formats.tip_marks import read_tip_marks

REAL = Path(__file__).resolve().parents[2] / "data" / "real"

MARKS: dict[str, Any] = {
    "version": 1,
    "clip": "toy.mp4",
    "clip_sha256": "00" * 32,
    "picture_px": [200, 100],
    "frames": 10,
    "mm_per_px": [0.1, 0.1],
    "mm_from": "A ruler.",
    "rule": "The tip.",
    "counted_within_mm": 3.0,
    "notes": ["made up"],
    "lures": [
        {"name": "bone", "line_px": [[0, 90], [199, 90]], "half_width_mm": 0.5},
        {"name": "layer", "box_px": [10, 10, 20, 5], "frames": [2, 4]},
    ],
    "passes": [
        {"pass": 1, "who": "a", "when": "today", "frames": [
            {"frame": 0, "tip_px": [50, 40], "confidence": "clear", "axis_px": [[60, 40], [100, 40]]},
            {"frame": 5, "tip_px": None},
        ]},
        {"pass": 2, "who": "b", "when": "today", "frames": [
            {"frame": 0, "tip_px": [52, 40], "wall_end_px": [60, 38]},
            {"frame": 5, "tip_px": [52, 40], "confidence": "unseen"},
            {"frame": 7, "tip_px": [52, 40]},
        ]},
    ],
}


def write(folder: Path, document: dict[str, Any]) -> Path:
    path = folder / "marks.json"
    path.write_text(json.dumps(document))
    return path


def test_marks_come_back_as_written(tmp_path: Path):
    marks = read_tip_marks(write(tmp_path, MARKS))
    assert marks.marked_frames == (0, 5)
    assert marks.passes[0].marks[0].axis_px == ((60.0, 40.0), (100.0, 40.0))
    assert marks.passes[1].marks[0].wall_end_px == (60.0, 38.0)
    assert [marks.passes[1].marks[k].seen for k in (0, 5)] == [True, False]
    assert not marks.passes[0].marks[5].seen
    assert marks.lures[0].frames == (0, 9)
    assert marks.lures[1].box_px == (10.0, 10.0, 20.0, 5.0)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("version",), 2, "reads version 1"),
        (("mm_per_px",), [0.1, 0], "mm_per_px is not above 0"),
        (("counted_within_mm",), "3", "counted_within_mm is not a number"),
        (("passes",), [], "passes is empty"),
        (("clip_sha256",), "", "clip_sha256 is missing"),
        (("passes", 0, "frames", 0, "frame"), 10, r"passes\[0\]\.frames\[0\]\.frame is 10"),
        (("passes", 1, "frames", 1, "frame"), 0, "stands twice"),
        (("passes", 0, "frames", 0, "tip_px"), [250, 40], "outside the picture"),
        (("passes", 0, "frames", 0, "tip_px"), [1, 2, 3], "is not a pair"),
        (("passes", 0, "frames", 0, "axis_px"), [[1, 1], [1, 1]], "has no length"),
        (("passes", 0, "frames", 0, "confidence"), "sure", "is none of clear, uncertain, unseen"),
        (("lures", 0, "line_px"), [[1, 1]], "needs two points"),
        (("lures", 1, "box_px"), [1, 1, 0, 5], "has no area"),
    ],
)
def test_what_marks_cannot_be_is_refused_with_its_place(tmp_path: Path, place, value, words: str):
    document = copy.deepcopy(MARKS)
    entry: Any = document
    for key in place[:-1]:
        entry = entry[key]
    entry[place[-1]] = value
    with pytest.raises(UserError, match=words):
        read_tip_marks(write(tmp_path, document))


def test_passes_without_a_common_frame_are_refused(tmp_path: Path):
    document = copy.deepcopy(MARKS)
    document["passes"][0]["frames"] = [{"frame": 1, "tip_px": [1, 1]}]
    with pytest.raises(UserError, match="share no frame"):
        read_tip_marks(write(tmp_path, document))


def test_the_marks_kept_here_hold_two_passes_over_forty_frames():
    marks = read_tip_marks(REAL / "needle-inplane-marks.json")
    assert [len(p.marks) for p in marks.passes] == [40, 40]
    assert len(marks.marked_frames) == 40
    assert marks.frames == 448
    assert "bone line" in {lure.name for lure in marks.lures}
    assert len(marks.clip_sha256) == 64


def test_the_list_of_cases_kept_here_is_whole():
    cases = read_real_cases(REAL / "cases.toml")
    assert cases.marked[0].marks.is_file()
    assert {c.holds for c in cases.recorded} == {Holds.NO_NEEDLE, Holds.LOOK_ALIKE, Holds.NO_ULTRASOUND}
    assert len(cases.recorded) > 25
    assert (cases.folder / cases.stills[0].spec).is_file()


LIST = """
version = 1
name = "toy"
[[recording]]
file = "a/b.mp4"
holds = "no needle"
shows = "an eye"
"""


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("version = 1", "version = 3", "reads version 1"),
        ('"no needle"', '"a needle"', 'recording 1 holds "a needle"; say one of no needle'),
        ('shows = "an eye"', "", "recording 1 lacks the text shows"),
        ('name = "toy"', 'name = "toy"\ncolour = 1', 'the list has a key "colour"'),
        ('shows = "an eye"', 'shows = "an eye"\nlength = 3', 'recording 1 has a key "length"'),
        ("[[recording]]", "[made]\nframes = -1\n[[recording]]", "frames of made is not a whole number"),
    ],
)
def test_a_wrong_list_is_refused_in_one_sentence(tmp_path: Path, before: str, after: str, words: str):
    path = tmp_path / "cases.toml"
    path.write_text(LIST.replace(before, after))
    with pytest.raises(UserError, match=words):
        read_real_cases(path)


def test_a_file_that_stands_twice_and_an_empty_list_are_refused(tmp_path: Path):
    path = tmp_path / "cases.toml"
    path.write_text(LIST + LIST[LIST.index("[[") :])
    with pytest.raises(UserError, match="stands twice"):
        read_real_cases(path)
    path.write_text('version = 1\nname = "none"\n')
    with pytest.raises(UserError, match="lists no case"):
        read_real_cases(path)


def test_a_marked_case_may_name_a_part_of_its_frames(tmp_path: Path):
    path = tmp_path / "cases.toml"
    path.write_text('version = 1\nname = "t"\n[[marked]]\nfile = "a.mp4"\nmarks = "m.json"\nfirst = 4\nend = 9\n')
    case = read_real_cases(path).marked[0]
    assert case.span == (4, 9)
    assert case.marks == tmp_path / "m.json"
    path.write_text(path.read_text().replace("end = 9", "end = 4"))
    with pytest.raises(UserError, match="ends before it begins"):
        read_real_cases(path)
