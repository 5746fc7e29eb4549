"""`puncta evaluate`: how well a plugin does on a labelled dataset."""

from __future__ import annotations

import argparse
from pathlib import Path

from puncta.cli import real_check
from puncta.cli.evaluate_tables import difference_table, markdown_of, named, table_of
from puncta.cli.outputs import check_output
from puncta.cli.progress import ProgressLine
from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.formats.evaluation import json_from_evaluation, write_evaluation
from puncta.formats.jsontext import json_document
from puncta.session.figure_words import count_of

NAME = "evaluate"
HELP = "measure a plugin on a labelled dataset"
DESCRIPTION = f"""\
Step a plugin over every clip of a dataset, as in the program, and print its figures with 95 % intervals.

Intervals come from 2,000 resamples of whole clips. The CPU and the precision of the model's card are used, so that
figures repeat; only the times differ between runs, and --no-timings leaves those out. The model is the one that the
plugin uses (see 'puncta models list'), or the one named with --model.

With --against OLD a second model of the same plugin answers on the same frames, and the differences are printed,
paired by clip: what 'puncta models promote' should rest on. Compare on subjects that neither model has learnt from.

{real_check.HELP_TEXT}"""
EPILOG = """\
Examples:
  puncta evaluate needle-tip --data tip-test
  puncta evaluate needle-tip --data tip-test --compare needle-tip-baseline --json tip.json
  puncta evaluate needle-tip --data tip-test --model my-tip@0.1 --against needle-tip-ut@0.5
  puncta evaluate breast-biopsy --data breast-same --first-mask --markdown breast.md
  puncta evaluate infant-lp --data lp-same --json lp.json
  puncta evaluate needle-tip --real tests/data/real/cases.toml --data ../shared/data --markdown real.md

Simulation and training only, not for clinical use."""

def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("plugin", metavar="PLUGIN", help="plugin to measure, for example needle-tip")
    parser.add_argument("--data", metavar="DIR", type=Path, required=True,
                        help="dataset folder (Dataset v1); with --real the place of the recordings")
    parser.add_argument("--model", metavar="ID", help="use this model (default: the one in use for the plugin)")
    parser.add_argument("--against", metavar="OLD",
                        help="compare with this model of the same plugin, on the same frames")
    parser.add_argument("--split", metavar="S", help='split to use; "all" for everything (default: test, else all)')
    parser.add_argument("--compare", metavar="OTHER", help="also measure this plugin and print paired differences")
    parser.add_argument("--compare-model", metavar="ID", help="model of the plugin that is compared with")
    parser.add_argument("--first-mask", action="store_true",
                        help="give PLUGIN the true mask of each clip's first frame with a needle, as published "
                             "trackers have it; that frame then counts nowhere")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures of PLUGIN; - for the screen")
    parser.add_argument("--no-timings", action="store_true", help="leave times out, so that two runs are identical")
    real_check.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from puncta.session.evaluate import differences, evaluation_of, open_labelled_data, run_plugin

    if args.against is not None:
        from puncta.cli import evaluate_against

        return evaluate_against.run(args)
    if args.real is not None:
        return real_check.run(args)
    real_check.refuse_alone(args)
    if args.compare_model and not args.compare:
        raise UserError("--compare-model needs --compare; name the plugin to compare with.")
    to_screen = args.json is not None and str(args.json) == "-"
    for path in (None if to_screen else args.json, args.markdown):
        if path is not None:
            check_output(path)
    data = open_labelled_data(args.data, args.split)
    line = ProgressLine("clip")
    try:
        first = run_plugin(
            args.plugin, data, model=args.model, first_mask=args.first_mask, timings=not args.no_timings,
            progress=line.show,
        )
        other = None
        if args.compare:
            other = run_plugin(
                args.compare, data, model=args.compare_model, timings=not args.no_timings, progress=line.show
            )
    finally:
        line.clear()
    evaluation = evaluation_of(first, data)
    gaps = differences(first, other) if other is not None else {}
    both = [evaluation] + ([evaluation_of(other, data)] if other is not None else [])
    if args.markdown is not None:
        text = markdown_of(both, gaps, data.simulated, len(data.clips), _command(args))
        write_text_atomic(args.markdown, text)
    if to_screen:
        print(json_document(json_from_evaluation(evaluation)), end="")
        return 0
    if args.json is not None:
        write_evaluation(evaluation, args.json)
    for one in both:
        print(table_of(one, data.simulated, len(data.clips)) + "\n")
    print(_promoted(args, first.model), end="")
    if first.faults:
        print(f"The plugin failed on {count_of(first.faults, 'frame')}, counted as missed. The log has the details.\n")
    if other is not None:
        title = f"{named(first.plugin, first.model)} minus {named(other.plugin, other.model)}, paired by clip"
        print(difference_table(title, gaps) + "\n")
    for path in (args.json, args.markdown):
        if path is not None:
            print(f"wrote {path}")
    print("Simulation and training only, not for clinical use.")
    return 0


def _promoted(args: argparse.Namespace, model: str | None) -> str:
    """Say that the measured model is the user's choice and not the one that comes with Puncta."""
    from puncta.session.plugins import promoted_here

    if args.model or not model or not promoted_here({args.plugin: model}):
        return ""
    return f"{model} is promoted; 'puncta models rollback {args.plugin}' takes that back.\n\n"


def _command(args: argparse.Namespace) -> str:
    """The call in words that another machine can follow: of the dataset only its folder's name."""
    words = ["puncta evaluate", args.plugin, "--data", args.data.resolve().name]
    for name in ("model", "split", "compare", "compare_model"):
        value = getattr(args, name)
        words += [f"--{name.replace('_', '-')}", value] if value is not None else []
    return " ".join([*words, *(["--first-mask"] if args.first_mask else [])])
