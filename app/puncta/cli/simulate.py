"""`puncta simulate`: write a simulated cine as DICOM or MP4, with its truth."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from puncta import __version__
from puncta.cli.progress import ProgressLine
from puncta.core.errors import BugError, UserError

NAME = "simulate"
HELP = "write a simulated cine, with its truth if wanted"
DESCRIPTION = """\
Simulate an ultrasound cine of a needle procedure and write it as DICOM (.dcm) or video (.mp4).

The same arguments give the same pictures. Everything written says that it is simulated."""
EPILOG = """\
Machines A, B and C are the family that models train on, D and E are kept for tests, F is a handheld look.

Simulation and training only, not for clinical use."""
SUFFIXES = (".dcm", ".mp4")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("procedure", metavar="PROCEDURE", help="breast, nerve or vessel")
    parser.add_argument("--machine", metavar="M", default="A", help="machine A to F (default: A)")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="chooses what is drawn (default: 1)")
    parser.add_argument("--frames", metavar="N", type=int, default=120, help="number of frames (default: 120)")
    parser.add_argument("--size", metavar="WxH", help="size of the picture in pixels (default: the machine's screen)")
    parser.add_argument("--no-furniture", action="store_true", help="only the ultrasound picture: no ruler, no text")
    parser.add_argument("--no-needle", action="store_true", help="leave the needle out")
    parser.add_argument(
        "--start", choices=("outside", "inside", "any"), default="outside",
        help="where the needle is at the first frame (default: outside)",
    )
    parser.add_argument(
        "--codec", choices=("jpeg", "jpeg-ls", "rle"), default="jpeg",
        help="how a DICOM file holds its pictures: jpeg is small, the others keep every pixel (default: jpeg)",
    )
    parser.add_argument("--quality", metavar="N", type=int, default=90, help="JPEG quality 1 to 95 (default: 90)")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the file to write: .dcm or .mp4")
    parser.add_argument("--truth", metavar="DIR", type=Path, help="a folder for truth.json and truth.jsonl")


def run(args: argparse.Namespace) -> int:
    """Write the cine, then its truth."""
    from puncta.dicom.write import write_cine
    from puncta.sim.cine import CineGenerator
    from puncta.sim.truth import FrameTruth

    if args.out.suffix.lower() not in SUFFIXES:
        raise UserError(f"{args.out.name} ends in neither .dcm nor .mp4; name the output file with one of these.")
    if not 1 <= args.frames <= 100_000:
        raise UserError(f"--frames {args.frames} is out of range; choose 1 to 100000.")
    if not 1 <= args.quality <= 95:
        raise UserError(f"--quality {args.quality} is out of range; choose 1 to 95.")
    if args.seed < 0:
        raise UserError(f"--seed {args.seed} is negative; choose 0 or more.")
    size = _size(args.size)
    generator = CineGenerator(
        args.procedure, args.machine, args.seed, size_px=size, furniture=not args.no_furniture,
        needle=not args.no_needle, start=args.start,
    )
    truths: list[FrameTruth] = []
    times_ns: list[int] = []
    progress = ProgressLine("frame")

    def frames() -> Iterator[NDArray[np.uint8]]:
        for k in range(args.frames):
            pixels, truth = generator.next_frame()
            truths.append(truth)
            times_ns.append(truth.t_ns)
            progress.show(k + 1, args.frames)
            yield pixels

    layout = generator.scan.layout
    try:
        if args.out.suffix.lower() == ".dcm":
            write_cine(
                args.out, frames(), frame_times_ns=times_ns, mm_per_px=(layout.mm_per_px, layout.mm_per_px),
                region=layout.region, codec=args.codec, quality=args.quality,
                title=f"Simulated {args.procedure}", model_name=f"Simulated machine {generator.machine.name}",
            )
        else:
            _write_video(args.out, frames(), times_ns)
    finally:
        progress.clear()
    if args.truth is not None:
        _write_truth(args, generator, truths)
    seconds = times_ns[-1] / 1e9
    print(f"{args.out}: {args.frames} simulated frames, {seconds:.1f} s, {args.procedure}, machine "
          f"{generator.machine.name}, seed {args.seed}")
    return 0


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise UserError(f"--size {text} is not understood; write it as 640x480.") from None
    return width, height


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


def _write_truth(args: argparse.Namespace, generator: object, truths: list) -> None:
    """Read the written file back, since truth is keyed by the pictures as they decode."""
    from dataclasses import asdict

    from puncta.core.frame import Calibration, CalibrationOrigin
    from puncta.formats.dataset_values import Visibility
    from puncta.formats.truth import NeedleTruth, TruthHead, TruthLine, write_truth
    from puncta.sim.cine import CineGenerator
    from puncta.sim.difficulty import describe_difficulty
    from puncta.sources.factory import open_source

    assert isinstance(generator, CineGenerator)
    layout, machine = generator.scan.layout, generator.machine
    source = open_source(str(args.out))
    lines: list[TruthLine] = []
    try:
        for truth in truths:
            frame = source.read()
            if frame is None:
                raise BugError(f"{args.out.name} decodes to {len(lines)} frames of {len(truths)}")
            needle = None
            if generator.has_needle:
                values = asdict(truth)
                names = set(NeedleTruth.__dataclass_fields__) & set(values)
                needle = NeedleTruth(**{k: values[k] for k in names} | {"visibility": Visibility(truth.visibility)})
            lines.append(TruthLine(frame.hashed_key(), needle, {}, describe_difficulty(truth, machine, generator.scan)))
        stream = source.info.stream
    finally:
        source.close()
    calibration = Calibration((layout.mm_per_px, layout.mm_per_px), CalibrationOrigin.SIMULATED, "simulator")
    n = generator.needle
    physics = {
        "geometry": machine.geometry, "f0_mhz": machine.f0_mhz, "bandwidth": machine.bandwidth,
        "f_number": machine.f_number, "dynamic_range_db": machine.dynamic_range_db,
        "elevation_fwhm_mm": machine.elevation_fwhm_mm, "fps": machine.fps, "looks": machine.looks,
        "jpeg_quality": machine.jpeg_quality, "depth_mm": generator.scan.depth_mm, "has_needle": generator.has_needle,
        "needle_gauge_mm": n.gauge_mm, "needle_angle_deg": n.angle_deg, "needle_shaft_floor": n.floor,
        "needle_bend_mm": n.bend_mm, "needle_level_db": n.level_db,
    }
    head = TruthHead(
        args.procedure, machine.name, args.seed, f"puncta {__version__}", stream, layout.width_px, layout.height_px,
        tuple(float(v) for v in layout.region), calibration, "needle", physics,  # type: ignore[arg-type]
    )
    write_truth(args.truth, head, lines)
