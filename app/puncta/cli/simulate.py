"""`puncta simulate`: write a simulated cine as DICOM or MP4, with its truth; a script of moves may steer it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from puncta import __version__
from puncta.cli.progress import ProgressLine
from puncta.core.errors import BugError, UserError
from puncta.formats.atomic import plain_os_error
from puncta.formats.own_files import is_our_output

if TYPE_CHECKING:
    from puncta.core.frame import FrameKey
    from puncta.formats.moves import MoveScript
    from puncta.sim.attempt import AttemptLog
    from puncta.sim.case_truth import CaseTruth
    from puncta.sim.cine import CineGenerator
    from puncta.sim.controls import Controls
    from puncta.sim.truth import FrameTruth
    from puncta.sources.simulated_address import SimulationRequest

NAME = "simulate"
HELP = "write a simulated cine, with its truth if wanted"
DESCRIPTION = """\
Simulate an ultrasound cine of a needle procedure and write it as DICOM (.dcm) or video (.mp4).

The same arguments give the same pictures. Everything written says that it is simulated."""
EPILOG = """\
Machines A, B and C are the family that models train on, D and E are kept for tests, F is a handheld look.
With --script the moves of a file steer probe and needle; a script that the window has saved also knows its subject.

Examples:
  puncta simulate breast --seed 3 --out case.dcm --truth truth
  puncta simulate infant-lp --view transverse --level L4-L5 --weight 3.5 --out lp.dcm
  puncta simulate vessel --script moves.toml --out attempt.mp4 --truth truth --maps labels

Simulation and training only, not for clinical use."""
SUFFIXES = (".dcm", ".mp4")
DEFAULT_FRAMES = 120
DEFAULT_QUALITY = 90
LONGEST = 100_000
AFTER_LAST_MOVE_S = 1.0
"""A scripted cine goes on so long after its last move [s]."""
SCRIPT_FPS = 30.0
"""Rate of a scripted cine where nothing says otherwise [frames/s]."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add("procedure", metavar="PROCEDURE", help="breast, nerve, vessel or infant-lp")
    add("--machine", metavar="M", help="machine A to G (default: A)")
    add("--seed", metavar="N", type=int, help="chooses the subject (default: 1)")
    add("--frames", metavar="N", type=int, help=f"number of frames (default: {DEFAULT_FRAMES}, or the script's length)")
    add("--fps", metavar="R", type=float, help="frames a second, 5 to 60 (default: the machine's own rate)")
    add("--size", metavar="WxH", help="size of the picture in pixels (default: the machine's screen)")
    subject = parser.add_argument_group("the subject; what is not given is drawn from the seed")
    subject.add_argument("--view", metavar="V", help="short-axis, long-axis; longitudinal, transverse (infant-lp)")
    subject.add_argument("--lesion", metavar="L", help="cyst, benign, malignant or none (breast)")
    subject.add_argument("--weight", metavar="KG", help="2 to 8 (infant-lp)")
    subject.add_argument("--level", metavar="L", help="interspace, T12-L1 to L5-S1 (infant-lp)")
    subject.add_argument("--condition", metavar="C", help="clear, haematoma, poor-contact, off-midline or bone")
    needle = parser.add_argument_group("the needle")
    needle.add_argument(
        "--approach", metavar="A",
        help="in-plane or out-of-plane (default: drawn from the seed, as often as it is usual for the view; "
        "with --script always the usual one)",
    )
    needle.add_argument("--no-needle", action="store_true", help="leave the needle out")
    needle.add_argument(
        "--start", choices=("outside", "inside", "any"),
        help="where the needle is at the first frame (default: outside)",
    )
    needle.add_argument("--script", metavar="MOVES.toml", type=Path, help="moves that steer probe and needle")
    out = parser.add_argument_group("the output")
    out.add_argument("--no-furniture", action="store_true", help="only the ultrasound picture: no ruler, no text")
    out.add_argument(
        "--codec", choices=("jpeg", "jpeg-ls", "rle"),
        help="how a DICOM file holds its pictures: jpeg is small, the others keep every pixel (default: jpeg)",
    )
    out.add_argument("--quality", metavar="N", type=int, help="JPEG quality 1 to 95 (default: 90)")
    out.add_argument("--out", metavar="FILE", type=Path, required=True, help="the file to write: .dcm or .mp4")
    out.add_argument("--force", action="store_true", help="write over files that this program did not make, too")
    out.add_argument(
        "--truth", metavar="DIR", type=Path,
        help="a folder for truth.json and truth.jsonl, with --script also attempt.json",
    )
    out.add_argument("--maps", metavar="A,B", help="truth maps to write too: masks, labels, flow or all")


def run(args: argparse.Namespace) -> int:
    """Write the cine, then its truth."""
    from puncta.sim.case_truth import CaseTruth, maps_from_text

    _check_output(args)
    maps = maps_from_text(args.maps)
    script = _read_script(args)
    request = request_of(args, script)
    generator = request.open_generator()
    steps = _scripted(script, request, generator) if script is not None else None
    count = args.frames or (len(steps) if steps is not None else DEFAULT_FRAMES)
    log = _log_of(generator) if steps is not None else None
    truths: list[FrameTruth] = []
    times_ns: list[int] = []
    with CaseTruth(generator, args.truth, maps) as case:

        def frames() -> Iterator[NDArray[np.uint8]]:
            for pixels, truth in _render(generator, count, steps, log):
                case.add(truth)
                truths.append(truth)
                times_ns.append(truth.t_ns)
                yield pixels

        _write_pictures(args, request, generator, frames(), times_ns)
        if args.truth is not None:
            _write_truth(args, case, log, generator, len(truths))
    print(_outcome(args, request, generator, times_ns, log))
    return 0


def request_of(args: argparse.Namespace, script: MoveScript | None = None) -> SimulationRequest:
    """Turn arguments into a request; where they say nothing, a script's own subject counts, then the defaults.

    Raises
    ------
    UserError
        Something does not exist, does not fit the procedure, or does not go with a script.
    """
    from puncta.sim.moves import check_procedure
    from puncta.sim.subject import PROCEDURES
    from puncta.sources.moves import request_of_script
    from puncta.sources.simulated_address import SimulationRequest, check_name, parse_simulation

    procedure = check_name("simulated procedure", args.procedure, PROCEDURES)
    known = None
    if script is not None:
        check_procedure(script, procedure)
        known = request_of_script(script)
    if known is not None and known.procedure != procedure:
        raise UserError(f"The script's title is the address of a simulated {known.procedure}, not of {procedure}; "
                        f"simulate {known.procedure}, or take 'title' out of the script.")
    if known is None:
        known = SimulationRequest(procedure, size_px=None, steer=script is not None)
    words = {
        "machine": args.machine, "seed": args.seed, "fps": args.fps, "size": args.size, "view": args.view,
        "lesion": args.lesion, "weight": args.weight, "level": args.level, "condition": args.condition,
        "approach": args.approach, "start": args.start,
    }
    given = [f"{key}={value}" for key, value in words.items() if value is not None]
    try:
        asked = parse_simulation(f"sim:{procedure}?{'&'.join(given)}")
    except UserError as error:
        raise UserError(_as_option(str(error), words)) from None
    fields = {"machine": "machine", "seed": "seed", "fps": "fps", "size": "size_px", "approach": "approach",
              "start": "start"}
    request = replace(known, **{f: getattr(asked, f) for key, f in fields.items() if words[key] is not None})
    own = asked.options.given()
    if own:
        request = replace(request, options=replace(request.options, **own))  # type: ignore[arg-type]
    if args.no_furniture:
        request = replace(request, furniture=False)
    if args.no_needle and script is None:
        for option, value in (("--start", args.start), ("--approach", args.approach)):
            if value is not None:
                raise UserError(f"{option} says how the needle comes, and --no-needle leaves it out; take one of them.")
    if script is None:
        return replace(request, needle=not args.no_needle)
    for option, value in (("--no-needle", args.no_needle), ("--start", args.start is not None)):
        if value:
            raise UserError(f"{option} does not go with --script, whose needle begins outside; leave one of them out.")
    return request if request.fps is not None else request.at_rate(SCRIPT_FPS)


def _as_option(sentence: str, words: dict[str, object]) -> str:
    """Name an option as it is written on the command line."""
    head, mark, tail = sentence.partition("=")
    return f"--{head} {tail}" if mark and head in words else sentence


def _check_output(args: argparse.Namespace) -> None:
    if args.out.suffix.lower() not in SUFFIXES:
        raise UserError(f"{args.out.name} ends in neither .dcm nor .mp4; name the output file with one of these.")
    if args.frames is not None and not 1 <= args.frames <= LONGEST:
        raise UserError(f"--frames {args.frames} is out of range; choose 1 to {LONGEST}.")
    if args.out.suffix.lower() == ".mp4" and (args.codec or args.quality is not None):
        option = "--codec" if args.codec else "--quality"
        raise UserError(f"{option} is for DICOM, a video has a codec of its own; leave it out, or write a .dcm file.")
    if args.codec in ("jpeg-ls", "rle") and args.quality is not None:
        raise UserError(f"--codec {args.codec} keeps every pixel, so --quality does not go with it; leave one out.")
    if args.quality is not None and not 1 <= args.quality <= 95:
        raise UserError(f"--quality {args.quality} is out of range; choose 1 to 95.")
    if args.maps and args.truth is None:
        raise UserError("--maps needs a folder to write into; add --truth DIR.")
    for path in (args.out, args.truth):
        if path is not None and not path.absolute().parent.is_dir():
            raise UserError(f"The folder {path.parent} does not exist; make it first or name another place.")
    if args.out.is_dir():
        raise UserError(f"{args.out} is a folder; name a file.")
    beside = [args.truth / name for name in ("truth.json", "attempt.json")] if args.truth is not None else []
    for path in (args.out, *beside):
        try:
            foreign = path.exists() and not args.force and not is_our_output(path)
        except OSError as error:
            raise plain_os_error(error, path, "write") from error
        if foreign:
            raise UserError(
                f"{path} is there already and no output of this command; give another name, or --force to write "
                "over it."
            )
    if args.truth is not None and args.truth.exists() and not args.truth.is_dir():
        raise UserError(f"{args.truth} is a file; --truth wants a folder.")


def _read_script(args: argparse.Namespace) -> MoveScript | None:
    if args.script is None:
        return None
    from puncta.formats.moves import read_moves

    return read_moves(args.script)


def _scripted(script: MoveScript, request: SimulationRequest, generator: CineGenerator) -> list[Controls]:
    """Controls of every frame, up to a second after the script's last move."""
    from puncta.sim.cine import frame_times_ns
    from puncta.sim.moves import controls_of

    last = 0
    rate = generator.machine.fps
    for move in script.moves:
        begin = move.at_frame if move.at_frame is not None else (move.at_s or 0.0) * rate
        last = max(last, round(begin + (move.over_s + AFTER_LAST_MOVE_S) * rate) + 1)
    if last > LONGEST:
        raise UserError(f"This script is {last} frames long, more than {LONGEST}; shorten it.")
    times = frame_times_ns(request.procedure, generator.machine, request.seed, max(1, last))
    return controls_of(script, [int(t) for t in times], request.procedure)


def _log_of(generator: CineGenerator) -> AttemptLog:
    from puncta.sim.attempt import AttemptLog

    return AttemptLog(generator.subject, generator.deformation)


def _render(
    generator: CineGenerator, count: int, steps: list[Controls] | None, log: AttemptLog | None
) -> Iterator[tuple[NDArray[np.uint8], FrameTruth]]:
    from puncta.sim.controls import STILL
    from puncta.sources.steered_view import watch

    progress = ProgressLine("frame")
    try:
        for k in range(count):
            controls = steps[k] if steps is not None and k < len(steps) else STILL
            pixels, truth = generator.next_frame(controls)
            if log is not None:
                watch(log, generator, truth, controls)
            progress.show(k + 1, count)
            yield pixels, truth
    finally:
        progress.clear()


def _write_pictures(
    args: argparse.Namespace, request: SimulationRequest, generator: CineGenerator, frames: Iterator[NDArray[np.uint8]],
    times_ns: list[int],
) -> None:
    from puncta.dicom.write import write_cine

    layout = generator.scan.layout
    if args.out.suffix.lower() == ".mp4":
        _write_video(args.out, frames, times_ns)
        return
    write_cine(
        args.out, frames, frame_times_ns=times_ns, mm_per_px=(layout.mm_per_px, layout.mm_per_px),
        region=layout.region, codec=args.codec or "jpeg",
        quality=DEFAULT_QUALITY if args.quality is None else args.quality,
        title=f"Simulated {request.procedure}", model_name=f"Simulated machine {generator.machine.name}",
    )


def _write_video(path: Path, frames: Iterator[NDArray[np.uint8]], times_ns: list[int]) -> None:
    """Encode as H.264; an odd row or column at the end is doubled, since H.264 wants even sides."""
    from puncta.recording.video_writer import VideoWriter

    writer = VideoWriter(path, timescale=90_000)
    try:
        for picture in frames:
            height, width = picture.shape
            grey = np.pad(picture, ((0, height % 2), (0, width % 2)), mode="edge")
            writer.put(np.dstack([grey, grey, grey]), times_ns[-1])
        writer.close()
    finally:
        writer.discard()


def _write_truth(
    args: argparse.Namespace, case: CaseTruth, log: AttemptLog | None, generator: CineGenerator, count: int
) -> None:
    """Read the written file back, since truth is keyed by the pictures as they decode."""
    from puncta.formats.attempt import write_attempt
    from puncta.sources.factory import open_source

    source = open_source(str(args.out))

    def keys() -> Iterator[FrameKey]:
        for k in range(count):
            frame = source.read()
            if frame is None:
                raise BugError(f"{args.out.name} decodes to {k} frames of {count}")
            yield frame.hashed_key()

    try:
        case.write(keys(), source.info.stream, f"puncta {__version__}")
        if log is not None:
            write_attempt(args.truth / "attempt.json", log.record(source.info.stream, generator.machine.name))
    finally:
        source.close()


def _outcome(
    args: argparse.Namespace, request: SimulationRequest, generator: CineGenerator, times_ns: list[int],
    log: AttemptLog | None,
) -> str:
    words = (f"{args.out}: {len(times_ns)} simulated frames, {times_ns[-1] / 1e9:.1f} s, {request.procedure}, machine "
             f"{generator.machine.name}, seed {request.seed}")
    if log is None:
        return words
    figures = log.summary()
    if figures.seconds is None:
        return f"{words}; the needle never touched the skin"
    reached = f"{log.subject.target.name} not reached"
    if figures.seconds_to_target is not None:
        reached = f"{log.subject.target.name} reached after {figures.seconds_to_target:.1f} s"
    end = "" if figures.end_distance_mm is None else f", tip {figures.end_distance_mm:.1f} mm from it at the end"
    bad = [event for event in log.events if event.bad]
    hits = ", nothing hit that must not be" if not bad else f", {len(bad)} times hit what must not be"
    return f"{words}; {reached}{end}{hits}"
