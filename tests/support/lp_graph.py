"""A landmark network small enough to know by heart: bright cells speak for cord, dark ones for CSF, any for quality.

It looks at cells of 8 x 8 px. The logit of a flag is the mean of its map; strangeness is twice the mean brightness.
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
CELLS = SIZE // 8
GAINS = (0.0, 60.0, -60.0)
SHIFTS = (4.0, -24.0, 18.0)
"""Map of a flag = gain x brightness of a cell (0..1) + shift."""
CALIBRATION = {
    "flags": ["quality", "cord", "csf"], "yes": [2.0, 2.0, 2.0], "no": [-2.0, -2.0, -2.0],
    "stated_risk": 0.05, "strangeness_most": 1.0,
}
FILTER = {"window_s": 0.2, "give": 0.5, "most": 6.0, "strangeness_give": 0.05}


def write_lp_graph(path: Path) -> str:
    """Write the network; return its hash."""
    onnx = pytest.importorskip("onnx", reason="making a model needs onnx, which is in the `train` extra")
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "gain": np.array(GAINS, np.float32).reshape(1, 3, 1, 1),
        "shift": np.array(SHIFTS, np.float32).reshape(1, 3, 1, 1),
        "flat": np.array([1, 3], np.int64), "one": np.array([1], np.int64), "two": np.array([2.0], np.float32),
    }
    nodes = [
        helper.make_node("AveragePool", ["image"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Mul", ["cells", "gain"], ["strong"]),
        helper.make_node("Add", ["strong", "shift"], ["cam"]),
        helper.make_node("GlobalAveragePool", ["cam"], ["mean"]),
        helper.make_node("Reshape", ["mean", "flat"], ["logits"]),
        helper.make_node("GlobalAveragePool", ["image"], ["level"]),
        helper.make_node("Mul", ["level", "two"], ["twice"]),
        helper.make_node("Reshape", ["twice", "one"], ["strangeness"]),
    ]
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "landmarks",
        [helper.make_tensor_value_info("image", kind, [1, 1, SIZE, SIZE])],
        [
            helper.make_tensor_value_info("logits", kind, [1, 3]),
            helper.make_tensor_value_info("cam", kind, [1, 3, CELLS, CELLS]),
            helper.make_tensor_value_info("strangeness", kind, [1]),
        ],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def open_lp_graph(folder: Path, **calibration: Any) -> LoadedModel:
    """Write and open the network; members of its calibration can be given."""
    path = folder / "toy-lp.onnx"
    spec = {
        "size": [SIZE, SIZE], "channels": 1, "layout": "NCHW", "normalisation": "grey 0..1", "stride": 8,
        "calibration": {**CALIBRATION, **calibration}, "filter": FILTER,
    }
    card = ModelCard(
        id="toy-lp", version="0.1", plugin="infant-lp", file=path.name, sha256=write_lp_graph(path), precision="fp32",
        licence="", licence_url="", input=MappingProxyType(spec), outputs=("logits", "cam", "strangeness"),
        training_data="none", simulated=True, metrics=MappingProxyType({}), card="", recipe="", folder=path.parent,
        origin="user",
    )
    return open_session(card, Tuning.deterministic())
