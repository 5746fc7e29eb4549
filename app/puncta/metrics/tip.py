"""How far found tips lie from labelled ones, and how often a tip is missed, invented or withheld."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from puncta.core.geometry import PointPx
from puncta.metrics.frames import Axis, JudgedFrame, column
from puncta.metrics.intervals import (
    CalibrationError,
    Mean,
    Median,
    Percentile,
    calibration_error_of,
    mean_of,
    median_of,
    percentile_of,
)


def tip_error_px(frames: Sequence[JudgedFrame]) -> Median:
    """Return the median distance of found tips to labelled tips [px]; misses are told by `miss_rate`."""
    pairs = [(math.dist(f.labels.tip_px, f.answer.tip_px), f.clip) for f in _found(frames)]  # type: ignore[arg-type]
    found = column(pairs)
    return median_of(found.values, found.clip_of)


def tip_error_mm(frames: Sequence[JudgedFrame]) -> Median:
    """Return the median distance of found tips to labelled tips [mm], over calibrated frames."""
    found = column([(error, f.clip) for f in _found(frames) if (error := _error_mm(f)) is not None])
    return median_of(found.values, found.clip_of)


def tip_error_mm_p95(frames: Sequence[JudgedFrame]) -> Percentile:
    """Return the distance [mm] that 95 % of found tips do not exceed, over calibrated frames."""
    found = column([(error, f.clip) for f in _found(frames) if (error := _error_mm(f)) is not None])
    return percentile_of(found.values, found.clip_of, 0.95)


def tip_within_mm(frames: Sequence[JudgedFrame], clips: int, limit_mm: float) -> Mean:
    """Return the share of calibrated frames with a labelled tip whose tip was found within a distance [mm].

    A miss counts as not within, so that silence does not pay.
    """
    pairs = []
    for f in frames:
        if f.labels.tip_px is not None and f.labels.mm_per_px is not None:
            error = _error_mm(f)
            pairs.append((float(error is not None and error <= limit_mm), f.clip))
    return _share(pairs, clips)


def miss_rate(frames: Sequence[JudgedFrame], clips: int) -> Mean:
    """Return the share of frames with a labelled tip on which no tip was given."""
    return _share([(float(f.answer.tip_px is None), f.clip) for f in frames if f.labels.tip_px is not None], clips)


def false_alarm_rate(frames: Sequence[JudgedFrame], clips: int) -> Mean:
    """Return the share of true negatives on which a tip was given."""
    pairs = [
        (float(f.answer.tip_px is not None), f.clip)
        for f in frames
        if f.labels.tip_judged and f.labels.tip_px is None
    ]
    return _share(pairs, clips)


def abstain_rate(frames: Sequence[JudgedFrame], clips: int) -> Mean:
    """Return the share of judged frames on which the plugin withheld a tip and said why."""
    return _share([(float(f.answer.withheld), f.clip) for f in frames if f.labels.tip_judged], clips)


def unfamiliar_rate(frames: Sequence[JudgedFrame], clips: int) -> Mean:
    """Return the share of judged frames that the plugin called unfamiliar."""
    return _share([(float(f.answer.unfamiliar), f.clip) for f in frames if f.labels.tip_judged], clips)


def coverage90(frames: Sequence[JudgedFrame], clips: int) -> Mean:
    """Return the share of found tips whose circle, meant to hold 9 in 10, holds the labelled tip."""
    pairs = []
    for f in _found(frames):
        if f.answer.radius90_px is not None:
            error = math.dist(f.labels.tip_px, f.answer.tip_px)  # type: ignore[arg-type]
            pairs.append((float(error <= f.answer.radius90_px), f.clip))
    return _share(pairs, clips)


def expected_calibration_error(frames: Sequence[JudgedFrame], clips: int) -> CalibrationError:
    """Return the calibration error of the confidence that a tip is there, over judged frames with a confidence."""
    scored = [f for f in frames if f.labels.tip_judged and f.answer.score is not None]
    return calibration_error_of(
        np.asarray([f.answer.score for f in scored], dtype=np.float64),
        np.asarray([f.labels.tip_px is not None for f in scored], dtype=np.bool_),
        np.asarray([f.clip for f in scored], dtype=np.intp),
        clips,
    )


def angle_error_deg(frames: Sequence[JudgedFrame]) -> Median:
    """Return the median angle between found and labelled needle axes [deg], 0..90, over frames that have both."""
    pairs = []
    for f in frames:
        if f.labels.axis is not None and f.answer.axis is not None:
            angle = axis_difference_deg(f.labels.axis, f.answer.axis, f.labels.mm_per_px)
            if angle is not None:
                pairs.append((angle, f.clip))
    found = column(pairs)
    return median_of(found.values, found.clip_of)


def axis_difference_deg(a: Axis, b: Axis, mm_per_px: tuple[float, float] | None) -> float | None:
    """Return the angle between two undirected axes [deg], 0..90; None where one has no length.

    Measured in millimetres where they are known, since pixels need not be square.
    """
    va, vb = _vector(*a, mm_per_px), _vector(*b, mm_per_px)
    if not any(va) or not any(vb):
        return None
    cross = va[0] * vb[1] - va[1] * vb[0]
    dot = va[0] * vb[0] + va[1] * vb[1]
    return math.degrees(math.atan2(abs(cross), abs(dot)))


def _vector(start: PointPx, end: PointPx, mm_per_px: tuple[float, float] | None) -> tuple[float, float]:
    sx, sy = mm_per_px or (1.0, 1.0)
    return ((end[0] - start[0]) * sx, (end[1] - start[1]) * sy)


def _found(frames: Sequence[JudgedFrame]) -> list[JudgedFrame]:
    return [f for f in frames if f.labels.tip_px is not None and f.answer.tip_px is not None]


def _error_mm(frame: JudgedFrame) -> float | None:
    true, found, scale = frame.labels.tip_px, frame.answer.tip_px, frame.labels.mm_per_px
    if true is None or found is None or scale is None:
        return None
    return math.hypot((found[0] - true[0]) * scale[0], (found[1] - true[1]) * scale[1])


def _share(pairs: Sequence[tuple[float, int]], clips: int) -> Mean:
    found = column(pairs)
    return mean_of(found.values, found.clip_of, clips)
