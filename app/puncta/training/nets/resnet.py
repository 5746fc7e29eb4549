"""ResNet18 (He et al., CVPR 2016) for the infant spine's three flags, built on `transformers`: 11.18 M parameters.

Grey levels go in as they are; normalisation is part of the network, so that nobody can forget it. A trunk with public
weights sees the grey level on its three channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel

FLAG_COUNT = 3
DEPTHS = (2, 2, 2, 2)
WIDTHS = (64, 128, 256, 512)
OWN_NORM = (0.25, 0.22)
"""Mean and spread of the simulator's pictures, about."""
IMAGENET_NORM = (0.449, 0.226)
"""Mean and spread of ImageNet as grey levels: the means over the three channels; for public weights."""


class Normalise(nn.Module):
    """Subtracts a mean, divides by a spread and hands the grey level to three channels."""

    def __init__(self, norm: tuple[float, float]) -> None:
        super().__init__()
        self.mean, self.spread = norm

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, S, S) of 0..1 -> (B, 3, S, S)."""
        return ((image - self.mean) / self.spread).expand(-1, 3, -1, -1)


def resnet_config(depths: Sequence[int] = DEPTHS, widths: Sequence[int] = WIDTHS) -> ResNetConfig:
    """Return the trunk's configuration; the defaults are ResNet18's."""
    return ResNetConfig(
        embedding_size=widths[0], hidden_sizes=list(widths), depths=list(depths), layer_type="basic", num_channels=3
    )


class FlagResNet(nn.Module):
    """A residual trunk, the mean of its last maps and one linear layer: one logit a flag.

    Parameters
    ----------
    trunk : ResNetModel or None
        A trunk with weights of its own; None makes a fresh ResNet18.
    norm : (mean, spread)
        Of the grey levels that the trunk was made for.
    outputs : int
        Logits; three flags, or the labels of a pre-training.
    """

    def __init__(
        self, trunk: ResNetModel | None = None, norm: tuple[float, float] = OWN_NORM, outputs: int = FLAG_COUNT
    ) -> None:
        super().__init__()
        self.normalise = Normalise(norm)
        self.trunk = trunk if trunk is not None else ResNetModel(resnet_config())
        self.head = nn.Linear(int(self.trunk.config.hidden_sizes[-1]), outputs)

    def forward(self, image: Tensor) -> Tensor:
        """Grey levels (B, 1, S, S) of 0..1 -> logits (B, outputs)."""
        last = self.trunk(self.normalise(image)).last_hidden_state
        return self.head(last.mean(dim=(2, 3)))

    @property
    def looked_at(self) -> nn.Module:
        """The module whose output Grad-CAM weighs: the last block, after its sum."""
        return self.trunk.encoder.stages[-1].layers[-1]

    @staticmethod
    def as_maps(output: Tensor) -> Tensor:
        """What that module gives, as maps (B, C, h, w)."""
        return output

    def exact_cam(self, image: Tensor) -> Tensor:
        """Class activation maps in closed form, (B, outputs, h, w): their mean plus the bias is the logit."""
        last = self.trunk(self.normalise(image)).last_hidden_state
        return torch.nn.functional.conv2d(last, self.head.weight[:, :, None, None])
