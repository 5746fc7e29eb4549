"""From a network's answers to a tip over time.

A belief filter carries several hypotheses from frame to frame, a Kalman tracker in millimetres carries the chosen tip
through a frame without a peak, and calibrated chances decide what is shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from puncta.imaging.filtering import TipBelief, TipFilterSettings, TipGridFilter
from puncta.imaging.heatmap import best_cell
from puncta.imaging.kalman import ImmSettings, ImmTracker, TrackState
from puncta.imaging.tip_network import TipAnswer
from puncta.imaging.tip_scoring import TipScoring, chance, features_of, radius_cells

CONFIRMED_CELLS = 2.5
"""A belief without a peak of this frame's map within this reach is a prediction, not a measurement."""
LEAST_PEAK = -3.0
"""Logit below which a map's highest cell is no peak."""

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Followed:
    """What is known of the tip after one distinct frame.

    Attributes
    ----------
    presence : float
        Calibrated chance that a tip is in the picture.
    right : float
        Calibrated chance that ``cell_xy`` is where it is.
    cell_xy : tuple of float
        Place in the map (x, y) [cells].
    radius_cells : float
        Radius of the circle meant to hold the tip 9 times in 10 [cells, mean of both directions].
    predicted : bool
        The place was not measured on this frame.
    shown : bool
        Sure enough to be shown.
    features : tuple of float
        What the chances were computed from.
    right_logit : float
    spread_cells, drift_cells : float
        What the radius was computed from.
    track : TrackState
    measured_xy, tracked_xy : tuple of float or None
        The frame's own peak and the tracker's place [cells].
    """

    presence: float
    right: float
    cell_xy: Pair
    radius_cells: float
    predicted: bool
    shown: bool
    features: tuple[float, ...]
    right_logit: float
    spread_cells: float
    drift_cells: float
    track: TrackState
    measured_xy: Pair | None
    tracked_xy: Pair | None


class TipFollower:
    """Follows one stream's tip through a network's answers."""

    def __init__(
        self, scoring: TipScoring, filtering: TipFilterSettings | None = None, tracking: ImmSettings | None = None
    ) -> None:
        self.scoring = scoring
        self._filter = TipGridFilter(filtering)
        self._tracker = ImmTracker(tracking)
        self._seen = False
        self._seen_ns: int | None = None

    def clear(self) -> None:
        """Forget everything."""
        self._filter.clear()
        self.clear_track()

    def clear_track(self) -> None:
        """Forget what is known in millimetres, as where they change."""
        self._tracker.clear()
        self._seen, self._seen_ns = False, None

    def update(self, answer: TipAnswer, t_ns: int, cell_mm: Pair) -> Followed:
        """Take the answer to one distinct frame.

        Parameters
        ----------
        t_ns : int
            When the frame was taken [ns].
        cell_mm : (x, y)
            Width and height of a cell of the map [mm].
        """
        s = self.scoring
        heat = np.asarray(answer.maps[0], dtype=np.float32)
        belief = self._filter.update(heat, answer.presence * s.presence_scale + s.presence_shift)
        measured, cell = _peak_of(answer.maps, heat, belief)
        features = features_of(
            answer.presence, float(heat.max()), belief.present, belief.score, belief.spread_cells, measured is not None
        )
        log_odds = s.right.logit(features)
        self._seen = log_odds >= (s.keep if self._seen else s.show)
        if self._seen:
            self._seen_ns = t_ns
        towards = (float(answer.maps[3, cell[0], cell[1]]), float(answer.maps[4, cell[0], cell[1]]))
        track = self._track(t_ns, cell_mm, measured if self._seen else None, towards, belief)
        tracked = None
        if track.position_mm is not None and not track.lost:
            tracked = (track.position_mm[0] / cell_mm[0], track.position_mm[1] / cell_mm[1])
        recent = self._seen_ns is not None and t_ns - self._seen_ns <= s.coast_s * 1e9
        coasts = not self._seen and recent and tracked is not None
        place, predicted, drift = belief.mean_cell_xy, True, 0.0
        if measured is not None and not coasts:
            place, predicted = (tracked if s.steady and tracked is not None else measured), False
        elif tracked is not None:
            c = track.covariance_mm2
            place = tracked
            drift = 2.0 * math.sqrt(max(0.0, 0.5 * (c[0][0] + c[1][1])) / (cell_mm[0] * cell_mm[1]))
        right = chance(log_odds)
        return Followed(
            presence=chance(s.presence.logit(features)),
            right=right,
            cell_xy=place,
            radius_cells=radius_cells(s.circle, belief.spread_cells, right, predicted, drift),
            predicted=predicted,
            shown=self._seen or coasts,
            features=features,
            right_logit=log_odds,
            spread_cells=belief.spread_cells,
            drift_cells=drift,
            track=track,
            measured_xy=measured,
            tracked_xy=tracked,
        )

    def _track(
        self, t_ns: int, cell_mm: Pair, measured: Pair | None, towards: Pair, belief: TipBelief
    ) -> TrackState:
        """Move the tracker on; where the belief has gone over to a place it refuses, it begins anew there."""
        if measured is None:
            return self._tracker.update(t_ns, None)
        place = (measured[0] * cell_mm[0], measured[1] * cell_mm[1])
        deviation = self.scoring.peak_cells + 0.25 * belief.spread_cells
        noise = np.diag([(deviation * cell_mm[0]) ** 2, (deviation * cell_mm[1]) ** 2])
        axis = (towards[0] * cell_mm[0], towards[1] * cell_mm[1])
        track = self._tracker.update(t_ns, place, noise, axis)
        if track.predicted:
            # The filter weighs hypotheses over several frames; when it jumps, it knows more than the gate.
            self._tracker.clear()
            track = self._tracker.update(t_ns, place, noise, axis)
        return track


def _peak_of(
    maps: NDArray[np.floating], heat: NDArray[np.float32], belief: TipBelief
) -> tuple[Pair | None, tuple[int, int]]:
    """Return this frame's own peak by the belief (x, y) [cells], or None, and the cell that was looked at."""
    row, column = best_cell(heat, belief.cell)
    x, y = column + float(maps[1, row, column]), row + float(maps[2, row, column])
    mx, my = belief.mean_cell_xy
    near = math.hypot(x - mx, y - my) <= CONFIRMED_CELLS and float(heat[row, column]) > LEAST_PEAK
    return ((x, y) if near else None), (row, column)
