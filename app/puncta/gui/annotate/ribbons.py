"""Labels over time as rows of pixels: solid confirmed, hatched proposed, grey not visible, a thin line absent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from puncta.annotation.labels import NOTE, PHASE, FlagLabel, Label, NotVisible, PhaseLabel, State

EMPTY, PRESENT, ABSENT, HIDDEN = 0, 1, 2, 3
"""What a row says of a frame: nothing, there, a flag's no, a thing that is not visible."""
PROPOSED = 8
"""Added where it is only proposed."""
PHASE_FIRST = 16
"""Phases count from here on, in the order of the label set."""
HATCH_PX = 7


def codes_of(labels: Iterable[Label], names: Sequence[str], phases: Sequence[str], count: int) -> dict[str, NDArray]:
    """Return what is labelled, one array of codes a row: the names in order, then "phase" and "note" where there are.

    Parameters
    ----------
    names : sequence of str
        Categories and flags; lines belong to their category's row.
    """
    rows = {name: np.zeros(count, np.uint8) for name in names}
    extra = {PHASE: np.zeros(count, np.uint8), NOTE: np.zeros(count, np.uint8)}
    number = {name: i for i, name in enumerate(phases)}
    for label in labels:
        index, value = label.key.index, label.value
        if label.state is State.REJECTED or not 0 <= index < count:
            continue
        row = extra.get(label.name)
        if row is None:
            row = rows.get(label.name)
            if row is None:
                continue
        code = PRESENT
        if isinstance(value, NotVisible):
            code = HIDDEN
        elif isinstance(value, FlagLabel):
            code = PRESENT if value.value else ABSENT
        elif isinstance(value, PhaseLabel):
            code = PHASE_FIRST + number.get(value.phase, 0)
        row[index] = code if label.trusted or label.name in extra else code + PROPOSED
    return {**rows, **{name: row for name, row in extra.items() if row.any()}}


def bin_codes(codes: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Reduce codes by frame to screen columns: of several frames in one column the first that says something."""
    count = len(codes)
    if not count or columns < 1:
        return np.empty(0, np.uint8)
    if count <= columns:
        return codes[np.minimum(count - 1, np.arange(columns) * count // columns)]
    edges = np.arange(columns) * count // columns
    return np.maximum.reduceat(codes, edges)


def draw_codes(columns: NDArray[np.uint8], height: int, colour: int, hidden: int, quiet: int) -> NDArray[np.uint32]:
    """Return a row as ARGB pixels, shape (height, w).

    Parameters
    ----------
    colour, hidden, quiet : int
        0xAARRGGBB of what is there, of what is not visible, and of a flag's no.
    """
    rows = np.arange(height)[:, None]
    across = np.arange(len(columns))[None, :]
    proposed = (columns >= PROPOSED) & (columns < PHASE_FIRST)
    kind = np.where(columns >= PHASE_FIRST, PRESENT, np.where(proposed, columns - PROPOSED, columns))
    pixels = np.zeros((height, len(columns)), np.uint32)
    stripes = (across + rows) % HATCH_PX < 3
    thin = np.abs(rows - (height - 1) / 2) <= 1.0
    solid, faint = np.uint32(0xC8000000), np.uint32(0x46000000)
    for code, paint in ((PRESENT, colour), (HIDDEN, hidden), (ABSENT, quiet)):
        there = np.broadcast_to(kind == code, pixels.shape)
        if code == ABSENT:
            there = there & thin
        sure = there & ~proposed
        rgb = np.uint32(paint & 0xFFFFFF)
        pixels[sure] = solid | rgb
        pixels[there & proposed] = faint | rgb
        pixels[there & proposed & stripes] = solid | rgb
    odd = (columns >= PHASE_FIRST) & ((columns - PHASE_FIRST) % 2 == 1)
    pixels[np.broadcast_to(odd, pixels.shape)] = np.uint32(0x78000000) | np.uint32(colour & 0xFFFFFF)
    return np.ascontiguousarray(pixels)


def runs_of(codes: NDArray[np.uint8]) -> list[tuple[int, int, int]]:
    """Return (first, last, code) of frames in a row that say the same; empty ones are left out."""
    if not len(codes):
        return []
    cuts = np.flatnonzero(np.diff(codes)) + 1
    firsts, ends = np.concatenate([[0], cuts]), np.concatenate([cuts, [len(codes)]])
    return [(int(a), int(b) - 1, int(codes[a])) for a, b in zip(firsts, ends) if codes[a] != EMPTY]
