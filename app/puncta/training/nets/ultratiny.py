"""UltraTiny in 2D, 2.5D and 3D, and a causal 3D variant that streams: one needle's pose for a window's last frame.

The poster (Rubin et al., "Efficient video-based deep learning for ultrasound guided needle insertion", MIDL 2021) gives
sizes (546 K, 546 K and 620 K parameters; 0.4, 0.4 and 1.3 GFLOPs) and no drawing; the layers here are our reading,
which meets both within 1 % and 8 %. All four share one trunk; they differ in how the first four convolutions see time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from puncta.training.nets.tip_ut import ConvBlock, CrossStage

Kind = Literal["2d", "2.5d", "3d", "stream"]
KINDS: tuple[Kind, ...] = ("2d", "2.5d", "3d", "stream")
WINDOW = 4
"""Frames that 2.5D and 3D see."""
STRIDE = 16
"""Input pixels of a cell of the output."""
MAPS = ("presence", "tip x", "tip y", "entry x", "entry y", "log length", "sin 2a", "cos 2a")
"""Channels of the output. The cell that holds the tip is the positive one; tip in cells from the cell's middle, entry
as the vector from the tip in shares of the picture, length in shares of it, a the angle to the horizontal."""
SHAFT_MAPS = 4
"""Channels more in training."""
EARLY = (16, 32, 32, 72)
EARLY_STRIDES = (2, 2, 1, 2)
TIME_STRIDES = (1, 1, 2, 2)


class TimeBlock(nn.Module):
    """3x3x3 convolution, batch norm, SiLU over (B, C, T, H, W)."""

    def __init__(self, inputs: int, outputs: int, stride: int, time_stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 3, (time_stride, stride, stride), 1, bias=False)
        self.norm = nn.BatchNorm3d(outputs, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, T, H, W) -> (B, out, T / time stride, H / stride, W / stride)."""
        return self.act(self.norm(self.conv(x)))


class CausalBlock(nn.Module):
    """A 3x3x3 convolution over this frame and the two before, as one 2-D convolution of three frames' channels.

    ONNX Runtime has no quick 3-D convolution; this one is the same sum, and a new frame costs one frame.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.inputs, self.stride = inputs, stride
        self.block = ConvBlock(3 * inputs, outputs, 3, stride)

    def forward(self, clip: Tensor) -> Tensor:
        """Whole clip: (B, in, T, H, W) -> (B, out, T, H / stride, W / stride); before the first frame lies zero.

        The same sum as `step`, written as a 3-D convolution, which trains in half the time.
        """
        flat = self.block.conv.weight
        # The newest frame comes first among the 2-D channels, last along time.
        weight = flat.reshape(len(flat), 3, self.inputs, 3, 3).flip(1).transpose(1, 2)
        out = F.conv3d(F.pad(clip, (0, 0, 0, 0, 2, 0)), weight, None, (1, self.stride, self.stride), (0, 1, 1))
        b, c, t, h, w = out.shape
        shown = self.block.act(self.block.norm(out.transpose(1, 2).reshape(b * t, c, h, w)))
        return shown.reshape(b, t, c, h, w).transpose(1, 2)

    def step(self, frame: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One frame: (B, in, H, W) with a state of the two frames before, (B, 2 in, H, W), newest first."""
        out = self.block(torch.cat([frame, state], dim=1))
        return out, torch.cat([frame, state[:, : self.inputs]], dim=1)


class Trunk(nn.Module):
    """From 1/8 of the size to the answer at 1/16.

    Parameters
    ----------
    taught : bool
        Answer with `SHAFT_MAPS` channels more while training: a map of the shaft at 1/8, four cells to a cell of the
        answer. It is asked for in training alone and thrown away afterwards (`drop_aids`).
    """

    def __init__(self, taught: bool = False) -> None:
        super().__init__()
        self.at8 = CrossStage(72)
        self.at16 = nn.Sequential(ConvBlock(72, 128, 3, 2), CrossStage(128))
        self.at32 = nn.Sequential(ConvBlock(128, 128, 3, 2), CrossStage(128))
        self.down, self.side = ConvBlock(128, 128, 1), ConvBlock(128, 128, 1)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.mix = ConvBlock(128, 64, 3)
        self.head = nn.Conv2d(64, len(MAPS), 1)
        # One cell in 256 is positive; without this bias the first steps go into saying "nowhere".
        bias = torch.zeros(len(MAPS))
        bias[0] = -4.0
        self.head.bias = nn.Parameter(bias)
        self.shaft = nn.Conv2d(72, 1, 1) if taught else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, 72, S / 8, S / 8) -> (B, 8, S / 16, S / 16)."""
        f8 = self.at8(x)
        f16 = self.at16(f8)
        mixed = self.mix(self.side(f16) + self.up(self.down(self.at32(f16))))
        # Half precision rounds an entry by most of a pixel, so the answer itself is never computed in it.
        with torch.autocast(x.device.type, enabled=False):
            maps = self.head(mixed.float())
            if self.shaft is None or not self.training:
                return maps
            return torch.cat([maps, F.pixel_unshuffle(self.shaft(f8.float()), 2)], dim=1)


class UltraTiny(nn.Module):
    """One of the family.

    Parameters
    ----------
    kind : {"2d", "2.5d", "3d", "stream"}
        ``2d`` sees the last frame, ``2.5d`` stacks the window as channels, ``3d`` convolves over the window with
        temporal strides 1, 1, 2, 2 as specified, ``stream`` is causal with stride 1.
    taught : bool
        Made for training, with a map of the shaft beside the answer; see `Trunk`.
    """

    def __init__(self, kind: Kind, taught: bool = False) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"there is no UltraTiny {kind!r}")
        self.kind = kind
        widths = (1, *EARLY)
        layers: list[nn.Module] = []
        for k, (inputs, outputs) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            stride = EARLY_STRIDES[k]
            if kind == "3d":
                layers.append(TimeBlock(inputs, outputs, stride, TIME_STRIDES[k]))
            elif kind == "stream":
                layers.append(CausalBlock(inputs, outputs, stride))
            else:
                first = WINDOW if kind == "2.5d" and k == 0 else inputs
                layers.append(ConvBlock(first, outputs, 3, stride))
        self.early = nn.ModuleList(layers)
        self.trunk = Trunk(taught)
        if kind == "3d":
            # Half as quick again on CPUs.
            self.early.to(memory_format=torch.channels_last_3d)
            self.trunk.to(memory_format=torch.channels_last)

    def forward(self, window: Tensor) -> Tensor:
        """Answer for the last frame of a window.

        Parameters
        ----------
        window : Tensor, shape (B, T, S, S)
            Grey frames, oldest first; 2d takes the last one, 2.5d and 3d the last `WINDOW`.

        Returns
        -------
        Tensor, shape (B, 8, S / 16, S / 16)
            In the order of `MAPS`; presence as a logit.
        """
        if self.kind == "stream":
            return self.run_clip(window)[:, -1]
        if self.kind == "3d":
            x = window[:, None, -WINDOW:]
        else:
            x = window[:, -1:] if self.kind == "2d" else window[:, -WINDOW:]
        for layer in self.early:
            x = layer(x)
        return self.trunk(x.amax(dim=2) if self.kind == "3d" else x)

    def run_clip(self, clip: Tensor) -> Tensor:
        """Answers for every frame of a clip, (B, T, S, S) -> (B, T, 8, S / 16, S / 16); streaming kind only."""
        x = clip[:, None].contiguous(memory_format=torch.channels_last_3d)
        for layer in self.early:
            x = layer(x)
        b, _, t, _, _ = x.shape
        out = self.trunk(x.transpose(1, 2).reshape(b * t, x.shape[1], *x.shape[3:]))
        return out.reshape(b, t, *out.shape[1:])

    def state_shapes(self, size: int) -> list[tuple[int, int, int, int]]:
        """Shapes of the states that `step` takes and gives, for an input of ``size`` px."""
        shapes, side = [], size
        for layer, stride in zip(self.early, EARLY_STRIDES, strict=True):
            assert isinstance(layer, CausalBlock)
            shapes.append((1, 2 * layer.inputs, side, side))
            side //= stride
        return shapes

    def step(self, frame: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One frame, (B, 1, S, S), after those the states remember; returns the answer and the new states."""
        x, newer = frame, []
        for layer, state in zip(self.early, states, strict=True):
            assert isinstance(layer, CausalBlock)
            x, next_state = layer.step(x, state)
            newer.append(next_state)
        return self.trunk(x), newer


def drop_aids(net: nn.Module) -> None:
    """Take away what only helped to train a network."""
    for part in net.modules():
        if isinstance(part, Trunk):
            part.shaft = None


class Streamed(nn.Module):
    """The streaming kind as a graph for export: (frame, state 0..3) -> (maps, state 0..3)."""

    def __init__(self, net: UltraTiny) -> None:
        super().__init__()
        self.net = net

    def forward(self, frame: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Run one step."""
        maps, newer = self.net.step(frame, states)
        return maps, *newer
