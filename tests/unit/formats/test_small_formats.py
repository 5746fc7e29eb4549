"""Evaluations, truth, progress, masks, JSON text, whole files, label sets."""

from __future__ import annotations

import io
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puncta.core.errors import BugError, UserError
from puncta.core.frame import FrameKey
from puncta.formats import schemas
from puncta.formats.atomic import AtomicFile, read_text, write_text_atomic
from puncta.formats.dataset import Visibility
from puncta.formats.evaluation import Evaluation, Metric, json_from_evaluation, read_evaluation, write_evaluation
from puncta.formats.jsontext import json_line, parse_json, rounded
from puncta.formats.label_sets import find_label_set, read_label_set
from puncta.formats.progress import ProgressLines, TaskState, parse_progress
from puncta.formats.rle import mask_from_rle, rle_from_mask
from puncta.formats.truth import NeedleTruth, TruthLine, read_truth_head, read_truth_lines, write_truth
from puncta.formats.truth_pictures import read_flow_map, read_label_map, write_flow_map

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "formats"


def test_evaluation_is_read_and_written_the_same(tmp_path: Path) -> None:
    golden = GOLDEN / "evaluation" / "evaluation.json"
    write_evaluation(read_evaluation(golden), tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == golden.read_bytes()


def test_evaluation_refuses_unknown_names_and_nan() -> None:
    def made(name: str, value: float) -> Evaluation:
        return Evaluation("needle-tip", None, None, "made", None, 1, {name: Metric(value, None, None, 1)})

    with pytest.raises(BugError, match="tip_recall"):
        json_from_evaluation(made("tip_recall", 1.0))
    with pytest.raises(BugError, match="nan"):
        json_from_evaluation(made("miss_rate", float("nan")))
    assert schemas.check("evaluation", json_from_evaluation(made("miss_rate", 0.5))) == []


def test_figures_of_the_metrics_room_fit() -> None:
    intervals = pytest.importorskip("puncta.metrics.intervals")
    figure = intervals.Estimate(0.5, None, None, 3)
    document = json_from_evaluation(Evaluation("needle-tip", None, None, "made", None, 3, {"miss_rate": figure}))
    assert document["metrics"] == {"miss_rate": {"value": 0.5, "low": None, "high": None, "n": 3}}


def test_truth_is_read_and_written_the_same(tmp_path: Path) -> None:
    golden = GOLDEN / "truth"
    write_truth(tmp_path / "new", read_truth_head(golden), read_truth_lines(golden))
    for name in ("truth.json", "truth.jsonl"):
        assert (tmp_path / "new" / name).read_bytes() == (golden / name).read_bytes()
    first, second = read_truth_lines(golden)
    assert first.needle is not None and first.needle.visibility is Visibility.CLEAR
    assert first.needle.visible_mask is not None and first.needle.visible_mask.shape == (24, 32)
    assert second.needle is None and second.flags == {"csf": 0}
    assert first.target is not None and first.target.distance_to_target_mm == 0.812
    assert first.labels is not None and first.flow is not None and second.flow is None
    labels = read_label_map(golden / first.labels.file)
    assert {read_truth_head(golden).tissues[int(kind)] for kind in np.unique(labels)} == {"fat", "muscle"}
    assert (read_flow_map(golden / first.flow.file) == (0.0, 1.0)).all()


def test_truth_without_the_newer_members_is_read(tmp_path: Path) -> None:
    golden = GOLDEN / "truth"
    lines = []
    for text in (golden / "truth.jsonl").read_text(encoding="utf-8").splitlines():
        line = {k: v for k, v in json.loads(text).items() if k not in ("target", "labels", "flow")}
        for name in ("plane_angle_deg", "crossing_px", "tip_tissue", "hits"):
            (line["needle"] or {}).pop(name, None)
        lines.append(json_line(line))
    (tmp_path / "truth.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    head = json.loads((golden / "truth.json").read_text(encoding="utf-8"))
    (tmp_path / "truth.json").write_text(
        json.dumps({k: v for k, v in head.items() if k not in ("contents", "tissues")}), encoding="utf-8")
    first, _ = read_truth_lines(tmp_path)
    assert first.needle is not None and first.needle.hits == () and first.target is None and first.labels is None


def test_flow_maps_keep_ways_and_gaps(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    flow = rng.uniform(-500, 500, (6, 9, 2)).astype(np.float32)
    flow[2, 3] = np.nan
    write_flow_map(tmp_path / "flow.png", flow, (14, 11), (2, 4))
    read = read_flow_map(tmp_path / "flow.png")
    assert read.shape == (11, 14, 2) and np.isnan(read[:4]).all() and np.isnan(read[6, 5]).all()
    np.testing.assert_allclose(read[4:10, 2:11], flow, atol=1 / 128 + 1e-4)
    with pytest.raises(BugError, match="600 px"):
        write_flow_map(tmp_path / "far.png", np.full((2, 2, 2), 600.0, np.float32), (2, 2), (0, 0))
    with pytest.raises(UserError, match="8-bit grey"):
        read_label_map(tmp_path / "flow.png")
    assert not (tmp_path / "far.png").exists()


def test_truth_schema_and_value_have_the_same_members() -> None:
    schema = schemas.load_schema("truth-line")["$defs"]["needle"]
    assert set(schema["properties"]) == {f.name for f in fields(NeedleTruth)}


def test_broken_truth_leaves_no_lines_behind(tmp_path: Path) -> None:
    golden = GOLDEN / "truth"
    with pytest.raises(BugError, match="no hash"):
        write_truth(tmp_path, read_truth_head(golden), [TruthLine(FrameKey("x", 0, 0), None)])
    assert list(tmp_path.iterdir()) == []


def test_progress_lines_are_rare_and_complete() -> None:
    now = [100.0]
    out = io.StringIO()
    lines = ProgressLines("train", "steps", 10, out, interval_s=1.0, clock=lambda: now[0])
    for done in range(1, 6):
        now[0] += 0.5
        lines.report(done, metrics={"loss": 1.0 / done})
    lines.finish(TaskState.CANCELLED, "Stopped.")
    found = [parse_progress(line) for line in out.getvalue().splitlines()]
    assert [(p.done, p.elapsed_s, p.left_s) for p in found] == [
        (1, 0.5, 4.5),
        (3, 1.5, 3.5),
        (5, 2.5, 2.5),
        (5, 2.5, 0.0),
    ]
    assert found[-1].state is TaskState.CANCELLED and found[-1].message == "Stopped."
    assert found[0].metrics == {"loss": 1.0}


def test_progress_without_an_end_and_a_strange_line() -> None:
    out = io.StringIO()
    ProgressLines("record", "frames", None, out, clock=lambda: 0.0).report(3)
    assert parse_progress(out.getvalue()).left_s is None
    with pytest.raises(UserError, match="'task' is missing"):
        parse_progress('{"state":"done","done":1,"total":1,"unit":"x","elapsed_s":1,"left_s":0,"message":""}')
    with pytest.raises(UserError, match="not JSON"):
        parse_progress("Loading weights")


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_masks_survive_run_lengths(height: int, width: int, data: st.DataObject) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    mask = np.array(bits).reshape(height, width)
    rle = rle_from_mask(mask)
    assert sum(rle["counts"]) == mask.size
    assert np.array_equal(mask_from_rle(rle), mask)


def compress(counts: list[int]) -> str:
    """COCO's text form, written from its description: 5 bits a character, sign in bit 4, more in bit 5."""
    text = ""
    for n, count in enumerate(counts):
        value = count - counts[n - 2] if n > 2 else count
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            text += chr((bits | 0x20 if more else bits) + 48)
    return text


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=12))
def test_compressed_run_lengths_are_read(counts: list[int]) -> None:
    total = sum(counts)
    packed = mask_from_rle({"size": [total, 1], "counts": compress(counts)})
    assert np.array_equal(packed, mask_from_rle({"size": [total, 1], "counts": counts}))


def test_a_known_compressed_mask() -> None:
    # A 3 x 3 picture whose middle column is set: runs 3, 3, 3.
    mask = mask_from_rle({"size": [3, 3], "counts": "333"})
    assert mask.tolist() == [[False, True, False]] * 3


@pytest.mark.parametrize("counts", [[1, 2], [-1, 10], "3", "3\n3", "3o"])
def test_wrong_run_lengths_are_refused(counts: object) -> None:
    with pytest.raises(UserError):
        mask_from_rle({"size": [3, 3], "counts": counts})


def test_json_text_is_strict_both_ways() -> None:
    assert json_line({"b": 1, "a": [0.5, None, "ö"]}) == '{"b":1,"a":[0.5,null,"ö"]}'
    with pytest.raises(BugError):
        json_line([float("inf")])
    for text in ("[NaN]", "[-Infinity]", '{"a":1,"a":2}', "[1,]", "[" * 100_000):
        with pytest.raises(UserError, match=r"^f\.json "):
            parse_json(text, "f.json")
    assert str(rounded(-0.0001, 3, "x")) == "0.0"


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text_atomic(target, "one\n")
    with pytest.raises(ValueError), AtomicFile(target) as file:
        file.write("half")
        raise ValueError
    assert target.read_text() == "one\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_paths_that_cannot_be_written_or_read_say_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^Cannot write .*no/a\.txt: no such file or directory\.$"):
        write_text_atomic(tmp_path / "no" / "a.txt", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="^Cannot write "):
        write_text_atomic(tmp_path / "folder", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    (tmp_path / "latin.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8"):
        read_text(tmp_path / "latin.json")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("puncta.formats.atomic.os.fsync", full)
    with pytest.raises(UserError, match="no space left on device"):
        write_text_atomic(tmp_path / "a.txt", "x")
    assert list(tmp_path.iterdir()) == []


def test_label_sets_are_found_by_name_and_beside_a_dataset(tmp_path: Path) -> None:
    needle = find_label_set("needle")
    assert needle is not None and [c.name for c in needle.categories[:2]] == ["needle_tip", "needle"]
    assert needle.category("needle_tip") is not None and needle.flag("csf") is None
    lumbar = find_label_set("infant-lp")
    assert lumbar is not None and [f.name for f in lumbar.flags] == ["quality", "cord", "csf"]
    assert find_label_set("made") is None
    assert find_label_set("../label_sets/needle") is None
    golden = GOLDEN / "label-set" / "label-set.json"
    (tmp_path / "label-set.json").write_bytes(golden.read_bytes())
    made = find_label_set("made", tmp_path)
    assert made == read_label_set(golden)
    shadow = made.flag("shadow") if made else None
    assert shadow is not None and shadow.highest == 2
    assert find_label_set("needle", tmp_path) == needle


def test_label_set_that_does_not_fit_is_named(tmp_path: Path) -> None:
    document = json.loads((GOLDEN / "label-set" / "label-set.json").read_text())
    document["id"] = "Needle Set"
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"x\.json: id: 'Needle Set' is not a lower-case name"):
        read_label_set(tmp_path / "x.json")
