"""Losses of the tip network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Targets:
    """Targets of a batch's frames; the fields are those of `augment.Target`, stacked over (sample, frame)."""

    heat: Tensor
    shaft: Tensor
    cell: Tensor
    offset: Tensor
    direction: Tensor
    present: Tensor
    axis: Tensor


def gaussian_focal(logits: Tensor, heat: Tensor) -> Tensor:
    """Penalty-reduced focal loss on a Gaussian target (Law and Deng, CornerNet, 2018), alpha 2, beta 4.

    Divided by the number of tips: without that, a map with one positive in 4,096 cells hardly learns.
    """
    p = torch.sigmoid(logits).clamp(1e-5, 1 - 1e-5)
    positive = (heat >= 1.0).float()
    hit = positive * (1 - p) ** 2 * torch.log(p)
    miss = (1 - positive) * (1 - heat) ** 4 * p**2 * torch.log(1 - p)
    return -(hit + miss).sum() / positive.sum().clamp(min=1.0)


def tip_loss(maps: Tensor, presence: Tensor, targets: Targets) -> tuple[Tensor, dict[str, float]]:
    """Sum of the losses, and each of them by name.

    Parameters
    ----------
    maps : Tensor, shape (B, T, 6, h, w) or (B, 6, h, w)
    presence : Tensor, shape (B, T) or (B,)
    """
    told = targets.present >= 0
    maps, presence = maps.reshape(-1, *maps.shape[-3:]).float()[told], presence.reshape(-1).float()[told]
    targets = Targets(*(getattr(targets, name)[told] for name in Targets.__slots__))
    if not len(maps):
        # Nobody has judged a frame of this batch: there is nothing to learn from it, and no mean of nothing.
        return maps.sum() + presence.sum(), {}
    parts = {"tip": gaussian_focal(maps[:, 0], targets.heat)}
    if targets.axis.any():
        parts["shaft"] = 8.0 * F.binary_cross_entropy_with_logits(maps[targets.axis, 5], targets.shaft[targets.axis])
    parts["presence"] = F.binary_cross_entropy_with_logits(presence, targets.present)
    with_tip = torch.nonzero(targets.cell[:, 0] >= 0)[:, 0]
    if len(with_tip):
        rows, columns = targets.cell[with_tip, 0], targets.cell[with_tip, 1]
        at = maps[with_tip, :, rows, columns]
        parts["offset"] = F.smooth_l1_loss(at[:, 1:3], targets.offset[with_tip], beta=0.2)
        # A tip whose axis nobody drew is asked for its place alone.
        at, wanted = at[targets.axis[with_tip]], targets.direction[with_tip][targets.axis[with_tip]]
        if len(at):
            unit = F.normalize(at[:, 3:5], dim=1, eps=1e-4)
            parts["direction"] = (1 - (unit * wanted).sum(dim=1)).mean() + 0.01 * (
                at[:, 3:5].pow(2).sum(dim=1) - 1
            ).pow(2).mean()
    total = torch.stack(list(parts.values())).sum()
    return total, {name: float(value.detach()) for name, value in parts.items()}
