"""Vision transformers for the infant spine's three flags with low-rank adapters, built on `transformers` and `peft`.

ViT-B/16 (Dosovitskiy et al., ICLR 2021) and DeiT (Touvron et al., ICML 2021); LoRA (Hu et al., ICLR 2022):
W = W0 + (alpha / r) B A with B = 0 at first, alpha = 2 r, dropout 0.1. The poster's "about 2.58 million" parameters to
train fit one reading only, rank 16 on all linear layers of ViT-B/16 (2.657 million, 3.0 % of all): `ADAPTED`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from transformers import DeiTConfig, DeiTModel, ViTConfig, ViTModel

from puncta.training.nets.resnet import FLAG_COUNT, OWN_NORM, Normalise

ADAPTED: dict[str, tuple[str, ...]] = {
    "qv": ("q_proj", "v_proj"),
    "qkv": ("q_proj", "k_proj", "v_proj"),
    "qkvo": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "all": ("q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"),
}
"""Sets of linear layers that adapters may sit on."""
DROPOUT = 0.1
"""Before each adapter. Drawing it takes a third of a step on a CPU."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Size of a transformer; the patch is 16 px square."""

    width: int
    depth: int
    heads: int


SHAPES = {"base": Shape(768, 12, 12), "small": Shape(384, 12, 6), "tiny": Shape(192, 12, 3)}


def vit_config(shape: Shape, size: int) -> ViTConfig:
    """Return a ViT's configuration for pictures of ``size`` [px]."""
    return ViTConfig(**_fields(shape, size))


def deit_config(shape: Shape, size: int) -> DeiTConfig:
    """Return a DeiT's configuration: a ViT with a distillation token."""
    return DeiTConfig(**_fields(shape, size))


def _fields(shape: Shape, size: int) -> dict[str, Any]:
    return {
        "hidden_size": shape.width, "num_hidden_layers": shape.depth, "num_attention_heads": shape.heads,
        "intermediate_size": 4 * shape.width, "image_size": size, "patch_size": 16, "num_channels": 3,
    }


class FlagViT(nn.Module):
    """A transformer and one linear layer on its class token (DeiT: on the mean of its two tokens).

    Parameters
    ----------
    trunk : ViTModel or DeiTModel
    norm : (mean, spread)
        Of the grey levels that the trunk was made for.
    outputs : int
        Logits; three flags, or the labels of a pre-training.
    """

    def __init__(
        self, trunk: ViTModel | DeiTModel, norm: tuple[float, float] = OWN_NORM, outputs: int = FLAG_COUNT
    ) -> None:
        super().__init__()
        self.normalise = Normalise(norm)
        self.trunk = trunk
        self.head = nn.Linear(int(trunk.config.hidden_size), outputs)
        self.tokens_before = 2 if isinstance(trunk, DeiTModel) else 1

    def forward(self, image: Tensor) -> Tensor:
        """Grey levels (B, 1, S, S) of 0..1 -> logits (B, outputs)."""
        # Public weights were trained at another size; their places are interpolated.
        fits = image.shape[-1] == self.trunk.config.image_size
        found = self.trunk(self.normalise(image), interpolate_pos_encoding=not fits)
        return self.head(found.last_hidden_state[:, : self.tokens_before].mean(dim=1))

    @property
    def looked_at(self) -> nn.Module:
        """The module whose output Grad-CAM weighs: the first normalisation of the last block."""
        return self.trunk.layers[-1].layernorm_before

    def as_maps(self, output: Tensor) -> Tensor:
        """What that module gives, as maps (B, C, h, w): the class tokens dropped, the patches laid out."""
        patches = output[:, self.tokens_before :]
        side = round(patches.shape[1] ** 0.5)
        return patches.transpose(1, 2).reshape(len(output), -1, side, side)


def add_adapters(net: FlagViT, rank: int, where: str = "all", dropout: float = DROPOUT) -> FlagViT:
    """Freeze a transformer and put adapters on it; adapters and head are what is left to train."""
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=dropout, target_modules=list(ADAPTED[where]))
    inject_adapter_in_model(config, net.trunk)
    for name, parameter in net.trunk.named_parameters():
        parameter.requires_grad = "lora_" in name
    return net


def count_trained(net: nn.Module) -> int:
    """Count the parameters that a training changes."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)
