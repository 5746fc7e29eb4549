"""What is familiar to an adapted network: what was familiar before, and the site's own pictures.

The pictures that the old network was trained on are not here, real stills among them; but its graph holds their mean
and spread. Features move a little in adapting; by how much is measured on the simulated clips, and the old mean moves
along.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from puncta.training.data import Clip
from puncta.training.familiar import Familiar, clip_channels, fit_familiar, pool_features
from puncta.training.folder import GRAPH, HEAD
from puncta.training.nets.tip_stream import TipStream

MEAN = "familiar.mean"


class Nearest(nn.Module):
    """(B, F) features -> (B,) strangeness: the distance from whatever lies nearest."""

    def __init__(self, kinds: Sequence[Familiar]) -> None:
        super().__init__()
        self.kinds = nn.ModuleList(kinds)

    def forward(self, features: Tensor) -> Tensor:
        """Least distance of each row."""
        return torch.stack([kind(features) for kind in self.kinds]).amin(dim=0)


def graph_of(run: Path) -> Path | None:
    """Return the exported graph that belongs to a training folder, or None where it is not at hand.

    A folder kept with a registered model has its graph in the models folder above it.
    """
    try:
        head = json.loads((run / HEAD).read_text(encoding="utf-8"))
        wanted = head["files"]["onnx"]["sha256"]
        model = head["config"]["model"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    for path in (run / GRAPH, run.parent.parent / f"{model['id']}-{model['version']}.onnx"):
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == wanted:
            return path
    return None


def read_familiar(graph: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return mean, shape (F,), and whitening, (F, F), that a graph of one kind of pictures holds; None without them."""
    model = onnx.load(graph).graph
    values = {v.name: v for v in model.initializer}
    if MEAN not in values:
        return None
    away = {out for node in model.node if node.op_type == "Sub" and MEAN in node.input for out in node.output}
    for node in model.node:
        if node.op_type == "MatMul" and node.input[0] in away and node.input[1] in values:
            mean = numpy_helper.to_array(values[MEAN]).astype(np.float64)
            # The graph multiplies from the right.
            return mean, numpy_helper.to_array(values[node.input[1]]).astype(np.float64).T
    return None


def familiar_after(
    net: TipStream, before: TipStream, run: Path | None, known: Sequence[Clip], site: Sequence[Clip], size: int,
    most: int = 48,
) -> tuple[nn.Module, bool]:
    """Return the strangeness of an adapted network, and whether what was familiar before went into it.

    Parameters
    ----------
    run : Path or None
        Training folder of the network as it was.
    known : sequence of Clip
        Simulated ones.
    """
    chosen = list(known)[:: max(1, -(-len(known) // most))]
    own = list(site)[:: max(1, -(-len(site) // most))]
    channels = [clip_channels(clip, size) for clip in chosen]
    now = pool_features(net, channels)
    # Every frame of the site counts: runs may be short.
    here = pool_features(net, (clip_channels(clip, size) for clip in own), every=1) if own else now[:0]
    fitted = fit_familiar(np.concatenate([now, here]))
    graph = graph_of(run) if run is not None else None
    old = read_familiar(graph) if graph is not None else None
    if old is None or old[0].shape != now.shape[1:]:
        return fitted, False
    moved = now.mean(axis=0) - pool_features(before, channels).mean(axis=0)
    return Nearest([Familiar(old[0] + moved, old[1]), fitted]), True
