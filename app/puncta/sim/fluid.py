"""Injected fluid in the picture: it opens tissue (`Deformation`), and what is drawn of stretched tissue in it dims."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.sim.plane import Delay
from puncta.sim.pose import SceneState
from puncta.sim.probing import fluid_at
from puncta.sim.scan import Scan

ROWS, COLS = 4, 2
"""The fluid is looked up once in so many cells of the beam grid; its border is softer than that."""
LEFT = np.float32(0.05)
"""Share of the echo that is left in fluid, about 26 dB below tissue."""


def dim_fluid(grid: NDArray[np.complex64], state: SceneState, scan: Scan, delay: Delay) -> None:
    """Dim, in place, what a beam grid of scatterers, shape (rows, cols), has inside injected fluid."""
    if not state.boluses:
        return
    rows, cols = grid.shape
    r = ((np.arange(-(-rows // ROWS)) + 0.5) * ROWS * scan.dr_mm).astype(np.float32)
    c = ((np.arange(-(-cols // COLS)) + 0.5) * COLS * scan.dc - scan.half_c).astype(np.float32)
    gr, gc = np.meshgrid(r, c, indexing="ij")
    x, z = scan.mm_from_beam(delay.real(gr, gc), gc)
    share = fluid_at(state, *state.probe.tissue_from_probe(x, 0.0, z))
    if not share.any():
        return
    fine = cv2.resize(share, (len(c) * COLS, len(r) * ROWS), interpolation=cv2.INTER_LINEAR)[:rows, :cols]
    grid *= np.float32(1.0) - (np.float32(1.0) - LEFT) * fine
