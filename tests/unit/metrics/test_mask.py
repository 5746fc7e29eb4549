"""Masks: figures of hand-made frames, the paper's F1, empty masks, vanished needles, and the start by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

from puncta.formats.dataset import Annotation, Category, Image, Review, Visibility
from puncta.formats.rle import rle_from_mask
from puncta.metrics.mask import (
    MaskFrame,
    Plane,
    boundary_distance,
    compare_masks,
    hidden_runs,
    judge_mask,
    starts_of,
    summarise_mask_groups,
    summarise_masks,
)
from puncta.metrics.mask_truth import mask_truth

NEEDLE = Category(2, "needle")
# Tables 1 and 3 of Zhang et al. 2025: the F1 printed is the harmonic mean of the printed P and R, the Dice is not.
PAPER = [
    ("PSPNet", 0.579, 0.291, 0.387, 0.348),
    ("FCN32", 0.762, 0.676, 0.716, 0.689),
    ("STCN", 0.861, 0.761, 0.808, 0.793),
    ("STCN + C&T", 0.854, 0.790, 0.820, 0.809),
    ("STNAN", 0.863, 0.803, 0.832, 0.817),
]


def block(rows: slice, cols: slice, size: int = 20) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[rows, cols] = True
    return mask


def counted(clip: int, index: int, true: int, found: int, both: int, **more) -> MaskFrame:
    plane = more.pop("plane", Plane.IN_PLANE if true else Plane.NO_NEEDLE)
    return MaskFrame(clip, index, plane, true, found, both, image=100 * clip + index, **more)


def test_overlap_of_two_blocks():
    frame = judge_mask(block(slice(0, 4), slice(0, 10)), block(slice(2, 6), slice(0, 10)), clip=0, index=0)
    assert (frame.true_px, frame.found_px, frame.both_px) == (40, 40, 20)
    assert (frame.iou, frame.dice) == pytest.approx((20 / 60, 0.5))
    assert (frame.precision, frame.recall) == (0.5, 0.5)
    assert frame.plane is Plane.IN_PLANE and frame.boundary is None  # no scale, no millimetres


@pytest.mark.parametrize(("name", "precision", "recall", "f1", "dice"), PAPER, ids=[row[0] for row in PAPER])
def test_f1_is_of_averaged_precision_and_recall_as_in_the_paper(name, precision, recall, f1, dice):
    # One frame whose precision and recall are the row's.
    exact = counted(0, 0, round(1e6 / recall * precision), 10**6, round(1e6 * precision))
    assert (exact.precision, exact.recall) == pytest.approx((precision, recall), abs=1e-5)
    figures = summarise_masks([exact])
    assert figures["mask_f1"].value == pytest.approx(f1, abs=1.1e-3)
    assert abs(f1 - dice) > 0.01  # so that Dice averaged over frames cannot be mistaken for it


def test_means_over_frames_and_their_harmonic_mean():
    frames = [counted(0, 0, 10, 10, 10), counted(0, 1, 10, 40, 10), counted(1, 0, 10, 5, 5)]
    figures = summarise_masks(frames)
    assert figures["mask_iou"].value == pytest.approx((1 + 10 / 40 + 5 / 10) / 3)
    assert figures["mask_dice"].value == pytest.approx((1 + 20 / 50 + 10 / 15) / 3)
    p, r = (1 + 1 / 4 + 1) / 3, (1 + 1 + 1 / 2) / 3
    assert figures["mask_precision"].value == pytest.approx(p)
    assert figures["mask_recall"].value == pytest.approx(r)
    assert figures["mask_f1"].value == pytest.approx(2 * p * r / (p + r))


def test_conventions_of_empty_masks():
    frames = [
        counted(0, 0, 0, 0, 0),  # rightly silent
        counted(0, 1, 0, 3, 0),  # a false mask
        counted(0, 2, 10, 0, 0),  # a miss: all four are 0
        counted(0, 3, 10, 10, 10),
        counted(0, 4, 0, 7, 0, plane=Plane.OUT_OF_PLANE),  # neither right nor wrong
        counted(0, 5, 0, 0, 0, plane=Plane.OUT_OF_PLANE),
    ]
    figures = summarise_masks(frames)
    assert figures["mask_iou"].value == 0.5 and figures["mask_iou"].n == 2
    assert figures["mask_precision"].value == 0.5
    assert figures["mask_miss_rate"].value == 0.5
    assert figures["false_mask_rate"].value == 0.5 and figures["false_mask_rate"].n == 2
    assert figures["out_of_plane_mask_rate"].value == 0.5
    silent = summarise_masks([counted(0, 0, 10, 0, 0)])
    assert silent["mask_f1"].value == 0.0 and silent["mask_boundary_mm"].n == 0


def test_a_frame_that_was_given_counts_nowhere():
    frames = [counted(0, 0, 10, 10, 10, prompted=True), counted(0, 1, 10, 0, 0)]
    figures = summarise_masks(frames)
    assert figures["mask_iou"].value == 0.0 and figures["mask_iou"].n == 1
    assert figures["start_within_10"].n == 0  # it did not start by itself


def test_boundary_distance_of_shifted_and_of_unlike_blocks():
    a, b = block(slice(5, 10), slice(5, 10)), block(slice(5, 10), slice(8, 13))
    assert boundary_distance(a, a) == 0.0
    # By hand, over pairs: every outline pixel's nearest one on the other side.
    def outline(mask):
        return [(x, y) for y, x in zip(*np.nonzero(mask))
                if not all(mask[y + dy, x + dx] for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)))]
    one, two = outline(a), outline(b)
    gaps = [min(math.hypot(0.5 * (x - u), 0.25 * (y - v)) for u, v in two) for x, y in one]
    gaps += [min(math.hypot(0.5 * (x - u), 0.25 * (y - v)) for u, v in one) for x, y in two]
    assert boundary_distance(a, b, (0.5, 0.25)) == pytest.approx(sum(gaps) / len(gaps))
    assert boundary_distance(a, np.zeros_like(a)) is None
    frame = judge_mask(a, b, clip=0, index=0, mm_per_px=(0.5, 0.25))
    assert frame.boundary == pytest.approx(sum(gaps) / len(gaps))


def test_hidden_runs_begin_once_a_needle_was_seen():
    shows = [False, None, True, False, False, None, False, True, False]
    assert hidden_runs(shows) == [0, 0, 0, 1, 2, 0, 1, 0, 1]


def test_vanished_frames_are_those_hidden_for_five():
    frames = [counted(0, k, 10, 10, 10 if k < 5 else 4, hidden_frames=k) for k in range(7)]
    figures = summarise_masks(frames)
    assert figures["mask_vanished_iou"].n == 2
    assert figures["mask_vanished_iou"].value == pytest.approx(4 / 16)
    assert figures["mask_vanished_recall"].value == pytest.approx(0.4)


def test_the_start_counts_frames_from_the_entry():
    late = [counted(0, k, 10 if k >= 3 else 0, 10, 4 if k == 8 else 5 if k > 8 else 0) for k in range(20)]
    # IoU 4/16 on frame 8 is not enough, 5/15 on frame 9 is.
    at_once = [counted(1, k, 10, 10, 10) for k in range(2)]
    never = [counted(2, k, 10, 0, 0) for k in range(12)]
    too_short = [counted(3, k, 10 if k else 0, 0, 0) for k in range(5)]
    empty = [counted(4, k, 0, 0, 0) for k in range(20)]
    starts = {s.clip: s.delay for s in starts_of([*never, *late, *at_once, *too_short, *empty])}
    assert starts == {0: 6, 1: 0, 2: None}
    figures = summarise_masks([*late, *at_once, *never])
    assert figures["start_delay_frames"].value == 6.0 and figures["start_within_10"].value == pytest.approx(2 / 3)
    hopeless = summarise_masks([*never])
    assert hopeless["start_delay_frames"].value is None and hopeless["start_within_10"].value == 0.0


def test_runs_are_paired_and_a_prompt_to_one_leaves_the_frame_out_of_both():
    a = [counted(0, 0, 10, 10, 10, prompted=True), counted(0, 1, 10, 10, 8), counted(1, 0, 10, 10, 9)]
    b = [counted(0, 0, 10, 0, 0), counted(0, 1, 10, 10, 8), counted(1, 0, 10, 10, 9)]
    gaps = compare_masks(a, b)
    assert gaps["mask_iou"].value == 0.0 and gaps["mask_iou"].n == 2
    with pytest.raises(ValueError, match="different frames"):
        compare_masks(a, b[:-1])


def test_groups_by_difficulty_hold_no_start():
    frames = [counted(0, 0, 10, 10, 10, machine="A", difficulty="hard"), counted(1, 0, 10, 5, 5, machine="B")]
    assert set(summarise_mask_groups(frames, "machine")) == {"A", "B"}
    hard = summarise_mask_groups(frames, "difficulty")
    assert set(hard) == {"hard"} and hard["hard"]["mask_iou"].value == 1.0
    assert not any(name.startswith("start_") for name in hard["hard"])


def test_masks_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="shape"):
        judge_mask(np.zeros((3, 4), bool), np.ones((4, 3), bool), clip=0, index=0)
    with pytest.raises(ValueError, match="true mask"):
        judge_mask(None, None, clip=0, index=0, plane=Plane.IN_PLANE)


def image(offset_sigma: float | None = None, labelled: tuple[str, ...] = ("needle",)) -> Image:
    difficulty = None if offset_sigma is None else {"hard": True, "offset_sigma": offset_sigma}
    return Image(1, "a.png", 20, 20, review=Review.CONFIRMED, labelled=labelled, difficulty=difficulty)


def needle(visibility: Visibility, segmentation=None, physical=None) -> Annotation:
    more = {} if physical is None else {"physical_segmentation": rle_from_mask(physical)}
    return Annotation(1, 1, 2, None, segmentation=segmentation, visibility=visibility, more=more)


def test_the_true_mask_is_the_whole_needle_while_it_is_in_the_plane():
    whole, shown = block(slice(5, 7), slice(0, 15)), block(slice(5, 7), slice(0, 6))
    clear = mask_truth(image(0.2), [needle(Visibility.CLEAR, rle_from_mask(shown), whole)], NEEDLE)
    assert clear is not None and clear.plane is Plane.IN_PLANE and clear.shows and clear.physical
    np.testing.assert_array_equal(clear.mask, whole)
    faint = mask_truth(image(0.2), [needle(Visibility.UNCERTAIN, rle_from_mask(shown), whole)], NEEDLE)
    assert faint is not None and faint.shows is False
    shadowed = mask_truth(image(0.9), [needle(Visibility.OUT_OF_PLANE, None, whole)], NEEDLE)
    assert shadowed is not None and shadowed.plane is Plane.IN_PLANE and shadowed.shows is False
    away = mask_truth(image(2.0), [needle(Visibility.OUT_OF_PLANE, None, whole)], NEEDLE)
    assert away is not None and away.plane is Plane.OUT_OF_PLANE and away.mask is None
    assert mask_truth(image(), [], NEEDLE).plane is Plane.NO_NEEDLE
    assert mask_truth(image(labelled=()), [needle(Visibility.CLEAR, rle_from_mask(shown), whole)], NEEDLE) is None


def test_a_traced_polygon_stands_for_the_mask_of_a_recording():
    traced = mask_truth(image(), [needle(Visibility.CLEAR, [[2.0, 3.0, 8.0, 3.0, 8.0, 5.0, 2.0, 5.0]])], NEEDLE)
    assert traced is not None and not traced.physical
    np.testing.assert_array_equal(traced.mask, block(slice(3, 6), slice(2, 9)))
    assert mask_truth(image(), [needle(Visibility.CLEAR)], NEEDLE).plane is Plane.OUT_OF_PLANE
