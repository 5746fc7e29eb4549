"""What a class-activation map tells: where in the picture the evidence for a flag lies, and how deep that is.

The network's map is exact: its mean and a constant are the logit. Each cell is read as what the logit would be if the
whole picture looked like it, which puts all flags and all pictures on one scale.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]

SOFTNESS = 24.0
"""Logits of single cells run far beyond those of whole pictures, to 100 where a structure lies; divided by this
before they become shares, so that a map does not end in one flat patch. Chosen by eye, for the eye alone."""
BLOB_SHARE = 0.5
"""Cells that reach this share of the strongest cell's evidence, and hang together with it, make up the structure."""


class FlagMaps:
    """The mean of one stream's maps over the window in which its flags are read.

    Parameters
    ----------
    window_s : float
        Length of the mean [s].
    """

    def __init__(self, window_s: float) -> None:
        self._window_ns = window_s * 1e9
        self._maps: deque[tuple[int, NDArray[np.float32]]] = deque()

    def clear(self) -> None:
        """Forget all frames."""
        self._maps.clear()

    def update(self, cam: NDArray[np.float32], logits: NDArray[np.floating], t_ns: int) -> NDArray[np.float32]:
        """Take a frame's maps and return their mean over the window, as logits of single cells.

        Parameters
        ----------
        cam : ndarray of float32, shape (flags, h, w)
        logits : ndarray, shape (flags,)
            Calibrated; the mean of the returned cells of one frame is its logit.
        t_ns : int
            When the frame was taken [ns]; a time that goes back begins anew.

        Returns
        -------
        ndarray of float32, shape (flags, h, w)
        """
        if self._maps and t_ns < self._maps[-1][0]:
            self.clear()
        level = np.asarray(logits, np.float32)[:, None, None]
        self._maps.append((t_ns, cam - cam.mean(axis=(1, 2), keepdims=True) + level))
        while t_ns - self._maps[0][0] >= self._window_ns and len(self._maps) > 1:
            self._maps.popleft()
        return np.mean([cells for _, cells in self._maps], axis=0, dtype=np.float32)


def heat_of(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return cells as a heat map of 0..1, 0.5 where they speak neither for nor against the flag."""
    return (1.0 / (1.0 + np.exp(-np.clip(cells / SOFTNESS, -30.0, 30.0)))).astype(np.float32)


@dataclass(frozen=True, slots=True)
class EvidencePlace:
    """Where the strongest evidence lies, in image pixels.

    Attributes
    ----------
    centre_px : tuple of float
        Its centre of mass (x, y) [px].
    spread_px : tuple of float
        Standard deviation of the evidence along x and y [px], at least that of one cell.
    """

    centre_px: tuple[float, float]
    spread_px: tuple[float, float]


def find_evidence(cells: NDArray[np.float32], box: Box) -> EvidencePlace | None:
    """Find the structure round the strongest cell; None where no cell speaks for the flag.

    Parameters
    ----------
    cells : ndarray of float32, shape (h, w)
        Logits of single cells over the region ``box``, outer corners to outer corners.
    """
    for_it = np.clip(cells, 0.0, None)
    best = float(for_it.max())
    if best <= 0.0:
        return None
    strong = (for_it >= BLOB_SHARE * best).astype(np.uint8)
    _, labels = cv2.connectedComponents(strong, connectivity=8)
    row, column = np.unravel_index(int(np.argmax(for_it)), for_it.shape)
    weight = np.where(labels == labels[row, column], for_it, 0.0)
    weight /= weight.sum()
    height, width = cells.shape
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    x0, y0, w, h = box
    centre: list[float] = []
    spread: list[float] = []
    for places, cell_px, corner in ((columns, w / width, x0), (rows, h / height, y0)):
        middle = float((weight * places).sum())
        variance = float((weight * (places - middle) ** 2).sum()) + 1.0 / 12.0
        centre.append(corner - 0.5 + middle * cell_px)
        spread.append(float(np.sqrt(variance)) * cell_px)
    return EvidencePlace((centre[0], centre[1]), (spread[0], spread[1]))
