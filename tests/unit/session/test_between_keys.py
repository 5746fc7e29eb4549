from __future__ import annotations

import threading

import numpy as np
from annotate_window import HEIGHT, WIDTH, NeedleClip, pose_at

from puncta.annotation.labels import Kind, LineLabel, MaskLabel, NotVisible, TipLabel, mask_of
from puncta.imaging.needle_pose import mask_of_pose
from puncta.session.between_keys import (
    KeyPose,
    confidence_between,
    fill_between,
    needle_values,
    pose_of_labels,
)

NAMES = ("needle_tip", "needle")


def filled(keys: list[KeyPose], wanted: list[int], stop: threading.Event | None = None) -> dict:
    clip = NeedleClip("clip", 24)
    return {labels[0].key.index: labels for labels in fill_between(clip, keys, wanted, NAMES, stop=stop)}


def test_frames_between_two_needles_have_mask_line_and_tip_with_what_made_them() -> None:
    keys = [KeyPose(0, pose_at(0, 24)), KeyPose(23, pose_at(23, 24))]
    found = filled(keys, list(range(24)))
    assert sorted(found) == list(range(1, 23))
    for index, labels in found.items():
        by_name = {label.name: label for label in labels}
        assert isinstance(by_name["needle.line"].value, LineLabel) and isinstance(by_name["needle_tip"].value, TipLabel)
        assert isinstance(by_name["needle"].value, MaskLabel)
        made = by_name["needle"].made
        assert made.kind is Kind.INTERPOLATED and made.base == "frames 0 and 23" and 0 < made.confidence < 1
        mask, true = mask_of(by_name["needle"].value), mask_of_pose(pose_at(index, 24), (HEIGHT, WIDTH))
        assert (mask & true).sum() / (mask | true).sum() > 0.7, index
        assert by_name["needle"].key.sha256


def test_only_wanted_frames_come_and_a_gap_with_one_blind_end_stays_open() -> None:
    keys = [KeyPose(0, None), KeyPose(5, None), KeyPose(12, pose_at(12, 24)), KeyPose(20, pose_at(20, 24))]
    found = filled(keys, [2, 3, 8, 15])
    assert sorted(found) == [2, 3, 15]
    assert all(isinstance(label.value, NotVisible) for label in found[2])
    assert {label.name for label in found[2]} == {"needle", "needle_tip"}


def test_a_stop_ends_it() -> None:
    stop = threading.Event()
    stop.set()
    assert filled([KeyPose(0, pose_at(0, 24)), KeyPose(23, pose_at(23, 24))], list(range(24)), stop) == {}


def test_confidence_is_least_in_the_middle_of_long_gaps_with_much_motion_that_parts() -> None:
    assert confidence_between(5, 0, 10, 2.0) < confidence_between(1, 0, 10, 2.0)
    assert confidence_between(50, 0, 100, 2.0) < confidence_between(5, 0, 10, 2.0)
    assert confidence_between(5, 0, 10, 12.0) < confidence_between(5, 0, 10, 2.0)
    assert confidence_between(5, 0, 10, 2.0, 1.0) < confidence_between(5, 0, 10, 2.0)


def test_a_pose_comes_back_from_its_labels() -> None:
    pose = pose_at(4, 24)
    values = needle_values(pose, (HEIGHT, WIDTH), NAMES)
    back = pose_of_labels(values["needle.line"], values["needle"], values["needle_tip"])
    assert back is not None and abs(back.width_px - pose.width_px) < 0.6
    assert np.allclose(back.tip_px, pose.tip_px, atol=0.01)
    assert pose_of_labels(None, None) is None
    alone = pose_of_labels(None, values["needle"], values["needle_tip"])
    assert alone is not None and abs(alone.tip_px[0] - pose.tip_px[0]) < 4.0
