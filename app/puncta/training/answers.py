"""A network's answers to tune clips, and what the plugin's follower makes of them, frame by frame.

The frames go one after another through the very steps of the plugin (`puncta.imaging.tip_reading`), with the exported
graph in the runtime that will use it. The network runs once; its kept answers can be followed as often as one likes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from puncta.imaging.filtering import TipFilterSettings
from puncta.imaging.heatmap import best_cell, point_from_cell
from puncta.imaging.preprocess import resample_region
from puncta.imaging.tip_follower import LEAST_PEAK, Followed, TipFollower
from puncta.imaging.tip_network import TipAnswer, TipNetwork
from puncta.imaging.tip_reading import STRANGE_SHARE, direction_at, find_line, pixel_mm_of
from puncta.imaging.tip_scoring import TipScoring
from puncta.imaging.unfamiliar import PictureWatch
from puncta.training.data import Clip

CLOSE_MM = 2.0
"""A tip within this distance counts as found; pictures without millimetres are taken to be 40 mm high."""
SIMULATED_SHARE = 0.8
"""Weight of simulated tune clips in chances and circle. They stand for "the same machine", of which calibration is
claimed; drawn needles on real stills keep the rest of the say."""
INTERVAL_NS = 40_000_000
"""Clips in the cache carry no times."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What the network said about one clip.

    Attributes
    ----------
    maps : ndarray of float16, shape (T, 5, h, w)
        All but the shaft.
    presence : ndarray, shape (T,)
        Logits.
    strangeness : ndarray, shape (T,)
        Smoothed as the plugin does; NaN where the graph does not tell.
    peak_xy, lined_xy : ndarray, shape (T, 2)
        The frame's own best peak, and that peak moved onto the line behind it [cells]; NaN where there is none.
    fresh : ndarray of bool, shape (T,)
        False where the frame repeats the one before and its answer stands.
    plain : ndarray of bool, shape (T,)
        The frame was not taken for ultrasound.
    cell_mm : tuple of float
        (x, y) [mm] of a cell of the map.
    """

    clip: Clip
    maps: NDArray[np.float16]
    presence: NDArray[np.float64]
    strangeness: NDArray[np.float64]
    peak_xy: NDArray[np.float64]
    lined_xy: NDArray[np.float64]
    fresh: NDArray[np.bool_]
    plain: NDArray[np.bool_]
    cell_mm: tuple[float, float]
    stride: int

    def lined(self, i: int, measured: tuple[float, float] | None) -> tuple[float, float] | None:
        """Return a measured peak moved onto its line, or None where that is not known of it."""
        if measured is None or not np.allclose(measured, self.peak_xy[i], atol=0.02):
            return None
        x, y = (float(v) for v in self.lined_xy[i])
        return None if math.isnan(x) else (x, y)

    def error_mm(self, i: int, cell_xy: tuple[float, float] | None) -> float:
        """Distance of a place in the map from the labelled tip [mm]; infinite where there is no tip or no place."""
        if cell_xy is None or self.clip.judged[i] != 1:
            return math.inf
        size = self.maps.shape[-1] * self.stride
        model = (self.clip.tip_px[i] + 0.5) * (size / self.clip.frames.shape[1]) - 0.5
        true = (model - (self.stride - 1) / 2) / self.stride
        return math.hypot(*(d * c for d, c in zip(true - np.array(cell_xy), self.cell_mm)))


def answer_clip(network: TipNetwork, clip: Clip) -> Answers:
    """Run the network over a clip as the plugin does."""
    network.clear()
    watch = PictureWatch()
    side, size = clip.frames.shape[1], network.size
    maps, presence, strange, fresh, plain = [], [], [], [], []
    lines: list[tuple[tuple[float, float], tuple[float, float]]] = []
    answer: TipAnswer | None = None
    smooth = math.nan
    for i, frame in enumerate(clip.frames):
        grey, _ = resample_region(np.asarray(frame), (0, 0, side, side), (size, size))
        plain.append(watch.look(grey, i * INTERVAL_NS) is not None)
        newer = network.step(grey)
        answer = newer or answer
        assert answer is not None  # the first frame repeats nothing
        fresh.append(newer is not None)
        lines.append(_line_of(grey, newer, network.stride) if newer is not None else lines[-1])
        if newer is not None and newer.strangeness is not None:
            smooth = newer.strangeness if math.isnan(smooth) else smooth + STRANGE_SHARE * (newer.strangeness - smooth)
        maps.append(answer.maps[:5].astype(np.float16))
        presence.append(answer.presence)
        strange.append(smooth)
    pixel = pixel_mm_of((0, 0, side, side), clip.mm_per_px, size)
    cell = (pixel[0] * network.stride, pixel[1] * network.stride)
    points = np.array(lines, dtype=np.float64).reshape(-1, 2, 2)
    return Answers(
        clip, np.stack(maps), np.array(presence), np.array(strange), points[:, 0], points[:, 1], np.array(fresh),
        np.array(plain), cell, network.stride,
    )


def _line_of(
    grey: NDArray[np.uint8], answer: TipAnswer, stride: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return a frame's own best peak, and that moved onto the line behind it, as the reader does [cells]."""
    nothing = (math.nan, math.nan)
    heat = answer.maps[0]
    row, column = best_cell(heat)
    if float(heat[row, column]) <= LEAST_PEAK:
        return nothing, nothing
    peak = (column + float(answer.maps[1, row, column]), row + float(answer.maps[2, row, column]))
    line = find_line(grey, answer.maps[5], point_from_cell(peak, stride), direction_at(answer.maps, peak))
    if line is None or line.tip is None:
        return peak, nothing
    half = (stride - 1) / 2
    return peak, ((line.tip[0] - half) / stride, (line.tip[1] - half) / stride)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What the follower said on every frame, as columns of one length.

    Attributes
    ----------
    clip : ndarray of int
        Number of the clip.
    kind : ndarray of int
        Number of the kind of clip: 0 simulated, 1 other.
    judged : ndarray of int8
        1 tip, 0 none, -1 not judged.
    needle_free : ndarray of bool
        The whole clip shows no needle.
    features : ndarray, shape (n, 6)
    error_mm, error_cells, tracked_mm, measured_mm, lined_mm : ndarray
        Distance to the tip of the place said, of the tracker's place, of the frame's own peak, and of that peak moved
        onto its line; infinite where there is no tip or no place.
    spread, drift, right, presence : ndarray
        As in `Followed`; ``right`` as log odds.
    predicted, shown : ndarray of bool
    """

    clip: NDArray[np.int64]
    kind: NDArray[np.int64]
    judged: NDArray[np.int8]
    needle_free: NDArray[np.bool_]
    features: NDArray[np.float64]
    error_mm: NDArray[np.float64]
    error_cells: NDArray[np.float64]
    tracked_mm: NDArray[np.float64]
    measured_mm: NDArray[np.float64]
    lined_mm: NDArray[np.float64]
    spread: NDArray[np.float64]
    drift: NDArray[np.float64]
    right: NDArray[np.float64]
    presence: NDArray[np.float64]
    predicted: NDArray[np.bool_]
    shown: NDArray[np.bool_]

    @property
    def close(self) -> NDArray[np.bool_]:
        """The place said is the tip's."""
        return self.error_mm <= CLOSE_MM

    @property
    def quiet(self) -> NDArray[np.bool_]:
        """Frames on which nothing may be shown: of needle-free clips, and where a kind has none, all without a tip.

        A tip that is called out just before it comes into the picture is wrong, but no alarm without a needle.
        """
        out = np.zeros(len(self.judged), bool)
        for k in (0, 1):
            free = self.needle_free & (self.kind == k)
            out |= free if free.any() else (self.judged == 0) & (self.kind == k)
        return out

    @property
    def weight(self) -> NDArray[np.float64]:
        """Weight of each judged frame, by kind of clip; 0 where not judged; sums to the number of judged frames."""
        told = self.judged >= 0
        there = [k for k in (0, 1) if (told & (self.kind == k)).any()]
        shares = {0: SIMULATED_SHARE, 1: 1.0 - SIMULATED_SHARE} if len(there) == 2 else dict.fromkeys(there, 1.0)
        out = np.zeros(len(told))
        for k in there:
            mine = told & (self.kind == k)
            out[mine] = shares[k] / mine.sum()
        return out * told.sum()


def follow(answers: Sequence[Answers], scoring: TipScoring, filtering: TipFilterSettings) -> Rows:
    """Run the follower over all clips, frame by frame, as the plugin does."""
    rows: list[tuple[float, ...]] = []
    features: list[tuple[float, ...]] = []
    follower = TipFollower(scoring, filtering)
    for number, answer in enumerate(answers):
        follower.clear()
        kind = 0 if answer.clip.source == "simulator" else 1
        free = bool((answer.clip.judged == 0).all())
        found: Followed | None = None
        for i, judged in enumerate(answer.clip.judged):
            if answer.fresh[i] or found is None:
                said_of_frame = TipAnswer(answer.maps[i], float(answer.presence[i]))
                found = follower.update(said_of_frame, i * INTERVAL_NS, answer.cell_mm)
            lined = None if found.predicted else answer.lined(i, found.measured_xy)
            place = lined if scoring.on_line and lined is not None else found.cell_xy
            places = (place, found.tracked_xy, found.measured_xy, lined)
            said, tracked, measured, laid = (answer.error_mm(i, p) for p in places)
            rows.append((
                number, kind, float(judged), free, said, said / math.sqrt(answer.cell_mm[0] * answer.cell_mm[1]),
                tracked, measured, laid, found.spread_cells, found.drift_cells, found.right_logit, found.presence,
                found.predicted, found.shown,
            ))
            features.append(found.features)
    t = np.array(rows, dtype=np.float64).reshape(-1, 15)
    return Rows(
        t[:, 0].astype(np.int64), t[:, 1].astype(np.int64), t[:, 2].astype(np.int8), t[:, 3] > 0, np.array(features),
        t[:, 4], t[:, 5], t[:, 6], t[:, 7], t[:, 8], t[:, 9], t[:, 10], t[:, 11], t[:, 12], t[:, 13] > 0, t[:, 14] > 0,
    )
