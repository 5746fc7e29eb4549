"""Pictures no network needs to see: screens and smooth photographs are told from speckle, frozen and empty ones too."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from puncta.imaging.unfamiliar import EMPTY, FROZEN, GRAIN_LEAST, NO_SPECKLE, PictureWatch, grain_of
from puncta.sim.cine import simulate_cine

SIZE = 256


def screen() -> NDArray[np.uint8]:
    picture = np.full((SIZE, SIZE), 210, np.uint8)
    for k in range(9):
        cv2.putText(picture, "File Edit View Run 42", (8, 26 + 26 * k), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 20 + 9 * k, 1)
    cv2.rectangle(picture, (150, 120), (250, 250), 90, -1)
    return picture


def landscape() -> NDArray[np.uint8]:
    """Smooth shading with a few hard edges, as a photograph has."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    picture = 110 + 60 * np.sin(columns / 70.0) + 40 * np.cos(rows / 50.0)
    picture[(rows - 180) ** 2 + (columns - 90) ** 2 < 50**2] *= 0.5
    grain = np.random.default_rng(3).normal(0, 1.0, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("picture", [screen(), landscape()], ids=["screen", "landscape"])
def test_what_has_no_speckle_is_no_ultrasound(picture: NDArray[np.uint8]) -> None:
    assert PictureWatch().look(picture, 0) == NO_SPECKLE


@pytest.mark.parametrize(("procedure", "machine"), [("nerve", "A"), ("breast", "B"), ("infant-lp", "C"),
                                                    ("vessel", "D"), ("breast", "E")])
def test_simulated_scanners_are_ultrasound(procedure: str, machine: str) -> None:
    made = simulate_cine(procedure, machine, 91, 2, size_px=(320, 256))
    x, y, w, h = made.region
    grey = cv2.resize(made.frames[1][y : y + h, x : x + w], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    assert PictureWatch().look(grey, 0) is None


@pytest.mark.parametrize("seed", [91, 92, 93])
def test_a_coarse_smooth_curved_probe_is_ultrasound(seed: int) -> None:
    """Its picture has little grain finer than two pixels, and grain of a few."""
    made = simulate_cine("breast", "G", seed, 2, size_px=(320, 256))
    x, y, w, h = made.region
    grey = cv2.resize(made.frames[1][y : y + h, x : x + w], (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    fine = grain_of(grey)
    assert fine is not None and fine[1] < GRAIN_LEAST[1], "by the fine grain it would be none"
    assert PictureWatch().look(grey, 0) is None


def test_a_dark_picture_is_left_to_the_network() -> None:
    dark = np.zeros((SIZE, SIZE), np.uint8)
    dark[100:110, 100:120] = 200
    assert grain_of(dark) is None


def speckle(seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).rayleigh(1.0, (SIZE, SIZE)).astype(np.float32)
    return np.clip(60 * cv2.GaussianBlur(noise, (0, 0), 1.5), 0, 255).astype(np.uint8)


def test_a_picture_that_stands_still_is_frozen_after_two_seconds_and_until_it_moves() -> None:
    watch = PictureWatch()
    said = [watch.look(speckle(1), int(t * 1e9)) for t in (0.0, 1.0, 1.9, 2.1, 5.0)]
    assert said == [None, None, None, FROZEN, FROZEN] and watch.frozen
    assert watch.look(speckle(2), int(5.1e9)) is None and not watch.frozen
    assert watch.look(speckle(2), int(6.0e9)) is None


def test_an_empty_picture_is_empty_however_long_it_stands() -> None:
    watch = PictureWatch()
    assert [watch.look(np.full((SIZE, SIZE), 70, np.uint8), int(t * 1e9)) for t in (0, 1, 9)] == [EMPTY] * 3
    assert watch.empty
