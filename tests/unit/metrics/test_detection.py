"""AP against hand-made cases, a slow independent implementation, and pycocotools where it is installed."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from puncta.core.geometry import box_iou
from puncta.metrics.detection import AP_10_50, FrameBoxes, average_precision, match_boxes

BOX = (10.0, 10.0, 20.0, 10.0)
FAR = (200.0, 200.0, 20.0, 10.0)


def ap(frames: list[FrameBoxes], iou: float = 0.5, clips: int = 1) -> float:
    return float(average_precision(frames, clips, (iou,)).values(np.ones((1, clips)))[0])


def test_one_right_box_on_every_frame_is_one():
    assert ap([FrameBoxes(0, (BOX,), ((0.9, BOX),)), FrameBoxes(0, (BOX,), ((0.1, BOX),))]) == pytest.approx(1.0)


def test_a_miss_bounds_the_recall():
    # One of two found, nothing wrong: precision 1 at the 51 recalls 0 .. 0.50, 0 beyond.
    frames = [FrameBoxes(0, (BOX,), ((0.9, BOX),)), FrameBoxes(0, (BOX,), ())]
    assert ap(frames) == pytest.approx(51 / 101)


def test_a_false_alarm_ranked_first_halves_the_precision():
    frames = [FrameBoxes(0, (), ((0.9, FAR),)), FrameBoxes(0, (BOX,), ((0.5, BOX),))]
    assert ap(frames) == pytest.approx(0.5)


def test_a_false_alarm_ranked_last_costs_nothing():
    frames = [FrameBoxes(0, (), ((0.1, FAR),)), FrameBoxes(0, (BOX,), ((0.5, BOX),))]
    assert ap(frames) == pytest.approx(1.0)


def test_a_second_box_on_the_same_label_is_a_false_alarm():
    frames = [FrameBoxes(0, (BOX, FAR), ((0.9, BOX), (0.8, BOX), (0.7, FAR)))]
    # Recall 0.5 at precision 1, then recall 1 at precision 2/3.
    assert ap(frames) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_overlap_at_the_threshold_counts():
    half = (BOX[0], BOX[1], BOX[2], BOX[3] / 2)
    assert box_iou(BOX, half) == 0.5
    assert match_boxes([BOX], [(1.0, half)], 0.5) == [True]
    assert match_boxes([BOX], [(1.0, half)], 0.51) == [False]


def test_the_better_score_chooses_first_and_takes_the_larger_overlap():
    near = (11.0, 10.0, 20.0, 10.0)
    assert match_boxes([BOX], [(0.2, BOX), (0.9, near)], 0.5) == [False, True]
    assert match_boxes([near, BOX], [(0.9, BOX)], 0.5) == [True]


def test_averaging_over_overlaps_credits_a_loose_box_in_part():
    loose = (BOX[0], BOX[1], BOX[2], BOX[3] * 0.35)  # overlap 0.35: a hit at 0.1, 0.2, 0.3
    value = average_precision([FrameBoxes(0, (BOX,), ((0.9, loose),))], 1, AP_10_50).values(np.ones((1, 1)))[0]
    assert value == pytest.approx(3 / 5)


def test_no_labels_is_undefined_and_no_finds_is_zero():
    nothing = average_precision([FrameBoxes(0, (), ((0.9, BOX),))], 1, (0.5,))
    assert nothing.n == 0
    assert np.isnan(nothing.values(np.ones((1, 1)))[0])
    assert ap([FrameBoxes(0, (BOX,), ())]) == 0.0


def _scene(seed: int) -> list[FrameBoxes]:
    """Frames with 0 to 3 labels, jittered finds and inventions, distinct scores."""
    rng = np.random.default_rng(seed)
    scores = iter(rng.permutation(np.linspace(0.01, 0.99, 400)))
    frames = []
    for number in range(40):
        labels = []
        for k in range(rng.integers(0, 4)):
            size = rng.uniform(12, 40, 2)
            corner = (float(60 * k + rng.uniform(0, 8)), float(rng.uniform(0, 60)))
            labels.append((*corner, float(size[0]), float(size[1])))
        found = []
        for label in labels:
            for _ in range(rng.integers(0, 3)):
                found.append((float(next(scores)), tuple(float(v) for v in np.array(label) + rng.normal(0, 3, 4))))
        for _ in range(rng.integers(0, 2)):
            found.append((float(next(scores)), (float(rng.uniform(0, 150)), 20.0, 20.0, 20.0)))
        frames.append(FrameBoxes(number // 5, tuple(labels), tuple(found)))
    return frames


def _plain_ap(frames: list[FrameBoxes], iou: float) -> float:
    """101-point AP, spelled out: every recall looks for the best precision at or beyond it."""
    rows = []
    for frame in frames:
        taken: set[int] = set()
        for score, box in sorted(frame.found, key=lambda item: -item[0]):
            ious = [(box_iou(label, box), j) for j, label in enumerate(frame.labelled) if j not in taken]
            best = max(ious, default=(0.0, -1))
            if best[0] >= iou:
                taken.add(best[1])
            rows.append((score, best[0] >= iou))
    rows.sort(key=lambda row: -row[0])
    labels = sum(len(f.labelled) for f in frames)
    curve, true = [], 0
    for number, (_score, hit) in enumerate(rows, start=1):
        true += hit
        curve.append((true / labels, true / number))
    best_at = [max((p for r, p in curve if r >= k / 100 - 1e-12), default=0.0) for k in range(101)]
    return sum(best_at) / 101


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("iou", [0.1, 0.5, 0.7])
def test_agrees_with_a_plain_implementation(seed: int, iou: float):
    frames = _scene(seed)
    assert ap(frames, iou, clips=8) == pytest.approx(_plain_ap(frames, iou), abs=1e-12)


def test_a_resample_equals_the_frames_repeated():
    frames = _scene(7)
    counts = np.array([2, 0, 1, 3, 0, 1, 1, 0], dtype=float)
    repeated = [f for f in frames for _ in range(int(counts[f.clip]))]
    resampled = average_precision(frames, 8, (0.5,)).values(counts[None])[0]
    assert resampled == pytest.approx(_plain_ap(repeated, 0.5), abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_pycocotools(seed: int):
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    frames = _scene(seed)
    labels = [
        {"id": i + 1, "image_id": n, "category_id": 1, "bbox": list(b), "area": b[2] * b[3], "iscrowd": 0}
        for i, (n, b) in enumerate((n, b) for n, f in enumerate(frames) for b in f.labelled)
    ]
    found = [
        {"image_id": n, "category_id": 1, "bbox": list(b), "score": s}
        for n, f in enumerate(frames)
        for s, b in f.found
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": n} for n in range(len(frames))],
            "categories": [{"id": 1}],
            "annotations": labels,
        }
        truth.createIndex()
        run = cocoeval.COCOeval(truth, truth.loadRes(found), "bbox")
        run.params.iouThrs = np.array([0.5, 0.7])
        run.params.areaRng = [[0, 1e10]]
        run.params.areaRngLbl = ["all"]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, 0, 0, -1]
    for row, iou in zip(precision, (0.5, 0.7)):
        assert ap(frames, iou, clips=8) == pytest.approx(float(row.mean()), abs=1e-9)
