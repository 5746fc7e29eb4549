"""What guides a needle to a target that belongs to tissue: ring and doubt, the planned path, and their read-outs.

`compose` draws a target at a fixed point; this draws one that was followed to the very frame, and nothing measured to
it once it is lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from puncta.core.aiming import circle_doubt, unit_scale
from puncta.core.frame import UltrasoundRegion
from puncta.core.geometry import PointPx, axis_angle_deg, clip_segment
from puncta.core.last_seen import LostTip
from puncta.core.overlay import Chip, Dash, Label, Layer, OverlayItem, OverlayScene, OverlayStyle, Ring, Stroke, compose
from puncta.core.readings import ReadOut
from puncta.core.results import Analysis, Line
from puncta.core.target import LOSS_WORDS, TargetFix

TO_TARGET = "To target"
MISSES = "Path misses by"
OFF_PLAN = "Off the plan"
TARGET_LOST = "Target lost"
TICK_SHARE = 0.018
LEAST_PLAN_PX = 8.0


@dataclass(frozen=True, slots=True)
class Guide:
    """What was chosen for the procedure at hand.

    Attributes
    ----------
    word : str
        What the target is, in one word: "target", "vessel".
    plan_px : vector or None
        From the target to the planned entry [px]; the path moves with the target. None leaves the path that was
        recorded with the target, if there is one.
    """

    word: str = "target"
    plan_px: PointPx | None = None


def compose_guided(
    analysis: Analysis,
    style: OverlayStyle,
    guide: Guide,
    now_ns: int | None = None,
    lost: Sequence[LostTip] = (),
) -> OverlayScene:
    """Compose a scene with the target where it is on this frame; pure, as `compose` is."""
    fix = analysis.target
    if fix is None:
        return compose(analysis, style, now_ns, lost)
    scene = compose(analysis, replace(style, target_px=fix.point_px), now_ns, lost)
    region = analysis.frame.geometry.region
    if fix.point_px is None:
        return _lost_scene(scene, fix)
    plan_px = guide.plan_px or fix.plan_px
    items = [_renamed(item, guide.word) for item in scene.items]
    own = [*_doubt_items(fix, region), *_plan_items(fix.point_px, plan_px, region)]
    shown = [
        replace(item, opacity=item.opacity * style.opacity.get(item.layer, 1.0))
        for item in own
        if style.visible.get(item.layer, True)
    ]
    read_outs = [_with_doubt(entry, fix, region) for entry in scene.read_outs]
    read_outs += plan_read_outs(analysis, fix.point_px, plan_px)
    return replace(scene, items=(*items, *shown), read_outs=tuple(read_outs))


def plan_figures(plan_px: PointPx, region: UltrasoundRegion) -> tuple[float, float, str] | None:
    """Angle to the horizontal [deg], length and unit of a planned path; None where it is too short to mean anything."""
    if math.hypot(*plan_px) < LEAST_PLAN_PX:
        return None
    sx, sy = unit_scale(region.calibration)
    angle = axis_angle_deg((0.0, 0.0), plan_px, region.calibration)
    length = math.hypot(plan_px[0] * sx, plan_px[1] * sy)
    return angle or 0.0, length, "mm" if region.calibration is not None else "px"


def plan_read_outs(analysis: Analysis, target_px: PointPx, plan_px: PointPx | None) -> list[ReadOut]:
    """How far the needle's axis turns off the planned path on this very frame."""
    region = analysis.frame.geometry.region
    figures = plan_figures(plan_px, region) if plan_px is not None else None
    if figures is None or plan_px is None:
        return []
    angle, length, unit = figures
    words = f"planned {angle:.0f}°, {length:.0f} {unit}"
    line = _line_of(analysis)
    if line is None or line.entry_px is None or line.tip_px is None:
        return [ReadOut(OFF_PLAN, None, None, "°", words)]
    off = _turn_deg(line, plan_px, unit_scale(region.calibration))
    return [ReadOut(OFF_PLAN, off, line.sigma_deg, "°", words)]


def _turn_deg(line: Line, plan_px: PointPx, scale: tuple[float, float]) -> float:
    assert line.entry_px is not None and line.tip_px is not None
    ax = (line.tip_px[0] - line.entry_px[0]) * scale[0]
    ay = (line.tip_px[1] - line.entry_px[1]) * scale[1]
    bx, by = -plan_px[0] * scale[0], -plan_px[1] * scale[1]
    return math.degrees(math.atan2(abs(ax * by - ay * bx), ax * bx + ay * by))


def _line_of(analysis: Analysis) -> Line | None:
    own = [output for output in analysis.outputs if output.frame_id == analysis.frame.frame_id]
    lines = [r for output in own for r in output.results if isinstance(r, Line) and r.tip_px is not None]
    return lines[0] if lines else None


def _lost_scene(scene: OverlayScene, fix: TargetFix) -> OverlayScene:
    gone = ReadOut(TO_TARGET, None, None, "mm", LOSS_WORDS.get(fix.loss, ""))
    chip = Chip(TARGET_LOST, "caution", "diamond")
    return replace(scene, read_outs=(gone, *scene.read_outs), chips=(*scene.chips, chip))


def _renamed(item: OverlayItem, word: str) -> OverlayItem:
    if isinstance(item, Label) and item.layer is Layer.TARGET and item.text.startswith("target"):
        return replace(item, text=word + item.text.removeprefix("target"))
    return item


def _with_doubt(entry: ReadOut, fix: TargetFix, region: UltrasoundRegion) -> ReadOut:
    """A distance to the target is no better known than the target itself."""
    if entry.name not in (TO_TARGET, MISSES) or entry.value is None:
        return entry
    own = circle_doubt(fix.doubt_px, unit_scale(region.calibration))
    return replace(entry, doubt=math.hypot(entry.doubt or 0.0, own) or None)


def _doubt_items(fix: TargetFix, region: UltrasoundRegion) -> list[OverlayItem]:
    assert fix.point_px is not None
    _, _, w, h = region.box
    if fix.doubt_px < 0.006 * (w + h) / 2:
        return []
    return [Ring(Layer.TARGET, fix.point_px, fix.doubt_px, "target", 1.2, Dash.DOTTED, 0.8)]


def _plan_items(target_px: PointPx, plan_px: PointPx | None, region: UltrasoundRegion) -> list[OverlayItem]:
    if plan_px is None or math.hypot(*plan_px) < LEAST_PLAN_PX:
        return []
    entry = (target_px[0] + plan_px[0], target_px[1] + plan_px[1])
    path = clip_segment(entry, target_px, region.box)
    if path is None:
        return []
    start, end = path
    length = math.hypot(*plan_px)
    ux, uy = plan_px[0] / length, plan_px[1] / length
    _, _, w, h = region.box
    arm = TICK_SHARE * (w + h) / 2
    tick = ((start[0] - uy * arm, start[1] + ux * arm), (start[0] + uy * arm, start[1] - ux * arm))
    return [
        Stroke(Layer.TARGET, (start, end), "target", 1.6, Dash.DASHED, 0.9),
        Stroke(Layer.TARGET, tick, "target", 2.0),
    ]
