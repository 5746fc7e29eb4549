"""Learning from a site's labels while keeping to what the network said before (Li and Hoiem, "Learning without
forgetting", ECCV 2016): the labels teach where there are any, the old network's answers everywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from puncta.training.augment import Sample, make_sample
from puncta.training.data import Clip
from puncta.training.dataset_reading import SOURCE
from puncta.training.loop import Batch, Task, stack_samples
from puncta.training.losses import Targets, tip_loss

SURE = 0.9
"""The old network's word on a site's frame without a label counts where it is as sure as this of a tip, or of none."""
BETWEEN = 0.3
"""Weight of such a frame; a simulated one has 1."""


class KeptStatistics(nn.Module):
    """A network that learns with the means and variances it came with, beside the network as it was.

    In training its answer ends with the old network's maps and presence.

    Parameters
    ----------
    net : Module
        Learns.
    before : Module or None
        The same network as it was; None where its answers are not asked for.
    keep_statistics : bool
        False lets batch norm measure anew.
    """

    def __init__(self, net: nn.Module, before: nn.Module | None, keep_statistics: bool = True) -> None:
        super().__init__()
        self.net = net
        self._keep = keep_statistics
        # Not a part of what is trained, averaged and saved.
        self._before = [before.eval().requires_grad_(False)] if before is not None else []

    def train(self, mode: bool = True) -> KeptStatistics:
        """Set training mode; batch norm stays in use as it is."""
        super().train(mode)
        if mode and self._keep:
            for part in self.net.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.eval()
        return self

    def _apply(self, fn: Any, recurse: bool = True) -> KeptStatistics:
        for before in self._before:
            before._apply(fn)
        return super()._apply(fn, recurse)

    def forward(self, clip: Tensor) -> tuple[Tensor, ...]:
        """Run whole clips, as `TipStream` does."""
        answer = self.net(clip)
        if not (self.training and self._before):
            return answer
        with torch.no_grad():
            maps, presence, _features = self._before[0](clip)
        return *answer, maps, presence

    # What the examination of an unfinished network asks for.

    def step(self, *args: Any) -> Any:
        """One frame, as of `TipStream`."""
        return self.net.step(*args)  # type: ignore[operator]

    def state_shapes(self, size: int) -> Any:
        """As of `TipStream`."""
        return self.net.state_shapes(size)  # type: ignore[operator]


@dataclass(frozen=True, slots=True, eq=False)
class SiteSample:
    """A sample, and whether it is of the site."""

    sample: Sample
    site: bool


@dataclass(frozen=True, slots=True)
class SiteTargets:
    """What a batch asks for.

    Attributes
    ----------
    told : Targets
        Simulated frames tell nothing here: they keep to the old answers.
    site : Tensor of bool
        The frame is of the site.
    """

    told: Targets
    site: Tensor


def stack_site(samples: Sequence[SiteSample]) -> Batch:
    """Stack samples into a batch."""
    batch = stack_samples([s.sample for s in samples])
    site = torch.tensor([s.site for s in samples for _ in s.sample.targets], dtype=torch.bool)
    told: Targets = batch.targets
    present = torch.where(site, told.present, torch.full_like(told.present, -1.0))
    return Batch(
        batch.channels,
        SiteTargets(
            Targets(told.heat, told.shaft, told.cell, told.offset, told.direction, present, told.axis), site
        ),
    )


def site_task(size: int, augment: bool, length: int, plain_looks: float, distil: float) -> Task:
    """The task of adapting at an input size."""

    def draw(clip: Clip, rng: np.random.Generator) -> SiteSample:
        sample = make_sample(clip, size, rng, length, plain=not augment, plain_looks=plain_looks)
        return SiteSample(sample, clip.source == SOURCE)

    def loss(answer: tuple[Tensor, ...], targets: SiteTargets) -> tuple[Tensor, dict[str, float]]:
        total, parts = tip_loss(answer[0], answer[1], targets.told)
        if len(answer) > 3 and distil > 0:
            kept = kept_loss(answer, keep_weights(answer[-1], targets))
            total = total + distil * kept
            parts = {**parts, "kept": distil * float(kept.detach())}
        return total, parts

    return Task(draw, stack_site, loss)


def keep_weights(presence_before: Tensor, targets: SiteTargets) -> Tensor:
    """Weight of the old answer on each frame: 1 on simulated ones, 0 on labelled ones, little on the others."""
    chance = torch.sigmoid(presence_before.reshape(-1).float())
    sure = (chance >= SURE) | (chance <= 1 - SURE)
    between = torch.where(sure & (targets.told.present < 0), BETWEEN, 0.0)
    return torch.where(targets.site, between, torch.ones_like(between))


def kept_loss(answer: tuple[Tensor, ...], weight: Tensor) -> Tensor:
    """How far the answers lie from the old ones, weighted mean over frames.

    Maps and presence as a divergence of chances, zero where they are the same; offsets and directions where the old
    network holds a tip for likely.
    """
    maps, before = (answer[k].reshape(-1, *answer[k].shape[-3:]).float() for k in (0, -2))
    said, told = (answer[k].reshape(-1).float() for k in (1, -1))
    heat = _divergence(maps[:, 0], before[:, 0]).sum(dim=(1, 2))
    shaft = 8.0 * _divergence(maps[:, 5], before[:, 5]).mean(dim=(1, 2))
    presence = _divergence(said, told)
    likely = torch.sigmoid(before[:, 0])
    apart = F.smooth_l1_loss(maps[:, 1:5], before[:, 1:5], beta=0.2, reduction="none").sum(dim=1)
    place = (likely * apart).sum(dim=(1, 2)) / (likely.sum(dim=(1, 2)) + 1.0)
    each = heat + shaft + presence + place
    return (weight * each).sum() / weight.sum().clamp(min=1.0)


def _divergence(logits: Tensor, before: Tensor) -> Tensor:
    chance = torch.sigmoid(before)
    least = F.binary_cross_entropy_with_logits(before, chance, reduction="none")
    return F.binary_cross_entropy_with_logits(logits, chance, reduction="none") - least
