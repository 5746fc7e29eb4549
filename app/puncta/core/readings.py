"""Figures that stand beside the picture, each with its doubt and what it is measured from."""

from __future__ import annotations

from dataclasses import dataclass

from puncta.core.aiming import aim_at, circle_doubt, distance_to, ray_through, unit_scale
from puncta.core.findings import measure_basis, measure_name
from puncta.core.frame import UltrasoundRegion
from puncta.core.geometry import PointPx, depth_mm
from puncta.core.results import Detection, Line, Measure, PluginOutput


@dataclass(frozen=True, slots=True)
class ReadOut:
    """A figure beside the picture, with its doubt: "Tip depth 13.9 +- 1.8 mm", from the skin line."""

    name: str
    value: float | None
    doubt: float | None
    unit: str
    basis: str
    words: str = ""
    """Said instead of a figure."""

    def text(self) -> str:
        """Value with its doubt and unit, "15 ± 2 mm"; a dash where nothing is known."""
        if self.words:
            return self.words
        if self.value is None:
            return "–"
        if self.unit == "°":
            figure = f"{self.value:.0f}"
            return f"{figure} ± {max(1.0, self.doubt):.0f}°" if self.doubt else f"{figure}°"
        figure = f"{self.value:.0f}" if self.unit == "px" or (self.doubt or 0) >= 1.0 else f"{self.value:.1f}"
        if self.doubt:
            doubt = f"{self.doubt:.0f}" if self.unit == "px" or self.doubt >= 1.0 else f"{self.doubt:.1f}"
            return f"{figure} ± {doubt} {self.unit}"
        return f"{figure} {self.unit}"


AXIS_BASIS = "projected axis to target"
PASSED_BASIS = "the target lies behind the tip"


def read_outs_of(output: PluginOutput, region: UltrasoundRegion, target_px: PointPx | None) -> list[ReadOut]:
    """Return the figures of a plugin that finds a tip; dashes where the tip is lost, nothing where it finds none."""
    tip = next((r for r in output.results if isinstance(r, Detection) and r.label == "needle_tip"), None)
    if tip is None:
        return []
    line = next((r for r in output.results if isinstance(r, Line)), None)
    scale = unit_scale(region.calibration)
    unit = "mm" if region.calibration else "px"
    doubt = None if tip.radius90_px is None or tip.tip_px is None else circle_doubt(tip.radius90_px, scale)
    values = [] if target_px is None else _to_target(tip, line, region, target_px, unit, doubt)
    angle = line.angle_deg if line else None
    values.append(ReadOut("Angle", angle, line.sigma_deg if line and angle is not None else None, "°", "to horizontal"))
    depth: float | None = None
    if tip.tip_px is not None:
        depth = depth_mm(tip.tip_px, region) if region.calibration else tip.tip_px[1] - (region.box[1] - 0.5)
    values.append(
        ReadOut("Tip depth", depth, doubt if depth is not None else None, unit, "below the picture's top edge")
    )
    return values


def measures_of(output: PluginOutput) -> list[ReadOut]:
    """Return the figures that a plugin gives itself; a dash with the reason where one is not known."""
    return [
        ReadOut(measure_name(m), m.value, m.doubt, m.unit, measure_basis(m, output.results))
        for m in output.results
        if isinstance(m, Measure)
    ]


def _to_target(
    tip: Detection, line: Line | None, region: UltrasoundRegion, target_px: PointPx, unit: str, doubt: float | None
) -> list[ReadOut]:
    far = miss = miss_doubt = None
    basis = AXIS_BASIS
    if tip.tip_px is not None:
        far = distance_to(tip.tip_px, target_px, unit_scale(region.calibration))
        ray = None
        if line is not None and line.entry_px is not None and line.tip_px is not None:
            ray = ray_through(line.entry_px, line.tip_px, region.calibration, line.sigma_deg, tip.radius90_px)
        if ray is not None:
            aim = aim_at(ray, target_px)
            miss, miss_doubt = aim.miss, aim.miss_doubt if aim.miss_doubt is not None else doubt
            if aim.along < 0:
                basis = PASSED_BASIS
    return [
        ReadOut("To target", far, doubt if far is not None else None, unit, "tip to target"),
        ReadOut("Path misses by", miss, miss_doubt, unit, basis),
    ]
