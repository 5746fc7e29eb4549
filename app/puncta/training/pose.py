"""UltraTiny's task: windows of frames in, one needle with its pose out. Samples, targets, losses and decoding.

One detection has its pose by construction: the cell that holds the tip answers with tip and entry, and the box is the
hull of the two, two pixels wider on each side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from puncta.core.geometry import clip_segment
from puncta.training.augment import Look, draw_warp
from puncta.training.data import Clip
from puncta.training.nets.ultratiny import MAPS, STRIDE

BOX_PAD_PX = 2.0
SHAFT_STRIDE = 8
GREY_MEAN, GREY_SPREAD = 60.0, 55.0
ANGLE_RANGE_DEG = (10.0, 70.0)


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Frames and what is asked of the last K of them, in pixels of the input.

    Attributes
    ----------
    frames : ndarray of float32, shape (T, S, S)
        Standardised grey, oldest first.
    tip_px, entry_px : ndarray, shape (K, 2)
        NaN without a needle; the entry is where the axis leaves the picture.
    told : ndarray of bool, shape (K,)
        False where it is not known whether there is a tip to see.
    """

    frames: NDArray[np.float32]
    tip_px: NDArray[np.float64]
    entry_px: NDArray[np.float64]
    told: NDArray[np.bool_]


def standardise(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey levels to about zero mean and unit deviation."""
    return (frames.astype(np.float32) - np.float32(GREY_MEAN)) / np.float32(GREY_SPREAD)


def pick_window(rng: np.random.Generator, clip: Clip, length: int, augment: bool) -> list[int]:
    """Frame numbers of a window, oldest first, ending on a judged frame."""
    usable = np.flatnonzero(clip.judged >= 0)
    count = len(clip.frames)
    stride, back = 1, -1
    if augment:
        stride = int(rng.choice([1, 1, 2, 3]))
        back = 1 if rng.random() < 0.2 else -1  # reversed time is a withdrawal
    full = usable[usable >= (length - 1) * stride] if back < 0 else usable[usable < count - (length - 1) * stride]
    pool = full if len(full) else usable
    now = int(pool[rng.integers(len(pool))])
    numbers = [int(np.clip(now + back * stride * k, 0, count - 1)) for k in range(length)]
    if augment:
        for k in range(1, length):
            if rng.random() < 0.08:  # a dropped or doubled frame
                numbers[k] = int(np.clip(numbers[k] + rng.choice([-1, 1]), 0, count - 1))
    return numbers[::-1]


def make_window(
    clip: Clip, size: int, rng: np.random.Generator, length: int, augment: bool, sees: int | None = None,
    asked: int = 1, plain_looks: float = 0.0,
) -> Window:
    """Draw one window of a clip; with ``augment`` in looks, space and time.

    Parameters
    ----------
    length : int
        Frames picked.
    sees : int or None
        The last of them that are shown; None shows all.
    asked : int
        The last of them that have to be answered.
    plain_looks : float
        Share of augmented samples whose looks are left nearly as they are; see `Look`.
    """
    numbers = pick_window(rng, clip, length, augment)[-(sees or length) :]
    warp = draw_warp(rng, clip.frames.shape[1], size, not augment)
    return window_at(clip, size, numbers, warp, Look(rng, size, plain_looks) if augment else None, asked)


def window_at(
    clip: Clip, size: int, numbers: Sequence[int], warp: NDArray[np.float64], look: Look | None, asked: int = 1
) -> Window:
    """Make the window of given frames, oldest first."""
    frames = []
    for number in numbers:
        frame = cv2.warpAffine(clip.frames[number], warp, (size, size), flags=cv2.INTER_LINEAR)
        frames.append(look.show(frame) if look else frame)
    answers = [needle_in(clip, number, warp, size, look) for number in numbers[-asked:]]
    tips, entries, told = zip(*answers, strict=True)
    return Window(standardise(np.stack(frames)), np.stack(tips), np.stack(entries), np.array(told))


def needle_in(
    clip: Clip, number: int, warp: NDArray[np.float64], size: int, look: Look | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Tip and clipped entry of a frame [input px], NaN without a needle in the picture; and whether that is known."""
    nowhere = np.full(2, np.nan)
    if clip.judged[number] != 1:
        return nowhere, nowhere, bool(clip.judged[number] == 0)
    tip, start = (warp @ np.append(p[number], 1.0) for p in (clip.tip_px, clip.entry_px))
    inside = bool((tip > 1).all() and (tip < size - 2).all())
    cut = clip_segment(tuple(tip), tuple(start), (0, 0, size, size)) if inside else None
    if cut is None:
        return nowhere, nowhere, True
    return np.asarray(tip, float), np.array(cut[1]), not (look is not None and look.hides(tip))


@dataclass(frozen=True, slots=True)
class PoseTargets:
    """Targets of a batch's frames: tip and entry [input px], shape (N, 2), NaN without a needle; known or not, (N,)."""

    tip_px: Tensor
    entry_px: Tensor
    told: Tensor


def stack_windows(windows: Sequence[Window]) -> tuple[Tensor, PoseTargets]:
    """Stack windows into a batch, (B, T, S, S), with the targets of all asked frames one after another."""
    return torch.from_numpy(np.stack([w.frames for w in windows])), PoseTargets(
        torch.tensor(np.concatenate([w.tip_px for w in windows]), dtype=torch.float32),
        torch.tensor(np.concatenate([w.entry_px for w in windows]), dtype=torch.float32),
        torch.tensor(np.concatenate([w.told for w in windows])),
    )


def cell_of(tip_px: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Row and column of the cell that holds a tip; centre of cell k lies at input pixel 16 k + 7.5."""
    at = torch.round((tip_px - (STRIDE - 1) / 2) / STRIDE).long().clamp(0, cells - 1)
    return at[:, 1], at[:, 0]


def read_cells(maps: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Tip and entry [input px] that the given cells answer, each (B, 2)."""
    size = maps.shape[-1] * STRIDE
    at = maps[torch.arange(len(maps)), :, rows, columns]
    centre = torch.stack([columns, rows], dim=1) * STRIDE + (STRIDE - 1) / 2
    tip = centre + at[:, 1:3] * STRIDE
    return tip, tip + at[:, 3:5] * size


def hull(tip: Tensor, entry: Tensor) -> Tensor:
    """Boxes (x0, y0, x1, y1) of tip and entry, padded."""
    return torch.cat([torch.minimum(tip, entry) - BOX_PAD_PX, torch.maximum(tip, entry) + BOX_PAD_PX], dim=1)


def complete_iou(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU of boxes (Zheng et al., AAAI 2020): overlap less distance of centres and difference of shape."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    both = (high - low).clamp(min=0).prod(dim=1)
    size_a, size_b = (a[:, 2:] - a[:, :2]).clamp(min=1e-3), (b[:, 2:] - b[:, :2]).clamp(min=1e-3)
    iou = both / (size_a.prod(dim=1) + size_b.prod(dim=1) - both)
    around = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    apart = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2).pow(2).sum(dim=1) / around.pow(2).sum(dim=1)
    shape = 4 / math.pi**2 * (torch.atan(size_b[:, 0] / size_b[:, 1]) - torch.atan(size_a[:, 0] / size_a[:, 1])) ** 2
    with torch.no_grad():
        weight = shape / (1 - iou + shape + 1e-6)
    return iou - apart - weight * shape


def presence_loss(logits: Tensor, positive: Tensor, focal_gamma: float) -> Tensor:
    """Cross entropy over all cells, or focal loss (Lin et al., ICCV 2017, alpha .25), divided by the needles.

    Without that division one positive in 256 cells hardly learns.
    """
    plain = F.binary_cross_entropy_with_logits(logits, positive, reduction="none")
    if focal_gamma > 0:
        p = torch.sigmoid(logits)
        right = p * positive + (1 - p) * (1 - positive)
        alpha = 0.25 * positive + 0.75 * (1 - positive)
        # Twice, so that both forms weigh alike against the other losses at equal odds.
        plain = 2.0 * alpha * (1 - right) ** focal_gamma * plain
    return plain.sum() / positive.sum().clamp(min=1.0)


def constraint_loss(tip: Tensor, entry: Tensor, double_angle: Tensor, size: int) -> Tensor:
    """Penalty of the pose priors: the shaft leaves through the top or a side, at 10-70 degrees, and the parts agree.

    Our reading of the poster's "prior knowledge via geometric pose constraints".
    """
    x, y = entry[:, 0] / size, entry[:, 1] / size
    to_border = torch.minimum(torch.minimum(x.abs(), (1 - x).abs()), y.abs())
    axis = entry - tip
    angle = torch.atan2(axis[:, 1].abs(), axis[:, 0].abs() + 1e-3)
    low, high = (math.radians(v) for v in ANGLE_RANGE_DEG)
    beyond = F.relu(low - angle) + F.relu(angle - high)
    signed = torch.atan2(-axis[:, 1], axis[:, 0])
    told = torch.stack([torch.sin(2 * signed), torch.cos(2 * signed)], dim=1)
    agree = F.smooth_l1_loss(double_angle, told, reduction="none").sum(dim=1)
    return (to_border + beyond + agree).mean()


def shaft_map(tip_px: Tensor, entry_px: Tensor, size: int) -> Tensor:
    """1 on the axis from tip to entry, falling off within a cell of 8 px: (N, 2) each -> (N, S / 8, S / 8)."""
    cells = size // SHAFT_STRIDE
    centres = torch.arange(cells, device=tip_px.device) * float(SHAFT_STRIDE) + (SHAFT_STRIDE - 1) / 2
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    axis = entry_px - tip_px
    length = axis.norm(dim=1).clamp(min=1.0)
    dx, dy = (v[:, None, None] for v in (axis / length[:, None]).unbind(1))
    x, y = x - tip_px[:, 0, None, None], y - tip_px[:, 1, None, None]
    along, across = x * dx + y * dy, x * dy - y * dx
    beyond = F.relu(torch.maximum(-along, along - length[:, None, None]))
    return torch.exp(-0.5 * (across.square() + beyond.square()) / (0.7 * SHAFT_STRIDE) ** 2)


def shaft_loss(logits: Tensor, tip_px: Tensor, entry_px: Tensor) -> Tensor:
    """Cross entropy of the shaft's map that a network answers in training beside its pose, (N, 4, h, w)."""
    shown = F.pixel_shuffle(logits, 2)[:, 0]
    asked = shaft_map(tip_px, entry_px, shown.shape[-1] * SHAFT_STRIDE)
    return F.binary_cross_entropy_with_logits(shown, asked, reduction="sum") / asked.sum().clamp(min=1.0)


def pose_loss(
    maps: Tensor, targets: PoseTargets, focal_gamma: float, constraints: bool
) -> tuple[Tensor, dict[str, float]]:
    """Sum of the losses over the frames that are known, and each of them by name.

    Parameters
    ----------
    maps : Tensor, shape (B, 8, h, w) or (B, T, 8, h, w)
        With more channels where the network answers with a map of the shaft too (`shaft_loss`).
    """
    told = targets.told
    maps = maps.reshape(-1, *maps.shape[-3:])[told].float()
    targets = PoseTargets(targets.tip_px[told], targets.entry_px[told], told[told])
    cells = maps.shape[-1]
    size = cells * STRIDE
    found = ~torch.isnan(targets.tip_px[:, 0])
    positive = torch.zeros_like(maps[:, 0])
    rows, columns = cell_of(targets.tip_px[found], cells)
    positive[torch.nonzero(found)[:, 0], rows, columns] = 1.0
    parts = {"presence": presence_loss(maps[:, 0], positive, focal_gamma)}
    if found.any():
        tip, entry = read_cells(maps[found], rows, columns)
        true_tip, true_entry = targets.tip_px[found], targets.entry_px[found]
        own = maps[found][torch.arange(len(rows)), :, rows, columns]
        parts["box"] = 2.0 * (1 - complete_iou(hull(tip, entry), hull(true_tip, true_entry))).mean()
        parts["tip"] = F.smooth_l1_loss(tip / STRIDE, true_tip / STRIDE, beta=0.2)
        parts["entry"] = 4.0 * F.smooth_l1_loss(entry / size, true_entry / size, beta=0.05)
        axis = true_entry - true_tip
        length = axis.norm(dim=1).clamp(min=1.0)
        signed = torch.atan2(-axis[:, 1], axis[:, 0])
        told = torch.stack([torch.sin(2 * signed), torch.cos(2 * signed)], dim=1)
        parts["angle"] = F.smooth_l1_loss(own[:, 6:8], told)
        parts["length"] = 0.2 * F.smooth_l1_loss(own[:, 5], torch.log(length / size))
        if maps.shape[1] > len(MAPS):
            # One cell in 144 tells little; without the shaft a network that sees changed pictures starts very late.
            parts["shaft"] = shaft_loss(maps[found][:, len(MAPS) :], true_tip, true_entry)
        if constraints:
            parts["constraint"] = 0.5 * constraint_loss(tip, entry, own[:, 6:8], size)
    total = torch.stack(list(parts.values())).sum()
    return total, {name: float(value.detach()) for name, value in parts.items()}


@dataclass(frozen=True, slots=True)
class Pose:
    """One needle found; points in input pixels, ``box`` (x0, y0, x1, y1)."""

    score: float
    tip_px: tuple[float, float]
    entry_px: tuple[float, float]
    box: tuple[float, float, float, float]


def decode_poses(maps: Tensor, constraints: bool = False) -> list[Pose]:
    """Best cell of each answer (B, 8, h, w); with ``constraints`` a pose against the priors loses its score."""
    maps = maps.float()
    size = maps.shape[-1] * STRIDE
    best = maps[:, 0].flatten(1).argmax(dim=1)
    rows, columns = best // maps.shape[-1], best % maps.shape[-1]
    tips, entries = read_cells(maps, rows, columns)
    scores = torch.sigmoid(maps[torch.arange(len(maps)), 0, rows, columns])
    poses = []
    for presence, tip, entry in zip(scores.tolist(), tips, entries, strict=True):
        score = float(presence)
        box = hull(tip[None], entry[None])[0].clamp(0, size - 1)
        if constraints:
            axis = (entry - tip).abs()
            angle = math.degrees(math.atan2(float(axis[1]), float(axis[0]) + 1e-3))
            off_border = min(abs(float(entry[0])), abs(size - 1 - float(entry[0])), abs(float(entry[1]))) / size
            if not ANGLE_RANGE_DEG[0] - 5 <= angle <= ANGLE_RANGE_DEG[1] + 5 or off_border > 0.2:
                score *= 0.1
        x0, y0, x1, y1 = (float(v) for v in box)
        poses.append(Pose(score, (float(tip[0]), float(tip[1])), (float(entry[0]), float(entry[1])), (x0, y0, x1, y1)))
    return poses
