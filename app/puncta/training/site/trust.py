"""How far the network before may be believed at a site: counted on the frames that somebody has labelled there.

A network that reads a site badly is sure of nothing being there while a tip is. What it says of the frames between the
labelled ones would then hold back what the labels teach, so it counts for as much as it was right on those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from puncta.training.augment import Sample
from puncta.training.loop import stack_samples

SURE = 0.9
"""The old network's word counts where it is as sure as this of a tip, or of none."""
NEAR_CELLS = 2
"""A tip said within so many cells of the labelled one is right."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What the network's sure words are worth, each from 0 (no better than chance) to 1.

    Attributes
    ----------
    tip, none : float
        Where it is sure of a tip, and sure of none.
    """

    tip: float = 1.0
    none: float = 1.0


FULL = Trust()


def trust_in(before: nn.Module, samples: Sequence[Sample]) -> Trust:
    """Count how often the network was right where it was sure, on labelled frames of the site."""
    right, sure = [0, 0], [0, 0]
    device = next(before.parameters()).device
    with torch.no_grad():
        for start in range(0, len(samples), 8):
            batch = stack_samples(samples[start : start + 8])
            answer = before.eval()(batch.channels.to(device))
            maps = answer[0].reshape(-1, *answer[0].shape[-3:]).float().cpu()
            chance = torch.sigmoid(answer[1].reshape(-1).float()).cpu()
            present, cell = batch.targets.present, batch.targets.cell
            highest = maps[:, 0].flatten(1).argmax(dim=1)
            wide = maps.shape[-1]
            place = torch.stack([highest // wide, highest % wide], dim=1)
            there = (present == 1) & (cell[:, 0] >= 0) & ((place - cell).abs().amax(dim=1) <= NEAR_CELLS)
            told = present >= 0
            for k, (said, true) in enumerate(((chance >= SURE, there), (chance <= 1 - SURE, present == 0))):
                sure[k] += int((said & told).sum())
                right[k] += int((said & told & true).sum())
    # One right and one wrong are taken as seen: a few frames are no proof.
    tip, none = (max(0.0, 2 * (r + 1) / (n + 2) - 1) for r, n in zip(right, sure, strict=True))
    return Trust(tip, none)
