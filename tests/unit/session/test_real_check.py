"""The check on real pictures, with toy plugins whose answers are known, on pictures made for the test."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from puncta.cli.main import main
from puncta.core.errors import UserError
from puncta.formats.jsontext import json_document, read_json
from puncta.session.made_pictures import made_pictures, source_of_pictures

PLUGIN = '''
from __future__ import annotations

from puncta.core.flags import Flag
from puncta.core.geometry import tip_box_px
from puncta.core.results import Certainty, Detection, Line
from puncta.sdk.plugin import StepResult


class Toy:
    """Says its tip lies 10 px left of the brightest pixel, is silent on every third frame, and flags dark pictures."""

    def reset(self, reason):
        self.count = 0

    def step(self, frame, upstream):
        self.count += 1
        grey = frame.pixels if frame.pixels.ndim == 2 else frame.pixels[..., 1]
        flags = frozenset({Flag.OUT_OF_DISTRIBUTION}) if grey.max() < 60 else frozenset()
        if grey.max() < 200 or self.count % 3 == 0:
            lost = Detection("needle_tip", None, None, 0.1, certainty=Certainty.LOST, reason="no tip")
            return StepResult((lost,), flags)
        row, column = divmod(int(grey.argmax()), grey.shape[1])
        tip = (max(0.0, column - 10.0), float(row))
        box = frame.geometry.region.box
        found = Detection("needle_tip", tip_box_px(tip, box), tip, 0.9, radius90_px=12.0)
        return StepResult((found, Line("needle", (199.0, float(row)), tip, 0.9)), flags)

    def close(self):
        pass


def create(context):
    return Toy()
'''
MANIFEST = """
id = "toy-tip"
title = "Toy tip"
version = "0.1.0"
api = 1
entry = "plugin:create"
description = "Finds the brightest pixel."
licence = "Apache-2.0"
author = "a test"
history_frames = 0
budget_ms = 100

[[results]]
type = "detection"
label = "needle_tip"

[[results]]
type = "line"
label = "needle"
"""
LIST = """
version = 1
name = "toy"
[made]
frames = 6
[[marked]]
file = "moving"
marks = "marks.json"
"""


def test_made_pictures_are_the_same_every_time_and_none_stands_twice():
    first, second = made_pictures(8), made_pictures(8)
    assert [m.name for m in first] == [m.name for m in second]
    for a, b in zip(first, second):
        assert a.frames.shape == (8, 480, 640)
        assert np.array_equal(a.frames, b.frames)
    digests = {hashlib.sha256(m.frames.tobytes()).hexdigest() for m in first}
    assert len(digests) == len(first) >= 10
    still = {m.name for m in first if (m.frames == m.frames[0]).all()}
    assert still == {"frozen-speckle", "black"}


def test_pictures_in_memory_play_as_a_file_does():
    frames = np.zeros((5, 240, 320), np.uint8)
    frames[:, 40:200, 60:260] = np.random.default_rng(1).integers(40, 200, (5, 160, 200))
    source = source_of_pictures("made", frames)
    x0, y0, w, h = source.info.geometry.region.box
    assert (abs(x0 - 60), abs(y0 - 40), abs(w - 200), abs(h - 160)) < (4, 4, 8, 8)
    assert source.info.geometry.region.origin == "detected"
    read = [source.read() for _ in range(6)]
    assert read[5] is None
    assert [f.key.index for f in read[:5] if f] == [0, 1, 2, 3, 4]
    assert np.array_equal(read[3].pixels, frames[3]) if read[3] else False
    source.close()


@pytest.fixture
def toy(tmp_path: Path, user_home: Path) -> Path:
    """A place with a plugin that is allowed, a recording of six pictures, its marks and a list of cases."""
    from puncta import paths

    folder = paths.user_plugins_dir() / "toy-tip"
    folder.mkdir(parents=True)
    (folder / "plugin.py").write_text(PLUGIN)
    (folder / "plugin.toml").write_text(MANIFEST)
    data = tmp_path / "data"
    data.mkdir()
    marks = {"version": 1, "clip": "moving.mha", "picture_px": [200, 100], "frames": 6, "mm_per_px": [0.1, 0.1],
             "mm_from": "A ruler.", "rule": "The end.", "counted_within_mm": 3.0,
             "lures": [{"name": "bone", "line_px": [[0, 30], [199, 30]], "half_width_mm": 0.2}]}
    pictures = np.full((6, 100, 200), 90, np.uint8)
    passes = []
    for k in range(6):
        pictures[k, 30, 60 + 10 * k] = 255
    for number in (1, 2):
        frames = [{"frame": k, "tip_px": [54 + 10 * k - 2 * number, 30], "confidence": "clear",
                   "axis_px": [[100 + 10 * k, 30], [190, 30]]} for k in range(6)]
        frames[4]["tip_px"] = [10 + 60 * number, 60]
        passes.append({"pass": number, "who": "a test", "when": "now", "frames": frames})
    header = ("ObjectType = Image\nNDims = 3\nDimSize = 200 100 6\nElementType = MET_UCHAR\n"
              "ElementSpacing = 1 1 1\nElementDataFile = LOCAL\n")
    (data / "moving.mha").write_bytes(header.encode() + pictures.tobytes())
    sha = hashlib.sha256((data / "moving.mha").read_bytes()).hexdigest()
    (tmp_path / "marks.json").write_text(json.dumps({**marks, "clip_sha256": sha, "passes": passes}))
    (tmp_path / "cases.toml").write_text(LIST.replace('"moving"', '"moving.mha"'))
    return tmp_path


def evaluate(toy: Path, *more: str) -> int:
    return main(["evaluate", "toy-tip", "--real", str(toy / "cases.toml"), "--data", str(toy / "data"), *more])


def allow_toy() -> None:
    assert main(["plugins", "allow", "toy-tip"]) == 0


def test_figures_of_a_known_answer(toy: Path, capsys: pytest.CaptureFixture[str]):
    allow_toy()
    capsys.readouterr()
    assert evaluate(toy, "--json", str(toy / "a.json"), "--markdown", str(toy / "a.md")) == 0
    found = read_json(toy / "a.json")
    marked = found["marked"][0]
    # Truth is 51 + 10 k; the plugin says 50 + 10 k: one pixel beyond the tip of a needle from the right.
    counted = marked["figures"]["counted"]
    assert marked["marks"]["standing"] == {"counted": 5, "unseen": 0, "disputed": 1}
    assert marked["marks"]["tip_mm"]["n"] == 6
    assert counted["n"] == 5
    # Silent on frames 2 and 5; the passes lie 6 mm apart on frame 4, so that one is not counted.
    assert counted["misses"] == {"value": 0.4, "hits": 2, "n": 5}
    assert counted["within_2mm"] == {"value": 0.6, "hits": 3, "n": 5}
    shown = [row for row in marked["rows"] if row["error_mm"] is not None]
    assert [row["error_mm"] for row in shown] == [0.1] * len(shown)
    assert [row["along_mm"] for row in shown] == [0.1] * len(shown)
    assert counted["error_mm"]["median"] == 0.1
    assert counted["coverage90"]["value"] == 1.0
    assert counted["angle_deg"]["most"] == 0.0
    assert marked["figures"]["error_by_pass_mm"]["1"]["median"] == pytest.approx(0.2)
    assert marked["figures"]["error_by_pass_mm"]["2"]["median"] == 0.0
    whole = marked["figures"]["all_frames"]
    assert whole["frames"] == 6
    assert whole["shown"]["hits"] + whole["silent"]["hits"] == 6
    assert whole["on_lure"] == {"bone": whole["shown"]["hits"]}
    assert whole["longest_silence_frames"] == 1
    made = {row["name"]: row for row in found["made"]["rows"]}
    assert made["black"]["unfamiliar"] == 6
    assert made["black"]["shown"] == 0
    assert made["grey-noise"]["shown"] == 4
    assert "| black | a black screen | 6 | 0 | 6 |" in (toy / "a.md").read_text()
    assert str(toy) not in (toy / "a.json").read_text() + (toy / "a.md").read_text()


def test_two_runs_give_the_same_bytes(toy: Path, capsys: pytest.CaptureFixture[str]):
    allow_toy()
    capsys.readouterr()
    assert evaluate(toy, "--json", "-") == 0
    first = capsys.readouterr().out
    assert evaluate(toy, "--json", "-") == 0
    assert capsys.readouterr().out == first
    assert json_document(json.loads(first)) == first


def test_another_recording_than_the_marked_one_is_refused(toy: Path, capsys: pytest.CaptureFixture[str]):
    allow_toy()
    path = toy / "data" / "moving.mha"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert evaluate(toy) == 2
    assert "is not the recording that marks.json was made on" in capsys.readouterr().err


def test_files_that_are_not_there_are_named(toy: Path, capsys: pytest.CaptureFixture[str]):
    allow_toy()
    (toy / "data" / "moving.mha").unlink()
    assert evaluate(toy) == 0
    assert "Not there and left out: moving.mha." in capsys.readouterr().out
    (toy / "cases.toml").write_text(LIST.replace("[made]\nframes = 6\n", ""))
    assert evaluate(toy) == 2
    assert "None of the 1 files of toy is in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--real", "CASES", "--split", "test"], "--split does not go with --real"),
        (["--sets", "x"], "--sets belongs to --real"),
        (["--real", "CASES", "--markdown", "no/where/x.md"], "does not exist"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(toy: Path, arguments: list[str], words: str, capsys):
    filled = [str(toy / "cases.toml") if a == "CASES" else a for a in arguments]
    assert main(["evaluate", "needle-tip", "--data", str(toy / "data"), *filled]) == 2
    assert words in capsys.readouterr().err


def test_a_place_that_is_not_there_is_a_plain_sentence(toy: Path):
    from puncta.formats.real_cases import read_real_cases
    from puncta.session.real_check import run_real_check

    with pytest.raises(UserError, match="name the place of the recordings"):
        run_real_check("needle-tip", read_real_cases(toy / "cases.toml"), toy / "none", lambda name: Path(name))
