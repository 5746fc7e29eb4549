"""Figures of a check on real pictures, by the names that its files use; each with the n it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from puncta.formats.jsontext import rounded
from puncta.formats.real_cases import HOLDS_WORDS, Holds
from puncta.formats.tip_marks import CLEAR
from puncta.metrics.frames import JudgedFrame
from puncta.metrics.marks import (
    AgreedMark,
    Spread,
    Standing,
    agree,
    disagreement,
    distance_mm,
    longest_run,
    spread_of,
    wilson,
)
from puncta.metrics.summary import summarise
from puncta.session.real_check import MarkedResult, MarkedRow, PlainResult, StillsResult
from puncta.session.real_runner import CaseRun

MM_DECIMALS = 3
SHARE_DECIMALS = 4
HALF = 0.5
JUMP_MM = 5.0
"""A shown tip that lies this far [mm] from the one shown on the frame before has jumped."""

Figures = dict[str, Any]


def share_figure(hits: int, n: int) -> Figures:
    """Return a share as hits, n and value; value None where n is 0."""
    return {"value": rounded(hits / n, SHARE_DECIMALS, "share") if n else None, "hits": hits, "n": n}


def clip_share_figure(hits: int, n: int) -> Figures:
    """As `share_figure`, with the 95 % interval of Wilson: for clips, which are independent of each other."""
    span = wilson(hits, n)
    low, high = (rounded(v, SHARE_DECIMALS, "interval") for v in span) if span else (None, None)
    return {**share_figure(hits, n), "low": low, "high": high}


def spread_figure(spread: Spread) -> Figures:
    """Return a distribution's figures, rounded."""
    values = {"median": spread.median, "p90": spread.p90, "p95": spread.p95, "most": spread.most}
    return {"n": spread.n, **{k: None if v is None else rounded(v, MM_DECIMALS, k) for k, v in values.items()}}


def marks_figures(result: MarkedResult) -> Figures:
    """How far the passes lie apart, and what each frame is good for."""
    agreed = agree(result.marks)
    standing = {s.value: sum(a.standing is s for a in agreed.values()) for s in Standing}
    return {
        "passes": len(result.marks.passes),
        "frames": len(agreed),
        "standing": standing,
        **{name: spread_figure(spread) for name, spread in disagreement(result.marks).items()},
    }


def marked_figures(result: MarkedResult) -> Figures:
    """Errors on the counted frames of a marked recording, and what was said on all of its frames."""
    counted = [r for r in result.rows if r.agreed.standing is Standing.COUNTED]
    sure = [r for r in counted if _clear(r.frame, result)]
    masks = {"masks": _masks(counted)} if any(f.mask is not None for f in result.run.frames) else {}
    return {"counted": _errors(counted), "marked_clear": _errors(sure), **_other_readings(result, counted), **masks,
            "all_frames": _whole_run(result)}


def _masks(rows: Sequence[MarkedRow]) -> Figures:
    """How masks lie on the marked shaft, over counted frames; a frame without a mask covers nothing of it."""
    laid = [r.mask for r in rows if r.mask is not None]
    covered = [r.mask.covered if r.mask is not None else 0.0 for r in rows]
    return {
        "frames_with_mask": share_figure(len(laid), len(rows)),
        "shaft_covered": spread_figure(spread_of(covered)),
        "shaft_half_covered": share_figure(sum(c >= HALF for c in covered), len(rows)),
        "mask_on_shaft": spread_figure(spread_of(m.on_shaft for m in laid)),
        "mask_mostly_on_shaft": share_figure(sum(m.on_shaft >= HALF for m in laid), len(laid)),
    }


def _clear(frame: int, result: MarkedResult) -> bool:
    """Every pass calls the tip of this frame clear."""
    return all(p.marks[frame].confidence == CLEAR for p in result.marks.passes)


def _errors(rows: Sequence[MarkedRow]) -> Figures:
    shown = [r for r in rows if r.offset is not None]
    n = len(rows)

    def within(mm: float) -> Figures:
        return share_figure(sum(r.offset is not None and r.offset.error_mm <= mm for r in rows), n)

    circles = [r.in_circle for r in shown if r.in_circle is not None]
    along = [r.offset.along_mm for r in shown if r.offset and r.offset.along_mm is not None]
    across = [r.offset.across_mm for r in shown if r.offset and r.offset.across_mm is not None]
    return {
        "n": n,
        "misses": share_figure(n - len(shown), n),
        "error_mm": spread_figure(spread_of(r.offset.error_mm for r in shown if r.offset)),
        "within_2mm": within(2.0),
        "within_3mm": within(3.0),
        "along_mm": spread_figure(spread_of(abs(v) for v in along)),
        "along_signed_median_mm": spread_figure(spread_of(along))["median"],
        "across_mm": spread_figure(spread_of(abs(v) for v in across)),
        "across_signed_median_mm": spread_figure(spread_of(across))["median"],
        "angle_deg": spread_figure(spread_of(r.angle_deg for r in rows if r.angle_deg is not None)),
        "coverage90": share_figure(sum(circles), len(circles)),
    }


def _other_readings(result: MarkedResult, counted: Sequence[MarkedRow]) -> Figures:
    """Errors against each pass alone, and against the end of the bright wall: what another reading would give."""
    scale = result.marks.mm_per_px
    shown = [(r.frame, r.said.answer.tip_px) for r in counted if r.said.answer.tip_px is not None]
    singles = {}
    for single in result.marks.passes:
        truths = [(tip, single.marks[frame].tip_px) for frame, tip in shown]
        singles[str(single.number)] = spread_figure(
            spread_of(distance_mm(tip, true, scale) for tip, true in truths if true is not None)
        )
    ends = []
    for frame, tip in shown:
        walls = [p.marks[frame].wall_end_px for p in result.marks.passes]
        there = [w for w in walls if w is not None]
        if there:
            mean = (sum(w[0] for w in there) / len(there), sum(w[1] for w in there) / len(there))
            ends.append(distance_mm(tip, mean, scale))
    return {"error_by_pass_mm": singles, "error_to_wall_end_mm": spread_figure(spread_of(ends))}


def _whole_run(result: MarkedResult) -> Figures:
    run, scale = result.run, result.marks.mm_per_px
    tips = [f.answer.tip_px for f in run.frames]
    jumps = sum(
        a is not None and b is not None and distance_mm(a, b, scale) > JUMP_MM for a, b in zip(tips[:-1], tips[1:])
    )
    radii = [f.answer.radius90_px * scale[0] for f in run.frames if f.shown and f.answer.radius90_px is not None]
    return {
        **run_figures([run]),
        "longest_silence_frames": longest_run([not f.shown for f in run.frames]),
        "jumps": jumps,
        "radius90_mm": spread_figure(spread_of(radii)),
        "on_lure": dict(result.on_lure),
    }


def run_figures(runs: Iterable[CaseRun]) -> Figures:
    """Shares of frames with a tip, without one, flagged as unfamiliar, and with a tip that was not flagged."""
    runs = list(runs)
    n = sum(len(r.frames) for r in runs)
    shown, unfamiliar = sum(r.shown for r in runs), sum(r.unfamiliar for r in runs)
    unwarned = sum(f.shown and not f.unfamiliar for r in runs for f in r.frames)
    return {
        "frames": n,
        "shown": share_figure(shown, n),
        "silent": share_figure(n - shown, n),
        "unfamiliar": share_figure(unfamiliar, n),
        "shown_unwarned": share_figure(unwarned, n),
    }


def stills_figures(result: StillsResult) -> Figures:
    """Misses, false alarms and abstentions of a set in one place, by frame and by cine."""
    with_tip = [f for f in result.judged if f.labels.tip_px is not None]
    without = [(f.clip, s) for f, s in zip(result.judged, result.shown) if is_needle_free(f)]
    alarmed = {clip for clip, shown in without if shown}
    judged_clips = {clip for clip, _shown in without}
    summary = summarise(result.judged)
    named = ("tip_error_px", "tip_error_mm", "tip_within_2mm", "miss_rate", "false_alarm_rate", "abstain_rate")
    return {
        "cines": len(result.runs),
        "stills": len(set(result.subjects)),
        **run_figures(result.runs),
        "tip_frames": len(with_tip),
        "needle_free_frames": len(without),
        "misses": share_figure(sum(f.answer.tip_px is None for f in with_tip), len(with_tip)),
        "false_alarms": share_figure(sum(shown for _clip, shown in without), len(without)),
        "cines_with_false_alarm": clip_share_figure(len(alarmed), len(judged_clips)),
        "over_clips": {name: _estimate(summary[name]) for name in named},
    }


def is_needle_free(frame: JudgedFrame) -> bool:
    """Tell whether a frame was judged and holds no needle."""
    return frame.labels.tip_judged and frame.labels.tip_px is None


def _estimate(figure: Any) -> Figures:
    values = {"value": figure.value, "low": figure.low, "high": figure.high}
    return {**{k: None if v is None else rounded(v, SHARE_DECIMALS, k) for k, v in values.items()}, "n": figure.n}


def plain_figures(results: Sequence[PlainResult]) -> dict[str, Figures]:
    """Figures of recordings without a needle, by what they hold."""
    found = {}
    for holds in Holds:
        runs = [r.run for r in results if r.holds is holds]
        if runs:
            shown = sum(r.shown > 0 for r in runs)
            found[HOLDS_WORDS[holds]] = {
                "files": len(runs), "files_with_tip": share_figure(shown, len(runs)), **run_figures(runs)
            }
    return found


def agreed_row(agreed: AgreedMark) -> Figures:
    """What the passes agree on, for a row of a table."""
    gap = agreed.gap_mm
    return {
        "standing": agreed.standing.value,
        "gap_mm": None if gap is None else rounded(gap, MM_DECIMALS, "gap_mm"),
        "tip_px": point_row(agreed.tip_px),
    }


def point_row(point: tuple[float, float] | None) -> list[float] | None:
    """A point, rounded to a tenth of a pixel."""
    return None if point is None else [rounded(v, 1, "point") for v in point]
