"""The tip's tracker: consistent on simulated tracks, still where the tip is, quick where it moves, lost and found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2

from puncta.imaging.kalman import ImmSettings, ImmTracker, TrackState

MS = 1_000_000
AXIS = (math.cos(0.6), math.sin(0.6))
SIGMA_MM = 0.4


def times_ns(count: int, rng: np.random.Generator, *, uneven: bool = False) -> NDArray[np.int64]:
    steps = rng.choice([20, 33, 33, 50, 120], count) if uneven else np.full(count, 33)
    return np.cumsum(steps) * MS


def push_and_rest(t_ns: NDArray[np.int64], speed_mm_s: float, start: tuple[float, float] = (10.0, 5.0)) -> NDArray:
    """A tip that rests for a second, moves along the axis for two, rests again."""
    t = (t_ns - t_ns[0]) * 1e-9
    way = np.clip(t - 1.0, 0.0, 2.0) * speed_mm_s
    return np.array(start) + way[:, None] * np.array(AXIS)


def follow(
    t_ns: NDArray[np.int64], measured: NDArray, settings: ImmSettings | None = None, sigma: float = SIGMA_MM
) -> list[TrackState]:
    tracker = ImmTracker(settings)
    return [
        tracker.update(int(t), None if np.isnan(z).any() else (z[0], z[1]), sigma**2, AXIS)
        for t, z in zip(t_ns, measured, strict=True)
    ]


def simulate(rng: np.random.Generator, t_ns: NDArray[np.int64], settings: ImmSettings) -> NDArray:
    """A track drawn from the very model: exponential rests and pushes, noise on the speed along and across."""
    axes = np.array([AXIS, (-AXIS[1], AXIS[0])])
    place, speed, moving = np.array([20.0, 20.0]), np.zeros(2), False
    out = []
    for dt in np.diff(t_ns, prepend=t_ns[0]) * 1e-9:
        for _ in range(4):
            h = dt / 4
            leaves = rng.random() < h / (settings.move_for_s if moving else settings.hold_for_s)
            if leaves:
                moving = not moving
                start = np.array([settings.start_axial_mm_s, settings.start_lateral_mm_s])
                speed = rng.normal(0.0, start) if moving else np.zeros(2)
            if moving:
                place = place + h * speed @ axes
                noise = np.array([settings.axial_mm_s2, settings.lateral_mm_s2])
                speed = speed + rng.normal(0.0, noise * math.sqrt(h))
            else:
                place = place + rng.normal(0.0, settings.hold_mm_s * math.sqrt(h), 2)
        out.append(place)
    return np.array(out)


@pytest.mark.parametrize("uneven", [False, True])
def test_innovations_and_errors_are_as_large_as_it_says(uneven: bool) -> None:
    settings = ImmSettings()
    nis, errors = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        t = times_ns(200, rng, uneven=uneven)
        truth = simulate(rng, t, settings)
        states = follow(t, truth + rng.normal(0.0, SIGMA_MM, truth.shape), settings)
        nis += [s.nis for s in states[1:] if s.nis is not None]
        for state, place in zip(states[20:], truth[20:], strict=True):
            assert state.position_mm is not None
            miss = np.array(state.position_mm) - place
            errors.append(float(miss @ np.linalg.solve(np.array(state.covariance_mm2), miss)))
    n = len(nis)
    # A mixture of two Gaussians is not one: bounds of the chi-square test are widened by a tenth.
    assert 0.9 * chi2.ppf(0.005, 2 * n) < sum(nis) < 1.1 * chi2.ppf(0.995, 2 * n)
    assert 1.5 < float(np.mean(errors)) < 2.6
    assert 0.82 < float(np.mean(np.array(errors) < chi2.ppf(0.9, 2))) < 0.96


def test_it_says_hold_where_the_tip_holds_and_move_where_it_moves() -> None:
    rng = np.random.default_rng(3)
    t = times_ns(140, rng)
    states = follow(t, push_and_rest(t, 8.0) + rng.normal(0.0, 0.2, (140, 2)), sigma=0.2)
    seconds = (t - t[0]) * 1e-9
    hold = np.array([s.hold_probability for s in states])
    assert hold[(seconds > 0.6) & (seconds < 1.0)].min() > 0.7
    assert hold[(seconds > 1.5) & (seconds < 2.9)].max() < 0.3
    assert hold[seconds > 3.9].min() > 0.8
    moving = states[int(np.searchsorted(seconds, 2.5))].velocity_mm_s
    assert moving[0] == pytest.approx(8.0 * AXIS[0], abs=1.2) and moving[1] == pytest.approx(8.0 * AXIS[1], abs=1.2)
    assert states[-1].speed_mm_s < 0.5


def test_it_trembles_less_than_what_is_measured_at_rest_and_lags_little_in_motion() -> None:
    rng = np.random.default_rng(5)
    t = times_ns(200, rng)
    truth = push_and_rest(t, 8.0)
    measured = truth + rng.normal(0.0, SIGMA_MM, truth.shape)
    held = np.array([s.position_mm for s in follow(t, measured)])
    seconds = (t - t[0]) * 1e-9
    rest, motion = seconds > 4.0, (seconds > 1.6) & (seconds < 2.9)
    error = np.linalg.norm(held - truth, axis=1)
    raw = np.linalg.norm(measured - truth, axis=1)
    assert error[rest].mean() < 0.5 * raw[rest].mean()
    assert error[motion].mean() < 0.8 * raw[motion].mean()


def test_withdrawal_is_followed_as_well_as_advance() -> None:
    rng = np.random.default_rng(7)
    t = times_ns(140, rng)
    noise = rng.normal(0.0, SIGMA_MM, (140, 2))
    errors = {}
    for speed in (8.0, -8.0):
        truth = push_and_rest(t, speed)
        held = np.array([s.position_mm for s in follow(t, truth + noise)])
        errors[speed] = float(np.linalg.norm(held - truth, axis=1)[10:].mean())
    assert errors[-8.0] == pytest.approx(errors[8.0], rel=0.35) and errors[-8.0] < SIGMA_MM


def test_the_gate_refuses_one_far_point_and_takes_a_near_one() -> None:
    t = times_ns(30, np.random.default_rng(0))
    places = np.tile([10.0, 10.0], (30, 1))
    places[20] = (14.0, 10.0)
    states = follow(t, places, sigma=0.2)
    assert states[20].predicted and states[20].nis is None and not states[20].lost
    assert states[20].position_mm == pytest.approx((10.0, 10.0), abs=0.05)
    places[20] = (11.0, 10.0)
    assert not follow(t, places, sigma=0.2)[20].predicted


def test_a_point_of_great_doubt_may_lie_beyond_three_millimetres_and_moves_little() -> None:
    tracker = ImmTracker()
    for k in range(20):
        tracker.update(k * 33 * MS, (10.0, 10.0), 0.04, AXIS)
    state = tracker.update(20 * 33 * MS, (14.0, 10.0), 9.0, AXIS)
    assert not state.predicted
    assert state.position_mm == pytest.approx((10.0, 10.0), abs=0.3)


def test_without_measurements_it_predicts_and_doubts_more_and_is_lost_after_half_a_second() -> None:
    tracker = ImmTracker()
    for k in range(31):
        state = tracker.update(k * 33 * MS, (10.0 + 0.2 * k, 10.0), 0.04, (1.0, 0.0))
    spread = [state.covariance_mm2[0][0]]
    last = 30 * 33 * MS
    for ms in range(50, 501, 50):
        state = tracker.update(last + ms * MS, None)
        assert state.predicted and not state.lost
        spread.append(state.covariance_mm2[0][0])
    assert spread == sorted(spread)
    state = tracker.update(last + 510 * MS, None)
    assert state.lost and state.position_mm == pytest.approx((16.0, 10.0), abs=0.2) and state.speed_mm_s == 0.0
    assert tracker.update(last + 2000 * MS, None).lost


def test_a_short_gap_in_motion_is_bridged_along_the_axis() -> None:
    tracker = ImmTracker()
    for k in range(31):
        tracker.update(k * 33 * MS, (10.0 + 0.2 * k, 10.0), 0.04, (1.0, 0.0))
    state = tracker.update((30 * 33 + 100) * MS, None)
    assert state.position_mm == pytest.approx((16.6, 10.0), abs=0.2)
    assert not tracker.update((30 * 33 + 133) * MS, (16.8, 10.0), 0.04).predicted


def test_found_again_elsewhere_starts_a_new_track_and_not_before_it_was_lost() -> None:
    tracker = ImmTracker(ImmSettings(rival_count=1000))
    for k in range(20):
        tracker.update(k * 33 * MS, (10.0, 10.0), 0.04, AXIS)
    elsewhere, last = (40.0, 30.0), 19 * 33
    for ms in range(33, 500, 33):
        state = tracker.update((last + ms) * MS, elsewhere, 0.04, AXIS)
        assert state.predicted and not state.started
        assert state.position_mm == pytest.approx((10.0, 10.0), abs=0.1)
    state = tracker.update((last + 528) * MS, elsewhere, 0.04, AXIS)
    assert state.started and not state.predicted and not state.lost and state.position_mm == pytest.approx(elsewhere)
    assert state.speed_mm_s == 0.0


def test_refused_places_that_agree_are_believed_and_scattered_ones_are_not() -> None:
    def feed(places: list[tuple[float, float]]) -> list[TrackState]:
        tracker = ImmTracker()
        for k in range(20):
            tracker.update(k * 33 * MS, (10.0, 10.0), 0.04, AXIS)
        return [tracker.update((20 + k) * 33 * MS, place, 0.04, AXIS) for k, place in enumerate(places)]

    states = feed([(30.0, 20.0), (30.4, 20.1), (30.9, 20.3)])
    assert [s.started for s in states] == [False, False, True]
    assert states[-1].position_mm == pytest.approx((30.9, 20.3))
    assert not any(s.started for s in feed([(30.0, 20.0), (20.0, 30.0), (30.0, 20.0), (20.0, 30.0)]))
    interrupted = feed([(30.0, 20.0), (30.4, 20.1), (10.0, 10.0), (30.9, 20.3), (31.0, 20.3)])
    assert not any(s.started for s in interrupted) and not interrupted[2].predicted


def test_it_says_nothing_before_the_first_measurement_and_forgets_when_told() -> None:
    tracker = ImmTracker()
    state = tracker.update(0, None)
    assert state.lost and state.position_mm is None
    assert tracker.update(33 * MS, (1.0, 2.0), 0.1).started
    tracker.clear()
    assert tracker.update(66 * MS, None).position_mm is None


def test_the_same_motion_at_uneven_times_gives_the_same_track() -> None:
    settings = ImmSettings()
    at_30, at_10 = ImmTracker(settings), ImmTracker(settings)
    for ms in range(0, 2001, 25):
        place = (10.0 + 0.004 * ms, 10.0)
        dense = at_30.update(ms * MS, place, 0.09 * 4, (1.0, 0.0))
        if ms % 100 == 0:
            sparse = at_10.update(ms * MS, place, 0.09, (1.0, 0.0))
    assert sparse.position_mm == pytest.approx(dense.position_mm, abs=0.1)
    assert sparse.velocity_mm_s == pytest.approx(dense.velocity_mm_s, abs=0.5)
    assert sparse.covariance_mm2[0][0] == pytest.approx(dense.covariance_mm2[0][0], rel=0.35)


def test_time_that_goes_back_begins_anew_and_time_that_stands_still_is_no_motion() -> None:
    tracker = ImmTracker()
    for k in range(10):
        tracker.update(k * 33 * MS, (10.0, 10.0), 0.04, AXIS)
    again = tracker.update(9 * 33 * MS, (10.0, 10.0), 0.04, AXIS)
    assert not again.predicted and again.position_mm == pytest.approx((10.0, 10.0), abs=1e-6)
    assert tracker.update(0, (20.0, 10.0), 0.04, AXIS).started


def test_the_axis_shapes_where_it_looks_next() -> None:
    tracker = ImmTracker()
    for k in range(10):
        tracker.update(k * 33 * MS, (10.0, 10.0), 0.04, (0.0, -2.0))
    (xx, _), (_, yy) = tracker.update((9 * 33 + 150) * MS, None).covariance_mm2
    assert yy > 2 * xx


def test_a_measurement_without_a_sound_covariance_is_refused() -> None:
    with pytest.raises(ValueError, match="covariance"):
        ImmTracker().update(0, (1.0, 1.0))
    with pytest.raises(ValueError, match="not positive"):
        ImmTracker().update(0, (1.0, 1.0), ((1.0, 2.0), (2.0, 1.0)))
