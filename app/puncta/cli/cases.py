"""`puncta cases`: what is done with a case as a whole; so far, exporting it."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

from puncta.cli.progress import ProgressLine
from puncta.cli.run import parse_range
from puncta.cli.stop_signals import at_stop
from puncta.session.figure_words import count_of

NAME = "cases"
HELP = "export a recorded session or another case: films, pictures, table, DICOM"
EXPORT = """\
Export a session or a file: a film with or without the overlay, a DICOM cine, single pictures, a table.

The findings are those that were recorded with the session; --results names another analysis of it, as 'puncta run'
writes it. Nothing is analysed here, and the session stays as it is. Either everything asked for is written, or nothing;
a file that is there already is refused, unless --force is given.
Films are coded with loss (H.264) at the stored times; the DICOM cine and the pictures keep every pixel."""
EXPORT_EPILOG = """\
Examples:
  puncta cases export session --burned film.mp4 --csv findings.csv
  puncta cases export session --dicom cine.dcm --frames 100:400
  puncta cases export session --results session/analyses/02-needle-tip.jsonl --burned again.mp4

Simulation and training only, not for clinical use."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    verbs = parser.add_subparsers(dest="cases_verb", required=True, metavar="ACTION", title="actions")
    export = verbs.add_parser(
        "export",
        help="write films, pictures, a table, a DICOM cine",
        description=EXPORT,
        epilog=EXPORT_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument("source", metavar="SOURCE", help="a session folder, or a file")
    export.add_argument("--raw", type=Path, metavar="X.mp4", help="the film without overlay")
    export.add_argument("--burned", type=Path, metavar="X.mp4", help="the film with the overlay burned in")
    export.add_argument(
        "--dicom", type=Path, metavar="X.dcm", help="an Ultrasound Multi-frame Image, labelled training"
    )
    export.add_argument(
        "--codec", choices=("rle", "jpeg-ls", "jpeg"), default="rle",
        help="of the DICOM cine: rle (default) and jpeg-ls keep every pixel, jpeg is small",
    )  # fmt: skip
    export.add_argument("--png", type=Path, metavar="DIR", help="a new folder with one PNG a frame and a table of them")
    export.add_argument("--csv", type=Path, metavar="X.csv", help="what was found, one row a result")
    export.add_argument("--results", type=Path, metavar="X.jsonl", help="another analysis than the recorded one")
    export.add_argument("--force", action="store_true", help="write over files that are there already")
    export.add_argument("--frames", metavar="A:B", help="half-open range of frames, from 0; A: and :B work too")


def run(args: argparse.Namespace) -> int:
    """Export and print one screen about it."""
    from puncta.session.export import ExportRequest, ExportStopped, export_case

    request = ExportRequest(
        args.source,
        args.results,
        parse_range(args.frames),
        args.raw,
        args.burned,
        args.dicom,
        args.codec,
        args.png,
        args.csv,
        args.force,
    )
    stop = threading.Event()
    line = ProgressLine("frame")
    try:
        with at_stop(stop.set):
            summary = export_case(request, stop=stop, progress=line.show)
    except ExportStopped:
        line.clear()
        print("puncta: Stopped; nothing was written.", file=sys.stderr)
        return 130
    finally:
        line.clear()
    kind = "simulated" if summary.info.simulated else "recorded"
    print(f"{summary.info.title} ({kind}): {count_of(summary.frames, 'frame')}, {summary.with_findings} analysed")
    for path in summary.written:
        print(f"  wrote {path}")
    print("Simulation and training only, not for clinical use.")
    return 0
