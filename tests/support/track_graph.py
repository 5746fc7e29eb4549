"""A tracking network small enough to know by heart, as ONNX, as a plugin's session and as a user's registry.

A pixel is needle where it is bright, more so where the prior says so, and where it was a needle on the frame before
(its memory). It is present where enough of the picture is needle. A strange picture is one of much contrast.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import pytest
import tomli_w
from numpy.typing import NDArray

from puncta.inference.registry import ModelCard
from puncta.inference.session import LoadedModel, Tuning, open_session

SIZE = 64
GAIN, SHIFT = 3.0, -9.0
"""Log odds of a pixel = gain x its standardised brightness + shift + what prior and memory add."""
PRIOR_ADDS, MEMORY_ADDS = 6.0, 0.5


def write_track_graph(path: Path) -> str:
    """Write the network; return its hash."""
    onnx = pytest.importorskip("onnx", reason="making a model needs onnx, which is in the `train` extra")
    from onnx import TensorProto, helper, numpy_helper

    plane = [1, 1, SIZE, SIZE]
    constants = {
        "gain": np.array([GAIN], np.float32), "shift": np.array([SHIFT], np.float32),
        "prior_adds": np.array([PRIOR_ADDS], np.float32), "memory_adds": np.array([MEMORY_ADDS], np.float32),
        "from": np.array([0], np.int64), "to": np.array([1], np.int64), "along": np.array([1], np.int64),
        "flat": np.array([1], np.int64),
        "many": np.array([400.0], np.float32), "few": np.array([-4.0], np.float32),
    }
    nodes = [
        helper.make_node("Slice", ["channels", "from", "to", "along"], ["grey"]),
        helper.make_node("Mul", ["grey", "gain"], ["bright"]),
        helper.make_node("Add", ["bright", "shift"], ["now"]),
        helper.make_node("Mul", ["prior", "prior_adds"], ["asked"]),
        helper.make_node("Mul", ["state_0", "memory_adds"], ["kept"]),
        helper.make_node("Add", ["now", "asked"], ["helped"]),
        helper.make_node("Add", ["helped", "kept"], ["mask"]),
        helper.make_node("Sigmoid", ["mask"], ["state_0_next"]),
        helper.make_node("ReduceMean", ["state_0_next"], ["share"], keepdims=0),
        helper.make_node("Mul", ["share", "many"], ["much"]),
        helper.make_node("Add", ["much", "few"], ["odds"]),
        helper.make_node("Reshape", ["odds", "flat"], ["presence"]),
        helper.make_node("Abs", ["channels"], ["size"]),
        helper.make_node("ReduceMean", ["size"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "flat"], ["strangeness"]),
    ]
    inputs = [("channels", [1, 5, SIZE, SIZE]), ("prior", plane), ("state_0", plane)]
    outputs = [("mask", plane), ("presence", [1]), ("strangeness", [1]), ("state_0_next", plane)]
    graph = helper.make_graph(
        nodes, "track",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def spec_of(**changes: Any) -> dict[str, Any]:
    """The network's `input` table."""
    return {
        "size": [SIZE, SIZE], "channels": 5, "layout": "NCHW", "normalisation": "z", "history": 12, **changes
    }


def open_track_graph(folder: Path, **spec: Any) -> LoadedModel:
    """Write and open the network; further members of its `input` table can be given."""
    path = folder / "toy-track.onnx"
    card = ModelCard(
        id="needle-track", version="0.0", plugin="breast-biopsy", file=path.name, sha256=write_track_graph(path),
        precision="fp32", licence="", licence_url="", input=MappingProxyType(spec_of(**spec)),
        outputs=("mask", "presence"), training_data="none", simulated=True, metrics=MappingProxyType({}), card="",
        recipe="", folder=folder, origin="user",
    )
    return open_session(card, Tuning.deterministic())


def write_track_registry(folder: Path, model_id: str = "toy-track", **spec: Any) -> Path:
    """Write a registry with the network alone; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    sha256 = write_track_graph(folder / "toy-track.onnx")
    (folder / "toy-track.md").write_text("A toy for tests.\n", encoding="utf-8")
    entry = {
        "id": model_id, "version": "0.0", "plugin": "breast-biopsy", "file": "toy-track.onnx", "sha256": sha256,
        "precision": "fp32", "licence": "Apache-2.0", "training_data": "none", "simulated": True,
        "metrics": {}, "card": "toy-track.md", "outputs": ["mask", "presence"], "input": spec_of(**spec),
    }
    (folder / "registry.toml").write_text(tomli_w.dumps({"version": 1, "models": [entry]}), encoding="utf-8")
    return folder


def needled(
    entry: tuple[float, float], tip: tuple[float, float], seed: int = 0, brightness: float = 150.0, size: int = SIZE,
    width: float = 2.5,
) -> NDArray[np.uint8]:
    """Speckle with a bright needle from entry to tip (x, y) [px]."""
    noise = cv2.GaussianBlur(np.random.default_rng(seed).rayleigh(26.0, (size, size)), (0, 0), 0.5)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float64)
    length = math.dist(entry, tip)
    x, y = (tip[0] - entry[0]) / length, (tip[1] - entry[1]) / length
    along = (columns - entry[0]) * x + (rows - entry[1]) * y
    across = -(columns - entry[0]) * y + (rows - entry[1]) * x
    beyond = np.maximum(np.maximum(-along, along - length), 0.0)
    echo = brightness * np.exp(-0.5 * (across**2 + beyond**2) / (width / 2.0) ** 2)
    return np.clip(40 + noise + echo, 0, 255).astype(np.uint8)
