"""Convolutional trunks of the mask networks: residual ones (He et al., CVPR 2016) in the paper's and in small sizes.

All take a grey picture and give features at strides 4, 8, 16 (and 32 where asked for).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def norm_relu(channels: int) -> nn.Sequential:
    """Batch normalisation and ReLU."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, as in ResNet18."""

    expansion = 1

    def __init__(self, inside: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inside, width, 3, stride, 1, bias=False), *norm_relu(width),
            nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width),
        )
        self.shortcut = _shortcut(inside, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        return torch.relu(self.body(x) + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut, as in ResNet50; the output is four times as wide."""

    expansion = 4

    def __init__(self, inside: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        outside = width * self.expansion
        self.body = nn.Sequential(
            nn.Conv2d(inside, width, 1, bias=False), *norm_relu(width),
            nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False), *norm_relu(width),
            nn.Conv2d(width, outside, 1, bias=False), nn.BatchNorm2d(outside),
        )
        self.shortcut = _shortcut(inside, outside, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        return torch.relu(self.body(x) + self.shortcut(x))


def _shortcut(inside: int, outside: int, stride: int) -> nn.Module:
    if inside == outside and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))


class ResNetTrunk(nn.Module):
    """A ResNet without its classifier.

    Parameters
    ----------
    block : type
        `BasicBlock` or `Bottleneck`.
    depths : sequence of int
        Blocks of each stage: three stages end at stride 16, four at stride 32.
    channels : int
        Channels of the input; a grey picture given to three is repeated.
    width : int
        Channels of the stem and of the first stage's blocks; 64 in the papers.
    dilate : int
        Stages, counted from the last, that dilate instead of striding.
    small_stem : bool
        A 3x3 instead of a 7x7 stem, without pooling: the first stage strides instead.
    """

    def __init__(
        self, block: type[BasicBlock] | type[Bottleneck], depths: Sequence[int], channels: int = 3, width: int = 64,
        dilate: int = 0, small_stem: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels = channels
        kernel = 3 if small_stem else 7
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, kernel, 2, kernel // 2, bias=False), *norm_relu(width),
            nn.Identity() if small_stem else nn.MaxPool2d(3, 2, 1),
        )
        stages, inside, rate = [], width, 1
        self.channels: tuple[int, ...] = ()
        for number, depth in enumerate(depths):
            own = width * 2**number
            stride = 2 if number or small_stem else 1
            if number >= len(depths) - dilate:
                rate, stride = rate * 2, 1
            blocks: list[nn.Module] = []
            for k in range(depth):
                step = stride if k == 0 else 1
                if block is Bottleneck:
                    # The first block of a dilated stage still sees the grid of the stage before.
                    blocks.append(Bottleneck(inside, own, step, max(1, rate // 2) if k == 0 else rate))
                else:
                    blocks.append(BasicBlock(inside, own, step))
                inside = own * block.expansion
            stages.append(nn.Sequential(*blocks))
            self.channels += (inside,)
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of every stage, finest first, of a picture (B, C or 1, H, W)."""
        x = self.stem(as_channels(x, self.in_channels))
        out = []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return tuple(out)


def as_channels(x: Tensor, channels: int) -> Tensor:
    """Repeat a grey picture over the channels a trunk takes."""
    return x if x.shape[1] == channels else x.expand(-1, channels, -1, -1)


def resnet50_to_16() -> ResNetTrunk:
    """ResNet50 up to its third stage: 256, 512 and 1024 channels at strides 4, 8 and 16."""
    return ResNetTrunk(Bottleneck, (3, 4, 6))


def resnet18_to_16(channels: int = 4) -> ResNetTrunk:
    """ResNet18 up to its third stage: 64, 128 and 256 channels, for a picture with a mask as its fourth channel."""
    return ResNetTrunk(BasicBlock, (2, 2, 2), channels)


class SmallTrunk(nn.Module):
    """A small residual trunk: a 3x3 stem and one basic block a stage.

    Parameters
    ----------
    channels : int
        Channels of the input.
    widths : sequence of int
        Channels at strides 2 (the stem), 4, 8, 16 and so on.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.in_channels = channels
        self.stem = nn.Sequential(nn.Conv2d(channels, widths[0], 3, 2, 1, bias=False), *norm_relu(widths[0]))
        self.stages = nn.ModuleList(BasicBlock(a, b, 2) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.channels = tuple(widths[1:])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of every stage, finest first."""
        x = self.stem(as_channels(x, self.in_channels))
        out = []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return tuple(out)
