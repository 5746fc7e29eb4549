"""Moves a network's batch norms part of the way to one machine's pictures; no label is needed for it.

Another machine shifts the means and spreads of features more than their meaning, and the means and variances that a
network learnt from other machines then fit badly (Li and others, "Revisiting batch normalization for practical domain
adaptation", 2016). Those of a few dozen frames are noisy, and wholly taken over they would spoil the network for the
machines it knew; so they are mixed with its own (Schneider and others, NeurIPS 2020).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from puncta.training.landmarks.export import as_input
from puncta.training.nets.lp_small import LandmarkNet

_BATCH = 32


def move_norms(net: LandmarkNet, pictures: Sequence[NDArray[np.uint8]], share: float) -> None:
    """Mix the means and variances of the batch norms with those that the pictures have; changes the network in place.

    Parameters
    ----------
    net : LandmarkNet
    pictures : sequence of ndarray of uint8, shape (S, S)
    share : float
        Of the pictures' own, 0..1; at 0 the network stays as it is.
    """
    if share <= 0.0 or not pictures:
        return
    norms = [part for part in net.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    before = [(part.running_mean.clone(), part.running_var.clone(), part.momentum) for part in norms]  # type: ignore[union-attr]
    net.eval()
    for part in norms:
        part.reset_running_stats()
        part.momentum = None  # the plain mean over all batches
        part.train()
    with torch.no_grad():
        for start in range(0, len(pictures), _BATCH):
            net(as_input(pictures[start : start + _BATCH]))
        for part, (mean, variance, momentum) in zip(norms, before, strict=True):
            part.running_mean.lerp_(mean, 1.0 - share)  # type: ignore[union-attr]
            part.running_var.lerp_(variance, 1.0 - share)  # type: ignore[union-attr]
            part.momentum = momentum
    net.eval()
