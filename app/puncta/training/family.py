"""The poster's twelve runs: UltraTiny 2D, 2.5D and 3D, each plain, + augmentation, + focal loss, + pose constraints.

Every run sees the same clips, the same number of samples and the same optimiser; what differs stands in its `Run`. The
order of the three additions is our reading of the poster's table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from puncta.core.geometry import box_iou
from puncta.metrics.detection import FrameBoxes, average_precision
from puncta.metrics.intervals import Estimate, Statistic, draw_resamples, estimate, mean_of, median_of
from puncta.training.augment import draw_warp
from puncta.training.data import Clip
from puncta.training.loop import Batch, ClipPool, LoopSettings, Task, train_net
from puncta.training.nets.ultratiny import WINDOW, Kind, UltraTiny
from puncta.training.pose import (
    Pose,
    Window,
    decode_poses,
    hull,
    make_window,
    pose_loss,
    stack_windows,
    window_at,
)

FOCAL_GAMMA = 1.5
STREAM_WINDOW = 9
"""Frames a training window of the streaming kind holds: all that its four causal layers can see."""


@dataclass(frozen=True, slots=True)
class Run:
    """One row of the table."""

    kind: Kind
    augment: bool = False
    focal: bool = False
    constraints: bool = False

    @property
    def name(self) -> str:
        """Such as ``3d+aug+focal+pose``."""
        parts = [self.kind]
        for word, on in (("aug", self.augment), ("focal", self.focal), ("pose", self.constraints)):
            parts += [word] * on
        return "+".join(parts)

    @property
    def window(self) -> int:
        """Frames of a window."""
        return STREAM_WINDOW if self.kind == "stream" else WINDOW


def twelve_runs() -> tuple[Run, ...]:
    """All rows in the poster's order."""
    kinds: tuple[Kind, ...] = ("2d", "2.5d", "3d")
    steps = ((False, False, False), (True, False, False), (True, True, False), (True, True, True))
    return tuple(Run(kind, *step) for kind in kinds for step in steps)


def pose_task(run: Run, size: int) -> Task:
    """Samples and loss of a run."""

    def draw(clip: Clip, rng: np.random.Generator) -> Window:
        return make_window(clip, size, rng, run.window, run.augment)

    def stack(windows: Sequence[Window]) -> Batch:
        return Batch(*stack_windows(windows))

    gamma = FOCAL_GAMMA if run.focal else 0.0
    return Task(draw, stack, lambda maps, targets: pose_loss(maps, targets, gamma, run.constraints))


def train_run(
    run: Run, clips: Sequence[Clip], settings: LoopSettings, folder: Path,
    watch: Callable[[int, dict[str, float], float], None] | None = None,
) -> nn.Module:
    """Train one run to the end of its budget; goes on where a stopped one stood."""
    folder.mkdir(parents=True, exist_ok=True)
    pool = ClipPool([(1.0, clips)], settings.seed)
    task = pose_task(run, settings.size)
    net, _ = train_net(lambda: UltraTiny(run.kind), pool, settings, folder, watch, task=task)
    return net


@dataclass(frozen=True, slots=True)
class Answer:
    """What a network said about one judged frame, with the truth; points in input px, ``scale`` [mm/px] or None."""

    clip: int
    pose: Pose
    tip_px: tuple[float, float] | None
    entry_px: tuple[float, float] | None
    scale: tuple[float, float] | None


def answer_clips(net: nn.Module, run: Run, clips: Sequence[Clip], size: int) -> list[Answer]:
    """Run a network over every judged frame of clips, in time and unchanged."""
    out: list[Answer] = []
    cv2.setNumThreads(1)
    with torch.no_grad():
        for number, clip in enumerate(clips):
            frames = np.flatnonzero(clip.judged >= 0)
            if not len(frames):
                continue
            source = clip.frames.shape[1]
            warp = draw_warp(np.random.default_rng(0), source, size, plain=True)
            windows = [
                window_at(clip, size, [max(0, int(f) - k) for k in range(run.window - 1, -1, -1)], warp, None)
                for f in frames
            ]
            batch, _ = stack_windows(windows)
            poses = [p for part in batch.split(32) for p in decode_poses(net(part), run.constraints)]
            shrink = source / size
            scale = (clip.mm_per_px[0] * shrink, clip.mm_per_px[1] * shrink) if clip.mm_per_px else None
            for window, pose in zip(windows, poses, strict=True):
                here = not np.isnan(window.tip_px).any()
                tip = (float(window.tip_px[0]), float(window.tip_px[1])) if here else None
                entry = (float(window.entry_px[0]), float(window.entry_px[1])) if here else None
                out.append(Answer(number, pose, tip, entry, scale))
    return out


def _as_box(box: Sequence[float]) -> tuple[float, float, float, float]:
    return box[0], box[1], box[2] - box[0], box[3] - box[1]


def _true_box(answer: Answer) -> tuple[float, float, float, float]:
    corners = hull(torch.tensor([answer.tip_px]), torch.tensor([answer.entry_px]))[0]
    return _as_box([float(v) for v in corners])


def best_threshold(answers: Sequence[Answer]) -> float:
    """Score with the best F1 at IoU .5; to be chosen on the tune split and kept."""
    scored = sorted(answers, key=lambda a: -a.pose.score)
    needles = sum(a.tip_px is not None for a in answers)
    hits, best, threshold = 0, -1.0, 0.5
    for rank, a in enumerate(scored, start=1):
        hits += a.tip_px is not None and box_iou(_true_box(a), _as_box(a.pose.box)) >= 0.5
        f1 = 2 * hits / max(1, rank + needles)
        if f1 > best:
            best, threshold = f1, a.pose.score
    return threshold


def figures(answers: Sequence[Answer], clips: int, threshold: float) -> dict[str, Statistic]:
    """Statistics over clips by their names in the evaluation format, and F1 of boxes."""
    frames = [
        FrameBoxes(a.clip, () if a.tip_px is None else (_true_box(a),), ((a.pose.score, _as_box(a.pose.box)),))
        for a in answers
    ]
    there = [a for a in answers if a.tip_px is not None]
    gone = [a for a in answers if a.tip_px is None]
    told = [a for a in there if a.pose.score >= threshold]

    def means(values: Sequence[float], of: Sequence[Answer]) -> Statistic:
        return mean_of(np.array(values, float), np.array([a.clip for a in of], np.intp), clips)

    def overlap(a: Answer) -> float:
        return box_iou(_true_box(a), _as_box(a.pose.box)) if a.pose.score >= threshold else 0.0

    def error_mm(a: Answer) -> float:
        assert a.tip_px is not None
        sx, sy = a.scale or (np.nan, np.nan)
        return float(np.hypot((a.pose.tip_px[0] - a.tip_px[0]) * sx, (a.pose.tip_px[1] - a.tip_px[1]) * sy))

    def angle_error(a: Answer) -> float:
        assert a.tip_px is not None
        assert a.entry_px is not None
        one = np.subtract(a.pose.entry_px, a.pose.tip_px)
        two = np.subtract(a.entry_px, a.tip_px)
        cosine = abs(float(one @ two)) / max(1e-6, float(np.hypot(*one) * np.hypot(*two)))
        return float(np.degrees(np.arccos(min(1.0, cosine))))

    errors = {id(a): error_mm(a) for a in there}
    told_clips = np.array([a.clip for a in told], np.intp)
    return {
        "needle_ap50": average_precision(frames, clips, (0.5,)),
        "needle_ap70": average_precision(frames, clips, (0.7,)),
        "needle_iou": means([overlap(a) for a in there], there),
        "tip_within_2mm": means([errors[id(a)] <= 2.0 and a.pose.score >= threshold for a in there], there),
        "tip_within_3mm": means([errors[id(a)] <= 3.0 and a.pose.score >= threshold for a in there], there),
        "tip_error_mm": median_of(np.array([errors[id(a)] for a in told]), told_clips),
        "angle_error_deg": median_of(np.array([angle_error(a) for a in told]), told_clips),
        "miss_rate": means([a.pose.score < threshold for a in there], there),
        "false_alarm_rate": means([a.pose.score >= threshold for a in gone], gone),
    }


def evaluate_run(answers: Sequence[Answer], clips: int, threshold: float) -> Mapping[str, Estimate]:
    """Figures with 95 % intervals, resampled by clips."""
    resamples = draw_resamples(clips)
    return {name: estimate(s, resamples) for name, s in figures(answers, clips, threshold).items()}
