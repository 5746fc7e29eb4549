"""Ribbons of the timeline: a flag over time. Full is yes, a thin line no, hatched cannot tell, empty not seen yet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from puncta.core.findings import FINDING_WORDS, RIBBON_CODES, STATE_WORDS, finding_name
from puncta.gui.i18n import tr

YES, NO, UNKNOWN = RIBBON_CODES[True], RIBBON_CODES[False], RIBBON_CODES[None]
HATCH_PX = 6


def order_ribbons(labels: set[str]) -> list[str]:
    """The known flags in their usual order, then others by name."""
    known = list(FINDING_WORDS)
    return sorted(labels, key=lambda label: (known.index(label) if label in known else len(known), label))


def bin_ribbon(codes: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Reduce what was said by frame to screen columns: what most of a column's seen frames have; a tie cannot tell."""
    count = len(codes)
    if not count or columns < 1:
        return np.empty(0, np.uint8)
    if count <= columns:
        return codes[np.minimum(count - 1, np.arange(columns) * count // columns)]
    edges = np.arange(columns) * count // columns
    order = (UNKNOWN, NO, YES)
    votes = np.stack([np.add.reduceat((codes == code).astype(np.int32), edges) for code in order])
    tied = votes[1] == votes[2]
    most = np.where(tied & (votes[1] > 0), 0, votes.argmax(axis=0))
    return np.where(votes.sum(axis=0) > 0, np.array(order, np.uint8)[most], 0).astype(np.uint8)


def draw_ribbon(columns: NDArray[np.uint8], height: int, yes: int, no: int, unknown: int) -> NDArray[np.uint32]:
    """Return a ribbon as ARGB pixels.

    Parameters
    ----------
    columns : ndarray of uint8, shape (w,)
        `RIBBON_CODES`; 0 leaves the column empty.
    yes, no, unknown : int
        0xAARRGGBB.

    Returns
    -------
    ndarray of uint32, shape (height, w)
    """
    rows = np.arange(height)[:, None]
    across = np.arange(len(columns))[None, :]
    thin = np.abs(rows - (height - 1) / 2) <= 1.0
    hatched = (across + rows) % HATCH_PX < HATCH_PX // 2
    opaque = np.uint32(0xFF000000)
    pixels = np.zeros((height, len(columns)), np.uint32)
    pixels[np.broadcast_to(columns == YES, pixels.shape)] = opaque | np.uint32(yes & 0xFFFFFF)
    pixels[(columns == NO) & thin] = opaque | np.uint32(no & 0xFFFFFF)
    pixels[(columns == UNKNOWN) & hatched] = opaque | np.uint32(unknown & 0xFFFFFF)
    return np.ascontiguousarray(pixels)


def ribbon_words(label: str, codes: NDArray[np.uint8], index: int) -> str:
    """Say what is known of a flag on a frame: "CSF: yes", or that nobody has looked yet."""
    code = int(codes[index]) if index < len(codes) else 0
    state = next((STATE_WORDS[value] for value, known in RIBBON_CODES.items() if known == code), "not seen yet")
    return f"{tr(finding_name(label))}: {tr(state)}"
