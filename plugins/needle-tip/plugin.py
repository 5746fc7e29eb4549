"""Needle tip and axis on every frame: motion channels, a small network, and a filter that carries belief along."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puncta.core.flags import Flag
from puncta.core.frame import Frame, UltrasoundRegion
from puncta.core.geometry import axis_angle_deg, clip_segment, region_edges_px, tip_box_px
from puncta.core.results import Certainty, Detection, Line, PluginOutput, Result
from puncta.imaging.axis import AxisFit, line_evidence, search_axis
from puncta.imaging.filtering import TipBelief, TipFilterSettings, TipGridFilter, calibrated, doubt_cells
from puncta.imaging.heatmap import best_cell, point_from_cell, sigmoid
from puncta.imaging.motion_history import CHANNELS, MotionHistory
from puncta.imaging.preprocess import RegionMapping, resample_region
from puncta.sdk.context import PluginContext
from puncta.sdk.plugin import ResetReason, StepResult

TIP_LABEL = "needle_tip"
NEEDLE_LABEL = "needle"
FRAME_SPREAD_LEAST = 6.0
"""Spread of a region's grey levels below which there is no picture to look at (probe in air, black screen)."""
LOST_FOR_FRAMES = 50
"""A tip that was shown this many frames ago or less, and no longer is, counts as lost; after that as absent."""
CONFIRMED_CELLS = 2.5
"""A belief without a peak of this frame's map within this reach is a prediction, not a measurement."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found on one distinct frame, in the model's input pixels.

    Attributes
    ----------
    tip : tuple of float
    score : float
        Calibrated chance that the tip is where it is said to be.
    radius : float
        Radius of the circle meant to hold the tip 9 times in 10.
    predicted : bool
    axis : AxisFit or None
    """

    tip: tuple[float, float]
    score: float
    radius: float
    predicted: bool
    axis: AxisFit | None


class NeedleTip:
    """One stream's needle tip."""

    def __init__(self, context: PluginContext) -> None:
        self._model = context.open_model()
        spec: Mapping[str, Any] = self._model.spec
        self._size = int(spec["size"][0])
        self._stride = int(spec.get("stride", 4))
        if int(spec["channels"]) != len(CHANNELS):
            raise ValueError(f"the model {self._model.identity} wants {spec['channels']} channels, not {len(CHANNELS)}")
        self._input = self._model.inputs[0].name
        calibration: Mapping[str, float] = spec.get("calibration", {})
        self._presence_scale = float(calibration.get("presence_scale", 1.0))
        self._presence_shift = float(calibration.get("presence_shift", 0.0))
        self._score_scale = float(calibration.get("score_scale", 1.0))
        self._score_shift = float(calibration.get("score_shift", 0.0))
        self._radius_scale = float(calibration.get("radius_scale", 2.0))
        self._filter = TipGridFilter(TipFilterSettings(**spec.get("filter", {})))
        self._history = MotionHistory(self._size)
        self._least_score = float(context.options["least_score"])
        self._sure_score = float(context.options["sure_score"])
        self._least_axis = float(context.options["least_axis"])
        self._box: tuple[int, int, int, int] | None = None
        self._finding: Finding | None = None
        self._since_found: int | None = None

    def reset(self, reason: ResetReason) -> None:
        """Forget all frames."""
        self._forget()
        self._since_found = None

    def _forget(self) -> None:
        self._history.clear()
        self._filter.clear()
        self._finding = None

    def step(self, frame: Frame, upstream: Mapping[str, PluginOutput]) -> StepResult:
        """Find the tip on one frame."""
        region = frame.geometry.region
        if region.box != self._box:
            self.reset(ResetReason.GEOMETRY_CHANGED)
            self._box = region.box
        grey, mapping = resample_region(frame.pixels, region.box, (self._size, self._size))
        flags = {Flag.UNCALIBRATED} if region.calibration is None else set()
        if float(grey.std()) < FRAME_SPREAD_LEAST:
            self._forget()
            return self._lost("the picture is empty", 0.0, flags)
        # A frame that repeats the one before brings no news: the answer stays, and motion is not washed out.
        if self._history.push(grey) or self._finding is None:
            self._finding = self._find(grey, self._history.channels())
        return self._answer(self._finding, mapping, region, flags)

    def close(self) -> None:
        """Forget all frames."""
        self.reset(ResetReason.OPENED)

    def _find(self, grey: NDArray[np.uint8], channels: NDArray[np.float32]) -> Finding:
        outputs = self._model.run({self._input: channels[None]})
        maps = outputs["maps"][0]
        presence = float(outputs["presence"].reshape(-1)[0]) * self._presence_scale + self._presence_shift
        belief = self._filter.update(maps[0], presence)
        tip_cell, predicted = self._refine(maps, belief)
        score = calibrated(_logit(belief.score), self._score_scale, self._score_shift)
        radius = self._radius_scale * doubt_cells(belief.spread_cells, score) * self._stride
        row, column = (int(np.clip(round(v), 0, maps.shape[1] - 1)) for v in (tip_cell[1], tip_cell[0]))
        tip = point_from_cell(tip_cell, self._stride)
        axis = None
        if score >= self._least_score:
            guess = (float(maps[3, row, column]), float(maps[4, row, column]))
            axis = search_axis(line_evidence(grey, sigmoid(maps[5])), tip, guess)
        return Finding(tip, score, radius, predicted, axis)

    @staticmethod
    def _refine(maps: NDArray[np.float32], belief: TipBelief) -> tuple[tuple[float, float], bool]:
        """Take this frame's own peak where it lies by the belief, else the belief's mean."""
        row, column = best_cell(maps[0], belief.cell)
        mx, my = belief.mean_cell_xy
        x, y = column + float(maps[1, row, column]), row + float(maps[2, row, column])
        if math.hypot(x - mx, y - my) <= CONFIRMED_CELLS and float(maps[0, row, column]) > -3.0:
            return (x, y), False
        return (mx, my), True

    def _answer(
        self, found: Finding, mapping: RegionMapping, region: UltrasoundRegion, flags: set[Flag]
    ) -> StepResult:
        if found.score < self._least_score:
            return self._lost(f"no tip found above {self._least_score:g}", found.score, flags)
        x, y = (float(v) for v in mapping.image_from_model(np.array(found.tip)))
        w, h = region.box[2:]
        tip = _held_inside((x, y), region.box)
        # One circle for both directions: the mean of the two scales keeps its area.
        radius = found.radius * math.sqrt(w * h) / self._size
        sure = found.score >= self._sure_score and not found.predicted
        if not sure:
            flags.add(Flag.LOW_CONFIDENCE)
        self._since_found = 0
        detection = Detection(
            TIP_LABEL, tip_box_px(tip, region.box), tip, found.score, radius90_px=radius,
            certainty=Certainty.SURE if sure else Certainty.UNCERTAIN, predicted=found.predicted,
        )
        return StepResult((detection, self._line(found, tip, mapping, region)), frozenset(flags))

    def _line(
        self, found: Finding, tip: tuple[float, float], mapping: RegionMapping, region: UltrasoundRegion
    ) -> Result:
        axis = found.axis
        strength = min(1.0, max(0.0, axis.strength)) if axis is not None else 0.0
        if axis is None or strength < self._least_axis:
            return Line(NEEDLE_LABEL, None, None, strength, reason="too little of the shaft is visible")
        far = 4.0 * self._size
        away = mapping.image_from_model(np.array(found.tip) + far * np.array(axis.direction))
        start = mapping.image_from_model(np.array(found.tip))
        vector = away - start
        clipped = clip_segment(tip, (tip[0] + float(vector[0]), tip[1] + float(vector[1])), region.box)
        if clipped is None:
            return Line(NEEDLE_LABEL, None, None, strength, reason="the axis does not enter by the region's border")
        entry = _held_inside(clipped[1], region.box)
        return Line(
            NEEDLE_LABEL, entry, tip, strength, angle_deg=axis_angle_deg(entry, tip, region.calibration),
            sigma_deg=math.degrees(axis.sigma_rad),
        )

    def _lost(self, why: str, score: float, flags: set[Flag]) -> StepResult:
        flags = flags | {Flag.LOW_CONFIDENCE}
        if self._since_found is not None:
            self._since_found += 1
            if self._since_found <= LOST_FOR_FRAMES:
                flags.add(Flag.TRACK_LOST)
        lost = Detection(TIP_LABEL, None, None, score, certainty=Certainty.LOST, reason=why)
        return StepResult((lost, Line(NEEDLE_LABEL, None, None, 0.0, reason=why)), frozenset(flags))


def _held_inside(point_px: tuple[float, float], box: tuple[int, int, int, int]) -> tuple[float, float]:
    """Move a point onto the region's edge where it lies outside, be it by rounding alone."""
    left, top, right, bottom = region_edges_px(box)
    return (min(max(point_px[0], left), right), min(max(point_px[1], top), bottom))


def _logit(p: float) -> float:
    p = min(max(p, 1e-9), 1 - 1e-9)
    return math.log(p / (1 - p))


def create(context: PluginContext) -> NeedleTip:
    """Make the plugin for one stream."""
    return NeedleTip(context)
