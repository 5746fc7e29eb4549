"""`puncta run`: analyse a source frame by frame and write what was found."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

from puncta.cli.compare import prepare_comparison, tidy_comparison
from puncta.cli.progress import ProgressLine
from puncta.cli.stop_signals import at_stop
from puncta.core.errors import UserError
from puncta.core.findings import STATE_WORDS
from puncta.session.figure_words import count_of
from puncta.session.plugins import models_by_plugin, options_by_plugin, promoted_here
from puncta.session.run import RunRequest, RunStopped, RunSummary, run_case

NAME = "run"
LONGEST_S = 1e9
HELP = "analyse a source frame by frame; write results, video, report"
DESCRIPTION = """\
Analyse every frame of a source and write what the plugins found.

The result repeats to the byte with --no-timings: every frame is analysed in order, on the CPU, with the precision
of the model's card. Frames count from 0 as decoded. Ctrl+C leaves no file behind; a simulator or a live source without
--seconds or --frames runs until Ctrl+C and then closes its files properly. With --frames A:B the plugins see the frames
just before A too, as they do after a seek in the window. What the same command wrote before is written over; a file
of somebody else is refused, unless --force is given.

SOURCE is a file (.dcm .mp4 .avi .mov .mkv .mha .mhd .nrrd), a folder of pictures, a session folder, a simulator such as
sim:breast?seed=1, or a live source: camera:0, rtsp://HOST/NAME, udp://@:5000, igtl://HOST:18944; 'puncta open --help'
says more of those."""
EPILOG = """\
Examples:
  puncta run clip.mp4 --out clip-tip.mp4 --results clip.jsonl
  puncta run case.dcm --frames 100:200 --results part.jsonl --no-timings
  puncta run "sim:breast?seed=1&machine=B" --seconds 10 --report breast.html
  puncta run session --model ID --compare
  puncta run spine.dcm --plugins infant-lp --option infant-lp.heat_map=csf --out spine.mp4

Simulation and training only, not for clinical use."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("source", metavar="SOURCE", help="a file, a folder, a live address, or sim:breast?seed=1")
    parser.add_argument("--plugins", metavar="A,B", default="needle-tip", help="plugins to run (default: needle-tip)")
    parser.add_argument("--model", metavar="ID", action="append", default=[], help="use this model for its plugin")
    parser.add_argument(
        "--option", metavar="PLUGIN.NAME=VALUE", action="append", default=[], help="set an option of a plugin"
    )
    parser.add_argument("--frames", metavar="A:B", help="half-open range of decoded frames, from 0; A: and :B work too")
    parser.add_argument("--seconds", metavar="N", type=float, help="stop after N seconds of the source's own time")
    parser.add_argument("--out", metavar="X.mp4", type=Path, help="write a video with the overlay, at the stored times")
    parser.add_argument("--results", metavar="X.jsonl", type=Path, help="write one line of results a frame")
    parser.add_argument("--no-timings", action="store_true", help="leave timings out, so that two runs are identical")
    parser.add_argument(
        "--compare", metavar="X.jsonl", nargs="?", const="", default=None,
        help="of a session: compare with what was recorded with it, or with another analysis, and print a small table",
    )  # fmt: skip
    parser.add_argument("--differences", metavar="X.csv", type=Path, help="with --compare: write them frame by frame")
    parser.add_argument("--force", action="store_true", help="write over files that this program did not make, too")
    parser.add_argument("--report", metavar="X.html", type=Path, help="write a report that opens in any browser")


def run(args: argparse.Namespace) -> int:
    """Carry the run out and print one screen about it."""
    if args.seconds is not None and not 0 < args.seconds < LONGEST_S:
        raise UserError(f"--seconds {args.seconds:g} is not a time; give a number of seconds above 0.")
    plugins = tuple(dict.fromkeys(p.strip() for p in args.plugins.split(",") if p.strip()))
    if not plugins:
        raise UserError("--plugins names no plugin; 'puncta plugins list' shows which there are.")
    request = RunRequest(
        args.source,
        plugins,
        models_by_plugin(args.model, plugins),
        parse_range(args.frames),
        args.seconds,
        args.out,
        args.results,
        args.report,
        not args.no_timings,
        options_by_plugin(args.option, plugins),
        args.force,
    )
    request, compare = prepare_comparison(request, args.compare, args.differences)
    stop = threading.Event()
    line = ProgressLine("frame")
    try:
        with at_stop(stop.set):
            summary = run_case(request, stop=stop, progress=line.show)
    except RunStopped as stopped:
        line.clear()
        print(f"puncta: {stopped}", file=sys.stderr)
        return 130
    finally:
        line.clear()
        tidy_comparison(request)
    _print(summary)
    if compare is not None:
        compare(summary)
    return 0


def parse_range(text: str | None) -> tuple[int, int | None]:
    """Return the half-open range of "A:B", "A:", ":B" or None.

    Raises
    ------
    UserError
        Not a range.
    """
    if text is None:
        return 0, None
    first, colon, end = text.partition(":")
    try:
        span = int(first or 0), int(end) if end else None
    except ValueError:
        span = (-1, None)
    if not colon or span[0] < 0 or (span[1] is not None and span[1] < 0):
        raise UserError(f"'{text}' is not a range of frames; write A:B, for example 0:100.")
    return span


def _print(summary: RunSummary) -> None:
    info = summary.info
    kind = "simulated" if info.simulated else "recorded"
    print(f"{info.title} ({kind}, {info.geometry.width_px} x {info.geometry.height_px} px)")
    rate = summary.frames / summary.elapsed_s if summary.elapsed_s else 0.0
    verb = "Stopped after" if summary.stopped else "Analysed"
    frames = count_of(summary.frames, "frame")
    print(f"  {verb} {frames} in {summary.elapsed_s:.1f} s ({rate:.0f} frames/s)")
    if summary.models:
        promoted = promoted_here(summary.models)
        words = (f"{model}{' (promoted)' if plugin in promoted else ''}" for plugin, model in summary.models.items())
        print(f"  Models: {', '.join(words)}")
    for plugin, count in summary.found.items():
        print(f"  {plugin}: found on {count} of {frames}")
    for name, counts in summary.findings.items():
        told = ", ".join(f"{STATE_WORDS[value]} {counts[value]}" for value in (True, False, None))
        print(f"  {name}: {told} of {frames}")
    for plugin, message in summary.faults.items():
        print(f"  {plugin}: {message}", file=sys.stderr)
    for note in summary.notes:
        print(f"  {note}", file=sys.stderr)
    for path in summary.written:
        print(f"  wrote {path}")
    if not summary.written:
        print("  Nothing was written; name files with --out, --results or --report.")
    print("Simulation and training only, not for clinical use.")
