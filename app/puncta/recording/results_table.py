"""What was found, as a table for spreadsheets and statistics: one row for each result of each frame."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from puncta.core.frame import Calibration
from puncta.core.results import ClassResult, Detection, HeatMap, Line, MaskResult, Measure, Point, Result
from puncta.formats.atomic import AtomicFile
from puncta.formats.results_lines import ResultLine

COLUMNS = (
    "frame", "pts_ns", "time_s", "sha256", "plugin", "type", "label", "value", "unit", "score",
    "tip_x_px", "tip_y_px", "radius_px", "entry_x_px", "entry_y_px", "angle_deg",
    "box_x_px", "box_y_px", "box_w_px", "box_h_px", "area_px", "mm_per_px_x", "mm_per_px_y", "calibration",
    "reason", "flags", "note",
)  # fmt: skip
NOTE = "simulation and training only, not for clinical use"


class ResultsTable:
    """Writes a CSV file (UTF-8, comma, points for decimals) under a temporary name; `close` puts it in place."""

    def __init__(self, path: Path, *, simulated: bool) -> None:
        self._file = AtomicFile(Path(path))
        self._note = f"simulated; {NOTE}" if simulated else NOTE
        self._put_row(COLUMNS)

    def put(self, line: ResultLine, calibration: Calibration | None) -> None:
        """Append the rows of one frame; a frame without results has one row that says so."""
        head = {
            "frame": line.key.index,
            "pts_ns": line.key.pts_ns,
            "time_s": f"{line.key.pts_ns / 1e9:.9f}",
            "sha256": line.key.sha256,
            "flags": " ".join(sorted(str(flag) for flag in line.flags)),
            "note": self._note,
        }
        if calibration is not None:
            head |= {
                "mm_per_px_x": calibration.mm_per_px[0],
                "mm_per_px_y": calibration.mm_per_px[1],
                "calibration": str(calibration.origin),
            }
        rows = [
            head | {"plugin": plugin} | row_of(result)
            for plugin in sorted(line.outputs)
            for result in line.outputs[plugin]
        ]
        for row in rows or [head]:
            self._put_row([row.get(name, "") for name in COLUMNS])

    def finish(self) -> None:
        """Bring everything to the disk; what can fail, fails here."""
        self._file.finish()

    def close(self) -> None:
        """Put the file in its place."""
        self._file.commit()

    def discard(self) -> None:
        """Give up: leave no file behind."""
        self._file.discard()

    def _put_row(self, values: Sequence[Any]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerow(["" if value is None else value for value in values])
        self._file.write(text.getvalue())


def row_of(result: Result) -> dict[str, Any]:
    """Return the columns of one result; what it does not know is left empty."""
    row: dict[str, Any] = {"type": result.type, "label": result.label, "reason": result.reason}
    match result:
        case Point():
            row |= {"score": result.score} | _pair("tip", result.point_px)
        case Line():
            row |= {"score": result.score, "angle_deg": result.angle_deg}
            row |= _pair("tip", result.tip_px) | _pair("entry", result.entry_px)
        case Detection():
            row |= {"score": result.score, "radius_px": result.radius90_px} | _pair("tip", result.tip_px)
            row |= _box(result.box)
        case MaskResult():
            row |= {"score": result.score}
            if result.mask is not None:
                height, width = result.mask.shape
                row |= _box((*result.origin_px, width, height)) | {"area_px": int(result.mask.sum())}
        case ClassResult():
            value = {True: "yes", False: "no", None: "no answer"}[result.value]
            row |= {"value": value, "score": result.probability}
        case HeatMap():
            row |= _box(result.box_px)
        case Measure():
            row |= {"value": result.value, "unit": result.unit}
    return row


def _pair(name: str, point_px: tuple[float, float] | None) -> dict[str, Any]:
    return {} if point_px is None else {f"{name}_x_px": point_px[0], f"{name}_y_px": point_px[1]}


def _box(box: Sequence[float] | None) -> dict[str, Any]:
    if box is None:
        return {}
    return dict(zip(("box_x_px", "box_y_px", "box_w_px", "box_h_px"), box, strict=True))
