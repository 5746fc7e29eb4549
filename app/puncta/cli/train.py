"""`puncta train`: train a network from an experiment file."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from puncta.cli.progress import ProgressLine
from puncta.core.errors import UserError
from puncta.formats.progress import ProgressLines

NAME = "train"
HELP = "train a network from an experiment file"
DESCRIPTION = """\
Train a network as an experiment file says, check that the exported model agrees with it, and leave a training folder:
training.json, log.jsonl, weights, ONNX and the clips it was trained on (cache).

A training that was stopped goes on where it was with --resume. Everything it learns from is simulated or drawn."""

_NO_TORCH = (
    'Training needs PyTorch, which is not installed here; install it with: pip install "puncta[train]" '
    "--extra-index-url https://download.pytorch.org/whl/cpu"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("experiment", metavar="EXPERIMENT.toml", help="an experiment, or the name of one that ships")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="the training folder to make")
    parser.add_argument("--data", metavar="DIR", type=Path, help="where backgrounds and datasets of the experiment are")
    parser.add_argument("--cache", metavar="DIR", type=Path, help="where clips are kept (default: DIR/cache of --out)")
    parser.add_argument("--resume", action="store_true", help="go on with a training that was stopped")
    parser.add_argument("--start-from", metavar="DIR", type=Path, help="begin with the weights of a finished training")
    parser.add_argument("--register", metavar="DIR", type=Path, help="put the finished model into this models folder")
    parser.add_argument("--progress", choices=["json"], help="print progress as JSON lines on standard output")


def run(args: argparse.Namespace) -> int:
    """Train.

    Raises
    ------
    UserError
        PyTorch is missing, the experiment does not fit, or data is missing.
    """
    if importlib.util.find_spec("torch") is None:
        raise UserError(_NO_TORCH)
    # PyTorch takes seconds to import and is absent in most installations.
    from puncta.training.experiment import find_experiment, read_experiment
    from puncta.training.register import register_training
    from puncta.training.run import Progress, train_experiment

    experiment = read_experiment(find_experiment(args.experiment))
    if args.data is not None and not args.data.is_dir():
        raise UserError(f"There is no folder {args.data}; --data names the folder with backgrounds and datasets.")
    as_json = args.progress == "json"
    stages: dict[tuple[str, int], ProgressLines | ProgressLine] = {}

    def tell(progress: Progress) -> None:
        key = (progress.stage, progress.total)
        if key not in stages:
            unit = progress.stage
            stages[key] = ProgressLines("train", unit, progress.total) if as_json else ProgressLine(unit)
        shown = stages[key]
        if isinstance(shown, ProgressLines):
            shown.report(progress.done, metrics=progress.metrics)
        else:
            shown.show(progress.done, progress.total)

    head = train_experiment(
        experiment, args.out, data_root=args.data, cache=args.cache, resume=args.resume,
        start_from=args.start_from, tell=tell,
    )
    if args.register is not None:
        register_training(args.out, args.register)
    last = next((s for (stage, _), s in stages.items() if stage == "samples"), None)
    if isinstance(last, ProgressLines):
        last.finish(message=f"trained {experiment.name}")
    else:
        if last is not None:
            last.clear()
        print(f"Trained {experiment.name}: {head}")
    return 0
