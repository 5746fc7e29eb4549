"""What our own network gets of a training clip of the mask study: motion channels, and the masks it is handed.

Both are made of the clip's own five frames and their masks, so it sees no sample that the other rows do not.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from puncta.imaging.motion_history import CHANNELS, MotionHistory
from puncta.training.nets.needle_track import OWN
from puncta.training.tracker.augment import false_prior, spoil_mask

CLIP_FRAMES = 5
"""Frames of a training clip."""
FALSE_FIRST, SPOILT_FIRST, FALSE_LATER, OWN_SHARE = 0.4, 0.35, 0.03, 0.75
"""Shares of what ours is handed: a false mask where there is no first one, a first one that is spoilt, none or a false
one later on, and windows on which it gets its own masks and not those before, spoilt."""


class ShortHistory(MotionHistory):
    """A history no longer than a training clip: the network has seen nothing of what older frames would tell."""

    def __init__(self, size: int, frames: int = CLIP_FRAMES) -> None:
        super().__init__(size)
        self._frames = deque(maxlen=frames)
        self._positions = deque(maxlen=frames)


def motion_channels(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Motion channels of frames (T, S, S) shown one after another, (T, channels, S, S): made of these frames alone."""
    history = MotionHistory(frames.shape[-1])
    out = np.empty((len(frames), len(CHANNELS), *frames.shape[1:]), np.float32)
    for frame, channels in zip(frames, out, strict=True):
        history.push(frame)
        history.channels(channels)
    return out


def hand_priors(rng: np.random.Generator, masks: NDArray[np.uint8], forget: bool) -> NDArray[np.float32]:
    """What ours is handed on each frame of a window (T, S, S): masks of 0..1, or `OWN` for its own last answer.

    As in the training of the tracker that ships: a network that is only ever handed true masks believes everything it
    says itself. The first mask is right on most windows that have one, and stands for the frame after it, too.

    Parameters
    ----------
    forget : bool
        There is no first mask: nothing is handed over, or what is false.
    """
    whole, size = masks * np.uint8(255), masks.shape[-1]
    priors = np.full(masks.shape, OWN, np.float32)
    if forget:
        priors[0] = false_prior(rng, whole[0], size) if rng.random() < FALSE_FIRST else 0.0
    elif rng.random() < SPOILT_FIRST:
        priors[0] = spoil_mask(rng, whole[0])
    else:
        priors[:2] = masks[0]
    spoilt = rng.random() >= OWN_SHARE
    for t in range(1, len(priors)):
        if priors[t, 0, 0] != OWN:
            continue
        if spoilt:
            priors[t] = spoil_mask(rng, whole[t - 1])
        if rng.random() < FALSE_LATER:
            priors[t] = 0.0 if rng.random() < 0.5 else false_prior(rng, whole[t], size)
    return priors
