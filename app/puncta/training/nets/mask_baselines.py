"""The networks of STNAN's Table 4 that see one frame at a time, in the papers' and in small sizes.

`width` is the number of channels of the first level (64 in the papers); everything else scales with it. All give
logits (B, 1, H, W) for pictures (B, C, H, W) whose sides are multiples of 32.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from puncta.training.nets.stcn_trunks import BasicBlock, Bottleneck, ResNetTrunk, as_channels, norm_relu

VGG16 = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
"""Convolutions of VGG16 (Simonyan and Zisserman, ICLR 2015) by level, as multiples of the first width."""


def conv_norm(inside: int, outside: int, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return nn.Sequential(nn.Conv2d(inside, outside, kernel, 1, kernel // 2, bias=False), *norm_relu(outside))


def _enlarge(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class UNet(nn.Module):
    """U-Net (Ronneberger et al., MICCAI 2015): five levels, bilinear enlarging, two convolutions a level.

    Parameters
    ----------
    channels : int
        Channels of the input: 2 where the previous mask is the second.
    """

    def __init__(self, width: int = 64, channels: int = 3) -> None:
        super().__init__()
        self.in_channels = channels
        widths = [width * 2**k for k in range(5)]
        self.down = nn.ModuleList(
            nn.Sequential(conv_norm(a, b), conv_norm(b, b)) for a, b in itertools.pairwise([channels, *widths])
        )
        self.up = nn.ModuleList(
            nn.Sequential(conv_norm(a + b, a), conv_norm(a, a)) for a, b in itertools.pairwise(widths)
        )
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        x, kept = as_channels(x, self.in_channels), []
        for k, level in enumerate(self.down):
            x = level(x if k == 0 else F.max_pool2d(x, 2))
            kept.append(x)
        for level, skip in zip(reversed(self.up), reversed(kept[:-1]), strict=True):
            x = level(torch.cat([skip, _enlarge(x, skip)], 1))
        return self.head(x)


class Vgg16(nn.Module):
    """VGG16's thirteen convolutions; gives each level's features before pooling.

    Parameters
    ----------
    norm : bool
        Batch normalisation after each convolution (a network of this depth hardly learns from scratch without).
    """

    def __init__(self, width: int = 64, channels: int = 3, norm: bool = True) -> None:
        super().__init__()
        self.in_channels = channels
        levels, inside = [], channels
        for level in VGG16:
            layers: list[nn.Module] = []
            for factor in level:
                outside = factor * width
                layers += [nn.Conv2d(inside, outside, 3, 1, 1)]
                layers += [*norm_relu(outside)] if norm else [nn.ReLU(inplace=True)]
                inside = outside
            levels.append(nn.Sequential(*layers))
        self.levels = nn.ModuleList(levels)
        self.channels = tuple(level[-1] * width for level in VGG16)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features at strides 1, 2, 4, 8 and 16."""
        x, out = as_channels(x, self.in_channels), []
        for k, level in enumerate(self.levels):
            x = level(x if k == 0 else F.max_pool2d(x, 2))
            out.append(x)
        return out


class SegNet(nn.Module):
    """SegNet (Badrinarayanan et al., PAMI 2017): VGG16 and its mirror, which unpools to where the maxima were."""

    def __init__(self, width: int = 64, channels: int = 3) -> None:
        super().__init__()
        self.in_channels = channels
        self.encoder = Vgg16(width, channels).levels
        decoder = []
        for k in range(len(VGG16) - 1, -1, -1):
            factors = VGG16[k]
            last = VGG16[k - 1][-1] if k else 1
            pairs = itertools.pairwise([factors[-1], *factors[:-1], last] if k else [1, 1])
            decoder.append(nn.Sequential(*(
                nn.Sequential(nn.Conv2d(a * width, b * width, 3, 1, 1), *norm_relu(b * width)) for a, b in pairs
            )))
        self.decoder = nn.ModuleList(decoder)
        self.head = nn.Conv2d(width, 1, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        x, places = as_channels(x, self.in_channels), []
        for level in self.encoder:
            x = level(x)
            x, where = F.max_pool2d(x, 2, return_indices=True)
            places.append(where)
        for level, where in zip(self.decoder, reversed(places), strict=True):
            x = level(F.max_unpool2d(x, where, 2))
        return self.head(x)


class Fcn32(nn.Module):
    """FCN-32s (Long et al., CVPR 2015): VGG16, two wide layers at stride 32, one enlarging by 32.

    Parameters
    ----------
    hidden : int or None
        Channels of the two wide layers; None takes 64 times the first width, 4096 in the paper.
    kernel : int
        Side of the first wide layer, 7 in the paper.
    """

    def __init__(self, width: int = 64, channels: int = 3, hidden: int | None = None, kernel: int = 7) -> None:
        super().__init__()
        hidden = 64 * width if hidden is None else hidden
        self.trunk = Vgg16(width, channels)
        self.fc6 = nn.Conv2d(self.trunk.channels[-1], hidden, kernel, 1, kernel // 2)
        self.fc7 = nn.Conv2d(hidden, hidden, 1)
        self.score = nn.Conv2d(hidden, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        deep = F.max_pool2d(self.trunk(x)[-1], 2)
        deep = F.dropout(torch.relu(self.fc6(deep)), 0.5, self.training)
        deep = F.dropout(torch.relu(self.fc7(deep)), 0.5, self.training)
        return _enlarge(self.score(deep), x)


class Vgg16UNet(nn.Module):
    """U-Net whose way down is VGG16."""

    def __init__(self, width: int = 64, channels: int = 3) -> None:
        super().__init__()
        self.trunk = Vgg16(width, channels, norm=False)
        widths = self.trunk.channels
        outs = [w * width for w in (1, 2, 4, 8)]
        deeper = [*outs[1:], widths[-1]]
        self.up = nn.ModuleList(
            nn.Sequential(conv_norm(skip + below, out), conv_norm(out, out))
            for skip, below, out in zip(widths[:-1], deeper, outs, strict=True)
        )
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        kept = self.trunk(x)
        y = kept[-1]
        for level, skip in zip(reversed(self.up), reversed(kept[:-1]), strict=True):
            y = level(torch.cat([skip, _enlarge(y, skip)], 1))
        return self.head(y)


class ResNetFcn32(nn.Module):
    """A ResNet (50 in the paper) to stride 32, a 3x3 layer of a quarter of its width, one enlarging by 32."""

    def __init__(
        self, depths: tuple[int, ...] = (3, 4, 6, 3), width: int = 64, channels: int = 3, bottleneck: bool = True
    ) -> None:
        super().__init__()
        self.trunk = ResNetTrunk(Bottleneck if bottleneck else BasicBlock, depths, channels, width)
        deep = self.trunk.channels[-1]
        self.head = nn.Sequential(conv_norm(deep, deep // 4), nn.Dropout(0.1), nn.Conv2d(deep // 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        return _enlarge(self.head(self.trunk(x)[-1]), x)


class PspNet(nn.Module):
    """PSPNet (Zhao et al., CVPR 2017): a dilated ResNet (50) at stride 8 and features pooled over 1 to 6 parts."""

    BINS = (1, 2, 3, 6)

    def __init__(
        self, depths: tuple[int, ...] = (3, 4, 6, 3), width: int = 64, channels: int = 3, bottleneck: bool = True
    ) -> None:
        super().__init__()
        self.trunk = ResNetTrunk(Bottleneck if bottleneck else BasicBlock, depths, channels, width, dilate=2)
        deep = self.trunk.channels[-1]
        # A map pooled to one place has no spread over a batch of one: no normalisation there.
        self.pools = nn.ModuleList(
            nn.Sequential(nn.Conv2d(deep, deep // 4, 1), nn.ReLU()) for _ in self.BINS
        )
        self.head = nn.Sequential(conv_norm(2 * deep, deep // 4), nn.Dropout(0.1), nn.Conv2d(deep // 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Run."""
        deep = self.trunk(x)[-1]
        parts = [
            _enlarge(pool(F.adaptive_avg_pool2d(deep, bins)), deep)
            for pool, bins in zip(self.pools, self.BINS, strict=True)
        ]
        return _enlarge(self.head(torch.cat([deep, *parts], 1)), x)
