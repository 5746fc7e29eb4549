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
from puncta.core.results import Analysis, Certainty, ClassResult, Detection, Line, MaskResult, PluginOutput, Point
from puncta.formats import schemas
from puncta.formats.results_lines import (
    ResultLine,
    ResultsWriter,
    json_from_line,
    json_from_result,
    line_from_analysis,
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


@pytest.mark.parametrize(
    ("result", "words"),
    [
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
