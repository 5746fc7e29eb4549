"""Notices that a captured screen has changed round its ultrasound picture: another depth, preset or layout.

The screen outside the region is looked at in cells. Cells that change while it learns (clocks, counters) and their
neighbours on the same line are left out; later a cell that held still and has become another one is a change. The marks
of a depth scale are looked at by themselves, since on some machines they lie on the picture.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.frame import grey_from_pixels
from puncta.imaging.tick_comb import LEAST_GREY, TickComb

CELL_PX = 4
LEARNING = 6
"""Looks it learns from, half a second apart: a clock's seconds change in that time."""
CHANGED_GREY = 30.0
"""A cell whose mean moves by this [grey] is another cell; cells are as small as a letter's strokes, since one figure
in the place of another has much the same ink."""
NEIGHBOURS = 15
"""Cells left out to either side of one that changes while it learns, since a clock's other digits stand there."""
AGAIN = 2
"""So many looks in a row have to show a change."""
MARKS_LEFT = 0.7
"""Below this share of a scale's marks in their places, the scale has changed. Bright tissue hides some of them."""


class ScreenWatch:
    """Watches one layout.

    Parameters
    ----------
    box : tuple of int
        [x0, y0, w, h] [px] of the ultrasound region, which is not looked at.
    """

    def __init__(self, box: tuple[int, int, int, int]) -> None:
        self.box = box
        self._looks: list[NDArray[np.float32]] = []
        self._steady: NDArray[np.bool_] | None = None
        self._base: NDArray[np.float32] | None = None
        self._size: tuple[int, ...] = ()
        self._changed = 0
        self._comb: TickComb | None = None

    def follow(self, comb: TickComb | None) -> None:
        """Look at the marks of a depth scale too, wherever they stand."""
        self._comb = comb

    @property
    def learning(self) -> bool:
        """Whether it still learns what belongs to the layout."""
        return self._steady is None

    def look(self, pixels: NDArray[np.uint8]) -> bool:
        """Take a picture, about half a second after the last; True where the layout has become another one."""
        if self._size and pixels.shape[:2] != self._size:
            return True
        self._size = pixels.shape[:2]
        cells = self._cells(pixels)
        if self._steady is None or self._base is None:
            self._looks.append(cells)
            if len(self._looks) >= LEARNING:
                self._learn()
            changed = False
        else:
            changed = bool(((np.abs(cells - self._base) > CHANGED_GREY) & self._steady).any())
        if self._comb is not None and marks_left(pixels, self._comb) < MARKS_LEFT:
            changed = True
        self._changed = self._changed + 1 if changed else 0
        return self._changed >= AGAIN

    def _learn(self) -> None:
        stack = np.stack(self._looks)
        outside = self._outside(stack.shape[1:])
        # Tissue moves, and what stands beside it may not be left out for that.
        restless = ((np.ptp(stack, axis=0) > CHANGED_GREY / 2) & outside).astype(np.uint8)
        wide = cv2.dilate(restless, np.ones((5, 2 * NEIGHBOURS + 1), np.uint8)) > 0
        self._steady = ~wide & outside
        self._base = np.asarray(np.median(stack, axis=0), np.float32)
        self._looks.clear()

    def _cells(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        grey = grey_from_pixels(pixels)
        size = (max(1, grey.shape[1] // CELL_PX), max(1, grey.shape[0] // CELL_PX))
        return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)

    def _outside(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Cells that do not touch the region."""
        rows, columns = shape
        height, width = self._size
        x, y, w, h = self.box
        top, bottom = int(y * rows / height) - 2, int(np.ceil((y + h) * rows / height)) + 2
        left, right = int(x * columns / width) - 2, int(np.ceil((x + w) * columns / width)) + 2
        out = np.ones((rows, columns), bool)
        out[max(0, top) : bottom, max(0, left) : right] = False
        return out


def marks_left(pixels: NDArray[np.uint8], comb: TickComb) -> float:
    """Share of a scale's marks that still stand where they stood, 0..1."""
    grey = grey_from_pixels(pixels)
    seen = 0
    for x0, y0, x1, y1 in comb.extents_px:
        thick = max(2, y1 - y0)
        middle = (x0 + x1) // 2
        lane = slice(max(0, middle - 1), middle + 1)
        mark = grey[y0:y1, lane]
        above, below = grey[max(0, y0 - 2 * thick) : max(1, y0 - thick), lane], grey[y1 + thick : y1 + 2 * thick, lane]
        round_it = [float(part.mean()) for part in (above, below) if part.size]
        if mark.size and round_it and float(mark.max()) - max(round_it) > LEAST_GREY / 2:
            seen += 1
    return seen / max(1, len(comb.extents_px))
