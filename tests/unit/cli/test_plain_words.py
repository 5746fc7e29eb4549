"""What a command says of input that is not what it is taken for: the thing that is wrong, in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta.cli.main import main


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run a command that has to refuse; return its one sentence."""
    capsys.readouterr()
    try:
        status = main([str(word) for word in words])
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    told = capsys.readouterr()
    assert status == 2 and told.err.startswith("puncta") and told.err.count("\n") == 1, told.err
    return told.err


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    folder.mkdir()
    for n in range(3):
        cv2.imwrite(str(folder / f"{n}.png"), np.full((24, 32), 40 + n, np.uint8))
    return folder


@pytest.mark.parametrize("words", [["cases", "export", "NOTHERE", "--csv", "x.csv"], ["run", "NOTHERE", "--compare"]])
def test_pictures_that_are_not_there_are_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    told = refused(capsys, *(str(tmp_path / w) if w == "NOTHERE" else w for w in words))
    assert "NOTHERE does not exist" in told and "findings" not in told and "compare" not in told


@pytest.mark.parametrize(("name", "form"), [("a.nrrd", "NRRD"), ("a.nhdr", "NRRD"), ("a.mha", "MetaImage")])
def test_a_header_that_is_none_is_called_by_its_own_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, form: str
) -> None:
    (tmp_path / name).write_text("no header at all\n")
    told = refused(capsys, "run", tmp_path / name)
    assert form in told and not ({"NRRD", "MetaImage"} - {form}) & set(told.replace(",", " ").split())


@pytest.mark.parametrize(("option", "asked"), [
    ("infant-lp.heat_map=cfs", 'did you mean "csf"?'),
    ("infant-lp.heat_mop=csf", 'did you mean "heat_map"?'),
    ("infant-pl.heat_map=csf", "did you mean infant-lp?"),
])  # fmt: skip
def test_a_question_ends_as_one(clip: Path, capsys: pytest.CaptureFixture[str], option: str, asked: str) -> None:
    told = refused(capsys, "run", clip, "--plugins", "infant-lp", "--option", option)
    assert told.endswith(f"{asked}\n")


@pytest.fixture
def a_case(clip: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["annotations", "add", str(clip), "--label-set", "needle-tip"]) == 0
    assert "3 frames" in capsys.readouterr().out
    return clip


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    return folder


EXPORTS = {
    "yolo": ("data.yaml", "frames.csv", "labels/a.txt"),
    "masks": ("frames.csv", "masks/needle/a.png"),
    "mot": ("frames.csv", "001-clip/gt/gt.txt"),
    "csv": ("labels.csv",),
}


@pytest.mark.parametrize("kind", sorted(EXPORTS))
@pytest.mark.usefixtures("a_case")
def test_an_export_that_is_not_read_back_is_called_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    folder = make(tmp_path / "out", *EXPORTS[kind])
    told = refused(capsys, "annotations", "import", folder, "--case", "clip", "--rater", "anna")
    assert f"an export as {kind}, which is written here and not read" in told and "labelme file" not in told
    assert f"an export as {kind}" in refused(capsys, "doctor", folder)


@pytest.mark.parametrize(("there", "asked", "told_as"), [
    ("annotations.json", "cvat", "coco"), ("dataset.json", "coco", "dataset"), ("annotations.xml", "dataset", "cvat"),
])  # fmt: skip
@pytest.mark.usefixtures("a_case")
def test_a_folder_of_another_format_than_asked_for_says_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str, asked: str, told_as: str
) -> None:
    folder = make(tmp_path / "out", there)
    told = refused(
        capsys, "annotations", "import", folder, "--case", "clip", "--rater", "anna", "--format", asked
    )
    assert f"not of the format {asked}; without --format it is read as {told_as}" in told


@pytest.mark.parametrize("words", [
    ["import", "FOLDER", "--case", "clip", "--rater", ""], ["export", "OUT", "--rater", " "],
    ["assign", "clip", ""], ["list", "--rater", ""], ["agree", "clip", "", "bert"],
])  # fmt: skip
@pytest.mark.usefixtures("a_case")
def test_a_rater_without_a_name_is_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    places = {"FOLDER": str(make(tmp_path / "in", "dataset.json")), "OUT": str(tmp_path / "out")}
    assert "A rater needs a name" in refused(capsys, "annotations", *(places.get(w, w) for w in words))


@pytest.mark.usefixtures("a_case")
def test_a_folder_of_coco_is_checked_as_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "coco"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.zeros((24, 32), np.uint8))
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 32, "height": 24}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 9, 4], "area": 36, "iscrowd": 0}],
        "categories": [{"id": 1, "name": "needle"}],
    }
    (folder / "annotations.json").write_text(json.dumps(document))
    capsys.readouterr()
    assert main(["doctor", str(folder)]) == 0 and "coco" in capsys.readouterr().out
    document["annotations"][0]["image_id"] = 7
    (folder / "annotations.json").write_text(json.dumps(document))
    assert main(["doctor", str(folder)]) == 2 and "BAD" in capsys.readouterr().out


def test_a_file_that_is_there_is_written_over_only_when_asked(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {name: tmp_path / name for name in ("r.jsonl", "r.html", "r.mp4")}
    for option, name in (("--results", "r.jsonl"), ("--report", "r.html"), ("--out", "r.mp4")):
        kept[name].write_text("somebody's own")
        assert f"{name} is there already" in refused(capsys, "run", clip, option, kept[name], "--frames", "0:1")
        assert kept[name].read_text() == "somebody's own" and len(list(tmp_path.iterdir())) <= 4
    assert main(["run", str(clip), "--results", str(kept["r.jsonl"]), "--frames", "0:1", "--force"]) == 0
    assert json.loads(kept["r.jsonl"].read_text())["key"]["index"] == 0
    # What the program made itself, and a file made ready by its name alone, are made again.
    (tmp_path / "r.html").write_text("")
    again = ["run", str(clip), "--results", str(kept["r.jsonl"]), "--report", str(kept["r.html"]), "--frames", "0:2"]
    assert main(again) == 0 and main(again) == 0
    assert len(kept["r.jsonl"].read_text().splitlines()) == 2
    if Path("/dev/null").is_char_device():
        assert "no ordinary file" in refused(capsys, "run", clip, "--results", "/dev/null", "--force")


def test_a_simulated_case_is_never_written_over_a_recording_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["simulate", "vessel", "--frames", "1", "--size", "64x64", "--out", str(tmp_path / "case.dcm")]
    (tmp_path / "case.dcm").write_text("somebody's own")
    assert "case.dcm is there already" in refused(capsys, *words)
    assert (tmp_path / "case.dcm").read_text() == "somebody's own"
    assert main([*words, "--force"]) == 0 and (tmp_path / "case.dcm").stat().st_size > 500
    assert main(words) == 0  # its own is made again


@pytest.mark.parametrize(("words", "told"), [
    (["cases", "pack"], "There is no 'pack'; there is only export."),
    (["annotations", "imprt"], "There is no 'imprt'; did you mean import? See"),
    (["runn", "x"], "There is no 'runn'; did you mean run? See"),
    (["models"], "ACTION is missing."),
    (["train", "x", "--preset", "tip"], "There is no 'tip' for --preset; there are cpu, gpu."),
    (["run", "Case", "one.dcm"], "'one.dcm' is one word too many; a name with spaces stands in quotes."),
    (["bench", "--only", "seek", "--json", "nowhere/x.json"], "The folder nowhere does not exist"),
    (["regions", "--markdown", "nowhere/x.md"], "The folder nowhere does not exist"),
    (["annotations", "add", "x", "--label-set", "needle-tip", "--split", "Test set"], "is no name of a split"),
    (["dataset", "labelled", "--from", "x", "--rater", "anna", "--out", "y"], "leave it out with --from"),
])  # fmt: skip
def test_a_wrong_word_is_answered_with_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if "--split" in words:  # the store has to be there
        assert "There are no cases" in (main(["annotations", "list"]), capsys.readouterr().out)[1]
    assert told in refused(capsys, *words)
    assert list(tmp_path.glob("[xy]*")) == []


@pytest.mark.parametrize("name", ["a.toml", "a.json", "a.jsonl", "a.csv"])
def test_an_empty_file_is_called_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / name).touch()
    assert f"{name} is empty." in refused(capsys, "doctor", tmp_path / name)


def test_a_folder_is_checked_for_what_it_is(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["doctor", str(clip)]) == 0
    assert "recording" in (out := capsys.readouterr().out) and "3 frames" in out
    (tmp_path / "other").mkdir()
    assert "no folder that Puncta checks" in refused(capsys, "doctor", tmp_path / "other")


def test_one_frame_is_one(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["run", str(clip), "--frames", "1:2"]) == 0
    out = capsys.readouterr().out
    assert "1 frame in " in out and "of 1 frame" in out and " 1 frames" not in out
