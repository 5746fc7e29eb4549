"""Two analyses of one recording side by side: where they differ, frame by frame, and in a small table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.core.findings import finding_name
from puncta.core.results import ClassResult, Detection, MaskResult
from puncta.formats.atomic import write_text_atomic
from puncta.formats.results_lines import ResultLine
from puncta.formats.session import calibration_from_json, open_session

Said = TypeVar("Said", Detection, MaskResult, ClassResult)
SpacingAt = Callable[[int], tuple[float, float] | None]
"""Millimetres per pixel (x, y) of a frame, or None where they are not known."""
ANALYSES = "analyses"
"""Folder inside a session that keeps later analyses beside the recorded one."""


@dataclass(frozen=True, slots=True)
class FrameDifference:
    """What two analyses say of one thing on one frame.

    Attributes
    ----------
    what : str
        "tip", "mask" or the name of a flag.
    label : str
    first, second : str
        "found" or "lost" of a tip or mask; "yes", "no" or "no answer" of a flag; "" where nothing was said.
    distance_px, distance_mm : float or None
        Between the two tips [px], [mm].
    iou : float or None
        Of the two masks.
    """

    index: int
    pts_ns: int
    what: str
    label: str
    first: str
    second: str
    distance_px: float | None = None
    distance_mm: float | None = None
    iou: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences of two analyses.

    Attributes
    ----------
    only_first, only_second : int
        Frames that one of them alone has a line for.
    """

    rows: tuple[FrameDifference, ...]
    frames: int
    only_first: int = 0
    only_second: int = 0
    names: tuple[str, str] = field(default=("first", "second"))


def compare_results(
    first: Mapping[int, ResultLine], second: Mapping[int, ResultLine], spacing_at: SpacingAt = lambda _index: None
) -> Comparison:
    """Compare two analyses of the same frames.

    Raises
    ------
    UserError
        They are not of the same pictures, or have no frame in common.
    """
    both = sorted(first.keys() & second.keys())
    if not both:
        raise UserError("The two analyses have no frame in common.")
    rows: list[FrameDifference] = []
    for index in both:
        a, b = first[index], second[index]
        if a.key.sha256 != b.key.sha256:
            raise UserError(f"The two analyses are not of the same pictures: frame {index} differs.")
        rows += _rows(a, b, spacing_at(index))
    return Comparison(tuple(rows), len(both), len(first.keys() - second.keys()), len(second.keys() - first.keys()))


def _rows(a: ResultLine, b: ResultLine, spacing: tuple[float, float] | None) -> Iterator[FrameDifference]:
    index, pts_ns = a.key.index, a.key.pts_ns
    tips_a, tips_b = _by_label(a, Detection), _by_label(b, Detection)
    for label in sorted(tips_a.keys() | tips_b.keys()):
        one, two = tips_a.get(label), tips_b.get(label)
        px = mm = None
        if one is not None and two is not None and one.tip_px is not None and two.tip_px is not None:
            off = np.subtract(one.tip_px, two.tip_px)
            px = float(np.hypot(*off))
            mm = float(np.hypot(*(off * spacing))) if spacing is not None else None
        yield FrameDifference(index, pts_ns, "tip", label, _tip_word(one), _tip_word(two), px, mm)
    masks_a, masks_b = _by_label(a, MaskResult), _by_label(b, MaskResult)
    for label in sorted(masks_a.keys() | masks_b.keys()):
        one_mask, two_mask = masks_a.get(label), masks_b.get(label)
        both = one_mask is not None and two_mask is not None
        iou = mask_iou(one_mask, two_mask) if both and one_mask and two_mask else None
        yield FrameDifference(index, pts_ns, "mask", label, _mask_word(one_mask), _mask_word(two_mask), iou=iou)
    flags_a, flags_b = _by_label(a, ClassResult), _by_label(b, ClassResult)
    for label in sorted(flags_a.keys() | flags_b.keys()):
        yield FrameDifference(
            index, pts_ns, "flag", label, _flag_word(flags_a.get(label)), _flag_word(flags_b.get(label))
        )


def _by_label(line: ResultLine, kind: type[Said]) -> dict[str, Said]:
    """Results of a kind that are of this very frame, by label; the first plugin in the alphabet that says one."""
    found: dict[str, Said] = {}
    for plugin in sorted(line.outputs):
        if plugin in line.carried:
            continue
        for result in line.outputs[plugin]:
            if isinstance(result, kind):
                found.setdefault(result.label, result)
    return found


def _tip_word(tip: Detection | None) -> str:
    return "" if tip is None else "found" if tip.tip_px is not None else "lost"


def _mask_word(mask: MaskResult | None) -> str:
    return "" if mask is None else "found" if mask.mask is not None else "lost"


def _flag_word(flag: ClassResult | None) -> str:
    return "" if flag is None else {True: "yes", False: "no", None: "no answer"}[flag.value]


def mask_iou(a: MaskResult, b: MaskResult) -> float | None:
    """Overlap of two masks, each in its own part of the picture; None where one is lost."""
    if a.mask is None or b.mask is None:
        return None
    x0 = min(a.origin_px[0], b.origin_px[0])
    y0 = min(a.origin_px[1], b.origin_px[1])
    x1 = max(a.origin_px[0] + a.mask.shape[1], b.origin_px[0] + b.mask.shape[1])
    y1 = max(a.origin_px[1] + a.mask.shape[0], b.origin_px[1] + b.mask.shape[0])
    one, two = _placed(a, (x0, y0, x1, y1)), _placed(b, (x0, y0, x1, y1))
    union = int((one | two).sum())
    return float((one & two).sum() / union) if union else None


def _placed(result: MaskResult, bounds: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    x0, y0, x1, y1 = bounds
    canvas = np.zeros((y1 - y0, x1 - x0), bool)
    if result.mask is not None:
        x, y = result.origin_px[0] - x0, result.origin_px[1] - y0
        canvas[y : y + result.mask.shape[0], x : x + result.mask.shape[1]] = result.mask
    return canvas


# --- what is shown of it ----------------------------------------------------------------------------------------------


def table_of(comparison: Comparison) -> list[str]:
    """The small table, one line each, for a terminal or a panel."""
    first, second = comparison.names
    lines = [f"{first} against {second}: {comparison.frames} frames"]
    groups = sorted({(row.what, row.label) for row in comparison.rows})
    for what, label in groups:
        rows = [row for row in comparison.rows if (row.what, row.label) == (what, label)]
        lines.append("  " + (_flag_line(rows, label) if what == "flag" else _found_line(rows, what, label)))
    if not groups:
        lines.append("  Neither of them says anything of these frames.")
    for count, name in ((comparison.only_first, first), (comparison.only_second, second)):
        if count:
            lines.append(f"  {count} frames stand in {name} alone and are not compared")
    return lines


def _found_line(rows: Sequence[FrameDifference], what: str, label: str) -> str:
    both = sum(row.first == "found" and row.second == "found" for row in rows)
    only_a = sum(row.first == "found" and row.second != "found" for row in rows)
    only_b = sum(row.second == "found" and row.first != "found" for row in rows)
    text = (
        f"{what} {label}: both {both}, only the first {only_a}, only the second {only_b}, "
        f"neither {len(rows) - both - only_a - only_b}"
    )
    if what == "mask":
        overlaps = [row.iou for row in rows if row.iou is not None]
        return text + (f"; IoU median {np.median(overlaps):.3f}, least {min(overlaps):.3f}" if overlaps else "")
    apart = [row.distance_px for row in rows if row.distance_px is not None]
    if not apart:
        return text
    text += f"; apart median {np.median(apart):.1f} px, p95 {np.percentile(apart, 95):.1f}, most {max(apart):.1f} px"
    in_mm = [row.distance_mm for row in rows if row.distance_mm is not None]
    if in_mm and len(in_mm) == len(apart):
        text += f" (median {np.median(in_mm):.2f} mm, p95 {np.percentile(in_mm, 95):.2f}, most {max(in_mm):.2f} mm)"
    return text


def _flag_line(rows: Sequence[FrameDifference], label: str) -> str:
    answered = [row for row in rows if row.first in ("yes", "no") and row.second in ("yes", "no")]
    same = sum(row.first == row.second for row in answered)
    return (
        f"{finding_name(label)}: same answer on {same}, another on {len(answered) - same}, "
        f"one of them gives none on {len(rows) - len(answered)}"
    )


COLUMNS = ("frame", "time_s", "what", "label", "first", "second", "distance_px", "distance_mm", "iou", "note")


def write_differences(path: Path, comparison: Comparison, *, simulated: bool) -> None:
    """Write one row for each thing on each frame as CSV."""
    note = ("simulated; " if simulated else "") + "simulation and training only, not for clinical use"
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in comparison.rows:
        figures = ["" if v is None else f"{v:.4f}" for v in (row.distance_px, row.distance_mm, row.iou)]
        what = (row.index, f"{row.pts_ns / 1e9:.9f}", row.what, row.label, row.first, row.second)
        table.writerow((*what, *figures, note))
    write_text_atomic(path, text.getvalue())


def spacing_of_session(folder: Path) -> SpacingAt:
    """Millimetres per pixel of each frame of a session, where its calibration changed on the way too."""
    manifest = open_session(folder, repair=False).manifest
    steps = [(-1, calibration_from_json(manifest["calibration"]))]
    steps += [(e["from_index"], calibration_from_json(e["calibration"])) for e in manifest.get("calibrations", ())]

    def spacing(index: int) -> tuple[float, float] | None:
        calibration = next(known for begin, known in reversed(steps) if begin <= index)
        return None if calibration is None else calibration.mm_per_px

    return spacing


def next_analysis_file(folder: Path, plugins: Sequence[str], models: Mapping[str, str]) -> Path:
    """A new file for another analysis of a session; the recorded one and earlier ones stay as they are.

    Raises
    ------
    UserError
        The session's folder cannot be written.
    """
    place = folder / ANALYSES
    try:
        place.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be written; name a file with --results.") from error
    name = "+".join(f"{plugin}-{models[plugin]}" if plugin in models else plugin for plugin in plugins)
    number = 2 + sum(1 for _ in place.glob("*.jsonl"))
    while any(place.glob(f"{number:02d}-*.jsonl")):
        number += 1
    safe = "".join(c if c.isalnum() or c in "-._+" else "_" for c in name)[:80]
    return place / f"{number:02d}-{safe}.jsonl"
