"""All figures of hand-made runs, and the groups."""

from __future__ import annotations

import math

import pytest

from puncta.metrics.frames import FrameAnswer, FrameLabels, JudgedFrame
from puncta.metrics.summary import compare, summarise, summarise_groups
from puncta.metrics.tip import axis_difference_deg

BOX = (90.0, 95.0, 20.0, 10.0)
WITH_TIP = FrameLabels(True, (100.0, 100.0), BOX, mm_per_px=(0.1, 0.2))
WITHOUT = FrameLabels(True, mm_per_px=(0.1, 0.2))
HIDDEN = FrameLabels(False, mm_per_px=(0.1, 0.2))


def found(dx: float, dy: float, radius: float | None = None, score: float = 0.9) -> FrameAnswer:
    tip = (100.0 + dx, 100.0 + dy)
    return FrameAnswer(tip, score, radius, tip_boxes=((score, (tip[0] - 10, tip[1] - 5, 20.0, 10.0)),))


LOST = FrameAnswer(score=0.1, withheld=True)


def run() -> list[JudgedFrame]:
    return [
        JudgedFrame(3, WITH_TIP, found(3, 4, radius=6.0), "A", "easy"),  # 5 px; hypot(0.3, 0.8) mm
        JudgedFrame(3, WITH_TIP, found(0, 12, radius=6.0), "A", "hard"),  # 12 px; 2.4 mm
        JudgedFrame(7, WITH_TIP, LOST, "B", "hard"),
        JudgedFrame(7, WITHOUT, found(0, 0, score=0.3), "B", None),
        JudgedFrame(7, WITHOUT, LOST, "B", None),
        JudgedFrame(9, WITHOUT, FrameAnswer(), "B", None),
        JudgedFrame(9, HIDDEN, found(50, 50), "B", None),
    ]


def test_figures_of_a_known_run():
    figures = summarise(run())
    assert figures["tip_error_px"].value == pytest.approx((5 + 12) / 2)
    assert figures["tip_error_px"].n == 2
    assert figures["tip_error_mm"].value == pytest.approx((math.hypot(0.3, 0.8) + 2.4) / 2)
    assert figures["tip_within_2mm"].value == pytest.approx(1 / 3)  # the miss is in the denominator
    assert figures["tip_within_3mm"].value == pytest.approx(2 / 3)
    assert figures["miss_rate"].value == pytest.approx(1 / 3)
    assert figures["false_alarm_rate"].value == pytest.approx(1 / 3)  # the hidden tip is no true negative
    assert figures["abstain_rate"].value == pytest.approx(2 / 6)
    assert figures["tip_error_mm_p95"].value == pytest.approx(2.4) and figures["tip_error_mm_p95"].n == 2
    assert figures["unfamiliar_rate"].value == 0.0
    assert figures["coverage90"].value == pytest.approx(1 / 2)
    assert figures["tip_ap50"].n == 3
    assert figures["needle_ap50"].n == 0
    assert figures["needle_ap50"].value is None
    assert figures["ms_per_frame"].value is None


def test_frames_that_were_called_unfamiliar_are_counted_with_a_tip_and_without():
    strange = FrameAnswer(score=0.4, withheld=True, unfamiliar=True)
    frames = [JudgedFrame(0, WITH_TIP, strange), JudgedFrame(0, WITHOUT, LOST), JudgedFrame(1, WITHOUT, strange),
              JudgedFrame(1, HIDDEN, strange)]
    assert summarise(frames)["unfamiliar_rate"].value == pytest.approx(2 / 3)


def test_silence_is_a_miss_everywhere():
    silent = [JudgedFrame(c, WITH_TIP, FrameAnswer()) for c in range(4)]
    figures = summarise(silent)
    assert figures["miss_rate"].value == 1.0
    assert figures["tip_within_2mm"].value == 0.0
    assert figures["tip_ap50"].value == 0.0
    assert figures["tip_error_px"].value is None
    assert figures["abstain_rate"].value == 0.0
    assert figures["ece"].n == 0


def test_uncalibrated_frames_have_pixels_only():
    labels = FrameLabels(True, (100.0, 100.0), BOX)
    figures = summarise([JudgedFrame(0, labels, found(3, 4))])
    assert figures["tip_error_px"].value == 5.0
    assert figures["tip_error_mm"].n == 0
    assert figures["tip_within_2mm"].n == 0


def test_groups_hold_their_own_frames_and_clips():
    groups = summarise_groups(run(), "machine")
    assert list(groups) == ["A", "B"]
    assert groups["A"]["miss_rate"].value == 0.0
    assert groups["B"]["miss_rate"].value == 1.0
    assert groups["A"]["miss_rate"].low is None  # one clip has no interval
    by_difficulty = summarise_groups(run(), "difficulty")
    assert list(by_difficulty) == ["easy", "hard"]
    assert by_difficulty["hard"]["tip_within_3mm"].value == 0.5


def test_needle_figures():
    labels = FrameLabels(False, needle_judged=True, needle_box=BOX, axis=((0.0, 0.0), (100.0, 100.0)))
    off = (BOX[0], BOX[1], BOX[2], BOX[3] * 0.6)
    frames = [
        JudgedFrame(0, labels, FrameAnswer(needle_boxes=((0.9, off),), axis=((0.0, 0.0), (100.0, 0.0)))),
        JudgedFrame(1, labels, FrameAnswer()),
    ]
    figures = summarise(frames)
    assert figures["needle_iou"].value == pytest.approx(0.3)
    assert figures["needle_ap50"].value == pytest.approx(51 / 101)
    assert figures["needle_ap70"].value == 0.0
    assert figures["angle_error_deg"].value == pytest.approx(45.0)


def test_axes_have_no_direction_and_use_millimetres():
    assert axis_difference_deg(((0, 0), (1, 1)), ((5, 5), (2, 2)), None) == pytest.approx(0.0)
    assert axis_difference_deg(((0, 0), (1, 1)), ((0, 0), (1, -1)), None) == pytest.approx(90.0)
    assert axis_difference_deg(((0, 0), (1, 0)), ((0, 0), (1, 1)), (1.0, math.sqrt(3))) == pytest.approx(60.0)
    assert axis_difference_deg(((0, 0), (0, 0)), ((0, 0), (1, 1)), None) is None


def test_compare_is_the_difference_of_the_figures():
    other = [JudgedFrame(f.clip, f.labels, FrameAnswer(), f.machine, f.difficulty) for f in run()]
    gaps = compare(run(), other)
    assert gaps["tip_within_3mm"].value == pytest.approx(2 / 3)
    assert gaps["miss_rate"].value == pytest.approx(-2 / 3)
    assert gaps["tip_error_px"].value is None
    with pytest.raises(ValueError, match="different frames"):
        compare(run(), other[1:])


def test_runs_of_different_breadth_are_compared_on_what_both_find():
    from puncta.metrics.frames import FrameAnswer, FrameLabels, JudgedFrame
    from puncta.metrics.summary import compare

    tip = {"tip_judged": True, "tip_px": (10.0, 10.0), "tip_box": (5.0, 8.0, 10.0, 4.0), "mm_per_px": (0.1, 0.1)}
    wide, narrow = [], []
    for image in range(8):
        near, far = FrameAnswer((11.0, 10.0), 0.9), FrameAnswer((10.0, 60.0), 0.9)
        wide.append(JudgedFrame(image // 2, FrameLabels(**tip, needle_judged=True), near, image=image))
        narrow.append(JudgedFrame(image // 2, FrameLabels(**tip), far, image=image))
    # A frame on which the needle alone is judged has no partner in the narrow run.
    wide.append(JudgedFrame(3, FrameLabels(False, needle_judged=True), FrameAnswer(), image=8))
    found = compare(wide, narrow)
    assert found["tip_within_2mm"].value == 1.0
    assert found["needle_iou"].n == 0
