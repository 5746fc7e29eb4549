"""What the landmark network is taught: three flags, "no infant's spine", and, weakly, where cord and fluid lie.

The last is help that only a simulator can give, and it is told wherever the map is shown: where a flag is 1, the map's
softmax over the picture is drawn onto the lit structure. The map stays what the network computes, the exact terms of
its logit; it is taught to compute from the right place, which flags alone do not ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from puncta.training.landmarks.augment import Changes, Sample, Styles, make_sample
from puncta.training.landmarks.data import FLAGS, SPINE, Shot
from puncta.training.landmarks.export import as_input
from puncta.training.loop import Batch, Task

OTHER_WEIGHT = 0.5
_CORD = FLAGS.index("cord")


@dataclass(frozen=True, slots=True)
class Targets:
    """What is asked of a batch: flags (B, 3) with -1 for nothing, parts (B, 3, h, w), other (B,)."""

    flags: Tensor
    parts: Tensor
    other: Tensor


def stack_samples(samples: Sequence[Sample]) -> Batch:
    """Stack samples into a batch."""
    return Batch(
        as_input([s.picture for s in samples]),
        Targets(
            torch.from_numpy(np.stack([s.flags for s in samples])),
            torch.from_numpy(np.stack([s.parts for s in samples])),
            torch.tensor([s.other for s in samples], dtype=torch.float32),
        ),
    )


def landmark_loss(
    answer: tuple[Tensor, Tensor, Tensor, Tensor], targets: Targets, map_weight: float
) -> tuple[Tensor, dict[str, float]]:
    """Loss and its parts by name: ``flags``, ``other``, ``map``."""
    logits, cam, other = (part.float() for part in answer[:3])
    told = (targets.flags >= 0).float()
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets.flags.clamp(min=0), reduction="none")
    flags = (each * told).sum() / told.sum().clamp(min=1)
    strange = torch.nn.functional.binary_cross_entropy_with_logits(other, targets.other)
    place = place_loss(cam, targets)
    loss = flags + OTHER_WEIGHT * strange + map_weight * place
    return loss, {"flags": float(flags.detach()), "other": float(strange.detach()), "map": float(place.detach())}


def place_loss(cam: Tensor, targets: Targets) -> Tensor:
    """Mean of -log of the map's softmax on the lit structure, over flags that are 1 and whose structure is known."""
    shares = torch.log_softmax(cam.flatten(2), dim=2)
    parts = targets.parts.flatten(2).clamp(0, 1)
    asked = (targets.flags == 1) & (parts.amax(dim=2) > 0.5)
    if not bool(asked.any()):
        return cam.sum() * 0.0
    on_it = torch.logsumexp(shares + torch.log(parts.clamp(min=1e-4)), dim=2)
    return -on_it[asked].mean()


class FramePool:
    """Draws the frame of each sample number: spines, other organs and stills by their shares, cords more often.

    Parameters
    ----------
    spines, others, stills : sequence of Shot
    other_share, still_share : float
        Of all samples; nought where there are none.
    cord_share : float
        Share of spines drawn among frames with a cord, which are few.
    site : sequence of Shot
        Spines with a share of their own, ``site_share`` of all; from a site that adapts the network.
    """

    def __init__(
        self, spines: Sequence[Shot], others: Sequence[Shot], stills: Sequence[Shot], seed: int,
        other_share: float, still_share: float, cord_share: float, site: Sequence[Shot] = (), site_share: float = 0.0,
    ) -> None:
        frames = [(s, i) for s in spines for i in range(len(s.frames)) if (s.flags[i] >= 0).any()]
        if not frames or any(s.kind != SPINE for s in spines):
            raise ValueError("there is no infant's spine with a flag to train on")
        cords = [(s, i) for s, i in frames if s.flags[i][_CORD] == 1]
        groups = [
            (share, [(s, i) for s in shots for i in range(len(s.frames))])
            for share, shots in ((other_share, others), (still_share, stills), (site_share, site))
        ]
        left = 1.0 - sum(share for share, found in groups if found)
        part = cord_share if cords else 0.0
        groups += [(left * part, cords), (left * (1 - part), frames)]
        self.groups = [(share, found) for share, found in groups if found and share > 0]
        self.edges = np.cumsum([share for share, _ in self.groups])
        self.seed = seed

    def draw(self, number: int) -> tuple[tuple[Shot, int], np.random.Generator]:
        """Draw the frame of sample ``number`` and the generator that goes on."""
        rng = np.random.default_rng([self.seed, number])
        at = int(np.searchsorted(self.edges, rng.random() * self.edges[-1], side="right").clip(0, len(self.edges) - 1))
        found = self.groups[at][1]
        return found[int(rng.integers(len(found)))], rng


def landmark_task(changes: Changes | None, styles: Styles | None, map_weight: float) -> Callable[[int], Task]:
    """The task at each input size."""

    def at(size: int) -> Task:
        def draw(clip: Any, rng: np.random.Generator) -> Sample:
            shot, index = clip
            return make_sample(shot, index, size, rng, changes, styles)

        return Task(draw, stack_samples, lambda answer, targets: landmark_loss(answer, targets, map_weight))

    return at
