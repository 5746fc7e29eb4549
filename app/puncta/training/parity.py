"""Compares an exported graph with the network it came from, on real inputs, in the runtime that will use it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import Tensor

from puncta.core.errors import BugError
from puncta.inference.registry import ModelCard, Precision
from puncta.inference.session import LoadedModel, Tuning, open_session
from puncta.training.stepping import STATE, SteppedGraph


@dataclass(frozen=True, slots=True)
class Parity:
    """Result of a comparison.

    Attributes
    ----------
    max_abs : float
        Largest difference of any output; of a value above 1 as a share of it.
    tolerance : float
    inputs : int
        Frames compared.
    """

    max_abs: float
    tolerance: float
    inputs: int


def open_exported(path: Path, precision: Precision = "fp32", spec: Mapping[str, Any] | None = None) -> LoadedModel:
    """Open a graph that is in no registry yet.

    Parameters
    ----------
    spec : mapping or None
        What is known beside what the graph itself tells (size, channels and stride), such as its calibration.
    """
    known = MappingProxyType({**_spec_of(path), **(spec or {})})
    card = ModelCard(
        id="exported", version="0", plugin="none", file=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        precision=precision, licence="", licence_url="", input=known, outputs=(),
        training_data="", simulated=True, metrics=MappingProxyType({}), card="", recipe="", folder=path.parent,
        origin="user",
    )
    return open_session(card, Tuning.deterministic())


def _spec_of(path: Path) -> dict[str, Any]:
    graph = onnx.load(path).graph
    sides = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.input, *graph.output)}
    frame = next((sides[v.name] for v in graph.input if not v.name.startswith(STATE)), [])
    if len(frame) != 4:
        return {}
    spec: dict[str, Any] = {"channels": frame[1], "size": frame[2:]}
    if len(sides.get("maps", [])) == 4:
        spec["stride"] = frame[2] // sides["maps"][2]
    return spec


def check_parity(path: Path, clips: Tensor, wanted: Mapping[str, Tensor], tolerance: float) -> Parity:
    """Feed an exported graph clips frame by frame, its memory empty before each, and compare.

    Parameters
    ----------
    clips : Tensor, shape (n, T, C, S, S)
    wanted : mapping
        For every output that is no state what the network gives on whole clips, shape (n, T, ...).

    Raises
    ------
    BugError
        They differ by more than the tolerance.
    """
    graph = SteppedGraph(open_exported(path))
    worst = 0.0
    for k, frames in enumerate(clips):
        graph.reset()
        for t, frame in enumerate(frames):
            got = graph.step(frame[None].contiguous().numpy())
            if set(got) != set(wanted):
                raise BugError(f"the exported graph gives {', '.join(sorted(got))}, not {', '.join(sorted(wanted))}")
            for name, values in wanted.items():
                worst = max(worst, _difference(got[name], values[k, t].numpy()))
    if not worst <= tolerance:
        raise BugError(f"the exported graph differs from the network by {worst:.2g}, more than {tolerance:.2g}")
    return Parity(worst, tolerance, clips.shape[0] * clips.shape[1])


def _difference(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    return float((np.abs(got.reshape(wanted.shape) - wanted) / np.maximum(1.0, np.abs(wanted))).max())
