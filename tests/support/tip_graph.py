"""A tip network small enough to know by heart, with a memory and a strangeness, as ONNX and as a plugin's session.

Its heat is the brightness of 4 x 4 px cells, plus half of what it was on the frame before: a bright spot is a tip.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from puncta.inference.registry import ModelCard
from puncta.inference.session import LoadedModel, Tuning, open_session

SIZE = 64
CELLS = SIZE // 4
GAIN, SHIFT = 6.0, -14.0
"""Heat of a cell = gain x its standardised brightness + shift."""
TOWARDS = (1.0, -0.5)


def write_tip_graph(path: Path, memory: bool = True) -> str:
    """Write the network; return its hash."""
    onnx = pytest.importorskip("onnx", reason="making a model needs onnx, which is in the `train` extra")
    from onnx import TensorProto, helper, numpy_helper

    row = ("N", 1, CELLS, CELLS)
    constants = {
        "gain": np.array([GAIN], np.float32), "shift": np.array([SHIFT], np.float32),
        "half": np.array([0.5], np.float32), "from": np.array([0], np.int64), "to": np.array([1], np.int64),
        "along": np.array([1], np.int64), "flat": np.array([1], np.int64),
        "rest": np.stack([np.full((CELLS, CELLS), v, np.float32) for v in (0, 0, *TOWARDS, -8)])[None],
    }
    nodes = [
        helper.make_node("Slice", ["channels", "from", "to", "along"], ["grey"]),
        helper.make_node("AveragePool", ["grey"], ["cells"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Mul", ["cells", "gain"], ["strong"]),
        helper.make_node("Add", ["strong", "shift"], ["now"]),
    ]
    inputs = [helper.make_tensor_value_info("channels", TensorProto.FLOAT, [1, 5, SIZE, SIZE])]
    outputs = [
        helper.make_tensor_value_info("maps", TensorProto.FLOAT, [1, 6, CELLS, CELLS]),
        helper.make_tensor_value_info("presence", TensorProto.FLOAT, [1]),
    ]
    heat = "now"
    if memory:
        nodes += [
            helper.make_node("Mul", ["state_0", "half"], ["older"]),
            helper.make_node("Add", ["now", "older"], ["heat"]),
            helper.make_node("Identity", ["now"], ["state_0_next"]),
            helper.make_node("Abs", ["channels"], ["size"]),
            helper.make_node("ReduceMean", ["size"], ["mean"], keepdims=0),
            helper.make_node("Reshape", ["mean", "flat"], ["strangeness"]),
        ]
        heat = "heat"
        inputs.append(helper.make_tensor_value_info("state_0", TensorProto.FLOAT, [1, *row[1:]]))
        outputs += [
            helper.make_tensor_value_info("strangeness", TensorProto.FLOAT, [1]),
            helper.make_tensor_value_info("state_0_next", TensorProto.FLOAT, [1, *row[1:]]),
        ]
    nodes += [
        helper.make_node("Concat", [heat, "rest"], ["maps"], axis=1),
        helper.make_node("ReduceMax", [heat], ["most"], keepdims=0),
        helper.make_node("Reshape", ["most", "flat"], ["presence"]),
    ]
    graph = helper.make_graph(
        nodes, "tip", inputs, outputs, [numpy_helper.from_array(v, k) for k, v in constants.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def card_of(path: Path, sha256: str, **spec: Any) -> ModelCard:
    """Card of the network; further members of its `input` table can be given."""
    table = {"size": [SIZE, SIZE], "channels": 5, "layout": "NCHW", "normalisation": "z", "history": 12, "stride": 4}
    return ModelCard(
        id="toy-tip", version="0.1", plugin="needle-tip", file=path.name, sha256=sha256, precision="fp32", licence="",
        licence_url="", input=MappingProxyType({**table, **spec}), outputs=("maps", "presence"), training_data="none",
        simulated=True, metrics=MappingProxyType({}), card="", recipe="", folder=path.parent, origin="user",
    )


def open_tip_graph(folder: Path, memory: bool = True, **spec: Any) -> LoadedModel:
    """Write and open the network."""
    path = folder / "toy-tip.onnx"
    return open_session(card_of(path, write_tip_graph(path, memory), **spec), Tuning.deterministic())


def spotted(x: float, y: float, seed: int = 0, brightness: float = 120.0, size: int = SIZE) -> np.ndarray:
    """Speckle with a bright spot at (x, y) [px]."""
    noise = np.random.default_rng(seed).rayleigh(18.0, (size, size))
    rows, columns = np.mgrid[0:size, 0:size]
    spot = brightness * np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / 2.5**2)
    return np.clip(40 + noise + spot, 0, 255).astype(np.uint8)
