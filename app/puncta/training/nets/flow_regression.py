"""STNAN's motion part: a learned matching cost over a window of displacements, and attention by it.

After DICL-Flow (Wang et al., NeurIPS 2020): the features of this frame and of the one before, displaced by every
hypothesis u, go through one small matching network (DACL); a 1x1 convolution over the U x V costs re-weights them
(DAP); the motion found weights this frame's features (MAFFM).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TABLE_2 = (5, 7, 9, 11)
"""Sides U = V of the search window that STNAN's Table 2 compares; 9 is its choice."""
MATCHING_WIDTHS = (96, 128, 128, 64, 32)


def displaced(features: Tensor, window: int) -> Tensor:
    """Features of the frame before at every displacement: out[:, u, :, y, x] = features[:, :, y + dy, x + dx].

    Parameters
    ----------
    features : Tensor, shape (B, C, h, w)
    window : int
        Odd side of the window; hypotheses run row by row, (dy, dx) from -reach to +reach.

    Returns
    -------
    Tensor, shape (B, U V, C, h, w)
        Zero where the place lies outside the map.
    """
    if window % 2 == 0:
        raise ValueError(f"a search window has an odd side, not {window}")
    height, width = features.shape[-2:]
    reach = window // 2
    padded = F.pad(features, (reach, reach, reach, reach))
    shifts = [padded[:, :, dy : dy + height, dx : dx + width] for dy in range(window) for dx in range(window)]
    return torch.stack(shifts, 1)


def hypotheses(window: int) -> Tensor:
    """Displacements (dx, dy) [cells] in the order of `displaced`, shape (U V, 2)."""
    steps = torch.arange(window, dtype=torch.float32) - window // 2
    dy, dx = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([dx.flatten(), dy.flatten()], 1)


class MatchingNet(nn.Module):
    """DACL's matching network: how badly two maps of features laid over each other match, cell by cell."""

    def __init__(self, channels: int, widths: Sequence[int] = MATCHING_WIDTHS) -> None:
        super().__init__()
        a, b, c, d, e = widths

        def layer(inside: int, outside: int, stride: int = 1) -> list[nn.Module]:
            return [nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()]

        self.down = nn.Sequential(*layer(2 * channels, a), *layer(a, b, 2), *layer(b, c), *layer(c, d))
        self.up = nn.ConvTranspose2d(d, e, 4, 2, 1, bias=False)
        self.after = nn.Sequential(nn.BatchNorm2d(e), nn.ReLU(), nn.Conv2d(e, 1, 3, 1, 1))

    def forward(self, pair: Tensor) -> Tensor:
        """Cost (N, 1, h, w) of pairs laid over each other (N, 2 C, h, w)."""
        height, width = pair.shape[-2:]
        # An odd side comes back one cell longer than it went down.
        return self.after(self.up(self.down(pair))[:, :, :height, :width])


class FlowRegression(nn.Module):
    """Motion between two frames' features, and this frame's features weighted by it.

    Parameters
    ----------
    channels : int
        Channels of the semantic features.
    window : int
        Side of the search window [cells].
    reduced : int
        Channels that features are reduced to before they are matched.
    widths : sequence of int
        Channels of the matching network.
    """

    def __init__(
        self, channels: int, window: int = 9, reduced: int = 32, widths: Sequence[int] = MATCHING_WIDTHS
    ) -> None:
        super().__init__()
        self.window = window
        count = window * window
        self.reduce = nn.Conv2d(channels, reduced, 1)
        self.match = MatchingNet(reduced, widths)
        self.weigh = nn.Conv2d(count, count, 1, bias=False)
        if not self.weigh.weight.is_meta:
            # The identity, as DAP begins: a cost counts for its own displacement until training finds better.
            with torch.no_grad():
                self.weigh.weight.copy_(torch.eye(count)[:, :, None, None])
        self.register_buffer("steps", hypotheses(window), persistent=False)
        self.attend = nn.Conv2d(count + 2, 1, 1)

    def cost(self, now: Tensor, before: Tensor) -> Tensor:
        """Matching cost of every displacement, (B, U V, h, w), of features already reduced."""
        moved = displaced(before, self.window)
        pairs = torch.cat([now[:, None].expand_as(moved), moved], 2)
        cost = self.match(pairs.flatten(0, 1))
        return self.weigh(cost.unflatten(0, (now.shape[0], -1))[:, :, 0])

    def flow_of(self, cost: Tensor) -> Tensor:
        """Expected displacement (dx, dy) [cells] from this frame to the one before, (B, 2, h, w), by a soft minimum."""
        chance = torch.softmax(-cost.float(), 1)
        return torch.einsum("bnhw,nc->bchw", chance, self.steps.float())  # type: ignore[operator]

    def forward(self, now: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted features (B, C, h, w) and the flow (B, 2, h, w) of two frames' semantic features."""
        cost = self.cost(self.reduce(now), self.reduce(before))
        flow = self.flow_of(cost)
        # Costs are squashed so that one loud hypothesis does not drown the rest.
        motion = torch.cat([torch.tanh(-cost), flow.to(cost.dtype) / self.window], 1)
        weight = torch.sigmoid(self.attend(motion))
        return now * weight + now, flow
