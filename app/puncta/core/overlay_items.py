"""How each kind of result looks over the picture: tips, lines, throws, masks, heat maps, the target and a lost tip."""

from __future__ import annotations

from puncta.core.aiming import band_ahead, distance_to, path_ahead, ray_through, unit_scale
from puncta.core.findings import heat_words
from puncta.core.frame import UltrasoundRegion
from puncta.core.geometry import PointPx, clip_area, region_edges_px
from puncta.core.last_seen import LostTip
from puncta.core.overlay_kinds import Area, Dash, Fill, Heat, Label, Layer, OverlayItem, OverlayStyle, Ring, Stroke
from puncta.core.results import Analysis, Box, Certainty, Detection, HeatMap, Line, MaskResult, PluginOutput
from puncta.core.speakers import found_tip

STALE_OPACITY = 0.4
TARGET_SHARE = 0.016
"""Radius of the target's ring as a share of the region's mean side, so that it is as large on every source."""
LEAST_TARGET_PX = 4.0

NEUTRAL_HEAT = 0.5
"""Value of a heat map that speaks neither for nor against its finding; nothing is drawn up to it."""

THROW_LABEL = "throw"
"""Label of a line that is no needle but the way a biopsy gun would throw one."""


def draw_results(output: PluginOutput, region: UltrasoundRegion, fade: float, style: OverlayStyle) -> list[OverlayItem]:
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


def draw_lost(lost: LostTip) -> list[OverlayItem]:
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


def draw_target(target_px: PointPx, analysis: Analysis) -> list[OverlayItem]:
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


def draw_heat(output: PluginOutput, region: UltrasoundRegion, fade: float) -> list[OverlayItem]:
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
