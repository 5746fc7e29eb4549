"""Where a training runs: the CPU, or a GPU where the experiment asks for one and there is one."""

from __future__ import annotations

import platform
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from puncta.core.errors import UserError

DEVICES = ("cpu", "cuda")


def choose_device(name: str) -> torch.device:
    """Return the device of an experiment's ``device``.

    Raises
    ------
    UserError
        There is no such kind of device, or a GPU is asked for and there is none.
    """
    if name not in DEVICES:
        raise UserError(f'The experiment asks for the device "{name}"; there are: {", ".join(DEVICES)}.')
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "The experiment asks for a GPU, and PyTorch finds none here; take the preset cpu, or install the GPU's "
            "driver and a build of PyTorch for CUDA."
        )
    return torch.device(name)


def name_device(device: torch.device) -> str:
    """Return the name that training.json keeps."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"


def move_to(value: Any, device: torch.device) -> Any:
    """Move a tensor, or a dataclass of tensors, to a device; on the CPU nothing is copied.

    On the way to a GPU the memory is pinned, so that copying goes on beside computing.
    """
    if device.type == "cpu":
        return value
    if isinstance(value, Tensor):
        return value.pin_memory().to(device, non_blocking=True)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: move_to(getattr(value, f.name), device) for f in fields(value)})
    if isinstance(value, list | tuple):
        return type(value)(move_to(v, device) for v in value)
    if isinstance(value, dict):
        return {k: move_to(v, device) for k, v in value.items()}
    return value
