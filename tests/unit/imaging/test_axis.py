"""The ray search: it finds a faint line through the tip from a guess that is far off, and doubts where none is."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from puncta.imaging.axis import AxisFit, line_evidence, part_behind, refine_axis, search_axis

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


@pytest.mark.parametrize("angle_deg", [-160, -90, -20, 0, 45, 130])
@pytest.mark.parametrize(("off_deg", "off_px"), [(0.0, 0.0), (3.0, -2.0), (-3.0, 2.5), (0.0, 4.0)])
def test_refinement_finds_angle_and_offset_below_a_degree_and_a_pixel(
    angle_deg: float, off_deg: float, off_px: float
) -> None:
    picture, tip = with_line(angle_deg, level=60)
    evidence = line_evidence(picture, np.zeros((64, 64)))
    a, start = math.radians(angle_deg), math.radians(angle_deg + off_deg)
    beside = (tip[0] - off_px * math.sin(a), tip[1] + off_px * math.cos(a))
    fine = refine_axis(evidence, beside, AxisFit((math.cos(start), math.sin(start)), math.radians(2), 1.0))
    assert fine is not None
    turn = math.remainder(math.atan2(fine.direction[1], fine.direction[0]) - a, 2 * math.pi)
    assert abs(math.degrees(turn)) < 0.5
    assert fine.offset_px == pytest.approx(-off_px * math.cos(start - a), abs=0.6)
    across = (fine.tip[1] - tip[1]) * math.cos(a) - (fine.tip[0] - tip[0]) * math.sin(a)
    assert abs(across) < 0.6
    assert math.hypot(*fine.direction) == pytest.approx(1.0)


def test_errors_of_the_refinement_are_about_as_large_as_it_says() -> None:
    tip, a = (60.3, 128.7), 0.35
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    along = (x - tip[0]) * math.cos(a) + (y - tip[1]) * math.sin(a)
    across = (y - tip[1]) * math.cos(a) - (x - tip[0]) * math.sin(a)
    line = 45 * np.exp(-0.5 * across**2 / 1.5**2) * (along > 0)
    turns, offsets = [], []
    for seed in range(40):
        picture = np.clip(noisy(seed) + line, 0, 255).astype(np.uint8)
        start = a + math.radians(np.random.default_rng(seed).uniform(-2, 2))
        fit = AxisFit((math.cos(start), math.sin(start)), math.radians(2), 1.0)
        fine = refine_axis(line_evidence(picture, np.zeros((64, 64))), tip, fit)
        assert fine is not None
        turns.append((math.atan2(fine.direction[1], fine.direction[0]) - a) / fine.sigma_rad)
        offsets.append(fine.offset_px / fine.offset_sigma_px)
    for told in (turns, offsets):
        assert 0.2 < float(np.std(told)) < 1.3
        assert float(np.mean(np.abs(told) < 1.645)) >= 0.85


def test_refinement_stays_with_its_start_where_there_is_no_line() -> None:
    bare = np.clip(noisy(5), 0, 255).astype(np.uint8)
    start = AxisFit((math.cos(0.5), math.sin(0.5)), math.radians(8), 0.1)
    fine = refine_axis(line_evidence(bare, np.zeros((64, 64))), (60.0, 60.0), start)
    assert fine is not None
    assert abs(math.atan2(fine.direction[1], fine.direction[0]) - 0.5) < math.radians(4)
    picture, tip = with_line(30.0)
    seen = refine_axis(
        line_evidence(picture, np.zeros((64, 64))), tip, AxisFit((math.cos(0.5236), 0.5), math.radians(2), 1.0)
    )
    assert seen is not None and fine.sigma_rad > 1.5 * seen.sigma_rad


def test_there_is_nothing_to_refine_outside_the_picture() -> None:
    evidence = line_evidence(np.full((SIZE, SIZE), 60, np.uint8), np.zeros((64, 64)))
    assert refine_axis(evidence, (250.0, 128.0), AxisFit((1.0, 0.0), 0.05, 1.0)) is None


@pytest.mark.parametrize("tip", [(128.4, 127.3), (4.2, 60.0), (251.7, 250.1), (90.0, -3.0)])
@pytest.mark.parametrize("angle_deg", [-170, -91, -35, 3, 60, 135])
def test_the_part_behind_a_tip_is_all_that_is_looked_at(tip: tuple[float, float], angle_deg: float) -> None:
    picture, _ = with_line(angle_deg)
    shaft = np.random.default_rng(1).random((64, 64))
    a = math.radians(angle_deg)
    guess = (math.cos(a), math.sin(a))
    whole = line_evidence(picture, shaft)
    part = part_behind(tip, guess, (SIZE, SIZE))
    evidence = line_evidence(picture, shaft, part)
    assert evidence.shape == (part[3] - part[1], part[2] - part[0])
    assert np.abs(evidence - whole[part[1] : part[3], part[0] : part[2]]).max() < 1e-5
    within = (tip[0] - part[0], tip[1] - part[1])
    wanted, got = search_axis(whole, tip, guess), search_axis(evidence, within, guess)
    assert (wanted is None) == (got is None)
    if wanted is None or got is None:
        return
    assert got.direction == pytest.approx(wanted.direction, abs=1e-5)
    for turn in (-0.55, 0.0, 0.55):
        start = AxisFit((math.cos(a + turn), math.sin(a + turn)), math.radians(2), 1.0)
        there, here = refine_axis(whole, tip, start), refine_axis(evidence, within, start)
        assert (there is None) == (here is None)
        if there is not None and here is not None:
            # `cv2.remap` knows places to a 32nd of a pixel, and rounding takes the neighbour now and then.
            assert here.direction == pytest.approx(there.direction, abs=1e-3)
            assert here.offset_px == pytest.approx(there.offset_px, abs=0.02)
