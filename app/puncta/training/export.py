"""Exports a trained network to ONNX, in fp32, and hands out its bytes only after they agree with the network."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from puncta.training.parity import Parity, check_parity

INPUT = "channels"
OUTPUTS = ("maps", "presence")


def export_onnx(net: nn.Module, example: Tensor, path: Path, tolerance: float) -> Parity:
    """Write ``path`` and return how well it agrees with the network on real inputs.

    Parameters
    ----------
    example : Tensor, shape (n, C, S, S)
        Real inputs to compare on; the graph takes one at a time.

    Raises
    ------
    BugError
        The outputs differ by more than the tolerance; nothing is left at ``path``.
    """
    net = net.eval().float().to(memory_format=torch.contiguous_format)
    temporary = path.with_name(f".part-{path.name}")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # The traced exporter: the graph is static, and its output does not depend on the exporter's release.
        torch.onnx.export(
            net, (example[:1].contiguous(),), str(temporary), input_names=[INPUT], output_names=list(OUTPUTS),
            opset_version=17, dynamo=False,
        )
    try:
        parity = check_parity(net, temporary, example, tolerance)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return parity
