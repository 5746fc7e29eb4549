"""A check on real pictures as a JSON document and as Markdown. Neither holds a picture, a path or a time."""

from __future__ import annotations

from typing import Any

from puncta.formats.jsontext import rounded
from puncta.formats.real_cases import HOLDS_WORDS
from puncta.metrics.marks import Standing
from puncta.session.real_check import (
    MarkedResult,
    MarkedRow,
    PlainResult,
    RealResult,
    SimulatedResult,
    StillsResult,
)
from puncta.session.real_figures import (
    MM_DECIMALS,
    SHARE_DECIMALS,
    Figures,
    agreed_row,
    is_needle_free,
    marked_figures,
    marks_figures,
    plain_figures,
    point_row,
    run_figures,
    stills_figures,
)
from puncta.session.real_masks import BEHIND_MM, BEYOND_MM, ON_LURE, SHAFT_HALF_MM
from puncta.session.real_runner import GIVES_WORDS, CaseRun, Gives

VERSION = 1
SAFETY = "Simulation and training only, not for clinical use."
NEVER_TUNED = "Reported case by case; nothing is tuned on it. A handful of recordings is no benchmark."


def document_of(result: RealResult) -> dict[str, Any]:
    """Return everything as values for JSON."""
    simulated = {"simulated": [_simulated(s) for s in result.simulated]} if result.simulated else {}
    return {
        "version": VERSION,
        "plugin": result.plugin,
        "gives": result.gives.value,
        "plugin_version": result.plugin_version,
        "model": result.model,
        "model_sha256": result.model_sha256,
        "model_measures_strangeness": result.model_measures_strangeness,
        "options": result.options,
        "cases": result.cases,
        "absent": list(result.absent),
        "marked": [_marked(m) for m in result.marked],
        "stills": [_stills(s) for s in result.stills],
        "recorded": {"figures": plain_figures(result.recorded), "rows": [_plain(r) for r in result.recorded]},
        "made": {"figures": run_figures(r.run for r in result.made), "rows": [_plain(r) for r in result.made]},
        **simulated,
    }


def _marked(result: MarkedResult) -> Figures:
    marks = result.marks
    return {
        "recording": _case(result.run),
        "recording_sha256": marks.clip_sha256,
        "mm_per_px": list(marks.mm_per_px),
        "rule": marks.rule,
        "counted_within_mm": marks.counted_within_mm,
        "notes": list(marks.notes),
        "marks": marks_figures(result),
        "figures": marked_figures(result),
        "rows": [_marked_row(row) for row in result.rows],
    }


def _marked_row(row: MarkedRow) -> Figures:
    offset, answer = row.offset, row.said.answer
    return {
        "frame": row.frame,
        **agreed_row(row.agreed),
        "found_px": point_row(answer.tip_px),
        "score": None if answer.score is None else rounded(answer.score, SHARE_DECIMALS, "score"),
        "error_mm": _mm(offset.error_mm if offset else None),
        "along_mm": _mm(offset.along_mm if offset else None),
        "across_mm": _mm(offset.across_mm if offset else None),
        "angle_deg": _mm(row.angle_deg),
        "in_circle": row.in_circle,
        "unfamiliar": row.said.unfamiliar,
        **({} if row.mask is None else {
            "mask_on_shaft": rounded(row.mask.on_shaft, SHARE_DECIMALS, "share"),
            "shaft_covered": rounded(row.mask.covered, SHARE_DECIMALS, "share"),
        }),
    }


def _mm(value: float | None) -> float | None:
    return None if value is None else rounded(value, MM_DECIMALS, "value")


def _stills(result: StillsResult) -> Figures:
    needle_free: dict[int, int] = {}
    tips: dict[int, int] = {}
    alarms: dict[int, int] = {}
    misses: dict[int, int] = {}
    for f, shown in zip(result.judged, result.shown):
        if f.labels.tip_px is not None:
            tips[f.clip] = tips.get(f.clip, 0) + 1
            misses[f.clip] = misses.get(f.clip, 0) + (f.answer.tip_px is None)
        elif is_needle_free(f):
            needle_free[f.clip] = needle_free.get(f.clip, 0) + 1
            alarms[f.clip] = alarms.get(f.clip, 0) + shown
    rows = [
        {
            **_case(run),
            "still": subject,
            "tip_frames": tips.get(k, 0),
            "misses": misses.get(k, 0),
            "needle_free_frames": needle_free.get(k, 0),
            "false_alarms": alarms.get(k, 0),
        }
        for k, (run, subject) in enumerate(zip(result.runs, result.subjects))
    ]
    return {"set": result.name, "digest": result.digest, "figures": stills_figures(result), "rows": rows}


def _simulated(result: SimulatedResult) -> Figures:
    return {"set": result.name, "digest": result.digest, "shows": result.shows, "style": result.style,
            "figures": run_figures(result.runs)}


def _plain(result: PlainResult) -> Figures:
    return {**_case(result.run), "holds": result.holds.value, "shows": result.shows, "sha256": result.sha256}


def _case(run: CaseRun) -> Figures:
    return {
        "name": run.name,
        "picture_px": list(run.picture_px),
        "region": list(run.region),
        "region_from": run.region_from,
        "frames": len(run.frames),
        "shown": run.shown,
        "unfamiliar": run.unfamiliar,
    }


def markdown_of(result: RealResult, command: str = "") -> str:
    """Return everything but the rows of sets of stills as Markdown."""
    lines = [f"# {result.plugin} on real pictures", ""]
    sha = f", sha256 `{result.model_sha256[:12]}`" if result.model_sha256 else ""
    options = ", ".join(f"{name} {value}" for name, value in result.options.items())
    lines += [f"Model **{result.model or 'none'}**{sha}; plugin {result.plugin_version}, options {options or 'none'}. "
              f"{NEVER_TUNED}", ""]
    if command:
        lines += ["```", command, "```", ""]
    lines += [
        "Every case runs as `puncta run` runs it: every frame in order, the ultrasound region looked for where the",
        "file states none, no hint. *unfamiliar* flags pictures unlike the model's.",
        f"*Shown* is a frame with {GIVES_WORDS[result.gives]}.",
        "",
    ]
    if not result.model_measures_strangeness:
        lines += ["This model does not measure how strange a picture is, so that it flags none as unfamiliar.", ""]
    if result.absent:
        lines += [f"Not there and left out: {', '.join(result.absent)}.", ""]
    for marked in result.marked:
        lines += [*_marked_text(marked), ""]
    if result.stills:
        flags = result.gives is Gives.FLAGS
        lines += [*(_silence_text(result.stills) if flags else _stills_text(result.stills)), ""]
    if result.recorded:
        lines += [*_plain_text(_RECORDED_TITLE[result.gives], result.recorded, result.gives), ""]
    if result.made:
        lines += [*_plain_text("Made pictures that are no ultrasound", result.made, result.gives), ""]
    if result.simulated:
        lines += [*_simulated_text(result.simulated), ""]
    return "\n".join([*lines, SAFETY, ""])


def _marked_text(result: MarkedResult) -> list[str]:
    marks, agreement, figures = result.marks, marks_figures(result), marked_figures(result)
    whole, standing = figures["all_frames"], agreement["standing"]
    lines = [f"## Marked by hand: {marks.clip}", "", f"{marks.rule} {marks.mm_from}", ""]
    lines += [f"{len(marks.passes)} passes over {agreement['frames']} frames: {standing['counted']} counted, "
              f"{standing['disputed']} disputed (passes more than {marks.counted_within_mm:g} mm apart, or not all see "
              f"a tip; reported, not counted), {standing['unseen']} unseen by all.", ""]
    lines += [f"- {note}" for note in marks.notes]
    lines += ["", "| the passes against each other | n | median | 90 % | most |", "|---|---|---|---|---|"]
    for name, words in (("tip_mm", "tip [mm]"), ("along_mm", "along the axis [mm]"), ("across_mm", "across it [mm]"),
                        ("angle_deg", "angle [deg]")):
        a = agreement[name]
        lines.append(f"| {words} | {a['n']} | {_n(a['median'])} | {_n(a['p90'])} | {_n(a['most'])} |")
    lines += ["", "| the plugin against their mean | counted frames | frames that all call clear |", "|---|---|---|"]
    lines += _error_rows(figures["counted"], figures["marked_clear"])
    by_pass = ", ".join(f"pass {k}: {_n(v['median'])} mm (n {v['n']})" for k, v in figures["error_by_pass_mm"].items())
    wall = figures["error_to_wall_end_mm"]
    lines += ["", f"Median error against each pass alone: {by_pass}; against the end of the bright wall: "
                  f"{_n(wall['median'])} mm (n {wall['n']}).", ""]
    lures = ", ".join(f"{name}: {count}" for name, count in whole["on_lure"].items())
    lines += [f"Over all {whole['frames']} frames run (region {whole_region(result.run)}): shown on "
              f"{_share(whole['shown'])}, longest silence {whole['longest_silence_frames']} frames, unfamiliar "
              f"{_share(whole['unfamiliar'])}, jumps over 5 mm between neighbours {whole['jumps']}, radius of the 90 % "
              f"circle {_n(whole['radius90_mm']['median'])} mm (median). **Frames on which it lies "
              f"on what is no needle: {lures or 'nothing named'}.**", ""]
    if "masks" in figures:
        lines += [*_masks_text(figures["masks"], whole), ""]
    lines += ["| frame | passes apart [mm] | error [mm] | along | across | angle [deg] | in circle | score |",
              "|---|---|---|---|---|---|---|---|"]
    for row in (_marked_row(r) for r in result.rows):
        fate = "" if row["standing"] == Standing.COUNTED.value else f" ({row['standing']})"
        error = _n(row["error_mm"]) if row["found_px"] else "silent"
        circle = {True: "yes", False: "no", None: "-"}[row["in_circle"]]
        lines.append(f"| {row['frame']}{fate} | {_n(row['gap_mm'])} | {error} | {_n(row['along_mm'])} | "
                     f"{_n(row['across_mm'])} | {_n(row['angle_deg'], 1)} | {circle} | {_n(row['score'])} |")
    return lines


def whole_region(run: CaseRun) -> str:
    """Where the plugin looked, in words."""
    return f"{run.region_from} {' x '.join(str(v) for v in run.region[2:])} px"


def _error_rows(counted: Figures, clear: Figures) -> list[str]:
    def both(words: str, cell: Any) -> str:
        return f"| {words} | {cell(counted)} | {cell(clear)} |"

    def spread(name: str) -> Any:
        return lambda f: f"{_n(f[name]['median'])}, {_n(f[name]['p95'])} (n {f[name]['n']})"

    return [
        both("misses", lambda f: _share(f["misses"])),
        both("tip error, median and 95 % [mm]", spread("error_mm")),
        both("within 2 mm (a miss is not)", lambda f: _share(f["within_2mm"])),
        both("within 3 mm", lambda f: _share(f["within_3mm"])),
        both("along the axis, median and 95 % [mm]", spread("along_mm")),
        both("along the axis, signed median [mm] (above 0: beyond the tip)", lambda f: _n(f["along_signed_median_mm"])),
        both("across the axis, median and 95 % [mm]", spread("across_mm")),
        both("angle error, median and 95 % [deg]", spread("angle_deg")),
        both("true tip in the 90 % circle", lambda f: _share(f["coverage90"])),
    ]


def _stills_text(results: tuple[StillsResult, ...]) -> list[str]:
    lines = ["## Real stills of the false-alarm half, moved as cines", "",
             "Stills that no model has learnt from; the needles of tip sets are simulated. Frames of a cine resemble",
             "each other, so the share of cines (95 % interval of Wilson) says more than that of frames. Millimetres",
             "rest on an assumed depth.", "",
             "| set | cines of stills | frames without needle | false alarms | cines with one | frames with tip | "
             "misses | tip error | within 2 mm | silent, of all frames | unfamiliar |",
             "|---|---|---|---|---|---|---|---|---|---|---|"]
    for result in results:
        f = stills_figures(result)
        over = f["over_clips"]
        span = f["cines_with_false_alarm"]
        cines = _share(span) + ("" if span["low"] is None else f" [{_pc(span['low'])}..{_pc(span['high'])}]")
        error = f"{_n(over['tip_error_px']['value'])} px, {_n(over['tip_error_mm']['value'])} mm"
        lines.append(
            f"| {result.name} | {f['cines']} of {f['stills']} | {f['needle_free_frames']} | "
            f"{_share(f['false_alarms'])} | {cines} | {f['tip_frames']} | "
            f"{_share(f['misses'])} | {error if f['tip_frames'] else '-'} | "
            f"{_pc(over['tip_within_2mm']['value'])} | {_share(f['silent'])} | {_share(f['unfamiliar'])} |"
        )
    for result in results:
        alarmed = [row for row in _stills(result)["rows"] if row["false_alarms"]]
        if alarmed:
            named = ", ".join(f"{r['name']} {r['false_alarms']}/{r['needle_free_frames']}" for r in alarmed)
            lines += ["", f"Cines of {result.name} with a false alarm: {named}."]
    return lines


def _masks_text(masks: Figures, whole: Figures) -> list[str]:
    """How the masks lie on the marked shaft; no mask was drawn by hand, so that no overlap can be told."""
    covered, on_shaft = masks["shaft_covered"], masks["mask_on_shaft"]
    return [
        f"Masks on the counted frames: given on {_share(masks['frames_with_mask'])}. Of the {BEHIND_MM:g} mm of shaft "
        f"behind the marked tip a mask covers {_pc(covered['median'])} (median), at least half on "
        f"{_share(masks['shaft_half_covered'])}. Of a mask {_pc(on_shaft['median'])} (median) lie within "
        f"{SHAFT_HALF_MM:g} mm of the marked axis and at most {BEYOND_MM:g} mm beyond the tip; at least half of it on "
        f"{_share(masks['mask_mostly_on_shaft'])}. A mask lies on what is no needle where {_pc(ON_LURE)} of it do; on "
        f"the bone line that is {whole['on_lure'].get('bone line', 0)} of {whole['frames']} frames."
    ]


def _silence_text(results: tuple[StillsResult, ...]) -> list[str]:
    lines = ["## Real stills of the false-alarm half, moved as cines", "",
             "Stills that no model has learnt from, none of an infant's spine: a frame without an answer is right.", "",
             "| set | cines of stills | frames | answered | unfamiliar | not answered |", "|---|---|---|---|---|---|"]
    for result in results:
        f = stills_figures(result)
        lines.append(f"| {result.name} | {f['cines']} of {f['stills']} | {f['frames']} | {_share(f['shown'])} | "
                     f"{_share(f['unfamiliar'])} | {_share(f['silent'])} |")
    return lines


def _simulated_text(results: tuple[SimulatedResult, ...]) -> list[str]:
    lines = ["## Simulated sets, where the plugin should speak", "",
             "Re-styled sets have the tones and the fine texture of real stills that no model has learnt from.", "",
             "| set | shows | look of | clips | frames | answered | unfamiliar | not answered |",
             "|---|---|---|---|---|---|---|---|"]
    for result in results:
        f = run_figures(result.runs)
        lines.append(f"| {result.name} | {result.shows} | {result.style or 'the simulator'} | {len(result.runs)} | "
                     f"{f['frames']} | {_share(f['shown'])} | {_share(f['unfamiliar'])} | {_share(f['silent'])} |")
    return lines


_RECORDED_TITLE = {
    Gives.TIP: "Recordings without a needle",
    Gives.MASK: "Recordings without a needle",
    Gives.FLAGS: "Recordings without an infant's spine",
}


def _plain_text(title: str, results: tuple[PlainResult, ...], gives: Gives) -> list[str]:
    thing = {Gives.TIP: "a tip", Gives.MASK: "a mask", Gives.FLAGS: "an answer"}[gives]
    head = f"| | files | files with {thing} | frames | shown | unfamiliar | shown and not flagged |"
    lines = [f"## {title}", "", head, "|---|---|---|---|---|---|---|"]
    for words, f in plain_figures(results).items():
        lines.append(f"| {words} | {f['files']} | {_share(f['files_with_tip'])} | {f['frames']} | "
                     f"{_share(f['shown'])} | {_share(f['unfamiliar'])} | {_share(f['shown_unwarned'])} |")
    lines += ["", "| case | shows | frames | shown | unfamiliar | region |", "|---|---|---|---|---|---|"]
    for r in results:
        run = r.run
        shows = f"{r.shows} ({HOLDS_WORDS[r.holds]})" if r.sha256 else r.shows
        lines.append(f"| {run.name} | {shows} | {len(run.frames)} | {run.shown} | {run.unfamiliar} | "
                     f"{whole_region(run)} |")
    return lines


def _n(value: float | None, decimals: int = 2) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def _pc(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _share(figure: Figures) -> str:
    return f"{figure['hits']} of {figure['n']}" + ("" if figure["value"] is None else f" ({_pc(figure['value'])})")
