"""Frames that teach: doubtful ones, disputed ones and those unlike what is labelled, spread over the clip."""

from __future__ import annotations

import numpy as np
import pytest
from pipeline_stage import EchoPlugin, NumberedSource, hosted

from puncta.annotation.store_suggestions import TEACHES
from puncta.core.results import Analysis, Certainty, Detection, MaskResult, PluginOutput, Result
from puncta.pipeline.host import PluginHost
from puncta.session.proposing import DETECTOR, TRACKER, doubts_of
from puncta.session.teaching_frames import MOST_LOOKS, FrameLook, look_over, teaching_frames

RNG = np.random.default_rng(3)
SCENES = [RNG.normal(size=40).astype(np.float32) for _ in range(4)]


def look(index: int, doubt: float = 0.0, apart: float | None = None, scene: int = 0) -> FrameLook:
    return FrameLook(index, doubt, apart, SCENES[scene] + RNG.normal(0, 0.02, 40).astype(np.float32))


def chosen(looks: list[FrameLook], labelled: list[int], count: int) -> list[int]:
    return [s.index for s in teaching_frames(looks, labelled, count)]


def test_the_doubtful_stretch_comes_first_but_not_with_all_its_neighbours() -> None:
    looks = [look(i, 0.9 if 40 <= i < 50 else 0.05) for i in range(100)]
    found = chosen(looks, [0, 99], 5)
    assert 40 <= found[0] < 50
    assert sum(40 <= i < 50 for i in found) <= 2
    assert min(abs(a - b) for n, a in enumerate(found) for b in found[:n]) >= 4


def test_what_is_unlike_the_labelled_frames_is_chosen_and_once_is_enough() -> None:
    looks = [look(i, 0.1, scene=1 if 60 <= i < 70 else 2 if 70 <= i < 80 else 0) for i in range(100)]
    first, second = teaching_frames(looks, [10], 2)
    assert {60 <= first.index < 70, 70 <= first.index < 80} == {True, False}
    assert {60 <= second.index < 70, 70 <= second.index < 80} == {True, False}
    assert (first.index < 70) != (second.index < 70), "the other scene, not the same again"
    assert first.reason == TEACHES and first.text == "teaches, unlike"
    known = [s.index for s in teaching_frames(looks, [10, 65, 75], 2)]
    assert not any(60 <= i < 80 for i in known), "what is labelled already teaches no more"


def test_where_models_part_it_says_so_and_labelled_frames_never_come_back() -> None:
    looks = [look(i, 0.1, 9.0 if i == 33 else 0.2) for i in range(60)]
    first = teaching_frames(looks, [0, 59], 3)[0]
    assert first.index == 33 and first.text == "teaches, disputed"
    assert 33 not in chosen(looks, [0, 33, 59], 20)
    assert teaching_frames(looks, range(60), 5) == ()


def test_without_any_telling_sign_the_choice_is_spread_over_the_clip() -> None:
    found = sorted(chosen([look(i, 0.1) for i in range(200)], [], 8))
    assert len(found) == 8 and max(np.diff(found)) <= 70 and min(np.diff(found)) >= 10


def test_of_a_long_clip_some_frames_are_looked_at_and_the_labelled_ones_always() -> None:
    source = NumberedSource(3 * MOST_LOOKS)
    seen = [x.index for x in look_over(source, PluginHost([hosted(EchoPlugin())]), 0, 3 * MOST_LOOKS - 1, keep=[7])]
    assert seen == sorted({*range(0, 3 * MOST_LOOKS, 3), 7})


def analysis(presence: float, tip: float | None, at: tuple[float, float] = (5.0, 5.0)) -> Analysis:
    frame = NumberedSource(3).read()
    tracked = Detection("needle_tip", None, (5.0, 5.0), presence)
    certainty = Certainty.LOST if presence < 0.3 else Certainty.SURE
    mine: tuple[Result, ...] = (MaskResult("needle", np.ones((2, 2), bool), (4, 4), presence, certainty), tracked)
    theirs = () if tip is None else (Detection("needle_tip", None, at, tip),)
    outputs = (PluginOutput(TRACKER, frame.frame_id, mine), PluginOutput(DETECTOR, frame.frame_id, theirs))
    return Analysis(frame, outputs)


@pytest.mark.parametrize(("presence", "tip", "least", "most"), [
    (0.98, 0.95, 0.0, 0.1), (0.02, None, 0.0, 0.1), (0.5, 0.9, 0.95, 1.0), (0.9, 0.3, 0.69, 0.71), (0.05, 0.9, 0.7, 0.8)
])  # fmt: skip
def test_sure_of_none_is_as_sure_as_sure_of_one(presence: float, tip: float | None, least: float, most: float) -> None:
    doubt, _apart = doubts_of(analysis(presence, tip))
    assert least <= doubt <= most


def test_how_far_two_models_part_is_told_in_mm() -> None:
    assert doubts_of(analysis(0.9, 0.9, (5.0, 25.0)))[1] == pytest.approx(3.0)
