"""Yes/no flags of whole frames: micro figures over image x label, agreement of whole images, calibration, flicker.

Conventions:

- A *decision* is one flag on one image where the truth is known. Micro figures pool all decisions, as the student
  poster on infant lumbar puncture does (its rows follow from its counts, see the tests).
- A withheld decision still has a probability. Accuracy, precision, recall, F1, exact match, Jaccard and Hamming take
  what the plugin would say if it had to (probability >= 0.5), so that methods with and without abstention compare;
  `abstain_rate` and `flag_risk`, the share of wrong among the decided, tell what abstention buys.
- Jaccard of an image with no flag true and none found is 1.
- A share of nothing (precision without a positive) has no value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from puncta.metrics.frames import column
from puncta.metrics.intervals import (
    RESAMPLES,
    SEED,
    Estimate,
    Mean,
    Statistic,
    Weights,
    calibration_error_of,
    draw_resamples,
    estimate,
    mean_of,
    paired_difference,
)
from puncta.metrics.latency import ms_per_frame

LABELS = ("quality", "cord", "csf")
DECIDED_AT = 0.5
POINTING_TOLERANCE = 15.0 / 224.0
"""Share of the picture's longer side that a peak may lie off (15 px of 224: Zhang et al., IJCV 126, 2018)."""


@dataclass(frozen=True, slots=True)
class Counts:
    """True and false positives, false and true negatives; a figure is None where its share is of nothing."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def n(self) -> int:
        """All decisions."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def accuracy(self) -> float | None:
        """Share of right decisions."""
        return _share(self.tp + self.tn, self.n)

    @property
    def precision(self) -> float | None:
        """Share of the flags found that are true."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """Share of the true flags that were found."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


@dataclass(frozen=True, slots=True)
class FlagDecision:
    """One flag on one image.

    Attributes
    ----------
    true : bool
    value : bool or None
        What the plugin says; None means that it withholds an answer.
    probability : float or None
        Its probability that the flag is true, 0..1; None where it gave none.
    """

    true: bool
    value: bool | None
    probability: float | None = None

    @property
    def forced(self) -> bool:
        """What it says, or would say if it had to; a flag it is silent about in every way counts as no."""
        if self.value is not None:
            return self.value
        return self.probability is not None and self.probability >= DECIDED_AT


@dataclass(frozen=True, slots=True)
class FlagFrame:
    """All judged flags of one image.

    Attributes
    ----------
    clip : int
        Clips are what is resampled; give every image a number of its own where images are independent.
    decisions : mapping of label to FlagDecision
        Holds the labels whose truth is known, none else.
    t_ns : int
        Time in the clip [ns], for the flicker.
    unfamiliar : bool
        The plugin called the picture one of a kind that it does not know.
    machine, difficulty : str or None
    image : int
        Number of the picture in its dataset, by which two runs are paired.
    elapsed_ns : int or None
        Time the frame took [ns].
    """

    clip: int
    decisions: Mapping[str, FlagDecision]
    t_ns: int = 0
    unfamiliar: bool = False
    machine: str | None = None
    difficulty: str | None = None
    image: int = 0
    elapsed_ns: int | None = None
    pointed: Mapping[str, bool] = field(default_factory=dict)

    @property
    def cannot_tell(self) -> bool:
        """The picture is called unfamiliar, or every flag is withheld."""
        return self.unfamiliar or all(d.value is None for d in self.decisions.values())


def frame_from_probabilities(
    true: Mapping[str, bool | None],
    probabilities: Mapping[str, float],
    *,
    clip: int,
    t_ns: int = 0,
    threshold: float = DECIDED_AT,
    machine: str | None = None,
    image: int = 0,
) -> FlagFrame:
    """Return the frame of a method that always decides, at one threshold; labels without a truth are left out."""
    decisions = {
        name: FlagDecision(bool(truth), probabilities[name] >= threshold, float(probabilities[name]))
        for name, truth in true.items()
        if truth is not None
    }
    return FlagFrame(clip, decisions, t_ns, machine=machine, image=image)


def count_decisions(frames: Sequence[FlagFrame], label: str | None = None, decided: bool = False) -> Counts:
    """Return the counts over all decisions, of one label or of all (micro); ``decided`` leaves out withheld ones."""
    tp = fp = fn = tn = 0
    for frame in frames:
        for name, d in frame.decisions.items():
            if (label is not None and name != label) or (decided and d.value is None):
                continue
            tp += d.true and d.forced
            fp += d.forced and not d.true
            fn += d.true and not d.forced
            tn += not d.true and not d.forced
    return Counts(tp, fp, fn, tn)


@dataclass(frozen=True, slots=True, eq=False)
class CountRatio:
    """A ratio of two sums over clips, such as F1 from counts.

    Attributes
    ----------
    parts, wholes : ndarray, shape (clips,)
    """

    parts: NDArray[np.float64]
    wholes: NDArray[np.float64]
    n: int

    @property
    def contributing_clips(self) -> int:
        """Clips with a part of the whole."""
        return int(np.count_nonzero(self.wholes))

    def values(self, weights: Weights) -> NDArray[np.float64]:
        """Return the ratio for every row of counts; NaN where it is of nothing."""
        whole = weights @ self.wholes
        return np.where(whole > 0, (weights @ self.parts) / np.where(whole > 0, whole, 1.0), np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class FlickerRate:
    """Changes of what is shown while the truth stays, a minute, summed over the labels.

    Attributes
    ----------
    changes, minutes : ndarray, shape (clips, labels)
        Changes of each flag between neighbouring frames of the same truth, and the time between such frames [min].
    """

    changes: NDArray[np.float64]
    minutes: NDArray[np.float64]
    n: int

    @property
    def contributing_clips(self) -> int:
        """Clips with neighbouring frames of the same truth."""
        return int(np.count_nonzero(self.minutes.sum(axis=1)))

    def values(self, weights: Weights) -> NDArray[np.float64]:
        """Return the rate for every row of counts; NaN without any time."""
        time = weights @ self.minutes
        rates = np.where(time > 0, (weights @ self.changes) / np.where(time > 0, time, 1.0), 0.0)
        return np.where((time > 0).any(axis=1), rates.sum(axis=1), np.nan)


def flicker_of(frames: Sequence[FlagFrame], clips: int) -> FlickerRate:
    """Return how often what is shown changes while the truth does not.

    Yes, no and withheld are three states, and an unfamiliar picture shows none: every change between them is one that
    a viewer sees. A flag's neighbouring frames count while its truth stays the same.
    """
    labels = sorted({name for f in frames for name in f.decisions})
    changes = np.zeros((clips, len(labels)))
    minutes = np.zeros((clips, len(labels)))
    steps = 0
    members: dict[int, list[FlagFrame]] = {}
    for frame in frames:
        members.setdefault(frame.clip, []).append(frame)
    for clip, own in members.items():
        ordered = sorted(own, key=lambda f: (f.t_ns, f.image))
        for a, b in zip(ordered[:-1], ordered[1:]):
            for number, name in enumerate(labels):
                first, second = a.decisions.get(name), b.decisions.get(name)
                if first is None or second is None or first.true != second.true:
                    continue
                changes[clip, number] += _shown(a, first) is not _shown(b, second)
                minutes[clip, number] += (b.t_ns - a.t_ns) / 60e9
                steps += 1
    return FlickerRate(changes, minutes, steps)


def _shown(frame: FlagFrame, decision: FlagDecision) -> bool | None:
    return None if frame.unfamiliar else decision.value


def flag_statistics(frames: Sequence[FlagFrame], clips: int) -> dict[str, Statistic]:
    """Return every figure by its name; figures that no frame speaks about have n = 0.

    Parameters
    ----------
    frames : sequence of FlagFrame
    clips : int
        Number of clips; the frames' clip numbers lie below it.
    """
    rows = [(f.clip, name, d) for f in frames for name, d in f.decisions.items()]
    judged = [f for f in frames if f.decisions]
    timed = column([(f.elapsed_ns, f.clip) for f in judged if f.elapsed_ns is not None])
    scored = [(c, d) for c, _name, d in rows if d.probability is not None]
    out: dict[str, Statistic] = {
        "flag_accuracy": _mean([(float(d.true == d.forced), c) for c, _n, d in rows], clips),
        "flag_precision": _ratio([(c, d.true and d.forced, d.forced) for c, _n, d in rows], clips),
        "flag_recall": _ratio([(c, d.true and d.forced, d.true) for c, _n, d in rows], clips),
        "flag_f1": _f1([(c, d) for c, _n, d in rows], clips),
        "flag_exact_match": _mean(
            [(float(all(d.true == d.forced for d in f.decisions.values())), f.clip) for f in judged], clips
        ),
        "flag_jaccard": _mean([(_jaccard(f), f.clip) for f in judged], clips),
        "flag_hamming": _mean([(float(d.true != d.forced), c) for c, _n, d in rows], clips),
        "flag_risk": _mean([(float(d.true != d.value), c) for c, _n, d in rows if d.value is not None], clips),
        "abstain_rate": _mean([(float(d.value is None), c) for c, _n, d in rows], clips),
        "unfamiliar_rate": _mean([(float(f.unfamiliar), f.clip) for f in judged], clips),
        "cannot_tell_rate": _mean([(float(f.cannot_tell), f.clip) for f in judged], clips),
        "flicker_per_min": flicker_of(judged, clips),
        "ece": calibration_error_of(
            np.asarray([d.probability for _c, d in scored], dtype=np.float64),
            np.asarray([d.true for _c, d in scored], dtype=np.bool_),
            np.asarray([c for c, _d in scored], dtype=np.intp),
            clips,
        ),
        "ms_per_frame": ms_per_frame(timed.values, timed.clip_of),
        "pointing_game": _mean([(float(hit), f.clip) for f in judged for hit in f.pointed.values()], clips),
    }
    for label in sorted({name for _c, name, _d in rows}):
        out[f"flag_f1_{label}"] = _f1([(c, d) for c, name, d in rows if name == label], clips)
    return out


def _jaccard(frame: FlagFrame) -> float:
    both = sum(d.true and d.forced for d in frame.decisions.values())
    either = sum(d.true or d.forced for d in frame.decisions.values())
    return both / either if either else 1.0


def _f1(rows: Sequence[tuple[int, FlagDecision]], clips: int) -> CountRatio:
    parts, wholes = np.zeros(clips), np.zeros(clips)
    for clip, d in rows:
        parts[clip] += 2 * (d.true and d.forced)
        wholes[clip] += int(d.true) + int(d.forced)
    return CountRatio(parts, wholes, len(rows))


def _ratio(rows: Sequence[tuple[int, bool, bool]], clips: int) -> CountRatio:
    parts, wholes = np.zeros(clips), np.zeros(clips)
    for clip, part, whole in rows:
        parts[clip] += part
        wholes[clip] += whole
    return CountRatio(parts, wholes, int(wholes.sum()))


def summarise_flags(
    frames: Sequence[FlagFrame], resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Estimate]:
    """Return every figure with its 95 % interval over clips (over images, where each has a clip of its own)."""
    frames, clips = _renumbered(frames)
    weights = draw_resamples(clips, resamples, seed)
    return {name: estimate(s, weights) for name, s in flag_statistics(frames, clips).items()}


def compare_flags(
    a: Sequence[FlagFrame], b: Sequence[FlagFrame], resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Estimate]:
    """Return a minus b for every figure, on the same resamples of the same clips.

    Raises
    ------
    ValueError
        The two runs did not see the same frames of the same clips.
    """
    if [_truth(f) for f in a] != [_truth(f) for f in b]:
        raise ValueError("the two runs saw different frames")
    a, clips = _renumbered(a)
    b, _clips = _renumbered(b)
    weights = draw_resamples(clips, resamples, seed)
    first, second = flag_statistics(a, clips), flag_statistics(b, clips)
    return {name: paired_difference(first[name], second[name], weights) for name in first}


def summarise_flag_groups(
    frames: Sequence[FlagFrame], key: str, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Mapping[str, Estimate]]:
    """Return the figures of each group, by "machine" or "difficulty"; frames without one are left out."""
    groups: dict[str, list[FlagFrame]] = {}
    for frame in frames:
        name = frame.machine if key == "machine" else frame.difficulty
        if name is not None:
            groups.setdefault(name, []).append(frame)
    return {name: summarise_flags(groups[name], resamples, seed) for name in sorted(groups)}


def pointing_hit(
    heat: NDArray[np.floating], structure: NDArray[np.bool_], tolerance: float = POINTING_TOLERANCE
) -> bool | None:
    """Tell whether a heat map's highest cell lies on a structure, or as near to it as tolerated; None without one.

    The pointing game (Zhang et al., IJCV 126, 2018). The cell's middle is taken, so that the map may be coarse.

    Parameters
    ----------
    heat : ndarray, shape (h, w)
        Covers the same part of the picture as ``structure``.
    structure : ndarray of bool, shape (H, W)
    tolerance : float
        Share of the structure picture's longer side.
    """
    rows, cols = np.nonzero(structure)
    if not len(rows):
        return None
    row, col = np.unravel_index(int(np.argmax(heat)), heat.shape)
    y = (row + 0.5) * structure.shape[0] / heat.shape[0] - 0.5
    x = (col + 0.5) * structure.shape[1] / heat.shape[1] - 0.5
    nearest = float(np.sqrt(np.square(rows - y) + np.square(cols - x)).min())
    return nearest <= max(0.5 ** 0.5, tolerance * max(structure.shape))


def _truth(frame: FlagFrame) -> tuple[object, ...]:
    return frame.clip, frame.image, {name: d.true for name, d in frame.decisions.items()}


def _renumbered(frames: Sequence[FlagFrame]) -> tuple[list[FlagFrame], int]:
    numbers = {clip: number for number, clip in enumerate(sorted({f.clip for f in frames}))}
    return [replace(f, clip=numbers[f.clip]) for f in frames], len(numbers)


def _mean(pairs: Sequence[tuple[float, int]], clips: int) -> Mean:
    found = column(pairs)
    return mean_of(found.values, found.clip_of, clips)
