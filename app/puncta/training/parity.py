"""Compares an exported graph with the network it came from, on real inputs, in the runtime that will use it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn

from puncta.core.errors import BugError
from puncta.inference.registry import ModelCard
from puncta.inference.session import LoadedModel, Tuning, open_session


@dataclass(frozen=True, slots=True)
class Parity:
    """Result of a comparison.

    Attributes
    ----------
    max_abs : float
        Largest absolute difference of any output.
    tolerance : float
    inputs : int
        Inputs compared.
    """

    max_abs: float
    tolerance: float
    inputs: int


def open_exported(path: Path) -> LoadedModel:
    """Open a graph that is in no registry yet."""
    card = ModelCard(
        id="exported", version="0", plugin="none", file=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        precision="fp32", licence="", licence_url="", input=MappingProxyType({}), outputs=("maps", "presence"),
        training_data="", simulated=True, metrics=MappingProxyType({}), card="", recipe="", folder=path.parent,
        origin="user",
    )
    return open_session(card, Tuning.deterministic())


def check_parity(net: nn.Module, path: Path, example: Tensor, tolerance: float) -> Parity:
    """Run both on every input.

    Parameters
    ----------
    example : Tensor, shape (n, C, S, S)

    Raises
    ------
    BugError
        They differ by more than the tolerance.
    """
    session = open_exported(path)
    worst = 0.0
    with torch.no_grad():
        for one in example:
            wanted = [t.numpy() for t in net(one[None].contiguous())]
            got = session.run({session.inputs[0].name: one[None].contiguous().numpy()})
            for spec, value in zip(session.outputs, wanted):
                worst = max(worst, float(np.abs(got[spec.name] - value).max()))
    if not worst <= tolerance:
        raise BugError(f"the exported graph differs from the network by {worst:.2g}, more than {tolerance:.2g}")
    return Parity(worst, tolerance, len(example))
