"""What a plugin's results must be: typed, finite, inside the picture or lost with a reason, and as declared."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np

from puncta.core.flags import Flag
from puncta.core.frame import Frame
from puncta.core.results import ClassResult, Detection, HeatMap, Line, MaskResult, Measure, Point, Result
from puncta.sdk.manifest import PluginManifest
from puncta.sdk.plugin import StepResult

ROUNDING_PX = 1e-6
"""A point on the edge may lie this far [px] beyond it by rounding alone."""

MOST_HEAT_CELLS = 64
"""Cells along one side of a heat map; finer ones would bloat the files without showing more."""

_TYPES = (Point, Line, Detection, MaskResult, ClassResult, HeatMap, Measure)


def find_result_faults(step: Any, frame: Frame, manifest: PluginManifest | None = None) -> list[str]:
    """Return one phrase for each thing that is wrong with what `step` returned for a frame.

    Without a manifest any label is taken.
    """
    if not isinstance(step, StepResult):
        return [f"step returns {type(step).__name__}, not a StepResult"]
    faults: list[str] = []
    if not isinstance(step.results, tuple):
        faults.append(f"StepResult.results is a {type(step.results).__name__}, not a tuple")
    if not isinstance(step.flags, frozenset) or not all(isinstance(f, Flag) for f in step.flags):
        faults.append("StepResult.flags must be a frozenset of puncta.core.flags.Flag")
    declared = None if manifest is None else {(e.type, e.label) for e in manifest.results}
    for result in step.results if isinstance(step.results, tuple | list) else ():
        if not isinstance(result, _TYPES):
            faults.append(f"a result is a {type(result).__name__}; use the types of puncta.core.results")
            continue
        name = f'{result.type} "{result.label}"'
        if declared is not None and (result.type, result.label) not in declared:
            faults.append(f"{name} is not declared under `results` in the manifest")
        faults += [f"{name}: {fault}" for fault in _faults_of(result, frame)]
    return faults


def _faults_of(result: Result, frame: Frame) -> list[str]:
    faults: list[str] = []
    if not isinstance(result, HeatMap | Measure):
        share = result.probability if isinstance(result, ClassResult) else result.score
        word = "probability" if isinstance(result, ClassResult) else "score"
        if not _is_number(share) or not 0.0 <= float(share) <= 1.0:
            faults.append(f"its {word} is {share}, not a number from 0 to 1")
    if _is_lost(result):
        if not result.reason:
            faults.append("it is lost without a reason; say in `reason` why there is nothing")
        return faults
    match result:
        case Point():
            faults += _point_faults("point_px", result.point_px, frame)
        case Line():
            faults += _point_faults("tip_px", result.tip_px, frame)
            faults += _point_faults("entry_px", result.entry_px, frame)
            faults += _finite_faults(result, ("angle_deg", "sigma_deg"))
        case Detection():
            faults += _box_faults(result.box, frame)
            if result.tip_px is not None:
                faults += _point_faults("tip_px", result.tip_px, frame)
            faults += _finite_faults(result, ("radius90_px",))
        case MaskResult():
            faults += _mask_faults(result, frame)
        case ClassResult():
            if not isinstance(result.value, bool):
                faults.append("its value must be True, False, or None to abstain")
        case HeatMap():
            faults += _heat_faults(result, frame)
        case Measure():
            faults += _finite_faults(result, ("value", "doubt"))
            if not result.unit:
                faults.append("it has no unit")
    return faults


def _is_lost(result: Result) -> bool:
    match result:
        case Point():
            return result.point_px is None
        case Line():
            return result.tip_px is None or result.entry_px is None
        case Detection():
            return result.box is None
        case MaskResult():
            return result.mask is None
        case HeatMap():
            return result.values is None
        case ClassResult() | Measure():
            return result.value is None


def _is_number(value: Any) -> bool:
    plain = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return plain and math.isfinite(value)


def _finite_faults(result: Result, names: tuple[str, ...]) -> list[str]:
    values = {name: getattr(result, name) for name in names}
    return [f"its {n} is {v}, not a finite number" for n, v in values.items() if v is not None and not _is_number(v)]


def _point_faults(name: str, point: Any, frame: Frame) -> list[str]:
    if not isinstance(point, tuple) or len(point) != 2 or not all(_is_number(v) for v in point):
        return [f"{name} is {point!r}, not a tuple of two finite numbers"]
    width, height = frame.geometry.width_px, frame.geometry.height_px
    low, right, bottom = -0.5 - ROUNDING_PX, width - 0.5 + ROUNDING_PX, height - 0.5 + ROUNDING_PX
    if not (low <= point[0] <= right and low <= point[1] <= bottom):
        return [
            f"{name} ({point[0]:.1f}, {point[1]:.1f}) lies outside the picture of {width} x {height} px; "
            "results are in pixels of the source picture"
        ]
    return []


def _box_faults(box: Any, frame: Frame) -> list[str]:
    if not isinstance(box, tuple) or len(box) != 4 or not all(_is_number(v) for v in box):
        return [f"its box is {box!r}, not a tuple of four finite numbers"]
    if box[2] <= 0 or box[3] <= 0:
        return [f"its box is {box[2]:.1f} x {box[3]:.1f} px large; both must be more than 0"]
    # A box round a tip near the edge may reach over it; its centre may not.
    return _point_faults("the centre of its box", (box[0] + box[2] / 2, box[1] + box[3] / 2), frame)


def _mask_faults(result: MaskResult, frame: Frame) -> list[str]:
    mask = result.mask
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.ndim != 2:
        return ["its mask must be an array of bool with two dimensions"]
    origin = result.origin_px
    if not isinstance(origin, tuple) or len(origin) != 2 or not all(isinstance(v, int | np.integer) for v in origin):
        return [f"its origin_px is {origin!r}, not a tuple of two whole numbers"]
    right, bottom = origin[0] + mask.shape[1], origin[1] + mask.shape[0]
    if min(origin) < 0 or right > frame.geometry.width_px or bottom > frame.geometry.height_px:
        return [f"its mask reaches outside the picture ({origin[0]}, {origin[1]} to {right}, {bottom})"]
    return []


def _heat_faults(result: HeatMap, frame: Frame) -> list[str]:
    values = result.values
    if not isinstance(values, np.ndarray) or values.dtype != np.float32 or values.ndim != 2 or not values.size:
        return ["its values must be an array of float32 with two dimensions"]
    if max(values.shape) > MOST_HEAT_CELLS:
        return [f"it has {values.shape[0]} x {values.shape[1]} cells; {MOST_HEAT_CELLS} a side is the most"]
    if not (np.isfinite(values).all() and values.min() >= 0.0 and values.max() <= 1.0):
        return ["its values must be numbers from 0 to 1"]
    return _box_faults(result.box_px, frame)


def same_result(a: Any, b: Any) -> bool:
    """Tell whether what `step` returned twice is equal to the last bit; what is no StepResult is a fault of its own."""
    if not isinstance(a, StepResult) or not isinstance(b, StepResult):
        return type(a) is type(b)
    if a.flags != b.flags or len(a.results) != len(b.results):
        return False
    return all(_same(x, y) for x, y in zip(a.results, b.results))


def _same(a: Any, b: Any) -> bool:
    if type(a) is not type(b) or not isinstance(a, _TYPES):
        return type(a) is type(b)
    for item in fields(a):
        x, y = getattr(a, item.name), getattr(b, item.name)
        if isinstance(x, np.ndarray) or isinstance(y, np.ndarray):
            if not (isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and np.array_equal(x, y)):
                return False
        elif x != y and repr(x) != repr(y):  # NaN is its own fault, not a difference
            return False
    return True
