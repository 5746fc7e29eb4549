"""Exports the tracking network as a graph of one frame, with its memory and the prior as inputs, and checks it.

The presence it gives is calibrated (a scale and a shift inside the graph), so that the plugin needs only thresholds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from puncta.core.errors import BugError
from puncta.imaging.mask_network import CHANNELS_INPUT, NEXT, PRIOR_INPUT, STATE
from puncta.inference.loaded import LoadedModel
from puncta.training.export import write_graph
from puncta.training.nets.needle_track import NeedleTrack
from puncta.training.parity import Parity, open_exported

OUTPUTS = ("mask", "presence", "strangeness")


class TrackStep(nn.Module):
    """One frame of the tracking network as a graph.

    Parameters
    ----------
    familiar : module
        (B, F) features -> (B,) strangeness.
    scale, shift : float
        Turn the network's presence into log odds that hold.
    """

    def __init__(self, net: NeedleTrack, familiar: nn.Module, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.net, self.familiar = net, familiar
        self.scale, self.shift = scale, shift

    def forward(self, channels: Tensor, prior: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return mask, presence, strangeness and the new states."""
        mask, presence, features, newer = self.net.step(channels, prior, states)
        return mask, presence * self.scale + self.shift, self.familiar(features), *newer


class SteppedTrack:
    """Feeds a graph frame by frame: memory and prior are carried on from one to the next."""

    input = CHANNELS_INPUT

    def __init__(self, session: LoadedModel) -> None:
        self.session = session
        shapes = {spec.name: spec.shape for spec in session.inputs}
        self._zeros = {n: np.zeros(s, np.float32) for n, s in shapes.items() if n.startswith(STATE)}
        self._no_prior = np.zeros(shapes[PRIOR_INPUT], np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._states, self.prior = dict(self._zeros), self._no_prior

    def feeds(self, channels: NDArray[np.float32], prior: NDArray[np.float32] | None = None) -> dict[str, NDArray]:
        """Everything the graph takes for a frame, (1, C, S, S), without running it."""
        return {CHANNELS_INPUT: channels, PRIOR_INPUT: self.prior if prior is None else prior, **self._states}

    def step(self, channels: NDArray[np.float32], prior: NDArray[np.float32] | None = None) -> dict[str, NDArray]:
        """Run one frame, with its own last mask for a prior unless one is given; the outputs that are no states."""
        out = self.session.run(self.feeds(channels, prior))
        self._states = {name: out.pop(name + NEXT) for name in self._zeros}
        self.prior = (1.0 / (1.0 + np.exp(-np.clip(out["mask"], -30.0, 30.0)))).astype(np.float32)
        return out


def export_track(
    net: NeedleTrack,
    clips: Tensor,
    path: Path,
    tolerance: float,
    familiar: nn.Module,
    scale: float = 1.0,
    shift: float = 0.0,
) -> Parity:
    """Write the network and return how well the graph agrees, frame by frame, with it on whole clips.

    Parameters
    ----------
    clips : Tensor, shape (n, T, C + 1, S, S)
        As `NeedleTrack.forward` takes them: priors given, or its own.

    Raises
    ------
    BugError
        The outputs differ by more than the tolerance; nothing is left at ``path``.
    """
    net = net.eval().float().to(memory_format=torch.contiguous_format)
    size = clips.shape[-1]
    states = [torch.zeros(shape) for shape in net.state_shapes(size)]
    names = [f"{STATE}{k}" for k in range(len(states))]
    inputs = {CHANNELS_INPUT: clips[0, :1, :-1], PRIOR_INPUT: torch.zeros(1, 1, size, size), **dict(zip(names, states))}
    temporary = path.with_name(f".part-{path.name}")
    try:
        write_graph(TrackStep(net, familiar, scale, shift), inputs, [*OUTPUTS, *(n + NEXT for n in names)], temporary)
        parity = check_track(net, clips, temporary, tolerance, familiar, scale, shift)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return parity


def check_track(
    net: NeedleTrack,
    clips: Tensor,
    path: Path,
    tolerance: float,
    familiar: nn.Module,
    scale: float = 1.0,
    shift: float = 0.0,
) -> Parity:
    """Feed an exported graph clips frame by frame, its memory empty before each, and compare it with the network.

    Raises
    ------
    BugError
        They differ by more than the tolerance.
    """
    with torch.no_grad():
        mask, presence, features = net(clips)
        strange = familiar(features.flatten(0, 1)).reshape(features.shape[:2])
    wanted = dict(zip(OUTPUTS, (mask, presence * scale + shift, strange)))
    graph = SteppedTrack(open_exported(path))
    worst = 0.0
    for k, frames in enumerate(clips):
        graph.reset()
        for t, frame in enumerate(frames):
            given = None if float(frame[-1, 0, 0]) < 0 else frame[None, -1:].numpy()
            if t == 0 and given is None:
                graph.reset()
            got = graph.step(frame[None, :-1].contiguous().numpy(), given)
            worst = max(worst, _difference(got, {name: values[k, t].numpy() for name, values in wanted.items()}))
    if not worst <= tolerance:
        raise BugError(f"the exported graph differs from the network by {worst:.2g}, more than {tolerance:.2g}")
    return Parity(worst, tolerance, clips.shape[0] * clips.shape[1])


def _difference(got: Mapping[str, NDArray], wanted: Mapping[str, NDArray]) -> float:
    if set(got) != set(wanted):
        raise BugError(f"the exported graph gives {', '.join(sorted(got))}, not {', '.join(sorted(wanted))}")
    gaps = (np.abs(got[n].reshape(v.shape) - v) / np.maximum(1.0, np.abs(v)) for n, v in wanted.items())
    return max(float(gap.max()) for gap in gaps)
