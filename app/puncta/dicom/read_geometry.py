"""Regions, millimetres and times that a DICOM header states; what does not hold up is left out with a plain note."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from puncta.core.frame import Calibration, CalibrationOrigin, UltrasoundRegion

_CENTIMETRES = 3
_TWO_D, _M_MODE, _SPECTRAL = 1, 2, 3
_TISSUE = 1
_SANE_MM_PER_PX = (0.002, 2.0)
_SLACK_PX = 1
NOMINAL_INTERVAL_NS = 40_000_000


@dataclass(frozen=True, slots=True)
class StatedRegions:
    """Regions of a header that can be used.

    Attributes
    ----------
    regions : tuple of UltrasoundRegion
        Two-dimensional tissue first, the largest first; then motion and Doppler strips.
    has_picture : bool
        True where the first one is a two-dimensional picture.
    notes : tuple of str
    """

    regions: tuple[UltrasoundRegion, ...]
    has_picture: bool
    notes: tuple[str, ...]


def read_regions(header: Dataset, width_px: int, height_px: int) -> StatedRegions:
    """Read the Sequence of Ultrasound Regions (PS3.3 C.8.5.5), checked against the picture.

    A region whose last column or row is one too far is trimmed, since many machines state the exclusive end. A region
    that lies outside the picture by more was made for a picture of another size: neither its place nor its
    millimetres hold here.
    """
    found: list[tuple[tuple[int, int, int], UltrasoundRegion]] = []
    notes: list[str] = []
    for number, item in enumerate(_items(header), start=1):
        kind = _integer(item, "RegionSpatialFormat")
        if kind not in (_TWO_D, _M_MODE, _SPECTRAL):
            continue
        corners = [_integer(item, f"RegionLocation{name}") for name in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
        if any(c is None for c in corners):
            notes.append(f"region {number} of the file has no usable corners, so it is left out")
            continue
        x0, y0, x1, y1 = (int(c) for c in corners if c is not None)
        if not (0 <= x0 < x1 < width_px + _SLACK_PX and 0 <= y0 < y1 < height_px + _SLACK_PX):
            notes.append(
                f"region {number} of the file lies outside the {width_px} x {height_px} picture, "
                "so neither its place nor its millimetres are used"
            )
            continue
        box = (x0, y0, min(x1, width_px - 1) - x0 + 1, min(y1, height_px - 1) - y0 + 1)
        calibration = _region_calibration(item, number, notes) if kind == _TWO_D else None
        tissue = _integer(item, "RegionDataType") == _TISSUE
        rank = (0 if kind == _TWO_D else 1, 0 if tissue else 1, -box[2] * box[3])
        found.append((rank, UltrasoundRegion(box, "dicom", calibration)))
    found.sort(key=lambda entry: entry[0])
    has_picture = bool(found) and found[0][0][0] == 0
    return StatedRegions(tuple(region for _, region in found), has_picture, tuple(notes))


def read_spacing(header: Dataset) -> Calibration | None:
    """Return the pixel spacing of the whole picture where it is stated and sane; never beside ultrasound regions."""
    if next(iter(_items(header)), None) is not None:
        return None
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        value = header.get(keyword)
        if not isinstance(value, list | tuple | MultiValue) or len(value) != 2:
            continue
        rows, columns = (_number(v) for v in value)
        if rows is None or columns is None or not (_is_sane(rows) and _is_sane(columns)):
            continue
        if keyword == "ImagerPixelSpacing":
            return Calibration((columns, rows), CalibrationOrigin.FILE, "DICOM imager pixel spacing")
        return Calibration((columns, rows), CalibrationOrigin.FILE, "DICOM pixel spacing")
    return None


def read_times_ns(header: Dataset, count: int, stated: int) -> tuple[NDArray[np.int64], str]:
    """Return the time of each frame [ns] and one phrase that says where it comes from.

    Frame Time Vector, Frame Time, then the two display rates; 25 frames/s where nothing is stated. PS3.3 C.7.6.5.
    """
    vector = header.get("FrameTimeVector")
    if isinstance(vector, list | tuple | MultiValue) and len(vector) == stated:
        steps = [_number(v) for v in vector]
        known = [s for s in steps if s is not None and s >= 0]
        if len(known) == stated and sum(known) > 0:
            # The vector's first entry is the time before the first frame, 0 by the standard.
            times = [round(1e6 * t) for t in np.cumsum([0.0, *known[1:]])]
            return np.array(times[:count], np.int64), "frame time vector"
    for keyword, phrase in (("FrameTime", "frame time"), ("ActualFrameDuration", "frame duration")):
        step = _number(header.get(keyword))
        if step is not None and 0 < step < 60_000:
            return _even(count, step * 1e6), phrase
    for keyword, phrase in (("RecommendedDisplayFrameRate", "display rate"), ("CineRate", "cine rate")):
        rate = _number(header.get(keyword))
        if rate is not None and 0 < rate <= 10_000:
            return _even(count, 1e9 / rate), phrase
    return _even(count, NOMINAL_INTERVAL_NS), "rate not stated, played at 25 frames/s"


def _even(count: int, step_ns: float) -> NDArray[np.int64]:
    return np.array([round(i * step_ns) for i in range(count)], dtype=np.int64)


def _region_calibration(item: Dataset, number: int, notes: list[str]) -> Calibration | None:
    units = (_integer(item, "PhysicalUnitsXDirection"), _integer(item, "PhysicalUnitsYDirection"))
    deltas = (_number(item.get("PhysicalDeltaX")), _number(item.get("PhysicalDeltaY")))
    if units != (_CENTIMETRES, _CENTIMETRES):
        notes.append(f"region {number} of the file is not measured in centimetres, so it has no millimetres")
        return None
    if deltas[0] is None or deltas[1] is None:
        notes.append(f"region {number} of the file states no pixel size, so it has no millimetres")
        return None
    # A negative delta only says which way the axis counts.
    x, y = abs(deltas[0]) * 10.0, abs(deltas[1]) * 10.0
    if not (_is_sane(x) and _is_sane(y)):
        notes.append(f"region {number} of the file states an impossible pixel size, so it has no millimetres")
        return None
    return Calibration((x, y), CalibrationOrigin.REGION, f"DICOM region {number}")


def _is_sane(mm_per_px: float) -> bool:
    return _SANE_MM_PER_PX[0] <= mm_per_px <= _SANE_MM_PER_PX[1]


def _items(header: Dataset) -> Iterable[Dataset]:
    sequence = header.get("SequenceOfUltrasoundRegions")
    return [item for item in sequence if isinstance(item, Dataset)] if sequence else []


def _integer(item: Dataset, keyword: str) -> int | None:
    number = _number(item.get(keyword))
    return None if number is None else int(number)


def _number(value: object) -> float | None:
    if value is None or isinstance(value, list | tuple | MultiValue | bytes):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
