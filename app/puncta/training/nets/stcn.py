"""STCN (Cheng, Tai and Tang, NeurIPS 2021) for one object, with the encoder and the motion part of STNAN as options.

A query frame's key is compared with the keys of all remembered frames by the negative squared Euclidean distance; the
values stored with them (picture and mask, encoded together) are read out by these weights and decoded to a mask. A
query's key is stored as it is when the frame enters the memory, so no frame is encoded twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from puncta.training.nets.flow_regression import FlowRegression
from puncta.training.nets.stcn_trunks import as_channels

TOP_K = 20
"""Remembered cells that a query cell reads from when it is not being trained."""
MEMORY_EVERY = 5
"""Every so many frames one enters the memory, beside the first."""


def affinity(memory_key: Tensor, query_key: Tensor, top_k: int | None = None) -> Tensor:
    """Weights with which each query cell reads each remembered cell.

    ``S_ij = (2 k_i . k_j - |k_i|^2) / sqrt(C)``, the negative squared distance without the query's own norm, which the
    softmax over i cancels.

    Parameters
    ----------
    memory_key : Tensor, shape (B, C, M)
    query_key : Tensor, shape (B, C, Q)
    top_k : int or None
        Only so many of the best are kept; None keeps all.

    Returns
    -------
    Tensor, shape (B, M, Q)
        Sums to one over M.
    """
    likeness = 2 * memory_key.transpose(1, 2) @ query_key - memory_key.square().sum(1)[:, :, None]
    likeness = likeness / math.sqrt(memory_key.shape[1])
    if top_k is None or top_k >= likeness.shape[1]:
        return torch.softmax(likeness, dim=1)
    best, where = torch.topk(likeness, top_k, dim=1)
    return torch.zeros_like(likeness).scatter_(1, where, torch.softmax(best, dim=1).to(likeness.dtype))


def read_memory(memory_key: Tensor, memory_value: Tensor, query_key: Tensor, top_k: int | None = None) -> Tensor:
    """Values for the cells of a query frame.

    Parameters
    ----------
    memory_key, memory_value : Tensor, shape (B, C, T, h, w) and (B, V, T, h, w)
    query_key : Tensor, shape (B, C, h, w)

    Returns
    -------
    Tensor, shape (B, V, h, w)
    """
    weights = affinity(memory_key.flatten(2), query_key.flatten(2), top_k)
    return (memory_value.flatten(2) @ weights).unflatten(2, query_key.shape[-2:])


class ResBlock(nn.Module):
    """ReLU and 3x3 convolution twice, without normalisation, and a 3x3 shortcut where the width changes."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, 1, 1)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1)
        self.shortcut = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        return self.shortcut(x) + self.conv2(torch.relu(self.conv1(torch.relu(x))))


class Cbam(nn.Module):
    """Attention over channels and then over places (Woo et al., ECCV 2018)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.channel = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))
        self.place = nn.Conv2d(2, 1, 7, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        weight = self.channel(x.mean((2, 3))) + self.channel(x.amax((2, 3)))
        x = x * torch.sigmoid(weight)[:, :, None, None]
        pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.place(pooled))


class FeatureFusion(nn.Module):
    """Joins a frame's key features with those of its picture and mask."""

    def __init__(self, key: int, value: int, outside: int) -> None:
        super().__init__()
        self.block1 = ResBlock(key + value, outside)
        self.attention = Cbam(outside)
        self.block2 = ResBlock(outside, outside)

    def forward(self, key: Tensor, value: Tensor) -> Tensor:
        """Run."""
        x = self.block1(torch.cat([value, key], 1))
        return self.block2(x + self.attention(x))


class Upsample(nn.Module):
    """Doubles the size, adds features of that size and mixes."""

    def __init__(self, skip: int, inside: int, outside: int) -> None:
        super().__init__()
        self.skip = nn.Conv2d(skip, inside, 3, 1, 1)
        self.block = ResBlock(inside, outside)

    def forward(self, skip: Tensor, x: Tensor) -> Tensor:
        """Run."""
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.block(self.skip(skip) + x)


class Decoder(nn.Module):
    """From what was read out at stride 16 to a mask at full size."""

    def __init__(self, inside: int, skips: tuple[int, int], widths: tuple[int, int]) -> None:
        super().__init__()
        wide, narrow = widths
        self.compress = ResBlock(inside, wide)
        self.up_16_8 = Upsample(skips[1], wide, narrow)
        self.up_8_4 = Upsample(skips[0], narrow, narrow)
        self.predict = nn.Conv2d(narrow, 1, 3, 1, 1)

    def forward(self, x: Tensor, f8: Tensor, f4: Tensor) -> Tensor:
        """Logits (B, 1, H, W)."""
        x = self.up_8_4(f4, self.up_16_8(f8, self.compress(x)))
        x = self.predict(torch.relu(x))
        return F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """What the query encoder gives for a frame.

    Attributes
    ----------
    key : Tensor, shape (B, C, h, w)
    f4, f8, f16 : Tensor
        Features at these strides.
    semantic : Tensor
        Features that motion is estimated on: at stride 16, or at 32 where the trunk has them.
    """

    key: Tensor
    f4: Tensor
    f8: Tensor
    f16: Tensor
    semantic: Tensor

    def frame(self, at: slice | Tensor) -> Encoded:
        """Some frames of a batch."""
        return Encoded(*(getattr(self, name)[at] for name in Encoded.__slots__))


class Stcn(nn.Module):
    """STCN; with a C&T trunk STCN+C&T, with motion besides STNAN.

    Parameters
    ----------
    trunk : Module
        Query encoder: gives features at strides 4, 8, 16 (and 32), and has `channels`.
    value_trunk : Module
        Takes the picture and the mask, and has `in_channels` and `channels`.
    key, value : int
        Channels of keys and values.
    widths : (int, int)
        Channels of the decoder at stride 16 and below.
    flow : FlowRegression or None
    top_k : int
    """

    def __init__(
        self, trunk: nn.Module, value_trunk: nn.Module, key: int = 64, value: int = 512,
        widths: tuple[int, int] = (512, 256), flow: FlowRegression | None = None, top_k: int = TOP_K,
    ) -> None:
        super().__init__()
        channels: tuple[int, ...] = trunk.channels  # type: ignore[assignment]
        self.trunk, self.value_trunk, self.flow, self.top_k = trunk, value_trunk, flow, top_k
        self.key_proj = nn.Conv2d(channels[2], key, 3, 1, 1)
        # Orthogonal, as STCN has it: distances between keys mean something from the start.
        nn.init.orthogonal_(self.key_proj.weight.data) if not self.key_proj.weight.is_meta else None
        nn.init.zeros_(self.key_proj.bias)  # type: ignore[arg-type]
        self.key_comp = nn.Conv2d(channels[-1] if flow is not None else channels[2], value, 3, 1, 1)
        self.fusion = FeatureFusion(channels[2], value_trunk.channels[2], value)  # type: ignore[index]
        self.decoder = Decoder(2 * value, (channels[0], channels[1]), widths)

    def encode_query(self, image: Tensor) -> Encoded:
        """Encode frames, (B, 1, H, W); sides must be multiples of 16 (of 32 where the trunk goes there)."""
        features = self.trunk(image)
        return Encoded(self.key_proj(features[2]), features[0], features[1], features[2], features[-1])

    def encode_value(self, image: Tensor, mask: Tensor, query: Encoded) -> Tensor:
        """Encode a frame with its mask (B, 1, H, W), 0..1: what the memory stores beside the frame's key."""
        picture = as_channels(image, self.value_trunk.in_channels - 1)  # type: ignore[operator]
        features = self.value_trunk(torch.cat([picture, mask.to(picture.dtype)], 1))
        return self.fusion(query.f16, features[2])

    def context(self, query: Encoded, before: Encoded | None) -> Tensor:
        """What the decoder gets of the frame itself; with motion, weighted by how it moved since the frame before."""
        if self.flow is None:
            return self.key_comp(query.f16)
        fused = self.flow(query.semantic, query.semantic if before is None else before.semantic)[0]
        if fused.shape[-1] != query.f16.shape[-1]:
            fused = F.interpolate(fused, size=query.f16.shape[-2:], mode="bilinear", align_corners=False)
        return self.key_comp(fused)

    def segment(self, keys: Tensor, values: Tensor, query: Encoded, context: Tensor) -> Tensor:
        """Logits (B, 1, H, W) of a query frame's mask, from remembered keys and values (B, C, T, h, w)."""
        read = read_memory(keys, values, query.key, None if self.training else self.top_k)
        return self.decoder(torch.cat([read, context], 1), query.f8, query.f4)

    def forward(self, images: Tensor, first_mask: Tensor) -> Tensor:
        """Logits of frames 2.. of clips, (B, T - 1, H, W), from the true mask of frame 1; predicted masks are fed back.

        Parameters
        ----------
        images : Tensor, shape (B, T, H, W)
        first_mask : Tensor, shape (B, H, W)
        """
        batch, length = images.shape[:2]
        # All frames through the encoder at once, frame by frame one after another: (T x B).
        flat = images.transpose(0, 1).reshape(-1, 1, *images.shape[2:])
        every = self.encode_query(flat)
        frames = [every.frame(slice(t * batch, (t + 1) * batch)) for t in range(length)]
        later, earlier = every.frame(slice(batch, None)), every.frame(slice(0, -batch))
        contexts = self.context(later, earlier).split(batch)
        mask = first_mask[:, None]
        keys, values, out = [], [], []
        for t in range(1, length):
            keys.append(frames[t - 1].key)
            values.append(self.encode_value(images[:, t - 1, None], mask, frames[t - 1]))
            logits = self.segment(torch.stack(keys, 2), torch.stack(values, 2), frames[t], contexts[t - 1])
            mask = torch.sigmoid(logits)
            out.append(logits[:, 0])
        return torch.stack(out, 1)


class MemoryBank:
    """Runs a `Stcn` over one stream: the first masked frame and every fifth after it are remembered.

    Parameters
    ----------
    every : int
    limit : int or None
        Frames kept at most, the first among them; the oldest of the others goes. None keeps all.
    """

    def __init__(self, net: Stcn, every: int = MEMORY_EVERY, limit: int | None = None) -> None:
        self.net, self.every, self.limit = net, every, limit
        self.reset()

    def __len__(self) -> int:
        return len(self._keys)

    def reset(self) -> None:
        """Forget everything."""
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._before: Encoded | None = None
        self._since = 0

    @torch.no_grad()
    def step(self, image: Tensor, mask: Tensor | None = None) -> Tensor | None:
        """Take the next frame; return its mask's probabilities (H, W), None as long as no mask was ever given.

        Parameters
        ----------
        image : Tensor, shape (H, W)
        mask : Tensor or None, shape (H, W)
            A mask to believe instead of finding one; the frame is then remembered.
        """
        picture = image[None, None]
        query = self.net.encode_query(picture)
        answer: Tensor | None = None
        if mask is not None:
            answer = mask.to(picture.dtype)
            self._remember(picture, answer[None, None], query)
        elif self._keys:
            context = self.net.context(query, self._before)
            logits = self.net.segment(torch.stack(self._keys, 2), torch.stack(self._values, 2), query, context)
            found = torch.sigmoid(logits)
            answer = found[0, 0]
            self._since += 1
            if self._since >= self.every:
                self._remember(picture, found, query)
        self._before = query
        return answer

    def _remember(self, picture: Tensor, mask: Tensor, query: Encoded) -> None:
        self._keys.append(query.key)
        self._values.append(self.net.encode_value(picture, mask, query))
        self._since = 0
        if self.limit is not None and len(self._keys) > self.limit:
            del self._keys[1], self._values[1]
