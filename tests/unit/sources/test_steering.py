"""The mailbox between hands and simulation: nothing is lost, nothing counts twice, speeds do not depend on repeats."""

from __future__ import annotations

import threading

import pytest

from puncta.sim.controls import STILL, Controls
from puncta.sources.steering import Steering

DT = 0.02


def test_a_frame_takes_all_that_has_gathered_and_nothing_twice() -> None:
    steering = Steering()
    steering.steer(Controls(advance_mm=0.5, angle_deg=1.0))
    steering.steer(Controls(advance_mm=0.25, done=True))
    assert steering.take(0, DT) == Controls(advance_mm=0.75, angle_deg=1.0, done=True)
    assert steering.take(1, DT) == STILL
    assert steering.moves() == (Controls(advance_mm=0.75, angle_deg=1.0, done=True), STILL)


def test_a_held_key_moves_steadily_by_the_simulation_s_own_time() -> None:
    steering = Steering()
    steering.hold(Controls(advance_mm=10.0))
    for _ in range(5):  # a key that repeats says the same again
        steering.hold(Controls(advance_mm=10.0))
    way = sum(steering.take(k, DT).advance_mm for k in range(50))
    steering.hold(STILL)
    assert way == pytest.approx(10.0 * 50 * DT)
    assert steering.take(50, DT) == STILL


def test_a_tap_between_two_frames_moves_by_one_frame() -> None:
    steering = Steering()
    steering.take(0, DT)
    steering.hold(Controls(sweep_mm=4.0))
    steering.hold(STILL)
    assert steering.take(1, DT).sweep_mm == pytest.approx(4.0 * DT)
    assert steering.take(2, DT) == STILL


def test_a_second_key_does_not_make_the_first_count_twice() -> None:
    steering = Steering()
    steering.hold(Controls(sweep_mm=4.0))
    steering.hold(Controls(sweep_mm=4.0, slide_mm=10.0))
    taken = steering.take(0, DT)
    assert (taken.sweep_mm, taken.slide_mm) == (pytest.approx(4.0 * DT), pytest.approx(10.0 * DT))


def test_only_a_biopsy_gun_fires() -> None:
    for can_fire in (True, False):
        steering = Steering(can_fire=can_fire)
        steering.steer(Controls(fire=True))
        assert steering.take(0, DT).fire is can_fire


def test_increments_are_short_figures() -> None:
    steering = Steering()
    steering.steer(Controls(advance_mm=1.0 / 3.0))
    assert steering.take(0, DT).advance_mm == 0.33333


def test_every_input_is_told_once_with_the_first_frame_that_contains_it() -> None:
    steering = Steering()
    steering.steer(Controls(advance_mm=1.0), t_ns=10)
    steering.take(0, DT)
    steering.steer(Controls(advance_mm=1.0), t_ns=20)
    steering.hold(Controls(sweep_mm=1.0), t_ns=25)
    steering.take(1, DT)
    steering.take(2, DT)
    steering.steer(Controls(advance_mm=1.0), t_ns=30)
    assert steering.inputs_until(2) == [10, 20, 25]
    assert steering.inputs_until(2) == []
    steering.take(3, DT)
    assert steering.inputs_until(3) == [30]


def test_nothing_is_lost_between_threads() -> None:
    steering = Steering()
    taken: list[float] = []
    stop = threading.Event()

    def render() -> None:
        index = 0
        while not stop.is_set():
            taken.append(steering.take(index, 0.0).advance_mm)
            index += 1
        taken.append(steering.take(index, 0.0).advance_mm)

    thread = threading.Thread(target=render)
    thread.start()
    for _ in range(2000):
        steering.steer(Controls(advance_mm=0.125))
    stop.set()
    thread.join()
    assert sum(taken) == pytest.approx(250.0)
