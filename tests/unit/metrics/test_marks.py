"""Hand marks as truth, on marks whose figures can be said by heart."""

from __future__ import annotations

import pytest

from puncta.formats.tip_marks import Lure, MarkPass, TipMark, TipMarks
from puncta.metrics.marks import (
    Standing,
    agree,
    disagreement,
    distance_to_line_mm,
    lies_on,
    longest_run,
    offset_of,
    spread_of,
    wilson,
)

MM = (0.1, 0.1)
LEVEL = ((60.0, 40.0), (100.0, 40.0))


def marks_of(first: dict[int, TipMark], second: dict[int, TipMark], within_mm: float = 3.0) -> TipMarks:
    passes = (MarkPass(1, "a", "then", first), MarkPass(2, "b", "then", second))
    return TipMarks("toy.mp4", "0" * 64, (200, 100), 10, MM, "ruler", "rule", within_mm, passes)


def test_the_mean_of_two_near_passes_counts():
    agreed = agree(marks_of({3: TipMark((50, 40), axis_px=LEVEL)}, {3: TipMark((54, 43), axis_px=LEVEL)}))[3]
    assert agreed.standing is Standing.COUNTED
    assert agreed.tip_px == (52.0, 41.5)
    assert agreed.gap_mm == pytest.approx(0.5)
    assert agreed.axis is not None
    assert agreed.axis[1] == agreed.tip_px
    # The needle comes from the right, so its shaft lies there.
    assert agreed.axis[0] == pytest.approx((152.0, 41.5))


@pytest.mark.parametrize(
    ("other", "standing"),
    [
        (TipMark((81, 40)), Standing.DISPUTED),
        (TipMark((80, 40)), Standing.COUNTED),
        (TipMark(None), Standing.DISPUTED),
        (TipMark((50, 40), confidence="unseen"), Standing.DISPUTED),
    ],
)
def test_what_is_far_apart_or_seen_by_one_alone_is_disputed(other: TipMark, standing: Standing):
    assert agree(marks_of({0: TipMark((50, 40))}, {0: other}))[0].standing is standing


def test_a_tip_that_nobody_sees_is_not_judged():
    agreed = agree(marks_of({0: TipMark(None)}, {0: TipMark((5, 5), confidence="unseen")}))[0]
    assert agreed.standing is Standing.UNSEEN
    with pytest.raises(ValueError, match="no agreed tip"):
        offset_of((1, 1), agreed, MM)


@pytest.mark.parametrize(
    ("found", "along", "across"),
    [((40, 40), 1.0, 0.0), ((60, 40), -1.0, 0.0), ((50, 30), 0.0, 1.0), ((50, 50), 0.0, -1.0), ((20, 80), 3.0, -4.0)],
)
def test_an_error_is_split_along_and_across_the_axis(found, along: float, across: float):
    agreed = agree(marks_of({0: TipMark((50, 40), axis_px=LEVEL)}, {0: TipMark((50, 40))}))[0]
    offset = offset_of(found, agreed, MM)
    assert offset.along_mm == pytest.approx(along)
    assert offset.across_mm == pytest.approx(across)
    assert offset.error_mm == pytest.approx((along**2 + across**2) ** 0.5)


def test_the_order_of_an_axis_points_does_not_matter():
    ways = [((60.0, 40.0), (100.0, 60.0)), ((100.0, 60.0), (60.0, 40.0))]
    offsets = [
        offset_of((30, 30), agree(marks_of({0: TipMark((50, 35), axis_px=way)}, {0: TipMark((50, 35))}))[0], MM)
        for way in ways
    ]
    assert offsets[0] == offsets[1]
    assert offsets[0].along_mm is not None
    assert offsets[0].along_mm > 0


def test_without_an_axis_there_is_a_distance_alone():
    offset = offset_of((53, 44), agree(marks_of({0: TipMark((50, 40))}, {0: TipMark((50, 40))}))[0], MM)
    assert offset.error_mm == pytest.approx(0.5)
    assert offset.along_mm is None


def test_disagreement_leaves_out_what_a_pass_does_not_see():
    first = {k: TipMark((50, 40), axis_px=LEVEL) for k in range(3)}
    second = {0: TipMark((53, 44), axis_px=((63, 44), (103, 84))), 1: TipMark((50, 50)),
              2: TipMark((90, 40), confidence="unseen")}
    found = disagreement(marks_of(first, second))
    assert found["tip_mm"].n == 2
    assert found["tip_mm"].median == pytest.approx(0.75)
    assert found["tip_mm"].most == pytest.approx(1.0)
    assert found["angle_deg"].median == pytest.approx(45.0)
    assert found["across_mm"].most == pytest.approx(1.0)


def test_a_point_lies_on_a_line_within_its_half_width_and_on_a_box_in_its_frames():
    line = Lure("bone", ((0, 90), (100, 90), (200, 60)), 0.5, None, (0, 9))
    assert lies_on((50, 94), 3, line, MM)
    assert not lies_on((50, 96), 3, line, MM)
    assert lies_on((150, 75), 3, line, MM)
    box = Lure("layer", (), 0.0, (10, 10, 20, 5), (2, 4))
    assert lies_on((10, 15), 2, box, MM)
    assert not lies_on((10, 16), 2, box, MM)
    assert not lies_on((10, 15), 5, box, MM)


def test_the_distance_to_a_line_ends_at_its_ends():
    assert distance_to_line_mm((-30, 40), ((0, 0), (100, 0)), MM) == pytest.approx(5.0)
    assert distance_to_line_mm((50, 40), ((0, 0), (100, 0)), MM) == pytest.approx(4.0)


def test_spreads_and_runs():
    spread = spread_of([1, 2, 3, 4, 10])
    assert (spread.n, spread.median, spread.most) == (5, 3.0, 10.0)
    assert spread.p90 == pytest.approx(7.6)
    assert spread_of([]).median is None
    assert longest_run([True, False, True, True]) == 2
    assert longest_run([]) == 0


def test_the_interval_of_a_share_says_something_at_zero():
    assert wilson(0, 0) is None
    low, high = wilson(0, 362) or (None, None)
    assert low == 0
    assert high == pytest.approx(0.0105, abs=1e-4)
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
