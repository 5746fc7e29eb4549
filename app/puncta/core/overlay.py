"""What is drawn over a frame, as pure data. Two renderers draw the same scene: the screen's and the raster's.

`compose` turns an analysis into a scene of strokes, rings, masks and labels in source-image pixels, with colours by
token and widths in display points, plus the read-outs and chips that stand beside the picture, never on tissue.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from puncta.core.flags import FLAG_WORDS, Flag
from puncta.core.frame import FrameKey, UltrasoundRegion
from puncta.core.geometry import PointPx, clip_segment, depth_mm, length_mm
from puncta.core.results import Analysis, Certainty, ClassResult, Detection, Line, MaskResult, PluginOutput

STALE_OPACITY = 0.4
STALE_LIMIT_NS = 100_000_000
"""Age [ns] past which a result carried forward is no longer drawn (architecture, "One frame")."""


class Layer(StrEnum):
    """Layers in default order, lowest first. Each has visibility and opacity in the style."""

    HEAT_MAP = "heat map"
    MASK = "needle mask"
    PATH = "path"
    TIP = "tip"
    TARGET = "target"


class Dash(StrEnum):
    """Line patterns; shape says what colour says."""

    SOLID = "solid"
    DASHED = "dashed"
    DOTTED = "dotted"


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through points [px]; ``width_pt`` in display points; ``colour`` is a token's name."""

    layer: Layer
    points_px: tuple[PointPx, ...]
    colour: str
    width_pt: float = 2.0
    dash: Dash = Dash.SOLID
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Ring:
    """A circle [px]; in pixels of x, since the picture is shown with square pixels."""

    layer: Layer
    centre_px: PointPx
    radius_px: float
    colour: str
    width_pt: float = 1.6
    dash: Dash = Dash.SOLID
    opacity: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Fill:
    """A translucent mask with an outline; ``mask`` bool (h, w), its first pixel at ``origin_px``."""

    layer: Layer
    mask: NDArray[np.bool_]
    origin_px: tuple[int, int]
    colour: str
    fill_opacity: float = 0.3
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Label:
    """Short text near a point [px], shifted away from ``avoid_px`` so that it never covers the tip."""

    layer: Layer
    text: str
    at_px: PointPx
    avoid_px: PointPx
    colour: str
    opacity: float = 1.0


OverlayItem = Stroke | Ring | Fill | Label


@dataclass(frozen=True, slots=True)
class ReadOut:
    """A figure beside the picture, with its doubt: "Tip depth 13.9 +- 1.8 mm", from the skin line."""

    name: str
    value: float | None
    doubt: float | None
    unit: str
    basis: str

    def text(self) -> str:
        """Value with its doubt and unit, "15 ± 2 mm"; a dash where nothing is known."""
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


@dataclass(frozen=True, slots=True)
class Chip:
    """A fact in words with a shape: a flag or a class."""

    text: str
    tone: str
    shape: str


@dataclass(frozen=True, slots=True)
class OverlayStyle:
    """What the viewer chose.

    Attributes
    ----------
    visible, opacity : mapping of Layer
        Missing layers are visible at 1.
    order : tuple of Layer
        Lowest first.
    target_px : point or None
        The chosen target [px].
    """

    visible: Mapping[Layer, bool] = field(default_factory=dict)
    opacity: Mapping[Layer, float] = field(default_factory=dict)
    order: tuple[Layer, ...] = tuple(Layer)
    target_px: PointPx | None = None
    show_confidence: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class OverlayScene:
    """All that is drawn for one frame; it carries the frame's key, so that it can be proved to belong to it."""

    key: FrameKey
    epoch: int
    frame_id: int
    items: tuple[OverlayItem, ...] = ()
    read_outs: tuple[ReadOut, ...] = ()
    chips: tuple[Chip, ...] = ()


def compose(analysis: Analysis, style: OverlayStyle | None = None, now_ns: int | None = None) -> OverlayScene:
    """Turn an analysis into a scene; pure, the same input gives the same scene.

    Parameters
    ----------
    analysis : Analysis
    style : OverlayStyle
    now_ns : int or None
        Monotonic time [ns]; None leaves the age of results carried forward out (export, tests).
    """
    style = style or OverlayStyle()
    frame = analysis.frame
    region = frame.geometry.region
    items: list[OverlayItem] = []
    read_outs: list[ReadOut] = []
    chips = [_flag_chip(flag) for flag in Flag if flag in analysis.flags and flag in _SHOWN_FLAGS]
    for output in analysis.outputs:
        fade = _fade(output, analysis, now_ns)
        if fade is None:
            chips.append(Chip(FLAG_WORDS[Flag.STALE], "caution", "clock"))
            continue
        items += _items_of(output, region, fade, style)
        read_outs += _read_outs_of(output, region, style) if fade == 1.0 else []
        chips += [_class_chip(result) for result in output.results if isinstance(result, ClassResult)]
    if style.target_px is not None:
        items += _target_items(style.target_px)
    shown = [item for item in items if style.visible.get(item.layer, True)]
    rank = {layer: i for i, layer in enumerate(style.order)}
    shown.sort(key=lambda item: rank.get(item.layer, len(rank)))
    faded = tuple(_with_opacity(item, style.opacity.get(item.layer, 1.0)) for item in shown)
    return OverlayScene(frame.key, frame.epoch, frame.frame_id, faded, tuple(read_outs), tuple(chips))


_SHOWN_FLAGS = {
    Flag.SIMULATED,
    Flag.UNCALIBRATED,
    Flag.OUT_OF_DISTRIBUTION,
    Flag.PLUGIN_FAULT,
    Flag.OVER_BUDGET,
    Flag.FRAMES_SKIPPED,
}


def _fade(output: PluginOutput, analysis: Analysis, now_ns: int | None) -> float | None:
    """Opacity of an output: 1 on its own frame, dimmed when carried forward, None when too old to be drawn."""
    if output.frame_id == analysis.frame.frame_id:
        return 1.0
    if now_ns is not None and now_ns - output.frame_t_ns > STALE_LIMIT_NS:
        return None
    return STALE_OPACITY


def _items_of(output: PluginOutput, region: UltrasoundRegion, fade: float, style: OverlayStyle) -> list[OverlayItem]:
    items: list[OverlayItem] = []
    stale = fade < 1.0
    for result in output.results:
        if isinstance(result, Detection) and result.tip_px is not None and result.box is not None:
            items += _tip_items(result, fade, stale, style)
        elif isinstance(result, Line) and result.tip_px is not None and result.entry_px is not None:
            items += _line_items(result, region, fade, stale, style)
        elif isinstance(result, MaskResult) and result.mask is not None:
            items.append(Fill(Layer.MASK, result.mask, result.origin_px, "accent", opacity=fade))
    return items


def _tip_items(result: Detection, fade: float, stale: bool, style: OverlayStyle) -> list[OverlayItem]:
    """Corner brackets round the box and a cross inside the circle that holds the tip 9 times in 10."""
    assert result.tip_px is not None and result.box is not None
    unsure = result.certainty is not Certainty.SURE or result.predicted
    dash = Dash.DOTTED if stale else Dash.DASHED if unsure else Dash.SOLID
    x0, y0, w, h = result.box
    # Square brackets: the flat tip box alone reads as a line on a far screen, so the corners keep a square's height.
    half = max(w, h) / 2
    cx, cy = result.tip_px
    arm = half * 0.45
    items: list[OverlayItem] = []
    for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        corner = (cx + sx * half, cy + sy * half)
        points = ((corner[0] - sx * arm, corner[1]), corner, (corner[0], corner[1] - sy * arm))
        items.append(Stroke(Layer.TIP, points, "tip", 2.4, dash, fade))
    cross = half * 0.28
    items.append(Stroke(Layer.TIP, ((cx - cross, cy), (cx + cross, cy)), "tip", 1.6, Dash.SOLID, fade))
    items.append(Stroke(Layer.TIP, ((cx, cy - cross), (cx, cy + cross)), "tip", 1.6, Dash.SOLID, fade))
    if result.radius90_px:
        items.append(Ring(Layer.TIP, result.tip_px, result.radius90_px, "tip", 1.6, dash, fade * 0.9))
    if style.show_confidence:
        words = "tip, unsure" if unsure else "tip"
        items.append(
            Label(Layer.TIP, f"{words} {result.score:.2f}", (cx + half, cy - half), result.tip_px, "tip", fade)
        )
    return items


def _line_items(
    result: Line, region: UltrasoundRegion, fade: float, stale: bool, style: OverlayStyle
) -> list[OverlayItem]:
    """Solid measured axis, dashed projection ahead of the tip, distance to the target."""
    assert result.entry_px is not None and result.tip_px is not None
    items: list[OverlayItem] = [
        Stroke(Layer.PATH, (result.entry_px, result.tip_px), "accent", 2.0, Dash.DOTTED if stale else Dash.SOLID, fade)
    ]
    ahead = projected_path(result, region)
    if ahead is not None:
        items.append(Stroke(Layer.PATH, ahead, "text1", 1.6, Dash.DASHED, fade * 0.8))
    return items


def projected_path(line: Line, region: UltrasoundRegion) -> tuple[PointPx, PointPx] | None:
    """Segment from the tip straight ahead to the region's border [px], or None."""
    if line.entry_px is None or line.tip_px is None:
        return None
    dx, dy = line.tip_px[0] - line.entry_px[0], line.tip_px[1] - line.entry_px[1]
    norm = math.hypot(dx, dy)
    if norm < 1.0:
        return None
    reach = 2.0 * math.hypot(region.box[2], region.box[3]) / norm
    far = (line.tip_px[0] + dx * reach, line.tip_px[1] + dy * reach)
    return clip_segment(line.tip_px, far, region.box)


def _target_items(target_px: PointPx) -> list[OverlayItem]:
    x, y = target_px
    arm, radius = 14.0, 9.0
    return [
        Ring(Layer.TARGET, target_px, radius, "target", 2.0),
        Stroke(Layer.TARGET, ((x - arm, y), (x + arm, y)), "target", 1.6),
        Stroke(Layer.TARGET, ((x, y - arm), (x, y + arm)), "target", 1.6),
        Label(Layer.TARGET, "target", (x, y + arm + 4), target_px, "target"),
    ]


def _read_outs_of(output: PluginOutput, region: UltrasoundRegion, style: OverlayStyle) -> list[ReadOut]:
    tip = next((r for r in output.results if isinstance(r, Detection) and r.label == "needle_tip"), None)
    line = next((r for r in output.results if isinstance(r, Line)), None)
    if tip is None:
        return []
    scale = region.calibration.mm_per_px if region.calibration else None
    unit = "mm" if scale else "px"
    doubt = None if tip.radius90_px is None else tip.radius90_px * (sum(scale) / 2 if scale else 1.0)
    values: list[ReadOut] = []
    if style.target_px is not None:
        far = miss = miss_doubt = None
        if tip.tip_px is not None:
            vector = (style.target_px[0] - tip.tip_px[0], style.target_px[1] - tip.tip_px[1])
            far = length_mm(vector, region.calibration) if region.calibration else math.hypot(*vector)
            if line is not None and line.entry_px is not None and line.tip_px is not None:
                miss = _miss_distance(line, style.target_px, scale or (1.0, 1.0))
                miss_doubt = _miss_doubt(line, far, doubt)
        values.append(ReadOut("To target", far, doubt if far is not None else None, unit, "tip to target"))
        values.append(ReadOut("Path misses by", miss, miss_doubt, unit, "projected axis to target"))
    angle = line.angle_deg if line else None
    values.append(ReadOut("Angle", angle, line.sigma_deg if line and angle is not None else None, "°", "to horizontal"))
    depth: float | None = None
    if tip.tip_px is not None:
        depth = depth_mm(tip.tip_px, region) if scale else tip.tip_px[1] - (region.box[1] - 0.5)
    values.append(
        ReadOut("Tip depth", depth, doubt if depth is not None else None, unit, "below the picture's top edge")
    )
    return values


def _miss_distance(line: Line, target_px: PointPx, scale: tuple[float, float]) -> float:
    """Distance of the target from the straight line through the needle, in the unit of ``scale`` per px."""
    assert line.entry_px is not None and line.tip_px is not None
    ax, ay = ((line.tip_px[i] - line.entry_px[i]) * scale[i] for i in (0, 1))
    bx, by = ((target_px[i] - line.entry_px[i]) * scale[i] for i in (0, 1))
    norm = math.hypot(ax, ay)
    return abs(ax * by - ay * bx) / norm if norm else math.hypot(bx, by)


def _miss_doubt(line: Line, far: float, tip_doubt: float | None) -> float | None:
    """Doubt of the miss distance, 9 times in 10: the tip's own, and the angle's over the way to the target.

    Both are taken as normal and independent, so 1.645 standard errors of the angle are added in quadrature.
    """
    if line.sigma_deg is None:
        return tip_doubt
    sideways = far * math.tan(math.radians(min(80.0, 1.645 * line.sigma_deg)))
    return math.hypot(sideways, tip_doubt or 0.0)


def _flag_chip(flag: Flag) -> Chip:
    tone = "neutral" if flag in {Flag.SIMULATED, Flag.UNCALIBRATED} else "caution"
    return Chip(FLAG_WORDS[flag], tone, "diamond" if tone == "caution" else "square")


def _class_chip(result: ClassResult) -> Chip:
    if result.value is None:
        return Chip(f"{result.label}: cannot tell", "caution", "diamond")
    word = "yes" if result.value else "no"
    tone, shape = ("good", "circle") if result.value else ("neutral", "square")
    return Chip(f"{result.label}: {word}", tone, shape)


def _with_opacity(item: OverlayItem, factor: float) -> OverlayItem:
    if factor >= 1.0:
        return item
    opacity = item.opacity * factor
    if isinstance(item, Stroke):
        return Stroke(item.layer, item.points_px, item.colour, item.width_pt, item.dash, opacity)
    if isinstance(item, Ring):
        return Ring(item.layer, item.centre_px, item.radius_px, item.colour, item.width_pt, item.dash, opacity)
    if isinstance(item, Fill):
        return Fill(item.layer, item.mask, item.origin_px, item.colour, item.fill_opacity, opacity)
    return Label(item.layer, item.text, item.at_px, item.avoid_px, item.colour, opacity)
