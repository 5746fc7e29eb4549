"""A comparison of two models as it is kept in files and printed."""

from __future__ import annotations

from typing import Any

from puncta.formats.jsontext import rounded
from puncta.metrics.intervals import Estimate
from puncta.session.figure_words import ROWS, count_of, in_figures
from puncta.session.model_comparison import ComparedFigure, Comparison

FORMAT, VERSION = "puncta-comparison", 1


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain JSON values (schema `comparison`)."""

    def number(value: float | None, name: str) -> float | None:
        return None if value is None else rounded(value, 6, name)

    def figure(estimate: Estimate, name: str) -> dict[str, Any]:
        ends = {k: number(getattr(estimate, k), name) for k in ("value", "low", "high")}
        return {**ends, "n": int(estimate.n)}

    def row(one: ComparedFigure) -> dict[str, Any]:
        return {
            "name": one.name, "title": one.title, "unit": one.unit, "better": one.better,
            "old": figure(one.old, one.name), "new": figure(one.new, one.name),
            "difference": figure(one.difference, one.name), "verdict": one.verdict,
        }

    return {
        "format": FORMAT,
        "version": VERSION,
        "plugin": comparison.plugin,
        "old": {"model": comparison.old, "sha256": comparison.old_sha256},
        "new": {"model": comparison.new, "sha256": comparison.new_sha256},
        "data": comparison.data,
        "split": comparison.split,
        "simulated": comparison.simulated,
        "frames": comparison.frames,
        "clips": comparison.clips,
        "subjects": comparison.subjects,
        "figures": [row(r) for r in comparison.rows],
        "per_machine": {name: [row(r) for r in rows] for name, rows in sorted(comparison.per_machine.items())},
        "notes": list(comparison.notes),
    }


def as_markdown(comparison: Comparison, command: str = "") -> str:
    """Return a comparison as Markdown tables.

    Parameters
    ----------
    command : str
        What was called, without paths of a machine.
    """
    part = f"split {comparison.split}" if comparison.split else "all of it"
    kind = "simulated data" if comparison.simulated else "recorded data"
    subjects = f" of {count_of(comparison.subjects, 'subject')}" if comparison.subjects else ""
    frames, clips = count_of(comparison.frames, "judged frame"), count_of(comparison.clips, "clip")
    lines = [
        f"# {comparison.plugin}: {comparison.new} against {comparison.old} on {comparison.data}", "",
        f"{frames} of {clips}{subjects} ({kind}, {part}), the same for both; 95 % intervals from 2,000 resamples of "
        "whole clips, differences paired by clip.", "",
        *(f"- {note}" for note in comparison.notes), "",
    ]
    lines += ["```", command, "```", ""] if command else []
    lines += _table(comparison, comparison.rows)
    for machine, rows in sorted(comparison.per_machine.items()):
        lines += ["", f"Machine {machine}:", "", *_table(comparison, rows)]
    return "\n".join([*lines, "", "Simulation and training only, not for clinical use.", ""])


def _table(comparison: Comparison, rows: tuple[ComparedFigure, ...]) -> list[str]:
    lines = [f"| | {comparison.old} | {comparison.new} [95 %] | n | new minus old [95 %] | new is |", "|---" * 6 + "|"]
    for row in rows:
        words, old, new, gap = words_of(row)
        cells = (words, old[0], f"{new[0]} [{new[1]}]", f"{row.new.n:,}", f"{gap[0]} [{gap[1]}]", row.verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def words_of(row: ComparedFigure) -> tuple[str, tuple[str, str], tuple[str, str], tuple[str, str]]:
    """Return a figure's words, and value and interval of the old, the new and the difference as they are printed."""
    words, factor, form = next((w, f, form) for name, w, f, form, _better in ROWS if name == row.name)

    def shown(estimate: Estimate, form: str) -> tuple[str, str]:
        value = "-" if estimate.value is None else in_figures(estimate.value * factor, form)
        if estimate.low is None or estimate.high is None:
            return value, "-"
        return value, f"{in_figures(estimate.low * factor, form)} .. {in_figures(estimate.high * factor, form)}"

    return words, shown(row.old, form), shown(row.new, form), shown(row.difference, form.replace("{:", "{:+"))
