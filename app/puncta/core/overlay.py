"""What is drawn over a frame, as pure data. Two renderers draw the same scene: the screen's and the raster's.

`compose` turns an analysis into a scene of strokes, rings, masks and labels in source-image pixels, with colours by
token and widths in display points, plus the read-outs and chips that stand beside the picture, never on tissue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from puncta.core.aiming import band_ahead, distance_to, path_ahead, ray_through, unit_scale
from puncta.core.findings import (
    ADVICE_WORDS,
    FRESH_NS,
    GONE_NS,
    STATE_MARKS,
    STATE_WORDS,
    TARGET_INTERSPACE,
    carried_ns,
    finding_figure,
    finding_name,
    heat_words,
)
from puncta.core.flags import FLAG_WORDS, Flag
from puncta.core.frame import FrameKey, UltrasoundRegion
from puncta.core.geometry import PointPx, clip_area, region_edges_px
from puncta.core.last_seen import LostTip
from puncta.core.readings import ReadOut, measures_of, read_outs_of
from puncta.core.results import (
    Analysis,
    Box,
    Certainty,
    ClassResult,
    Detection,
    HeatMap,
    Line,
    MaskResult,
    PluginOutput,
)
from puncta.core.speakers import found_tip, spoken_for

STALE_OPACITY = 0.4
TARGET_SHARE = 0.016
"""Radius of the target's ring as a share of the region's mean side, so that it is as large on every source."""
LEAST_TARGET_PX = 4.0
STALE_LIMIT_NS = 100_000_000
"""Age [ns] past which a result carried forward is no longer drawn (architecture, "One frame")."""

NEUTRAL_HEAT = 0.5
"""Value of a heat map that speaks neither for nor against its finding; nothing is drawn up to it."""

THROW_LABEL = "throw"
"""Label of a line that is no needle but the way a biopsy gun would throw one."""


class Layer(StrEnum):
    """Layers in default order, lowest first. Each has visibility and opacity in the style."""

    HEAT_MAP = "heat map"
    MASK = "needle mask"
    PATH = "path"
    THROW = "throw"
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


@dataclass(frozen=True, slots=True)
class Area:
    """A translucent polygon without an outline [px]: where something may be, in one glance."""

    layer: Layer
    points_px: tuple[PointPx, ...]
    colour: str
    fill_opacity: float = 0.12
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
    dash: Dash = Dash.SOLID


@dataclass(frozen=True, slots=True)
class Label:
    """Short text near a point [px], shifted away from ``avoid_px`` so that it never covers the tip."""

    layer: Layer
    text: str
    at_px: PointPx
    avoid_px: PointPx
    colour: str
    opacity: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Heat:
    """A map of evidence over a box [px]: the stronger, the more opaque; ``values`` float32 (h, w), 0.5 is neutral."""

    layer: Layer
    values: NDArray[np.float32]
    box_px: Box
    colour: str
    opacity: float = 1.0


OverlayItem = Stroke | Ring | Area | Fill | Label | Heat


@dataclass(frozen=True, slots=True)
class Chip:
    """A fact in words with a shape: a flag or a finding.

    Attributes
    ----------
    figure : str
        Confidence of a finding, where it has one.
    finding : bool
        A finding of a plugin, which its card shows too.
    advice : bool
        It follows from findings, and is worded as training feedback.
    dim : bool
        It is of an older frame.
    """

    text: str
    tone: str
    shape: str
    figure: str = ""
    finding: bool = False
    advice: bool = False
    dim: bool = False

    def words(self) -> str:
        """Text and figure in one line."""
        return f"{self.text} {self.figure}".rstrip()


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


def compose(
    analysis: Analysis,
    style: OverlayStyle | None = None,
    now_ns: int | None = None,
    lost: Sequence[LostTip] = (),
) -> OverlayScene:
    """Turn an analysis into a scene; pure, the same input gives the same scene.

    Parameters
    ----------
    analysis : Analysis
    style : OverlayStyle
    now_ns : int or None
        Monotonic time [ns]; None leaves the age of results carried forward out (export, tests).
    lost : sequence of LostTip
        Tips that were seen shortly before this frame, as `TipMemory` tells them.
    """
    style = style or OverlayStyle()
    frame = analysis.frame
    region = frame.geometry.region
    items: list[OverlayItem] = []
    read_outs: list[ReadOut] = []
    chips = [_flag_chip(flag) for flag in Flag if flag in analysis.flags and flag in _SHOWN_FLAGS]
    hushed = spoken_for(analysis)
    for output in analysis.outputs:
        age_ns = _age_ns(output, analysis, now_ns)
        if age_ns > (GONE_NS if _is_of_findings(output) else STALE_LIMIT_NS):
            chips.append(Chip(FLAG_WORDS[Flag.STALE], "caution", "clock"))
            continue
        own = output.frame_id == analysis.frame.frame_id
        if output.plugin_id not in hushed:
            items += _items_of(output, region, 1.0 if own else STALE_OPACITY, style)
            read_outs += read_outs_of(output, region, style.target_px) if own else []
        # A finding on the whole picture has no place that could be wrong; it is of the picture a little longer.
        fresh = age_ns <= FRESH_NS
        items += _heat_items(output, region, 1.0 if fresh else STALE_OPACITY)
        read_outs += measures_of(output) if fresh else []
        chips += _finding_chips(output, dim=not fresh)
    for tip in lost:
        if tip.plugin_id not in hushed:
            items += _lost_items(tip)
    if style.target_px is not None:
        items += _target_items(style.target_px, analysis)
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


def _age_ns(output: PluginOutput, analysis: Analysis, now_ns: int | None) -> int:
    """Age [ns] of an output on another frame's picture; 0 on its own, however long that is looked at."""
    if output.frame_id == analysis.frame.frame_id:
        return 0
    return max(carried_ns(output, analysis.frame), 0 if now_ns is None else now_ns - output.frame_t_ns)


def _is_of_findings(output: PluginOutput) -> bool:
    """Whether an output speaks of the whole picture, not of places in it."""
    return any(isinstance(result, ClassResult) for result in output.results)


def _items_of(output: PluginOutput, region: UltrasoundRegion, fade: float, style: OverlayStyle) -> list[OverlayItem]:
    items: list[OverlayItem] = []
    stale = fade < 1.0
    tip = found_tip(output)
    for result in output.results:
        if isinstance(result, Detection) and result.tip_px is not None and result.box is not None:
            items += _tip_items(result, fade, stale, style)
        elif isinstance(result, Line) and result.tip_px is not None and result.entry_px is not None:
            if result.label == THROW_LABEL:
                items += _throw_items(result, region, fade) if not stale else []
                continue
            items += _line_items(result, tip, region, fade, stale)
        elif isinstance(result, MaskResult) and result.mask is not None:
            items.append(_mask_item(result, fade, stale))
    return items


def _mask_item(result: MaskResult, fade: float, stale: bool) -> Fill:
    """A translucent mask; one that is not sure is paler, and its outline is dashed."""
    assert result.mask is not None
    sure = result.certainty is Certainty.SURE
    dash = Dash.DOTTED if stale else Dash.SOLID if sure else Dash.DASHED
    return Fill(Layer.MASK, result.mask, result.origin_px, "mask", 0.3 if sure else 0.12, fade, dash)


def _tip_items(result: Detection, fade: float, stale: bool, style: OverlayStyle) -> list[OverlayItem]:
    """Corner brackets round the box and a cross inside the circle that holds the tip 9 times in 10."""
    assert result.tip_px is not None and result.box is not None
    unsure = result.certainty is not Certainty.SURE or result.predicted
    dash = Dash.DOTTED if stale else Dash.DASHED if unsure else Dash.SOLID
    cx, cy = result.tip_px
    half = _half_of(result.box)
    items = _brackets(result.tip_px, half, dash, fade)
    # A place that nothing on this frame speaks for gets no cross: it would point at a pixel that nobody saw.
    if not result.predicted:
        items += _cross(result.tip_px, half * 0.28, result.radius90_px or 0.0, fade)
    if result.radius90_px:
        items.append(Ring(Layer.TIP, result.tip_px, result.radius90_px, "tip", 1.6, dash, fade * 0.9))
    if style.show_confidence:
        words = "tip, expected" if result.predicted else "tip, unsure" if unsure else "tip"
        items.append(
            Label(Layer.TIP, f"{words} {result.score:.2f}", (cx + half, cy - half), result.tip_px, "tip", fade)
        )
    return items


def _cross(centre_px: PointPx, arm: float, radius: float, opacity: float) -> list[OverlayItem]:
    """A cross inside the circle; round one too small for it, four arms that leave the tip itself free."""
    cx, cy = centre_px
    near = radius if 0 < radius < 1.8 * arm else None
    ends: list[tuple[PointPx, PointPx]] = []
    for dx, dy in ((1, 0), (0, 1)):
        if near is None:
            ends.append(((cx - dx * arm, cy - dy * arm), (cx + dx * arm, cy + dy * arm)))
            continue
        for side in (-1, 1):
            begin, end = side * near, side * (near + arm)
            ends.append(((cx + dx * begin, cy + dy * begin), (cx + dx * end, cy + dy * end)))
    return [Stroke(Layer.TIP, pair, "tip", 1.6, Dash.SOLID, opacity) for pair in ends]


def _lost_items(lost: LostTip) -> list[OverlayItem]:
    """Dotted brackets at the last place, paler with time, and the word."""
    half = _half_of(lost.box)
    fade = STALE_OPACITY * lost.left
    cx, cy = lost.tip_px
    label = Label(Layer.TIP, "lost", (cx + half, cy - half), lost.tip_px, "tip", min(1.0, 2.0 * lost.left))
    return [*_brackets(lost.tip_px, half, Dash.DOTTED, fade), label]


def _half_of(box: Box) -> float:
    """Half the side of the square of brackets: the flat tip box alone reads as a line on a far screen."""
    return max(box[2], box[3]) / 2


def _brackets(centre_px: PointPx, half: float, dash: Dash, opacity: float) -> list[OverlayItem]:
    cx, cy = centre_px
    arm = half * 0.45
    items: list[OverlayItem] = []
    for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        corner = (cx + sx * half, cy + sy * half)
        points = ((corner[0] - sx * arm, corner[1]), corner, (corner[0], corner[1] - sy * arm))
        items.append(Stroke(Layer.TIP, points, "tip", 2.4, dash, opacity))
    return items


def _line_items(
    line: Line, tip: Detection | None, region: UltrasoundRegion, fade: float, stale: bool
) -> list[OverlayItem]:
    """Solid measured axis; dashed projection ahead of the tip in the band that holds it 9 times in 10."""
    assert line.entry_px is not None and line.tip_px is not None
    items: list[OverlayItem] = [
        Stroke(Layer.PATH, (line.entry_px, line.tip_px), "accent", 2.0, Dash.DOTTED if stale else Dash.SOLID, fade)
    ]
    circle = tip.radius90_px if tip is not None else None
    ray = ray_through(line.entry_px, line.tip_px, region.calibration, line.sigma_deg, circle)
    path = path_ahead(ray, region) if ray is not None else None
    if ray is None or path is None:
        return items
    band = band_ahead(ray, path)
    if band and not stale:
        items.append(Area(Layer.PATH, clip_area(band, region.box), "text1", opacity=fade))
    items.append(Stroke(Layer.PATH, path, "text1", 1.6, Dash.DASHED, fade * 0.8))
    return items


def _throw_items(thrown: Line, region: UltrasoundRegion, fade: float) -> list[OverlayItem]:
    """Where a biopsy gun's needle ends when it is fired now: a thick line with a bar across its end."""
    tip, end = thrown.entry_px, thrown.tip_px
    assert tip is not None and end is not None
    ray = ray_through(tip, end, region.calibration)
    if ray is None:
        return []
    items: list[OverlayItem] = [Stroke(Layer.THROW, (tip, end), "caution", 3.2, Dash.SOLID, fade * 0.85)]
    words = "throw"
    left, top, right, bottom = region_edges_px(region.box)
    if left + 0.5 < end[0] < right - 0.5 and top + 0.5 < end[1] < bottom - 0.5:
        # Cut off at the border it ends nowhere in the picture.
        far = distance_to(tip, end, ray.scale)
        bar = (ray.point_px(0.0, -0.08 * far), ray.point_px(0.0, 0.08 * far))
        items.append(Stroke(Layer.THROW, bar, "caution", 3.2, Dash.SOLID, fade * 0.85))
        words = f"throw {far:.0f} mm"
    items.append(Label(Layer.THROW, words, end, tip, "caution", fade))
    return items


def _target_items(target_px: PointPx, analysis: Analysis) -> list[OverlayItem]:
    """The chosen target with the distance from the tip that was found on this very frame."""
    x, y = target_px
    _, _, w, h = analysis.frame.geometry.region.box
    radius = max(LEAST_TARGET_PX, TARGET_SHARE * (w + h) / 2)
    arm = 1.6 * radius
    own = [output for output in analysis.outputs if output.frame_id == analysis.frame.frame_id]
    tip = next((found for found in map(found_tip, own) if found is not None), None)
    words = "target"
    if tip is not None and tip.tip_px is not None:
        calibration = analysis.frame.geometry.region.calibration
        far = distance_to(tip.tip_px, target_px, unit_scale(calibration))
        words = f"target {far:.0f} {'mm' if calibration else 'px'}"
    return [
        Ring(Layer.TARGET, target_px, radius, "target", 2.0),
        Stroke(Layer.TARGET, ((x - arm, y), (x + arm, y)), "target", 1.6),
        Stroke(Layer.TARGET, ((x, y - arm), (x, y + arm)), "target", 1.6),
        Label(Layer.TARGET, words, (x, y + arm), target_px, "target"),
    ]


def _flag_chip(flag: Flag) -> Chip:
    tone = "neutral" if flag in {Flag.SIMULATED, Flag.UNCALIBRATED} else "caution"
    return Chip(FLAG_WORDS[flag], tone, "diamond" if tone == "caution" else "square")


def _finding_chips(output: PluginOutput, *, dim: bool) -> list[Chip]:
    chips: list[Chip] = []
    for result in output.results:
        if not isinstance(result, ClassResult):
            continue
        if result.label == TARGET_INTERSPACE:
            if result.value:
                chips.append(Chip(": ".join(ADVICE_WORDS), "good", "circle", finding=True, advice=True, dim=dim))
            continue
        tone, shape = STATE_MARKS[result.value]
        text = f"{finding_name(result.label)}: {STATE_WORDS[result.value]}"
        chips.append(Chip(text, tone, shape, finding_figure(result), finding=True, dim=dim))
    return chips


def _heat_items(output: PluginOutput, region: UltrasoundRegion, fade: float) -> list[OverlayItem]:
    """Heat maps that a plugin was asked for, each named in the region's upper left corner."""
    items: list[OverlayItem] = []
    x0, y0, w, h = region.box
    for result in output.results:
        if not isinstance(result, HeatMap) or result.values is None:
            continue
        items.append(Heat(Layer.HEAT_MAP, result.values, result.box_px, "heat", fade))
        words = heat_words(result.label, speaks=float(result.values.max()) > NEUTRAL_HEAT)
        corner = (float(x0), y0 + 0.06 * h)
        beside = (x0 - 0.2 * w, float(y0 + h))  # the words stand to the right of the corner and above it
        items.append(Label(Layer.HEAT_MAP, words, corner, beside, "heat", fade))
    return items


def _with_opacity(item: OverlayItem, factor: float) -> OverlayItem:
    return item if factor >= 1.0 else replace(item, opacity=item.opacity * factor)
