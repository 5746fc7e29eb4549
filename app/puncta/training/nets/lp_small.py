"""A small network for the infant spine's three flags, whose reasons can be seen: mean over a map, nothing after it.

Each flag's logit is the mean of a map plus a bias. The map is linear in the last features, so it is the exact class
activation map (Zhou et al., CVPR 2016); Grad-CAM of the same layer gives the same map but for a factor. Features from
strides 8, 16 and 32 meet at stride 8, where a canal of 8 mm is six cells deep: coarser, a peak could not be placed.

The trunk is that of the tip network (`puncta.training.nets.tip_ut`). Depthwise trunks of the same accuracy class need
fewer products, but train at a fraction of the speed on a CPU; both answer far below 5 ms.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from puncta.training.nets.tip_ut import ConvBlock, CrossStage

FLAG_COUNT = 3
STRIDE = 8
GREY_MEAN, GREY_SPREAD = 0.25, 0.22
"""Of the simulator's pictures, about; greys as shown, so that too much gain can be told."""
LEAST_SPREAD = 0.03


class LandmarkNet(nn.Module):
    """The network.

    Parameters
    ----------
    widths : sequence of int
        Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size.
    head : int
        Channels of the last features, whose means are judged.

    Attributes
    ----------
    feature_count : int
        Length of the features by which an unfamiliar picture is told.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 112, 160), head: int = 96) -> None:
        super().__init__()
        w1, w2, w3, w4, w5 = widths
        self.at2 = ConvBlock(2, w1, 3, 2)
        self.at4 = nn.Sequential(ConvBlock(w1, w2, 3, 2), ConvBlock(w2, w2, 3))
        self.at8 = nn.Sequential(ConvBlock(w2, w3, 3, 2), CrossStage(w3))
        self.at16 = nn.Sequential(ConvBlock(w3, w4, 3, 2), CrossStage(w4), CrossStage(w4))
        self.at32 = nn.Sequential(ConvBlock(w4, w5, 3, 2), CrossStage(w5))
        self.side32, self.side16, self.side8 = ConvBlock(w5, w4, 1), ConvBlock(w4, head, 1), ConvBlock(w3, head, 1)
        self.mix16, self.mix8 = ConvBlock(w4, w4, 3), ConvBlock(head, head, 3)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.flags = nn.Linear(head, FLAG_COUNT)
        self.other = nn.Linear(head + w5, 1)
        self.feature_count = head + w5

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Run.

        Parameters
        ----------
        image : Tensor, shape (B, 1, S, S)
            Grey levels 0..1 of the ultrasound region as displayed.

        Returns
        -------
        logits : Tensor, shape (B, 3)
            Of quality, cord and CSF; the mean of ``cam`` plus the bias.
        cam : Tensor, shape (B, 3, S / 8, S / 8)
        other : Tensor, shape (B,)
            Logit of "no infant's spine".
        features : Tensor, shape (B, F)
            Means over the picture.
        """
        last, coarse = self.features(image)
        cam = self.cam_of(last)
        pooled = torch.cat([last.mean(dim=(2, 3)), coarse.mean(dim=(2, 3))], dim=1)
        return cam.mean(dim=(2, 3)) + self.flags.bias, cam, self.other(pooled)[:, 0], pooled

    def features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last features at stride 8, and those at stride 32."""
        centred = image - image.mean(dim=(2, 3), keepdim=True)
        spread = torch.sqrt((centred * centred).mean(dim=(2, 3), keepdim=True))
        # Once as displayed, once whatever the gain and dynamic range.
        x = torch.cat([(image - GREY_MEAN) / GREY_SPREAD, centred / (spread + LEAST_SPREAD)], dim=1)
        f8 = self.at8(self.at4(self.at2(x)))
        f16 = self.at16(f8)
        f32 = self.at32(f16)
        p16 = self.side16(self.mix16(f16 + self.up(self.side32(f32))))
        return self.mix8(self.side8(f8) + self.up(p16)), f32

    def cam_of(self, last: Tensor) -> Tensor:
        """Class activation maps of the last features: their sum weighted as the linear layer weighs their means."""
        return nn.functional.conv2d(last, self.flags.weight[:, :, None, None])
