"""The tracking network: motion channels and the mask of the frame before in, the needle's mask on this frame out.

Trunk and top-down path are those of the tip network (`TipStream`), whose weights it can begin with. New are a channel
for the prior (the last mask, or what a user drew), a memory that lasts (a convolutional GRU at a sixteenth of the
size, after Cho et al., EMNLP 2014, and Ballas et al., ICLR 2016, here of 3x3 convolutions), and a head that answers at
full size, for a needle is only a few pixels wide. What it remembers is bounded: the states of the shift and of the GRU,
and one mask.

In training the prior of a frame may be given, or be the network's own last answer (`OWN`): a network that was only ever
handed true masks believes everything it says itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from puncta.training.nets.tip_stream import TipStream
from puncta.training.nets.tip_ut import ConvBlock

OWN = -1.0
"""Value of a prior's pixels that asks for the network's own answer on the frame before."""
DETAIL = 16
"""Channels at half the size, from which the full-size answer is made."""


class MemoryCell(nn.Module):
    """A convolutional GRU whose state is added to what comes in; it begins by adding nothing.

    Parameters
    ----------
    inputs : int
        Channels of the map.
    width : int
        Channels of the state.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.gates = nn.Conv2d(inputs + width, 2 * width, 3, padding=1)
        self.new = nn.Conv2d(inputs + width, width, 3, padding=1)
        self.out = nn.Conv2d(width, inputs, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        # At first the state keeps more than it takes: what is to be remembered lasts longer than a frame.
        with torch.no_grad():
            self.gates.bias[width:] = 1.0

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(B, inputs, h, w) and (B, width, h, w) -> the map with the memory in it, and the new state (-1..1)."""
        reset, keep = torch.sigmoid(self.gates(torch.cat([x, state], dim=1))).chunk(2, dim=1)
        new = torch.tanh(self.new(torch.cat([x, reset * state], dim=1)))
        state = keep * state + (1.0 - keep) * new
        return x + self.out(state), state


class NeedleTrack(TipStream):
    """The network.

    Parameters
    ----------
    channels_in : int
        Motion channels; the prior is one more.
    widths : sequence of int
        Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size.
    memory : int
        Channels of the GRU's state.
    """

    def __init__(self, channels_in: int = 5, widths: Sequence[int] = (16, 32, 64, 128, 160), memory: int = 48) -> None:
        super().__init__(channels_in + 1, widths)
        w1, w2, w3, _, _ = widths
        del self.head
        self.channels_in, self.memory = channels_in, memory
        self.cell = MemoryCell(w3, memory)
        self.side2 = ConvBlock(w1, DETAIL, 3)
        self.down4 = ConvBlock(w2, DETAIL, 1)
        self.mix2 = ConvBlock(DETAIL, DETAIL, 3)
        self.mask = nn.Conv2d(DETAIL, 4, 3, padding=1)
        self.unfold = nn.PixelShuffle(2)
        self.presence = nn.Linear(w3 + w2 + memory, 1)
        # A pixel in fifty is needle.
        self.mask.bias = nn.Parameter(torch.full((4,), -4.0))

    def begin_from(self, weights: dict[str, Tensor]) -> list[str]:
        """Take over the weights of a tip network, or of a network of this kind; return the names of those not there.

        The prior's channel begins with zeros, and so does what presence makes of the memory.

        Raises
        ------
        RuntimeError
            The networks have other widths.
        """
        own = self.state_dict()
        taken = {name: value for name, value in weights.items() if name in own}
        for name in ("at2.conv.weight", "presence.weight"):
            given, wanted = taken.get(name), own[name]
            if given is not None and given.shape != wanted.shape:
                wider = torch.zeros_like(wanted)
                wider[:, : given.shape[1]] = given
                taken[name] = wider
        own.update(taken)
        self.load_state_dict(own)
        return sorted(set(own) - set(taken))

    def forward(self, clip: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run whole clips; before the first frame there is nothing (zeros).

        Parameters
        ----------
        clip : Tensor, shape (B, T, channels + 1, S, S)
            The last channel is the prior, 0..1, or `OWN`.

        Returns
        -------
        mask : Tensor, shape (B, T, S, S)
            Logits.
        presence : Tensor, shape (B, T)
            Logit of "a needle lies in the plane".
        features : Tensor, shape (B, T, F)
            Means over the picture, by which an unfamiliar one is told.
        """
        asks = clip[:, :, -1, 0, 0] < 0
        if not self.training:
            return self._roll(clip, asks)[:3]
        if asks.any():
            # Its own priors are worked out without gradient; then all frames pass through the trunk at once.
            rows = torch.nonzero(asks.any(dim=1))[:, 0]
            clip = clip.clone()
            clip[rows, :, -1] = self._own_priors(clip[rows], asks[rows]).to(clip.dtype)
        return self._parallel(clip)

    def _own_priors(self, clip: Tensor, asks: Tensor) -> Tensor:
        """Priors of every frame with the asked ones filled in, (B, T, S, S)."""
        self.eval()
        with torch.no_grad():
            priors = self._roll(clip, asks, last=False)[3]
        self.train()
        return priors

    def _roll(self, clip: Tensor, asks: Tensor, last: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        b, t = clip.shape[:2]
        states = [clip.new_zeros(b, *shape[1:]) for shape in self.state_shapes(clip.shape[-1])]
        prior = clip.new_zeros(b, *clip.shape[-2:])
        masks, presences, features, priors = [], [], [], []
        for k in range(t):
            prior = torch.where(asks[:, k, None, None], prior, clip[:, k, -1])
            priors.append(prior)
            if k == t - 1 and not last:
                break
            mask, presence, feature, states = self.step(clip[:, k, :-1], prior[:, None], states)
            prior = torch.sigmoid(mask[:, 0].float()).to(clip.dtype)
            masks.append(mask[:, 0])
            presences.append(presence)
            features.append(feature)
        return tuple(
            torch.stack(v, dim=1) if v else clip.new_zeros(0)  # type: ignore[return-value]
            for v in (masks, presences, features, priors)
        )

    def _parallel(self, clip: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        b, t = clip.shape[:2]

        def mix(level: int, x: Tensor) -> Tensor:
            count = self.shifted[level]
            by_time = x.reshape(b, t, *x.shape[1:])
            old = torch.cat([torch.zeros_like(by_time[:, :1, :count]), by_time[:, :-1, :count]], dim=1)
            mixed = torch.cat([old, by_time[:, :, count:]], dim=2).reshape(x.shape)
            return mixed.contiguous(memory_format=torch.channels_last)

        def remember(x: Tensor) -> tuple[Tensor, Tensor]:
            by_time = x.reshape(b, t, *x.shape[1:])
            state = x.new_zeros(b, self.memory, *x.shape[-2:])
            outs, states = [], []
            for k in range(t):
                out, state = self.cell(by_time[:, k], state)
                outs.append(out)
                states.append(state)
            whole = torch.stack(outs, dim=1).reshape(x.shape)
            held = torch.stack(states, dim=1).reshape(b * t, *state.shape[1:])
            return whole.contiguous(memory_format=torch.channels_last), held

        flat = clip.reshape(b * t, *clip.shape[2:]).contiguous(memory_format=torch.channels_last)
        mask, presence, features = self._answer(flat, mix, remember)
        return mask[:, 0].reshape(b, t, *mask.shape[-2:]), presence.reshape(b, t), features.reshape(b, t, -1)

    def state_shapes(self, size: int) -> list[tuple[int, int, int, int]]:
        """Shapes of the states that `step` takes and gives: those of the shift at 1/8, 1/16, 1/32, and the GRU's."""
        return [*super().state_shapes(size), (1, self.memory, size // 16, size // 16)]

    def step(  # type: ignore[override]
        self, frame: Tensor, prior: Tensor, states: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """One frame after those the states remember.

        Parameters
        ----------
        frame : Tensor, shape (B, channels, S, S)
        prior : Tensor, shape (B, 1, S, S)
        states : sequence of Tensor
            See `state_shapes`.

        Returns
        -------
        mask : Tensor, shape (B, 1, S, S)
        presence : Tensor, shape (B,)
        features : Tensor, shape (B, F)
        states : list of Tensor
        """
        newer: list[Tensor] = []

        def mix(level: int, x: Tensor) -> Tensor:
            count = self.shifted[level]
            newer.append(x[:, :count])
            return torch.cat([states[level], x[:, count:]], dim=1)

        def remember(x: Tensor) -> tuple[Tensor, Tensor]:
            out, state = self.cell(x, states[-1])
            newer.append(state)
            return out, state

        mask, presence, features = self._answer(torch.cat([frame, prior], dim=1), mix, remember)
        return mask, presence, features, newer

    def _answer(
        self, x: Tensor, mix: Callable[[int, Tensor], Tensor], remember: Callable[[Tensor], tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        def level(number: int, part: nn.Sequential, below: Tensor) -> Tensor:
            reduce, block = part
            return block(mix(number, reduce(below)))

        f2 = self.at2(x)
        f4 = self.at4(f2)
        f8 = level(0, self.at8, f4)
        f16 = level(1, self.at16, f8)
        p32 = self.side32(level(2, self.at32, f16))
        p16, held = remember(self.mix16(self.side16(f16) + self.up(p32)))
        p8 = self.mix8(self.side8(f8) + self.up(p16))
        p4 = self.mix4(self.side4(f4) + self.up(self.down8(p8)))
        p2 = self.mix2(self.side2(f2) + self.up(self.down4(p4)))
        mask = self.unfold(self.mask(p2))
        pooled = torch.cat([p32.mean(dim=(2, 3)), p4.amax(dim=(2, 3)), held.amax(dim=(2, 3))], dim=1)
        presence = self.presence(pooled)[:, 0]
        return mask, presence, torch.cat([p32.mean(dim=(2, 3)), f8.mean(dim=(2, 3))], dim=1)
