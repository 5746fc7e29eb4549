"""`puncta models pictures`: what a model does on simulated test sets, as pictures for its card."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from puncta.cli.progress import ProgressLine
from puncta.core.errors import UserError
from puncta.inference.registry import Registry

HELP = "draw a model's successes and failures on simulated sets, for its card"
DESCRIPTION = """\
Step a model's plugin over simulated test sets and draw two sheets for its card, NAME-failures.png and
NAME-successes.png: the worst errors, misses and false alarms, one picture a clip, by machine and difficulty; and
typical successes. Sets that show anything real are refused: their pictures are not handed on."""


def add_parser(verbs: Any) -> None:
    """Add the action to those of `puncta models`."""
    parser = verbs.add_parser("pictures", help=HELP, description=DESCRIPTION,
                              formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("id", metavar="ID", help="the model")
    parser.add_argument("--data", metavar="DIR", type=Path, action="append", required=True,
                        help="a simulated dataset; may be given again")
    parser.add_argument("--split", metavar="S", help='split to use; "all" for everything (default: test, else all)')
    parser.add_argument("--out", metavar="NAME", type=Path, required=True,
                        help="where the sheets go: folder and the begin of their names")


def run(args: argparse.Namespace) -> int:
    """Draw the sheets.

    Raises
    ------
    UserError
        No such model or set, or a set that is not wholly simulated.
    """
    from puncta.session.case_pictures import open_simulated_sets, picture_cases

    card = Registry.load().find(args.id)
    if not args.out.absolute().parent.is_dir():
        raise UserError(f"The folder {args.out.parent} does not exist; make it first or name another place.")
    sets = open_simulated_sets(args.data, args.split)
    line = ProgressLine("clip")
    try:
        written = picture_cases(card.plugin, sets, args.out, model=card.identity, progress=line.show)
    finally:
        line.clear()
    for path in written:
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    print("Simulation and training only, not for clinical use.")
    return 0
