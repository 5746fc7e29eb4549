"""The rows of a study: networks that are taught alike, on the same clips with the same budget, and answer alike.

The poster's twelve are UltraTiny 2D, 2.5D and 3D, each plain, + augmentation, + focal loss, + pose constraints (the
order of the three additions is our reading of its table). Beside them stand UltraTiny's streaming kind and the design
we ship. Every row answers with a tip, an entry and a score, so that all figures are computed alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from puncta.core.geometry import clip_segment
from puncta.imaging.axis import line_evidence, search_axis
from puncta.imaging.heatmap import best_cell, point_from_cell, sigmoid
from puncta.imaging.motion_history import CHANNELS, MotionHistory
from puncta.training.augment import STRIDE, draw_warp
from puncta.training.data import Clip
from puncta.training.loop import Batch, ClipPool, LoopSettings, Task, tip_task, train_net
from puncta.training.nets.tip_stream import TipStream
from puncta.training.nets.ultratiny import WINDOW, Kind, UltraTiny, drop_aids
from puncta.training.pose import Window, decode_poses, make_window, needle_in, pose_loss, stack_windows, standardise

FOCAL_GAMMA = 1.5
Net = Literal["ultratiny", "tip_stream"]
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Row:
    """How one row of a study is taught.

    Attributes
    ----------
    kind : str
        Kind of UltraTiny; of no meaning for other networks.
    shift : bool
        Temporal shift; of no meaning for UltraTiny.
    frames : int
        Frames of a sample that are answered; a budget counts each of them.
    plain_looks : float
        Share of augmented samples whose looks are left nearly as they are.
    size : int
        Side of the input [px].
    """

    name: str
    net: Net = "ultratiny"
    kind: Kind = "2d"
    shift: bool = True
    widths: tuple[int, ...] = (16, 32, 64, 112, 128)
    frames: int = 1
    size: int = 192
    augment: bool = False
    plain_looks: float = 0.0
    focal_gamma: float = 0.0
    constraints: bool = False


def twelve_rows(size: int = 192) -> tuple[Row, ...]:
    """The poster's rows in its order."""
    kinds: tuple[Kind, ...] = ("2d", "2.5d", "3d")
    steps: tuple[tuple[str, dict[str, Any]], ...] = (
        ("", {}),
        ("-aug", {"augment": True}),
        ("-aug-focal", {"augment": True, "focal_gamma": FOCAL_GAMMA}),
        ("-aug-focal-pose", {"augment": True, "focal_gamma": FOCAL_GAMMA, "constraints": True}),
    )
    names = {kind: "ut" + kind.replace(".", "_") for kind in kinds}
    return tuple(Row(names[kind] + end, kind=kind, size=size, **how) for kind in kinds for end, how in steps)


class WholeClip(nn.Module):
    """UltraTiny's streaming kind, which answers on every frame of a clip: (B, T, S, S) -> (B, T, 8, h, w)."""

    def __init__(self, taught: bool = False) -> None:
        super().__init__()
        self.net = UltraTiny("stream", taught)

    def forward(self, clip: Tensor) -> Tensor:
        """Run."""
        return self.net.run_clip(clip)


def build_net(row: Row, taught: bool = False) -> nn.Module:
    """Make a row's untrained network; ``taught`` with what helps to train it and is thrown away afterwards."""
    if row.net == "tip_stream":
        return TipStream(len(CHANNELS), row.widths, row.shift)
    return WholeClip(taught) if row.kind == "stream" else UltraTiny(row.kind, taught)


def task_of(row: Row) -> Task:
    """Samples and loss of a row."""
    if row.net == "tip_stream":
        return tip_task(row.size, row.augment, row.frames, row.plain_looks)
    streams = row.kind == "stream"
    length = row.frames if streams else WINDOW

    def draw(clip: Clip, rng: np.random.Generator) -> Window:
        sees = 1 if row.kind == "2d" else length
        return make_window(clip, row.size, rng, length, row.augment, sees, row.frames, row.plain_looks)

    def stack(windows: Sequence[Window]) -> Batch:
        return Batch(*stack_windows(windows))

    return Task(draw, stack, lambda maps, targets: pose_loss(maps, targets, row.focal_gamma, row.constraints))


def train_row(
    row: Row, groups: Sequence[tuple[float, Sequence[Clip]]], settings: LoopSettings, folder: Path,
    watch: Callable[[int, dict[str, float], float], None] | None = None,
) -> tuple[nn.Module, bool]:
    """Train a row to the end of its budget (true) or as far as the settings allow; a stopped one goes on."""
    if settings.batch % row.frames:
        raise ValueError(f"a batch of {settings.batch} frames is no whole number of runs of {row.frames}")
    own = replace(settings, length=row.frames, size=row.size)
    folder.mkdir(parents=True, exist_ok=True)
    pool = ClipPool(groups, own.seed)
    net, done = train_net(lambda: build_net(row, taught=True), pool, own, folder, watch, task=task_of(row))
    drop_aids(net)
    return net, done


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is true on the judged frames of a set of clips, as columns of N frames; points in input px.

    Attributes
    ----------
    clip, frame : ndarray of int, shape (N,)
        Number of the clip and of the frame in it.
    tip_px, entry_px : ndarray, shape (N, 2)
        NaN where there is no needle.
    mm_per_px : ndarray, shape (N, 2)
        NaN where it is not known.
    """

    clips: int
    size: int
    clip: NDArray[np.intp]
    frame: NDArray[np.intp]
    tip_px: NDArray[np.float64]
    entry_px: NDArray[np.float64]
    mm_per_px: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a row said on the frames of a `Truth`, as columns; points in input px, entries NaN where none is told."""

    score: NDArray[np.float64]
    tip_px: NDArray[np.float64]
    entry_px: NDArray[np.float64]


def truth_of(clips: Sequence[Clip], size: int, every: int = 1) -> Truth:
    """Truth of the judged frames of clips (every n-th of them); a tip cut off by the picture's border is not judged."""
    clip_of, frame_of, tips, entries, scales = [], [], [], [], []
    for number, clip in enumerate(clips):
        warp = plain_warp(clip, size)
        shrink = clip.frames.shape[1] / size
        scale = np.multiply(clip.mm_per_px, shrink) if clip.mm_per_px else np.full(2, np.nan)
        for frame in np.flatnonzero(clip.judged >= 0)[::every]:
            tip, entry, _ = needle_in(clip, int(frame), warp, size)
            if clip.judged[frame] == 1 and np.isnan(tip).any():
                continue
            clip_of.append(number)
            frame_of.append(int(frame))
            tips.append(tip)
            entries.append(entry)
            scales.append(scale)
    return Truth(len(clips), size, np.array(clip_of, np.intp), np.array(frame_of, np.intp), _points(tips),
                 _points(entries), _points(scales))


def _points(rows: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.array(rows, np.float64).reshape(-1, 2)


def plain_warp(clip: Clip, size: int) -> NDArray[np.float64]:
    """Map from cached to input pixels that changes nothing else."""
    return draw_warp(np.random.default_rng(0), clip.frames.shape[1], size, plain=True)


def plain_frames(clip: Clip, size: int) -> NDArray[np.uint8]:
    """A clip's frames in a network's size, shape (T, S, S)."""
    warp = plain_warp(clip, size)
    return np.stack([cv2.warpAffine(f, warp, (size, size), flags=cv2.INTER_LINEAR) for f in clip.frames])


AnswerFrames = Callable[[NDArray[np.uint8], NDArray[np.intp]], Answers]
"""Answers for some frames of a clip, given all of them, shape (T, S, S), and the numbers of those asked for."""


def answer_clips(
    answer: AnswerFrames, clips: Sequence[Clip], truth: Truth, watch: Callable[[int, int], None] | None = None
) -> Answers:
    """Answer on every judged frame of a set, each clip from its first frame on."""
    cv2.setNumThreads(1)
    parts = []
    for number, clip in enumerate(clips):
        asked = truth.frame[truth.clip == number]
        if len(asked):
            parts.append(answer(plain_frames(clip, truth.size), asked))
        if watch:
            watch(number + 1, len(clips))
    return Answers(*(np.concatenate([getattr(p, name) for p in parts]) for name in Answers.__slots__))


def reader_of(row: Row, net: nn.Module) -> AnswerFrames:
    """How a row's trained network answers."""
    if row.net == "tip_stream":
        return lambda frames, asked: _answer_tip(net, frames, asked)
    return lambda frames, asked: _answer_pose(row, net, frames, asked)


def _answer_pose(row: Row, net: nn.Module, frames: NDArray[np.uint8], asked: NDArray[np.intp]) -> Answers:
    grey = torch.from_numpy(standardise(frames))
    # As in training, at half the time; the answer's own layer stays in full precision.
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        if row.kind == "stream":
            maps = net(grey[None])[0][torch.from_numpy(asked)]
        else:
            back = np.arange(WINDOW - 1, -1, -1)
            numbers = torch.from_numpy(np.maximum(asked[:, None] - back, 0))
            maps = torch.cat([net(grey[part]) for part in numbers.split(_BATCH)])
    poses = decode_poses(maps, row.constraints)
    return Answers(np.array([p.score for p in poses]), _points([np.array(p.tip_px) for p in poses]),
                   _points([np.array(p.entry_px) for p in poses]))


def _answer_tip(net: nn.Module, frames: NDArray[np.uint8], asked: NDArray[np.intp]) -> Answers:
    history = MotionHistory(frames.shape[1])
    channels: list[NDArray[np.float32]] = []
    at: list[int] = []
    for frame in frames:
        # As in the plugin, a frame that repeats the one before does not enter the network's memory.
        if history.push(frame) or not channels:
            channels.append(history.channels())
        at.append(len(channels) - 1)
    with torch.no_grad():
        maps, presence = net(torch.from_numpy(np.stack(channels))[None])[:2]
    found = [_read_tip(maps[0, at[f]].numpy(), float(presence[0, at[f]]), frames[f]) for f in asked]
    scores, tips, entries = zip(*found, strict=True)
    return Answers(np.array(scores), _points(tips), _points(entries))


def _read_tip(
    maps: NDArray[np.float32], presence: float, grey: NDArray[np.uint8]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Score, tip and entry of one frame's maps; the axis is searched in the picture as the plugin does."""
    row, column = best_cell(maps[0])
    tip = point_from_cell((column + float(maps[1, row, column]), row + float(maps[2, row, column])), STRIDE)
    score = float(sigmoid(np.array(presence)) * sigmoid(maps[0, row, column]))
    guess = (float(maps[3, row, column]), float(maps[4, row, column]))
    axis = search_axis(line_evidence(grey, sigmoid(maps[5])), tip, guess)
    direction = axis.direction if axis is not None else guess
    entry = leave_picture(grey, tip, direction)
    return score, np.array(tip), np.full(2, np.nan) if entry is None else np.array(entry)


def leave_picture(
    grey: NDArray[np.uint8], tip: tuple[float, float], direction: tuple[float, float]
) -> tuple[float, float] | None:
    """Where a ray from the tip leaves what is shown: at the border, or earlier where only black lies beyond (a fan)."""
    size = grey.shape[0]
    length = math.hypot(*direction)
    if length < 1e-6:
        return None
    far = (tip[0] + 4 * size * direction[0] / length, tip[1] + 4 * size * direction[1] / length)
    cut = clip_segment(tip, far, (0, 0, size, size))
    if cut is None:
        return None
    end = cut[1]
    steps = max(2, int(math.dist(tip, end)))
    x = np.rint(np.linspace(tip[0], end[0], steps)).clip(0, size - 1).astype(int)
    y = np.rint(np.linspace(tip[1], end[1], steps)).clip(0, size - 1).astype(int)
    shown = np.flatnonzero(cv2.blur(grey, (5, 5))[y, x] > 2)
    last = int(shown[-1]) if len(shown) else steps - 1
    return float(x[last]), float(y[last])
