"""Parses the command line, runs one verb, and turns every failure into an exit status and a plain sentence.

Exit status: 0 done; 2 wrong use or bad input (one sentence on stderr, no traceback); 1 our fault (the log has it).
"""

from __future__ import annotations

import argparse
import errno
import importlib
import logging
import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from puncta import __version__, paths
from puncta.core.errors import UserError

log = logging.getLogger("puncta")

VERBS = ("open", "run", "record", "simulate", "dataset", "train", "evaluate", "models", "plugins", "cases",
         "annotations", "bench", "regions", "doctor")

FULL = (errno.ENOSPC, errno.EDQUOT)

SAFETY_LINE = "Simulation and training only, not for clinical use."

_DESCRIPTION = f"""\
Puncta plays ultrasound cine loops and its own simulator, finds the needle tip on every frame,
and shows what it found. {SAFETY_LINE}

Without a verb the window opens on the last case, or on the sample."""

_EPILOG = """\
SOURCE is a file (.dcm .mp4 .avi .mov .mkv .mha .mhd .nrrd), a folder of pictures, a session folder,
a simulator such as 'sim:breast?seed=1&machine=A' (breast, nerve, vessel, infant-lp; &steer=yes to steer it),
or a live source: camera:0, rtsp://HOST/NAME, udp://@:5000, igtl://HOST:18944 ('puncta open --help' says more).

Examples:
  puncta                                          the window
  puncta run clip.mp4 --out clip-tip.mp4 --results clip.jsonl
  puncta run "sim:nerve?seed=3" --seconds 5 --results tip.jsonl
  puncta doctor                                   is everything in place here?
  puncta run --help                               more about one verb

Exit status: 0 done, 2 wrong use or bad input, 1 a fault of Puncta (the message names the log)."""


class PlainParser(argparse.ArgumentParser):
    """Says what is wrong in one sentence instead of a usage block."""

    def parse_known_args(self, args=None, namespace=None):
        """Refuse an option that this very verb does not have; the parser above it knows other options."""
        known, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(self._say_unknown(rest[0]))
        return known, rest

    def _say_unknown(self, word: str) -> str:
        name = word.partition("=")[0]
        if not name.startswith("-"):
            return f"'{word}' is one word too many; a name with spaces stands in quotes"
        near = get_close_matches(name, list(self._option_string_actions), 1)
        return f"there is no option {name}" + (f"; the nearest is {near[0]}" if near else "")

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        text = _plain(message)
        text = text[:1].upper() + text[1:]
        self.exit(2, f"{self.prog}: {text}{'' if text.endswith('?') else '.'} See '{self.prog} --help'.\n")


def _plain(message: str) -> str:
    """Put what argparse says about a value into words that name no type of a programming language."""
    found = re.fullmatch(r"argument (\S*?)(?:/\S+)*: invalid (int|float) value: (.*)", message)
    if found:
        return f"{found[1]} wants {'a whole number' if found[2] == 'int' else 'a number'}, not {found[3]}"
    found = re.fullmatch(r"argument (\S+): expected one argument", message)
    if found:
        return f"{found[1]} needs a value"
    found = re.fullmatch(r"argument (\S+): invalid choice: (.*) \(choose from (.*)\)", message)
    if found:
        known = [word.strip("' ") for word in found[3].split(",")]
        near = get_close_matches(found[2].strip("'"), known, 1)
        there = f"there {'is only' if len(known) == 1 else 'are'} {', '.join(known)}"
        words = f"did you mean {near[0]}?" if near else there
        where = f" for {found[1]}" if found[1].startswith("-") else ""
        return f"there is no {found[2]}{where}; {words}"
    found = re.fullmatch(r"the following arguments are required: (.*)", message)
    return f"{found[1]} is missing" if found and "," not in found[1] and "|" not in found[1] else message


def main(argv: Sequence[str] | None = None, windows: ModuleType | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    windows : module or None
        The door to the window, given by `__main__`: `open_window(uri)` and `bench_window(...)`. This room never imports
        the toolkit itself.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # What OpenCV warns of while it reads a damaged picture is said by us, in one sentence; set before it is imported.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    _log_to_file()
    try:
        args = _parse(arguments)
        if args.verb is None:
            args.verb = _import("open")
            args.source = None
        args.windows = windows
        return args.verb.run(args)
    except UserError as error:
        print(f"puncta: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("puncta: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); nothing is wrong, and nothing more can be said there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            print("puncta: The disk is full; make room, or name another place.", file=sys.stderr)
            return 2
        log.exception("puncta %s failed", " ".join(arguments[:1]))
        print(
            f"puncta: Something went wrong inside Puncta; this is our fault. The details are in {log_file()}.",
            file=sys.stderr,
        )
        return 1


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = PlainParser(
        prog="puncta", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"Puncta {__version__}. {SAFETY_LINE}")
    parser.set_defaults(verb=None)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", parser_class=PlainParser)
    # Only the verb that is asked for is imported, so that a short command stays short.
    wanted = [v for v in VERBS if arguments and arguments[0] == v] or VERBS
    for name in wanted:
        verb = _import(name)
        child = verbs.add_parser(
            name,
            help=verb.HELP,
            description=getattr(verb, "DESCRIPTION", verb.HELP),
            epilog=getattr(verb, "EPILOG", SAFETY_LINE),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.configure(child)
        child.set_defaults(verb=verb)
    return parser.parse_args(arguments)


def _import(name: str) -> ModuleType:
    return importlib.import_module(f"puncta.cli.{name}")


def log_file() -> Path:
    """Where the log is."""
    return paths.user_log_dir() / "puncta.log"


def _log_to_file() -> None:
    """Send the log to a file; a folder that cannot be written costs the log, not the run."""
    logging.raiseExceptions = False  # a log that cannot be written is no reason for a traceback on the screen
    root = logging.getLogger()
    if any(isinstance(h, RotatingFileHandler) for h in root.handlers):
        return
    try:
        log_file().parent.mkdir(parents=True, exist_ok=True)
        handler: logging.Handler = RotatingFileHandler(log_file(), maxBytes=1_000_000, backupCount=2, delay=True)
    except OSError:
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
