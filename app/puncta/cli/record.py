"""`puncta record`: a source into a session folder."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

from puncta.cli.run import LONGEST_S
from puncta.cli.stop_signals import at_stop
from puncta.core.errors import UserError
from puncta.recording.begun import take_never_began
from puncta.recording.recorder import RecordingStatus
from puncta.session.figure_words import count_of
from puncta.session.plugins import models_by_plugin
from puncta.session.record import RecordRequest, RecordSummary, record_case

NAME = "record"
HELP = "record a source into a session folder"
DESCRIPTION = """\
Record every frame of a source, without loss, into a session folder, with what the plugins find on it.

Only the ultrasound region is kept, so that names on the screen never enter; --whole-picture keeps all of it.
Ctrl+C ends the recording properly. A session is opened and analysed again like any file: puncta open DIR,
puncta run DIR --model ID. One that was cut off by a crash is put right when it is opened, and says so."""
EPILOG = """\
Examples:
  puncta record "sim:breast?seed=1" --out session --seconds 10
  puncta record clip.mp4 --out session --plugins none
  puncta run session --results again.jsonl

Simulation and training only, not for clinical use."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("source", metavar="SOURCE", help="a file, a folder, a live address, or sim:breast?seed=1")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of the session, a new one")
    parser.add_argument("--seconds", metavar="N", type=float, help="stop after N seconds of the source's own time")
    parser.add_argument(
        "--plugins", metavar="A,B", default="needle-tip", help="plugins to run, or none (default: needle-tip)"
    )
    parser.add_argument("--model", metavar="ID", action="append", default=[], help="use this model for its plugin")
    parser.add_argument("--whole-picture", action="store_true", help="keep the whole picture, names and all")


def run(args: argparse.Namespace) -> int:
    """Record and print one screen about it; 2 where it ended before it should have."""
    if args.seconds is not None and not 0 < args.seconds < LONGEST_S:
        raise UserError(f"--seconds {args.seconds:g} is not a time; give a number of seconds above 0.")
    named = tuple(dict.fromkeys(p.strip() for p in args.plugins.split(",") if p.strip()))
    plugins = () if named in ((), ("none",)) else named
    request = RecordRequest(
        args.source, args.out, args.seconds, plugins, models_by_plugin(args.model, plugins), args.whole_picture
    )
    for earlier in take_never_began():
        print(f"puncta: {earlier.words}", file=sys.stderr)
    stop = threading.Event()
    line = _Line()
    try:
        with at_stop(stop.set):
            summary = record_case(request, stop=stop, progress=line.show)
    finally:
        line.clear()
    _print(summary, args.out)
    return 2 if summary.ended_early else 0


class _Line:
    """One line that tells how the recording goes; only on a terminal."""

    def __init__(self) -> None:
        self._shown, self._wrote, self._last = sys.stderr.isatty(), False, ""

    def show(self, status: RecordingStatus) -> None:
        text = recording_words(status)
        if self._shown and text != self._last:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
            self._last, self._wrote = text, True

    def clear(self) -> None:
        if self._wrote:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def recording_words(status: RecordingStatus) -> str:
    """Return a recording under way in one line."""
    text = f"REC {status.seconds:.0f} s, {count_of(status.stored, 'frame')}"
    if status.lost:
        text += f", {status.lost} lost"
    if status.disk_left_s is not None:
        text += f", disk for {duration_words(status.disk_left_s)}"
    return text


def duration_words(seconds: float) -> str:
    """Return a length of time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"


def _print(summary: RecordSummary, folder: Path) -> None:
    status, info = summary.status, summary.info
    received = status.stored + status.lost
    print(f"{info.title} -> {folder}")
    frames = count_of(received, "frame")
    print(f"  {status.stored} of {frames} stored, {status.seconds:.1f} s, {status.bytes / 1e6:.1f} MB")
    if status.lost:
        lost = count_of(status.lost, "frame")
        print(f"  {lost} lost; the session says where and why (puncta doctor {folder})", file=sys.stderr)
    if summary.analysed:
        print(f"  {count_of(summary.analysed, 'frame')} analysed")
    if summary.ended_early:
        print(f"puncta: {summary.ended_early}", file=sys.stderr)
    print("Simulation and training only, not for clinical use.")
