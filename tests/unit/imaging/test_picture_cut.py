"""Another picture is told at its second frame; movement, gain and one odd frame are none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from puncta.imaging.picture_cut import PictureCut


def tissue(seed: int) -> NDArray[np.uint8]:
    """Layers and blobs with speckle, 224 px square."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.random((7, 7)).astype(np.float32), (224, 224), interpolation=cv2.INTER_CUBIC)
    return np.clip(140 * coarse * rng.rayleigh(0.8, (224, 224)), 0, 255).astype(np.uint8)


def looks(frames: list[NDArray[np.uint8]]) -> list[bool]:
    cut = PictureCut()
    return [cut.look(frame) for frame in frames]


def test_another_picture_is_told_at_its_second_frame_and_once() -> None:
    assert looks([tissue(1)] * 4 + [tissue(2)] * 4) == [False] * 5 + [True] + [False] * 2


def test_one_odd_frame_is_no_cut() -> None:
    assert not any(looks([tissue(1)] * 3 + [tissue(2)] + [tissue(1)] * 3))


def test_movement_gain_and_noise_are_no_cut() -> None:
    base, rng = tissue(3), np.random.default_rng(0)
    frames = []
    for k in range(30):
        moved = np.roll(base, (2 * k, 3 * k), (0, 1)).astype(np.float32) * (1 - 0.02 * k)
        frames.append(np.clip(moved + rng.normal(0, 8, moved.shape), 0, 255).astype(np.uint8))
    assert not any(looks(frames))


def test_pictures_that_keep_changing_are_told_when_one_stays() -> None:
    assert looks([tissue(k) for k in range(5)] + [tissue(9)] * 3) == [False] * 6 + [True, False]


@pytest.mark.parametrize("level", [0, 90])
def test_a_flat_picture_is_another_one_and_stays_the_same_flat_picture(level: int) -> None:
    flat = np.full((64, 64), level, np.uint8)
    assert not any(looks([flat] * 4))
    assert looks([tissue(1)] * 2 + [flat] * 3) == [False] * 3 + [True, False]


def test_what_was_seen_is_forgotten_on_request() -> None:
    cut = PictureCut()
    cut.look(tissue(1))
    cut.look(tissue(2))
    cut.clear()
    assert not cut.look(tissue(2)) and not cut.look(tissue(2))
