"""`puncta doctor`: checks this machine, or files."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from puncta.core.errors import UserError
from puncta.formats.dataset import DATASET_FILE
from puncta.formats.exports import kind_of_labels
from puncta.formats.moves import read_moves
from puncta.formats.validate import identify, validate
from puncta.session.checkup import Verdict, check_machine
from puncta.sim.dataset_digest import BUILD_FILE, content_digest, read_build
from puncta.sources.factory import list_image_folder, open_source
from puncta.sources.moves import request_of_script

NAME = "doctor"
HELP = "check this machine, or check files"
DESCRIPTION = """\
Without FILE: check that everything Puncta needs is in place here, and play the sample's first frames.
With FILE: check files of Puncta's own formats (results, datasets, truth, manifests, ...) against their schema,
and recordings (films, DICOM, folders of pictures) by reading every frame."""
EPILOG = """\
Exit status: 0 all good, 2 something has to be mended.

Simulation and training only, not for clinical use."""

MOST_HASHED_BYTES = 2_000_000_000
"""The bytes of larger datasets are not compared with what was built; reading them takes too long."""
_MARKS = {Verdict.GOOD: "ok  ", Verdict.NOTE: "note", Verdict.BAD: "BAD "}
_MEDIA = {".dcm", ".mp4", ".avi", ".mov", ".mkv", ".mha", ".mhd", ".nrrd"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, help="files or folders to check")
    parser.add_argument("--json", action="store_true", help="print machine-readable")


def run(args: argparse.Namespace) -> int:
    """Check and print; 2 when something is bad."""
    if args.files:
        return _check_files(args.files, args.json)
    findings = list(check_machine())
    if args.json:
        print(json.dumps([{"name": f.name, "verdict": str(f.verdict), "text": f.text} for f in findings], indent=2))
    else:
        for finding in findings:
            print(f"{_MARKS[finding.verdict]}  {finding.name}: {finding.text}")
    bad = [f for f in findings if f.verdict is Verdict.BAD]
    if bad and not args.json:
        print(f"\n{len(bad)} of {len(findings)} checks found something to mend.", file=sys.stderr)
    return 2 if bad else 0


def _check_files(files: list[Path], as_json: bool) -> int:
    reports = []
    for file in files:
        try:
            reports.append(_check_file(file))
        except UserError as error:
            if len(files) == 1:
                raise
            # Of several files each gets its line; one that is none of ours does not hide the others.
            reports.append({"file": str(file), "kind": "not checked", "problems": [str(error)], "notes": []})
    if as_json:
        print(json.dumps(reports, indent=2))
    else:
        for report in reports:
            print(f"{'BAD ' if report['problems'] else 'ok  '}  {report['file']}: {report['kind']}")
            for problem in report["problems"]:
                print(f"      {problem}")
            for note in report["notes"]:
                print(f"      note: {note}")
    return 2 if any(report["problems"] for report in reports) else 0


def _check_file(file: Path) -> dict:
    if not file.exists():
        raise UserError(f"There is no file {file}; check the name.")
    return _check_media(file) if _is_media(file) else _check_format(file)


def _is_media(file: Path) -> bool:
    """Whether it is a recording: a file of one, or a folder of pictures that is nothing else."""
    if not file.is_dir():
        return file.suffix.lower() in _MEDIA
    return identify(file) is None and kind_of_labels(file) is None and bool(list_image_folder(file))


def _check_media(file: Path) -> dict:
    """Read every frame of a recording; the first that cannot be read is the problem."""
    report: dict = {"file": str(file), "kind": "recording", "problems": [], "notes": []}
    try:
        source = open_source(str(file))
    except UserError as error:
        report["problems"].append(str(error))
        return report
    try:
        read = 0
        while source.read() is not None:
            read += 1
        info = source.info
        frames = "1 frame" if read == 1 else f"{read} frames"
        report["notes"] += [f"{frames}, {info.geometry.width_px} x {info.geometry.height_px} px"]
        report["notes"] += [f"{name}: {value}" for name, value in info.details] + list(info.geometry.notes)
        if info.frame_count is not None and read != info.frame_count:
            report["problems"].append(f"{read} frames can be read, {info.frame_count} are announced.")
    except UserError as error:
        report["problems"].append(str(error))
    finally:
        source.close()
    return report


def _check_format(file: Path) -> dict:
    found = validate(file)
    problems, notes = list(found.problems), list(found.notes)
    if found.kind == "moves" and not problems:
        problems += _title_problems(file)
    if found.kind == "dataset" and not problems:
        changed, said = _compare_with_build(file)
        problems, notes = problems + changed, notes + said
    return {"file": str(file), "kind": found.kind, "problems": problems, "notes": notes}


def _title_problems(file: Path) -> list[str]:
    """What is wrong in a script's title that is a simulator's address."""
    try:
        request_of_script(read_moves(file))
    except UserError as error:
        return [str(error)]
    return []


def _compare_with_build(file: Path) -> tuple[list[str], list[str]]:
    """Problems and notes of a dataset whose build.json says which digest it was built with."""
    folder = file if file.is_dir() else file.parent
    if file != folder and file.name != DATASET_FILE or not (folder / BUILD_FILE).is_file():
        return [], []
    size = sum(path.stat().st_size for path in (folder / "images").rglob("*") if path.is_file())
    if size > MOST_HASHED_BYTES:
        return [], [f"{size / 1e9:.1f} GB are too much to compare with {BUILD_FILE}; puncta dataset digest does it"]
    try:
        if content_digest(folder) != read_build(folder).get("sha256"):
            return [f"its digest is not the one in {BUILD_FILE}: files were changed after it was built"], []
    except UserError as error:
        return [str(error)], []
    return [], [f"nothing was changed since it was built (digest as in {BUILD_FILE})"]
