"""The ray search: it finds a faint line through the tip from a guess that is far off, and doubts where none is."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from puncta.imaging.axis import line_evidence, search_axis

SIZE = 256


def noisy(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((SIZE, SIZE)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return 70 + 18 * smooth / smooth.std()


def with_line(angle_deg: float, level: float = 35.0) -> tuple[np.ndarray, tuple[float, float]]:
    """A picture with a faint line that leaves the tip at an angle."""
    tip = (128.4, 127.3)
    a = math.radians(angle_deg)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    along = (x - tip[0]) * math.cos(a) + (y - tip[1]) * math.sin(a)
    across = (y - tip[1]) * math.cos(a) - (x - tip[0]) * math.sin(a)
    line = level * np.exp(-0.5 * across**2 / 1.2**2) * (along > 0)
    return np.clip(noisy(3) + line, 0, 255).astype(np.uint8), tip


@pytest.mark.parametrize("angle_deg", [-170, -90, -35, 0, 20, 77, 135])
@pytest.mark.parametrize("off_deg", [-20, 0, 17])
def test_finds_a_faint_line(angle_deg: float, off_deg: float) -> None:
    picture, tip = with_line(angle_deg)
    guess = math.radians(angle_deg + off_deg)
    fit = search_axis(line_evidence(picture, np.zeros((64, 64))), tip, (math.cos(guess), math.sin(guess)))
    assert fit is not None
    turn = math.remainder(math.atan2(fit.direction[1], fit.direction[0]) - math.radians(angle_deg), 2 * math.pi)
    assert abs(turn) < math.radians(1.5)
    assert fit.strength > 0.2 and 0 <= fit.sigma_rad < math.radians(25)
    assert math.hypot(*fit.direction) == pytest.approx(1.0)


def test_strength_tells_a_line_from_none() -> None:
    picture, tip = with_line(30, level=60)
    bare = np.clip(noisy(5), 0, 255).astype(np.uint8)
    empty = np.zeros((64, 64))
    guess = (math.cos(0.5), math.sin(0.5))
    there = search_axis(line_evidence(picture, empty), tip, guess)
    not_there = search_axis(line_evidence(bare, empty), tip, guess)
    assert there is not None and not_there is not None and there.strength > 2 * not_there.strength


def test_a_map_of_the_shaft_counts_where_the_picture_shows_nothing() -> None:
    shaft = np.zeros((64, 64), np.float32)
    cv2.line(shaft, (32, 32), (63, 16), 1.0, 1)
    flat = np.full((SIZE, SIZE), 60, np.uint8)
    fit = search_axis(line_evidence(flat, shaft), (129.5, 129.5), (1.0, -0.2))
    assert fit is not None
    assert math.degrees(math.atan2(-fit.direction[1], fit.direction[0])) == pytest.approx(27.3, abs=2.5)


def test_no_ray_without_a_guess_or_out_of_the_picture() -> None:
    evidence = line_evidence(np.full((SIZE, SIZE), 60, np.uint8), np.zeros((64, 64)))
    assert search_axis(evidence, (100, 100), (0.0, 0.0)) is None
    assert search_axis(evidence, (254, 128), (1.0, 0.0)) is None
