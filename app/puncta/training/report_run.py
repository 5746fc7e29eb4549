"""What a training shows of itself: validation pictures and the report, while it runs and of a finished folder."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.recording.tiles import encode_sheet, lay_sheet
from puncta.training.report import COMPOSED, PICTURES, write_bytes, write_report
from puncta.training.report_pictures import COLUMNS, SIMULATOR, Chosen, answer_chosen, lay_rows

log = logging.getLogger("puncta")

REDRAWN_S = 15.0
"""Shortest time between two drawings of a report [s]."""


def write_pictures(net: Any, shown: Sequence[Chosen], size: int, out: Path) -> None:
    """Draw the validation pictures of a network into a training folder: simulated ones, and the others apart."""
    answers = answer_chosen(net, shown, size)
    for name, simulated in ((PICTURES, True), (COMPOSED, False)):
        some = [a for a in answers if (a.chosen.clip.source == SIMULATOR) is simulated]
        if some:
            sheet = lay_sheet("Frames of the tune split", lay_rows(some, simulated), COLUMNS, (196, 196))
            write_bytes(out / name, encode_sheet(sheet))


def redraw(out: Path) -> None:
    """Draw the report anew; what goes wrong with it is logged and stops no training."""
    try:
        write_report(out)
    except (UserError, OSError, ValueError, KeyError):
        log.exception("the report of a training could not be drawn")


class Redrawing:
    """Draws the report anew at checkpoints, but not again within a quarter of a minute: training comes first."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._last_s = -math.inf

    def __call__(self) -> None:
        """Draw, unless it is too soon."""
        now_s = time.monotonic()
        if now_s - self._last_s >= REDRAWN_S:
            redraw(self._out)
            self._last_s = time.monotonic()
