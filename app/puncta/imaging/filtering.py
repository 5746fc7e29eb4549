"""A causal filter for a tip on a map: where it may be, carried from frame to frame, and whether it is there at all.

A histogram filter (Thrun, Burgard and Fox, Probabilistic Robotics, 2005, chapter 4.1): the belief over the map's cells
is spread by the motion a needle can make, then weighed by what the network says about the new frame. It keeps several
hypotheses, so that one bright impostor does not pull an estimate half way, as it would a Kalman filter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.imaging.heatmap import best_cell, sigmoid


@dataclass(frozen=True, slots=True)
class TipFilterSettings:
    """What the filter expects.

    Attributes
    ----------
    sharpness : float
        Factor on the map's logits before they become a distribution over cells.
    trust : float
        0..1, weight of one frame's evidence; below 1 because errors of neighbouring frames resemble each other.
    motion_cells : float
        Deviation of a tip's motion between two frames [cells].
    jump : float
        Share of belief that may turn up anywhere.
    appear, vanish : float
        Chance a frame that a tip comes or goes.
    prior : float
        Chance that a tip is there before anything is seen.
    window_cells : int
        Reach of the window whose belief makes up the score.
    """

    sharpness: float = 1.0
    trust: float = 0.6
    motion_cells: float = 1.2
    jump: float = 0.05
    appear: float = 0.05
    vanish: float = 0.03
    prior: float = 0.5
    window_cells: int = 3


@dataclass(frozen=True, slots=True)
class TipBelief:
    """What the filter holds after a frame.

    Attributes
    ----------
    cell : tuple of int
        (row, column) in the middle of the likeliest window.
    score : float
        Belief that the tip is there, within the window.
    present : float
        Belief that a tip is in the picture at all.
    mean_cell_xy : tuple of float
        Mean place within the window (x, y) [cells].
    spread_cells : float
        Root mean square distance from that mean within the window [cells].
    """

    cell: tuple[int, int]
    score: float
    present: float
    mean_cell_xy: tuple[float, float]
    spread_cells: float


class TipGridFilter:
    """Belief about one stream's tip."""

    def __init__(self, settings: TipFilterSettings | None = None) -> None:
        self.settings = settings or TipFilterSettings()
        self._belief: NDArray[np.float64] | None = None
        self._present = 0.0

    def clear(self) -> None:
        """Forget everything."""
        self._belief = None

    def update(self, tip_logits: NDArray[np.floating], presence_logit: float) -> TipBelief:
        """Take one frame's map and presence; return the new belief.

        Parameters
        ----------
        tip_logits : ndarray, shape (h, w)
        presence_logit : float
            Calibrated: its sigmoid is the chance that a tip is there, on even odds.
        """
        s = self.settings
        count = tip_logits.size
        if self._belief is None or self._belief.shape != tip_logits.shape:
            weighed = np.full(tip_logits.shape, s.prior / count)
            absent = 1.0 - s.prior
        else:
            weighed, absent = self._predict(self._belief)
        share = np.asarray(tip_logits, dtype=np.float64) - float(tip_logits.max())
        share *= s.sharpness
        np.exp(share, out=share)
        # Odds of the frame with a tip in this cell against the frame without a tip.
        odds = math.exp(min(max(float(presence_logit), -12.0), 12.0))
        share *= odds * count / float(share.sum())
        share += 1e-6
        if s.trust != 1.0:
            np.power(share, s.trust, out=share)
        weighed *= share
        there = float(weighed.sum())
        weighed /= there + absent
        self._belief = weighed
        self._present = there / (there + absent)
        return self._describe(weighed)

    def _predict(self, belief: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        s = self.settings
        size = 2 * math.ceil(3 * s.motion_cells) + 1
        blurred = cv2.GaussianBlur(belief, (size, size), s.motion_cells, borderType=cv2.BORDER_REPLICATE)
        ahead = np.asarray(blurred, np.float64)
        stays = self._present * (1.0 - s.vanish)
        comes = (1.0 - self._present) * s.appear
        # The blur repeats the border, so it does not keep the sum by itself.
        ahead *= stays * (1.0 - s.jump) / max(float(ahead.sum()), 1e-12)
        ahead += (stays * s.jump + comes) / belief.size
        return ahead, 1.0 - stays - comes

    def _describe(self, belief: NDArray[np.float64]) -> TipBelief:
        reach = self.settings.window_cells
        side = 2 * reach + 1
        mass = cv2.boxFilter(belief, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
        row, column = best_cell(np.asarray(mass, np.float64))
        r0, c0 = max(0, row - reach), max(0, column - reach)
        part = belief[r0 : row + reach + 1, c0 : column + reach + 1]
        by_row, by_column = part.sum(axis=1), part.sum(axis=0)
        score = float(by_row.sum())
        weight = max(score, 1e-12)
        y, x = np.arange(r0, r0 + part.shape[0]), np.arange(c0, c0 + part.shape[1])
        mx, my = float(by_column @ x) / weight, float(by_row @ y) / weight
        variance = (float(by_column @ np.square(x - mx)) + float(by_row @ np.square(y - my))) / weight
        return TipBelief((row, column), score, self._present, (mx, my), math.sqrt(variance))


def doubt_cells(spread_cells: float, score: float) -> float:
    """Scale of a tip's error [cells], to be multiplied by a calibrated factor: wide where the belief is wide or low."""
    return 0.5 + spread_cells + 8.0 * (1.0 - score)


def calibrated(logit: float, scale: float, shift: float) -> float:
    """Probability after Platt scaling of a logit."""
    return float(sigmoid(np.float64(logit * scale + shift)))
