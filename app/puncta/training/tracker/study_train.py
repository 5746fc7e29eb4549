"""Trains a row of the mask study as the paper does: clips of five frames, the first one's mask given, BCE on the rest.

The loop is the one of all trainings here, so a row that was stopped goes on from its last checkpoint. Two schedules:
``paper`` (Adam, a constant rate that falls to a fifth at 60 % and at 85 % of the steps; BCE) for networks of full size,
and ``scratch`` (warm-up and cosine; BCE + Dice, since thin needles hardly count in BCE) for small ones. Ours has the
terms of its own training beside these: soft-clDice of the centre line, and whether there is a needle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from puncta.training.loop import LoopSettings, Task, train_net
from puncta.training.tracker.losses import centreline_loss
from puncta.training.tracker.study_answers import answer_clip
from puncta.training.tracker.study_clips import ClipTargets, Pack, WindowPool, make_window, stack_windows
from puncta.training.tracker.study_ours import CLIP_FRAMES as LENGTH
from puncta.training.tracker.study_rows import OverClip, Row, build_net

FALLS = (0.6, 0.85)
FALL_FACTOR = 0.2
PRESENCE_WEIGHT = 0.5
CENTRELINE_WEIGHT = 0.5
"""Of ours, as in the training of the tracker that ships."""
Schedule = Literal["scratch", "paper"]


@dataclass(frozen=True, slots=True)
class MaskSettings(LoopSettings):
    """Budget and optimiser of every row; `samples` and `batch` count frames, five a clip.

    Attributes
    ----------
    gaps : (int, int)
        Least and most kept frames from one frame of a clip to the next.
    schedule : str
    examine_every : int
        Steps between two looks at the tune split.
    """

    gaps: tuple[int, int] = (1, 5)
    schedule: Schedule = "scratch"
    examine_every: int = 200

    def rate(self, step: int) -> float:
        """Learning rate at a step."""
        if self.schedule == "scratch":
            return LoopSettings.rate(self, step)
        return self.learning_rate * FALL_FACTOR ** sum(step >= at * self.steps for at in FALLS)


def mask_loss(logits: Tensor, targets: ClipTargets, with_dice: bool) -> tuple[Tensor, dict[str, float]]:
    """Binary cross-entropy over all pixels, and Dice over frames with a needle; logits (B, T, S, S).

    Frames whose needle has left the plane count in neither.
    """
    logits = logits.float()
    weights = targets.weights[:, :, None, None]
    bce = F.binary_cross_entropy_with_logits(logits, targets.masks, reduction="none")
    bce = (bce * weights).mean() / targets.weights.mean().clamp(min=0.05)
    parts = {"bce": float(bce.detach())}
    if not with_dice:
        return bce, parts
    found = torch.sigmoid(logits)
    both = (found * targets.masks).sum((2, 3))
    total = found.sum((2, 3)) + targets.masks.sum((2, 3))
    asked = (targets.masks.sum((2, 3)) > 0) * targets.weights
    dice = ((1 - (2 * both + 1) / (total + 1)) * asked).sum() / asked.sum().clamp(min=1)
    return bce + dice, {**parts, "dice": float(dice.detach())}


def own_loss(
    answer: tuple[Tensor, Tensor], targets: ClipTargets, with_dice: bool
) -> tuple[Tensor, dict[str, float]]:
    """What `mask_loss` says of ours, with the terms of its centre line and of presence; (B, T, S, S) and (B, T)."""
    logits, presence = (part.float() for part in answer)
    total, parts = mask_loss(logits, targets, with_dice)
    there = targets.masks.amax((2, 3))
    seen = F.binary_cross_entropy_with_logits(presence, there, reduction="none") * targets.weights
    terms = {"presence": PRESENCE_WEIGHT * seen.sum() / targets.weights.sum().clamp(min=1)}
    asked = (there > 0) & (targets.weights > 0)
    if asked.any():
        found, true = torch.sigmoid(logits[asked])[:, None], targets.masks[asked][:, None]
        terms["centre line"] = CENTRELINE_WEIGHT * centreline_loss(found, true)
    return total + sum(terms.values()), {**parts, **{name: float(term.detach()) for name, term in terms.items()}}


def row_loss(
    answer: Tensor | tuple[Tensor, Tensor], targets: ClipTargets, with_dice: bool
) -> tuple[Tensor, dict[str, float]]:
    """Loss of a row's answer."""
    return own_loss(answer, targets, with_dice) if isinstance(answer, tuple) else mask_loss(answer, targets, with_dice)


def train_row(
    row: Row, pack: Pack, tune: Pack, settings: MaskSettings, folder: Path,
    watch: Callable[[int, dict[str, float], float], None] | None = None,
) -> tuple[nn.Module, bool]:
    """Train a row to the end of its budget (true) or as far as the settings allow; a stopped one goes on."""
    if settings.batch % LENGTH:
        raise ValueError(f"a batch of {settings.batch} frames is no whole number of clips of {LENGTH}")
    folder.mkdir(parents=True, exist_ok=True)

    def draw(rows: Any, rng: np.random.Generator) -> Any:
        return make_window(pack, rows, rng, settings.augment, ours=row.kind == "track")

    task = Task(draw, stack_windows, lambda answer, targets: row_loss(answer, targets, settings.schedule != "paper"))
    pool = WindowPool(pack, LENGTH, settings.gaps, settings.seed)
    return train_net(lambda: build_net(row, settings.size), pool, settings, folder, watch,
                     lambda net: examine(net, tune), settings.examine_every, task)


def examine(net: nn.Module, tune: Pack, clips: int = 8, frames: int = 16) -> dict[str, float]:
    """IoU, precision and recall on the first frames of some tune clips, the first true mask given."""
    assert isinstance(net, OverClip)
    numbers = np.flatnonzero([tune.in_plane()[tune.rows_of(c)][:3].any() for c in range(tune.clips)])
    picked = numbers[np.linspace(0, len(numbers) - 1, min(clips, len(numbers))).astype(int)]
    rates: list[tuple[float, float, float]] = []
    for clip in picked:
        rows = tune.rows_of(int(clip))
        rows = slice(rows.start, min(rows.stop, rows.start + frames))
        true, asked = np.array(tune.masks[rows]).astype(bool), tune.in_plane()[rows].copy()
        first = int(asked.argmax())
        found = answer_clip(net, np.array(tune.frames[rows]), (first, true[first]))
        asked[first] = False
        for f, t in zip(found[asked], true[asked], strict=True):
            both = float((f & t).sum())
            rates.append((both / (f | t).sum(), both / max(1, f.sum()), both / t.sum()))
    if not rates:
        return {}
    return dict(zip(("iou", "precision", "recall"), np.mean(rates, axis=0).tolist(), strict=True))
