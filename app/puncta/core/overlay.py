"""What is drawn over a frame, as pure data. Two renderers draw the same scene: the screen's and the raster's.

`compose` turns an analysis into a scene of strokes, rings, masks and labels in source-image pixels, with colours by
token and widths in display points, plus the read-outs and chips that stand beside the picture, never on tissue.
The kinds of items are in `overlay_kinds`, how each result looks in `overlay_items`; who draws finds all of it here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from puncta.core.findings import (
    ADVICE_WORDS,
    FRESH_NS,
    GONE_NS,
    TARGET_INTERSPACE,
    carried_ns,
    finding_figure,
    finding_mark,
    finding_name,
    finding_words,
)
from puncta.core.flags import FLAG_WORDS, Flag
from puncta.core.last_seen import LostTip
from puncta.core.overlay_items import STALE_OPACITY, THROW_LABEL, draw_heat, draw_lost, draw_results, draw_target
from puncta.core.overlay_kinds import (
    Area,
    Chip,
    Dash,
    Fill,
    Heat,
    Label,
    Layer,
    OverlayItem,
    OverlayScene,
    OverlayStyle,
    Ring,
    Stroke,
)
from puncta.core.readings import ReadOut, measures_of, read_outs_of
from puncta.core.results import Analysis, ClassResult, PluginOutput
from puncta.core.speakers import spoken_for

__all__ = [
    "STALE_LIMIT_NS",
    "STALE_OPACITY",
    "THROW_LABEL",
    "Area",
    "Chip",
    "Dash",
    "Fill",
    "Heat",
    "Label",
    "Layer",
    "OverlayItem",
    "OverlayScene",
    "OverlayStyle",
    "ReadOut",
    "Ring",
    "Stroke",
    "compose",
]

STALE_LIMIT_NS = 100_000_000
"""Age [ns] past which a result carried forward is no longer drawn (architecture, "One frame")."""


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
            items += draw_results(output, region, 1.0 if own else STALE_OPACITY, style)
            read_outs += read_outs_of(output, region, style.target_px) if own else []
        # A finding on the whole picture has no place that could be wrong; it is of the picture a little longer.
        fresh = age_ns <= FRESH_NS
        items += draw_heat(output, region, 1.0 if fresh else STALE_OPACITY)
        read_outs += measures_of(output) if fresh else []
        chips += _finding_chips(output, dim=not fresh)
    for tip in lost:
        if tip.plugin_id not in hushed:
            items += draw_lost(tip)
    if style.target_px is not None:
        items += draw_target(style.target_px, analysis)
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
        tone, shape = finding_mark(result, output.results)
        said = ", ".join(words for words in finding_words(result, output.results) if words)
        text = f"{finding_name(result.label)}: {said}"
        chips.append(Chip(text, tone, shape, finding_figure(result), finding=True, dim=dim))
    return chips


def _with_opacity(item: OverlayItem, factor: float) -> OverlayItem:
    return item if factor >= 1.0 else replace(item, opacity=item.opacity * factor)
