"""A sheet of frames of a marked recording with what the plugin drew on them. It holds real pictures: not handed on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from puncta.core.frame import grey_from_pixels
from puncta.formats.atomic import AtomicFile
from puncta.metrics.marks import Standing
from puncta.recording.tiles import Row, Tile, encode_sheet, lay_sheet
from puncta.session.real_check import MarkedResult, MarkedRow, RealResult
from puncta.session.real_runner import FoundMask
from puncta.sources.factory import open_source

COLUMNS = 5
TILE_PX = (300, 240)
MOST = 40


def write_sheet(result: RealResult, data: Path, path: Path) -> int:
    """Draw the marked frames of every marked recording, at most `MOST` each, and write one PNG; return how many.

    Raises
    ------
    UserError
        A recording cannot be read.
    """
    rows = [_row_of(marked, data) for marked in result.marked]
    title = f"{result.plugin} ({result.model or 'no model'}) on real recordings; not to be handed on"
    with AtomicFile(path, binary=True) as file:
        file.write(encode_sheet(lay_sheet(title, rows, COLUMNS, TILE_PX)))
    return sum(len(row.tiles) for row in rows)


def _row_of(marked: MarkedResult, data: Path) -> Row:
    spread = np.unique(np.linspace(0, len(marked.rows) - 1, MOST).round().astype(int))
    wanted = {row.frame: row for row in (marked.rows[i] for i in spread if marked.rows)}
    tiles: list[Tile] = []
    source = open_source(str(data / marked.run.name))
    try:
        while len(tiles) < len(wanted) and (frame := source.read()) is not None:
            row = wanted.get(frame.key.index)
            if row is not None:
                tiles.append(_tile(grey_from_pixels(frame.pixels), row, marked))
    finally:
        source.close()
    shown, silent = marked.run.shown, len(marked.run.frames) - marked.run.shown
    return Row(marked.run.name, tiles, f"shown on {shown} of {shown + silent} frames")


def _tile(picture: np.ndarray, row: MarkedRow, marked: MarkedResult) -> Tile:
    x0, y0, w, h = marked.run.region

    def inside(point: Sequence[float] | None) -> tuple[float, float] | None:
        return None if point is None else (point[0] - x0, point[1] - y0)

    counted = row.agreed.standing is Standing.COUNTED
    said = row.said
    axis = row.agreed.axis
    tip, line = said.answer.tip_px, said.answer.axis
    return Tile(
        picture=np.ascontiguousarray(picture[y0 : y0 + h, x0 : x0 + w]),
        caption=(f"frame {row.frame}: {_words(row)}", "" if counted else f"marks {row.agreed.standing.value}"),
        true_tip_px=inside(row.agreed.tip_px) if counted else None,
        true_entry_px=inside(axis[0]) if counted and axis is not None else None,
        tip_px=inside(tip),
        entry_px=inside(line[0]) if line is not None and tip is not None else None,
        origin="recorded",
        mask=None if said.mask is None else _in_region(said.mask, (x0, y0, w, h)),
    )


def _words(row: MarkedRow) -> str:
    if row.mask is not None:
        return f"covers {100 * row.mask.covered:.0f} %, {100 * row.mask.on_shaft:.0f} % of it on the shaft"
    if row.said.mask is not None:
        return "a mask"
    return f"tip {row.offset.error_mm:.1f} mm off" if row.offset is not None else "silent"


def _in_region(found: FoundMask, region: tuple[int, int, int, int]) -> np.ndarray:
    x0, y0, w, h = region
    out = np.zeros((h, w), bool)
    rows, cols = np.nonzero(found.mask)
    x, y = cols + found.origin_px[0] - x0, rows + found.origin_px[1] - y0
    keep = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    out[y[keep], x[keep]] = True
    return out
