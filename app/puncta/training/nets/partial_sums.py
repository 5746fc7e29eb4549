"""The streaming UltraTiny as it is exported: sums are carried from frame to frame where they are smaller than frames.

A causal 3x3x3 convolution is the sum of three 2-D convolutions, of this frame and of the two before. Kept as frames,
the memory has to be put beside every new frame (a copy of both, at the input's size) before a convolution of three
times the channels. Here each frame passes three convolutions once, all three of its own channels, and what they give is
kept for the two frames to come: the same products, a memory of the output's size, and nothing to put together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from puncta.training.nets.ultratiny import EARLY_STRIDES, CausalBlock, UltraTiny


class SummedBlock(nn.Module):
    """A `CausalBlock` with its batch norm folded in, whose memory are sums."""

    def __init__(self, block: CausalBlock) -> None:
        super().__init__()
        conv, norm = block.block.conv, block.block.norm
        self.outputs = conv.out_channels
        assert norm.running_var is not None
        assert norm.running_mean is not None
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = (conv.weight * gain[:, None, None, None]).detach()
        by_frame = weight.split(block.inputs, dim=1)
        self.conv = nn.Conv2d(block.inputs, 3 * self.outputs, 3, conv.stride[0], 1)
        self.conv.weight = nn.Parameter(torch.cat(by_frame, dim=0))
        bias = (norm.bias - norm.running_mean * gain).detach()
        self.conv.bias = nn.Parameter(torch.cat([bias, bias.new_zeros(2 * self.outputs)]))

    def forward(self, frame: Tensor, next_sum: Tensor, later_sum: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the output, what this and older frames add to the next one, and what this one adds to the one after.

        Parameters
        ----------
        frame : Tensor, shape (B, in, H, W)
        next_sum, later_sum : Tensor, shape (B, out, H / stride, W / stride)
            As returned on the frame before; zero before the first.
        """
        now, coming, later = self.conv(frame).split(self.outputs, dim=1)
        return functional.silu(now + next_sum), coming + later_sum, later


class SummedStream(nn.Module):
    """One step of the streaming kind: (frame, states) -> (maps, new states).

    The first block sees one channel and gives sixteen, so there frames are the smaller memory and stay.

    Parameters
    ----------
    net : UltraTiny
        Of kind "stream"; trained; the sums' weights are copies with the batch norm folded in.
    """

    def __init__(self, net: UltraTiny) -> None:
        super().__init__()
        first, *others = net.early
        assert isinstance(first, CausalBlock)
        self.first = first
        self.others = nn.ModuleList(SummedBlock(b) for b in others if isinstance(b, CausalBlock))
        self.trunk = net.trunk

    def state_shapes(self, size: int) -> list[tuple[int, int, int, int]]:
        """Shapes of the states for an input of ``size`` px."""
        shapes = [(1, 2 * self.first.inputs, size, size)]
        side = size // EARLY_STRIDES[0]
        for block, stride in zip(self.others, EARLY_STRIDES[1:], strict=True):
            assert isinstance(block, SummedBlock)
            side //= stride
            shapes += [(1, block.outputs, side, side)] * 2
        return shapes

    def forward(self, frame: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Run one frame, (B, 1, S, S)."""
        x, older = self.first.step(frame, states[0])
        newer = [older]
        for k, block in enumerate(self.others):
            x, coming, later = block(x, states[2 * k + 1], states[2 * k + 2])
            newer += [coming, later]
        return self.trunk(x), *newer
