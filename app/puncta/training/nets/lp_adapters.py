"""Changes a part of a trained landmark network and leaves the rest as it is: low-rank adapters, or one layer.

Adapters are LoRA's (Hu et al., ICLR 2022) on convolutions: beside a frozen one lies a thin one of a few channels and a
1 x 1 one back, zero at first; W = W0 + (alpha / r) B A. Both are linear, so that they are added into the frozen weights
when training ends: the network that comes out is as large and as quick as the one that went in.

Batch norm keeps its means and variances. A few dozen frames of one machine would bend them for every machine.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from puncta.training.nets.lp_small import LandmarkNet

ADAPTERS, OTHER = "adapters", "other"
"""What may be learnt besides "all": adapters with the flags' layer, or the layer of "no infant's spine" alone."""


class LowRankConv(nn.Module):
    """A frozen convolution and its adapter.

    Parameters
    ----------
    conv : Conv2d
        Without bias.
    rank : int
        Channels between the two parts of the adapter; alpha is twice that.
    """

    def __init__(self, conv: nn.Conv2d, rank: int) -> None:
        super().__init__()
        self.conv = conv
        self.down = nn.Conv2d(conv.in_channels, rank, conv.kernel_size, conv.stride, conv.padding, bias=False)  # type: ignore[arg-type]
        self.up = nn.Conv2d(rank, conv.out_channels, 1, bias=False)
        nn.init.zeros_(self.up.weight)
        self.scale = 2.0

    def forward(self, x: Tensor) -> Tensor:
        """As the convolution, with what the adapter adds."""
        return self.conv(x) + self.scale * self.up(self.down(x))

    def merged(self) -> nn.Conv2d:
        """Return the convolution with the adapter in its weights."""
        with torch.no_grad():
            added = torch.einsum("or,rikl->oikl", self.up.weight[:, :, 0, 0], self.down.weight)
            self.conv.weight += self.scale * added
        return self.conv


class PartlyLearning(nn.Module):
    """A landmark network of which a part learns; answers as it does.

    Parameters
    ----------
    net : LandmarkNet
        With the weights to start from; it is changed in place.
    learns : str
        `ADAPTERS` or `OTHER`.
    rank : int
        Of the adapters.
    """

    def __init__(self, net: LandmarkNet, learns: str, rank: int = 4) -> None:
        super().__init__()
        for parameter in net.parameters():
            parameter.requires_grad = False
        if learns == ADAPTERS:
            for owner, name, conv in list(_convolutions(net)):
                setattr(owner, name, LowRankConv(conv, rank))
            learnt: nn.Module = net.flags
        elif learns == OTHER:
            learnt = net.other
        else:
            raise ValueError(f'there is no part "{learns}" to learn')
        for parameter in learnt.parameters():
            parameter.requires_grad = True
        self.net = net

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `LandmarkNet.forward`."""
        answer: tuple[Tensor, Tensor, Tensor, Tensor] = self.net(image)
        return answer

    def train(self, mode: bool = True) -> PartlyLearning:
        """Turn training on or off; the norms never move."""
        super().train(mode)
        self.net.eval()
        return self

    def settled(self) -> LandmarkNet:
        """Return the network with what was learnt in its own weights."""
        for owner, name, part in [(o, n, c) for o in self.net.modules() for n, c in o.named_children()]:
            if isinstance(part, LowRankConv):
                setattr(owner, name, part.merged())
        for parameter in self.net.parameters():
            parameter.requires_grad = True
        return self.net


def _convolutions(net: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Conv2d]]:
    for owner in net.modules():
        for name, part in owner.named_children():
            if isinstance(part, nn.Conv2d):
                yield owner, name, part
