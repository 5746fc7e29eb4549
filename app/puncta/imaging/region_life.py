"""What lives on a captured screen, and whether the sides of a box round it are sharp.

Deep tissue fades into the screen's own black, and then nobody can tell from the picture where the region ends. A side
is sharp where what lives ends abruptly there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.frame import grey_from_pixels

BINS = 8
LIVE_BINS = 5
"""A line of the picture lives where so many of its eight parts do; text and marks live in fewer."""
LIVE_SHARE = 0.01
GAP_SHARE = 0.03
"""Below, dark bands up to this share of the height do not end the region."""
EDGE_SHARE, INNER_SHARE = 0.015, 0.08
SHARP = 0.5
"""A side is sharp where its outermost lines live at least this much as those further in."""
LEAST_LIVE = 0.12
BEYOND = 0.002
"""Faint life below, as a share of pixels, above which the region may reach further down."""
FAINT_GREY, LEAST_GREY = 40, 3
RINGING_PX = 9
"""Lossy coding works in blocks of 8 pixels; what is faint nearer to a side may be its ringing."""
Box = tuple[int, int, int, int]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Life:
    """Which pixels are not the screen's own background, and which of them only faintly."""

    alive: Mask
    faint: Mask

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture [px]."""
        return self.alive.shape[1], self.alive.shape[0]


def measure_life(frames: Sequence[NDArray[np.uint8]]) -> Life:
    """Tell what lives in some frames of one size."""
    grey = np.stack([grey_from_pixels(frame) for frame in frames])
    rim = np.concatenate([grey[:, 0].ravel(), grey[:, -1].ravel(), grey[:, :, 0].ravel(), grey[:, :, -1].ravel()])
    background = int(np.argmax(np.bincount(rim, minlength=256)))
    off = np.abs(grey.astype(np.int16) - background).max(axis=0)
    # Lossy coding rings round every border; what lives is stronger than its ringing.
    return Life(off >= LEAST_GREY, (off >= 1) & (off < FAINT_GREY))


def _bins_alive(alive: Mask) -> NDArray[np.bool_]:
    """Tell which rows live, by eight parts of each."""
    parts = [part.mean(axis=1) >= LIVE_SHARE for part in np.array_split(alive, BINS, axis=1) if part.shape[1]]
    return np.sum(parts, axis=0) >= LIVE_BINS if parts else np.zeros(len(alive), bool)


def tighten(life: Life, box: Box) -> Box:
    """Bounds of all lines that live, for a picture that fills nearly the whole screen."""
    rows, columns = np.flatnonzero(_bins_alive(life.alive)), np.flatnonzero(_bins_alive(life.alive.T))
    if len(rows) < 8 or len(columns) < 8:
        return box
    return (int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)


def extend(box: Box, life: Life) -> Box:
    """Move sides outwards over lines that live; below also over dark bands."""
    x, y, w, h = box
    height, width = life.alive.shape
    rows = _bins_alive(life.alive[:, x : x + w])
    top = _walk(rows, y, -1, 2)
    bottom = _walk(rows, y + h - 1, 1, max(2, round(GAP_SHARE * h)))
    columns = _bins_alive(life.alive[top : bottom + 1].T)
    left, right = _walk(columns, x, -1, 1), _walk(columns, x + w - 1, 1, 1)
    return _trimmed((left, top, min(width - 1, right) - left + 1, min(height - 1, bottom) - top + 1), life)


def _trimmed(box: Box, life: Life) -> Box:
    """Take off the ringing that lossy coding left round the sides; no more than that, or a fading side looks sharp."""
    x, y, w, h = box
    inside = life.alive[y : y + h, x : x + w]
    cuts = [
        _ringing(lines, size) for lines, size in ((inside.T, w), (inside.T[::-1], w), (inside, h), (inside[::-1], h))
    ]
    return (x + cuts[0], y + cuts[2], w - cuts[0] - cuts[1], h - cuts[2] - cuts[3])


def _ringing(lines: Mask, size: int) -> int:
    share = _spread_share(lines[: max(6, round(INNER_SHARE * size))])
    enough = SHARP * float(share[len(share) // 4 :].mean())
    found = np.flatnonzero(share[: RINGING_PX + 1] >= enough)
    return int(found[0]) if len(found) and size > 8 * RINGING_PX else 0


def _walk(living: NDArray[np.bool_], start: int, step: int, gap: int) -> int:
    """Last living line reached from a start without a gap longer than allowed."""
    last, at = start, start + step
    while 0 <= at < len(living) and abs(at - last) <= gap:
        if living[at]:
            last = at
        at += step
    return last


def is_sharp(box: Box, life: Life) -> bool:
    """Whether the box is full to its sides, and nothing faint goes on past them."""
    x, y, w, h = box
    inside = life.alive[y : y + h, x : x + w]
    sides = ((inside, h), (inside[::-1], h), (inside.T, w), (inside.T[::-1], w))
    for lines, size in sides:
        edge, inner = max(2, round(EDGE_SHARE * size)), max(6, round(INNER_SHARE * size))
        share = _spread_share(lines)
        outer, within = float(share[:edge].mean()), float(share[edge:inner].mean())
        if within < LEAST_LIVE or outer < SHARP * within:
            return False
    return not _goes_on(box, life)


def _spread_share(lines: Mask) -> NDArray[np.float64]:
    """Share of living pixels of each line; the mean of its lower six parts, so that one bright spot counts little."""
    parts = np.stack([part.mean(axis=1) for part in np.array_split(lines, BINS, axis=1) if part.shape[1]])
    return np.sort(parts, axis=0)[: max(1, len(parts) - 2)].mean(axis=0)


def _goes_on(box: Box, life: Life) -> bool:
    """Whether faint pixels lie below the box in its own lane: noise of the dark part of the region."""
    x, y, w, h = box
    # A letter's soft rim is faint too; noise is alone.
    bright = cv2.dilate((life.alive & ~life.faint).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    begin = y + h + RINGING_PX
    lane = (life.faint & ~bright)[begin : begin + max(4, round(0.12 * h)), x : x + w]
    return bool(lane.size) and _share_over_parts(lane) > BEYOND


def _share_over_parts(lane: Mask) -> float:
    """Share of a lane's pixels that are set; the median over four parts each way, so that one spot does not count."""
    longer = lane if lane.shape[1] >= lane.shape[0] else lane.T
    return float(np.median([part.mean() for part in np.array_split(longer, 4, axis=1) if part.size]))
