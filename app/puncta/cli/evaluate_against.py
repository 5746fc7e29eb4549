"""`puncta evaluate PLUGIN --model NEW --against OLD`: two models on the same frames."""

from __future__ import annotations

import argparse

from puncta.cli import real_check
from puncta.cli.outputs import check_output
from puncta.cli.progress import ProgressLine
from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.formats.jsontext import json_document, write_json
from puncta.session.comparison_text import as_json, as_markdown, words_of
from puncta.session.figure_words import count_of
from puncta.session.model_comparison import ComparedFigure, Comparison, compare_models
from puncta.session.plugins import all_models


def run(args: argparse.Namespace) -> int:
    """Compare and print.

    Raises
    ------
    UserError
        The two models cannot be compared, or an output cannot be written.
    """
    if args.real is not None:
        raise UserError("--against compares on a dataset; leave --real out.")
    real_check.refuse_alone(args)
    if args.compare or args.compare_model:
        raise UserError("--against compares two models of one plugin and --compare two plugins; name one of them.")
    to_screen = args.json is not None and str(args.json) == "-"
    for path in (None if to_screen else args.json, args.markdown):
        if path is not None:
            check_output(path)
    new = args.model or all_models().default_for(args.plugin).identity
    line = ProgressLine("clip")
    try:
        comparison = compare_models(
            args.plugin, args.against, new, args.data, split=args.split or "test", first_mask=args.first_mask,
            tell=line.show,
        )
    finally:
        line.clear()
    if args.markdown is not None:
        write_text_atomic(args.markdown, as_markdown(comparison, _command(args, comparison)))
    if to_screen:
        print(json_document(as_json(comparison)), end="")
        return 0
    if args.json is not None:
        write_json(args.json, as_json(comparison))
    print(table_of(comparison) + "\n")
    for path in (args.json, args.markdown):
        if path is not None:
            print(f"wrote {path}")
    print("Simulation and training only, not for clinical use.")
    return 0


def table_of(comparison: Comparison) -> str:
    """Return a comparison as text for the screen."""
    part = f"split {comparison.split}" if comparison.split else "all splits"
    kind = "simulated data" if comparison.simulated else "recorded data"
    subjects = f", {count_of(comparison.subjects, 'subject')}" if comparison.subjects else ""
    counted = f"{count_of(comparison.frames, 'judged frame')}, {count_of(comparison.clips, 'clip')}{subjects}"
    lines = [
        f"{comparison.plugin}: {comparison.new} (new) against {comparison.old} (old)",
        f"{counted} of {comparison.data} ({kind}, {part})",
        "Both models saw the same frames; 95 % intervals of their difference, paired by clip.",
        *comparison.notes,
        "", *_lines("all", comparison.rows),
    ]
    for machine, rows in sorted(comparison.per_machine.items()):
        lines += ["", *_lines(f"machine {machine}", rows)]
    return "\n".join(lines)


def _lines(title: str, rows: tuple[ComparedFigure, ...]) -> list[str]:
    lines = [f"{title:36}{'old':>9}{'new':>9}{'new - old':>11}  {'95 % interval':^19}  new is"]
    for row in rows:
        words, old, new, gap = words_of(row)
        lines.append(f"{words:36}{old[0]:>9}{new[0]:>9}{gap[0]:>11}  {gap[1]:^19}  {row.verdict}")
    return lines


def _command(args: argparse.Namespace, comparison: Comparison) -> str:
    """The call in words that another machine can follow: of the dataset only its folder's name."""
    words = ["puncta evaluate", args.plugin, "--data", args.data.resolve().name]
    words += ["--model", comparison.new.replace(" ", "@"), "--against", comparison.old.replace(" ", "@")]
    words += ["--split", args.split] if args.split else []
    return " ".join([*words, *(["--first-mask"] if args.first_mask else [])])
