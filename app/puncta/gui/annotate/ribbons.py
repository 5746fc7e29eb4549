"""Labels over time as rows of pixels: solid confirmed, hatched proposed, grey not visible, a thin line absent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

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


EXTRA = (PHASE, NOTE)
"""Rows that every label set may have; shown where there is something in them."""


def empty_rows(names: Sequence[str], count: int) -> dict[str, NDArray[np.uint8]]:
    """Return a row of codes a name, and those that every label set may have."""
    return {name: np.zeros(count, np.uint8) for name in (*names, *EXTRA)}


def clear_codes(rows: Mapping[str, NDArray[np.uint8]], frames: Collection[int]) -> None:
    """Empty frames of all rows, before what is there now is written."""
    if frames:
        where = np.fromiter(frames, np.int64, len(frames))
        for row in rows.values():
            row[where[where < len(row)]] = EMPTY


def write_codes(
    rows: Mapping[str, NDArray[np.uint8]], index: int, labels: Iterable[Label], phases: Mapping[str, int]
) -> None:
    """Write what one frame's labels say into rows that are empty there; lines belong to their category's row.

    Parameters
    ----------
    phases : mapping of phase to its number
    """
    for label in labels:
        value, found = label.value, rows.get(label.name)
        if found is None or label.state is State.REJECTED:
            continue
        code = PRESENT
        if isinstance(value, NotVisible):
            code = HIDDEN
        elif isinstance(value, FlagLabel):
            code = PRESENT if value.value else ABSENT
        elif isinstance(value, PhaseLabel):
            code = PHASE_FIRST + phases.get(value.phase, 0)
        found[index] = code if label.trusted or label.name in EXTRA else code + PROPOSED


def shown_rows(rows: Mapping[str, NDArray[np.uint8]]) -> dict[str, NDArray[np.uint8]]:
    """Return the rows to show: phases and notes only where there are some."""
    return {name: row for name, row in rows.items() if name not in EXTRA or row.any()}


def confirmed_counts(rows: Mapping[str, NDArray[np.uint8]]) -> tuple[dict[str, int], int, int]:
    """Return on how many frames each name is confirmed, on how many anything is, and on how many a thing is hidden."""
    own = {name: row for name, row in rows.items() if name not in EXTRA}
    sure = {name: (row > EMPTY) & (row < PROPOSED) for name, row in own.items()}
    counts = {name: int(np.count_nonzero(known)) for name, known in sure.items()}
    if not sure:
        return counts, 0, 0
    anything = np.logical_or.reduce(list(sure.values()))
    hidden = np.logical_or.reduce([row == HIDDEN for row in own.values()])
    return counts, int(np.count_nonzero(anything)), int(np.count_nonzero(hidden))


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
