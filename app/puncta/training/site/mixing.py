"""Takes back as much of what a network learnt at one site as the machines that it knew before ask for.

Weights between those before and those after are tried (Wortsman et al., "Robust fine-tuning of zero-shot models",
CVPR 2022), with the thresholds that hold. Both sides are judged on tune splits, simulated machines of training and the
site's own; test sets have no say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from puncta.training.answers import Answers, Rows
from puncta.training.site.thresholds import chance_alarms

SHARES = (1.0, 0.85, 0.7, 0.55, 0.4)
"""Shares of the way that are tried, besides none of it."""
SAME = 0.01
"""Losses that differ by less are the same."""


@dataclass(frozen=True, slots=True)
class Judged:
    """How good a share is.

    Attributes
    ----------
    hits : float
        Share of the tips of the machines known before that are shown within 2 mm.
    alarms, quiet : int
        Needle-free frames there with a tip, and in all.
    site : float or None
        Loss on the site's tune clips, lower is better; None where it has none. A loss tells on some dozens of frames
        what shown and missed tips tell on hundreds.
    """

    share: float
    hits: float
    alarms: int
    quiet: int
    site: float | None


@dataclass(frozen=True, slots=True)
class Mixed:
    """The share that was kept, and all that were tried."""

    share: float
    tried: tuple[Judged, ...]


def said_of(mixed: Mixed) -> str:
    """Say how much was kept and what that costs the machines known before, by the figures of the table below it."""
    now = next((j for j in mixed.tried if j.share == mixed.share), None)
    none = next((j for j in mixed.tried if j.share == 0.0), None)
    if now is None or none is None:
        return (
            f"Of what was learnt {100 * mixed.share:.0f} % was kept; what that costs the machines known before was not "
            "looked at."
        )
    if mixed.share == 0.0:
        return (
            "Nothing of what was learnt was kept, so it is the network before: every other share shows fewer tips or "
            "more false alarms on the machines known before than is allowed, or is worse at the site."
        )
    kept = (
        f"Of what was learnt {100 * mixed.share:.0f} % was kept: of the shares that were tried the best at the site "
        "among those that cost the machines known before no more than is allowed."
    )
    hits = f"tips shown within 2 mm {100 * none.hits:.1f} % before and {100 * now.hits:.1f} % now"
    told = f"{kept} There: {hits}; needle-free frames with a false alarm {none.alarms} before and {now.alarms} now"
    more = now.alarms > none.alarms
    chance = f" That is more, though on {now.quiet} frames it may be chance."
    return f"{told}, of {now.quiet}.{chance if more else ''}"


def set_share(net: nn.Module, before: Mapping[str, Tensor], after: Mapping[str, Tensor], share: float) -> None:
    """Set a network's weights between those before (0) and those after (1)."""
    net.load_state_dict({
        name: value + (1 - share) * (before[name] - value) if value.dtype.is_floating_point else value
        for name, value in after.items()
    })


def judge_share(share: float, known: Rows, site: float | None) -> Judged:
    """Judge what the follower said on the known machines with the weights of a share, beside its loss at the site."""
    tips, quiet = known.judged == 1, known.quiet
    hits = float((known.shown & known.close)[tips].mean()) if tips.any() else 0.0
    return Judged(share, hits, int(known.shown[quiet].sum()), int(quiet.sum()), site)


def choose_share(judged: Sequence[Judged], loss_most: float) -> Judged:
    """Return the best of the shares, the first of which is none.

    Those are out that cost the known machines more hits than they may, false alarms that chance does not explain, or a
    higher loss at the site. Of the others the one with the least loss at the site counts, and of equals the largest;
    where the site has no say the largest.
    """
    none = judged[0]
    fit = [
        j for j in judged
        if j.hits >= none.hits - loss_most
        and j.alarms <= max(none.alarms, chance_alarms(j.quiet))
        and (j.site is None or none.site is None or j.site <= none.site)
    ]
    return max(fit, key=lambda j: (0 if j.site is None else -round(j.site / SAME), j.share))


def mix_back(
    net: nn.Module,
    before: Mapping[str, Tensor],
    answer: Callable[[nn.Module], list[Answers]],
    follow_with: Callable[[Sequence[Answers]], Rows],
    site_loss: Callable[[nn.Module], float | None],
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
        Runs the network over the tune split of the known machines.
    follow_with : callable
        Follows answers with the thresholds that hold.
    site_loss : callable
        Its loss on the site's tune split, or None without one.
    """
    after = {name: value.clone() for name, value in net.state_dict().items()}
    judged: list[Judged] = []
    for share in (0.0, *shares):
        set_share(net, before, after, share)
        judged.append(judge_share(share, follow_with(answer(net)), site_loss(net)))
    best = choose_share(judged, loss_most)
    set_share(net, before, after, best.share)
    return Mixed(best.share, tuple(judged))
