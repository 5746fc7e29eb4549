"""From frames to a tip: the one owner of every step, for the plugin that runs and for the calibration that tunes it.

`TipFollower` takes a network's answers: a belief filter carries several hypotheses from frame to frame, a Kalman
tracker in millimetres carries the chosen tip through a frame without a peak, and calibrated chances decide what is
shown. `TipReader` puts a network and the watch for unfamiliar pictures in front.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from puncta.imaging.axis import AxisFit, line_evidence, part_behind, refine_axis, search_axis
from puncta.imaging.filtering import TipBelief, TipFilterSettings, TipGridFilter
from puncta.imaging.heatmap import best_cell, point_from_cell, sigmoid
from puncta.imaging.kalman import ImmSettings, ImmTracker, TrackState
from puncta.imaging.tip_network import TipAnswer, TipNetwork
from puncta.imaging.tip_scoring import TipScoring, chance, features_of, radius_cells, scoring_from_spec
from puncta.imaging.unfamiliar import PictureWatch
from puncta.sdk.context import ModelSession

CONFIRMED_CELLS = 2.5
"""A belief without a peak of this frame's map within this reach is a prediction, not a measurement."""
LEAST_PEAK = -3.0
"""Logit below which a map's highest cell is no peak."""
UNCALIBRATED_HEIGHT_MM = 40.0
"""Height a region is taken to have where nobody knows its millimetres."""
GAP_NS = 2_000_000_000
"""Frames farther apart than this do not belong to one stream."""
STRANGE_SHARE = 0.3
"""Weight of the newest frame in the strangeness that is judged: one odd frame is no odd stream."""

SAME_SCALE = 0.02
"""A scale that differs by less than this share is the same one."""
LINE_STRENGTH_LEAST = 0.3
LINE_OFFSET_MOST_PX = 6.0
LINE_OFFSET_SIGMA_MOST_PX = 1.5
"""A tip is moved onto the line behind it where that line is seen, near, and well known."""

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


@dataclass(frozen=True, slots=True)
class LineBehind:
    """The needle behind a tip, in the pixels of the network's input.

    Attributes
    ----------
    axis : AxisFit
    tip : tuple of float or None
        The tip moved onto the line; None where the line is not known well enough for that.
    """

    axis: AxisFit
    tip: Pair | None


def find_line(
    grey: NDArray[np.uint8], shaft: NDArray[np.floating], tip: Pair, towards: Pair
) -> LineBehind | None:
    """Find the line behind a tip on the picture itself.

    Parameters
    ----------
    shaft : ndarray, shape (h, w)
        The network's map of the shaft (logit).
    tip : (x, y) [px]
    towards : (x, y)
        The network's guess of the direction to the entry.
    """
    part = part_behind(tip, towards, (grey.shape[1], grey.shape[0]))
    evidence = line_evidence(grey, sigmoid(shaft), part)
    within = (tip[0] - part[0], tip[1] - part[1])
    axis = search_axis(evidence, within, towards)
    if axis is None:
        return None
    fine = refine_axis(evidence, within, axis) if axis.strength >= LINE_STRENGTH_LEAST else None
    if fine is None:
        return LineBehind(axis, None)
    known = abs(fine.offset_px) <= LINE_OFFSET_MOST_PX and fine.offset_sigma_px <= LINE_OFFSET_SIGMA_MOST_PX
    moved = (fine.tip[0] + part[0], fine.tip[1] + part[1]) if known else None
    return LineBehind(AxisFit(fine.direction, fine.sigma_rad, axis.strength), moved)


def direction_at(maps: NDArray[np.floating], cell_xy: Pair) -> Pair:
    """Return the network's guess of the direction to the entry at a place in its map (x, y) [cells]."""
    row, column = (int(np.clip(round(v), 0, n - 1)) for v, n in zip(cell_xy[::-1], maps.shape[1:]))
    return (float(maps[3, row, column]), float(maps[4, row, column]))


@dataclass(frozen=True, slots=True)
class TipReading:
    """What is said about one frame, in the pixels of the network's input.

    Attributes
    ----------
    presence : float
        Calibrated chance that a tip is in the picture.
    tip : tuple of float or None
        (x, y); None where no tip is shown, and ``reason`` says why.
    radius : float
        Radius of the circle meant to hold the tip 9 times in 10.
    predicted : bool
    axis : AxisFit or None
        From the tip to the entry.
    unfamiliar : bool
        The picture is not of the kind the network knows: frozen, without ultrasound, or strange.
    reason : str or None
    track : TrackState or None
    strangeness : float or None
    """

    presence: float = 0.0
    tip: Pair | None = None
    radius: float = 0.0
    predicted: bool = False
    axis: AxisFit | None = None
    unfamiliar: bool = False
    reason: str | None = None
    track: TrackState | None = None
    strangeness: float | None = None


class TipReader:
    """Reads one stream.

    Parameters
    ----------
    model : ModelSession
        A tip network with its `filter` and `calibration` tables.
    """

    def __init__(self, model: ModelSession) -> None:
        spec = model.spec
        self.network = TipNetwork(model)
        self.follower = TipFollower(
            scoring_from_spec(spec.get("calibration", {})), TipFilterSettings(**spec.get("filter", {}))
        )
        self._watch = PictureWatch()
        self._reading: TipReading | None = None
        self._strangeness: float | None = None
        self._t_ns: int | None = None
        self._pixel_mm: Pair | None = None

    @property
    def size(self) -> int:
        """Side of the square pictures it takes [px]."""
        return self.network.size

    def clear(self) -> None:
        """Forget all frames."""
        self._forget()
        self._watch.clear()
        self._t_ns = self._pixel_mm = None

    def _forget(self) -> None:
        self.network.clear()
        self.follower.clear()
        self._reading = None
        self._strangeness = None

    def read(self, grey: NDArray[np.uint8], t_ns: int, pixel_mm: Pair) -> TipReading:
        """Take the next frame.

        Parameters
        ----------
        grey : ndarray of uint8, shape (size, size)
        t_ns : int
            When the frame was taken [ns].
        pixel_mm : (x, y)
            Width and height of a pixel of ``grey`` [mm].
        """
        if self._t_ns is not None and not 0 <= t_ns - self._t_ns <= GAP_NS:
            self.clear()
        self._t_ns = t_ns
        known = self._pixel_mm
        if known is None or any(abs(n - o) > SAME_SCALE * o for n, o in zip(pixel_mm, known)):
            # A region that is found a pixel off is no new scale; a ruler laid on the picture is.
            self.follower.clear_track()
            self._pixel_mm = known = pixel_mm
        if (why := self._watch.look(grey, t_ns)) is not None:
            presence = self._reading.presence if self._reading is not None and self._watch.frozen else 0.0
            self._forget()
            reading = TipReading(presence=presence, unfamiliar=not self._watch.empty, reason=why)
            # What was believed of the tip when the picture froze stays all that is known of it.
            self._reading = reading if self._watch.frozen else None
            return reading
        answer = self.network.step(grey)
        if answer is None and self._reading is not None:
            return self._reading
        if answer is None:
            raise RuntimeError("a network without a frame cannot repeat one")
        self._reading = self._say(grey, answer, t_ns, known)
        return self._reading

    def _say(self, grey: NDArray[np.uint8], answer: TipAnswer, t_ns: int, pixel_mm: Pair) -> TipReading:
        stride = self.network.stride
        found = self.follower.update(answer, t_ns, (pixel_mm[0] * stride, pixel_mm[1] * stride))
        self._strangeness = _smoothed(self._strangeness, answer.strangeness)
        reading = TipReading(presence=found.presence, track=found.track, strangeness=self._strangeness)
        if self._strangeness is not None and self._strangeness > self.follower.scoring.strangeness_most:
            return replace(reading, unfamiliar=True, reason="the picture is unlike those the model was made with")
        if not found.shown:
            return replace(reading, reason="no tip is seen clearly enough")
        tip = point_from_cell(found.cell_xy, stride)
        line = find_line(grey, answer.maps[5], tip, direction_at(answer.maps, found.cell_xy))
        if line is not None and line.tip is not None and self.follower.scoring.on_line and not found.predicted:
            tip = line.tip
        return replace(
            reading, tip=tip, radius=found.radius_cells * stride, predicted=found.predicted,
            axis=line.axis if line is not None else None,
        )


def _smoothed(old: float | None, new: float | None) -> float | None:
    if new is None or old is None:
        return new
    return old + STRANGE_SHARE * (new - old)


def pixel_mm_of(box: tuple[int, int, int, int], mm_per_px: Pair | None, size: int) -> Pair:
    """Return width and height [mm] of a pixel of a region stretched to ``size`` x ``size``.

    Parameters
    ----------
    box : tuple of int
        The region [x0, y0, w, h] [px].
    mm_per_px : (x, y) or None
        None takes the region to be 40 mm high, with square pixels.
    """
    x, y = mm_per_px or (UNCALIBRATED_HEIGHT_MM / box[3],) * 2
    return (x * box[2] / size, y * box[3] / size)
