"""`puncta evaluate`: how well a plugin does on a labelled dataset."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from puncta.cli import real_check
from puncta.cli.progress import ProgressLine
from puncta.core.errors import UserError
from puncta.formats.evaluation import Evaluation, Figure, json_from_evaluation, write_evaluation
from puncta.formats.jsontext import json_document

NAME = "evaluate"
HELP = "measure a plugin on a labelled dataset"
DESCRIPTION = f"""\
Step a plugin over every clip of a dataset, as in the program, and print its figures with 95 % intervals.

Intervals come from 2,000 resamples of whole clips. The CPU and the precision of the model's card are used, so that
figures repeat; only the times differ between runs, and --no-timings leaves those out.

{real_check.HELP_TEXT}"""
EPILOG = """\
Examples:
  puncta evaluate needle-tip --data tip-test
  puncta evaluate needle-tip --data tip-test --compare needle-tip-baseline --json tip.json
  puncta evaluate needle-tip --real tests/data/real/cases.toml --data ../shared/data --markdown real.md

Simulation and training only, not for clinical use."""

ROWS = (
    ("tip_error_px", "tip error, median [px]", 1.0, "{:.1f}", -1),
    ("tip_error_mm", "tip error, median [mm]", 1.0, "{:.2f}", -1),
    ("tip_error_mm_p95", "tip error, 95 % below [mm]", 1.0, "{:.2f}", -1),
    ("tip_within_2mm", "tip within 2 mm [%]", 100.0, "{:.1f}", 1),
    ("tip_within_3mm", "tip within 3 mm [%]", 100.0, "{:.1f}", 1),
    ("miss_rate", "misses [%]", 100.0, "{:.1f}", -1),
    ("false_alarm_rate", "false alarms [%]", 100.0, "{:.1f}", -1),
    ("abstain_rate", "abstentions [%]", 100.0, "{:.1f}", 0),
    ("unfamiliar_rate", "called unfamiliar [%]", 100.0, "{:.1f}", 0),
    ("tip_ap50", "tip AP50 [%]", 100.0, "{:.1f}", 1),
    ("tip_ap10_50", "tip AP10..50 [%]", 100.0, "{:.1f}", 1),
    ("coverage90", "tips in their 90 % circle [%]", 100.0, "{:.1f}", 0),
    ("ece", "calibration error [%]", 100.0, "{:.1f}", -1),
    ("needle_ap50", "needle AP50 [%]", 100.0, "{:.1f}", 1),
    ("needle_ap70", "needle AP70 [%]", 100.0, "{:.1f}", 1),
    ("needle_iou", "needle overlap, mean [%]", 100.0, "{:.1f}", 1),
    ("angle_error_deg", "needle angle error, median [deg]", 1.0, "{:.1f}", -1),
    ("ms_per_frame", "time a frame, median [ms]", 1.0, "{:.2f}", -1),
)
"""Name, words, factor, format, and +1 where more is better, -1 where less is, 0 where neither."""
GROUP_ROWS = (
    "tip_error_mm", "tip_error_mm_p95", "tip_within_2mm", "tip_within_3mm", "miss_rate", "false_alarm_rate",
    "abstain_rate", "unfamiliar_rate", "tip_ap50", "coverage90", "ece",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("plugin", metavar="PLUGIN", help="plugin to measure, for example needle-tip")
    parser.add_argument("--data", metavar="DIR", type=Path, required=True,
                        help="dataset folder (Dataset v1); with --real the place of the recordings")
    parser.add_argument("--model", metavar="ID", help="use this model (default: the plugin's own)")
    parser.add_argument("--split", metavar="S", help='split to use; "all" for everything (default: test, else all)')
    parser.add_argument("--compare", metavar="OTHER", help="also measure this plugin and print paired differences")
    parser.add_argument("--compare-model", metavar="ID", help="model of the plugin that is compared with")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures of PLUGIN; - for the screen")
    parser.add_argument("--no-timings", action="store_true", help="leave times out, so that two runs are identical")
    real_check.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from puncta.session.evaluate import differences, evaluation_of, open_labelled_data, run_plugin

    if args.real is not None:
        return real_check.run(args)
    real_check.refuse_alone(args)
    if args.compare_model and not args.compare:
        raise UserError("--compare-model needs --compare; name the plugin to compare with.")
    to_screen = args.json is not None and str(args.json) == "-"
    if args.json is not None and not to_screen:
        real_check.check_output(args.json)
    data = open_labelled_data(args.data, args.split)
    line = ProgressLine("clip")
    try:
        first = run_plugin(
            args.plugin, data, model=args.model, timings=not args.no_timings, progress=line.show
        )
        other = None
        if args.compare:
            other = run_plugin(
                args.compare, data, model=args.compare_model, timings=not args.no_timings, progress=line.show
            )
    finally:
        line.clear()
    evaluation = evaluation_of(first, data)
    if to_screen:
        print(json_document(json_from_evaluation(evaluation)), end="")
        return 0
    if args.json is not None:
        write_evaluation(evaluation, args.json)
    print(table_of(evaluation, data.simulated, len(data.clips)))
    if first.faults:
        print(f"\nThe plugin failed on {first.faults} frames; they count as misses. The log has the details.")
    if other is not None:
        print()
        print(table_of(evaluation_of(other, data), data.simulated, len(data.clips)))
        print()
        title = f"{_named(first.plugin, first.model)} minus {_named(other.plugin, other.model)}, paired by clip"
        print(difference_table(title, differences(first, other)))
    if args.json is not None:
        print(f"\nwrote {args.json}")
    print("\nSimulation and training only, not for clinical use.")
    return 0


def _named(plugin: str, model: str | None) -> str:
    return f"{plugin} ({model})" if model else plugin


def table_of(evaluation: Evaluation, simulated: bool, clips: int) -> str:
    """Return the figures as text, tip error first; figures that nothing speaks about are left out."""
    part = f"split {evaluation.split}" if evaluation.split else "all splits"
    kind = "simulated data" if simulated else "recorded data"
    lines = [
        f"{_named(evaluation.plugin, evaluation.model)} on {evaluation.data} ({kind}), {part}",
        f"{evaluation.frames} judged frames of {clips} clips; 95 % intervals over clips",
    ]
    if simulated:
        lines.append("Machines are presets of one simulator: figures say nothing about real scanners.")
    lines += ["", f"{'':34}{'value':>9}  {'95 % interval':^17}{'n':>7}"]
    for name, words, factor, form, _better in ROWS:
        metric = evaluation.metrics.get(name)
        if metric is not None and metric.n:
            lines.append(f"{words:34}{_figure(metric.value, factor, form):>9}  {_span(metric, factor, form):^17}"
                         f"{metric.n:>7}")
    for title, groups in (("machine", evaluation.per_machine), ("difficulty", evaluation.per_difficulty)):
        if groups:
            lines += ["", *_group_lines(title, groups)]
    return "\n".join(lines)


def _group_lines(title: str, groups: Mapping[str, Mapping[str, Figure]]) -> list[str]:
    shown = [row for row in ROWS if row[0] in GROUP_ROWS and any(g[row[0]].n for g in groups.values() if row[0] in g)]
    lines = [f"{'by ' + title:34}" + "".join(f"{name:>24}" for name in groups)]
    for name, words, factor, form, _better in shown:
        cells = [f"{_figure(g[name].value, factor, form)} ({_span(g[name], factor, form)})" for g in groups.values()]
        lines.append(f"{words:34}" + "".join(f"{cell:>24}" for cell in cells))
    return lines


def difference_table(title: str, gaps: Mapping[str, Figure]) -> str:
    """Return paired differences as text, each with a word on what it means."""
    lines = [title, f"{'':34}{'difference':>10}  {'95 % interval':^19}"]
    for name, words, factor, form, better in ROWS:
        gap = gaps.get(name)
        if gap is None or gap.value is None:
            continue
        signed = form.replace("{:", "{:+")
        lines.append(
            f"{words:34}{_figure(gap.value, factor, signed):>10}  {_span(gap, factor, signed):^19}  "
            f"{_verdict(gap, better)}"
        )
    return "\n".join(lines)


def _verdict(gap: Figure, better: int) -> str:
    if better == 0:
        return ""
    if gap.low is None or gap.high is None:
        return "too few clips to tell"
    if gap.low * better > 0 and gap.high * better > 0:
        return "better"
    if gap.low * better < 0 and gap.high * better < 0:
        return "worse"
    return "no clear difference"


def _figure(value: float | None, factor: float, form: str) -> str:
    return "-" if value is None else form.format(value * factor)


def _span(metric: Figure, factor: float, form: str) -> str:
    if metric.low is None or metric.high is None:
        return "-"
    return f"{form.format(metric.low * factor)} .. {form.format(metric.high * factor)}"
