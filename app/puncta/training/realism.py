"""Can a small network tell simulated pictures from real ones? The area under its ROC curve, 0.5 where it cannot.

Patches of lit tissue from inside the ultrasound region, so that neither furniture nor black borders give anything away.
Cross-validated by source: no file, clip or simulated subject is in two folds, and files that follow each other by name
(often one volunteer) stay together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from puncta.metrics.texture import cut_patches, lit_mask

PATCH_PX = 64
PATCHES_PER_PICTURE = 12
MOST_PATCHES = 1200
FOLDS = 5
EPOCHS = 8
BATCH = 64
RESAMPLES = 1000

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class PatchSet:
    """Patches of one kind of picture.

    Attributes
    ----------
    patches : ndarray of float32, shape (N, PATCH_PX, PATCH_PX)
        Grey levels 0..255.
    source : ndarray of int, shape (N,)
        Number of the file or subject; sources are numbered in the order given.
    """

    patches: Float32
    source: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Realism:
    """How well real and simulated are told apart.

    Attributes
    ----------
    auc : float
        Area under the ROC curve over patches, all folds together.
    low, high : float
        95 % interval, sources resampled.
    auc_pictures : float
        The same over sources, each by the mean score of its patches.
    patches : (int, int)
        Simulated and real patches.
    sources : (int, int)
        Simulated subjects and real files.
    """

    auc: float
    low: float
    high: float
    auc_pictures: float
    patches: tuple[int, int]
    sources: tuple[int, int]


def collect_patches(
    pictures: Sequence[NDArray[np.uint8]], sources: Sequence[str], rng: np.random.Generator, most: int = MOST_PATCHES
) -> PatchSet:
    """Draw up to `PATCHES_PER_PICTURE` patches of lit tissue from each picture, and ``most`` of all.

    Parameters
    ----------
    pictures : sequence of ndarray of uint8, shape (H, W)
    sources : sequence of str
        Where each picture comes from.
    """
    number = {name: i for i, name in enumerate(dict.fromkeys(sources))}
    patches, origin = [], []
    for picture, name in zip(pictures, sources, strict=True):
        found = cut_patches(picture, lit_mask(picture), PATCH_PX, PATCH_PX // 2).astype(np.float32)
        keep = rng.permutation(len(found))[:PATCHES_PER_PICTURE]
        patches.append(found[keep])
        origin += [number[name]] * len(keep)
    stacked = np.concatenate(patches) if patches else np.zeros((0, PATCH_PX, PATCH_PX), np.float32)
    keep = np.sort(rng.permutation(len(stacked))[:most])
    return PatchSet(stacked[keep], np.array(origin, np.intp)[keep])


def normalise(patches: Float32) -> Float32:
    """Take brightness and contrast off each patch: mean 0, deviation 1."""
    mean = patches.mean(axis=(1, 2), keepdims=True)
    return (patches - mean) / (patches.std(axis=(1, 2), keepdims=True) + 4.0)


class PatchNet(nn.Module):
    """Four convolutions, mean and maximum; 25,000 weights."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for width, kernel in ((16, 5), (24, 3), (32, 3), (48, 3)):
            layers += [nn.Conv2d(before, width, kernel, 2, kernel // 2, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(2 * before, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logit of "simulated" for patches, shape (N, 1, H, W) -> (N,)."""
        features = self.trunk(x)
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        return self.head(pooled)[:, 0]


def halve(patches: Float32) -> Float32:
    """Mean of 2 x 2 px: what is left of a patch without noise, resampling and compression at the pixel's scale."""
    n, h, w = patches.shape
    return patches.reshape(n, h // 2, 2, w // 2, 2).mean(axis=(2, 4), dtype=np.float32)


def measure_realism(
    simulated: PatchSet, real: PatchSet, *, normalised: bool, half: bool = False, seed: int = 5,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Realism:
    """Train on four fifths of the sources and score the last fifth, five times.

    Parameters
    ----------
    normalised : bool
        Take brightness and contrast off each patch first, so that only texture is left to judge by.
    half : bool
        Judge by patches at half the resolution.
    """
    values = np.concatenate([simulated.patches, real.patches])
    values = halve(values) if half else values
    values = normalise(values) if normalised else values / np.float32(64.0) - np.float32(1.0)
    truth = np.concatenate([np.ones(len(simulated.patches)), np.zeros(len(real.patches))])
    source = np.concatenate([simulated.source, real.source + simulated.source.max() + 1])
    fold = np.concatenate([_folds(simulated.source), _folds(real.source)])
    scores = np.zeros(len(values))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # beside other programs, more threads wait for each other
    torch.use_deterministic_algorithms(True)
    try:
        for k in range(FOLDS):
            net = _fit(values[fold != k], truth[fold != k], seed + k)
            scores[fold == k] = _score(net, values[fold == k])
            tell(k + 1, FOLDS)
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    low, high = _interval(scores, truth, source, np.random.default_rng(seed))
    names = np.unique(source)
    mean_score = np.array([scores[source == n].mean() for n in names])
    kind = np.array([truth[source == n][0] for n in names])
    return Realism(
        area_under_curve(scores, truth), low, high, area_under_curve(mean_score, kind),
        (len(simulated.patches), len(real.patches)), (int(kind.sum()), int(len(kind) - kind.sum())),
    )


def area_under_curve(scores: NDArray, truth: NDArray) -> float:
    """Probability that a positive scores above a negative, ties by half (Mann and Whitney, 1947)."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[place]
    positives = float(truth.sum())
    negatives = len(truth) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    return float((ranks[truth > 0].sum() - positives * (positives + 1) / 2.0) / (positives * negatives))


def _folds(source: NDArray[np.intp]) -> NDArray[np.intp]:
    """Blocks of neighbouring sources: a random split would put one volunteer's pictures on both sides."""
    return (source * FOLDS // (int(source.max()) + 1)).astype(np.intp)


def _fit(values: Float32, truth: NDArray, seed: int) -> PatchNet:
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)
    rng = np.random.default_rng(seed)
    net = PatchNet().train()
    weight = torch.tensor(float((truth == 0).sum() / max(1, (truth == 1).sum())))
    loss = nn.BCEWithLogitsLoss(pos_weight=weight)
    steps = EPOCHS * max(1, len(values) // BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    inputs, labels = torch.from_numpy(np.ascontiguousarray(values)), torch.from_numpy(truth.astype(np.float32))
    for _ in range(EPOCHS):
        order = rng.permutation(len(values))
        for at in range(0, len(order) - BATCH + 1, BATCH):
            which = torch.from_numpy(order[at : at + BATCH])
            batch = inputs[which][:, None]
            if rng.random() < 0.5:
                batch = batch.flip(3)
            optimiser.zero_grad()
            loss(net(batch), labels[which]).backward()
            optimiser.step()
            schedule.step()
    return net.eval()


@torch.no_grad()
def _score(net: PatchNet, values: Float32) -> NDArray[np.float64]:
    parts = [net(torch.from_numpy(values[i : i + 256])[:, None]).double().numpy() for i in range(0, len(values), 256)]
    return np.concatenate(parts)


def _interval(
    scores: NDArray, truth: NDArray, source: NDArray[np.intp], rng: np.random.Generator
) -> tuple[float, float]:
    """Percentile interval of the AUC, sources of each kind resampled with all their patches."""
    members = [np.flatnonzero(source == n) for n in np.unique(source)]
    kinds = [[m for m in members if truth[m[0]] == kind] for kind in (1, 0)]
    found = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([kind[i] for kind in kinds for i in rng.integers(0, len(kind), len(kind))])
        found.append(area_under_curve(scores[drawn], truth[drawn]))
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)
