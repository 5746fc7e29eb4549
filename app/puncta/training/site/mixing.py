"""Takes back as much of what a network learnt at one site as the machines that it knew before ask for.

Weights between those before and those after are tried (Wortsman et al., "Robust fine-tuning of zero-shot models",
CVPR 2022), with the thresholds that hold. Both sides are judged on tune splits, simulated machines of training and the
site's own; test sets have no say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from puncta.training.answers import Answers, Rows

SHARES = (1.0, 0.7, 0.4)
"""Shares of the way that are tried, besides none of it."""
ALARMS_MORE = 0.003
"""Share of needle-free frames with a tip that may come on top."""
LEAST_TOLD = 20
"""Fewer labelled frames than this in the site's tune split say nothing."""


@dataclass(frozen=True, slots=True)
class Judged:
    """How good a share is: on the machines known before, and at the site (None where it has no tune split)."""

    share: float
    hits: float
    alarms: float
    site: float | None


@dataclass(frozen=True, slots=True)
class Mixed:
    """The share that was kept, all that were tried, and the network's answers with it."""

    share: float
    tried: tuple[Judged, ...]
    answers: tuple[Answers, ...]


def set_share(net: nn.Module, before: Mapping[str, Tensor], after: Mapping[str, Tensor], share: float) -> None:
    """Set a network's weights between those before (0) and those after (1)."""
    net.load_state_dict({
        name: value + (1 - share) * (before[name] - value) if value.dtype.is_floating_point else value
        for name, value in after.items()
    })


def judge_share(share: float, known: Rows, site: Rows | None) -> Judged:
    """Judge what the follower said with the weights of a share.

    Tips count as hit where they are shown within 2 mm, of all frames with a tip; the site is judged by its usefulness:
    right tip or rightly silent 1, silent on a tip 0, wrong tip or false alarm -1.
    """
    tips, quiet = known.judged == 1, known.quiet
    hits = float((known.shown & known.close)[tips].mean()) if tips.any() else 0.0
    alarms = float(known.shown[quiet].mean()) if quiet.any() else 0.0
    own = None
    if site is not None and (site.judged >= 0).sum() >= LEAST_TOLD:
        told = site.judged >= 0
        gain = np.where(site.shown, np.where(site.close, 1.0, -1.0), np.where(site.judged == 0, 1.0, 0.0))
        own = float(gain[told].mean())
    return Judged(share, hits, alarms, own)


def choose_share(judged: Sequence[Judged], loss_most: float) -> Judged:
    """Return the best of the shares, the first of which is none.

    Those that cost the known machines more than they may, or the site anything, are out. Of the others the one that is
    best at the site counts, and of equals the largest; where the site has no say the largest.
    """
    none = judged[0]
    fit = [
        j for j in judged
        if j.hits >= none.hits - loss_most
        and j.alarms <= none.alarms + ALARMS_MORE
        and (j.site is None or none.site is None or j.site >= none.site)
    ]
    return max(fit, key=lambda j: (-1.0 if j.site is None else round(j.site, 2), j.share))


def mix_back(
    net: nn.Module,
    before: Mapping[str, Tensor],
    answer: Callable[[nn.Module], list[Answers]],
    follow_with: Callable[[Sequence[Answers]], Rows],
    known: int,
    loss_most: float,
    shares: Sequence[float] = SHARES,
) -> Mixed:
    """Leave the network with the best share of what it learnt.

    Parameters
    ----------
    net : Module
        As it learnt; changed in place.
    before : mapping of str to Tensor
        Its weights before.
    answer : callable
        Runs the network over the tune split: first the clips of the known machines, then those of the site.
    follow_with : callable
        Follows answers with the thresholds that hold.
    known : int
        Number of clips of the known machines.
    """
    after = {name: value.clone() for name, value in net.state_dict().items()}
    judged: list[Judged] = []
    kept: dict[float, list[Answers]] = {}
    for share in (0.0, *shares):
        set_share(net, before, after, share)
        answers = answer(net)
        site = follow_with(answers[known:]) if len(answers) > known else None
        judged.append(judge_share(share, follow_with(answers[:known]), site))
        best = choose_share(judged, loss_most)
        # Only the best so far is held: answers are large.
        kept = {best.share: answers if best.share == share else kept[best.share]}
    best = choose_share(judged, loss_most)
    set_share(net, before, after, best.share)
    return Mixed(best.share, tuple(judged), tuple(kept[best.share]))
