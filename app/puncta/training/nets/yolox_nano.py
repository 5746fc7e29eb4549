"""A network of YOLOX-Nano's shape, as the yardstick of speed: never trained here, only timed.

Written from the published description (Ge et al., "YOLOX: Exceeding YOLO Series in 2021"): depth 0.33, width 0.25,
depthwise convolutions; a stem of pixel slices, four cross-stage levels with pyramid pooling on the last, a path
aggregation neck, and heads that part class from place. 0.91 M parameters and 1.08 GFLOPs at 416 with 80 classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from puncta.training.nets.tip_ut import ConvBlock

CLASSES = 80
SIZE = 416
"""Side of its published input [px]."""
WIDTHS = (16, 32, 64, 128, 256)
POOLS = (5, 9, 13)


def depthwise(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution of each channel alone, then a 1x1 of all."""
    alone = ConvBlock(inputs, inputs, 3, stride)
    alone.conv = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
    return nn.Sequential(alone, ConvBlock(inputs, outputs, 1))


class Bottleneck(nn.Module):
    """1x1, then depthwise 3x3, about a shortcut or without one."""

    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(ConvBlock(channels, channels, 1), depthwise(channels, channels))
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return x + self.layers(x) if self.shortcut else self.layers(x)


class Stage(nn.Module):
    """Half the channels pass bottlenecks, half pass by."""

    def __init__(self, inputs: int, outputs: int, count: int = 1, shortcut: bool = False) -> None:
        super().__init__()
        half = outputs // 2
        self.through, self.by = ConvBlock(inputs, half, 1), ConvBlock(inputs, half, 1)
        self.inner = nn.Sequential(*(Bottleneck(half, shortcut) for _ in range(count)))
        self.join = ConvBlock(2 * half, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return self.join(torch.cat([self.inner(self.through(x)), self.by(x)], dim=1))


class PyramidPool(nn.Module):
    """Maxima over windows of three sizes beside what they are taken of."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.reduce = ConvBlock(channels, half, 1)
        self.pools = nn.ModuleList(nn.MaxPool2d(k, 1, k // 2) for k in POOLS)
        self.join = ConvBlock((1 + len(POOLS)) * half, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        x = self.reduce(x)
        return self.join(torch.cat([x, *(pool(x) for pool in self.pools)], dim=1))


class Head(nn.Module):
    """Class scores from one branch, box and objectness from another."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.stem = ConvBlock(inputs, channels, 1)
        self.of_class = nn.Sequential(depthwise(channels, channels), depthwise(channels, channels))
        self.of_place = nn.Sequential(depthwise(channels, channels), depthwise(channels, channels))
        self.classes = nn.Conv2d(channels, CLASSES, 1)
        self.box, self.objectness = nn.Conv2d(channels, 4, 1), nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, 5 + classes, H, W)."""
        x = self.stem(x)
        place = self.of_place(x)
        return torch.cat([self.box(place), self.objectness(place), self.classes(self.of_class(x))], dim=1)


class YoloxNano(nn.Module):
    """The network."""

    def __init__(self) -> None:
        super().__init__()
        w2, w4, w8, w16, w32 = WIDTHS
        self.stem = ConvBlock(12, w2, 3)
        self.at4 = nn.Sequential(depthwise(w2, w4, 2), Stage(w4, w4, 1, True))
        self.at8 = nn.Sequential(depthwise(w4, w8, 2), Stage(w8, w8, 3, True))
        self.at16 = nn.Sequential(depthwise(w8, w16, 2), Stage(w16, w16, 3, True))
        self.at32 = nn.Sequential(depthwise(w16, w32, 2), PyramidPool(w32), Stage(w32, w32))
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.from32, self.mix16 = ConvBlock(w32, w16, 1), Stage(2 * w16, w16)
        self.from16, self.mix8 = ConvBlock(w16, w8, 1), Stage(2 * w8, w8)
        self.down8, self.out16 = depthwise(w8, w8, 2), Stage(2 * w8, w16)
        self.down16, self.out32 = depthwise(w16, w16, 2), Stage(2 * w16, w32)
        self.heads = nn.ModuleList(Head(w, w8) for w in (w8, w16, w32))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, S, S) -> (B, 85, S / 8, S / 8), and the same at 1/16 and 1/32."""
        slices = [x[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        f8 = self.at8(self.at4(self.stem(torch.cat(slices, dim=1))))
        f16 = self.at16(f8)
        p32 = self.from32(self.at32(f16))
        p16 = self.from16(self.mix16(torch.cat([self.up(p32), f16], dim=1)))
        o8 = self.mix8(torch.cat([self.up(p16), f8], dim=1))
        o16 = self.out16(torch.cat([self.down8(o8), p16], dim=1))
        o32 = self.out32(torch.cat([self.down16(o16), p32], dim=1))
        return tuple(head(level) for head, level in zip(self.heads, (o8, o16, o32), strict=True))
