"""Static 8-bit quantisation of a graph by ONNX Runtime. Needs the package onnx, which comes with the train extra."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

Feeds = dict[str, NDArray[Any]]


def quantise_nodes(model: Path, out: Path, nodes: Sequence[str], feeds: Iterable[Feeds]) -> None:
    """Write a graph whose named nodes compute in bytes, weights per channel, activations by their range.

    Parameters
    ----------
    nodes : sequence of str
        Names of nodes.
    feeds : iterable of dict
        Everything the graph takes, for each calibration frame.
    """
    # Most installations have no onnx, and ONNX Runtime's quantisation does not import without it.
    import onnx
    from onnxruntime import quantization

    class Frames(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._feeds = iter(feeds)

        def get_next(self) -> Feeds | None:
            return next(self._feeds, None)

    with tempfile.TemporaryDirectory(prefix="puncta-int8-") as folder:
        shaped, made = Path(folder) / "shaped.onnx", Path(folder) / "made.onnx"
        onnx.save(onnx.shape_inference.infer_shapes(onnx.load(model)), shaped)
        quantization.quantize_static(
            str(shaped), str(made), Frames(), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
            # The pairing that ONNX Runtime has quick kernels for on x86: unsigned pictures, signed weights.
            activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
            nodes_to_quantize=list(nodes),
        )
        temporary = out.with_name(f".part-{out.name}")
        temporary.write_bytes(made.read_bytes())
        os.replace(temporary, out)
