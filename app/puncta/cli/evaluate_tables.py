"""Figures of an evaluation as text for the screen and as Markdown, with the words that go with each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from puncta.formats.evaluation import Evaluation, Figure
from puncta.session.figure_words import GROUP_ROWS, ROWS, count_of, in_figures

MASKS_AGAINST = (
    "Masks are compared with the whole needle in the image plane where the dataset knows it (physical_segmentation),\n"
    "also where the needle fades, and else with what was traced."
)
GIVEN = "The true mask of each clip's first frame with a needle was given; that frame counts nowhere."
FORCED = (
    "Flags: a withheld answer counts as what its probability says, except among the decided. Labels follow this\n"
    "project's own rules."
)


def named(plugin: str, model: str | None) -> str:
    """A plugin with its model, as it is called in tables."""
    return f"{plugin} ({model})" if model else plugin


def table_of(evaluation: Evaluation, simulated: bool, clips: int) -> str:
    """Return the figures as text, tip error first; figures that nothing speaks about are left out."""
    part = f"split {evaluation.split}" if evaluation.split else "all splits"
    kind = "simulated data" if simulated else "recorded data"
    lines = [
        f"{named(evaluation.plugin, evaluation.model)} on {evaluation.data} ({kind}), {part}",
        f"{count_of(evaluation.frames, 'judged frame')} of {count_of(clips, 'clip')}; 95 % intervals over clips",
    ]
    if simulated:
        lines.append("Machines are presets of one simulator: figures say nothing about real scanners.")
    lines += _notes(evaluation)
    lines += ["", f"{'':36}{'value':>9}  {'95 % interval':^17}{'n':>7}"]
    for name, words, factor, form, _better in ROWS:
        metric = evaluation.metrics.get(name)
        if metric is not None and metric.n:
            lines.append(f"{words:36}{_figure(metric.value, factor, form):>9}  {_span(metric, factor, form):^17}"
                         f"{metric.n:>7}")
    for title, groups in (("machine", evaluation.per_machine), ("difficulty", evaluation.per_difficulty)):
        if groups:
            lines += ["", *_group_lines(title, groups)]
    return "\n".join(lines)


def _notes(evaluation: Evaluation) -> list[str]:
    """What a reader has to know about the figures that this evaluation holds."""
    notes = []
    if any(m.n for name, m in evaluation.metrics.items() if name.startswith("mask_")):
        notes.append(MASKS_AGAINST)
    if evaluation.prompt is not None:
        notes.append(GIVEN)
    if any(m.n for name, m in evaluation.metrics.items() if name.startswith("flag_")):
        notes.append(FORCED)
    return notes


def _group_lines(title: str, groups: Mapping[str, Mapping[str, Figure]]) -> list[str]:
    shown = [row for row in ROWS if row[0] in GROUP_ROWS and any(g[row[0]].n for g in groups.values() if row[0] in g)]
    lines = [f"{'by ' + title:36}" + "".join(f"{name:>24}" for name in groups)]
    for name, words, factor, form, _better in shown:
        cells = [_group_cell(g.get(name), factor, form) for g in groups.values()]
        lines.append(f"{words:36}" + "".join(f"{cell:>24}" for cell in cells))
    return lines


def _group_cell(metric: Figure | None, factor: float, form: str) -> str:
    if metric is None:
        return "-"
    return f"{_figure(metric.value, factor, form)} ({_span(metric, factor, form)})"


def difference_table(title: str, gaps: Mapping[str, Figure]) -> str:
    """Return paired differences as text, each with a word on what it means."""
    lines = [title, f"{'':36}{'difference':>10}  {'95 % interval':^19}"]
    for name, words, factor, form, better in ROWS:
        gap = gaps.get(name)
        if gap is None or gap.value is None:
            continue
        signed = form.replace("{:", "{:+")
        lines.append(
            f"{words:36}{_figure(gap.value, factor, signed):>10}  {_span(gap, factor, signed):^19}  "
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
    return "-" if value is None else in_figures(value * factor, form)


def _span(metric: Figure, factor: float, form: str) -> str:
    if metric.low is None or metric.high is None:
        return "-"
    return f"{in_figures(metric.low * factor, form)} .. {in_figures(metric.high * factor, form)}"


def markdown_of(
    evaluations: Sequence[Evaluation], gaps: Mapping[str, Figure], simulated: bool, clips: int, command: str = ""
) -> str:
    """Return one or two evaluations on the same data as Markdown, with their paired differences where there are any.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        The first is measured, the second compared with.
    gaps : mapping of str to Figure
        The first minus the second; empty without a second.
    command : str
        What was called, without paths of a machine.
    """
    first = evaluations[0]
    part = f"split {first.split}" if first.split else "all splits"
    kind = "simulated data" if simulated else "recorded data"
    lines = [f"# {' against '.join(named(e.plugin, e.model) for e in evaluations)} on {first.data}", ""]
    caution = " Machines are presets of one simulator: figures say nothing about real scanners." if simulated else ""
    frames, judged = count_of(first.frames, "judged frame"), count_of(clips, "clip")
    lines += [f"{frames} of {judged} ({kind}, {part}); 95 % intervals from 2,000 resamples of whole clips.{caution}"]
    lines += [""]
    lines += [f"{note.replace(chr(10), ' ')}" for note in _notes(first)]
    lines += [""] if lines[-1] else []
    if command:
        lines += ["```", command, "```", ""]
    columns = [named(e.plugin, e.model) + (" [95 %]" if k == 0 else "") for k, e in enumerate(evaluations)]
    columns += ["n"] + (["difference [95 %]"] if gaps else [])
    lines += ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, words, factor, form, better in ROWS:
        metric = first.metrics.get(name)
        if metric is None or not metric.n:
            continue
        cells = [_cell(e.metrics.get(name), factor, form) for e in evaluations] + [f"{metric.n:,}"]
        if gaps:
            gap = gaps.get(name)
            signed = form.replace("{:", "{:+")
            cells.append("-" if gap is None or gap.value is None
                         else f"{_cell(gap, factor, signed)} {_verdict(gap, better)}".rstrip())
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    for title, groups in (("machine", first.per_machine), ("difficulty", first.per_difficulty)):
        shown = [r for r in ROWS if r[0] in GROUP_ROWS and any(g[r[0]].n for g in groups.values() if r[0] in g)]
        if groups and shown:
            lines += ["", f"By {title}, {named(first.plugin, first.model)}:", "",
                      "| | " + " | ".join(groups) + " |", "|---" * (len(groups) + 1) + "|"]
            for name, words, factor, form, _better in shown:
                cells = [_cell(g.get(name), factor, form) for g in groups.values()]
                lines.append(f"| {words} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", "Simulation and training only, not for clinical use.", ""])


def _cell(metric: Figure | None, factor: float, form: str) -> str:
    if metric is None or metric.value is None:
        return "-"
    return f"{_figure(metric.value, factor, form)} [{_span(metric, factor, form)}]"
