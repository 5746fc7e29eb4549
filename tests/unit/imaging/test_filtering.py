"""The belief filter: it carries a tip through a bad frame, doubts a jump, and falls silent when nothing is there."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from puncta.imaging.filtering import TipFilterSettings, TipGridFilter, calibrated


def peak(row: int, column: int, height: float = 4.0, size: int = 64) -> NDArray[np.float32]:
    y, x = np.mgrid[0:size, 0:size]
    return (-6.0 + (height + 6.0) * np.exp(-0.5 * ((y - row) ** 2 + (x - column) ** 2) / 2.0)).astype(np.float32)


def test_a_steady_tip_is_believed_more_and_more() -> None:
    tracker = TipGridFilter()
    scores = [tracker.update(peak(20, 30), 1.0).score for _ in range(6)]
    assert scores == sorted(scores) and scores[-1] > 0.95


def test_one_frame_with_an_impostor_does_not_move_the_tip_and_a_lasting_one_does() -> None:
    tracker = TipGridFilter()
    for k in range(8):
        tracker.update(peak(20, 20 + k), 2.0)
    belief = tracker.update(peak(50, 50, 4.5), 2.0)
    assert abs(belief.cell[0] - 20) <= 3 and abs(belief.cell[1] - 27) <= 4
    for _ in range(10):
        belief = tracker.update(peak(50, 50, 4.5), 2.0)
    assert belief.cell == (50, 50)


def test_absence_silences_it_within_frames() -> None:
    tracker = TipGridFilter()
    for _ in range(5):
        tracker.update(peak(20, 30), 2.0)
    for _ in range(6):
        belief = tracker.update(peak(20, 30, -5.0), -3.0)
    assert belief.present < 0.1 and belief.score < 0.1


def test_belief_stays_a_probability_at_extremes() -> None:
    tracker = TipGridFilter(TipFilterSettings(trust=1.0))
    for logit in (1e6, -1e6, 0.0, 1e6):
        belief = tracker.update(peak(0, 63, 30.0), logit)
        assert 0.0 <= belief.score <= belief.present <= 1.0 + 1e-9
        assert np.isfinite([*belief.mean_cell_xy, belief.spread_cells]).all()


def test_clear_makes_it_new_and_it_repeats_itself() -> None:
    tracker = TipGridFilter()
    first = [tracker.update(peak(10, k), 1.0) for k in range(5, 12)]
    tracker.clear()
    assert [tracker.update(peak(10, k), 1.0) for k in range(5, 12)] == first


def test_calibrated_is_a_logistic() -> None:
    assert calibrated(0.0, 2.0, 0.0) == 0.5
    assert calibrated(1.0, 2.0, -2.0) == 0.5
    assert calibrated(1e9, 1.0, 0.0) == pytest.approx(1.0)
