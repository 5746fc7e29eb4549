"""Exports a trained network to ONNX, in fp32, and leaves a file only after it agrees with the network.

A network with a memory becomes a graph of one frame: its states are inputs ``state_0``, .. and outputs
``state_0_next``, ..; all zero means "no frame before this one". Batch norm is folded into the convolutions.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from puncta.training.nets.partial_sums import SummedStream
from puncta.training.nets.tip_stream import TipStream
from puncta.training.nets.ultratiny import WINDOW, UltraTiny
from puncta.training.parity import Parity, check_parity
from puncta.training.stepping import NEXT, STATE

INPUT = "channels"
OUTPUTS = ("maps", "presence")
STRANGENESS = "strangeness"
OPSET = 17


class TipStep(nn.Module):
    """One frame of the tip network as a graph.

    Parameters
    ----------
    familiar : module or None
        (B, F) features -> (B,) strangeness; None leaves that output out.
    """

    def __init__(self, net: TipStream, familiar: nn.Module | None) -> None:
        super().__init__()
        self.net, self.familiar = net, familiar

    def forward(self, channels: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return the maps, the presence, the strangeness if it is asked for, and the new states."""
        maps, presence, features, newer = self.net.step(channels, states)
        strange = () if self.familiar is None else (self.familiar(features),)
        return maps, presence, *strange, *newer


def export_onnx(
    net: TipStream, clips: Tensor, path: Path, tolerance: float, familiar: nn.Module | None = None
) -> Parity:
    """Write the tip network and return how well it agrees, frame by frame, with itself on whole clips.

    Parameters
    ----------
    clips : Tensor, shape (n, T, C, S, S)
        Channels of successive frames; each clip begins with an empty memory.
    familiar : module or None
        `puncta.training.familiar.Familiar`; with it the graph has an output ``strangeness``.

    Raises
    ------
    BugError
        The outputs differ by more than the tolerance; nothing is left at ``path``.
    """
    net = net.eval().float().to(memory_format=torch.contiguous_format)
    with torch.no_grad():
        maps, presence, features = net(clips)
        wanted = {OUTPUTS[0]: maps, OUTPUTS[1]: presence}
        if familiar is not None:
            wanted[STRANGENESS] = familiar(features.flatten(0, 1)).reshape(features.shape[:2])
    states = [torch.zeros(shape) for shape in net.state_shapes(clips.shape[-1])]
    return _export(TipStep(net, familiar), INPUT, clips, states, wanted, path, tolerance)


def export_ultratiny(net: UltraTiny, clip: Tensor, path: Path, tolerance: float) -> Parity:
    """Write one of the UltraTiny family and return how well it agrees with itself.

    The streaming kind takes a frame and its states; the others take their window as it is.

    Parameters
    ----------
    clip : Tensor, shape (T, S, S)
        Successive grey frames; of windows, as many as the clip holds are compared.
    """
    net = net.eval().float().to(memory_format=torch.contiguous_format)
    if net.kind == "stream":
        step = SummedStream(net)
        with torch.no_grad():
            maps = net.run_clip(clip[None])
        states = [torch.zeros(shape) for shape in step.state_shapes(clip.shape[-1])]
        return _export(step, "frame", clip[None, :, None], states, {"maps": maps}, path, tolerance)
    length = 1 if net.kind == "2d" else WINDOW
    windows = torch.stack([clip[t : t + length] for t in range(len(clip) - length + 1)])
    with torch.no_grad():
        maps = net(windows)
    return _export(net, "window", windows[None], [], {"maps": maps[None]}, path, tolerance)


def write_graph(graph: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], path: Path) -> None:
    """Trace a module on examples and write it."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # The traced exporter: the graph is static, and its output does not depend on the exporter's release.
        torch.onnx.export(
            graph.eval(), tuple(t.contiguous() for t in inputs.values()), str(path), input_names=list(inputs),
            output_names=list(outputs), opset_version=OPSET, dynamo=False,
        )


def _export(
    graph: nn.Module, frame: str, clips: Tensor, states: Sequence[Tensor], wanted: Mapping[str, Tensor], path: Path,
    tolerance: float,
) -> Parity:
    names = [f"{STATE}{k}" for k in range(len(states))]
    inputs = {frame: clips[0, :1], **dict(zip(names, states, strict=True))}
    temporary = path.with_name(f".part-{path.name}")
    try:
        write_graph(graph, inputs, [*wanted, *(name + NEXT for name in names)], temporary)
        parity = check_parity(temporary, clips, wanted, tolerance)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return parity
