"""`puncta train` of a study: several networks compared."""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from puncta.cli.progress import ProgressLine
from puncta.cli.train_progress import LOG_S
from puncta.core.errors import UserError
from puncta.formats.progress import ProgressLines

if TYPE_CHECKING:
    from puncta.training.run import Progress


def refuse(args: argparse.Namespace, names: Sequence[str], what: str) -> None:
    """Refuse options that have no meaning here.

    Raises
    ------
    UserError
        One of them is given.
    """
    for name in names:
        if getattr(args, name, None):
            raise UserError(f"The option --{name.replace('_', '-')} has no meaning for {what}.")


def run_study_file(args: argparse.Namespace, file: Path) -> int:
    """Train what is not finished and write the table, or only write the table.

    Raises
    ------
    UserError
        The study does not fit, or data is missing.
    """
    refuse(args, ("start_from", "register"), "a study")
    if args.data is not None and not args.data.is_dir():
        raise UserError(f"There is no folder {args.data}; --data names the folder with backgrounds.")
    if args.jobs is not None and args.jobs < 1:
        raise UserError(f"--jobs {args.jobs} is not a number of rows; give 1 or more.")
    shown = _Shown(args.progress == "json")
    kind = kind_of_study(file)
    if kind == "mask":
        table = _run_mask_study(args, file, shown)
    elif kind == "flags":
        table = _run_flag_study(args, file, shown)
    elif kind != "tip":
        raise UserError(f'The study {file.name} compares "{kind}", which is not known; known are: tip, mask, flags.')
    else:
        table = _run_tip_study(args, file, shown)
    shown.finish(f"table of {file.parent.name if file.name == 'study.toml' else file.stem}")
    if args.progress != "json":
        print(f"The table is in {table}.")
    return 0


def kind_of_study(file: Path) -> str:
    """What a study compares: "tip" where it does not say, "mask" or another word of its `kind`."""
    try:
        return str(tomllib.loads(file.read_text(encoding="utf-8")).get("kind", "tip"))
    except (OSError, ValueError) as error:
        raise UserError(f"The file {file} cannot be read as TOML: {error}.") from error


def _run_tip_study(args: argparse.Namespace, file: Path, shown: _Shown) -> Path:
    from puncta.training.study import read_study
    from puncta.training.study_files import Places
    from puncta.training.study_run import run_study
    from puncta.training.study_table import write_table

    if args.table:
        if not args.out.is_dir():
            raise UserError(f"There is no folder {args.out} with a study; train it first.")
        return write_table(read_study(file), args.out, shown.tell)
    places = Places(args.out, args.data, args.cache or args.out / "cache", args.sets or args.out / "sets")
    return run_study(file, places, only=args.only, resume=args.resume, jobs=args.jobs or os.cpu_count() or 1,
                     tell=shown.tell)


def _run_mask_study(args: argparse.Namespace, file: Path, shown: _Shown) -> Path:
    from puncta.training.tracker.study_files import Places
    from puncta.training.tracker.study_run import retable, run_study

    places = Places(args.out, args.data, args.cache or args.out / "cache", args.sets or args.out / "sets")
    if args.table:
        if not args.out.is_dir():
            raise UserError(f"There is no folder {args.out} with a study; train it first.")
        return retable(file, places, shown.tell)
    return run_study(file, places, only=args.only, resume=args.resume, jobs=args.jobs or os.cpu_count() or 1,
                     tell=shown.tell)


def _run_flag_study(args: argparse.Namespace, file: Path, shown: _Shown) -> Path:
    from puncta.training.landmarks.study import Places
    from puncta.training.landmarks.study_run import retable, run_study

    places = Places(args.out, args.data, args.cache or args.out / "cache", args.sets or args.out / "sets")
    if args.table:
        if not args.out.is_dir():
            raise UserError(f"There is no folder {args.out} with a study; train it first.")
        return retable(file, places, shown.tell)
    return run_study(file, places, only=args.only, resume=args.resume, jobs=args.jobs or os.cpu_count() or 1,
                     tell=shown.tell)


class _Shown:
    """Progress of one stage after another, on a terminal or as JSON lines."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._stage = ""
        self._line: ProgressLine | ProgressLines | None = None

    def tell(self, progress: Progress) -> None:
        """Show how far a stage is."""
        if progress.stage != self._stage or self._line is None:
            if isinstance(self._line, ProgressLine):
                self._line.clear()
            self._stage = progress.stage
            self._line = (ProgressLines("train", progress.stage, progress.total) if self._as_json
                          else ProgressLine(progress.stage, log_s=LOG_S))
        if isinstance(self._line, ProgressLines):
            self._line.report(progress.done, metrics=progress.metrics)
        else:
            self._line.show(progress.done, progress.total)

    def finish(self, message: str) -> None:
        """Say that all is done."""
        if isinstance(self._line, ProgressLines):
            self._line.finish(message=message)
        elif self._line is not None:
            self._line.clear()
