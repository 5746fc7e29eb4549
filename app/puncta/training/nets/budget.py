"""Counts what a network costs: parameters, and floating-point operations as twice the multiply-adds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def count_parameters(net: nn.Module) -> int:
    """Learnable numbers."""
    return sum(p.numel() for p in net.parameters())


def count_flops(net: nn.Module, inputs: Sequence[Tensor]) -> int:
    """Operations of one run: 2 x multiply-adds of every convolution and linear layer; the rest is below a hundredth."""
    total = 0

    def add(layer: nn.Module, _: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Linear):
            total += 2 * out.numel() * layer.in_features
        elif isinstance(layer, nn.Conv2d | nn.Conv3d):
            total += 2 * out.numel() * (layer.weight.numel() // layer.out_channels)

    hooks = [m.register_forward_hook(add) for m in net.modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.Conv3d)]
    was_training = net.training
    try:
        with torch.no_grad():
            net.eval()(*inputs)
    finally:
        net.train(was_training)
        for hook in hooks:
            hook.remove()
    return total
