"""Silence, slowness and damage are told well within a second, and an uneven but healthy stream is left in peace."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from puncta.core.events import SourceProblem
from puncta.sources.health import DAMAGED_WORDS, HealthMeter, words_of_problem

MS = 1_000_000
POLL_MS = 50
ONE_SECOND_MS = 1000
READ_MS = 250
"""What the window may need on top until the sentence stands there: it asks ten times a second."""


def picture(number: int) -> np.ndarray:
    return np.full((8, 8), 20 + number % 200, np.uint8)


class Stage:
    """A meter that pictures and damage arrive at, and that is asked as often as a window asks."""

    def __init__(self, promised: float | None = None) -> None:
        self.meter = HealthMeter()
        self.meter.begin(0, promised)
        self.now_ms = 0.0
        self._number = 0

    def play(self, arrivals_ms: Iterable[float], until_ms: float, damage_ms: Iterable[float] = ()) -> list[str]:
        """Let things arrive up to a moment; return what was told on the way, one entry a look."""
        events = [(t, True) for t in arrivals_ms] + [(t, False) for t in damage_ms]
        events = sorted(e for e in events if self.now_ms <= e[0] < until_ms)
        told = []
        while self.now_ms < until_ms:
            while events and events[0][0] <= self.now_ms:
                t_ms, whole = events.pop(0)
                if whole:
                    self.meter.arrived(round(t_ms * MS), picture(self._number))
                    self._number += 1
                else:
                    self.meter.damaged(round(t_ms * MS), 1)
            told.append(self.says())
            self.now_ms += POLL_MS
        return told

    def says(self) -> str:
        now_ns = round(self.now_ms * MS)
        if self.meter.silent(now_ns):
            return "lost"
        return self.meter.snapshot(now_ns).problem.value

    def words(self) -> str:
        return words_of_problem(self.meter.snapshot(round(self.now_ms * MS)), None)


def steady(rate: float, begin_ms: float = 0.0) -> Iterable[float]:
    return itertools.takewhile(lambda t: t < 60_000, (begin_ms + n * 1000 / rate for n in itertools.count()))


def first(told: list[str], *problems: SourceProblem | str) -> float:
    """When one of the problems was told first [ms after the beginning of the list]."""
    return next((n * POLL_MS for n, word in enumerate(told) if word in problems), float("inf"))


@pytest.mark.parametrize("rate", [8.0, 15.0, 25.0, 60.0])
def test_a_silence_is_told_in_time(rate: float) -> None:
    stage = Stage()
    assert set(stage.play(steady(rate), 6000)) <= {"", "lost"}
    assert first(stage.play((), 7500), "lost") + READ_MS < ONE_SECOND_MS


@pytest.mark.parametrize("slow", [1.0, 3.0, 5.0, 8.0, 11.0])
def test_a_line_that_gets_slow_is_told_in_time_whatever_was_promised(slow: float) -> None:
    stage = Stage(promised=None)
    stage.play(steady(25.0), 6000)
    told = stage.play(steady(slow, 6000 + 1000 / slow), 8000)
    assert first(told, SourceProblem.SLOW, "lost") + READ_MS < ONE_SECOND_MS


def test_the_sentence_of_a_slow_line_names_both_rates_and_goes_with_it() -> None:
    stage = Stage(promised=25.0)
    stage.play(steady(25.0), 6000)
    stage.play(steady(6.0, 6100), 7500)
    words = stage.words()
    assert "a moment ago 25" in words and words.startswith(("Only 5", "Only 6", "Only 7"))
    told = stage.play(steady(25.0, 7500), 9000)
    assert told[-1] == "" and stage.words() == ""


def test_a_new_rate_is_the_usual_one_after_a_while() -> None:
    """A machine that is set deeper gives fewer pictures; nobody wants to read of it for ever."""
    stage = Stage(promised=None)
    stage.play(steady(40.0), 12_000)
    told = stage.play(steady(20.0, 12_000), 30_000)
    assert first(told, SourceProblem.SLOW) < ONE_SECOND_MS
    assert set(told[-20:]) == {""}


def test_damage_is_told_in_time_and_goes_a_second_after_the_last() -> None:
    stage = Stage()
    stage.play(steady(25.0), 4000)
    whole = [t for n, t in enumerate(steady(25.0)) if n % 5 not in (1, 3)]
    spoilt = [t for n, t in enumerate(steady(25.0)) if n % 5 in (1, 3) and 4000 <= t < 6000]
    told = stage.play(whole, 6000, spoilt)
    assert first(told, SourceProblem.DAMAGED) + READ_MS < ONE_SECOND_MS
    assert stage.words() == DAMAGED_WORDS
    told = stage.play(steady(25.0, 6000), 7500)
    assert told[-1] == "" and first(told, "") <= ONE_SECOND_MS + POLL_MS


def test_a_line_over_which_nothing_whole_comes_is_called_damaged_before_it_is_lost() -> None:
    stage = Stage()
    stage.play(steady(25.0), 4000)
    told = stage.play((), 5200, steady(25.0, 4000))
    assert first(told, SourceProblem.DAMAGED) < first(told, "lost") < ONE_SECOND_MS
    assert stage.meter.snapshot(round(stage.now_ms * MS)).spoilt


def test_one_damaged_picture_now_and_then_is_only_counted() -> None:
    stage = Stage()
    now_and_then = [900.0 * n for n in range(1, 20)]
    assert set(stage.play(steady(25.0), 18_000, now_and_then)) <= {"", "lost"}
    assert "lost" not in stage.play(steady(25.0, 18_000), 18_500)


def jittery(seed: int, rate: float) -> list[float]:
    """Arrivals that stray by half an interval each way."""
    random = np.random.default_rng(seed)
    return sorted(t + random.uniform(-0.5, 0.5) * 1000 / rate for t in steady(rate, 40.0))


def bursts(_seed: int, rate: float) -> list[float]:
    """Pictures come in packs of five, as from a radio link that saves power."""
    return [t - t % (5000 / rate) + n * 0.3 for n, t in enumerate(steady(rate))]


def hiccups(seed: int, rate: float) -> list[float]:
    """Every second or so nothing comes for up to 0.42 s, then all of it at once."""
    random = np.random.default_rng(seed)
    held, times = 0.0, []
    for t in steady(rate):
        if random.random() < 1 / rate:
            held = t + random.uniform(100, 420)
        times.append(max(t, held) if t < held else t)
    return [t + n * 0.01 for n, t in enumerate(sorted(times))]


def losses(seed: int, rate: float) -> list[float]:
    """One picture in twenty never comes."""
    random = np.random.default_rng(seed)
    return [t for t in steady(rate) if random.random() > 1 / 20]


@pytest.mark.parametrize("make", [jittery, bursts, hiccups, losses])
@pytest.mark.parametrize("rate", [15.0, 50.0])
@pytest.mark.parametrize("seed", range(2))
def test_an_uneven_but_healthy_stream_is_left_in_peace(
    make: Callable[[int, float], list[float]], rate: float, seed: int
) -> None:
    stage = Stage(promised=rate)
    stage.play(make(seed, rate), 1000)  # until its first pictures have come
    assert set(stage.play(make(seed, rate), 20_000)) == {""}


def test_a_stream_that_pauses_is_given_more_patience_and_still_told_within_a_second() -> None:
    stage = Stage()
    pausing = [t for t in steady(25.0) if t % 2000 > 380]
    assert "lost" not in stage.play(pausing, 12_000)[60:]
    assert stage.meter.patience_ns > 700 * MS
    assert first(stage.play((), 14_000), "lost") + READ_MS < ONE_SECOND_MS + 100
