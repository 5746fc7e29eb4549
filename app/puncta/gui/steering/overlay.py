"""What steering draws over a picture: the target's ring and, until it shows there, where the needle will go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from puncta.core.geometry import PointPx, clip_segment
from puncta.core.last_seen import LostTip
from puncta.core.overlay import Dash, Label, Layer, OverlayItem, OverlayScene, OverlayStyle, Ring, Stroke, compose
from puncta.core.results import Analysis
from puncta.gui.i18n import tr
from puncta.gui.steering.words import IN_PLANE_MM, plane_colour, plane_words, tip_in_picture
from puncta.sources.steering import NeedleView, SteeredView, TargetView

GUIDE_MM = 22.0
"""The way ahead of a needle that is not yet in the picture is drawn this far [mm]."""
LEAST_RING_PX = 7.0
TICK_PX = 9.0


def compose_steered(
    analysis: Analysis,
    view: SteeredView,
    style: OverlayStyle,
    now_ns: int | None,
    lost: Sequence[LostTip] = (),
) -> OverlayScene:
    """Compose a scene with the simulation's target in place of one of the user's own, and with the needle's guide.

    The read-outs get the target only while it lies in the plane; elsewhere a distance in the picture would deceive.
    """
    near = abs(view.target.behind_mm) < max(IN_PLANE_MM, view.target.radius_mm)
    scene = compose(analysis, replace(style, target_px=view.target.centre_px if near else None), now_ns, lost)
    kept = [item for item in scene.items if item.layer is not Layer.TARGET]
    shown = [
        replace(item, opacity=item.opacity * style.opacity.get(item.layer, 1.0))
        for item in (*_target_items(view.target), *_needle_items(view))
        if style.visible.get(item.layer, True)
    ]
    return replace(scene, items=(*kept, *shown))


def _target_items(target: TargetView) -> list[OverlayItem]:
    x, y = target.centre_px
    colour = plane_colour(target.behind_mm)
    inside = abs(target.behind_mm) < IN_PLANE_MM
    radius = max(LEAST_RING_PX, target.radius_px)
    dash = Dash.SOLID if inside else Dash.DASHED
    items: list[OverlayItem] = [Ring(Layer.TARGET, target.centre_px, radius, colour, 2.0, dash)]
    arm = radius + 5.0
    if inside:
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            ends = ((x + dx * (radius - 3), y + dy * (radius - 3)), (x + dx * arm, y + dy * arm))
            items.append(Stroke(Layer.TARGET, ends, colour, 1.6))
    words = tr("target")
    if target.from_tip_mm is not None:
        words = tr("target {distance} mm").replace("{distance}", f"{target.from_tip_mm:.0f}")
    if not inside:
        words = f"{words}, {plane_words(target.behind_mm)}"
    items.append(Label(Layer.TARGET, words, (x, y + arm + 4), target.centre_px, colour))
    return items


def _needle_items(view: SteeredView) -> list[OverlayItem]:
    needle = view.needle
    if needle is None:
        return []
    guide = _guide(needle, view)
    if guide is None:
        return []
    start, end = guide
    ux, uy = needle.towards
    tick = ((start[0] - uy * TICK_PX, start[1] + ux * TICK_PX), (start[0] + uy * TICK_PX, start[1] - ux * TICK_PX))
    if _shows(needle, view):
        return [Stroke(Layer.PATH, tick, "accent", 2.0, Dash.SOLID, 0.7)]
    words = tr("needle {angle}°").replace("{angle}", f"{needle.angle_deg:.0f}")
    items: list[OverlayItem] = [Stroke(Layer.PATH, tick, "accent", 2.4)]
    if needle.crossing_px is not None:
        words, end = tr("{needle}, crosses here").replace("{needle}", words), needle.crossing_px
        items += [Stroke(Layer.PATH, arm, "accent", 2.0) for arm in _cross(end)]
    elif abs(needle.entry_behind_mm) >= IN_PLANE_MM:
        words = f"{words}, {plane_words(needle.entry_behind_mm)}"
    items.append(Stroke(Layer.PATH, (start, end), "accent", 1.6, Dash.DASHED, 0.7))
    # Beside the line's end, so that neither the line nor the target's ring runs through the words.
    items.append(Label(Layer.PATH, words, (end[0] + 10.0, end[1] - 6.0), end, "accent"))
    return items


def _shows(needle: NeedleView, view: SteeredView) -> bool:
    """Tell whether the tip has come into the picture; one from across the plane shows once it reaches the plane."""
    if not tip_in_picture(view):
        return False
    behind = needle.tip_behind_mm
    return needle.crossing_px is None or abs(behind) < IN_PLANE_MM or behind * needle.entry_behind_mm <= 0


def _cross(at: PointPx) -> tuple[tuple[PointPx, PointPx], tuple[PointPx, PointPx]]:
    """A small oblique cross."""
    (x, y), arm = at, 6.0
    return ((x - arm, y - arm), (x + arm, y + arm)), ((x - arm, y + arm), (x + arm, y - arm))


def _guide(needle: NeedleView, view: SteeredView) -> tuple[PointPx, PointPx] | None:
    """From where the axis enters the region to a place ahead; None where it passes the region by."""
    ux, uy = needle.towards
    if math.hypot(ux, uy) < 0.5:
        return None
    x, y = needle.entry_px
    x0, y0, w, h = view.region
    far = 2.0 * math.hypot(w, h)
    inside = clip_segment((x - ux * 1.0, y - uy * 1.0), (x + ux * far, y + uy * far), (x0, y0, w, h))
    if inside is None:
        return None
    start, end = inside
    length = math.hypot(end[0] - start[0], end[1] - start[1])
    reach = min(length, GUIDE_MM / view.mm_per_px)
    return start, (start[0] + ux * reach, start[1] + uy * reach)
