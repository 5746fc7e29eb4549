"""How strange a picture looks to a network: the distance of its pooled features from those of training pictures.

The distance is Mahalanobis' (Lee et al., "A simple unified framework for detecting out-of-distribution samples",
NeurIPS 2018), with one mean for all pictures. A covariance of a hundred and more features from correlated frames is
badly known in most directions, so it is shrunk towards a multiple of the identity by as much as the data ask for
(Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from puncta.imaging.motion_history import MotionHistory
from puncta.imaging.preprocess import resample_region
from puncta.training.data import Clip
from puncta.training.nets.tip_stream import TipStream

LEAST_SPREAD = 1e-3
"""Least standard deviation a feature counts with. Behind batch norm features are of the order of one; one that hardly
varies in training would otherwise blow rounding up to strangeness."""


class Familiar(nn.Module):
    """(B, F) features -> (B,) strangeness; about the square root of F on pictures like those of training.

    Parameters
    ----------
    mean : ndarray, shape (F,)
    whiten : ndarray, shape (F, F)
        Turns features about the mean into uncorrelated ones of variance 1: the distance is the length of the result.
    """

    mean: Tensor
    whiten: Tensor

    def __init__(self, mean: NDArray[np.float64], whiten: NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("whiten", torch.from_numpy(np.ascontiguousarray(whiten.astype(np.float32))))

    def forward(self, features: Tensor) -> Tensor:
        """Distance of each row."""
        away = (features - self.mean) @ self.whiten.T
        return torch.sqrt((away * away).sum(dim=1))


def shrink_covariance(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Estimate the covariance of centred rows, (n, F); returns it and the share of identity in it."""
    n, count = rows.shape
    sample = rows.T @ rows / n
    middle = float(np.trace(sample)) / count
    spread = float(((sample - middle * np.eye(count)) ** 2).sum())
    # Mean squared distance of one row's outer product from the sample's, without forming any of them.
    noise = (float(((rows**2).sum(axis=1) ** 2).sum()) / n - float((sample**2).sum())) / n
    share = min(1.0, max(0.0, noise) / spread) if spread > 0 else 1.0
    return (1 - share) * sample + share * middle * np.eye(count), share


def fit_familiar(features: NDArray[np.floating]) -> Familiar:
    """Fit to the features of pictures that the network is made for, shape (n, F), in double precision."""
    rows = np.asarray(features, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < 2 or not np.isfinite(rows).all():
        raise ValueError("features must be two or more rows of finite numbers")
    mean = rows.mean(axis=0)
    spread = np.maximum(rows.std(axis=0), LEAST_SPREAD)
    # Features have scales of their own; shrinking mixes them, so each is brought to variance 1 first.
    covariance, _ = shrink_covariance((rows - mean) / spread)
    whiten = np.linalg.inv(np.linalg.cholesky(covariance)) / spread
    return Familiar(mean, whiten)


def clip_channels(clip: Clip, size: int) -> NDArray[np.float32]:
    """Motion channels of a clip's frames as the plugin makes them, shape (T, 5, size, size); repeats are left out."""
    history = MotionHistory(size)
    side = clip.frames.shape[1]
    rows = []
    for frame in clip.frames:
        grey, _ = resample_region(frame, (0, 0, side, side), (size, size))
        if history.push(grey):
            rows.append(history.channels())
    return np.stack(rows)


def pool_features(net: TipStream, clips: Iterable[NDArray[np.float32]], every: int = 3) -> NDArray[np.float64]:
    """Features of every ``every``-th frame of clips of channels, (T, C, S, S) each; neighbours tell hardly more."""
    found: list[NDArray[np.float64]] = []
    net = net.eval()
    with torch.no_grad():
        for channels in clips:
            _, _, features = net(torch.from_numpy(channels)[None])
            found.append(features[0, ::every].double().numpy())
    return np.concatenate(found)


def familiar_from_clips(net: TipStream, clips: Sequence[Clip], size: int, most: int = 400) -> Familiar:
    """Fit to at most ``most`` clips, evenly taken from those given."""
    chosen = clips[:: max(1, -(-len(clips) // most))]
    return fit_familiar(pool_features(net, (clip_channels(clip, size) for clip in chosen)))
