"""Average precision of boxes, ranked by score over all frames.

The rule is COCO's: within a frame, detections in the order of their scores take the still free label of largest overlap
at or above the threshold; precision is made non-increasing from the right and read at 101 recalls 0, 0.01 .. 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from puncta.core.geometry import box_iou
from puncta.core.results import Box
from puncta.metrics.intervals import Weights, row_blocks

RECALLS = np.linspace(0.0, 1.0, 101)
AP_10_50 = (0.1, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True, slots=True)
class FrameBoxes:
    """Labelled boxes of one class on one frame, and what was found: (score, box) pairs.

    A frame that is not judged for the class must not be made into one of these.
    """

    clip: int
    labelled: tuple[Box, ...]
    found: tuple[tuple[float, Box], ...]


def match_boxes(labelled: Sequence[Box], found: Sequence[tuple[float, Box]], iou: float) -> list[bool]:
    """Tell for each found box, in the given order, whether it hits a label at or above an overlap.

    Scores decide who chooses first; equal scores keep their order.
    """
    hits = [False] * len(found)
    free = set(range(len(labelled)))
    for i in sorted(range(len(found)), key=lambda k: -found[k][0]):
        overlaps = {j: box_iou(labelled[j], found[i][1]) for j in free}
        best = max(overlaps, key=lambda j: (overlaps[j], -j), default=None)
        # COCO's tolerance: an overlap that is the threshold but for rounding counts.
        if best is not None and overlaps[best] >= min(iou, 1 - 1e-10):
            hits[i] = True
            free.remove(best)
    return hits


@dataclass(frozen=True, slots=True, eq=False)
class AveragePrecision:
    """AP of one class, averaged over overlap thresholds.

    Attributes
    ----------
    hits : ndarray of bool, shape (thresholds, found)
        Found boxes in falling order of score.
    clip_of : ndarray of int, shape (found,)
    positives : ndarray, shape (clips,)
        Labelled boxes of each clip.
    """

    hits: NDArray[np.bool_]
    clip_of: NDArray[np.intp]
    positives: NDArray[np.float64]

    @property
    def n(self) -> int:
        """Number of labelled boxes."""
        return int(self.positives.sum())

    @property
    def contributing_clips(self) -> int:
        """Clips with a label."""
        return int(np.count_nonzero(self.positives))

    def values(self, weights: Weights) -> NDArray[np.float64]:
        """Return AP for every row of counts; NaN where a row holds no label."""
        total = weights @ self.positives
        out = np.where(total > 0, 0.0, np.nan)
        if self.hits.shape[1] == 0:
            return out
        for start, stop in row_blocks(len(weights), self.hits.shape[1]):
            taken = weights[start:stop][:, self.clip_of]
            found = np.cumsum(taken, axis=1)
            labels = np.maximum(total[start:stop], 1.0)
            per_iou = [_interpolated_ap(np.cumsum(taken * hit, axis=1), found, labels) for hit in self.hits]
            out[start:stop] += np.mean(per_iou, axis=0)
        return out


def _interpolated_ap(
    true: NDArray[np.float64], found: NDArray[np.float64], labels: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the 101-point AP of each row from cumulated true positives and cumulated finds, shape (rows, found)."""
    precision = np.divide(true, found, out=np.zeros_like(true), where=found > 0)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # A recall that is never reached has precision 0.
    precision = np.concatenate([precision, np.zeros((len(precision), 1))], axis=1)
    recall = true / labels[:, None]
    return np.array([row[np.searchsorted(r, RECALLS, side="left")].mean() for row, r in zip(precision, recall)])


def average_precision(frames: Sequence[FrameBoxes], clips: int, ious: Sequence[float]) -> AveragePrecision:
    """Return AP over frames, averaged over overlap thresholds (one threshold: AP at that overlap)."""
    scores: list[float] = []
    clip_of: list[int] = []
    hits: list[list[bool]] = [[] for _ in ious]
    positives = np.zeros(clips)
    for frame in frames:
        positives[frame.clip] += len(frame.labelled)
        scores.extend(score for score, _box in frame.found)
        clip_of.extend([frame.clip] * len(frame.found))
        for row, iou in zip(hits, ious):
            row.extend(match_boxes(frame.labelled, frame.found, iou))
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    matrix = np.asarray(hits, dtype=np.bool_).reshape(len(ious), len(scores))
    return AveragePrecision(matrix[:, order], np.asarray(clip_of, dtype=np.intp)[order], positives)
