"""The tip network with a memory: `TipNet` whose levels pass a part of their channels on to the next frame.

Causal temporal shift (after Lin et al., TSM, ICCV 2019): at strides 8, 16 and 32 an eighth of the channels comes from
the frame before. It has no weights and no cost, and a stream keeps only those channels; features of older frames are
compared, where motion channels compare raw pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from puncta.training.nets.tip_ut import TipNet

SHIFT_SHARE = 8
"""One channel in this many is taken from the frame before."""


class TipStream(TipNet):
    """The network.

    Parameters
    ----------
    channels_in : int
        Motion channels.
    widths : sequence of int
        Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size.
    shift : bool
        False leaves the memory out; then every frame stands alone.
    """

    def __init__(
        self, channels_in: int = 5, widths: Sequence[int] = (16, 32, 64, 112, 128), shift: bool = True
    ) -> None:
        super().__init__(channels_in, widths)
        self.shifted = tuple(w // SHIFT_SHARE for w in widths[2:]) if shift else ()
        self.feature_count = 2 * widths[2]

    def forward(self, clip: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run whole clips; before the first frame there is nothing (zeros).

        Parameters
        ----------
        clip : Tensor, shape (B, T, channels, S, S)

        Returns
        -------
        maps : Tensor, shape (B, T, 6, S / 4, S / 4)
            In the order of `MAPS`; tip and shaft as logits.
        presence : Tensor, shape (B, T)
            Logit of "the tip is in the picture".
        features : Tensor, shape (B, T, F)
            Means over the picture, by which an unfamiliar one is told.
        """
        b, t = clip.shape[:2]

        def mix(level: int, x: Tensor) -> Tensor:
            count = self.shifted[level]
            by_time = x.reshape(b, t, *x.shape[1:])
            old = torch.cat([torch.zeros_like(by_time[:, :1, :count]), by_time[:, :-1, :count]], dim=1)
            mixed = torch.cat([old, by_time[:, :, count:]], dim=2).reshape(x.shape)
            return mixed.contiguous(memory_format=torch.channels_last)

        flat = clip.reshape(b * t, *clip.shape[2:]).contiguous(memory_format=torch.channels_last)
        maps, presence, features = self._run(flat, mix)
        return maps.reshape(b, t, *maps.shape[1:]), presence.reshape(b, t), features.reshape(b, t, -1)

    def state_shapes(self, size: int) -> list[tuple[int, int, int, int]]:
        """Shapes of the states that `step` takes and gives, for an input of ``size`` px."""
        return [(1, count, size // stride, size // stride) for count, stride in zip(self.shifted, (8, 16, 32))]

    def step(self, frame: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """One frame, (B, channels, S, S), after those the states remember; the answers and the new states."""
        newer: list[Tensor] = []

        def mix(level: int, x: Tensor) -> Tensor:
            count = self.shifted[level]
            newer.append(x[:, :count])
            return torch.cat([states[level], x[:, count:]], dim=1)

        return *self._run(frame, mix), newer

    def _run(self, x: Tensor, mix: Callable[[int, Tensor], Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        def level(number: int, part: nn.Sequential, below: Tensor) -> Tensor:
            reduce, block = part
            reduced = reduce(below)
            return block(mix(number, reduced) if self.shifted else reduced)

        f4 = self.at4(self.at2(x))
        f8 = level(0, self.at8, f4)
        f16 = level(1, self.at16, f8)
        p32 = self.side32(level(2, self.at32, f16))
        maps, presence = self.answer(f4, f8, f16, p32)
        return maps, presence, torch.cat([p32.mean(dim=(2, 3)), f8.mean(dim=(2, 3))], dim=1)
