"""Run-length masks in COCO's two forms: counts as a list, and COCO's compressed text (read only).

Counts run down the columns, the first count is of zeros (pycocotools, `maskApi.c`, described in its documentation).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError


def rle_from_mask(mask: NDArray[np.bool_]) -> dict[str, list[int]]:
    """Return ``{"size": [height, width], "counts": [...]}`` of a mask of shape (h, w)."""
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate(([0], edges, [flat.size])))
    runs = [int(c) for c in counts]
    if flat.size and flat[0]:
        runs.insert(0, 0)
    return {"size": [int(mask.shape[0]), int(mask.shape[1])], "counts": runs}


def mask_from_rle(rle: dict[str, Any]) -> NDArray[np.bool_]:
    """Return the mask of an RLE, shape (height, width).

    Raises
    ------
    UserError
        The runs do not add up to the size.
    """
    height, width = (int(v) for v in rle["size"])
    counts = rle["counts"]
    runs = _counts_from_text(counts) if isinstance(counts, str) else [int(c) for c in counts]
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise UserError(f"A run-length mask of {height} x {width} pixels holds runs for {sum(runs)} pixels.")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape((height, width), order="F")


def _counts_from_text(text: str) -> Sequence[int]:
    """Decode COCO's compressed counts: 5 bits a character, low bits first; from the fourth run on differences."""
    runs: list[int] = []
    at = 0
    while at < len(text):
        value, shift, more = 0, 0, True
        while more:
            if at >= len(text):
                raise UserError("A compressed run-length mask ends in the middle of a number.")
            bits = ord(text[at]) - 48
            if not 0 <= bits < 64:
                raise UserError(f"A compressed run-length mask holds a character without meaning, {text[at]!r}.")
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            at += 1
            shift += 5
            if not more and bits & 0x10:
                value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
