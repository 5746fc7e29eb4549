"""`puncta annotations`, on a small clip of pictures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from label_maker import do

from puncta.annotation.commands import Board, draw, not_visible, propose, set_flag, set_phase
from puncta.annotation.labels import (
    MODEL_RATER,
    Kind,
    Label,
    Provenance,
    State,
    TipLabel,
    mask_label,
    mask_of_stroke,
)
from puncta.annotation.store import AnnotationStore
from puncta.cli.main import main
from puncta.core.frame import FrameKey, hash_planes
from puncta.formats.dataset import load_dataset
from puncta.formats.validate import validate
from puncta.sources.factory import open_source


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A folder of eight grey pictures."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for n in range(8):
        picture = np.full((48, 64), 40 + n, np.uint8)
        cv2.line(picture, (5, 5), (20 + 3 * n, 15 + 2 * n), 200, 2)
        cv2.imwrite(str(folder / f"{n:03d}.png"), picture)
    return folder


def say(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Run the command line; return status, output and errors."""
    try:
        status = main(["annotations", *map(str, words)])
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    told = capsys.readouterr()
    return status, told.out, told.err


def keys(clip: Path) -> list[FrameKey]:
    source = open_source(str(clip))
    found = [frame.hashed_key() for frame in iter(source.read, None)]
    source.close()
    return found


def label_clip(clip: Path, rater: str, off: float = 0.0) -> str:
    at = keys(clip)
    with AnnotationStore.open() as store:
        case = store.cases()[0]
        board = Board(case.id, rater)
        for n in range(6):
            tip = (20 + 3 * n + off, 15.0 + 2 * n)
            do(store, board, draw(board, "needle_tip", at[n], TipLabel(tip)))
            mask = mask_label(mask_of_stroke([(5, 5), tip], 3.0, (48, 64)))
            do(store, board, draw(board, "needle", at[n], mask))
        do(store, board, not_visible(board, "needle_tip", at[6]))
        do(store, board, set_phase(board, "advance", at[:6]))
    return case.id


def labels_of(rater: str) -> dict:
    with AnnotationStore.open() as store:
        return {x.slot: (x.key, x.value, x.state) for x in store.labels(store.cases()[0].id, rater=rater)}


@pytest.fixture
def labelled(clip: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert say(capsys, "add", clip, "--label-set", "breast-biopsy", "--subject", "S1", "--tag", "pilot")[0] == 0
    label_clip(clip, "anna")
    return clip


def test_a_case_is_named_by_its_file_wherever_one_is_named(
    clip: Path, user_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clip.parent)
    assert say(capsys, "add", "clip", "--label-set", "needle", "--title", "Monday")[0] == 0
    for place in ("./clip", "../" + clip.parent.name + "/clip", clip):
        assert say(capsys, "assign", place, "anna")[2] == "", place
        assert "anna has no labels in Monday" in say(capsys, "agree", place, "anna", "bert")[2]
    assert "There is no case 'other/clip'" in say(capsys, "assign", "other/clip", "anna")[2]


def test_cases_are_added_listed_and_assigned(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert say(capsys, "list")[1] == "There are no cases.\n"
    status, out, _err = say(capsys, "add", clip, "--label-set", "breast-biopsy", "--title", "First", "--tag", "pilot")
    assert status == 0 and "First: 8 frames, breast-biopsy" in out
    label_clip(clip, "anna")
    assert say(capsys, "assign", "First", "bert", "--blind")[1] == (
        "First is number 1 on the worklist of bert (blind)\n"
    )
    (row,) = json.loads(say(capsys, "list", "first", "--tag", "pilot", "--json")[1])["cases"]
    assert (row["title"], row["frames"], row["labelled"], row["raters"]) == ("First", 8, 7, ["anna"])
    assert "0 of 8 frames labelled, 0 proposed  open (blind)" in say(capsys, "list", "--rater", "bert")[1]
    assert say(capsys, "list", "moon")[1] == "No case fits.\n"
    assert "1 case, 19 labels, all read" in say(capsys, "check")[1]


@pytest.mark.parametrize(("words", "told"), [
    (["add", "CLIP", "--label-set", "moon"], "no label set 'moon'"),
    (["add", "CLIP", "--label-set", "needle"], "is a case already"),
    (["assign", "moon", "anna"], "no case 'moon'"),
    (["assign", "clip", "anna", "--proposals"], "belongs to --blind"),
    (["agree", "clip", "anna", "bert"], "bert has no labels"),
    (["agree", "clip", "anna", "anna"], "name two raters"),
    (["export", "OUT", "--format", "tiff"], "no format 'tiff'"),
    (["export", "OUT", "--rater", "bert"], "no confirmed label of bert"),
    (["export", "CLIP"], "is there already"),
    (["import", "OUT", "--case", "clip", "--rater", "bert"], "There is no"),
    (["import", "CLIP", "--case", "clip", "--rater", "bert", "--map", "a"], "has no '='"),
    (["import", "CLIP", "--case", "clip", "--rater", "bert", "--format", "mot"], "written here and not read"),
    (["list", "--store", "mysql://x/y"], "cannot lie in 'mysql'"),
])  # fmt: skip
def test_wrong_use_is_told_in_one_sentence(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    places = {"CLIP": str(labelled), "OUT": str(tmp_path / "out")}
    status, out, err = say(capsys, *[places.get(word, word) for word in words])
    assert status == 2 and told in err and err.count("\n") == 1 and "Traceback" not in err, err
    assert not (tmp_path / "out").exists() and out == ""


@pytest.mark.parametrize("name", ["labels.csv", "gt.txt"])
def test_a_table_is_not_read_back_and_says_what_is(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).write_text("1,1,5,5,2,2,1,-1,-1,-1\n", encoding="utf-8")
    status, out, err = say(capsys, "import", tmp_path / name, "--case", "clip", "--rater", "bert")
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert name in err and "give a dataset, or a file of COCO, CVAT or labelme" in err


@pytest.mark.parametrize(("words", "told"), [
    (["--label-set", "moon"], 'No confirmed label is of the set "moon"; there are labels of: '),
    (["--plugin", "moon"], 'teach no plugin "moon"; those that they can teach: '),
])  # fmt: skip
@pytest.mark.usefixtures("labelled")
def test_a_training_set_of_what_is_not_there_says_what_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    capsys.readouterr()
    assert main(["dataset", "labelled", "--out", str(tmp_path / "set"), *words]) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1 and "none" not in err
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("kind", ["dataset", "coco"])
def test_export_and_import_give_equal_labels(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    out = tmp_path / "out"
    status, told, err = say(capsys, "export", out, "--format", kind)
    assert status == 0 and "19 labels on 7 frames of 1 case in" in told, err
    assert len(list((out / "images").rglob("*.png"))) == 7
    assert not list(tmp_path.glob(".out*"))
    before = labels_of("anna")
    status, told, _err = say(capsys, "import", out, "--case", "clip", "--rater", "bert")
    assert status == 0 and told.startswith("19 labels imported; 0 were there")
    assert labels_of("bert") == before
    assert say(capsys, "import", out, "--case", "clip", "--rater", "anna")[1].startswith(
        "0 labels imported; 19 were there already or are confirmed and stay"
    )
    with AnnotationStore.open() as store:
        case = store.cases()[0]
        assert store.undo(case.id, "bert") is not None and store.labels(case.id, rater="bert") == ()


@pytest.mark.parametrize("kind", ["dataset", "coco"])
def test_what_was_only_proposed_and_by_whom_comes_back_so(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    at = keys(labelled)
    with AnnotationStore.open() as store:
        case = store.cases()[0]
        board = Board(case.id, "anna", store.labels(case.id, rater="anna"))
        made = Provenance(Kind.MODEL, "tip", "0.2", confidence=0.4)
        label = Label("needle_tip", at[7], "anna", TipLabel((9.0, 8.0)), made, State.PROPOSED)
        do(store, board, propose(board, [label]))
    out = tmp_path / "out"
    assert say(capsys, "export", out, "--format", kind, "--unconfirmed")[0] == 0
    file = out / ("annotations.json" if kind == "coco" else "dataset.json")
    images = {image.frame_index: image for image in load_dataset(file).images}
    assert str(images[7].review) == "proposed" and str(images[0].review) != "proposed"
    assert images[7].labelled == () and "needle_tip" in images[0].labelled
    annotations = load_dataset(file).annotations
    assert {a.rater for a in annotations} == {"anna"}
    tips = [a.tip_px for a in annotations if a.image_id == images[7].id]
    assert tips == [(9.0, 8.0)], "counted from the middle of the first pixel, as everywhere"
    report = validate(file)
    assert report.problems == () and not any("every frame counts as confirmed" in note for note in report.notes)
    status, told, _err = say(capsys, "import", out, "--case", "clip", "--rater", "bert")
    assert status == 0 and "proposed 1" in told
    states = {slot.index: state for slot, (_k, _v, state) in labels_of("bert").items() if slot.name == "needle_tip"}
    assert states[7] == "proposed" and states[0] == "confirmed"


def test_without_a_rater_labels_go_back_to_those_who_made_them(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    label_clip(labelled, "bert", 2.0)
    for rater in ("anna", "bert"):
        assert say(capsys, "export", tmp_path / rater, "--format", "coco", "--rater", rater)[0] == 0
    kept = labels_of("anna"), labels_of("bert")
    with AnnotationStore.open() as store:
        case = store.cases()[0]
        for rater in ("anna", "bert"):
            while store.undo(case.id, rater) is not None:
                pass
        assert store.labels(case.id) == ()
    for rater in ("anna", "bert"):
        assert say(capsys, "import", tmp_path / rater, "--case", "clip")[0] == 0
    assert (labels_of("anna"), labels_of("bert")) == kept
    file = tmp_path / "other.json"
    image = {"id": 1, "file_name": "clip_0001.png", "width": 64, "height": 48}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 4], "area": 120, "iscrowd": 0}
    file.write_text(json.dumps({"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "needle"}]}))
    status, _out, err = say(capsys, "import", file, "--case", "clip")
    assert status == 2 and "does not name who made 1 of its labels" in err


def test_a_dataset_holds_the_very_frames(labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert say(capsys, "export", tmp_path / "out")[0] == 0
    assert validate(tmp_path / "out").problems == ()
    dataset = load_dataset(tmp_path / "out")
    at = keys(labelled)
    for image in dataset.images:
        written = cv2.imread(str(tmp_path / "out" / image.file_name), cv2.IMREAD_UNCHANGED)
        original = cv2.imread(str(labelled / f"{image.frame_index:03d}.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(written, original) and image.sha256 == hash_planes((written,))
        assert image.more["key"]["sha256"] == at[image.frame_index].sha256
    assert dataset.images[0].subject == "S1" and dataset.info.label_set == "breast-biopsy"


def test_a_clip_that_was_exchanged_is_not_exported(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(labelled / "003.png"), np.zeros((48, 64), np.uint8))
    status, _out, err = say(capsys, "export", tmp_path / "out")
    assert status == 2 and "shows other pixels than the frame that was labelled" in err
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize(
    ("kind", "file"), [("yolo", "data.yaml"), ("mot", "frames.csv"), ("masks", "frames.csv"), ("csv", "labels.csv")]
)
def test_the_other_formats_are_written(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, file: str
) -> None:
    status, _out, err = say(capsys, "export", tmp_path / "out", "--format", kind)
    assert status == 0 and (tmp_path / "out" / file).is_file(), err


def test_agreement_is_told_and_says_whose_labels_go_out(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    label_clip(labelled, "bert", off=2.0)
    status, out, _err = say(capsys, "agree", "clip", "anna", "bert")
    assert status == 0 and "7 frames judged by both" in out and "needle_tip: 2.00 px median" in out
    assert "not independent readers" in out, "neither of them read blind"
    told = json.loads(say(capsys, "agree", "clip", "anna", "bert", "--json")[1])
    assert told["proposals"] is True and told["masks"][0]["n"] == 6 and told["distances"][0]["unit"] == "px"
    status, _out, err = say(capsys, "export", tmp_path / "out")
    assert status == 2 and "labels of anna, bert and no consensus" in err
    label_clip(labelled, "consensus", off=1.0)
    assert say(capsys, "export", tmp_path / "out")[0] == 0
    assert {a.rater for a in load_dataset(tmp_path / "out").annotations} == {"consensus"}


def test_models_are_never_exported_unasked(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert say(capsys, "add", clip, "--label-set", "breast-biopsy")[0] == 0
    label_clip(clip, MODEL_RATER + "needle-tip 0.2")
    status, _out, err = say(capsys, "export", tmp_path / "out")
    assert status == 2 and "no confirmed label" in err


def test_flags_of_infants(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert say(capsys, "add", clip, "--label-set", "infant-lp")[0] == 0
    at = keys(clip)
    with AnnotationStore.open() as store:
        board = Board(store.cases()[0].id, "anna")
        do(store, board, set_flag(board, "csf", 1, at[2:5], frame=4))
        do(store, board, set_flag(board, "cord", 0, at))
    assert say(capsys, "export", tmp_path / "out")[0] == 0
    dataset = load_dataset(tmp_path / "out")
    assert [image.flags for image in dataset.images] == [
        {"cord": 0, "csf": 1} if n in {2, 3, 4} else {"cord": 0} for n in range(8)
    ]
    assert validate(tmp_path / "out").problems == ()
    assert say(capsys, "import", tmp_path / "out", "--case", "clip", "--rater", "bert", "--proposed")[0] == 0
    assert {state for _k, _v, state in labels_of("bert").values()} == {"proposed"}


def test_a_damaged_store_is_begun_anew_only_when_asked(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "labels.sqlite"
    assert say(capsys, "--store", store, "add", clip, "--label-set", "needle-tip")[0] == 0
    assert "1 case, 0 labels" in say(capsys, "check", "--store", store)[1]
    store.write_bytes(b"SQLite format 3\x00" + b"no database at all" * 400)
    for _ in range(2):
        status, _, told = say(capsys, "--store", store, "list")
        assert status == 2 and "damaged" in told and "check --begin-anew" in told and "Traceback" not in told
    assert "0 cases, 0 labels" in say(capsys, "check", "--begin-anew", "--store", store)[1]
    assert say(capsys, "list", "--store", store)[:2] == (0, "There are no cases.\n")
    assert list(tmp_path.glob("labels.sqlite?*")), "the damaged file stays"


def test_agreement_with_nobody_says_so(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say(capsys, "add", clip, "--label-set", "needle-tip", "--title", "one")
    status, _, told = say(capsys, "agree", "one", "anna", "bert")
    assert status == 2 and "nobody has labelled it yet" in told


@pytest.mark.parametrize("words", [["list"], ["check"], ["check", "--begin-anew"], ["agree", "one", "anna", "bert"]])
def test_a_file_that_is_no_store_is_refused_and_stays(
    clip: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    picture = clip / "000.png"
    content = picture.read_bytes()
    told = [say(capsys, *words, "--store", picture)]
    monkeypatch.setenv("PUNCTA_STORE", str(picture))
    told.append(say(capsys, *words))
    for status, out, err in told:
        assert status == 2 and out == "" and "is not a store of labels" in err and err.count("\n") == 1
    assert picture.read_bytes() == content and len(list(clip.iterdir())) == 8


@pytest.mark.parametrize(
    "words",
    [["list"], ["check"], ["agree", "a", "b", "c"], ["export", "OUT"], ["assign", "a", "anna"],
     ["import", "OUT", "--case", "a"]],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_mistyped_store_is_refused_and_not_begun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    words = [str(tmp_path / "out") if word == "OUT" else word for word in words]
    store = tmp_path / "deep" / "typo.sqlite"
    told = [say(capsys, *words, "--store", store), say(capsys, *words, "--store", f"sqlite:///{store}")]
    monkeypatch.setenv("PUNCTA_STORE", str(store))
    told.append(say(capsys, *words))
    for status, out, err in told:
        assert status == 2 and out == "" and "no store of labels at" in err and "check --begin-anew" in err
        assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_store_elsewhere_is_begun_by_adding_a_case_or_when_asked(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "0 cases" in say(capsys, "check", "--begin-anew", "--store", tmp_path / "new" / "a.sqlite")[1]
    assert say(capsys, "add", clip, "--label-set", "needle", "--store", tmp_path / "b.sqlite")[0] == 0
    for store in ("new/a.sqlite", "b.sqlite"):
        assert say(capsys, "list", "--store", tmp_path / store)[0] == 0
    assert "is a folder" in say(capsys, "list", "--store", tmp_path)[2]
