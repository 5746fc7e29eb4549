"""A needle is followed as long as it is the same one; what jumps, turns or slides away is another thing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from puncta.imaging.needle_pose import NeedlePose, mask_of_pose
from puncta.session.same_needle import BEAT_NS, SameNeedle

SCALE = (0.2, 0.2)


def needle(x: float = 100.0, y: float = 80.0, angle: float = 30.0, length: float = 120.0) -> NeedlePose:
    way = (math.cos(math.radians(angle)), -math.sin(math.radians(angle)))
    return NeedlePose((x, y), (x + length * way[0], y + length * way[1]), 10.0)


def followed(pose: NeedlePose) -> SameNeedle:
    """A needle drawn on frame 0 that stands still for five frames."""
    same = SameNeedle(pose, SCALE)
    same.begin(0)
    for n in range(1, 6):
        assert same.follow(pose, n * BEAT_NS).same
    return same


@pytest.mark.parametrize(("found", "words"), [
    (needle(angle=32.0), ""),
    (needle(angle=50.0), "across it, at 20 degrees"),
    (needle(y=110.0), "beside it"),
])  # fmt: skip
def test_on_the_drawn_frame_the_tracker_has_to_find_the_drawn_needle(found: NeedlePose, words: str) -> None:
    verdict = SameNeedle(needle(), SCALE).is_drawn(found)
    assert verdict.same == (words == "") and words in verdict.words


def test_a_piece_of_the_same_line_elsewhere_does_not_overlap() -> None:
    drawn, far = needle(60.0, 120.0, length=40.0), needle(150.0, 68.0, length=40.0)
    masks = [mask_of_pose(pose, (180, 300)) for pose in (far, drawn)]
    assert SameNeedle(drawn, SCALE).is_drawn(far).same, "a line alone does not tell"
    verdict = SameNeedle(drawn, SCALE).is_drawn(far, *masks)
    assert not verdict.same and "overlap" in verdict.words
    thin = mask_of_pose(NeedlePose(drawn.tip_px, drawn.entry_px, 2.0), (180, 300))
    assert SameNeedle(drawn, SCALE).is_drawn(drawn, thin, masks[1]).same, "a thin mask inside a wide one is the same"


@pytest.mark.parametrize(("found", "words"), [
    (needle(angle=60.0), "turns by 30 degrees"),
    (needle(x=100.0, y=105.0), "beside the needle of before"),
    (needle(x=-90.0, y=189.7, length=340.0), "tip moves by 44 mm"),
])  # fmt: skip
def test_a_jump_is_another_thing(found: NeedlePose, words: str) -> None:
    verdict = followed(needle()).follow(found, 6 * BEAT_NS)
    assert not verdict.same and words in verdict.words


def test_a_gun_throws_a_needle_along_its_axis_and_the_frame_is_to_be_looked_at() -> None:
    thrown = needle(x=100.0 - 100 * math.cos(math.radians(30)), y=80.0 + 50, length=220.0)
    verdict = followed(needle()).follow(thrown, 6 * BEAT_NS)
    assert verdict.same and verdict.words == "tip moves 20 mm at once"


def test_a_needle_that_goes_in_turns_and_sways_is_followed() -> None:
    rng = np.random.default_rng(1)
    same = SameNeedle(needle(x=260.0, y=20.0, length=30.0), SCALE)
    same.begin(0)
    for n in range(1, 120):
        along, sway = 2.0 * n, 6.0 * math.sin(n / 12)
        x, y = 260.0 - along * 0.87, 20.0 + along * 0.5 + sway
        pose = needle(x + rng.normal(0, 1), y + rng.normal(0, 1), 30 + 8 * math.sin(n / 30), 30.0 + along)
        assert same.follow(pose, n * BEAT_NS).same, n
    assert same.seen == 119


def test_small_steps_off_the_needle_are_noticed() -> None:
    same = followed(needle())
    verdicts = [same.follow(needle(y=80.0 + 8 * n), (5 + n) * BEAT_NS) for n in range(1, 12)]
    assert not all(v.same for v in verdicts) and any("slides off" in v.words for v in verdicts)


def test_after_a_gap_more_is_allowed_but_not_everything() -> None:
    assert followed(needle()).follow(needle(x=60.0, y=103.0, angle=36.0, length=166.0), 12 * BEAT_NS).same
    assert not followed(needle()).follow(needle(angle=100.0), 40 * BEAT_NS).same


def test_which_end_is_the_tip_does_not_matter() -> None:
    pose = needle()
    verdict = followed(pose).follow(NeedlePose(pose.entry_px, pose.tip_px, 10.0), 6 * BEAT_NS)
    assert verdict.same and verdict.words == ""


def test_a_tip_alone_belongs_to_the_needle_where_it_is_near_its_end() -> None:
    same = followed(needle())
    assert same.near_tip((102.0, 82.0), 6 * BEAT_NS) and not same.near_tip((180.0, 160.0), 6 * BEAT_NS)
