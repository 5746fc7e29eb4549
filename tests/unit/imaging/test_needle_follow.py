from __future__ import annotations

import math

import numpy as np

from puncta.imaging.needle_follow import (
    across_band,
    along,
    along_strip,
    beside,
    follow_across,
    follow_tip,
)
from puncta.imaging.needle_pose import NeedlePose, mask_of_pose, pose_between

REGION = (0, 0, 240, 180)
COUNT, MM = 31, 0.2


def true_pose(index: int) -> NeedlePose:
    """Goes in at once at the beginning and then rests, while the probe rocks by a few pixels."""
    way = min(1.0, index / 8)
    rock = 4.0 * math.sin(index / 5.0)
    return NeedlePose((150.0 - 40.0 * way, 80.0 + 25.0 * way + rock), (230.0, 30.0 + rock), 7.0)


def picture(index: int) -> np.ndarray:
    rng = np.random.default_rng(index)
    made = rng.integers(15, 55, (180, 240)).astype(np.uint8)
    made[mask_of_pose(true_pose(index), made.shape)] += 110
    return made


def worst(poses: list[NeedlePose]) -> tuple[float, float]:
    """Largest error of the tip, and largest distance of the entry's end from the true line [px]."""
    tips = [math.dist(p.tip_px, true_pose(i).tip_px) for i, p in enumerate(poses)]
    lines = []
    for i, pose in enumerate(poses):
        true = true_pose(i)
        (x, y), by = true.direction, (pose.entry_px[0] - true.tip_px[0], pose.entry_px[1] - true.tip_px[1])
        lines.append(abs(by[1] * x - by[0] * y))
    return max(tips), max(lines)


def test_a_needle_is_followed_across_and_along_where_even_motion_is_wrong() -> None:
    ends = true_pose(0), true_pose(COUNT - 1)
    even = [pose_between(*ends, i / (COUNT - 1), REGION) for i in range(COUNT)]
    offsets, apart = follow_across([across_band(picture(i), p) for i, p in enumerate(even)], 7.0)
    assert offsets[0] == offsets[-1] == (0.0, 0.0) and len(apart) == COUNT
    across = [beside(p, o) for p, o in zip(even, offsets)]
    assert worst(even)[1] > 3.5 and worst(across)[1] < 2.0
    reach = int(8.0 / MM)
    strips = [along_strip(picture(i), p, reach) for i, p in enumerate(across)]
    known = along_strip(picture(0), across[0], 0), along_strip(picture(COUNT - 1), across[-1], 0)
    ways = follow_tip(strips, *known, reach, MM)
    followed = [along(p, float(w)) for p, w in zip(across, ways)]
    assert worst(even)[0] > 20.0
    assert np.mean([math.dist(p.tip_px, true_pose(i).tip_px) < 5.0 for i, p in enumerate(followed)]) >= 0.9


def test_both_ways_part_where_the_needle_cannot_be_followed() -> None:
    ends = true_pose(0), true_pose(COUNT - 1)
    even = [pose_between(*ends, i / (COUNT - 1), REGION) for i in range(COUNT)]
    seen = follow_across([across_band(picture(i), p) for i, p in enumerate(even)], 7.0)[1]
    rng = np.random.default_rng(1)
    noise = [rng.integers(15, 200, (180, 240)).astype(np.uint8) for _ in even]
    blind = follow_across([across_band(n, p) for n, p in zip(noise, even)], 7.0)[1]
    assert np.mean(blind[1:-1]) > 2.0 * np.mean(seen[1:-1])
