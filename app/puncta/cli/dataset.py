"""`puncta dataset build`: make a simulated dataset from a spec."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from pathlib import Path

from puncta import paths
from puncta.cli.progress import ProgressLine
from puncta.core.errors import UserError

NAME = "dataset"
HELP = "build a simulated dataset"
DESCRIPTION = "Work with datasets (Dataset v1: a folder with dataset.json and pictures)."
BUILD_DESCRIPTION = """\
Build a simulated dataset: pictures with the true tip, needle and difficulty of every frame.

SPEC is a TOML file, or the name of one that ships. A build that was stopped goes on where it was when the same
command runs again; the same spec gives the same bytes."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    build = actions.add_parser(
        "build",
        help="build a simulated dataset from a spec",
        description=BUILD_DESCRIPTION,
        epilog=f"Specs that ship: {', '.join(shipped_specs()) or 'none'}.\n\n"
        "Simulation and training only, not for clinical use.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    build.add_argument("spec", metavar="SPEC.toml", help="a spec, or the name of one that ships")
    build.add_argument("--out", metavar="DIR", type=Path, required=True, help="a new folder, or one to finish")
    build.add_argument("--jobs", metavar="N", type=int, help="processes to use (default: one a core)")
    build.set_defaults(action=run_build)


def run(args: argparse.Namespace) -> int:
    """Do the action."""
    return args.action(args)


def shipped_specs() -> list[str]:
    """Names of the specs that ship."""
    return sorted(path.stem for path in (paths.resources_dir() / "datasets").glob("*.toml"))


def find_spec(text: str) -> Path:
    """Return the file of a spec: a path, or the name of one that ships.

    Raises
    ------
    UserError
        There is neither.
    """
    path = Path(text)
    if path.is_file():
        return path
    if text in shipped_specs():
        return paths.resources_dir() / "datasets" / f"{text}.toml"
    raise UserError(f"There is no spec {text}; name a TOML file, or one of {', '.join(shipped_specs())}.")


def run_build(args: argparse.Namespace) -> int:
    """Build, and say what was built."""
    from puncta.sim.dataset_spec import read_spec
    from puncta.sim.datasets import build_dataset

    if args.jobs is not None and args.jobs < 1:
        raise UserError(f"--jobs {args.jobs} is not a number of processes; give 1 or more.")
    spec = read_spec(find_spec(args.spec))
    line = ProgressLine("clip")
    try:
        dataset = build_dataset(spec, args.out, args.jobs or os.cpu_count() or 1, line.show)
    finally:
        line.clear()
    machines = Counter((video.split, video.machine) for video in dataset.videos)
    print(f"{spec.name} (simulated data): {len(dataset.videos)} clips, {len(dataset.images)} frames in {args.out}")
    for (split, machine), count in sorted(machines.items()):
        print(f"  {split}: {count} clips of machine {machine}")
    tips = sum(a.visibility in {"clear", "uncertain"} and a.category_id == 1 for a in dataset.annotations)
    judged = [image.difficulty["hard"] for image in dataset.images if image.difficulty]
    print(f"  a visible tip on {tips} frames; {sum(judged)} of {len(judged)} frames with a needle are hard")
    print("Simulation and training only, not for clinical use.")
    return 0
