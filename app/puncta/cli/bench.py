"""`puncta bench`: measures Puncta on this machine."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

from puncta.cli.outputs import check_output
from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.session import bench

Add = Callable[[list[bench.Figure]], None]

NAME = "bench"
HELP = "measure speed and smoothness on this machine"
DESCRIPTION = """\
Measure what the manual promises: pipeline against bare model, random seeks, playback rate, the simulator's speed, the
needle tracker's speed (and a long run of it), the networks beside one another (where PyTorch is installed), and (where
there is a screen, or with QT_QPA_PLATFORM=offscreen) the window: frame in to painted, how late its timer is, and
steering: input to changed picture.
Close other programs first; a busy machine measures itself."""
EPILOG = """\
Parts: throughput, seek, playback, simulator, tracker, networks, window, steering; and, only when named, hour: a long
simulated Live (--minutes), watched for memory, frame rate and drift.

Simulation and training only, not for clinical use."""

PARTS = ("throughput", "seek", "playback", "simulator", "tracker", "networks", "window", "steering")
ONLY_WHEN_NAMED = ("hour",)
LONGEST_STEERING_S = 30.0
NEED_CLIP = {"throughput", "seek", "playback", "window"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--only", metavar="A,B", help="measure these parts only")
    parser.add_argument("--seconds", metavar="N", type=float, default=60.0, help="length of each playback (60)")
    parser.add_argument(
        "--tracker-frames",
        metavar="N",
        type=int,
        default=0,
        help="also run the needle tracker over N frames, 10000 say: does memory or time a frame grow?",
    )
    parser.add_argument("--minutes", metavar="N", type=float, default=60.0, help="length of the part 'hour' (60)")
    parser.add_argument("--source", metavar="SOURCE", help="what the part 'hour' plays (a simulated breast)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Measure, print, and write; figures that miss their mark are told, not failed."""
    wanted = tuple(args.only.split(",")) if args.only else PARTS
    known = PARTS + ONLY_WHEN_NAMED
    unknown = [p for p in wanted if p not in known]
    if unknown:
        raise UserError(f"There is no part '{unknown[0]}' to measure; the parts are {', '.join(known)}.")
    if not args.minutes > 0:
        raise UserError(f"--minutes {args.minutes:g} is not a time; give a number above 0.")
    if not args.seconds > 0:
        raise UserError(f"--seconds {args.seconds:g} is not a time; give a number above 0.")
    if args.json is not None:
        check_output(args.json)
    figures: list[bench.Figure] = []

    def add(found: list[bench.Figure]) -> None:
        for figure in found:
            print(_line(figure), flush=True)
        figures.extend(found)

    if "seek" in wanted:
        add(bench.measure_seeks())
    if "simulator" in wanted:
        from puncta.session.bench_simulator import measure_simulator

        for figure in measure_simulator():
            add([figure])
    if "tracker" in wanted:
        from puncta.session.bench_tracker import measure_tracker

        for figure in measure_tracker(max(0, args.tracker_frames)):
            add([figure])
    if "networks" in wanted:
        _networks(add)
    if NEED_CLIP.intersection(wanted):
        _with_clip(args, wanted, add)
    if "steering" in wanted:
        _in_window(args, lambda door: add(bench.measure_steering(min(args.seconds, LONGEST_STEERING_S), door)))
    if "hour" in wanted:
        from puncta.session.bench_hour import measure_hour

        _in_window(args, lambda door: add(measure_hour(args.minutes, args.source, door)))
    if args.json is not None:
        write_text_atomic(args.json, json.dumps(bench.document_of(figures), indent=2) + "\n")
        print(f"wrote {args.json}")
    return 0


def _with_clip(args: argparse.Namespace, wanted: tuple[str, ...], add: Add) -> None:
    with bench.bench_clip() as clip:
        if "seek" in wanted:
            add(bench.measure_cold_seeks(clip))
        if "throughput" in wanted:
            add(bench.measure_throughput(clip))
        if "playback" in wanted:
            add(bench.measure_playback(clip, args.seconds))
        if "window" in wanted:
            _window(args, clip, add)


def _networks(add: Add) -> None:
    if importlib.util.find_spec("torch") is None:
        print("The networks are not measured: PyTorch, which makes them, is not installed here.", file=sys.stderr)
        return
    # PyTorch takes seconds to import.
    from puncta.training.latency import measure_networks

    add(measure_networks())


def _window(args: argparse.Namespace, clip: Path, add: Add) -> None:
    _in_window(args, lambda door: add(bench.measure_window(clip, args.seconds, door)))


def _in_window(args: argparse.Namespace, measure: Callable[[Callable[..., dict]], None]) -> None:
    if args.windows is None:
        print("The window is not measured: the command line was started without one.", file=sys.stderr)
        return
    try:
        measure(args.windows.bench_window)
    except UserError as error:
        print(f"The window is not measured: {error}", file=sys.stderr)


def _line(figure: bench.Figure) -> str:
    value = "not measured" if figure.value is None else f"{figure.value:.3f} {figure.unit}"
    parts = [f"{figure.title}: {value}"]
    if figure.p50 is not None:
        parts.append(f"p50 {figure.p50:.2f}, p95 {figure.p95:.2f}, p99 {figure.p99:.2f}, max {figure.max:.2f}")
    if figure.reach:
        verdict = {True: "reached", False: "MISSED", None: "not judged"}[figure.met]
        parts.append(f"to reach: {figure.reach} ({verdict})")
    if figure.note:
        parts.append(figure.note)
    return "; ".join(parts)
