"""`puncta regions`: how well region and depth scale of a captured screen are found."""

from __future__ import annotations

import argparse
from pathlib import Path

from puncta.cli.outputs import check_output
from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic

HELP = "measure how well region and depth scale of a captured screen are found"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--seed", type=int, default=303, help="simulated screens of this seed (default 303)")
    parser.add_argument("--no-simulated", action="store_true", help="leave the simulated screens out")
    parser.add_argument("--screens", type=Path, metavar="DIR", help="a folder of real screens, with --drawn")
    parser.add_argument("--drawn", type=Path, metavar="BOXES.toml", help="boxes drawn by a person, by file name")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table as Markdown")


def run(args: argparse.Namespace) -> int:
    """Measure and print the table; 1 where a region or a scale is stated and is not so."""
    from puncta.session.region_check import RegionCase, check_drawn, check_simulated, markdown_of

    if (args.screens is None) != (args.drawn is None):
        raise UserError("--screens and --drawn belong together; give both or none.")
    if args.no_simulated and args.screens is None:
        raise UserError("Nothing is left to measure; give --screens, or leave --no-simulated out.")
    if args.markdown is not None:
        check_output(args.markdown)
    cases: list[RegionCase] = []
    if args.screens is not None:
        cases += check_drawn(args.screens, args.drawn)
    if not args.no_simulated:
        cases += check_simulated(args.seed)
    command = "puncta regions" + ("" if args.no_simulated else f" --seed {args.seed}")
    command += "" if args.screens is None else " --screens DIR --drawn regions-drawn.toml"
    text = markdown_of(cases, command)
    print(text, end="")
    if args.markdown is not None:
        write_text_atomic(args.markdown, text)
    return 1 if any(case.wrong or case.wrong_scale for case in cases) else 0
