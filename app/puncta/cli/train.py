"""`puncta train`: train a network from an experiment file."""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib.util
import json
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from puncta.cli.stop_signals import at_stop
from puncta.cli.train_progress import TRAINING, TrainingProgress
from puncta.cli.train_study import refuse, run_study_file
from puncta.core.errors import UserError

if TYPE_CHECKING:
    from puncta.training.experiment import Experiment
    from puncta.training.run import Progress, Tell

NAME = "train"
HELP = "train a network from an experiment file"
DESCRIPTION = """\
Train a network as an experiment file says, check that the exported model agrees with it, and leave a training folder:
training.json, log.jsonl, weights, ONNX and the clips it was trained on (cache). While it runs, report.html in that
folder shows how it goes: losses, figures and pictures of the tune split. --report DIR draws it again.

Ctrl+C (or a polite kill) pauses a training: it writes a checkpoint, says what to type to go on (the same with
--resume), and ends with status 3. Without a terminal, a line now and then on standard error tells how it goes.
A study stops, and skips what is finished when it is run again.

What ships here has learnt from simulated and drawn needles alone; a site's own labels may be learnt from with tip_site,
track_site and lp_site, and its recordings that show no needle, without any label, with tip_site_pre.

A study (a TOML file that names runs and sets, or "ultratiny", which ships) trains several networks on the same clips
with the same budget and writes one table of them: table.md and table.json. It skips what is finished; test sets that
are not there are built."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PAUSED = 3
"""Exit status of a training that was asked to pause."""
STOPPED = 130
"""Exit status of one that was stopped by Ctrl+C while it was pausing."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("experiment", metavar="EXPERIMENT.toml", nargs="?",
                        help="an experiment or a study, or the name of one that ships")
    parser.add_argument("--out", metavar="DIR", type=Path, help="the training folder to make")
    parser.add_argument("--preset", choices=["cpu", "gpu"],
                        help="two CPU cores or one GPU: `tip --preset gpu` is the experiment tip_gpu")
    parser.add_argument("--data", metavar="DIR", type=Path, help="where backgrounds and datasets of the experiment are")
    parser.add_argument("--cache", metavar="DIR", type=Path, help="where clips are kept (default: DIR/cache of --out)")
    parser.add_argument("--resume", action="store_true", help="go on with a training that was stopped")
    parser.add_argument("--start-from", metavar="DIR", type=Path, help="begin with the weights of a finished training")
    parser.add_argument("--register", metavar="DIR", type=Path, help="put the finished model into this models folder")
    parser.add_argument("--report", metavar="DIR", type=Path,
                        help="only draw the report of this training folder again, with --cache its pictures too")
    parser.add_argument("--int8", metavar="DIR", type=Path,
                        help="only make an 8-bit variant of the model in this training folder, from the tune split in "
                             "--cache, and keep it there where it is as good and faster; --register then takes both")
    study = parser.add_argument_group("for a study")
    study.add_argument("--only", metavar="ROW", action="append", help="this row alone (may be given several times)")
    study.add_argument("--table", action="store_true", help="only make the table anew from the answers that are kept")
    study.add_argument("--sets", metavar="DIR", type=Path, help="where the test sets are (default: DIR/sets of --out)")
    study.add_argument("--jobs", metavar="N", type=int, help="rows trained at the same time (default: one a core)")
    program = parser.add_argument_group("for a program that runs it")
    program.add_argument("--pause-file", metavar="FILE", type=Path,
                         help="pause as soon as this file is there: write a checkpoint and end with status 3")
    program.add_argument("--parent", metavar="PID", type=int,
                         help="pause likewise as soon as the process of this number is gone")
    parser.add_argument("--progress", choices=["json"], help="print progress as JSON lines on standard output")


def run(args: argparse.Namespace) -> int:
    """Train.

    Raises
    ------
    UserError
        PyTorch is missing, the experiment does not fit, or data is missing.
    """
    if importlib.util.find_spec("torch") is None:
        from puncta.session.retrain_plans import NO_TORCH

        raise UserError(NO_TORCH)
    if args.report is not None:
        return _report(args)
    if args.int8 is not None:
        return _int8(args)
    if args.experiment is None:
        raise UserError("Name an experiment, for example tip_cpu, or a training folder with --report DIR.")
    from puncta.training.stopping import Paused, ask_to_pause, pause_if_asked, pause_when

    shown = TrainingProgress(args.progress == "json")
    pause_when(args.pause_file, args.parent)

    def tell(told: Progress) -> None:
        if told.words:
            shown.say(told.words)
        shown.tell(told)
        if told.stage != TRAINING:  # the loop itself writes a checkpoint first
            pause_if_asked()

    def asked() -> None:
        ask_to_pause()
        shown.say("puncta: pausing; a checkpoint is written first. Once more stops at once.")

    try:
        with at_stop(asked, once=True):  # from here on: PyTorch alone takes seconds to import
            study, experiment = _find(args)
            pause_if_asked()
            head = None if experiment is None else _carry_out(experiment, args, tell)
    except Paused:
        return _paused(shown, args)
    except KeyboardInterrupt:
        shown.stop("stopped")
        shown.say(f"puncta: Stopped at once, so what came after the last checkpoint is lost. {_how_to_go_on(args)}")
        return STOPPED
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UserError(
            f"The disk is full, so the training has stopped; make room for {args.out} and its clips, and go on with "
            "--resume."
        ) from error
    finally:
        pause_when(None, None)
    if head is None or experiment is None:
        assert study is not None
        return run_study_file(args, study)
    if json.loads(head.read_text(encoding="utf-8"))["state"] != "done":
        return _paused(shown, args)
    from puncta.training.register import register_training

    registered = None if args.register is None else register_training(args.out, args.register)
    shown.finish(f"trained {experiment.name}")
    if args.progress != "json":
        print(f"Trained {experiment.name}: {head}")
        if registered is not None:
            print(f"Registered: {registered}")
    return 0


def _find(args: argparse.Namespace) -> tuple[Path | None, Experiment | None]:
    """Return the file of a study, or the experiment that is to be trained.

    Raises
    ------
    UserError
        There is neither, it does not fit, or the options do not go with it.
    """
    # PyTorch takes seconds to import and is absent in most installations.
    from puncta.training.experiment import find_experiment, read_experiment
    from puncta.training.study import find_study

    study = None if args.preset else find_study(args.experiment)
    file = study or find_experiment(args.experiment, args.preset)
    if args.out is None:
        raise UserError("Say where the training folder goes with --out DIR.")
    if study is not None:
        return study, None
    refuse(args, ("only", "table", "sets", "jobs"), "a single experiment")
    experiment = read_experiment(file)
    if args.data is not None and not args.data.is_dir():
        raise UserError(f"There is no folder {args.data}; --data names the folder with backgrounds and datasets.")
    return None, experiment


def _carry_out(experiment: Experiment, args: argparse.Namespace, tell: Tell) -> Path:
    """Train and return training.json; what fails says whether it can be gone on with."""
    from puncta.training.folder import HEAD, LEGS
    from puncta.training.recipes import function_at, recipe_of

    there = frozenset(p for p in (args.out, args.out / LEGS) if p.exists())
    begun = (args.out / HEAD).exists()
    try:
        return function_at(recipe_of(experiment.config).train)(
            experiment, args.out, data_root=args.data, cache=args.cache, resume=args.resume,
            start_from=args.start_from, tell=tell,
        )
    except UserError as error:
        if _leave_nothing(args.out, there) or begun or args.progress == "json":
            raise
        raise UserError(f"{error} What was done so far is in {args.out}; --resume goes on with it.") from error


def _leave_nothing(out: Path, there: frozenset[Path]) -> bool:
    """Take away what a training made that failed before its first record; False where there is one to go on with.

    Folders that were there before it stay with all that is in them.
    """
    from puncta.training.folder import CHECKPOINT, HEAD, LEGS

    if (out / HEAD).exists() or (out / CHECKPOINT).exists():
        return False
    if out / LEGS not in there:
        shutil.rmtree(out / LEGS, ignore_errors=True)
    if out not in there:
        with contextlib.suppress(OSError):  # clips that took minutes to make stay
            out.rmdir()
    return True


def _paused(shown: TrainingProgress, args: argparse.Namespace) -> int:
    shown.stop("paused; --resume goes on")
    begun = bool(shown.so_far) or args.out.exists()
    words = f"Paused{shown.so_far}; nothing is lost." if begun else "Paused before anything was made."
    shown.say(f"puncta: {words} {_how_to_go_on(args)}")
    return PAUSED


def _how_to_go_on(args: argparse.Namespace) -> str:
    """What to type, whole."""
    words = ["puncta", "train", args.experiment]
    for name in ("preset", "out", "data", "cache", "start_from", "register", "sets", "jobs"):
        value = getattr(args, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    for row in args.only or ():
        words += ["--only", row]
    return f"Go on with: {shlex.join([*words, '--resume'])}"


def _report(args: argparse.Namespace) -> int:
    from puncta.training.recipes import function_at, recipe_of
    from puncta.training.report import write_report
    from puncta.training.report_story import read_story

    if args.experiment is not None or args.out is not None:
        raise UserError("--report stands alone: it draws the report of a folder and trains nothing.")
    if args.cache is not None:
        pictures = recipe_of(read_story(args.report).config).pictures
        if pictures is None:
            raise UserError("This kind of training has no validation pictures; leave --cache out.")
        shown = TrainingProgress(args.progress == "json")
        function_at(pictures)(args.report, args.data, args.cache, shown.tell)
        shown.finish("pictures drawn")
    print(f"Drew {write_report(args.report)}")
    return 0


def _int8(args: argparse.Namespace) -> int:
    from puncta.training.recipes import function_at, recipe_of
    from puncta.training.register import register_training
    from puncta.training.report_story import read_story

    if args.experiment is not None or args.out is not None:
        raise UserError("--int8 stands alone: it works on a finished training folder and trains nothing.")
    quantise = recipe_of(read_story(args.int8).config).quantise
    if quantise is None:
        raise UserError("This kind of network has no 8-bit variant.")
    shown = TrainingProgress(args.progress == "json")
    verdict = function_at(quantise)(args.int8, args.data, args.cache, shown.tell)
    shown.finish("8-bit variant judged")
    if args.register is not None:
        register_training(args.int8, args.register)
    if args.progress != "json":
        print(f"The 8-bit variant is {'kept' if verdict.accepted else 'not kept'}: {verdict.why}.")
    return 0
