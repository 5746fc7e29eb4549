"""Bootstrap intervals over clips, and paired differences between two runs on the same clips.

Frames of one clip resemble each other, so clips are resampled, never frames. A resample is a row of counts, one a clip;
every statistic is a function of such rows, so 2,000 resamples are a few array operations and two runs can share them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
SEED = 20

Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; all three are None where nothing can be said.

    Attributes
    ----------
    value : float or None
    low, high : float or None
        Percentile interval; None where fewer than two clips contribute.
    n : int
        Frames (for AP: labelled objects) the figure rests on.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int


class Statistic(Protocol):
    """A figure that can be computed for any multiset of clips."""

    @property
    def n(self) -> int:
        """What the figure rests on."""
        ...

    @property
    def contributing_clips(self) -> int:
        """Clips that hold at least one frame the figure rests on."""
        ...

    def values(self, weights: Weights) -> NDArray[np.float64]:
        """Return the figure for every row of counts, shape (rows, clips) -> (rows,); NaN where it is undefined."""
        ...


def draw_resamples(clips: int, resamples: int = RESAMPLES, seed: int = SEED) -> Weights:
    """Draw bootstrap resamples of clips as counts, shape (resamples, clips); the same for the same seed."""
    if clips == 0:
        return np.zeros((resamples, 0))
    rng = np.random.default_rng(seed)
    return rng.multinomial(clips, np.full(clips, 1.0 / clips), size=resamples).astype(np.float64)


def estimate(statistic: Statistic, resamples: Weights) -> Estimate:
    """Return a statistic with its percentile interval (Efron, 2.5 and 97.5 %).

    Resamples in which the statistic is undefined are left out.
    """
    if statistic.n == 0:
        return Estimate(None, None, None, 0)
    value = float(statistic.values(np.ones((1, resamples.shape[1])))[0])
    if not np.isfinite(value):
        return Estimate(None, None, None, statistic.n)
    if statistic.contributing_clips < 2:
        return Estimate(value, None, None, statistic.n)
    low, high = _percentiles(statistic.values(resamples))
    return Estimate(value, low, high, statistic.n)


def paired_difference(a: Statistic, b: Statistic, resamples: Weights) -> Estimate:
    """Return a minus b with its interval, both computed on the same resamples of the same clips.

    ``n`` is the smaller of the two; value None where either is undefined.
    """
    n = min(a.n, b.n)
    ones = np.ones((1, resamples.shape[1]))
    if n == 0:
        return Estimate(None, None, None, 0)
    value = float(a.values(ones)[0] - b.values(ones)[0])
    if not np.isfinite(value):
        return Estimate(None, None, None, n)
    if min(a.contributing_clips, b.contributing_clips) < 2:
        return Estimate(value, None, None, n)
    low, high = _percentiles(a.values(resamples) - b.values(resamples))
    return Estimate(value, low, high, n)


def _percentiles(values: NDArray[np.float64]) -> tuple[float | None, float | None]:
    defined = values[np.isfinite(values)]
    if len(defined) == 0:
        return None, None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def _divide(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator > 0)


@dataclass(frozen=True, slots=True, eq=False)
class Mean:
    """Mean over frames (a share, where the values are 0 and 1).

    Attributes
    ----------
    sums, counts : ndarray, shape (clips,)
        Sum of the values and number of values of each clip.
    """

    sums: NDArray[np.float64]
    counts: NDArray[np.float64]

    @property
    def n(self) -> int:
        """Number of values."""
        return int(self.counts.sum())

    @property
    def contributing_clips(self) -> int:
        """Clips with a value."""
        return int(np.count_nonzero(self.counts))

    def values(self, weights: Weights) -> NDArray[np.float64]:
        """Return the mean for every row of counts."""
        return _divide(weights @ self.sums, weights @ self.counts)


def mean_of(values: NDArray[np.float64], clip_of: NDArray[np.intp], clips: int) -> Mean:
    """Return the mean of values whose clip numbers are given."""
    return Mean(
        np.bincount(clip_of, weights=values, minlength=clips).astype(np.float64),
        np.bincount(clip_of, minlength=clips).astype(np.float64),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Median:
    """Median over frames; with an even number the mean of the middle two.

    Attributes
    ----------
    sorted_values : ndarray, shape (n,)
    clip_of : ndarray of int, shape (n,)
        Clip number of each sorted value.
    """

    sorted_values: NDArray[np.float64]
    clip_of: NDArray[np.intp]

    @property
    def n(self) -> int:
        """Number of values."""
        return len(self.sorted_values)

    @property
    def contributing_clips(self) -> int:
        """Clips with a value."""
        return len(np.unique(self.clip_of))

    def values(self, weights: Weights) -> NDArray[np.float64]:
        """Return the median for every row of counts."""
        out = np.full(len(weights), np.nan)
        if self.n == 0:
            return out
        for start, stop in row_blocks(len(weights), self.n):
            # Counts are whole numbers, so cumulated halves compare exactly and a row of ones gives numpy's median.
            cumulated = np.cumsum(weights[start:stop][:, self.clip_of], axis=1)
            half = cumulated[:, -1:] / 2.0
            lower = np.argmax(cumulated >= half, axis=1)
            upper = np.argmax(cumulated > half, axis=1)
            middle = (self.sorted_values[lower] + self.sorted_values[upper]) / 2.0
            out[start:stop] = np.where(half[:, 0] > 0, middle, np.nan)
        return out


def median_of(values: NDArray[np.float64], clip_of: NDArray[np.intp]) -> Median:
    """Return the median of values whose clip numbers are given."""
    order = np.argsort(values, kind="stable")
    return Median(np.asarray(values, dtype=np.float64)[order], np.asarray(clip_of, dtype=np.intp)[order])


@dataclass(frozen=True, slots=True, eq=False)
class Percentile:
    """The smallest value that a share of the frames does not exceed (inverse of the distribution, no interpolation).

    Attributes
    ----------
    sorted_values : ndarray, shape (n,)
    clip_of : ndarray of int, shape (n,)
        Clip number of each sorted value.
    share : float
        0..1.
    """

    sorted_values: NDArray[np.float64]
    clip_of: NDArray[np.intp]
    share: float

    @property
    def n(self) -> int:
        """Number of values."""
        return len(self.sorted_values)

    @property
    def contributing_clips(self) -> int:
        """Clips with a value."""
        return len(np.unique(self.clip_of))

    def values(self, weights: Weights) -> NDArray[np.float64]:
        """Return the percentile for every row of counts."""
        out = np.full(len(weights), np.nan)
        if self.n == 0:
            return out
        for start, stop in row_blocks(len(weights), self.n):
            cumulated = np.cumsum(weights[start:stop][:, self.clip_of], axis=1)
            total = cumulated[:, -1]
            # A hair less, so that a share that is met exactly is not missed by rounding.
            at = np.argmax(cumulated >= (self.share - 1e-12) * total[:, None], axis=1)
            out[start:stop] = np.where(total > 0, self.sorted_values[at], np.nan)
        return out


def percentile_of(values: NDArray[np.float64], clip_of: NDArray[np.intp], share: float) -> Percentile:
    """Return a percentile of values whose clip numbers are given."""
    order = np.argsort(values, kind="stable")
    return Percentile(np.asarray(values, dtype=np.float64)[order], np.asarray(clip_of, dtype=np.intp)[order], share)


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationError:
    """Expected calibration error of a score, 0..1: the mean gap between score and share of positives over equal bins.

    Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3.

    Attributes
    ----------
    gaps : ndarray, shape (clips, bins)
        Sum of (score - outcome) of each clip and bin.
    counts : ndarray, shape (clips, bins)
    """

    gaps: NDArray[np.float64]
    counts: NDArray[np.float64]

    @property
    def n(self) -> int:
        """Number of scored frames."""
        return int(self.counts.sum())

    @property
    def contributing_clips(self) -> int:
        """Clips with a scored frame."""
        return int(np.count_nonzero(self.counts.sum(axis=1)))

    def values(self, weights: Weights) -> NDArray[np.float64]:
        """Return the calibration error for every row of counts."""
        # Sum over bins of (count / total) * |gap / count| is the sum of |gap| / total.
        return _divide(np.abs(weights @ self.gaps).sum(axis=1), (weights @ self.counts).sum(axis=1))


def calibration_error_of(
    scores: NDArray[np.float64], outcomes: NDArray[np.bool_], clip_of: NDArray[np.intp], clips: int, bins: int = 10
) -> CalibrationError:
    """Return the calibration error of scores (clipped to 0..1) against yes/no outcomes."""
    scores = np.clip(scores, 0.0, 1.0)
    bin_of = np.minimum((scores * bins).astype(np.intp), bins - 1)
    cell = clip_of * bins + bin_of
    gaps = np.bincount(cell, weights=scores - outcomes, minlength=clips * bins).astype(np.float64)
    counts = np.bincount(cell, minlength=clips * bins).astype(np.float64)
    return CalibrationError(gaps.reshape(clips, bins), counts.reshape(clips, bins))


def row_blocks(rows: int, columns: int) -> list[tuple[int, int]]:
    """Split rows so that a block of (rows, columns) doubles stays near 32 MB."""
    step = max(1, 4_000_000 // max(1, columns))
    return [(start, min(start + step, rows)) for start in range(0, rows, step)]
