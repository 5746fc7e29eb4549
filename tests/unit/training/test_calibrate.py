"""Calibration on made answers whose law is known: quiet where nothing is, chances that hold, circles that cover."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch, which is in the `train` extra")

from tip_graph import open_tip_graph, spotted  # noqa: E402

from puncta.core.errors import UserError  # noqa: E402
from puncta.imaging.tip_network import TipNetwork  # noqa: E402
from puncta.imaging.tip_scoring import scoring_from_spec  # noqa: E402
from puncta.training.answers import Answers, answer_clip, follow  # noqa: E402
from puncta.training.calibrate import (  # noqa: E402
    FALSE_ALARMS_MOST,
    ShowRule,
    calibrate,
    calibrate_answers,
    hold,
)
from puncta.training.data import Clip  # noqa: E402

CELLS, FRAMES = 24, 12
SIDE = CELLS * 4


def made_answers(number: int, source: str, rng: np.random.Generator) -> Answers:
    """Maps with a peak that is off by about a third of a cell where a tip is, and sometimes one where none is."""
    rows, columns = np.mgrid[0:CELLS, 0:CELLS]
    with_needle = number % 3 != 0
    tips = np.full((FRAMES, 2), np.nan)
    maps = np.zeros((FRAMES, 5, CELLS, CELLS), np.float16)
    presence = np.zeros(FRAMES)
    start = rng.uniform(6, CELLS - 12, 2)
    strength = rng.normal(3.0 if with_needle else -3.5, 1.5)
    for i in range(FRAMES):
        cell = start + 0.3 * i
        if with_needle:
            tips[i] = cell * 4 + 1.5
        seen = cell + rng.normal(0, 0.35, 2)
        height = strength + rng.normal(0, 0.7)
        peak = (height + 8) * np.exp(-0.5 * ((columns - seen[0]) ** 2 + (rows - seen[1]) ** 2) / 1.2)
        maps[i, 0] = -8.0 + peak
        column, row = round(seen[0]), round(seen[1])
        maps[i, 1, row - 2 : row + 3, column - 2 : column + 3] = seen[0] - column
        maps[i, 2, row - 2 : row + 3, column - 2 : column + 3] = seen[1] - row
        maps[i, 3] = 1.0
        presence[i] = strength + rng.normal(0, 1.0)
    judged = np.full(FRAMES, 1 if with_needle else 0, np.int8)
    clip = Clip(f"{number}", source, "A", np.zeros((FRAMES, SIDE, 1), np.uint8), tips, tips, judged,
                np.zeros((FRAMES, 2)), (0.2, 0.2))
    nowhere = np.full((FRAMES, 2), np.nan)
    return Answers(
        clip, maps, presence, rng.normal(5, 1, FRAMES), nowhere, nowhere, np.ones(FRAMES, bool),
        np.zeros(FRAMES, bool), (0.8, 0.8), 4,
    )


@pytest.fixture(scope="module")
def made() -> list[Answers]:
    rng = np.random.default_rng(5)
    return [made_answers(k, "simulator" if k % 2 else "composite", rng) for k in range(90)]


def test_what_is_calibrated_holds_on_clips_that_it_has_not_seen(made: list[Answers]) -> None:
    calibration = calibrate_answers(made)
    rng = np.random.default_rng(77)
    fresh = [made_answers(k, "simulator", rng) for k in range(90)]
    rows = follow(fresh, calibration.scoring, calibration.filter)
    tips, empty = rows.judged == 1, rows.judged == 0
    assert rows.shown[tips].mean() > 0.85 and rows.close[rows.shown & tips].mean() > 0.95
    assert rows.shown[empty].mean() < 0.03
    assert abs(rows.presence[tips].mean() - 1) < 0.1 and rows.presence[empty].mean() < 0.15
    figures = calibration.figures
    assert max(figures["simulated_false_alarms"], figures["stills_false_alarms"]) <= FALSE_ALARMS_MOST
    assert figures["ece"] < 0.08
    assert figures["coverage90"] == pytest.approx(0.9, abs=0.04)
    assert calibration.scoring.strangeness_most > 7


def test_the_spec_reads_back_as_the_very_scoring(made: list[Answers]) -> None:
    calibration = calibrate_answers(made[:30])
    spec = json.loads(json.dumps(calibration.as_spec()))
    read = scoring_from_spec(spec["calibration"])
    assert read.as_spec() == calibration.scoring.as_spec()
    rows, again = (follow(made[:6], s, calibration.filter) for s in (calibration.scoring, read))
    assert np.array_equal(rows.shown, again.shown)


def test_shown_from_a_threshold_on_down_to_another_and_a_while_after_within_a_clip() -> None:
    right = np.array([0.0, 3.0, 1.5, 0.5, 0.5, 0.5, 1.5, 1.5, 3.0, 0.0])
    clip = np.array([0] * 6 + [1] * 4)
    shown = hold(right, clip, ShowRule(2.0, 1.0, 0.08))
    assert shown.tolist() == [False, True, True, True, True, False, False, False, True, True]


def test_a_frame_that_repeats_takes_the_answer_of_the_one_before(tmp_path: Path) -> None:
    pictures = [spotted(20 + k, 30, seed=k) for k in range(4)]
    frames = np.stack([p for p in pictures for _ in range(2)])
    tips = np.array([[20.0 + k // 2, 30.0] for k in range(8)])
    clip = Clip("c", "simulator", "A", frames, tips, tips, np.ones(8, np.int8), np.zeros((8, 2)), (0.5, 0.5))
    answers = answer_clip(TipNetwork(open_tip_graph(tmp_path)), clip)
    assert answers.fresh.tolist() == [True, False] * 4
    assert np.array_equal(answers.maps[0::2], answers.maps[1::2])
    assert np.isfinite(answers.strangeness).all()


def test_a_model_with_a_memory_is_calibrated_from_clip_to_thresholds(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    clips = []
    for k in range(24):
        there = k % 2 == 0
        x, y = rng.uniform(14, 46, 2)
        frames = np.stack([spotted(x + i, y, seed=99 * k + i, brightness=120 if there else 0) for i in range(6)])
        tips = np.array([[x + i, y] for i in range(6)]) if there else np.full((6, 2), np.nan)
        judged = np.full(6, 1 if there else 0, np.int8)
        clips.append(Clip(f"{k}", "simulator", "A", frames, tips, tips, judged, np.zeros((6, 2)), (0.3, 0.3)))
    told: list[int] = []
    calibration = calibrate(open_tip_graph(tmp_path), clips, 64, lambda done, total: told.append(total - done))
    assert told == list(range(23, -1, -1))
    assert calibration.figures["shown_of_tips"] > 0.8 and calibration.figures["false_alarms"] <= FALSE_ALARMS_MOST
    assert np.isfinite(calibration.scoring.strangeness_most)


def test_clips_that_tell_nothing_and_another_size_are_refused(tmp_path: Path, made: list[Answers]) -> None:
    unknown = made_answers(1, "simulator", np.random.default_rng(1))
    unknown.clip.judged[:] = -1
    with pytest.raises(UserError, match="no frame"):
        calibrate_answers([unknown])
    with pytest.raises(ValueError, match="64 px"):
        calibrate(open_tip_graph(tmp_path), [made[0].clip], 128)
