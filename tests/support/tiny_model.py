"""Makes small ONNX models and registries for tests."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

SIZE = (12, 16)
"""Height and width of the input."""


def write_network(path: Path, gain: float = 2.0, free_batch: bool = False, seed: int = 0) -> str:
    """Write a convolution of one channel followed by a gain; return the file's hash."""
    onnx = pytest.importorskip("onnx", reason="making a model needs onnx, which is in the `train` extra")
    from onnx import TensorProto, helper, numpy_helper

    height, width = SIZE
    batch: int | str = "batch" if free_batch else 1
    kernel = np.random.default_rng(seed).standard_normal((1, 1, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["picture", "kernel"], ["soft"], pads=[1, 1, 1, 1]),
            helper.make_node("Mul", ["soft", "gain"], ["map"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [batch, 1, height, width])],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, [batch, 1, height, width])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(np.array([gain], np.float32), "gain")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def entry(file: str = "tiny.onnx", sha256: str = "0" * 64, **changes: Any) -> dict[str, Any]:
    """Return one `[[models]]` table; a change to None takes the key away."""
    table: dict[str, Any] = {
        "id": "tiny",
        "version": "0.1",
        "plugin": "spot",
        "file": file,
        "sha256": sha256,
        "licence": "Apache-2.0",
        "input": {"size": list(SIZE), "channels": 1, "layout": "NCHW", "normalisation": "0..1", "history": 0},
        "outputs": ["map"],
        "training_data": "nothing, random weights",
        "simulated": True,
        "metrics": {"tip_within_2mm": 0.5},
        "card": "tiny.md",
    }
    table.update(changes)
    return {key: value for key, value in table.items() if value is not None}


def write_registry(folder: Path, *entries: dict[str, Any]) -> Path:
    """Write a registry file; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = tomli_w.dumps({"version": 1, "models": list(entries)})
    (folder / "registry.toml").write_text(text, encoding="utf-8")
    return folder


def write_tiny_model(folder: Path, **changes: Any) -> Path:
    """Write a folder with one model, its card and its registry."""
    folder.mkdir(parents=True, exist_ok=True)
    sha256 = write_network(folder / "tiny.onnx")
    (folder / "tiny.md").write_text("# tiny\n", encoding="utf-8")
    return write_registry(folder, entry(sha256=sha256, **changes))
