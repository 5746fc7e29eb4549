"""A biopsy needle's mask, axis and tip on every frame: a small recurrent network, and plain geometry behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.aiming import ray_through, throw_ahead
from puncta.core.flags import Flag
from puncta.core.frame import Frame, SourceKind, UltrasoundRegion
from puncta.core.geometry import axis_angle_deg, clip_segment, region_edges_px, tip_box_px
from puncta.core.overlay import THROW_LABEL
from puncta.core.prompts import Prompt, ScribblePrompt
from puncta.core.results import Certainty, Detection, Line, MaskResult, Measure, PluginOutput, Result
from puncta.imaging.mask_prompt import prior_from_prompt
from puncta.imaging.mask_tracking import MaskReading, MaskTracker
from puncta.imaging.preprocess import RegionMapping, resample_region
from puncta.imaging.tip_reading import pixel_mm_of
from puncta.sdk.context import PluginContext
from puncta.sdk.plugin import ResetReason, StepResult

NEEDLE_LABEL, TIP_LABEL = "needle", "needle_tip"
INSERTED_LABEL, BEND_LABEL = "inserted", "bend"
UPSTREAM = "needle-tip"
LOST_FOR_NS = 2_000_000_000
"""A needle that was shown within this time and no longer is counts as lost; after that as absent."""
SAME_REGION = 0.02
"""A region whose edges move by less than this share of its size is the same one, found a little differently."""
ASK_AGAIN = 12
"""Frames between two starts from the upstream tip: one that the network refuses is not offered again at once."""
MARGIN_PX = 2

Box = tuple[int, int, int, int]
Point = tuple[float, float]


class BreastBiopsy:
    """One stream's needle."""

    def __init__(self, context: PluginContext) -> None:
        self.tracker = MaskTracker(context.open_model())
        self._own_scoring = self.tracker.scoring
        self._upside_down = False
        self.configure(context.options)
        self._box: Box | None = None
        self._prompt: Prompt | None = None
        self._found_ns: int | None = None
        self._since_offer = ASK_AGAIN

    def configure(self, options: Mapping[str, Any]) -> None:
        """Take over changed options between two frames."""
        show, own = float(options["show"]), self._own_scoring
        self.tracker.scoring = (
            own if show <= 0.0 else replace(own, show=show, keep=min(show, own.keep), enter=min(show, own.enter))
        )
        self._start_from_tip = bool(options["start_from_tip"])
        self._throw_mm = float(options["throw_mm"])
        turned = bool(options["upside_down"])
        if turned != self._upside_down:
            self.tracker.clear()
        self._upside_down = turned

    def reset(self, reason: ResetReason) -> None:
        """Forget all frames."""
        self.tracker.clear()
        self._prompt, self._found_ns, self._since_offer = None, None, ASK_AGAIN

    def prompt(self, prompt: Prompt) -> None:
        """Take a user's word for where the needle is on the next frame."""
        self._prompt = prompt

    def step(self, frame: Frame, upstream: Mapping[str, PluginOutput]) -> StepResult:
        """Find the needle on one frame."""
        region = frame.geometry.region
        if self._box is None or not _about_the_same(region.box, self._box):
            asked = self._prompt
            self.reset(ResetReason.GEOMETRY_CHANGED)
            self._box, self._prompt = region.box, asked
        size = self.tracker.size
        grey, mapping = resample_region(frame.pixels, region.box, (size, size))
        if self._upside_down:
            grey = np.ascontiguousarray(grey[::-1])
        self._offer(mapping, upstream)
        mm_per_px = region.calibration.mm_per_px if region.calibration else None
        scale = pixel_mm_of(region.box, mm_per_px, size)
        t_ns = frame.t_ns if frame.source.kind is SourceKind.LIVE else frame.key.pts_ns
        reading = self.tracker.step(grey, t_ns, scale)
        flags = {Flag.UNCALIBRATED} if mm_per_px is None else set()
        if reading.unfamiliar:
            flags.add(Flag.OUT_OF_DISTRIBUTION)
        found = self._found(reading, mapping, region, scale) if reading.mask is not None else None
        if found is None:
            return self._lost(reading.reason or "the needle does not lie in the region", reading.presence, t_ns, flags)
        self._found_ns = t_ns
        if not reading.sure:
            flags.add(Flag.LOW_CONFIDENCE)
        return StepResult(found, frozenset(flags))

    def close(self) -> None:
        """Forget all frames."""
        self.reset(ResetReason.OPENED)

    # --- where it begins -------------------------------------------------------------------------------------------

    def _offer(self, mapping: RegionMapping, upstream: Mapping[str, PluginOutput]) -> None:
        """Hand the tracker a user's prompt, or while it has no needle the one that the tip plugin is sure of."""
        prompt, self._prompt = self._prompt, None
        if prompt is None and self._start_from_tip and not self.tracker.tracking:
            self._since_offer += 1
            if self._since_offer >= ASK_AGAIN:
                prompt = _needle_of(upstream.get(UPSTREAM))
                self._since_offer = 0 if prompt is not None else self._since_offer
        if prompt is None:
            return
        prior = prior_from_prompt(prompt, mapping)
        if prior.any():
            self.tracker.prompt(np.ascontiguousarray(prior[::-1]) if self._upside_down else prior)

    # --- what is said ----------------------------------------------------------------------------------------------

    def _found(
        self, reading: MaskReading, mapping: RegionMapping, region: UltrasoundRegion, scale: Point
    ) -> tuple[Result, ...] | None:
        """Results in source pixels; None where nothing of the mask is left there."""
        line, path = reading.line, reading.path
        assert line is not None and path is not None and reading.logits is not None
        level, turned = self.tracker.scoring.mask_level, self._upside_down
        mask, origin = _mask_in_source(reading, mapping, scale, level, turned)
        if mask is None:
            return None
        certainty = Certainty.SURE if reading.sure else Certainty.UNCERTAIN
        tip = self._in_source((path.tip[0] / scale[0], path.tip[1] / scale[1]), mapping)
        tip = _held_inside(tip, region.box)
        # One circle for both directions: the mean of the two scales keeps its area.
        to_source = math.sqrt(region.box[2] * region.box[3]) / self.tracker.size
        pixel = math.sqrt(scale[0] * scale[1])
        scoring = self.tracker.scoring
        spread = math.hypot(path.along_sigma, path.across_sigma) / pixel
        radius = (scoring.radius_least + scoring.radius_factor * spread) * to_source
        score = reading.presence
        detection = Detection(
            TIP_LABEL, tip_box_px(tip, region.box), tip, score, radius90_px=radius, certainty=certainty
        )
        axis = self._line(reading, tip, mapping, region, scale)
        unit = "mm" if region.calibration is not None else "px"
        per = (1.0 if region.calibration is not None else 1.0 / pixel) * (1.0 if unit == "mm" else to_source)
        results: list[Result] = [MaskResult(NEEDLE_LABEL, mask, origin, score, certainty), axis, detection]
        thrown = _throw_of(axis, region, self._throw_mm)
        if thrown is not None:
            results.append(thrown)
        if line.bends and line.bend_sigma is not None:
            results.append(
                Measure(
                    BEND_LABEL,
                    abs(line.bend) * per,
                    unit,
                    line.bend_sigma * per,
                    basis="middle of the visible needle to the straight line between its ends",
                )
            )
        if axis.entry_px is not None:
            sx, sy = region.calibration.mm_per_px if region.calibration else (1.0, 1.0)
            far = math.hypot((tip[0] - axis.entry_px[0]) * sx, (tip[1] - axis.entry_px[1]) * sy)
            doubt = path.along_sigma * per
            results.append(Measure(INSERTED_LABEL, far, unit, doubt, basis="from the picture's border along the axis"))
        return tuple(results)

    def _line(
        self, reading: MaskReading, tip: Point, mapping: RegionMapping, region: UltrasoundRegion, scale: Point
    ) -> Line:
        line, path = reading.line, reading.path
        assert line is not None and path is not None
        # Back along the way the tip points, far beyond the picture, then cut off at its border.
        far = 4.0 * self.tracker.size * math.sqrt(scale[0] * scale[1])
        behind = (path.tip[0] - far * path.ahead[0], path.tip[1] - far * path.ahead[1])
        start = self._in_source((path.tip[0] / scale[0], path.tip[1] / scale[1]), mapping)
        away = self._in_source((behind[0] / scale[0], behind[1] / scale[1]), mapping)
        clipped = clip_segment(tip, (tip[0] + away[0] - start[0], tip[1] + away[1] - start[1]), region.box)
        if clipped is None or math.dist(clipped[1], tip) < 1.0:
            return Line(NEEDLE_LABEL, None, None, line.support, reason="the axis does not enter by the region's border")
        entry = _held_inside(clipped[1], region.box)
        return Line(
            NEEDLE_LABEL,
            entry,
            tip,
            min(1.0, line.support),
            angle_deg=axis_angle_deg(entry, tip, region.calibration),
            sigma_deg=math.degrees(path.sigma_rad),
        )

    def _in_source(self, point: Point, mapping: RegionMapping) -> Point:
        """Point of the network's picture [px] in the source picture [px], turned back to how it is shown."""
        y = self.tracker.size - 1 - point[1] if self._upside_down else point[1]
        x, y = (float(v) for v in mapping.image_from_model(np.array((point[0], y))))
        return (x, y)

    def _lost(self, why: str, presence: float, t_ns: int, flags: set[Flag]) -> StepResult:
        flags = flags | {Flag.LOW_CONFIDENCE}
        if self._found_ns is not None and abs(t_ns - self._found_ns) <= LOST_FOR_NS:
            flags.add(Flag.TRACK_LOST)
        results = (
            MaskResult(NEEDLE_LABEL, None, (0, 0), presence, Certainty.LOST, why),
            Line(NEEDLE_LABEL, None, None, 0.0, reason=why),
            Detection(TIP_LABEL, None, None, presence, certainty=Certainty.LOST, reason=why),
        )
        return StepResult(results, frozenset(flags))


def _throw_of(axis: Line, region: UltrasoundRegion, throw_mm: float) -> Line | None:
    """The way a biopsy gun would throw its needle from where the tip is; None without millimetres or an axis."""
    if axis.entry_px is None or axis.tip_px is None:
        return None
    ray = ray_through(axis.entry_px, axis.tip_px, region.calibration)
    thrown = throw_ahead(ray, region, throw_mm) if ray is not None else None
    if thrown is None:
        return None
    begin, end = _held_inside(thrown[0], region.box), _held_inside(thrown[1], region.box)
    return Line(THROW_LABEL, begin, end, axis.score, angle_deg=axis.angle_deg, sigma_deg=axis.sigma_deg)


def _mask_in_source(
    reading: MaskReading, mapping: RegionMapping, scale: Point, level: float, turned: bool
) -> tuple[NDArray[np.bool_] | None, tuple[int, int]]:
    """The mask at the source picture's own pixels, cut to its bounding box, and where that lies.

    The log odds are interpolated, not the mask: so its border is as smooth as the network knows it.
    """
    assert reading.mask is not None and reading.logits is not None and reading.line is not None
    x0, y0, w, h = mapping.box
    rows, columns = np.nonzero(reading.mask)
    near = np.zeros(reading.mask.shape, np.uint8)
    near[reading.mask] = 1
    # What is interpolated next to the mask belongs to it; what lies elsewhere on the map does not.
    held = np.where(cv2.dilate(near, np.ones((5, 5), np.uint8)) > 0, reading.logits, np.float32(-20.0))
    if turned:
        held = held[::-1]
        rows = reading.mask.shape[0] - 1 - rows
    low = mapping.image_from_model(np.array([columns.min() - MARGIN_PX, rows.min() - MARGIN_PX], np.float64))
    high = mapping.image_from_model(np.array([columns.max() + MARGIN_PX, rows.max() + MARGIN_PX], np.float64))
    left, top = max(x0, math.floor(low[0])), max(y0, math.floor(low[1]))
    right, bottom = min(x0 + w - 1, math.ceil(high[0])), min(y0 + h - 1, math.ceil(high[1]))
    (sx, sy) = mapping.scale
    at = mapping.model_from_image(np.array([float(left), float(top)]))
    matrix = np.array([[sx, 0.0, at[0]], [0.0, sy, at[1]]])
    seen = cv2.warpAffine(
        np.ascontiguousarray(held, dtype=np.float32),
        matrix,
        (right - left + 1, bottom - top + 1),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    mask = seen >= math.log(level / (1.0 - level))
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return None, (0, 0)
    cut = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return np.ascontiguousarray(cut), (left + int(columns.min()), top + int(rows.min()))


def _needle_of(output: PluginOutput | None) -> ScribblePrompt | None:
    """The needle that the tip plugin is sure of on this frame, as a scribble from entry to tip."""
    for result in output.results if output is not None else ():
        sure = isinstance(result, Detection) and result.certainty is Certainty.SURE and not result.predicted
        if isinstance(result, Detection) and result.label == TIP_LABEL and not sure:
            return None
    for result in output.results if output is not None else ():
        if isinstance(result, Line) and result.entry_px is not None and result.tip_px is not None:
            return ScribblePrompt((result.entry_px, result.tip_px))
    return None


def _about_the_same(a: Box, b: Box) -> bool:
    edges = ((a[0], b[0], 2), (a[1], b[1], 3), (a[0] + a[2], b[0] + b[2], 2), (a[1] + a[3], b[1] + b[3], 3))
    return all(abs(p - q) <= SAME_REGION * b[side] for p, q, side in edges)


def _held_inside(point_px: Point, box: Box) -> Point:
    """Move a point onto the region's edge where it lies outside, be it by rounding alone."""
    left, top, right, bottom = region_edges_px(box)
    return (min(max(point_px[0], left), right), min(max(point_px[1], top), bottom))


def create(context: PluginContext) -> BreastBiopsy:
    """Make the plugin for one stream."""
    return BreastBiopsy(context)
