"""results.jsonl: canonical text, both directions, and what a writer refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puncta.core.errors import BugError, UserError
from puncta.core.flags import Flag
from puncta.core.frame import Frame, FrameKey, ImageGeometry, SourceInfo, SourceKind, hash_planes
from puncta.core.results import (
    Analysis,
    Certainty,
    ClassResult,
    Detection,
    HeatMap,
    Line,
    MaskResult,
    Measure,
    PluginOutput,
    Point,
)
from puncta.core.target import TargetFix, TargetLoss
from puncta.formats import schemas
from puncta.formats.results_lines import (
    ResultLine,
    ResultsWriter,
    find_line_faults,
    json_from_line,
    json_from_result,
    line_from_analysis,
    line_from_json,
    read_results,
    result_from_json,
    text_from_line,
)

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "formats" / "results" / "results.jsonl"
SHA = "0123456789abcdef" * 4


def make_analysis(index: int, flags: frozenset[Flag] = frozenset(), *outputs: PluginOutput) -> Analysis:
    geometry = ImageGeometry(4, 3)
    info = SourceInfo("file:x", "x.mp4", "x", SourceKind.FILE, geometry)
    pixels = np.full((3, 4), index, np.uint8)
    frame = Frame(FrameKey("x.mp4", index, index * 40), 1, 900 + index, 5, 0, pixels, geometry, info)
    return Analysis(frame, outputs, flags, 7, (("needle-tip", 30), ("decode", 20)))


def test_line_holds_the_four_members_and_nothing_of_the_run() -> None:
    found = Detection("needle_tip", (1.23456, 2.0, 3.0, 4.0), (-0.00001, 3.5), 0.123456, 5.0)
    output = PluginOutput("needle-tip", 900, (found,), frozenset({Flag.LOW_CONFIDENCE}))
    analysis = make_analysis(0, frozenset({Flag.SIMULATED}), output)
    document = json.loads(text_from_line(line_from_analysis(analysis)))
    assert list(document) == ["key", "outputs", "flags", "timings_ns"]
    assert document["key"] == {"index": 0, "pts_ns": 0, "sha256": hash_planes((np.zeros((3, 4), np.uint8),))}
    assert document["flags"] == ["low_confidence", "simulated"]
    assert document["timings_ns"] == {"decode": 20, "needle-tip": 30}
    result = document["outputs"]["needle-tip"][0]
    assert result["box"][0] == 1.235
    assert result["score"] == 0.1235
    assert str(result["tip_px"][0]) == "0.0"  # no negative zero, which would depend on the sign of a rounding error
    assert "frame_id" not in json.dumps(document) and "epoch" not in json.dumps(document)


def test_without_timings_nothing_measured_is_left() -> None:
    slow = PluginOutput("needle-tip", 1, (), frozenset({Flag.OVER_BUDGET, Flag.STALE}), elapsed_ns=99)
    line = line_from_analysis(make_analysis(0, frozenset({Flag.OVER_BUDGET}), slow), timings=False)
    assert json_from_line(line)["flags"] == ["stale"]
    assert "timings_ns" not in json_from_line(line)


def test_plugins_stand_in_alphabetical_order() -> None:
    line = ResultLine(FrameKey("", 0, 0, SHA), {"needle-tip": (), "breast-biopsy": ()})
    assert list(json_from_line(line)["outputs"]) == ["breast-biopsy", "needle-tip"]


def test_golden_is_read_and_written_the_same(tmp_path: Path) -> None:
    lines = list(read_results(GOLDEN, "made.mp4"))
    assert [line.key.index for line in lines] == [0, 1]
    assert lines[0].key.stream == "made.mp4"
    with ResultsWriter(tmp_path / "again.jsonl") as writer:
        for line in lines:
            writer.put_line(line)
    assert (tmp_path / "again.jsonl").read_bytes() == GOLDEN.read_bytes()


coordinates = st.floats(-1e4, 1e4).map(lambda v: round(v, 3) + 0.0)
sizes = st.floats(0, 1e4).map(lambda v: round(v, 3))
points = st.tuples(coordinates, coordinates)
shares = st.floats(0, 1).map(lambda v: round(v, 4))
labels = st.sampled_from(["needle_tip", "needle", "csf"])
reasons = st.text(min_size=1, max_size=20)
masks = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**36 - 1)).map(
    lambda t: np.array([(t[2] >> i) & 1 for i in range(t[0] * t[1])], bool).reshape(t[0], t[1])
)
results = st.one_of(
    st.builds(Point, labels, points, shares),
    st.builds(lambda label, share, why: Point(label, None, share, why), labels, shares, reasons),
    st.builds(Line, labels, points, points, shares, st.floats(0, 90).map(lambda v: round(v, 3)), st.none()),
    st.builds(
        Detection,
        labels,
        st.tuples(coordinates, coordinates, sizes, sizes),
        points,
        shares,
        st.none(),
        st.sampled_from(Certainty),
        st.booleans(),
    ),
    st.builds(lambda label, share, why: Detection(label, None, None, share, reason=why), labels, shares, reasons),
    st.builds(MaskResult, labels, masks, st.tuples(st.integers(0, 99), st.integers(0, 99)), shares),
    st.builds(ClassResult, labels, st.booleans(), shares),
    st.builds(lambda label, share, why: ClassResult(label, None, share, why), labels, shares, reasons),
    st.builds(Measure, labels, coordinates, st.just("mm"), st.one_of(st.none(), sizes), st.text(max_size=9)),
    st.builds(lambda label, why: Measure(label, None, "mm", reason=why), labels, reasons),
)


@given(st.lists(results, max_size=4))
def test_any_result_survives_the_way_to_a_file_and_back(found: list) -> None:
    line = ResultLine(FrameKey("", 3, -40, SHA), {"a": tuple(found)}, frozenset({Flag.STALE}), {"decode": 1})
    document = json.loads(text_from_line(line))
    assert schemas.check("results", document) == []
    for before, after in zip(found, (result_from_json(d) for d in document["outputs"]["a"]), strict=True):
        if isinstance(before, MaskResult):
            assert isinstance(after, MaskResult) and after.mask is not None
            assert np.array_equal(before.mask, after.mask) and before.origin_px == after.origin_px
        else:
            assert before == after


cells = st.lists(st.lists(st.floats(0, 1).map(lambda v: round(v, 2)), min_size=3, max_size=3), min_size=1, max_size=4)


@given(cells)
def test_a_heat_map_survives_the_way_to_a_file_and_back(values: list[list[float]]) -> None:
    before = HeatMap("csf", np.array(values, np.float32), (1.5, 2.5, 30.0, 20.0))
    document = json.loads(text_from_line(ResultLine(FrameKey("", 3, -40, SHA), {"a": (before,)})))
    assert schemas.check("results", document) == [] and find_line_faults(document) == []
    after = result_from_json(document["outputs"]["a"][0])
    assert isinstance(after, HeatMap) and after.box_px == before.box_px and after.values is not None
    assert after.values.dtype == np.float32 and np.array_equal(after.values, before.values)


def test_a_carried_result_names_the_frame_it_was_computed_from() -> None:
    older = PluginOutput("infant-lp", 901, (ClassResult("csf", True, 0.9),), frame_key=FrameKey("x.mp4", 1, 40))
    own = PluginOutput("needle-tip", 903, (), frame_key=FrameKey("x.mp4", 3, 120))
    document = json.loads(text_from_line(line_from_analysis(make_analysis(3, frozenset(), older, own))))
    assert document["carried"] == {"infant-lp": 1}
    assert schemas.check("results", document) == [] and find_line_faults(document) == []
    assert line_from_json(document).carried == {"infant-lp": 1}


def test_what_the_schema_cannot_see_is_found() -> None:
    document = json.loads(GOLDEN.read_text(encoding="utf-8").splitlines()[1])
    assert find_line_faults(document) == []
    document["outputs"]["infant-lp"][1]["values"].pop()
    document["carried"] = {"infant-lp": 1, "other": 0}
    assert find_line_faults(document) == [
        "outputs.infant-lp[1]: 2 x 3 cells want 6 values, not 5",
        "carried.infant-lp: it names the line's own frame; leave it out",
        "carried.other: there are no outputs of this plugin on the line",
    ]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (HeatMap("csf", np.array([[1.5]], np.float32), (0.0, 0.0, 4.0, 4.0)), "0..1"),
        (HeatMap("csf", None, (0.0, 0.0, 4.0, 4.0)), "without a reason"),
        (Measure("depth", float("nan"), "mm"), "nan"),
        (Measure("depth", None, "mm"), "without a reason"),
        (Point("tip", (float("nan"), 1.0), 0.5), "nan"),
        (Detection("needle_tip", (0.0, 0.0, float("inf"), 1.0), (0.0, 0.0), 0.5), "inf"),
        (Point("tip", None, 0.0), "without a reason"),
        (Line("needle", None, None, 0.0), "without a reason"),
        (ClassResult("csf", None, 0.5, ""), "without a reason"),
        (ClassResult("csf", True, 1.2), "0..1"),
        (Point("tip", (0.0, 0.0), -0.1), "0..1"),
    ],
)
def test_writer_refuses_what_the_format_forbids(result: object, words: str) -> None:
    with pytest.raises(BugError, match=words):
        json_from_result(result)  # type: ignore[arg-type]


def test_key_without_hash_is_refused() -> None:
    with pytest.raises(BugError, match="no hash"):
        json_from_line(ResultLine(FrameKey("x", 0, 0), {}))


def test_nothing_is_left_after_a_failure(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("older\n")
    with pytest.raises(RuntimeError), ResultsWriter(target) as writer:
        writer.put(make_analysis(0))
        raise RuntimeError("source broke")
    assert target.read_text() == "older\n"
    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]


def test_close_after_discard_brings_nothing_back(tmp_path: Path) -> None:
    writer = ResultsWriter(tmp_path / "out.jsonl")
    writer.put(make_analysis(0))
    writer.discard()
    writer.close()
    assert list(tmp_path.iterdir()) == []


def test_reader_names_file_line_and_place(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    good = GOLDEN.read_text(encoding="utf-8").splitlines()[0]
    path.write_text(good + "\n" + good.replace('"index":0', '"index":-4') + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"r\.jsonl, line 2: key\.index: -4 is less than 0\.$"):
        list(read_results(path))
    path.write_text(good.replace("0.9312", "NaN"), encoding="utf-8")
    with pytest.raises(UserError, match="NaN is not allowed"):
        list(read_results(path))


targets = st.one_of(
    st.builds(TargetFix, points, sizes, st.just(TargetLoss.NONE), st.booleans(), st.none() | points),
    st.builds(TargetFix, st.none(), sizes, st.sampled_from([loss for loss in TargetLoss if loss]), st.booleans()),
)


@given(targets)
def test_a_target_survives_the_way_to_a_file_and_back(fix: TargetFix) -> None:
    line = ResultLine(FrameKey("", 3, -40, SHA), {}, target=fix)
    document = json.loads(text_from_line(line))
    assert schemas.check("results", document) == []
    assert line_from_json(document).target == fix


def test_a_line_without_a_target_has_no_member_for_it_and_a_lost_one_needs_a_reason() -> None:
    plain = json_from_line(ResultLine(FrameKey("", 3, -40, SHA), {}))
    assert "target" not in plain and line_from_json(plain).target is None
    lost = {"point_px": None, "doubt_px": 3.0, "true": False, "reason": None}
    assert "reason" in schemas.check("results", {**plain, "target": lost})[0]
    there = {"point_px": [1.0, 2.0], "doubt_px": 3.0, "true": False, "reason": "plane"}
    assert "reason" in schemas.check("results", {**plain, "target": there})[0]


def test_a_path_goes_with_its_target_and_is_never_told_of_a_lost_one() -> None:
    planned = TargetFix((20.0, 10.0)).with_plan((-15.0, -8.0))
    assert planned.entry_px == (5.0, 2.0) and planned.plan_px == (-15.0, -8.0)
    assert planned.with_plan(None) == TargetFix((20.0, 10.0))
    gone = TargetFix(None, 4.0, TargetLoss.PLANE, entry_px=(5.0, 2.0))
    assert gone.plan_px is None and gone.with_plan((1.0, 1.0)).entry_px is None
    document = json_from_line(ResultLine(FrameKey("", 3, -40, SHA), {}, target=gone))
    assert "entry_px" not in document["target"] and find_line_faults(document) == []
    document["target"]["entry_px"] = [5.0, 2.0]
    assert schemas.check("results", document) == [] and "target.entry_px" in find_line_faults(document)[0]
