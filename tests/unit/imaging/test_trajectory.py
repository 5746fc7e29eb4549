"""A needle's line over time: steadier than what is measured, honest about its error; path and aim from one owner."""

from __future__ import annotations

import math

import numpy as np
import pytest

from puncta.core.frame import Calibration, CalibrationOrigin, UltrasoundRegion
from puncta.imaging.trajectory import (
    AxisSettings,
    AxisState,
    AxisTracker,
    direction_in_unit,
    trajectory_from_tip,
)

MS = 1_000_000
REGION = UltrasoundRegion((10, 20, 200, 100), "dicom", Calibration((0.2, 0.1), CalibrationOrigin.REGION))
BARE = UltrasoundRegion((10, 20, 200, 100), "whole picture")


def vector(degrees: float) -> tuple[float, float]:
    return (math.cos(math.radians(degrees)), math.sin(math.radians(degrees)))


def angle(state: AxisState | None) -> float:
    assert state is not None
    return math.degrees(math.atan2(state.direction[1], state.direction[0]))


def test_the_axis_trembles_less_than_what_is_measured_and_keeps_the_error_that_repeats() -> None:
    rng = np.random.default_rng(2)
    sigma = math.radians(2.0)
    misses, told, steps, raw_steps = [], [], [], []
    for _ in range(200):
        tracker = AxisTracker(AxisSettings(drift_deg=0.2))
        common = rng.normal(0.0, math.sqrt(0.6) * sigma)
        measured = [170.0 + math.degrees(common + rng.normal(0.0, math.sqrt(0.4) * sigma)) for _ in range(40)]
        states = [tracker.update(k * 33 * MS, vector(m), sigma) for k, m in enumerate(measured)]
        misses.append(math.remainder(angle(states[-1]) - 170.0, 360.0))
        told.append(math.degrees(states[-1].sigma_rad))
        steps.append(abs(angle(states[-1]) - angle(states[-2])))
        raw_steps.append(abs(measured[-1] - measured[-2]))
    assert np.mean(steps) < 0.2 * np.mean(raw_steps)
    assert float(np.std(misses)) == pytest.approx(float(np.mean(told)), rel=0.15)
    assert float(np.mean(told)) < 2.0


def test_it_follows_a_needle_that_turns_and_goes_round_the_half_turn() -> None:
    tracker = AxisTracker()
    for k in range(60):
        state = tracker.update(k * 33 * MS, vector(175.0 + 0.2 * k), math.radians(1.0))
    assert abs(math.remainder(angle(state) - (175.0 + 0.2 * 59), 360.0)) < 1.5


def test_one_angle_far_off_is_refused_and_three_that_agree_are_believed() -> None:
    tracker = AxisTracker()
    for k in range(20):
        tracker.update(k * 33 * MS, vector(30.0), math.radians(1.0))
    state = tracker.update(20 * 33 * MS, vector(80.0), math.radians(1.0))
    assert state is not None and state.predicted and angle(state) == pytest.approx(30.0, abs=0.1)
    assert tracker.update(21 * 33 * MS, vector(79.0), math.radians(1.0)).predicted
    state = tracker.update(22 * 33 * MS, vector(80.0), math.radians(1.0))
    assert not state.predicted and angle(state) == pytest.approx(80.0)


def test_without_an_angle_its_doubt_grows_and_after_half_a_second_it_is_unknown() -> None:
    tracker = AxisTracker()
    assert tracker.update(0, None) is None
    sigmas = []
    for ms in range(0, 501, 100):
        state = tracker.update(ms * MS, vector(30.0) if ms == 0 else None, math.radians(1.0))
        assert state is not None and state.predicted == (ms > 0)
        sigmas.append(state.sigma_rad)
    assert sigmas == sorted(sigmas) and sigmas[0] == pytest.approx(math.radians(1.0))
    assert tracker.update(520 * MS, None) is None
    again = tracker.update(560 * MS, vector(120.0), math.radians(1.0))
    assert not again.predicted and angle(again) == pytest.approx(120.0)


def test_a_direction_without_length_is_no_direction_and_time_that_goes_back_begins_anew() -> None:
    tracker = AxisTracker()
    tracker.update(100 * MS, vector(30.0), math.radians(1.0))
    assert tracker.update(133 * MS, (0.0, 0.0), 0.1).predicted
    assert angle(tracker.update(0, vector(90.0), math.radians(1.0))) == pytest.approx(90.0)


def test_a_trajectory_has_an_entry_a_path_and_a_band_in_the_region() -> None:
    found = trajectory_from_tip((60.0, 70.0), (-1.0, -0.5), REGION, math.radians(2.0), 6.0)
    assert found.ray.ahead_px == pytest.approx((0.8944 / 0.2, 0.4472 / 0.1), rel=1e-3)
    entry = found.entry_px
    assert entry == pytest.approx((9.5, 19.5))
    tip, end = found.path_px()
    assert tip == pytest.approx((60.0, 70.0)) and end[1] == pytest.approx(119.5)
    assert found.path_px(to_depth=7.0)[1][1] == pytest.approx(89.5)
    band = np.array(found.band_px())
    assert len(band) > 6 and found.ray.tip_doubt == pytest.approx(6.0 * 0.15)
    line = found.line("needle", 0.9)
    assert line.tip_px == (60.0, 70.0) and line.entry_px == entry and line.sigma_deg == pytest.approx(2.0)
    assert line.angle_deg == pytest.approx(math.degrees(math.atan2(0.5, 1.0)), abs=0.05)


def test_a_needle_that_does_not_come_in_by_the_border_is_lost_with_a_reason() -> None:
    at_edge = trajectory_from_tip((9.5, 70.0), (-1.0, 0.0), REGION)
    line = at_edge.line("needle", 0.4)
    assert line.entry_px is None and line.tip_px is None and "border" in str(line.reason)


def test_aim_tells_time_only_in_motion_and_in_pixels_where_uncalibrated() -> None:
    moving = trajectory_from_tip((60.0, 70.0), (-1.0, 0.0), REGION, 0.02, 6.0, velocity=(5.0, 0.0))
    aim = moving.aim((110.0, 90.0))
    assert (aim.along, aim.miss, aim.seconds) == (pytest.approx(10.0), pytest.approx(2.0), pytest.approx(2.0))
    still = trajectory_from_tip((60.0, 70.0), (-1.0, 0.0), REGION, 0.02, 6.0, velocity=(0.5, 0.0))
    assert still.aim((110.0, 90.0)).seconds is None
    bare = trajectory_from_tip((60.0, 70.0), (-1.0, 0.0), BARE, velocity=(50.0, 0.0)).aim((110.0, 90.0))
    assert (bare.along, bare.miss, bare.miss_doubt, bare.seconds) == (50.0, 20.0, None, 1.0)
    assert trajectory_from_tip((60.0, 70.0), (-1.0, 0.0), BARE, velocity=(8.0, 0.0)).aim((110.0, 90.0)).seconds is None


def test_directions_change_with_the_pixels_shape() -> None:
    assert direction_in_unit((1.0, 2.0), REGION) == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)))
    assert direction_in_unit((3.0, 4.0), BARE) == pytest.approx((0.6, 0.8))
    for bad in (direction_in_unit, lambda d, r: trajectory_from_tip((60.0, 70.0), d, r)):
        with pytest.raises(ValueError, match="direction"):
            bad((0.0, 0.0), REGION)
