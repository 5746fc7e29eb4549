"""The check on real pictures for plugins that give masks and flags, with toy plugins and pictures made for the test."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from toy_kinds import toy_kinds

from puncta.formats.real_cases import read_real_cases
from puncta.formats.tip_marks import Lure
from puncta.session.real_check import RealResult, run_real_check
from puncta.session.real_masks import lay_on_shaft, lies_on_lure
from puncta.session.real_report import document_of, markdown_of
from puncta.session.real_runner import FoundMask
from puncta.session.real_sheet import write_sheet
from puncta.session.restyle import RestyledSource, read_styles, restyle

HEAD = ("ObjectType = Image\nNDims = 3\nDimSize = 200 100 {n}\nElementType = MET_UCHAR\nElementSpacing = 1 1 1\n"
        "ElementDataFile = LOCAL\n")
SPEC = """
name = "toy-spines"
description = "For a test."
license = "CC0-1.0"
label_set = "infant-lp"
[[part]]
split = "test"
procedures = ["infant-lp"]
machines = ["A"]
seeds = [5, 6]
frames = 2
sizes_px = [[96, 96]]
needle_free = 1.0
flags = true
"""


def write_recording(path: Path, pictures: np.ndarray) -> str:
    path.write_bytes(HEAD.format(n=len(pictures)).encode() + pictures.tobytes())
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A recording whose needle comes from the right at y 30 with its tip at x 60; later a bone line shines."""
    data = tmp_path / "data"
    data.mkdir()
    pictures = np.full((6, 100, 200), 90, np.uint8)
    pictures[:4, 29:32, 60:] = 255  # on frame 3 the bone as well, on 4 the bone alone, on 5 nothing
    pictures[3:5, 79:82, :] = 255
    sha = write_recording(data / "needle.mha", pictures)
    marks = {"version": 1, "clip": "needle.mha", "clip_sha256": sha, "picture_px": [200, 100], "frames": 6,
             "mm_per_px": [0.1, 0.1], "mm_from": "A ruler.", "rule": "The end.", "counted_within_mm": 3.0,
             "lures": [{"name": "bone line", "line_px": [[0, 80], [199, 80]], "half_width_mm": 0.2}]}
    frames = [{"frame": k, "tip_px": [60, 30], "confidence": "clear", "axis_px": [[70, 30], [190, 30]]}
              for k in range(6)]
    marks["passes"] = [{"pass": n, "who": "a test", "when": "now", "frames": frames} for n in (1, 2)]
    (tmp_path / "marks.json").write_text(json.dumps(marks))
    (tmp_path / "cases.toml").write_text(
        'version = 1\nname = "toy"\n[[marked]]\nfile = "needle.mha"\nmarks = "marks.json"\n'
        '[[recording]]\nfile = "plain.mha"\nholds = "no needle"\nshows = "nothing"\n'
    )
    write_recording(data / "plain.mha", np.full((3, 100, 200), 90, np.uint8))
    return tmp_path


def check(place: Path, plugin: str, **more) -> RealResult:
    cases = read_real_cases(place / "cases.toml")
    found = toy_kinds(place / "plugins")
    return run_real_check(plugin, cases, place / "data", lambda name: place / name, discovery=found, **more)


def test_masks_on_a_marked_needle(place: Path):
    result = check(place, "toy-mask")
    document = document_of(result)
    assert document["gives"] == "mask"
    marked = document["marked"][0]
    masks, whole = marked["figures"]["masks"], marked["figures"]["all_frames"]
    assert masks["frames_with_mask"]["hits"] == 5 and masks["frames_with_mask"]["n"] == 6
    rows = {row["frame"]: row for row in marked["rows"]}
    # The region may be looked for, so that it ends a little inside; the shaft asked for lies well inside it.
    assert rows[0]["shaft_covered"] == pytest.approx(1.0, abs=0.05) and rows[0]["mask_on_shaft"] == 1.0
    assert rows[3]["shaft_covered"] == rows[0]["shaft_covered"]
    assert rows[3]["mask_on_shaft"] == pytest.approx(140 / 340, abs=0.02)
    assert rows[4]["shaft_covered"] == 0.0 and rows[4]["mask_on_shaft"] == 0.0
    assert "shaft_covered" not in rows[5]
    assert masks["shaft_half_covered"]["hits"] == 4  # a frame without a mask covers nothing
    assert masks["mask_mostly_on_shaft"]["hits"] == 3
    assert whole["shown"]["hits"] == 5 and whole["on_lure"] == {"bone line": 2}
    assert rows[0]["angle_deg"] == 0.0
    assert document["recorded"]["rows"][0]["shown"] == 0
    text = markdown_of(result)
    assert "files with a mask" in text and "on the bone line that is 2 of 6 frames" in text


def test_a_sheet_shows_the_marked_frames_with_their_masks(place: Path):
    result = check(place, "toy-mask")
    path = place / "sheet.png"
    assert write_sheet(result, place / "data", path) == 6
    sheet = cv2.imread(str(path))
    yellow = (np.abs(sheet.astype(int) - [66, 228, 240]).max(axis=2) < 40).sum()
    assert sheet.shape[1] > 1000 and yellow > 1000  # five masks 140 or 200 px long have an outline each


def test_a_mask_across_a_shaft_and_past_its_tip():
    axis, scale, region = ((150.0, 50.0), (50.0, 50.0)), (0.1, 0.1), (0, 0, 200, 100)
    along = np.zeros((100, 200), bool)
    along[50, 50:200] = True
    whole = lay_on_shaft(FoundMask(along, (0, 0)), axis, scale, region)
    assert (whole.on_shaft, whole.covered) == (1.0, 1.0)
    half = lay_on_shaft(FoundMask(along[50:51, 50:125], (50, 50)), axis, scale, region)
    assert half.on_shaft == 1.0 and half.covered == pytest.approx(0.5, abs=0.04)
    beyond = np.zeros((1, 80), bool)
    beyond[0, :40] = True  # x 0 to 39: 1 to 5 mm beyond the tip, of which 3 are allowed
    past = lay_on_shaft(FoundMask(beyond, (0, 50)), axis, scale, region)
    assert past.on_shaft == pytest.approx(20 / 40, abs=0.03) and past.covered == 0.0
    off = lay_on_shaft(FoundMask(np.ones((3, 100), bool), (60, 80)), axis, scale, region)
    assert (off.on_shaft, off.covered) == (0.0, 0.0)


def test_a_lure_needs_a_share_of_the_mask():
    box = Lure("box", (), 0.0, (0.0, 0.0, 10.0, 10.0), (0, 5))
    mask = FoundMask(np.ones((1, 40), bool), (0, 5))  # 11 of 40 pixels lie in the box
    assert lies_on_lure(mask, 3, box, (0.1, 0.1)) and not lies_on_lure(mask, 6, box, (0.1, 0.1))
    assert not lies_on_lure(FoundMask(mask.mask, (5, 5)), 3, box, (0.1, 0.1))  # 6 of 40


def test_flags_on_pictures_of_something_else_and_on_simulated_spines(place: Path):
    silent = np.full((3, 100, 200), 90, np.uint8)
    told = silent.copy()
    told[1:, :, :] = 255  # every flag is answered, and the picture called unfamiliar
    write_recording(place / "data" / "silent.mha", silent)
    write_recording(place / "data" / "told.mha", told)
    stills = place / "data" / "stills"
    stills.mkdir()
    for k in range(6):
        grain = np.random.default_rng(k).integers(20, 220, (80, 90)).astype(np.uint8)
        cv2.imwrite(str(stills / f"{k}.png"), grain)
    (place / "spec.toml").write_text(SPEC)
    (place / "cases.toml").write_text(
        'version = 1\nname = "toy"\n'
        '[[recording]]\nfile = "silent.mha"\nholds = "adult spine"\nshows = "nothing"\n'
        '[[recording]]\nfile = "told.mha"\nholds = "other body"\nshows = "white"\n'
        '[[simulated]]\nspec = "spec.toml"\nshows = "spines"\n'
        '[[simulated]]\nspec = "spec.toml"\nshows = "spines"\nstyles = ["stills"]\n'
    )
    result = check(place, "toy-flags", sets=place / "sets")
    document = document_of(result)
    rows = {row["name"]: row for row in document["recorded"]["rows"]}
    assert rows["silent.mha"]["shown"] == 0 and rows["silent.mha"]["unfamiliar"] == 0
    assert rows["told.mha"]["shown"] == 0 and rows["told.mha"]["unfamiliar"] == 2
    plain, styled = document["simulated"]
    assert (plain["style"], styled["style"]) == ("", "stills")
    assert plain["figures"]["frames"] == styled["figures"]["frames"] == 2
    assert plain["digest"] == styled["digest"]
    text = markdown_of(result)
    assert "Recordings without an infant's spine" in text and "| toy-spines | spines | stills | 1 | 2 |" in text


def test_a_restyled_picture_keeps_its_shapes_and_takes_the_tones_of_the_still():
    rng = np.random.default_rng(3)
    picture = np.zeros((120, 160), np.uint8)
    picture[10:110, 10:150] = 60
    picture[40:60, 10:150] = 160
    picture[10:110, 10:150] += rng.integers(0, 20, (100, 140)).astype(np.uint8)
    still = rng.integers(120, 250, (90, 100)).astype(np.uint8)
    out = restyle(picture, still, (5, 9))
    assert np.array_equal(out, restyle(picture, still, (5, 9))) and not np.array_equal(out, picture)
    assert (out[picture == 0] == 0).all()
    lit = picture > 0
    assert out[lit].mean() > picture[lit].mean() + 20  # the still is brighter
    band, below = out[42:58, 15:145].mean(), out[70:100, 15:145].mean()
    assert band > below + 15
    assert not np.array_equal(out, restyle(picture, still, (6, 9)))


def test_styles_are_stills_that_no_model_learns_from(tmp_path: Path):
    from puncta.sim.composite_stills import list_stills

    folder = tmp_path / "stills"
    folder.mkdir()
    for k in range(12):
        cv2.imwrite(str(folder / f"{k}.png"), np.random.default_rng(k).integers(20, 220, (80, 90)).astype(np.uint8))
    kept = [s for s in list_stills(tmp_path, ("stills",)) if s.half == "false-alarm"]
    assert 0 < len(kept) < 12 and len(read_styles(tmp_path, ("stills",))) == len(kept)
    assert read_styles(tmp_path, ()) == []


def test_a_restyled_source_gives_the_same_frames_again(place: Path):
    from puncta.sources.factory import open_source

    still = np.random.default_rng(1).integers(20, 220, (80, 90)).astype(np.uint8)
    source = RestyledSource(open_source(str(place / "data" / "needle.mha")), still, 2)
    first = source.read()
    source.seek(0)
    again = source.read()
    source.close()
    assert first is not None and again is not None and np.array_equal(first.pixels, again.pixels)
    assert first.geometry == again.geometry and source.info.frame_count == 6
