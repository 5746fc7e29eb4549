"""How well a mask of the needle lies on the true one, frame by frame, and what follows from it over clips.

Conventions, since a share of nothing is not defined:

- *Rated* are frames whose needle lies in the image plane and has a true mask. IoU, Dice, precision and recall are
  computed on each frame and then averaged, as in table 4 of Zhang et al., Front. Oncol. 14:1519536 (2025); their F1 is
  the harmonic mean of the averaged precision and the averaged recall, and so is ours.
- A rated frame without a found mask has IoU, Dice, precision and recall 0: silence is neither exact nor complete.
- A frame without a needle has none of the four. It counts in `false_mask_rate`: one found pixel is a false mask.
- A needle out of the image plane is neither: no mask is right or wrong there. How often one is given anyway stands by
  itself in `out_of_plane_mask_rate`.
- A frame whose true mask was handed to the plugin (a prompt) is left out of everything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from puncta.metrics.frames import column
from puncta.metrics.intervals import (
    RESAMPLES,
    SEED,
    Estimate,
    Mean,
    Median,
    Statistic,
    Weights,
    draw_resamples,
    estimate,
    mean_of,
    median_of,
    paired_difference,
)

Mask = NDArray[np.bool_]

START_IOU = 0.3
"""From this overlap on a tracker counts as started."""
START_FRAMES = 10
"""A start within so many frames of the needle's entry is in time."""
VANISHED_FRAMES = 5
"""A needle seen before has vanished once it has not shown for so many frames."""


class Plane(StrEnum):
    """Where the needle is on a frame."""

    IN_PLANE = "in_plane"
    OUT_OF_PLANE = "out_of_plane"
    NO_NEEDLE = "no_needle"


@dataclass(frozen=True, slots=True)
class MaskFrame:
    """Truth and answer of one frame, as counts of pixels.

    Attributes
    ----------
    clip : int
        Clips are what is resampled.
    index : int
        Place of the frame in its clip; the start's delay counts these.
    plane : Plane
    true_px, found_px, both_px : int
        Pixels of the true mask, of the found one, and of both [px]. ``true_px`` is above 0 exactly where a needle is in
        the plane.
    boundary : float or None
        Mean distance of the two outlines [mm where the scale is known, else None], see `boundary_distance`.
    hidden_frames : int
        For how many frames up to this one a needle seen before has not shown, see `hidden_runs`.
    prompted : bool
        The true mask of this frame was given to the plugin.
    machine, difficulty : str or None
    image : int
        Number of the picture in its dataset, by which two runs are paired.
    """

    clip: int
    index: int
    plane: Plane
    true_px: int
    found_px: int
    both_px: int
    boundary: float | None = None
    hidden_frames: int = 0
    prompted: bool = False
    machine: str | None = None
    difficulty: str | None = None
    image: int = 0

    @property
    def rated(self) -> bool:
        """The frame has IoU, Dice, precision and recall."""
        return self.plane is Plane.IN_PLANE and self.true_px > 0 and not self.prompted

    @property
    def iou(self) -> float:
        """Intersection over union, 0..1; 0 where nothing was found."""
        return _share(self.both_px, self.true_px + self.found_px - self.both_px)

    @property
    def dice(self) -> float:
        """Dice coefficient, 0..1."""
        return _share(2 * self.both_px, self.true_px + self.found_px)

    @property
    def precision(self) -> float:
        """Share of the found mask that is needle, 0..1; 0 where nothing was found."""
        return _share(self.both_px, self.found_px)

    @property
    def recall(self) -> float:
        """Share of the needle that was found, 0..1."""
        return _share(self.both_px, self.true_px)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def judge_mask(
    found: Mask | None,
    true: Mask | None,
    *,
    clip: int,
    index: int,
    plane: Plane | None = None,
    mm_per_px: tuple[float, float] | None = None,
    hidden_frames: int = 0,
    prompted: bool = False,
    machine: str | None = None,
    difficulty: str | None = None,
    image: int = 0,
) -> MaskFrame:
    """Lay a found mask beside the true one.

    Parameters
    ----------
    found, true : ndarray of bool, shape (h, w), or None
        None means empty.
    plane : Plane or None
        None takes IN_PLANE where the true mask holds a pixel and else NO_NEEDLE.

    Raises
    ------
    ValueError
        The masks differ in shape, or a needle in the plane has no true mask.
    """
    if found is not None and true is not None and found.shape != true.shape:
        raise ValueError(f"masks of shape {found.shape} and {true.shape} cannot be compared")
    true_px = 0 if true is None else int(np.count_nonzero(true))
    found_px = 0 if found is None else int(np.count_nonzero(found))
    both_px = 0 if found is None or true is None else int(np.count_nonzero(found & true))
    where = plane or (Plane.IN_PLANE if true_px else Plane.NO_NEEDLE)
    if where is Plane.IN_PLANE and not true_px:
        raise ValueError("a needle in the plane needs a true mask")
    boundary = None
    if where is Plane.IN_PLANE and found_px and mm_per_px is not None and found is not None and true is not None:
        boundary = boundary_distance(found, true, mm_per_px)
    return MaskFrame(
        clip, index, where, true_px, found_px, both_px, boundary, hidden_frames, prompted, machine, difficulty, image
    )


def boundary_distance(a: Mask, b: Mask, spacing: tuple[float, float] = (1.0, 1.0)) -> float | None:
    """Return the mean distance of each outline's pixels to the other outline, both ways; None for an empty one.

    The average symmetric surface distance (Heimann et al., IEEE TMI 28, 2009), in the unit of ``spacing`` (x, y).
    """
    first, second = _outline(a, spacing), _outline(b, spacing)
    if not len(first) or not len(second):
        return None
    to_second, to_first = _nearest(first, second), _nearest(second, first)
    return float((to_second.sum() + to_first.sum()) / (len(first) + len(second)))


def _outline(mask: Mask, spacing: tuple[float, float]) -> NDArray[np.float64]:
    """Pixels of a mask that have a neighbour (of four) outside it, scaled, shape (n, 2)."""
    padded = np.pad(np.asarray(mask, bool), 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    rows, cols = np.nonzero(mask & ~inside)
    return np.stack([cols * spacing[0], rows * spacing[1]], axis=1).astype(np.float64)


def _nearest(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.empty(len(points))
    step = max(1, 2_000_000 // len(others))
    for start in range(0, len(points), step):
        block = points[start : start + step]
        gaps = block[:, None] - others[None]
        out[start : start + step] = np.sqrt(np.square(gaps).sum(axis=2).min(axis=1))
    return out


def hidden_runs(shows: Sequence[bool | None]) -> list[int]:
    """Return for every frame of a clip for how many frames, up to it, a needle seen before has not shown.

    Parameters
    ----------
    shows : sequence of bool or None
        True: the needle in the plane shows; False: it lies in the plane and does not show; None: there is none in the
        plane. A needle that has never shown in the clip is not hidden but unknown, and None ends a run.
    """
    runs, seen, now = [], False, 0
    for state in shows:
        seen = seen or state is True
        now = now + 1 if state is False and seen else 0
        runs.append(now)
    return runs


@dataclass(frozen=True, slots=True, eq=False)
class HarmonicMean:
    """Harmonic mean of two means: F1 of averaged precision and averaged recall."""

    first: Mean
    second: Mean

    @property
    def n(self) -> int:
        """Number of frames."""
        return self.first.n

    @property
    def contributing_clips(self) -> int:
        """Clips with a frame."""
        return self.first.contributing_clips

    def values(self, weights: Weights) -> NDArray[np.float64]:
        """Return the harmonic mean for every row of counts; 0 where both means are 0."""
        p, r = self.first.values(weights), self.second.values(weights)
        total = p + r
        return np.where(total > 0, 2 * p * r / np.where(total > 0, total, 1.0), total)


@dataclass(frozen=True, slots=True)
class Start:
    """When a tracker took up the needle of a clip.

    Attributes
    ----------
    delay : int or None
        Frames from the needle's entry into the plane to the first with IoU >= `START_IOU`; 0 means on the very frame,
        None that it never did.
    watched : int
        Frames from the entry to the clip's end.
    """

    clip: int
    delay: int | None
    watched: int


def starts_of(frames: Sequence[MaskFrame]) -> list[Start]:
    """Return when each clip's needle was taken up; prompted clips, and those without a needle in the plane, have none.

    A clip whose needle lies in the plane from its first frame on begins with its entry. A clip that ends within
    `START_FRAMES` frames of the entry without a start has said nothing and is left out.
    """
    clips: dict[int, list[MaskFrame]] = {}
    for frame in frames:
        clips.setdefault(frame.clip, []).append(frame)
    starts = []
    for clip, members in sorted(clips.items()):
        ordered = sorted(members, key=lambda f: f.index)
        entry = next((f.index for f in ordered if f.plane is Plane.IN_PLANE), None)
        if entry is None or any(f.prompted for f in ordered):
            continue
        begun = next((f.index for f in ordered if f.rated and f.iou >= START_IOU), None)
        watched = ordered[-1].index - entry
        if begun is not None or watched >= START_FRAMES:
            starts.append(Start(clip, None if begun is None else begun - entry, watched))
    return starts


def mask_statistics(frames: Sequence[MaskFrame], clips: int) -> dict[str, Statistic]:
    """Return every figure by its name; figures that no frame speaks about have n = 0.

    Parameters
    ----------
    frames : sequence of MaskFrame
    clips : int
        Number of clips; the frames' clip numbers lie below it.
    """
    frames = [f for f in frames if not f.prompted] if frames else []
    rated = [f for f in frames if f.rated]
    vanished = [f for f in rated if f.hidden_frames >= VANISHED_FRAMES]
    free = [f for f in frames if f.plane is Plane.NO_NEEDLE]
    outside = [f for f in frames if f.plane is Plane.OUT_OF_PLANE]
    precision = _mean([(f.precision, f.clip) for f in rated], clips)
    recall = _mean([(f.recall, f.clip) for f in rated], clips)
    return {
        "mask_iou": _mean([(f.iou, f.clip) for f in rated], clips),
        "mask_dice": _mean([(f.dice, f.clip) for f in rated], clips),
        "mask_precision": precision,
        "mask_recall": recall,
        "mask_f1": HarmonicMean(precision, recall),
        "mask_boundary_mm": _mean([(f.boundary, f.clip) for f in rated if f.boundary is not None], clips),
        "mask_miss_rate": _mean([(float(f.found_px == 0), f.clip) for f in rated], clips),
        "mask_vanished_iou": _mean([(f.iou, f.clip) for f in vanished], clips),
        "mask_vanished_recall": _mean([(f.recall, f.clip) for f in vanished], clips),
        "false_mask_rate": _mean([(float(f.found_px > 0), f.clip) for f in free], clips),
        "out_of_plane_mask_rate": _mean([(float(f.found_px > 0), f.clip) for f in outside], clips),
    }


def start_statistics(frames: Sequence[MaskFrame], clips: int) -> dict[str, Statistic]:
    """Return the median delay of the start [frames], a start that never comes being endless, and the share in time."""
    starts = starts_of(frames)
    delays = column([(math.inf if s.delay is None else float(s.delay), s.clip) for s in starts])
    in_time = [(float(s.delay is not None and s.delay <= START_FRAMES), s.clip) for s in starts]
    median: Median = median_of(delays.values, delays.clip_of)
    return {"start_delay_frames": median, "start_within_10": _mean(in_time, clips)}


def summarise_masks(
    frames: Sequence[MaskFrame], resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Estimate]:
    """Return every figure of masks with its 95 % interval over clips, the start's delay included."""
    frames, clips = _renumbered(frames)
    weights = draw_resamples(clips, resamples, seed)
    return {name: estimate(s, weights) for name, s in _all(frames, clips).items()}


def compare_masks(
    a: Sequence[MaskFrame], b: Sequence[MaskFrame], resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Estimate]:
    """Return a minus b for every figure, on the same resamples of the same clips.

    Frames that were given as a prompt to either run are left out of both.

    Raises
    ------
    ValueError
        The two runs did not see the same frames of the same clips.
    """
    if [_truth(f) for f in a] != [_truth(f) for f in b]:
        raise ValueError("the two runs saw different frames")
    given = [x.prompted or y.prompted for x, y in zip(a, b)]
    a, clips = _renumbered([replace(f, prompted=p) for f, p in zip(a, given)])
    b, _clips = _renumbered([replace(f, prompted=p) for f, p in zip(b, given)])
    weights = draw_resamples(clips, resamples, seed)
    first, second = _all(a, clips), _all(b, clips)
    return {name: paired_difference(first[name], second[name], weights) for name in first}


def summarise_mask_groups(
    frames: Sequence[MaskFrame], key: str, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Mapping[str, Estimate]]:
    """Return the figures of each group, by "machine" or "difficulty"; frames without one are left out.

    A frame without a needle has no difficulty of its own, so that starts and false masks stand by machine only.
    """
    groups: dict[str, list[MaskFrame]] = {}
    for frame in frames:
        name = frame.machine if key == "machine" else frame.difficulty
        if name is not None:
            groups.setdefault(name, []).append(frame)
    summed = {name: summarise_masks(groups[name], resamples, seed) for name in sorted(groups)}
    if key == "machine":
        return dict(summed)
    return {name: {k: v for k, v in s.items() if not k.startswith("start_")} for name, s in summed.items()}


def _all(frames: Sequence[MaskFrame], clips: int) -> dict[str, Statistic]:
    return {**mask_statistics(frames, clips), **start_statistics(frames, clips)}


def _truth(frame: MaskFrame) -> tuple[object, ...]:
    return frame.clip, frame.index, frame.image, frame.plane, frame.true_px, frame.hidden_frames


def _renumbered(frames: Sequence[MaskFrame]) -> tuple[list[MaskFrame], int]:
    numbers = {clip: number for number, clip in enumerate(sorted({f.clip for f in frames}))}
    return [replace(f, clip=numbers[f.clip]) for f in frames], len(numbers)


def _mean(pairs: Sequence[tuple[float, int]], clips: int) -> Mean:
    found = column(pairs)
    return mean_of(found.values, found.clip_of, clips)
