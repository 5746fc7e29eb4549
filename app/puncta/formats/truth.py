"""Truth of a simulated case: truth.json says how it was made, truth.jsonl holds one line a frame.

Larger maps stand beside them, one PNG a frame (`puncta.formats.truth_pictures`); the lines name and hash them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import BugError, UserError
from puncta.core.frame import Calibration, CalibrationOrigin, FrameKey
from puncta.core.results import Box
from puncta.formats import schemas
from puncta.formats.atomic import AtomicFile, plain_os_error
from puncta.formats.dataset_values import Visibility
from puncta.formats.jsontext import PX_DECIMALS, json_line, read_json, rounded, write_json
from puncta.formats.results_lines import read_json_lines
from puncta.formats.rle import mask_from_rle, rle_from_mask

HEAD_FILE = "truth.json"
LINES_FILE = "truth.jsonl"
VERSION = 1
_MASKS = ("mask", "visible_mask")
CONTENTS = ("masks", "labels", "flow")
"""What a truth folder may hold beyond its lines."""

PointPx = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class NeedleTruth:
    """The true needle of one frame; None where a figure means nothing.

    Attributes
    ----------
    visibility : Visibility
        How the tip shows; ABSENT also while it is outside the picture.
    tip_px, entry_px : tuple of float or None
        True tip, and where the axis enters the region [px].
    tip_box, needle_box : tuple of float or None
        [x0, y0, w, h] [px]: around the tip, and hull of the visible shaft.
    shaft_polygon : tuple of points
        Outline of the visible shaft [px].
    visible_px, visible_end_px
        Length of the shaft in the image plane [px] and its end nearest the tip [px].
    tip_mm : tuple of float or None
        (x from the middle of the probe's face, z below it) [mm].
    depth_mm, in_plane_offset_mm, gauge_mm : float or None
        Depth below the region's top edge, signed distance from the image plane, outer diameter [mm].
    angle_deg : float or None
        Axis at the tip to the picture's horizontal [deg], 0..90.
    speed_mm_s : float or None
        Along the axis [mm/s], positive inwards.
    mask, visible_mask : ndarray of bool, shape (height, width), or None
        Physical shaft, and shaft where the beam weight is above 0.3.
    plane_angle_deg : float or None
        Axis at the tip to the image plane [deg], 0..90.
    crossing_px : tuple of float or None
        Bright dot of an out-of-plane needle, where its axis crosses the image plane [px].
    tip_tissue : str or None
        Kind of tissue that the tip lies in; None where the tip is not in the picture.
    hits : tuple of str
        Structures that must not be hit and in which the tip lies on this frame.
    """

    visibility: Visibility
    tip_px: PointPx | None
    entry_px: PointPx | None
    tip_box: Box | None
    needle_box: Box | None
    shaft_polygon: tuple[PointPx, ...] = ()
    visible_px: float = 0.0
    visible_end_px: PointPx | None = None
    tip_mm: tuple[float, float] | None = None
    depth_mm: float | None = None
    in_plane_offset_mm: float | None = None
    angle_deg: float | None = None
    side: str | None = None
    gauge_mm: float | None = None
    speed_mm_s: float | None = None
    tip_cnr: float | None = None
    shaft_cnr: float | None = None
    mask: NDArray[np.bool_] | None = None
    visible_mask: NDArray[np.bool_] | None = None
    plane_angle_deg: float | None = None
    crossing_px: PointPx | None = None
    tip_tissue: str | None = None
    hits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetTruth:
    """The needle's target on one frame.

    Attributes
    ----------
    name : str
    target_px : tuple of float
        Its centre, projected straight onto the picture [px].
    target_offset_mm : float
        Signed distance of its centre from the image plane [mm].
    distance_to_target_mm : float or None
        From the tip to its centre in space [mm]; None without a needle under the skin.
    """

    name: str
    target_px: PointPx
    target_offset_mm: float
    distance_to_target_mm: float | None = None


@dataclass(frozen=True, slots=True)
class MapFile:
    """A PNG of the truth folder: relative path with forward slashes, and hash of the file's bytes."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class TruthLine:
    """Truth of one frame. ``flags``: 0 absent, 1 present, a higher number a grade, None not assessed.

    ``labels`` and ``flow`` name the frame's maps; flow leads to the next frame, so the last one has none.
    """

    key: FrameKey
    needle: NeedleTruth | None
    flags: Mapping[str, int | None] = field(default_factory=dict)
    difficulty: Mapping[str, Any] | None = None
    structures: Mapping[str, NDArray[np.bool_] | None] = field(default_factory=dict)
    target: TargetTruth | None = None
    labels: MapFile | None = None
    flow: MapFile | None = None


@dataclass(frozen=True, slots=True)
class TruthHead:
    """How a case was simulated; ``region`` [x0, y0, w, h] [px], ``physics`` with units in the names.

    ``contents`` is what of `CONTENTS` the folder holds; ``tissues`` names the numbers of the label maps.
    """

    procedure: str
    machine: str
    seed: int
    simulator: str
    stream: str
    width: int
    height: int
    region: Box | None
    calibration: Calibration | None
    label_set: str
    physics: Mapping[str, Any] = field(default_factory=dict)
    contents: tuple[str, ...] = ()
    tissues: Mapping[int, str] = field(default_factory=dict)


def _tidy(value: Any, what: str) -> Any:
    if isinstance(value, float | np.floating):
        return rounded(float(value), PX_DECIMALS, what)
    if isinstance(value, list | tuple):
        return [_tidy(v, what) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _tidy(v, f"{what}.{k}") for k, v in value.items()}
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    return value


def json_from_truth_line(line: TruthLine) -> dict[str, Any]:
    """Return a line as plain JSON values; raises BugError on NaN or a key without hash."""
    if line.key.sha256 is None:
        raise BugError(f"frame {line.key.index} has no hash; truth stores it")
    needle: dict[str, Any] | None = None
    if line.needle is not None:
        needle = {}
        for name in (f.name for f in fields(NeedleTruth)):
            value = getattr(line.needle, name)
            if name in _MASKS:
                if value is not None:
                    needle[name] = rle_from_mask(value)
            else:
                needle[name] = str(value) if name == "visibility" else _tidy(value, f"needle.{name}")
    document = {
        "key": {"index": line.key.index, "pts_ns": line.key.pts_ns, "sha256": line.key.sha256},
        "needle": needle,
        "flags": dict(line.flags),
        "difficulty": None if line.difficulty is None else _tidy(line.difficulty, "difficulty"),
    }
    if line.structures:
        document["structures"] = {
            name: None if mask is None else rle_from_mask(mask) for name, mask in line.structures.items()
        }
    if line.target is not None:
        document["target"] = _tidy(asdict(line.target), "target")
    for name, file in (("labels", line.labels), ("flow", line.flow)):
        if file is not None:
            document[name] = asdict(file)
    return document


def truth_line_from_json(document: Mapping[str, Any], stream: str = "") -> TruthLine:
    """Return the typed line of a checked JSON object (see schema "truth-line")."""
    key = document["key"]
    needle = None
    if document["needle"] is not None:
        members: dict[str, Any] = {}
        for name, value in document["needle"].items():
            if name in _MASKS and value is not None:
                members[name] = mask_from_rle(value)
            elif name == "shaft_polygon":
                members[name] = tuple((float(x), float(y)) for x, y in value)
            elif name == "visibility":
                members[name] = Visibility(value)
            else:
                members[name] = tuple(value) if isinstance(value, list) else value
        needle = NeedleTruth(**members)
    structures = document.get("structures", {})
    target = document.get("target")
    if target is not None:
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in target.items()}
        target = TargetTruth(**values)
    labels, flow = (MapFile(**document[name]) if document.get(name) else None for name in ("labels", "flow"))
    return TruthLine(
        FrameKey(stream, key["index"], key["pts_ns"], key["sha256"]), needle, document["flags"], document["difficulty"],
        {name: None if rle is None else mask_from_rle(rle) for name, rle in structures.items()}, target, labels, flow,
    )


def json_from_calibration(calibration: Calibration | None) -> dict[str, Any] | None:
    """Return a calibration as files store it; None where there is none or its origin is NONE."""
    if calibration is None or calibration.origin is CalibrationOrigin.NONE:
        return None
    return {"mm_per_px": [float(v) for v in calibration.mm_per_px], "origin": str(calibration.origin),
            "note": calibration.note}


def calibration_from_json(document: Mapping[str, Any] | None) -> Calibration | None:
    """Return the calibration of a checked JSON object."""
    if document is None:
        return None
    x, y = document["mm_per_px"]
    return Calibration((float(x), float(y)), CalibrationOrigin(document["origin"]), document.get("note", ""))


def write_truth(folder: Path, head: TruthHead, lines: Iterable[TruthLine]) -> None:
    """Write a truth folder: the lines, then the head that counts and hashes them.

    Raises
    ------
    UserError
        The folder cannot be made or written.
    BugError
        A figure is NaN.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise plain_os_error(error, folder, "create") from error
    digest = hashlib.sha256()
    count = 0
    with AtomicFile(folder / LINES_FILE) as file:
        for line in lines:
            text = json_line(json_from_truth_line(line)) + "\n"
            digest.update(text.encode())
            file.write(text)
            count += 1
    document = {
        "format": "puncta-truth", "version": VERSION, "simulated": True,
        "procedure": head.procedure, "machine": head.machine, "seed": head.seed, "simulator": head.simulator,
        "stream": head.stream, "frames": count, "width": head.width, "height": head.height,
        "region": _tidy(head.region, "region"), "calibration": json_from_calibration(head.calibration),
        "label_set": head.label_set, "lines": LINES_FILE, "lines_sha256": digest.hexdigest(),
        "physics": _tidy(head.physics, "physics"),
    }
    if head.contents:
        document["contents"] = list(head.contents)
    if head.tissues:
        document["tissues"] = {str(number): name for number, name in head.tissues.items()}
    write_json(folder / HEAD_FILE, document)


def read_truth_head(folder: Path) -> TruthHead:
    """Read and check truth.json; raises UserError."""
    path = Path(folder) / HEAD_FILE
    d = read_json(path)
    problems = schemas.check("truth", d)
    if problems:
        raise UserError(f"{path}: {problems[0]}.")
    region = None if d["region"] is None else tuple(float(v) for v in d["region"])
    return TruthHead(
        d["procedure"], d["machine"], d["seed"], d["simulator"], d["stream"], d["width"], d["height"],
        region,  # type: ignore[arg-type]
        calibration_from_json(d["calibration"]), d["label_set"], d.get("physics", {}), tuple(d.get("contents", ())),
        {int(number): name for number, name in d.get("tissues", {}).items()},
    )


def read_truth_lines(folder: Path) -> Iterator[TruthLine]:
    """Yield the checked lines of a truth folder; raises UserError."""
    stream = read_truth_head(folder).stream
    path = Path(folder) / LINES_FILE
    for number, document in read_json_lines(path):
        problems = schemas.check("truth-line", document)
        if problems:
            raise UserError(f"{path}, line {number}: {problems[0]}.")
        yield truth_line_from_json(document, stream)
