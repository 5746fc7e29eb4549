"""Simulated clips in the look of real stills: tones and fine texture of another picture, shapes as they were.

No infant's spine is among the real pictures, so that a plugin for them cannot be looked at on one. A simulated spine
with the tones and the texture of a real still is as near as that comes: it asks whether the plugin still speaks where
only the look has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.frame import Frame, SourceInfo
from puncta.core.ports import FrameSource
from puncta.sim.composite_stills import list_stills, read_still, stills_of_split

Grey = NDArray[np.uint8]

BLUR_PX = 3.0
"""What is finer than this is texture [px]."""
TONES = 0.7
"""Share of the way to the still's tones."""
TEXTURE = 0.5
"""Share of the texture that is the still's."""
MOST_STYLES = 64
_FLOOR = 12.0


def read_styles(data: Path, folders: Sequence[str]) -> list[Grey]:
    """Read stills of folders below ``data``, those that no model learns from, evenly thinned to `MOST_STYLES`.

    Raises
    ------
    UserError
        A folder is missing or holds no still of that half.
    """
    if not folders:
        return []
    stills = stills_of_split(list_stills(data, tuple(folders)), "test")
    spread = np.unique(np.linspace(0, len(stills) - 1, MOST_STYLES).round().astype(int))
    return [read_still(stills[i].path) for i in spread]


def restyle(picture: Grey, still: Grey, shift: tuple[int, int] = (0, 0)) -> Grey:
    """Give a picture tones and fine texture of a still; black stays black, and shapes stay where they are.

    Parameters
    ----------
    picture, still : ndarray of uint8, shape (H, W)
    shift : (x, y) [px]
        Moves the texture.
    """
    size = (picture.shape[1], picture.shape[0])
    like = np.asarray(cv2.resize(still, size, interpolation=cv2.INTER_AREA), np.uint8)
    toned = _match_tones(picture, like)
    base, own = _split(toned)
    grain = np.roll(_split(like)[1], (shift[1], shift[0]), (0, 1))
    own_spread, grain_spread = float(own[picture > 4].std() or 1.0), float(grain[like > 4].std() or 1.0)
    mixed = (1 - TEXTURE) * own + TEXTURE * grain * own_spread / max(grain_spread, 1e-3)
    out = (base + _FLOOR) * np.exp(mixed) - _FLOOR
    return np.asarray(np.where(picture <= 4, picture, np.clip(out, 0, 255)), np.uint8)


def _match_tones(picture: Grey, still: Grey) -> NDArray[np.float32]:
    shares = []
    for grey in (picture, still):
        counts = np.bincount(grey.ravel(), minlength=256).astype(np.float64)
        counts[:5] = 0
        shares.append(np.cumsum(counts) / max(1.0, counts.sum()))
    target = np.interp(shares[0], shares[1], np.arange(256.0))
    table = ((1 - TONES) * np.arange(256) + TONES * target).astype(np.float32)
    return np.asarray(table[picture], np.float32)


def _split(picture: NDArray[np.generic]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Local mean, and the logarithm of what is finer than that."""
    grey = np.asarray(picture, np.float32)
    base = np.asarray(cv2.GaussianBlur(grey, (0, 0), BLUR_PX), np.float32)
    return base, np.log((grey + _FLOOR) / (base + _FLOOR))


class RestyledSource:
    """A source whose frames come in the look of a still; implements ``FrameSource``.

    Parameters
    ----------
    source : FrameSource
        Of grey frames.
    still : ndarray of uint8
    seed : int
        Says how the texture is shifted, once for all frames.
    """

    def __init__(self, source: FrameSource, still: Grey, seed: int) -> None:
        self._source = source
        self._still = still
        x, y = np.random.default_rng([7, seed]).integers(0, 1000, 2)
        self._shift = (int(x), int(y))

    @property
    def info(self) -> SourceInfo:
        """Facts about the source."""
        return self._source.info

    def read(self) -> Frame | None:
        """Return the next frame, or None at the end."""
        frame = self._source.read()
        if frame is None:
            return None
        return replace(frame, pixels=restyle(frame.pixels, self._still, self._shift))

    def seek(self, index: int) -> None:
        """Make `read` return the frame ``index`` next."""
        self._source.seek(index)

    def close(self) -> None:
        """Close the source."""
        self._source.close()
