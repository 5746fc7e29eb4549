"""Samples at quite another scale: asked for they come, not asked for nothing changes, and the truth goes along."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from puncta.training.augment import draw_warp, make_sample
from puncta.training.data import Clip

CACHED, SIZE = 96, 64


def zooms(any_scale: float) -> NDArray[np.float64]:
    """Enlargement of 300 maps against one that only fits the sizes."""
    warps = [draw_warp(np.random.default_rng(k), CACHED, SIZE, False, any_scale) for k in range(300)]
    return np.array([abs(np.linalg.det(w[:, :2])) ** 0.5 for w in warps]) * CACHED / SIZE


def test_other_scales_come_where_they_are_asked_for() -> None:
    usual, wide = zooms(0.0), zooms(1.0)
    assert usual.min() > 0.79 and usual.max() < 1.26
    assert wide.min() < 0.65 and wide.max() > 1.6
    assert wide.min() > 0.54 and wide.max() < 1.81
    some = zooms(0.3)
    outside = np.mean((some < 0.79) | (some > 1.26))
    assert 0.1 < outside < 0.3  # six tenths of the other scales lie outside of the usual ones


def test_the_truth_goes_along_with_the_picture() -> None:
    count, found = 16, 0
    frames = np.zeros((count, CACHED, CACHED), np.uint8)
    frames[:, 46:51, 51:56] = 255  # a spot about the tip
    tips = np.tile([53.0, 48.0], (count, 1))
    clip = Clip("spot", "composite", "made", frames, tips, tips - [20.0, 20.0], np.ones(count, np.int8),
                np.zeros((count, 2)), None)
    for k in range(40):
        sample = make_sample(clip, SIZE, np.random.default_rng(k), any_scale=1.0, plain_looks=1.0)
        target, grey = sample.targets[-1], sample.channels[-1, 0]
        if target.present != 1.0:
            continue
        y, x = np.nonzero(grey > 0.5 * (grey.max() + grey.min()))
        seen = np.array([x.mean(), y.mean()])
        told = (np.array(target.cell[::-1]) + target.offset) * 4 + 1.5
        if len(x) > 3:
            assert np.hypot(*(seen - told)) < 2.5
            found += 1
    assert found > 20
