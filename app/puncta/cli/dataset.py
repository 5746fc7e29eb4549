"""`puncta dataset`: make datasets from specs, take their fingerprints, list the specs that ship."""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from puncta import paths
from puncta.cli import dataset_labelled, looks
from puncta.cli.progress import ProgressLine
from puncta.core.errors import UserError
from puncta.formats.progress import ProgressLines, TaskState

if TYPE_CHECKING:
    from puncta.formats.dataset import Dataset
    from puncta.sim.dataset_spec import DatasetSpec

NAME = "dataset"
HELP = "build simulated datasets"
DESCRIPTION = "Work with datasets (Dataset v1: a folder with dataset.json and pictures)."
SAFETY = "Simulation and training only, not for clinical use."
BUILD_DESCRIPTION = """\
Build a dataset: pictures with the true tip, needle and difficulty of every frame.

SPEC is a TOML file, or the name of one that ships (puncta dataset list). A build that was stopped goes on where it was
when the same command runs again; the same spec gives the same bytes, whatever the number of processes."""
DIGEST_DESCRIPTION = """\
Print the digest of a built dataset: the SHA-256 over the sorted lines "HASH  PATH" of dataset.json and every picture.

--verify compares it with a file of digests, --record puts it into one. The digests of the sets that ship are in
resources/datasets/digests.json."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    build = actions.add_parser(
        "build",
        help="build a dataset from a spec",
        description=BUILD_DESCRIPTION,
        epilog=f"Specs that ship: {', '.join(shipped_specs()) or 'none'}.\n\n{SAFETY}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    build.add_argument("spec", metavar="SPEC.toml", help="a spec, or the name of one that ships")
    build.add_argument("--out", metavar="DIR", type=Path, required=True, help="a new folder, or one to finish")
    build.add_argument("--jobs", metavar="N", type=int, help="processes to use (default: one a core)")
    build.add_argument("--stills", metavar="DIR", type=Path, help="where the folders of real needle-free stills are")
    build.add_argument("--progress", choices=["json"], help="print progress as JSON lines on standard output")
    _add_digest_files(build)
    build.set_defaults(action=run_build)
    digest = actions.add_parser(
        "digest",
        help="print the digest of a built dataset",
        description=DIGEST_DESCRIPTION,
        epilog=SAFETY,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    digest.add_argument("folder", metavar="DIR", type=Path, help="a folder that puncta dataset build made")
    _add_digest_files(digest)
    digest.set_defaults(action=run_digest)
    listing = actions.add_parser("list", help="list the specs that ship", description="List the specs that ship.",
                                 epilog=SAFETY)
    listing.set_defaults(action=run_list)
    looks.add_parser(actions)
    dataset_labelled.add_parser(actions)


def _add_digest_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--verify", metavar="FILE", type=Path, help="compare the digest with this file of digests")
    parser.add_argument("--record", metavar="FILE", type=Path, help="put the digest into this file of digests")


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
    from puncta.formats.dataset_specs import nearest

    path = Path(text)
    if path.is_file():
        return path
    if text in shipped_specs():
        return paths.resources_dir() / "datasets" / f"{text}.toml"
    near = nearest(text, shipped_specs())
    hint = f" (the nearest is {near})" if near else ""
    names = ", ".join(shipped_specs())
    raise UserError(f"There is no spec {text}; name a TOML file, or one that ships{hint}: {names}.")


def run_list(_args: argparse.Namespace) -> int:
    """Print the specs that ship."""
    from puncta.sim.dataset_spec import plan_clips, read_spec

    for name in shipped_specs():
        spec = read_spec(find_spec(name))
        plans = plan_clips(spec)
        frames = sum(plan.frames for plan in plans)
        needs = ", needs --stills" if spec.composite else ""
        print(f"{name}: {spec.description} {len(plans)} clips, {frames} frames{needs}.")
    return 0


def run_build(args: argparse.Namespace) -> int:
    """Build, and say what was built."""
    from puncta.sim.dataset_digest import read_build, verify_digest
    from puncta.sim.dataset_spec import read_spec
    from puncta.sim.datasets import build_dataset

    if args.jobs is not None and args.jobs < 1:
        raise UserError(f"--jobs {args.jobs} is not a number of processes; give 1 or more.")
    spec = read_spec(find_spec(args.spec))
    teller = _Teller(args.progress == "json")
    try:
        dataset = build_dataset(spec, args.out, args.jobs or os.cpu_count() or 1, teller.tell, args.stills)
    except BaseException as error:
        teller.fail(error)
        raise
    build = read_build(args.out)
    teller.finish(f"built {spec.name}, digest {build['sha256']}")
    if args.progress != "json":
        _describe(spec, dataset, args.out, teller, build["sha256"])
    if spec.sha256 is not None:
        verify_digest(build["sha256"], spec.name, spec.sha256, "the spec")
    _check_or_record(args, spec.name, build, dataset)
    return 0


def run_digest(args: argparse.Namespace) -> int:
    """Print the digest of a folder."""
    from puncta.formats.dataset import load_dataset
    from puncta.sim.dataset_digest import content_digest, read_build

    found = content_digest(args.folder)
    build = {**read_build(args.folder), "sha256": found}
    print(f"{found}  {build['spec']}")
    _check_or_record(args, build["spec"], build, load_dataset(args.folder))
    return 0


def _check_or_record(args: argparse.Namespace, name: str, build: dict, dataset: Dataset) -> None:
    from puncta.sim.dataset_digest import record_digest, verify_against

    if args.verify is not None:
        verify_against(args.verify, name, build["sha256"])
    if args.record is not None:
        record_digest(args.record, name, build, len(dataset.videos), len(dataset.images))


class _Teller:
    """Progress on a terminal or as JSON lines; time left counts the clips of this run only."""

    def __init__(self, as_json: bool) -> None:
        self._line = None if as_json else ProgressLine("clip")
        self._lines: ProgressLines | None = None
        self._as_json = as_json
        self._there: int | None = None
        self.begun_s = time.monotonic()
        self.done = 0

    def tell(self, done: int, total: int) -> None:
        """Say how far the build is."""
        if self._there is None:
            self._there = done
            if self._as_json:
                self._lines = ProgressLines("dataset build", "clip", total - done)
        self.done = done - self._there
        message = f"{self._there} clips were there already" if self._there else ""
        if self._lines:
            self._lines.report(self.done, message)
        elif self._line:
            self._line.show(self.done, total - self._there)

    def fail(self, error: BaseException) -> None:
        """Say that the build ended early."""
        if self._lines:
            cancelled = isinstance(error, KeyboardInterrupt)
            self._lines.finish(TaskState.CANCELLED if cancelled else TaskState.FAILED, str(error))
        elif self._line:
            self._line.clear()

    def finish(self, message: str) -> None:
        """Say that the build is done."""
        self.took_s = time.monotonic() - self.begun_s
        if self._lines:
            self._lines.finish(message=message)
        elif self._as_json:
            ProgressLines("dataset build", "clip", 0).finish(message=message)
        elif self._line:
            self._line.clear()


def _describe(spec: DatasetSpec, dataset: Dataset, folder: Path, teller: _Teller, digest: str) -> None:
    machines = Counter((video.split, video.machine) for video in dataset.videos)
    what = "simulated needles on real stills" if spec.composite else "simulated data"
    print(f"{spec.name} ({what}): {len(dataset.videos)} clips, {len(dataset.images)} frames in {folder}")
    for (split, machine), count in sorted(machines.items()):
        print(f"  {split}: {count} clips of machine {machine}")
    tips = sum(a.visibility in {"clear", "uncertain"} and a.category_id == 1 for a in dataset.annotations)
    judged = [image.difficulty["hard"] for image in dataset.images if image.difficulty]
    if spec.label_set == "needle":
        print(f"  a visible tip on {tips} frames; {sum(judged)} of {len(judged)} frames with a needle are hard")
    for name in sorted({name for image in dataset.images for name in image.flags}):
        print(f"  {name}: {sum(image.flags.get(name) == 1 for image in dataset.images)} frames")
    if teller.done:
        frames = sum(1 for image in dataset.images) * teller.done / len(dataset.videos)
        print(f"  {frames / max(teller.took_s, 1e-3):.0f} frames/s")
    print(f"  digest {digest}")
    print(SAFETY)
