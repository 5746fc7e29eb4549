"""Exports the landmark network to ONNX with everything inside: normalisation, calibration, the map, the strangeness.

The graph takes the grey region as it is (0..1) and answers calibrated logits: a plugin needs no constant of its own.
The map stays uncalibrated; its mean plus the network's bias is the logit before calibration.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from puncta.training.export import STRANGENESS, write_graph
from puncta.training.familiar import Familiar
from puncta.training.nets.lp_small import LandmarkNet
from puncta.training.parity import Parity, check_parity

INPUT = "image"
LOGITS, CAM = "logits", "cam"


@dataclass(frozen=True, slots=True)
class Scaling:
    """Platt scaling of the three logits, in the order of the flags: probability = sigmoid(scale * logit + shift)."""

    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)


class Strangeness(nn.Module):
    """How unlike an infant's spine a picture is: the larger of two measures, each 1 at its limit.

    One is the distance of the features from those of training pictures (`Familiar`), which needs no idea of what else
    there is; the other the logit of "no infant's spine", learnt against other organs, which knows what it looks for.

    Parameters
    ----------
    distance, other : (float, float)
        (value in the middle of familiar pictures, value at the limit) of each measure.
    """

    def __init__(self, familiar: Familiar, distance: tuple[float, float], other: tuple[float, float]) -> None:
        super().__init__()
        self.familiar, self.distance, self.other = familiar, distance, other

    def forward(self, features: Tensor, logit: Tensor) -> Tensor:
        """(B, F) features and (B,) logits of "no infant's spine" -> (B,)."""
        far = (self.familiar(features) - self.distance[0]) / (self.distance[1] - self.distance[0])
        named = (logit - self.other[0]) / (self.other[1] - self.other[0])
        return torch.maximum(far, named)


class LandmarkGraph(nn.Module):
    """One picture as a graph."""

    def __init__(self, net: LandmarkNet, scaling: Scaling, strangeness: nn.Module) -> None:
        super().__init__()
        self.net, self.strangeness = net, strangeness
        self.register_buffer("scale", torch.tensor([scaling.scale], dtype=torch.float32))
        self.register_buffer("shift", torch.tensor([scaling.shift], dtype=torch.float32))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return calibrated logits, the maps and the strangeness."""
        logits, cam, other, features = self.net(image)
        return logits * self.scale + self.shift, cam, self.strangeness(features, other)


def export_landmarks(
    net: LandmarkNet, scaling: Scaling, strangeness: nn.Module, pictures: NDArray[np.uint8], path: Path,
    tolerance: float,
) -> Parity:
    """Write the graph and return how well it agrees with the network on pictures.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n, S, S)

    Raises
    ------
    BugError
        The outputs differ by more than the tolerance; nothing is left at ``path``.
    """
    graph = LandmarkGraph(net.eval().float().to(memory_format=torch.contiguous_format), scaling, strangeness).eval()
    images = as_input(pictures)
    with torch.no_grad():
        logits, cam, strange = graph(images)
    wanted = {LOGITS: logits[:, None], CAM: cam[:, None], STRANGENESS: strange[:, None]}
    temporary = path.with_name(f".part-{path.name}")
    try:
        write_graph(graph, {INPUT: images[:1]}, list(wanted), temporary)
        parity = check_parity(temporary, images[:, None], wanted, tolerance)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return parity


def as_input(pictures: NDArray[np.uint8] | Sequence[NDArray[np.uint8]]) -> Tensor:
    """Grey pictures, (n, S, S), as the network takes them, (n, 1, S, S) in 0..1."""
    return torch.from_numpy(np.stack(list(pictures)).astype(np.float32) / np.float32(255.0))[:, None]
