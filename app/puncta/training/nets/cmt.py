"""The C&T query encoder: a trunk of convolutions and attention after CMT (Guo et al., CVPR 2022), strides 4 to 32.

Each block is a depth-wise convolution with a shortcut, attention whose keys and values are reduced by a depth-wise
convolution, and a feed-forward part with a depth-wise convolution inside.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from puncta.training.nets.stcn_trunks import as_channels

TABLE_1: dict[str, tuple[int, int, int, int]] = {
    "2-2-6-2": (2, 2, 6, 2), "2-2-10-2": (2, 2, 10, 2), "3-3-12-3": (3, 3, 12, 3), "3-3-16-3": (3, 3, 16, 3),
}
"""Numbers of blocks that STNAN's Table 1 compares; the last one is its choice."""
REDUCTIONS = (8, 4, 2, 1)
HEADS = (1, 2, 4, 8)


class LocalPerception(nn.Module):
    """A depth-wise 3x3 convolution with a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, 1, 1, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        return x + self.conv(x)


class LightAttention(nn.Module):
    """Multi-head attention of all places on places of a smaller map.

    Parameters
    ----------
    reduction : int
        Side of the depth-wise convolution that makes the map smaller, and its stride.
    """

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads, self.reduction = heads, reduction
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.project = nn.Linear(width, width)
        self.reduce = nn.Sequential(
            nn.Conv2d(width, width, reduction, reduction, groups=width), nn.BatchNorm2d(width)
        ) if reduction > 1 else nn.Identity()

    def forward(self, x: Tensor, size: tuple[int, int], bias: Tensor | None = None) -> Tensor:
        """Attend; x is (B, h w, C), the bias (heads, h w, reduced h w) is added before the softmax."""
        small = x.transpose(1, 2).unflatten(2, size)
        small = self.reduce(small).flatten(2).transpose(1, 2)
        q, k, v = (self._split(t) for t in (self.query(x), self.key(small), self.value(small)))
        bias = None if bias is None else bias[None].to(q.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.project(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class InvertedFeedForward(nn.Module):
    """Widen, a depth-wise 3x3 convolution with a shortcut, narrow."""

    def __init__(self, width: int, ratio: float) -> None:
        super().__init__()
        hidden = int(width * ratio)
        self.widen = nn.Sequential(nn.Conv2d(width, hidden, 1), nn.GELU(), nn.BatchNorm2d(hidden))
        self.local = nn.Conv2d(hidden, hidden, 3, 1, 1, groups=hidden)
        self.after = nn.Sequential(nn.GELU(), nn.BatchNorm2d(hidden))
        self.narrow = nn.Sequential(nn.Conv2d(hidden, width, 1), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        x = self.widen(x)
        return self.narrow(self.after(x + self.local(x)))


class Block(nn.Module):
    """One block of the trunk."""

    def __init__(self, width: int, heads: int, reduction: int, ratio: float) -> None:
        super().__init__()
        self.local = LocalPerception(width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = LightAttention(width, heads, reduction)
        self.feed = InvertedFeedForward(width, ratio)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Run on a map (B, C, h, w)."""
        size = (x.shape[2], x.shape[3])
        x = self.local(x)
        flat = x.flatten(2).transpose(1, 2)
        flat = flat + self.attention(self.norm1(flat), size, bias)
        normed = self.norm2(flat).transpose(1, 2).unflatten(2, size)
        return flat.transpose(1, 2).unflatten(2, size) + self.feed(normed)


class PatchEmbedding(nn.Module):
    """A 2x2 convolution of stride 2 and layer normalisation."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(inside, outside, 2, 2), nn.LayerNorm(outside)

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        return self.norm(self.conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class RelativeBias(nn.Module):
    """A learned bias for every pair of places of a stage, laid out for one input size and interpolated for others."""

    def __init__(self, heads: int, side: int, reduction: int) -> None:
        super().__init__()
        self.side, self.small = side, side // reduction
        self.table = nn.Parameter(torch.zeros(heads, side * side, self.small * self.small))

    def forward(self, size: tuple[int, int], reduction: int) -> Tensor:
        """Bias (heads, h w, reduced h w) for a map of that size."""
        small = (size[0] // reduction, size[1] // reduction)
        if size == (self.side, self.side) and small == (self.small, self.small):
            return self.table
        heads = self.table.shape[0]
        table = self.table.reshape(heads, self.side * self.side, self.small, self.small)
        table = F.interpolate(table, size=small, mode="bilinear", align_corners=False).flatten(2)
        table = table.transpose(1, 2).reshape(heads, -1, self.side, self.side)
        return F.interpolate(table, size=size, mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)


class CmtTrunk(nn.Module):
    """C&T query encoder.

    Parameters
    ----------
    depths : sequence of int
        Blocks of each stage; three stages end at stride 16, four at stride 32.
    widths : sequence of int
        Channels of each stage.
    stem : int
        Channels of the three convolutions before them.
    ratio : float
        How much the feed-forward part is wider.
    size : int or None
        Side of the input [px] that the relative bias is laid out for; None leaves it out.
    channels : int
        Channels of the input; a grey picture given to three is repeated.
    """

    def __init__(
        self, depths: Sequence[int] = TABLE_1["3-3-16-3"], widths: Sequence[int] = (64, 128, 256, 512), stem: int = 32,
        ratio: float = 4.0, size: int | None = 384, channels: int = 3,
    ) -> None:
        super().__init__()
        self.in_channels, self.channels = channels, tuple(widths)
        layers: list[nn.Module] = []
        for k in range(3):
            layers += [nn.Conv2d(channels if k == 0 else stem, stem, 3, 2 if k == 0 else 1, 1), nn.GELU(),
                       nn.BatchNorm2d(stem)]
        self.stem = nn.Sequential(*layers)
        inside = (stem, *widths[:-1])
        self.embeddings = nn.ModuleList(PatchEmbedding(a, b) for a, b in zip(inside, widths, strict=True))
        self.stages = nn.ModuleList(
            nn.ModuleList(Block(width, HEADS[k], REDUCTIONS[k], ratio) for _ in range(depth))
            for k, (depth, width) in enumerate(zip(depths, widths, strict=True))
        )
        self.biases = nn.ModuleList(
            RelativeBias(HEADS[k], size // 2 ** (k + 2), REDUCTIONS[k]) for k in range(len(widths))
        ) if size is not None else None

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of every stage, finest first, of a picture (B, C or 1, H, W)."""
        x = self.stem(as_channels(x, self.in_channels))
        out = []
        for k, (embed, blocks) in enumerate(zip(self.embeddings, self.stages, strict=True)):
            x = embed(x)
            size = (x.shape[2], x.shape[3])
            bias = None if self.biases is None else self.biases[k](size, REDUCTIONS[k])
            for block in blocks:  # type: ignore[union-attr]
                x = block(x, bias)
            out.append(x)
        return tuple(out)
