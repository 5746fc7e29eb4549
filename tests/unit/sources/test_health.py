"""Figures of a live source, from times and pictures that are made up."""

from __future__ import annotations

import numpy as np
import pytest

from puncta.core.events import SourceProblem
from puncta.sources.health import HealthMeter, is_black

MS = 1_000_000


def picture(value: int) -> np.ndarray:
    return np.full((48, 64), value, np.uint8)


def play(meter: HealthMeter, values: list[int], step_ms: float, begin_ms: float = 0.0) -> int:
    """Let pictures arrive at a steady rate; return the moment of the last one [ns]."""
    t_ns = 0
    for number, value in enumerate(values):
        t_ns = round((begin_ms + number * step_ms) * MS)
        meter.arrived(t_ns, picture(value))
    return t_ns


def test_rate_and_jitter_of_a_steady_source() -> None:
    meter = HealthMeter()
    meter.begin(0, 25.0)
    end = play(meter, [20 + i % 200 for i in range(200)], 40.0)
    seen = meter.snapshot(end)
    assert seen.rate == pytest.approx(25.0, rel=0.01)
    assert seen.jitter_ms == pytest.approx(0.0, abs=1e-6)
    assert seen.problem is SourceProblem.NONE and not meter.silent(end)


def test_jitter_is_how_far_intervals_stray() -> None:
    meter = HealthMeter()
    meter.begin(0, None)
    for number in range(100):
        meter.arrived(round((number * 40 + (10 if number % 2 else 0)) * MS), picture(number))
    jitter = meter.snapshot(100 * 40 * MS).jitter_ms
    assert jitter is not None and 10 <= jitter <= 20


def test_a_source_below_its_promise_is_slow() -> None:
    meter = HealthMeter()
    meter.begin(0, 30.0)
    end = play(meter, [20 + i for i in range(80)], 66.7)
    assert meter.snapshot(end).problem is SourceProblem.SLOW


@pytest.mark.parametrize(("step_ms", "patience_ms"), [(40.0, 500), (150.0, 500), (1000.0, 3000)])
def test_patience_is_below_a_second_but_three_intervals_for_slow_sources(step_ms: float, patience_ms: int) -> None:
    meter = HealthMeter()
    meter.begin(0, None)
    end = play(meter, list(range(20, 60)), step_ms)
    assert not meter.silent(end + (patience_ms - 1) * MS)
    assert meter.silent(end + (patience_ms + 1) * MS)


def test_a_picture_that_stands_still_is_frozen_and_a_change_ends_it() -> None:
    meter = HealthMeter()
    meter.begin(0, 25.0)
    end = play(meter, [80 + i % 2 for i in range(100)], 40.0)  # coding noise of one grey value
    assert meter.snapshot(end).problem is SourceProblem.FROZEN
    end = play(meter, [120], 40.0, end / MS + 300)
    assert meter.snapshot(end).problem is SourceProblem.NONE


def test_a_black_picture_is_told_after_a_second() -> None:
    meter = HealthMeter()
    meter.begin(0, 25.0)
    end = play(meter, [16] * 20, 40.0)
    assert meter.snapshot(end).problem is SourceProblem.NONE
    end = play(meter, [16] * 20, 40.0, 20 * 40.0)
    assert meter.snapshot(end).problem is SourceProblem.BLACK


def test_dark_ultrasound_is_not_black() -> None:
    dark = picture(0)
    dark[20:30, 10:40] = 90
    assert not is_black(dark)
    with_cursor = picture(16)
    with_cursor[3:6, 3:6] = 255
    assert is_black(with_cursor)


def test_drops_are_kept_by_cause() -> None:
    meter = HealthMeter()
    meter.lost("damaged on the way", 2)
    meter.lost("program busy", 1)
    meter.lost("program busy", 0)
    assert dict(meter.snapshot(0).drops) == {"damaged on the way": 2, "program busy": 1}
