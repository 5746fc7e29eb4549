"""`puncta open`: the window on a source."""

from __future__ import annotations

import argparse

from puncta.core.errors import BugError

NAME = "open"
HELP = "open the window on a source"
DESCRIPTION = "Open the window on a source and play it. Without SOURCE: the last case, or the sample."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("source", metavar="SOURCE", nargs="?", help="a file, a folder, or sim:breast?seed=1&steer=yes")


def run(args: argparse.Namespace) -> int:
    """Open the window and return when it is closed."""
    if args.windows is None:
        raise BugError("the command line was started without a window to open")
    return args.windows.open_window(args.source)
