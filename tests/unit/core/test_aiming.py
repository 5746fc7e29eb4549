"""Where a needle points: path, band, distance, miss and time, also where pixels are not square."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puncta.core.aiming import Ray, aim_at, band_ahead, distance_to, path_ahead, ray_through
from puncta.core.frame import Calibration, CalibrationOrigin, UltrasoundRegion
from puncta.core.geometry import clip_area

SQUARE = Calibration((0.1, 0.1), CalibrationOrigin.REGION)
FLAT = Calibration((0.2, 0.1), CalibrationOrigin.REGION)
REGION = UltrasoundRegion((10, 20, 200, 100), "dicom", SQUARE)


def ray(calibration=SQUARE, sigma=2.0, circle=10.0) -> Ray:
    found = ray_through((10.0, 20.0), (60.0, 70.0), calibration, sigma, circle)
    assert found is not None
    return found


def test_a_needle_of_no_length_points_nowhere():
    assert ray_through((10.0, 20.0), (10.4, 20.4)) is None


def test_the_path_ends_at_the_border_or_at_a_depth():
    tip, end = path_ahead(ray(), REGION)
    assert tip == pytest.approx((60.0, 70.0)) and end == pytest.approx((109.5, 119.5))
    _, end = path_ahead(ray(), REGION, to_depth=7.0)  # 7 mm below the top edge at 19.5 px
    assert end == pytest.approx((79.5, 89.5))
    _, end = path_ahead(ray(), REGION, to_depth=70.0)
    assert end == pytest.approx((109.5, 119.5))
    assert path_ahead(ray(), REGION, to_depth=1.0) is None, "the depth lies behind the tip"
    upwards = ray_through((60.0, 70.0), (10.0, 20.0), SQUARE)
    assert path_ahead(upwards, REGION, to_depth=1.0)[1] == pytest.approx((9.5, 19.5))


def test_the_band_begins_at_the_circle_and_widens_with_the_angles_error():
    one = ray(circle=10.0)  # 1 mm
    band = np.array(band_ahead(one, path_ahead(one, REGION)))
    left, right, front = band[:13], band[13:26][::-1], band[26:]
    widths = np.linalg.norm(right - left, axis=1) * 0.1
    assert widths[0] == pytest.approx(2.0)
    from_tip = (front - (60, 70)) * 0.1
    assert np.linalg.norm(from_tip, axis=1) == pytest.approx(1.0) and (from_tip @ one.ahead > 0).all()
    length = 49.5 * math.sqrt(2) * 0.1
    assert widths[-1] == pytest.approx(2 * math.hypot(1.0, length * math.tan(math.radians(1.645 * 2))), rel=1e-6)
    assert (np.diff(widths) > 0).all()
    assert (left[0] + right[0]) / 2 == pytest.approx((60, 70))


def test_there_is_no_band_where_the_angles_error_is_unknown():
    assert band_ahead(ray(sigma=None), path_ahead(ray(), REGION)) == ()


def test_the_band_holds_the_true_path_nine_times_in_ten():
    rng = np.random.default_rng(1)
    one = ray(sigma=2.0, circle=2.146 * 3.0)  # a tip with 3 px of error in each direction
    inside = []
    for _ in range(3000):
        turn, (dx, dy) = rng.normal(0.0, math.radians(2.0)), rng.normal(0.0, 0.3, 2)
        along = 4.0
        x = dx + along * math.cos(turn)
        y = dy + along * math.sin(turn)
        inside.append(abs(y) <= one.aside(x))
    assert 0.90 <= np.mean(inside) <= 0.98  # the circle holds both directions, so it is wide for one of them


def test_distance_and_miss_are_those_of_the_millimetres_not_of_the_pixels():
    one = ray_through((10.0, 20.0), (60.0, 70.0), FLAT, 1.0, 5.0)
    assert one.ahead == pytest.approx((2 / math.sqrt(5), 1 / math.sqrt(5)))
    # 4 mm further along (2, 1) / sqrt 5, then 3 mm to its side.
    x, y = 4 * one.ahead[0] - 3 * one.ahead[1], 4 * one.ahead[1] + 3 * one.ahead[0]
    target = (60.0 + x / 0.2, 70.0 + y / 0.1)
    aim = aim_at(one, target)
    assert (aim.along, aim.miss, aim.distance) == pytest.approx((4.0, 3.0, 5.0))
    assert aim.distance == pytest.approx(distance_to((60.0, 70.0), target, (0.2, 0.1)))
    assert aim.miss_doubt == pytest.approx(one.aside(4.0))
    assert one.tip_doubt == pytest.approx(5.0 * 0.15)


def test_a_target_behind_the_tip_has_a_negative_way_and_no_time():
    one = ray()
    aim = aim_at(one, (40.0, 50.0), velocity=one.ahead)
    assert aim.along < 0 and aim.seconds is None and aim.miss == pytest.approx(0.0, abs=1e-9)


def test_time_to_the_target_is_told_only_while_the_tip_moves_towards_it():
    one = ray()
    target = one.point_px(12.0, 1.0)
    velocities = {speed: (speed * one.ahead[0], speed * one.ahead[1]) for speed in (4, 0.5, -4)}
    at = {speed: aim_at(one, target, velocity, least_speed=1.0).seconds for speed, velocity in velocities.items()}
    assert at == {4: pytest.approx(3.0), 0.5: None, -4: None}
    sideways = aim_at(one, target, (-5 * one.ahead[1], 5 * one.ahead[0]), 1.0)
    assert sideways.seconds is None and aim_at(one, target).seconds is None


def test_the_doubt_of_the_miss_is_as_wide_as_the_misses_scatter():
    rng = np.random.default_rng(4)
    one = ray(sigma=1.5, circle=0.0)
    target = one.point_px(15.0, 4.0)
    truth = aim_at(one, target).miss
    misses = []
    for _ in range(4000):
        turn = rng.normal(0.0, math.radians(1.5))
        ahead = (
            one.ahead[0] * math.cos(turn) - one.ahead[1] * math.sin(turn),
            one.ahead[0] * math.sin(turn) + one.ahead[1] * math.cos(turn),
        )
        misses.append(aim_at(replace(one, ahead=ahead), target).miss)
    doubt = aim_at(one, target).miss_doubt
    assert np.mean(np.abs(np.array(misses) - truth) <= doubt) == pytest.approx(0.9, abs=0.02)


@given(st.floats(-50, 260), st.floats(-50, 180), st.floats(0.05, 0.4), st.floats(0.05, 0.4))
def test_distance_along_and_miss_are_one_triangle(x, y, sx, sy):
    one = ray_through((10.0, 20.0), (60.0, 70.0), Calibration((sx, sy), CalibrationOrigin.REGION), 1.0)
    aim = aim_at(one, (x, y))
    assert math.hypot(aim.along, aim.miss) == pytest.approx(aim.distance, abs=1e-9)


def test_a_polygon_is_clipped_to_the_region():
    box = (10, 20, 200, 100)
    inside = ((20.0, 30.0), (40.0, 30.0), (40.0, 50.0))
    assert clip_area(inside, box) == inside
    assert clip_area(((300.0, 30.0), (340.0, 30.0), (340.0, 50.0)), box) == ()
    cut = np.array(clip_area(((0.0, 30.0), (40.0, 30.0), (40.0, 50.0), (0.0, 50.0)), box))
    assert (cut.min(0), cut.max(0)) == (pytest.approx((9.5, 30.0)), pytest.approx((40.0, 50.0)))
