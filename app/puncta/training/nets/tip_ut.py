"""A small network for the tip: motion channels in, a map at a quarter of the size out.

The trunk is of the UltraTiny kind (strided 3x3 convolutions, one cross-stage block a level, SiLU); a top-down path
brings the whole picture's context back to a quarter of the size, where a tip is a few cells wide. One frame in, one
answer out: memory of older frames lies in the motion channels, so the network streams at the price of a still.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MAPS = ("tip", "offset x", "offset y", "direction x", "direction y", "shaft")


class ConvBlock(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H / stride, W / stride)."""
        return self.act(self.norm(self.conv(x)))


class CrossStage(nn.Module):
    """Half the channels pass a residual bottleneck, half pass by (Wang et al., CSPNet, 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.left = ConvBlock(channels, half, 1)
        self.right = ConvBlock(channels, half, 1)
        self.inner = nn.Sequential(ConvBlock(half, half, 1), ConvBlock(half, half, 3))
        self.join = ConvBlock(2 * half, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        left = self.left(x)
        return self.join(torch.cat([left + self.inner(left), self.right(x)], dim=1))


class TipNet(nn.Module):
    """The network.

    Parameters
    ----------
    channels_in : int
        Motion channels.
    widths : sequence of int
        Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size.
    """

    def __init__(self, channels_in: int = 5, widths: Sequence[int] = (16, 32, 64, 112, 128)) -> None:
        super().__init__()
        w1, w2, w3, w4, w5 = widths
        self.at2 = ConvBlock(channels_in, w1, 3, 2)
        self.at4 = nn.Sequential(ConvBlock(w1, w2, 3, 2), ConvBlock(w2, w2, 3))
        self.at8 = nn.Sequential(ConvBlock(w2, w3, 3, 2), CrossStage(w3))
        self.at16 = nn.Sequential(ConvBlock(w3, w4, 3, 2), CrossStage(w4))
        self.at32 = nn.Sequential(ConvBlock(w4, w5, 3, 2), CrossStage(w5))
        self.side32, self.side16, self.side8 = ConvBlock(w5, w3, 1), ConvBlock(w4, w3, 1), ConvBlock(w3, w3, 1)
        self.mix16, self.mix8 = ConvBlock(w3, w3, 3), ConvBlock(w3, w3, 3)
        self.down8, self.side4 = ConvBlock(w3, w2, 1), ConvBlock(w2, w2, 1)
        self.mix4 = nn.Sequential(ConvBlock(w2, w2, 3), ConvBlock(w2, w2, 3))
        self.head = nn.Conv2d(w2, len(MAPS), 1)
        self.presence = nn.Linear(w3 + w2, 1)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        # A tip's cell is one of thousands: without this bias the first steps go into saying "nowhere".
        bias = torch.zeros(len(MAPS))
        bias[0], bias[5] = -4.0, -3.0
        self.head.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run.

        Returns
        -------
        maps : Tensor, shape (B, 6, S / 4, S / 4)
            In the order of `MAPS`; tip and shaft as logits.
        presence : Tensor, shape (B,)
            Logit of "the tip is in the picture".
        """
        f4 = self.at4(self.at2(x))
        f8 = self.at8(f4)
        f16 = self.at16(f8)
        return self.answer(f4, f8, f16, self.side32(self.at32(f16)))

    def answer(self, f4: Tensor, f8: Tensor, f16: Tensor, p32: Tensor) -> tuple[Tensor, Tensor]:
        """Bring the levels together, coarse to fine, and read the answers off."""
        p16 = self.mix16(self.side16(f16) + self.up(p32))
        p8 = self.mix8(self.side8(f8) + self.up(p16))
        p4 = self.mix4(self.side4(f4) + self.up(self.down8(p8)))
        pooled = torch.cat([p32.mean(dim=(2, 3)), p4.amax(dim=(2, 3))], dim=1)
        return self.head(p4), self.presence(pooled)[:, 0]
