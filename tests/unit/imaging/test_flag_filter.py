"""Flags of a stream: no flicker on constant truth, no lasting change after the window, nothing said on the strange."""

from __future__ import annotations

import numpy as np
import pytest

from puncta.imaging.flag_filter import FlagFilter, FlagFilterSettings, FlagState

SETTINGS = FlagFilterSettings(("quality", "cord"), (1.5, 1.5), (-1.5, -1.5), give=2.0, strangeness_most=1.0)


def states(filter_: FlagFilter, logits: np.ndarray, step_s: float) -> list[FlagState]:
    return [filter_.update((v, -4.0), round(i * step_s * 1e9)).states[0] for i, v in enumerate(logits)]


def changes(said: list[FlagState]) -> int:
    return sum(a != b for a, b in zip(said, said[1:]))


@pytest.mark.parametrize("fps", [10.0, 25.0, 60.0])
@pytest.mark.parametrize("level", [1.6, 2.5, -2.0])
def test_noise_about_a_constant_level_does_not_flicker(fps: float, level: float) -> None:
    rng = np.random.default_rng(int(fps))
    minutes = 3
    logits = level + rng.normal(0, 0.8, int(60 * minutes * fps))
    alone = FlagFilter(FlagFilterSettings(("quality", "cord"), (1.5, 1.5), (-1.5, -1.5), window_s=0.0, give=0.0))
    raw = changes(states(alone, logits, 1 / fps)[10:])
    kept = changes(states(FlagFilter(SETTINGS), logits, 1 / fps)[10:])
    assert raw > 50 * minutes or abs(level) > 2.4  # the case is one that flickers
    assert kept <= minutes


@pytest.mark.parametrize("fps", [7.0, 25.0, 60.0])
@pytest.mark.parametrize("after", [-1.6, -3.0, -6.0])
def test_a_lasting_change_is_said_within_the_window(fps: float, after: float) -> None:
    before = round(2 * fps)
    said = states(FlagFilter(SETTINGS), np.r_[np.full(before, 6.0), np.full(before, after)], 1 / fps)
    assert said[before - 1] is FlagState.YES
    first = next(i for i, state in enumerate(said) if state is FlagState.NO)
    assert (first - before) / fps <= SETTINGS.window_s + 1e-9


def test_between_the_thresholds_nobody_can_tell_and_a_word_is_kept_by_the_margin() -> None:
    filter_ = FlagFilter(SETTINGS)
    assert filter_.update((0.0, 0.0), 0).states == (FlagState.UNKNOWN, FlagState.UNKNOWN)
    assert filter_.update((2.0, 0.0), 10**9).states[0] is FlagState.YES
    assert filter_.update((0.0, 0.0), 2 * 10**9).states[0] is FlagState.YES
    assert filter_.update((-0.6, 0.0), 3 * 10**9).states[0] is FlagState.UNKNOWN
    assert filter_.update((0.0, 0.0), 4 * 10**9).states[0] is FlagState.UNKNOWN


def test_of_a_strange_picture_nothing_is_said() -> None:
    filter_ = FlagFilter(SETTINGS)
    fine = filter_.update((4.0, -4.0), 0, 0.2)
    strange = filter_.update((4.0, -4.0), 10**9, 1.3)
    assert not fine.unfamiliar and fine.states == (FlagState.YES, FlagState.NO)
    assert strange.unfamiliar and set(strange.states) == {FlagState.UNKNOWN}
    # It has to come back clearly under the limit, and then what was known is there at once.
    assert filter_.update((4.0, -4.0), 2 * 10**9, 0.95).unfamiliar
    assert filter_.update((4.0, -4.0), 3 * 10**9, 0.5).states == (FlagState.YES, FlagState.NO)


def test_time_that_goes_back_begins_anew() -> None:
    filter_ = FlagFilter(SETTINGS)
    filter_.update((6.0, 6.0), 5 * 10**9)
    assert filter_.update((0.0, 0.0), 10**9).states[0] is FlagState.UNKNOWN


def test_settings_come_from_a_registry_entry_and_wrong_ones_are_refused() -> None:
    spec = {"calibration": {"flags": ["a"], "yes": [1.0], "no": [-1.0], "strangeness_most": 1.0},
            "filter": {"window_s": 0.15, "give": 0.5, "most": 6.0, "strangeness_give": 0.1}}
    settings = FlagFilterSettings.from_spec(spec)
    assert settings.window_s == 0.15 and settings.strangeness_most == 1.0
    with pytest.raises(ValueError, match="above"):
        FlagFilterSettings(("a",), (-1.0,), (1.0,))
    with pytest.raises(ValueError, match="finite"):
        FlagFilter(settings).update((float("nan"),), 0)


def test_a_flag_that_hovers_at_its_threshold_stays_what_the_first_frame_made_it() -> None:
    rng = np.random.default_rng(4)
    names, thresholds = ("quality", "cord"), ((1.5, 1.5), (-1.5, -1.5))
    logits = 1.5 + rng.normal(0, 0.5, 60 * 25)
    bare = FlagFilterSettings(names, *thresholds, give=2.0)
    kept = FlagFilterSettings(names, *thresholds, give=2.0, enter=1.0)
    for first, word in ((1.0, FlagState.UNKNOWN), (1.6, FlagState.YES)):
        rows = np.r_[first, logits]
        assert set(states(FlagFilter(kept), rows, 0.04)) == {word}
    # Without the margin the same stream, not told at first, is told a moment later.
    assert changes(states(FlagFilter(bare), np.r_[1.0, logits], 0.04)) == 1


@pytest.mark.parametrize("fps", [7.0, 25.0])
def test_a_change_beyond_the_margin_is_said_within_the_window_and_one_short_of_it_is_not(fps: float) -> None:
    settings = FlagFilterSettings(("quality", "cord"), (1.5, 1.5), (-1.5, -1.5), give=2.0, enter=1.0)
    before = round(2 * fps)
    for after, word in ((-2.6, FlagState.NO), (-2.0, FlagState.UNKNOWN)):
        said = states(FlagFilter(settings), np.r_[np.full(before, 6.0), np.full(before, after)], 1 / fps)
        assert said[-1] is word
        first = said.index(word)
        assert 0 <= (first - before) / fps <= settings.window_s + 1e-9


def test_after_it_forgot_the_first_frame_is_judged_by_the_thresholds_again() -> None:
    settings = FlagFilterSettings(("quality", "cord"), (1.5, 1.5), (-1.5, -1.5), give=2.0, enter=1.0)
    filter_ = FlagFilter(settings)
    assert filter_.update((0.0, 0.0), 0).states[0] is FlagState.UNKNOWN
    assert filter_.update((2.0, 0.0), 10**9).states[0] is FlagState.UNKNOWN
    filter_.clear()
    assert filter_.update((2.0, 0.0), 2 * 10**9).states[0] is FlagState.YES


MEMORY = FlagFilterSettings(
    ("quality", "cord"), (1.5, 1.5), (-1.5, -1.5), strangeness_most=1.0, strangeness_give=0.4, strangeness_enter=0.4,
    memory_s=1.0, strangeness_sudden=1.7,
)


def unfamiliar(settings: FlagFilterSettings, strangeness: np.ndarray, fps: float) -> list[bool]:
    filter_ = FlagFilter(settings)
    return [filter_.update((4.0, -4.0), round(i * 1e9 / fps), s).unfamiliar for i, s in enumerate(strangeness)]


@pytest.mark.parametrize("fps", [7.0, 25.0, 60.0])
@pytest.mark.parametrize("first", [0.9, 1.1])
def test_a_picture_that_hovers_at_the_limit_stays_what_the_first_frame_made_it(fps: float, first: float) -> None:
    hovering = 1.0 + 0.35 * np.sin(2 * np.pi * 0.4 * np.arange(round(60 * fps)) / fps)
    told = unfamiliar(MEMORY, np.r_[first, hovering], fps)
    assert set(told) == {first > 1.0}
    short = FlagFilterSettings(("a", "b"), (1.5, 1.5), (-1.5, -1.5), strangeness_most=1.0)
    assert changes(unfamiliar(short, np.r_[first, hovering], fps)) > 20, "the case is one that toggles"  # type: ignore[arg-type]


@pytest.mark.parametrize("fps", [7.0, 25.0, 60.0])
def test_a_very_strange_picture_is_flagged_within_the_window_and_a_clear_one_told_again_within_it(fps: float) -> None:
    part = round(3 * fps)
    told = unfamiliar(MEMORY, np.r_[np.full(part, 0.2), np.full(part, 1.9), np.full(part, 0.2)], fps)
    assert not any(told[:part])
    assert (told[part:].index(True)) / fps <= MEMORY.window_s + 1e-9
    assert all(told[2 * part - round(fps) : 2 * part])
    assert (told[2 * part :].index(False)) / fps <= MEMORY.window_s + 1e-9
    assert not any(told[2 * part + round(fps) :]), "what was strange before must not come back"


@pytest.mark.parametrize("fps", [7.0, 25.0])
def test_one_that_is_a_little_too_strange_for_a_while_is_flagged_when_that_lasts(fps: float) -> None:
    part = round(3 * fps)
    told = unfamiliar(MEMORY, np.r_[np.full(part, 0.2), np.full(part, 1.5)], fps)
    assert 0.2 < told.index(True) / fps - 3 <= MEMORY.memory_s + 1e-9 + 1 / fps
    brief = np.r_[np.full(part, 0.2), np.full(round(0.5 * fps), 1.5), np.full(part, 0.2)]
    assert not any(unfamiliar(MEMORY, brief, fps))


def test_after_it_forgot_the_limit_alone_judges() -> None:
    filter_ = FlagFilter(MEMORY)
    assert not filter_.update((4.0, -4.0), 0, 0.5).unfamiliar
    assert not filter_.update((4.0, -4.0), 10**9, 1.1).unfamiliar
    filter_.clear()
    assert filter_.update((4.0, -4.0), 2 * 10**9, 1.1).unfamiliar
