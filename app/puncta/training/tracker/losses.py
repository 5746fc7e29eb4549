"""Losses of the tracking network: pixels, overlap, the needle's centre line, and whether there is one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

NEEDLE_SHARE = 0.02
"""Share of a picture that a needle covers, about: pixels are summed in units of that."""
THIN_STEPS = 4
"""Steps in which half-size masks are thinned to their centre line: a needle is up to eight of their pixels wide."""


@dataclass(frozen=True, slots=True)
class TrackTargets:
    """Targets of a batch: masks (B, T, S, S) of uint8; presence and weight (B, T)."""

    masks: Tensor
    present: Tensor
    weight: Tensor


def soft_skeleton(masks: Tensor, steps: int = THIN_STEPS) -> Tensor:
    """Thin soft masks, (N, 1, h, w), to their centre lines by soft erosion and opening.

    After Shit et al., "clDice", CVPR 2021, algorithm 1.
    """

    def erode(x: Tensor) -> Tensor:
        down = -F.max_pool2d(-x, (3, 1), 1, (1, 0))
        across = -F.max_pool2d(-x, (1, 3), 1, (0, 1))
        return torch.minimum(down, across)

    def lost(x: Tensor) -> Tensor:
        return F.relu(x - F.max_pool2d(erode(x), 3, 1, 1))

    skeleton = lost(masks)
    for _ in range(steps):
        masks = erode(masks)
        fine = lost(masks)
        skeleton = skeleton + F.relu(fine - skeleton * fine)
    return skeleton


def centreline_loss(found: Tensor, true: Tensor) -> Tensor:
    """Soft-clDice of masks (N, 1, h, w), averaged: how much of each centre line lies in the other mask."""
    line, wanted = soft_skeleton(found), soft_skeleton(true)
    axes = (1, 2, 3)
    precise = ((line * true).sum(axes) + 1.0) / (line.sum(axes) + 1.0)
    whole = ((wanted * found).sum(axes) + 1.0) / (wanted.sum(axes) + 1.0)
    return (1.0 - 2.0 * precise * whole / (precise + whole)).mean()


def track_loss(
    mask: Tensor, presence: Tensor, targets: TrackTargets, centreline: float = 0.5
) -> tuple[Tensor, dict[str, float]]:
    """Sum of the losses, and each of them by name.

    Parameters
    ----------
    mask : Tensor, shape (B, T, S, S)
        Logits.
    presence : Tensor, shape (B, T)
    centreline : float
        Weight of soft-clDice; 0 leaves it out.
    """
    size = mask.shape[-1]
    logits = mask.float().reshape(-1, size, size)
    true = targets.masks.reshape(-1, size, size).float() / 255.0
    present, weight = targets.present.reshape(-1), targets.weight.reshape(-1)
    told = weight.sum().clamp(min=1.0)
    pixels = F.binary_cross_entropy_with_logits(logits, true, reduction="none").mean(dim=(1, 2)) / NEEDLE_SHARE
    parts = {"pixels": (pixels * weight).sum() / told}
    seen = F.binary_cross_entropy_with_logits(presence.float().reshape(-1), present, reduction="none")
    parts["presence"] = 0.5 * (seen * weight).sum() / told
    rows = torch.nonzero((present > 0) & (weight > 0))[:, 0]
    if len(rows):
        found, wanted = torch.sigmoid(logits[rows]), true[rows]
        both = (found * wanted).sum(dim=(1, 2))
        parts["dice"] = (1.0 - (2.0 * both + 1.0) / (found.sum(dim=(1, 2)) + wanted.sum(dim=(1, 2)) + 1.0)).mean()
        if centreline > 0:
            # Every other frame, at half the size: centre lines change slowly, and thinning takes its time.
            small = F.avg_pool2d(torch.stack([found[::2], wanted[::2]]).flatten(0, 1)[:, None], 2)
            half = len(small) // 2
            parts["centre line"] = centreline * centreline_loss(small[:half], small[half:])
    total = torch.stack(list(parts.values())).sum()
    return total, {name: float(value.detach()) for name, value in parts.items()}
