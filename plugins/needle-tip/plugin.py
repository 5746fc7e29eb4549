"""Needle tip and axis on every frame: a small network with a memory, a belief filter, and a tracker in millimetres."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from puncta.core.flags import Flag
from puncta.core.frame import Frame, SourceKind, UltrasoundRegion
from puncta.core.geometry import axis_angle_deg, clip_segment, region_edges_px, tip_box_px
from puncta.core.results import Certainty, Detection, Line, PluginOutput, Result
from puncta.imaging.preprocess import RegionMapping, resample_region
from puncta.imaging.tip_network import TipAnswer
from puncta.imaging.tip_reading import TipInput, TipReader, TipReading, pixel_mm_of
from puncta.sdk.context import PluginContext
from puncta.sdk.plugin import ResetReason, StepResult

TIP_LABEL = "needle_tip"
NEEDLE_LABEL = "needle"
LOST_FOR_NS = 2_000_000_000
"""A tip that was shown within this time and no longer is counts as lost; after that as absent."""
SAME_REGION = 0.02
"""A region whose edges move by less than this share of its size is the same one, found a little differently."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A frame before the network."""

    ready: TipInput
    mapping: RegionMapping


@dataclass(frozen=True, slots=True, eq=False)
class Inferred:
    """A frame behind the network."""

    prepared: Prepared
    answer: TipAnswer | None


class NeedleTip:
    """One stream's needle tip; `puncta.sdk.plugin.Staged`."""

    def __init__(self, context: PluginContext) -> None:
        self._reader = TipReader(context.open_model())
        self._least_score = float(context.options["least_score"])
        self._sure_score = float(context.options["sure_score"])
        self._least_axis = float(context.options["least_axis"])
        self._box: Box | None = None
        self._upside_down = bool(context.options["upside_down"])
        # Known to `finish` alone:
        self._stream = 0
        self._found_ns: int | None = None

    def reset(self, reason: ResetReason) -> None:
        """Forget all frames."""
        self._reader.clear()
        self._found_ns = None

    def step(self, frame: Frame, upstream: Mapping[str, PluginOutput]) -> StepResult:
        """Find the tip on one frame."""
        return self.finish(frame, self.infer(self.prepare(frame)), upstream)

    def prepare(self, frame: Frame) -> Prepared:
        """First part of `step`: the region, and what changed in it; knows the region and the frames before."""
        region = frame.geometry.region
        begins = self._box is None or not _about_the_same(region.box, self._box)
        size = self._reader.size
        grey, mapping = resample_region(frame.pixels, region.box, (size, size))
        if self._upside_down:
            grey = np.ascontiguousarray(grey[::-1])
        mm_per_px = region.calibration.mm_per_px if region.calibration else None
        pixel_mm = pixel_mm_of(region.box, mm_per_px, size)
        ready = self._reader.prepare(grey, _time_ns(frame), pixel_mm, begins=begins)
        if begins:
            self._box = region.box  # last: a frame that fails here leaves it to the next one to begin
        return Prepared(ready, mapping)

    def infer(self, prepared: Prepared) -> Inferred:
        """Second part of `step`: the network; knows its memory."""
        return Inferred(prepared, self._reader.infer(prepared.ready))

    def finish(self, frame: Frame, inferred: Inferred, upstream: Mapping[str, PluginOutput]) -> StepResult:
        """Third part of `step`: filter, tracker and axis; knows where the tip was."""
        prepared, region = inferred.prepared, frame.geometry.region
        if prepared.ready.stream != self._stream:
            self._stream, self._found_ns = prepared.ready.stream, None
        t_ns = _time_ns(frame)
        reading = self._reader.finish(prepared.ready, inferred.answer)
        flags = {Flag.UNCALIBRATED} if region.calibration is None else set()
        if reading.unfamiliar:
            flags.add(Flag.OUT_OF_DISTRIBUTION)
        if reading.tip is None or reading.presence < self._least_score:
            return self._lost(reading.reason or f"no tip found above {self._least_score:g}", reading, t_ns, flags)
        self._found_ns = t_ns
        return self._found(self._turned(reading), prepared.mapping, region, flags)

    def close(self) -> None:
        """Forget all frames."""
        self.reset(ResetReason.OPENED)

    def _turned(self, reading: TipReading) -> TipReading:
        """Turn a reading back to how the picture is shown."""
        if not self._upside_down or reading.tip is None:
            return reading
        axis = reading.axis
        if axis is not None:
            axis = replace(axis, direction=(axis.direction[0], -axis.direction[1]))
        return replace(reading, tip=(reading.tip[0], self._reader.size - 1 - reading.tip[1]), axis=axis)

    def _found(
        self, reading: TipReading, mapping: RegionMapping, region: UltrasoundRegion, flags: set[Flag]
    ) -> StepResult:
        x, y = (float(v) for v in mapping.image_from_model(np.array(reading.tip)))
        w, h = region.box[2:]
        tip = _held_inside((x, y), region.box)
        # One circle for both directions: the mean of the two scales keeps its area.
        radius = reading.radius * math.sqrt(w * h) / self._reader.size
        sure = reading.presence >= self._sure_score and not reading.predicted
        if not sure:
            flags.add(Flag.LOW_CONFIDENCE)
        detection = Detection(
            TIP_LABEL, tip_box_px(tip, region.box), tip, reading.presence, radius90_px=radius,
            certainty=Certainty.SURE if sure else Certainty.UNCERTAIN, predicted=reading.predicted,
        )
        return StepResult((detection, self._line(reading, tip, mapping, region)), frozenset(flags))

    def _line(
        self, reading: TipReading, tip: tuple[float, float], mapping: RegionMapping, region: UltrasoundRegion
    ) -> Result:
        axis = reading.axis
        strength = min(1.0, max(0.0, axis.strength)) if axis is not None else 0.0
        if axis is None or strength < self._least_axis:
            return Line(NEEDLE_LABEL, None, None, strength, reason="too little of the shaft is visible")
        far = 4.0 * self._reader.size
        away = mapping.image_from_model(np.array(reading.tip) + far * np.array(axis.direction))
        start = mapping.image_from_model(np.array(reading.tip))
        vector = away - start
        clipped = clip_segment(tip, (tip[0] + float(vector[0]), tip[1] + float(vector[1])), region.box)
        if clipped is None:
            return Line(NEEDLE_LABEL, None, None, strength, reason="the axis does not enter by the region's border")
        entry = _held_inside(clipped[1], region.box)
        return Line(
            NEEDLE_LABEL, entry, tip, strength, angle_deg=axis_angle_deg(entry, tip, region.calibration),
            sigma_deg=math.degrees(axis.sigma_rad),
        )

    def _lost(self, why: str, reading: TipReading, t_ns: int, flags: set[Flag]) -> StepResult:
        flags = flags | {Flag.LOW_CONFIDENCE}
        if self._found_ns is not None and 0 <= t_ns - self._found_ns <= LOST_FOR_NS:
            flags.add(Flag.TRACK_LOST)
        lost = Detection(TIP_LABEL, None, None, reading.presence, certainty=Certainty.LOST, reason=why)
        return StepResult((lost, Line(NEEDLE_LABEL, None, None, 0.0, reason=why)), frozenset(flags))


def _time_ns(frame: Frame) -> int:
    """When the frame was taken [ns]: its stored time, and its arrival only where it comes from a live source.

    A file's frames arrive when they happen to be decoded, which says nothing of the needle and differs from run to run.
    """
    return frame.t_ns if frame.source.kind is SourceKind.LIVE else frame.key.pts_ns


def _about_the_same(a: Box, b: Box) -> bool:
    edges = ((a[0], b[0], 2), (a[1], b[1], 3), (a[0] + a[2], b[0] + b[2], 2), (a[1] + a[3], b[1] + b[3], 3))
    return all(abs(p - q) <= SAME_REGION * b[side] for p, q, side in edges)


def _held_inside(point_px: tuple[float, float], box: Box) -> tuple[float, float]:
    """Move a point onto the region's edge where it lies outside, be it by rounding alone."""
    left, top, right, bottom = region_edges_px(box)
    return (min(max(point_px[0], left), right), min(max(point_px[1], top), bottom))


def create(context: PluginContext) -> NeedleTip:
    """Make the plugin for one stream."""
    return NeedleTip(context)
