"""The networks of a flag study by name, what they start from, and how a row is taught."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import DeiTModel, ViTModel

from puncta.training.data import Report
from puncta.training.landmarks.study import Places, Pretraining, Row, Study
from puncta.training.landmarks.study_data import Changes, Frames, change
from puncta.training.landmarks.study_videos import DOMAIN_LABELS, SHAPE_LABELS, build_organs, draw_shapes, load_organs
from puncta.training.loop import Batch, LoopSettings, Task, train_net
from puncta.training.nets.lp_small import LandmarkNet
from puncta.training.nets.public_weights import load_public
from puncta.training.nets.resnet import FlagResNet
from puncta.training.nets.vit_lora import SHAPES, FlagViT, add_adapters, deit_config, vit_config

SMALL_WIDTHS, SMALL_HEAD = (16, 32, 64, 112, 160), 96
"""Of the network that ships."""
WEIGHTS = "weights.pt"
ALL_FLIPS = Changes(0.8, None, flip=True, turn=True, contrast=True)
"""How pictures of a pre-training are changed, on shapes and on organs alike."""


class FlagSmall(nn.Module):
    """The network of the infant-lp plugin with its three logits alone."""

    def __init__(self) -> None:
        super().__init__()
        self.net = LandmarkNet(SMALL_WIDTHS, SMALL_HEAD)

    def forward(self, image: Tensor) -> Tensor:
        """Grey levels (B, 1, S, S) of 0..1 -> logits (B, 3)."""
        logits: Tensor = self.net(image)[0]
        return logits

    @property
    def looked_at(self) -> nn.Module:
        """The module whose output Grad-CAM weighs: the last features."""
        return self.net.mix8

    @staticmethod
    def as_maps(output: Tensor) -> Tensor:
        """What that module gives, as maps (B, C, h, w)."""
        return output

    def exact_cam(self, image: Tensor) -> Tensor:
        """Class activation maps in closed form, (B, 3, h, w)."""
        cam: Tensor = self.net(image)[1]
        return cam


FlagNet = FlagResNet | FlagViT | FlagSmall


def bare_net(kind: str, shape: str, size: int, outputs: int) -> FlagNet:
    """Build a network with fresh weights; "small" has three outputs always."""
    if kind == "resnet18":
        return FlagResNet(outputs=outputs)
    if kind == "vit":
        return FlagViT(ViTModel(vit_config(SHAPES[shape], size), add_pooling_layer=False), outputs=outputs)
    if kind == "deit":
        return FlagViT(DeiTModel(deit_config(SHAPES[shape], size), add_pooling_layer=False), outputs=outputs)
    return FlagSmall()


def build_net(study: Study, row: Row, places: Places | None) -> FlagNet:
    """Build a row's network with what it starts from and its adapters.

    Without ``places`` the start is left out: for counting, and where a row's own weights are loaded next.
    """
    start = study.pretraining(row.start) if row.start is not None else None
    if start is not None and start.weights is not None and places is not None:
        net: FlagNet = load_public(row.net, start.weights)
    else:
        net = bare_net(row.net, study.shape, row.size, 3)
        if start is not None and places is not None:
            known = torch.load(places.pretraining(start.name) / WEIGHTS, weights_only=True, map_location="cpu")
            take_over(net, known)
    if row.rank is not None and isinstance(net, FlagViT):
        add_adapters(net, row.rank, row.adapt, study.dropout)
    return net


def take_over(net: nn.Module, known: dict[str, Tensor]) -> None:
    """Put a pre-trained trunk into a network whose head is fresh; a ViT's serves a DeiT too.

    A DeiT has one token more: it and its place begin as copies of the class token's, after Touvron et al.'s DeiT, whose
    distillation token plays the same part.
    """
    own = net.state_dict()
    trunk = {name: value for name, value in known.items() if name.startswith("trunk.")}
    token, place = "trunk.embeddings.distillation_token", "trunk.embeddings.position_embeddings"
    if token in own and token not in trunk:
        trunk[token] = trunk["trunk.embeddings.cls_token"].clone()
        trunk[place] = torch.cat([trunk[place][:, :1], trunk[place]], dim=1)
    own.update(trunk)
    net.load_state_dict(own)


class RowPool:
    """Draws the frame of each sample number, all frames alike."""

    def __init__(self, rows: NDArray[np.int64], seed: int) -> None:
        self.rows = rows
        self.seed = seed

    def draw(self, number: int) -> tuple[int, np.random.Generator]:
        """Draw the row of sample ``number`` and the generator that goes on."""
        rng = np.random.default_rng([self.seed, number])
        return int(self.rows[int(rng.integers(len(self.rows)))]), rng


Example = tuple[NDArray[np.uint8], NDArray[np.float32]]


def stack_examples(examples: Sequence[Example]) -> Batch:
    """Stack pictures and labels into a batch."""
    pictures = np.stack([picture for picture, _ in examples]).astype(np.float32)[:, None] / np.float32(255)
    return Batch(torch.from_numpy(pictures), torch.from_numpy(np.stack([labels for _, labels in examples])))


def bce(answer: Tensor, targets: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Binary cross-entropy over all labels of a batch (multi-label)."""
    loss = nn.functional.binary_cross_entropy_with_logits(answer.float(), targets)
    return loss, {"bce": float(loss.detach())}


def flag_task(frames: Frames, changes: Changes) -> Callable[[int], Task]:
    """Teach flags from stored frames."""

    def at(size: int) -> Task:
        def draw(row: Any, rng: np.random.Generator) -> Example:
            canal = None if frames.canal is None else frames.canal[row]
            return change(rng, frames.pictures[row], size, changes, canal), frames.flags[row].astype(np.float32)

        return Task(draw, stack_examples, bce)

    return at


def settings_of(study: Study, row: Row, stop_after: int | None = None) -> LoopSettings:
    """Budget and optimiser of a row."""
    rate = study.settings.learning_rate if row.rank is None else study.adapter_rate
    return replace(study.settings, samples=row.samples, size=row.size, learning_rate=rate, stop_after=stop_after)


def train_row(
    study: Study, row: Row, frames: Frames, train: NDArray[np.int64], places: Places, stop_after: int | None = None
) -> tuple[nn.Module, bool]:
    """Train a row to the end of its budget (true) or as far as asked; a stopped one goes on."""
    folder = places.row(row.name)
    folder.mkdir(parents=True, exist_ok=True)
    settings = settings_of(study, row, stop_after)
    return train_net(
        lambda: build_net(study, row, places), RowPool(train, settings.seed), settings, folder,  # type: ignore[arg-type]
        task=flag_task(frames, row.changes),
    )


def pretrain(
    study: Study, one: Pretraining, places: Places, report: Report, stop_after: int | None = None
) -> tuple[nn.Module, bool]:
    """Pre-train a trunk on drawn shapes, or on other organs and what shows in them; equal steps, equal changes."""
    folder = places.pretraining(one.name)
    folder.mkdir(parents=True, exist_ok=True)
    settings = replace(study.settings, samples=one.samples, stop_after=stop_after)
    stored = study.organs.stored_px
    if one.on == "organs":
        pictures, labels = load_organs(build_organs(study.organs, places.cache, report), study.organs.clips)
        outputs, rows = len(DOMAIN_LABELS), np.arange(len(pictures))

        def draw(row: Any, rng: np.random.Generator) -> Example:
            return change(rng, pictures[row], settings.size, ALL_FLIPS), labels[row]
    else:
        outputs, rows = len(SHAPE_LABELS), np.arange(one.samples)

        def draw(row: Any, rng: np.random.Generator) -> Example:
            picture, shown = draw_shapes(rng, stored)
            return change(rng, picture, settings.size, ALL_FLIPS), shown

    return train_net(
        lambda: bare_net(one.net, study.shape, study.size, outputs), RowPool(rows, settings.seed), settings, folder,  # type: ignore[arg-type]
        task=Task(draw, stack_examples, bce),
    )


def answer(net: nn.Module, pictures: NDArray[np.float32], batch: int = 64) -> NDArray[np.float32]:
    """Logits of pictures (n, 1, S, S), shape (n, 3)."""
    net = net.eval()
    device = next(net.parameters()).device
    found = []
    with torch.no_grad():
        for start in range(0, len(pictures), batch):
            part = torch.from_numpy(pictures[start : start + batch]).to(device)
            found.append(net(part).float().cpu().numpy())
    return np.concatenate(found)


def keep_weights(net: nn.Module, path: Path) -> None:
    """Write weights whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    torch.save(net.state_dict(), temporary)
    temporary.replace(path)
