"""A tracker on a toy network: start, prompts, loss, memory, time in both directions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from track_graph import SIZE, needled, open_track_graph

from puncta.core.prompts import BoxPrompt, MaskPrompt, ScribblePrompt, box_between
from puncta.imaging.mask_prompt import BOX_LEVEL, draw_scribble, prior_from_prompt
from puncta.imaging.mask_scoring import MaskScoring, mask_scoring_from_spec
from puncta.imaging.mask_tracking import ENTER_NS, NO_LINE, NOTHING, MaskReading, MaskTracker
from puncta.imaging.preprocess import RegionMapping
from puncta.imaging.unfamiliar import EMPTY, FROZEN

FRAME_NS = 40_000_000
CALIBRATION = {"show": 0.6, "keep": 0.4, "sure": 0.9, "least_length": 0.1, "other": 3.0}


@pytest.fixture
def tracker(tmp_path: Path) -> MaskTracker:
    return MaskTracker(open_track_graph(tmp_path, calibration=CALIBRATION))


def advancing(count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """A needle that comes in from the left and goes down."""
    return [needled((0, 10), (20 + 1.0 * k, 17 + 0.35 * k), seed=seed + k) for k in range(count)]


def bare(seed: int) -> NDArray[np.uint8]:
    return needled((0, 10), (30, 20), seed=seed, brightness=0.0)


def play(tracker: MaskTracker, pictures: list[NDArray[np.uint8]], first: int = 0) -> list[MaskReading]:
    return [tracker.step(p, (first + k) * FRAME_NS) for k, p in enumerate(pictures)]


def same(a: list[MaskReading], b: list[MaskReading]) -> bool:
    return all(
        x.presence == y.presence and x.line == y.line and x.path == y.path and x.reason == y.reason
        and ((x.mask is None) == (y.mask is None)) and (x.mask is None or np.array_equal(x.mask, y.mask))
        for x, y in zip(a, b, strict=True)
    )


def test_starts_by_itself_and_follows_the_tip(tracker: MaskTracker) -> None:
    scale = (0.2, 0.2)
    readings = [tracker.step(p, k * FRAME_NS, scale) for k, p in enumerate(advancing(12))]
    assert readings[0].mask is not None, "no first mask is asked for"
    for k, reading in enumerate(readings):
        assert reading.line is not None and reading.path is not None
        assert math.dist(reading.line.tip, (20 + k, 17 + 0.35 * k)) < 2.0
        assert math.dist(reading.path.tip, (0.2 * (20 + k), 0.2 * (17 + 0.35 * k))) < 0.5
    assert readings[-1].path is not None and readings[-1].path.velocity[0] > 0


def test_nothing_is_invented_where_there_is_no_needle(tracker: MaskTracker) -> None:
    readings = play(tracker, [bare(k) for k in range(6)])
    assert all(r.mask is None and r.line is None and r.reason in (NOTHING, NO_LINE) for r in readings)
    assert not tracker.tracking


def test_a_needle_that_is_gone_is_lost_and_found_again(tracker: MaskTracker) -> None:
    play(tracker, advancing(6))
    gone = play(tracker, [bare(50 + k) for k in range(5)], 6)
    assert gone[-1].mask is None and gone[-1].reason and not tracker.tracking
    back = play(tracker, advancing(12)[8:], 11)
    assert back[-1].mask is not None


def test_shown_from_one_chance_on_and_kept_down_to_another(tmp_path: Path) -> None:
    tracker = MaskTracker(open_track_graph(tmp_path, calibration=CALIBRATION))
    faint = [needled((0, 10), (40, 24), seed=3, brightness=b) for b in (52.0, 120.0, 52.0)]
    first = tracker.step(faint[0], 0)
    shown = tracker.step(faint[1], FRAME_NS)
    after = tracker.step(faint[2], 2 * FRAME_NS)
    assert first.mask is None and shown.mask is not None
    assert after.presence > first.presence, "memory and prior speak for it now"


def test_what_comes_in_needs_less_than_what_was_there_from_the_beginning(tmp_path: Path) -> None:
    graph = open_track_graph(tmp_path, calibration=CALIBRATION)
    picture, empty = needled((0, 10), (40, 24), seed=3, brightness=90.0), bare(50)
    high, low = (MaskTracker(graph).step(p, 0).presence for p in (picture, empty))
    assert low + 0.2 < high < 0.995, "the toy network must leave room between the two for this test"
    scoring = MaskScoring(show=(1 + high) / 2, keep=0.3, enter=high - 0.05, calm=low + 0.05, least_length=0.1)
    there = MaskTracker(graph, scoring)
    assert there.step(picture, 0).mask is None, "a line that lies there from the beginning may be tissue"
    came = MaskTracker(graph, scoring)
    assert came.step(empty, 0).mask is None and came.step(picture, FRAME_NS).mask is not None
    late = MaskTracker(graph, scoring)
    late.step(empty, 0)
    assert late.step(picture, ENTER_NS + FRAME_NS).mask is None, "long after an empty picture it counts as there"
    strict = MaskTracker(graph, MaskScoring(show=scoring.show, keep=0.3, least_length=0.1))
    strict.step(empty, 0)
    assert strict.step(picture, FRAME_NS).mask is None, "models without this threshold decide as they did"


def test_a_prompt_is_taken_on_its_frame_and_replaces_what_was_believed(tracker: MaskTracker) -> None:
    picture = np.maximum(needled((0, 10), (40, 24), seed=1, brightness=170.0),
                         needled((63, 20), (20, 58), seed=2, brightness=100.0))
    plain = tracker.step(picture, 0)
    assert plain.line is not None and plain.line.tip[1] < 40
    tracker.prompt(draw_scribble(np.array([(63.0, 20.0), (20.0, 58.0)]), SIZE))
    asked = tracker.step(picture, 0)
    assert asked.line is not None and math.dist(asked.line.tip, (20, 58)) < 4.0
    assert asked.mask is not None and asked.mask[:15, :20].sum() == 0


def test_a_prompt_of_the_wrong_size_is_refused(tracker: MaskTracker) -> None:
    with pytest.raises(ValueError, match="64 x 64"):
        tracker.prompt(np.zeros((32, 32), np.float32))


def test_frames_that_repeat_change_nothing(tracker: MaskTracker) -> None:
    once = play(tracker, advancing(8))
    tracker.clear()
    thrice = [tracker.step(p, (3 * k + c) * FRAME_NS // 3) for k, p in enumerate(advancing(8)) for c in range(3)]
    assert all(thrice[3 * k + 1] is thrice[3 * k] and thrice[3 * k + 2] is thrice[3 * k] for k in range(8))
    assert [r.presence for r in thrice[::3]] == [r.presence for r in once]


def test_clear_forgets_everything_and_a_run_repeats_to_the_bit(tracker: MaskTracker) -> None:
    first = play(tracker, advancing(8))
    tracker.clear()
    assert same(play(tracker, advancing(8)), first)


def test_a_memory_taken_out_can_be_put_back(tracker: MaskTracker) -> None:
    pictures = advancing(12)
    play(tracker, pictures[:6])
    memory = tracker.remember()
    held = memory.prior.copy()
    tracker.forget()
    assert not tracker.tracking and not tracker.remember().prior.any()
    tracker.recall(memory)
    assert tracker.tracking and np.array_equal(tracker.remember().prior, held)
    tracker.step(pictures[6], 6 * FRAME_NS)
    assert np.array_equal(memory.prior, held), "what was taken out is not written to"


def test_backwards_is_just_another_stream(tracker: MaskTracker) -> None:
    pictures = advancing(10)
    forwards = play(tracker, pictures)
    tracker.clear()
    backwards = [tracker.step(pictures[k], k * FRAME_NS) for k in reversed(range(10))]
    assert all(r.mask is not None for r in backwards)
    for a, b in zip(forwards[2:8], backwards[::-1][2:8]):
        assert a.line is not None and b.line is not None and math.dist(a.line.tip, b.line.tip) < 2.0
    assert backwards[-1].path is not None and backwards[-1].path.velocity[0] < 0, "seen backwards it is drawn out"


def test_the_memory_stays_as_large_as_it_is(tracker: MaskTracker) -> None:
    before = tracker.memory_bytes
    play(tracker, advancing(30))
    assert tracker.memory_bytes == before == 2 * SIZE * SIZE * 4


def test_a_gap_in_time_begins_a_new_stream(tracker: MaskTracker) -> None:
    pictures = advancing(9)
    fresh = play(tracker, pictures[6:])
    tracker.clear()
    play(tracker, pictures[:6])
    assert [r.presence for r in play(tracker, pictures[6:], 1000)] == [r.presence for r in fresh]


def test_empty_and_frozen_pictures_get_no_mask(tracker: MaskTracker) -> None:
    assert tracker.step(np.zeros((SIZE, SIZE), np.uint8), 0).reason == EMPTY
    picture = advancing(1)[0]
    readings = [tracker.step(picture, k * FRAME_NS) for k in range(1, 60)]
    assert readings[0].mask is not None
    assert readings[-1].mask is None and readings[-1].reason == FROZEN and readings[-1].unfamiliar


def test_a_strange_picture_gets_no_mask(tmp_path: Path) -> None:
    tracker = MaskTracker(open_track_graph(tmp_path, calibration={**CALIBRATION, "strangeness_most": 0.01}))
    reading = tracker.step(advancing(1)[0], 0)
    assert reading.unfamiliar and reading.mask is None and reading.strangeness is not None


def test_scoring_goes_into_the_registry_and_comes_back() -> None:
    scoring = MaskScoring(show=0.4, keep=0.2, strangeness_most=7.0)
    assert mask_scoring_from_spec({**scoring.as_spec(), "filter": {}}) == scoring
    assert "strangeness_most" not in MaskScoring().as_spec()


def test_prompts_are_drawn_where_they_lie_in_the_region() -> None:
    mapping = RegionMapping((100, 50, 128, 128), (64, 64))
    scribble = prior_from_prompt(ScribblePrompt(((100.0, 50.0), (227.0, 177.0))), mapping)
    assert scribble.max() == 1.0 and scribble[32, 32] == 1.0 and scribble[5, 50] == 0.0
    box = prior_from_prompt(BoxPrompt((120.0, 70.0, 40.0, 20.0)), mapping)
    rows, columns = np.nonzero(box)
    assert set(np.unique(box)) == {0.0, np.float32(BOX_LEVEL)}
    assert (columns.min(), rows.min()) == (10, 10) and 29 <= columns.max() <= 30 and 19 <= rows.max() <= 20
    mask = np.zeros((300, 300), bool)
    mask[80:90, 110:200] = True
    drawn = prior_from_prompt(MaskPrompt(mask), mapping)
    again = prior_from_prompt(MaskPrompt(mask[80:90, 110:200], (110, 80)), mapping)
    assert np.array_equal(drawn, again) and drawn[17, 20] == 1.0
    assert not prior_from_prompt(MaskPrompt(mask[:40, :40], (0, 0)), mapping).any()
    assert box_between((5.0, 5.0), (5.0, 9.0)) is None
    assert box_between((9.0, 2.0), (5.0, 4.0)) == BoxPrompt((5.0, 2.0, 4.0, 2.0))
    with pytest.raises(ValueError, match="two points"):
        ScribblePrompt(((1.0, 1.0),))
