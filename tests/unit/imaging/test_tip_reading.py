"""One stream read from frames to a tip: found, carried through a gap, lost, frozen, unfamiliar."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tip_graph import GAIN, SHIFT, TOWARDS, open_tip_graph, spotted

from puncta.imaging.tip_follower import TipFollower
from puncta.imaging.tip_network import TipAnswer
from puncta.imaging.tip_reading import TipReader, pixel_mm_of
from puncta.imaging.tip_scoring import FEATURES, Circle, Logistic, TipScoring
from puncta.imaging.unfamiliar import FROZEN

FRAME_NS = 40_000_000
CELL_MM = (0.6, 0.6)
PEAK_ONLY = Logistic(tuple(1.0 if name == "peak" else 0.0 for name in FEATURES), 0.0)
SCORING = TipScoring(
    presence=PEAK_ONLY, right=PEAK_ONLY, show=2.0, keep=0.5, coast_s=0.2, circle=Circle((), (0.5, 1.5))
)


def answer(x: float, y: float, height: float = 4.0, presence: float = 3.0) -> TipAnswer:
    rows, columns = np.mgrid[0:64, 0:64]
    heat = -8.0 + (height + 8.0) * np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / 1.5)
    maps = np.zeros((6, 64, 64), np.float32)
    maps[0], maps[3], maps[4] = heat, 1.0, -0.5
    return TipAnswer(maps, presence)


def test_shown_from_one_threshold_on_and_kept_down_to_another() -> None:
    follower = TipFollower(SCORING)
    heights = (1.0, 1.9, 2.1, 1.0, 0.6, 0.4)
    found = [follower.update(answer(30, 20, h), k * FRAME_NS, CELL_MM) for k, h in enumerate(heights)]
    assert [f.shown for f in found[:5]] == [False, False, True, True, True]
    assert not any(f.predicted for f in found[2:5])
    assert found[5].shown and found[5].predicted, "what is no longer seen is shown for a while where it is predicted"


def test_a_moving_tip_coasts_on_along_its_way_and_then_falls_silent() -> None:
    follower = TipFollower(SCORING)
    for k in range(15):
        seen = follower.update(answer(20 + 0.5 * k, 20), k * FRAME_NS, CELL_MM)
    assert seen.shown and not seen.predicted and seen.cell_xy == pytest.approx((27, 20), abs=0.6)
    blind = [follower.update(answer(50, 50, -6.0, -4.0), (15 + k) * FRAME_NS, CELL_MM) for k in range(9)]
    assert [b.shown for b in blind] == [True] * 5 + [False] * 4
    assert blind[4].predicted and blind[4].cell_xy[0] > seen.cell_xy[0] + 0.8
    assert abs(blind[4].cell_xy[1] - 20) < 0.5
    assert blind[4].radius_cells > blind[0].radius_cells > seen.radius_cells


def test_a_jump_of_the_belief_begins_a_new_track() -> None:
    follower = TipFollower(SCORING)
    for k in range(6):
        follower.update(answer(20, 20), k * FRAME_NS, CELL_MM)
    for k in range(6, 16):
        found = follower.update(answer(50, 45), k * FRAME_NS, CELL_MM)
    assert found.shown and not found.predicted and found.cell_xy == pytest.approx((50, 45), abs=0.1)
    assert found.tracked_xy is not None and math.dist(found.tracked_xy, (50, 45)) < 0.5


def test_presence_and_place_are_two_chances() -> None:
    there = Logistic(tuple(1.0 if name == "presence" else 0.0 for name in FEATURES), 0.0)
    follower = TipFollower(replace(SCORING, presence=there))
    found = follower.update(answer(30, 20, height=-5.0, presence=2.0), 0, CELL_MM)
    assert found.presence == pytest.approx(1 / (1 + math.exp(-2.0))) and found.right < 0.01 and not found.shown


CALIBRATION = TipScoring(
    presence=Logistic(PEAK_ONLY.weights, 0.0), right=Logistic(PEAK_ONLY.weights, 0.0), show=0.0, keep=0.0,
    circle=Circle((), (0.5, 1.0)), strangeness_most=1.6,
).as_spec()


@pytest.fixture
def reader(tmp_path: Path) -> TipReader:
    return TipReader(open_tip_graph(tmp_path, calibration=CALIBRATION))


def test_reads_a_spot_and_its_direction_and_forgets_it(reader: TipReader) -> None:
    pictures = [spotted(20 + k, 34, seed=k) for k in range(8)]
    readings = [reader.read(p, k * FRAME_NS, (0.2, 0.2)) for k, p in enumerate(pictures)]
    assert readings[-1].tip == pytest.approx((27, 34), abs=3.0) and readings[-1].reason is None
    assert 0 < readings[-1].radius < 20 and readings[-1].track is not None
    reader.clear()
    assert [reader.read(p, k * FRAME_NS, (0.2, 0.2)) for k, p in enumerate(pictures)] == readings
    assert GAIN > 0 > SHIFT and TOWARDS[0] > 0


def test_a_frozen_picture_keeps_its_answer_for_two_seconds_at_most(reader: TipReader) -> None:
    for k in range(5):
        moving = reader.read(spotted(20 + k, 34, seed=k), k * FRAME_NS, (0.2, 0.2))
    assert moving.tip is not None
    still = [reader.read(spotted(24, 34, seed=4), (4 + 10 * k) * FRAME_NS, (0.2, 0.2)) for k in range(1, 9)]
    assert [s.tip is not None for s in still] == [True] * 5 + [False] * 3
    assert still[-1].unfamiliar and still[-1].reason == FROZEN
    moves_on = reader.read(spotted(25, 34, seed=9), 95 * FRAME_NS, (0.2, 0.2))
    assert moves_on.reason != FROZEN and not moves_on.unfamiliar


def test_a_strange_stream_gives_no_tip_and_one_strange_frame_does_not_stop_a_stream(reader: TipReader) -> None:
    limit = reader.follower.scoring
    reader.follower.scoring = replace(limit, strangeness_most=0.0)
    strange = reader.read(spotted(20, 34), 0, (0.2, 0.2))
    assert strange.unfamiliar and strange.tip is None and strange.presence > 0.5 and strange.strangeness is not None
    reader.clear()
    reader.follower.scoring = limit
    assert not reader.read(spotted(20, 34), 0, (0.2, 0.2)).unfamiliar


def test_a_leap_in_time_begins_anew(reader: TipReader, tmp_path: Path) -> None:
    for k in range(6):
        reader.read(spotted(20 + k, 34, seed=k), k * FRAME_NS, (0.2, 0.2))
    fresh = TipReader(open_tip_graph(tmp_path, calibration=CALIBRATION))
    for t_ns in (10_000_000_000, 3_000_000_000):
        assert reader.read(spotted(40, 20, seed=50), t_ns, (0.2, 0.2)) == fresh.read(
            spotted(40, 20, seed=50), t_ns, (0.2, 0.2)
        )
        fresh.clear()


def test_a_new_ruler_counts_though_the_frame_it_comes_with_fails(
    reader: TipReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [spotted(20 + k, 34, seed=k) for k in range(8)]
    for k in range(6):
        reader.read(pictures[k], k * FRAME_NS, (0.2, 0.2))
    reader.prepare(pictures[6], 6 * FRAME_NS, (0.4, 0.4))  # its network fails: `finish` never hears of it
    cleared: list[int] = []
    monkeypatch.setattr(reader.follower, "clear_track", lambda: cleared.append(1))
    reader.read(pictures[7], 7 * FRAME_NS, (0.4, 0.4))
    reader.read(spotted(28, 34, seed=8), 8 * FRAME_NS, (0.4, 0.4))
    assert cleared == [1]


def test_millimetres_of_a_pixel_follow_the_region() -> None:
    assert pixel_mm_of((5, 9, 512, 400), (0.1, 0.08), 256) == pytest.approx((0.2, 0.125))
    assert pixel_mm_of((0, 0, 300, 400), None, 200) == pytest.approx((0.15, 0.2))
