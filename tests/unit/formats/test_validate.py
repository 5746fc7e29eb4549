"""`puncta doctor FILE`: recognises each format and tells what does not fit together."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from puncta.core.errors import UserError
from puncta.formats.validate import MOST_PROBLEMS, identify, validate

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "formats"


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """A copy of all golden samples that a test may break."""
    return shutil.copytree(GOLDEN, tmp_path / "golden", ignore=shutil.ignore_patterns("__pycache__"))


def edit(path: Path, change: Callable[[Any], object]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("dataset", "dataset"),
        ("dataset/dataset.json", "dataset"),
        ("session", "session"),
        ("truth", "truth"),
        ("truth/truth.jsonl", "truth-line"),
        ("training-folder", "training-folder"),
        ("training-folder/log.jsonl", "training-log"),
        ("plugin-manifest", "plugin-manifest"),
        ("model-registry", "model-registry"),
        ("results/results.jsonl", "results"),
        ("experiment/made.toml", "experiment"),
        ("dataset-spec/made.toml", "dataset-spec"),
        ("case-pack/made.puncta", "case-pack"),
        ("bench/bench.json", "bench"),
        ("dataset/images", None),
        ("dataset/images/000.png", None),
    ],
)
def test_identify(name: str, kind: str | None) -> None:
    assert identify(GOLDEN / name) == kind


@pytest.mark.parametrize("name", ["evaluation", "results", "progress", "experiment", "frame-key", "bench", "label-set",
                                  "dataset-spec"])
def test_a_renamed_file_is_known_by_what_it_holds(golden: Path, name: str) -> None:
    (file,) = (golden / name).iterdir()
    renamed = file.rename(file.with_stem("other"))
    assert identify(renamed) == name
    assert validate(renamed).ok


def test_an_experiment_that_extends_another_is_checked_with_all_it_takes_over(golden: Path) -> None:
    mine = golden / "experiment" / "mine.toml"
    mine.write_text('extends = "made"\nname = "mine"\n', encoding="utf-8")
    assert identify(mine) == "experiment" and validate(mine).ok
    mine.write_text('extends = "made"\nname = "mine"\nseed = "two"\n', encoding="utf-8")
    assert "seed" in validate(mine).problems[0]
    mine.write_text('extends = "nothing"\nname = "mine"\n', encoding="utf-8")
    assert 'extends "nothing"' in validate(mine).problems[0]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", b"{", "is not JSON: "),
        ("a.json", b"[1]", "is none of the formats"),
        ("a.json", b"\xff\xfe", "is not UTF-8 text."),
        ("a.jsonl", b"", "is empty."),
        ("a.toml", b"= 3", "is not TOML: "),
        ("a.txt", b"hello", "is none of the formats"),
        ("a.puncta", b"no zip", "is not a readable zip file."),
        ("dataset.json", b" ", "is empty."),
        ("dataset.json", b"{", "is not JSON: "),
    ],
)
def test_strange_files_are_refused_in_one_sentence(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        validate(tmp_path / name)
    assert words in str(caught.value)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_missing_file_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        validate(tmp_path / "nothing.json")
    with pytest.raises(UserError, match="no folder that Puncta checks"):
        validate(tmp_path)


def test_results_with_two_hashes_for_one_frame(golden: Path) -> None:
    path = golden / "results" / "results.jsonl"
    first, second = path.read_text(encoding="utf-8").splitlines()
    again = json.loads(second)
    again["key"]["index"] = 0
    del again["carried"]  # results of this very frame cannot be carried from it
    path.write_text(first + "\n" + json.dumps(again) + "\n", encoding="utf-8")
    assert validate(path).problems == ("line 2: frame 0 has another hash than in a line before",)


def test_results_cut_off_in_the_middle(golden: Path) -> None:
    path = golden / "results" / "results.jsonl"
    path.write_text(path.read_text(encoding="utf-8")[:-40], encoding="utf-8")
    report = validate(path)
    assert len(report.problems) == 1 and "line 2, is not JSON" in report.problems[0]
    assert report.notes == ("1 line, frame 0",)


def test_long_lists_of_problems_are_cut(golden: Path) -> None:
    path = golden / "results" / "results.jsonl"
    bad = path.read_text(encoding="utf-8").splitlines()[0].replace('"index":0', '"index":-1')
    path.write_text((bad + "\n") * (MOST_PROBLEMS + 7), encoding="utf-8")
    report = validate(path)
    assert len(report.problems) == MOST_PROBLEMS
    assert "7 more problems are not listed" in report.notes


def test_dataset_names_come_from_its_label_set(golden: Path) -> None:
    path = golden / "dataset" / "dataset.json"

    def change(document: Any) -> None:
        document["categories"][1]["name"] = "shaft"
        document["images"][0]["labelled"] = []
        document["images"][0]["flags"] = {"csf": 1}
        document["images"][1]["labelled"] = []

    edit(path, change)
    assert validate(path).problems == (
        "categories[1].name: 'shaft' is not in the label set 'needle'",
        "images[0].flags: 'csf' is not in the label set 'needle'",
    )
    edit(path, lambda d: d["info"].update(label_set="unknown"))
    report = validate(path)
    assert report.ok
    assert "the label set 'unknown' is not here, so names were not checked" in report.notes


def test_dataset_may_carry_its_label_set(golden: Path) -> None:
    folder = golden / "dataset"
    shutil.copy(golden / "label-set" / "label-set.json", folder)

    def change(document: Any) -> None:
        document["info"]["label_set"] = "made"
        document["images"][0]["flags"] = {"shadow": 3}

    edit(folder / "dataset.json", change)
    assert validate(folder).problems == (
        "categories[1].name: 'needle' is not in the label set 'made'",
        "images[0].flags.shadow: 3 is more than 2",
    )


def test_dataset_with_a_leak_and_a_lost_picture(golden: Path) -> None:
    folder = golden / "dataset"
    (folder / "images" / "001.png").unlink()
    edit(folder / "dataset.json", lambda d: d["images"][2].update(subject="made-1"))
    assert validate(folder).problems == (
        "subject 'made-1' stands in the splits test and train; a subject has one split",
        "images[1].file_name: images/001.png does not exist",
    )


def test_dataset_tells_shared_machines(golden: Path) -> None:
    edit(golden / "dataset" / "dataset.json", lambda d: d["images"][2].update(machine="A"))
    report = validate(golden / "dataset")
    assert report.ok and "train and test share the machines A" in report.notes


def test_truth_lines_must_be_those_of_the_head(golden: Path) -> None:
    lines = golden / "truth" / "truth.jsonl"
    text = lines.read_text(encoding="utf-8")
    lines.write_text(text.replace('"left"', '"right"'), encoding="utf-8")
    assert validate(golden / "truth").problems == ("lines: truth.jsonl has another hash; it was changed or damaged",)
    lines.write_text(text, encoding="utf-8")
    edit(golden / "truth" / "truth.json", lambda d: d.update(frames=3))
    assert validate(golden / "truth").problems == ("frames: the head says 3, truth.jsonl holds 2",)


def test_truth_maps_are_checked(golden: Path) -> None:
    folder = golden / "truth"
    assert any("with masks, labels, flow" in note for note in validate(folder).notes)
    (folder / "flow" / "000000.png").unlink()
    whole = (folder / "labels" / "000001.png").read_bytes()
    (folder / "labels" / "000001.png").write_bytes(whole[:-1])
    assert validate(folder).problems == (
        "line 1: flow: flow/000000.png does not exist",
        "line 2: labels: labels/000001.png has another hash; it was changed or damaged",
    )


def test_truth_maps_have_the_size_of_the_picture(golden: Path) -> None:
    folder = golden / "truth"
    edit(folder / "truth.json", lambda d: d.update(width=33))
    assert validate(folder).problems[0] == (
        "line 1: labels: labels/000000.png has 32 x 24 pixels, not 33 x 24 as the head says")


def test_session_files_streams_and_order_are_checked(golden: Path) -> None:
    folder = golden / "session"
    whole = (folder / "frames.pfr").stat().st_size
    (folder / "frames.pfr").write_bytes((folder / "frames.pfr").read_bytes()[:-1])

    def change(document: Any) -> None:
        document["gaps"][0]["stream"] = "second"
        document["markers"][0]["key"]["stream"] = "other.mp4"
        document["attempts"][0]["first"]["index"] = 5
        document["results"][0]["file"] = "more.jsonl"

    edit(folder / "session.json", change)
    assert validate(folder).problems == (
        f"files[1]: frames.pfr has {whole - 1} bytes, not {whole}",
        "results[0].file: more.jsonl is not among the files with a hash",
        "gaps[0].stream: there is no stream 'second'",
        "markers[0].key: there is no stream 'other.mp4'",
        "attempts[0]: it ends before it begins",
    )


def test_training_folder_with_a_changed_table_and_bad_parity(golden: Path) -> None:
    folder = golden / "training-folder"
    (folder / "table.md").write_text("changed\n", encoding="utf-8")
    edit(folder / "training.json", lambda d: d["parity"].update(max_abs=0.5))
    assert validate(folder).problems == (
        "files.table: table.md has another hash; it was changed or damaged",
        "parity: outputs differ by 0.5, more than 0.001",
    )


def test_a_changed_byte_of_a_model_is_found(golden: Path) -> None:
    folder = golden / "model-registry"
    data = bytearray((folder / "made.onnx").read_bytes())
    data[3] ^= 1
    (folder / "made.onnx").write_bytes(bytes(data))
    (folder / "made.md").unlink()
    assert validate(folder).problems == (
        "models[0] (tip-made 0.1): made.onnx has another hash; it was changed or damaged",
        "models[0] (tip-made 0.1): made.md does not exist",
    )


def test_a_manifest_without_its_module(golden: Path) -> None:
    (golden / "plugin-manifest" / "plugin.py").unlink()
    assert validate(golden / "plugin-manifest").problems == ("entry: there is no plugin.py beside the manifest",)


def write_pack(path: Path, manifest: Any, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_packs_hold_what_their_manifest_lists(tmp_path: Path) -> None:
    with zipfile.ZipFile(GOLDEN / "case-pack" / "made.puncta") as archive:
        manifest = json.loads(archive.read("manifest.json"))
        comments = archive.read("comments.txt")
    pack = tmp_path / "p.puncta"
    assert validate(write_pack(pack, manifest, {"comments.txt": comments})).ok
    swapped = validate(write_pack(pack, manifest, {"comments.txt": comments.upper()}))
    assert swapped.problems == ("contents[0]: comments.txt has another hash",)
    longer = validate(write_pack(pack, manifest, {"comments.txt": comments * 2}))
    assert longer.problems == ("contents[0]: comments.txt has 34 bytes, not 17",)
    extra = validate(write_pack(pack, manifest, {"more.txt": b""}))
    assert extra.problems == (
        "contents[0]: comments.txt is missing",
        "'more.txt' is in the pack but not in its manifest",
    )
    escaping = validate(write_pack(pack, manifest, {"../evil.txt": b""}))
    assert escaping.problems == ("'../evil.txt' points outside the pack",)
    bare = tmp_path / "bare.puncta"
    zipfile.ZipFile(bare, "w").close()
    assert validate(bare).problems == ("manifest.json is missing",)
