from __future__ import annotations

import math

import numpy as np
import pytest

from puncta.imaging.needle_pose import (
    NeedlePose,
    at_edge,
    mask_of_pose,
    pose_between,
    pose_of_mask,
    reaching_edge,
    snap_pose,
)

REGION = (0, 0, 200, 150)
POSE = NeedlePose((80.0, 90.0), (150.0, 40.0), 8.0)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_a_mask_has_the_needles_area_and_gives_the_needle_back() -> None:
    mask = mask_of_pose(POSE, (150, 200))
    assert mask.sum() == pytest.approx(POSE.length_px * POSE.width_px, rel=0.03)
    found = pose_of_mask(mask, POSE.tip_px)
    assert found is not None
    assert math.dist(found.tip_px, POSE.tip_px) < 1.5 and math.dist(found.entry_px, POSE.entry_px) < 1.5
    assert found.width_px == pytest.approx(8.0, abs=0.5)
    assert pose_of_mask(np.zeros((150, 200), bool)) is None


def test_a_needle_beside_the_picture_is_cut_off() -> None:
    mask = mask_of_pose(NeedlePose((190.0, 10.0), (260.0, -40.0), 8.0), (150, 200))
    assert 0 < mask.sum() < 300
    assert not mask_of_pose(NeedlePose((300.0, 10.0), (360.0, 0.0), 8.0), (150, 200)).any()


def test_between_two_needles_lies_the_middle_and_the_edge_is_kept() -> None:
    a = reaching_edge(NeedlePose((60.0, 60.0), (150.0, 30.0), 8.0), REGION)
    b = reaching_edge(NeedlePose((100.0, 100.0), (180.0, 40.0), 8.0), REGION)
    middle = pose_between(a, b, 0.5, REGION)
    assert middle.tip_px == pytest.approx((80.0, 80.0))
    assert at_edge(middle.entry_px, REGION)
    for share, end in ((0.0, a), (1.0, b)):
        assert math.dist(pose_between(a, b, share, REGION).entry_px, end.entry_px) < 0.5


@pytest.mark.parametrize("width", [4.0, 8.0])
def test_snapping_lays_a_needle_into_the_bright_line_and_no_farther(width: float) -> None:
    rng = np.random.default_rng(3)
    true = NeedlePose((60.0, 100.0), (160.0, 40.0), width)
    picture = rng.integers(20, 50, (150, 200)).astype(np.uint8)
    picture[mask_of_pose(true, picture.shape)] += 120
    (x, y), shift = true.direction, 1.5 if width < 6 else 1.0
    drawn = NeedlePose((60.0 - shift * y, 100.0 + shift * x), (160.0 - shift * y, 40.0 + shift * x), width)
    snapped = snap_pose(picture, drawn, REGION)
    assert overlap(mask_of_pose(snapped, (150, 200)), mask_of_pose(true, (150, 200))) > overlap(
        mask_of_pose(drawn, (150, 200)), mask_of_pose(true, (150, 200))
    )
    far = NeedlePose((60.0, 120.0), (160.0, 60.0), width)
    assert math.dist(snap_pose(picture, far, REGION).tip_px, far.tip_px) <= 2.0 + 1e-6


def test_an_empty_picture_moves_nothing() -> None:
    flat = np.full((150, 200), 40, np.uint8)
    snapped = snap_pose(flat, POSE, REGION)
    assert math.dist(snapped.tip_px, POSE.tip_px) < 0.1
