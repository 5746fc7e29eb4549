"""`puncta evaluate PLUGIN --real CASES`: a plugin on real pictures, case by case."""

from __future__ import annotations

import argparse
from pathlib import Path

from puncta.cli.dataset import find_spec
from puncta.cli.outputs import check_output
from puncta.cli.progress import ProgressLine
from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.formats.jsontext import json_document, write_json

HELP_TEXT = """\
With --real CASES.toml the plugin runs over real pictures instead, exactly as `puncta run` runs it: a recording whose
tip was marked by hand in two passes (error along and across the axis, misses, circle, tips on what is no needle), real
stills moved as cines (false alarms, misses), recordings without a needle, and made pictures that are no ultrasound
(flagged, silent). --data then names the place that holds the folders of recordings and stills. Cases are reported one
by one; two runs give the same bytes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that only this kind of evaluation has."""
    parser.add_argument("--real", metavar="CASES.toml", type=Path, help="run over this list of real cases instead")
    parser.add_argument("--sets", metavar="DIR", type=Path,
                        help="with --real: build the sets of stills here, and keep them")
    parser.add_argument("--sheet", metavar="FILE.png", type=Path,
                        help="with --real: draw the marked frames with what was found; not to be handed on")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the tables as Markdown")


def refuse_alone(args: argparse.Namespace) -> None:
    """Raise UserError where an argument of this kind stands without --real."""
    for name in ("sets", "sheet"):
        if getattr(args, name) is not None:
            raise UserError(f"--{name} belongs to --real; name a list of real cases with it.")


def run(args: argparse.Namespace) -> int:
    """Run the plugin over the cases, print the tables and write the files."""
    from puncta.formats.real_cases import read_real_cases
    from puncta.session.real_check import run_real_check
    from puncta.session.real_report import document_of, markdown_of
    from puncta.session.real_sheet import write_sheet

    unfit = [name for name in ("split", "compare", "compare_model") if getattr(args, name) is not None]
    unfit += ["first_mask"] if args.first_mask else []
    if unfit:
        raise UserError(f"--{unfit[0].replace('_', '-')} does not go with --real; leave one out.")
    to_screen = args.json is not None and str(args.json) == "-"
    for path in (args.json if not to_screen else None, args.markdown, args.sheet):
        if path is not None:
            check_output(path)
    cases = read_real_cases(args.real)
    line = ProgressLine("case")
    try:
        result = run_real_check(
            args.plugin, cases, args.data, find_spec, model=args.model, sets=args.sets, progress=line.show
        )
    finally:
        line.clear()
    if args.sheet is not None:
        write_sheet(result, args.data, args.sheet)
    document = document_of(result)
    if to_screen:
        print(json_document(document), end="")
        return 0
    named = f"puncta evaluate {args.plugin} --real {_place(args.real)} --data DATA"
    text = markdown_of(result, named + (f" --model {args.model}" if args.model else ""))
    if args.json is not None:
        write_json(args.json, document)
    if args.markdown is not None:
        write_text_atomic(args.markdown, text)
    print(text, end="")
    for path in (args.json, args.markdown, args.sheet):
        if path is not None:
            print(f"wrote {path}")
    return 0


def _place(path: Path) -> str:
    """The list as it was named, but never a whole path of this machine."""
    return path.name if path.is_absolute() else path.as_posix()
