"""Public weights, where a user has them: a folder as `transformers` saves it, or a name on its hub."""

from __future__ import annotations

from typing import Any

from transformers import DeiTModel, ResNetModel, ViTModel
from transformers.utils import logging

from puncta.core.errors import UserError
from puncta.training.nets.resnet import IMAGENET_NORM, FlagResNet
from puncta.training.nets.vit_lora import FlagViT

# Its bars would draw over ours, and leave a thread behind.
logging.disable_progress_bar()

_KINDS: dict[str, Any] = {"resnet18": ResNetModel, "vit": ViTModel, "deit": DeiTModel}


def load_public(kind: str, where: str) -> FlagResNet | FlagViT:
    """Return a network whose trunk has public weights; its head is fresh.

    Parameters
    ----------
    kind : {"resnet18", "vit", "deit"}
    where : str
        A folder with config.json and weights, or a name such as "microsoft/resnet-18".

    Raises
    ------
    UserError
        There is no such folder or name, the hub cannot be reached, or the weights are of another kind of network.
    """
    maker = _KINDS[kind]
    more = {} if kind == "resnet18" else {"add_pooling_layer": False}
    try:
        trunk, told = maker.from_pretrained(where, output_loading_info=True, **more)
    except (OSError, ValueError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f'The public weights "{where}" cannot be read ({first}); name a folder with config.json and weights, or a '
            "name on the hub that this machine reaches."
        ) from error
    if told["missing_keys"]:
        raise UserError(f'The public weights "{where}" are not those of a network of the kind {kind}.')
    return FlagResNet(trunk, IMAGENET_NORM) if kind == "resnet18" else FlagViT(trunk, IMAGENET_NORM)
