"""`puncta dataset labelled`: labels made in the program as a dataset to train on, with a split by subject."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from puncta.cli.annotations import rater_named
from puncta.cli.progress import ProgressLine
from puncta.core.errors import UserError
from puncta.session.figure_words import count_of

if TYPE_CHECKING:
    from puncta.session.retrain import MadeDataset, SplitPlan, TrainingData

    Tell = Callable[[str, int, int], None]

DESCRIPTION = """\
Make a dataset of the labels in the store, or of another dataset, with a split by subject: a subject teaches, sets
thresholds, or judges, and never two of these. A split that is stated already stays, so that whoever is held out stays
held out; where it is stated of some subjects only, those keep their side. Confirmed labels alone are taken; the frames
before each labelled one go along without a label, for networks look back on them."""
STATED = "The split was stated already and stays: whoever is held out stays held out."


def add_parser(actions: argparse._SubParsersAction) -> None:
    """Add the action."""
    parser = actions.add_parser(
        "labelled", help="make a dataset to train on from labels, split by subject", description=DESCRIPTION,
        epilog="Simulation and training only, not for clinical use.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="a new folder")
    parser.add_argument("--from", dest="source", metavar="DIR", type=Path,
                        help="a dataset, in place of the store of labels; the split that it states stays")
    parser.add_argument("--store", metavar="FILE_OR_URL",
                        help="another store than this user's own or the one that PUNCTA_STORE names")
    parser.add_argument("--label-set", metavar="NAME", help="labels of this set, where there are several")
    parser.add_argument("--plugin", metavar="PLUGIN", help="whose labels count for the split (default: what there is "
                                                           "most of)")
    parser.add_argument("--rater", help="whose labels; default: the consensus, else the only rater's")
    parser.add_argument("--seed", metavar="N", type=int, default=0,
                        help="another number divides otherwise, as far as no split is stated")
    parser.set_defaults(action=run)


def _check_plugin(data: TrainingData, plugin: str | None) -> None:
    if plugin is not None and plugin not in data.plugins:
        known = ", ".join(data.plugins) or "none"
        raise UserError(f'The labels of {data.title} teach no plugin "{plugin}"; those that they can teach: {known}.')


def run(args: argparse.Namespace) -> int:
    """Make the dataset.

    Raises
    ------
    UserError
        Nothing is labelled, several label sets are, or the folder is there already.
    """
    line = ProgressLine("frame")

    def tell(_what: str, done: int, total: int) -> None:
        if total:
            line.show(done, total)

    try:
        data, plan, made = _of_dataset(args, tell) if args.source is not None else _of_store(args, tell)
    finally:
        line.clear()
    for problem in data.problems:
        print(f"left out: {problem}")
    along = f"; {count_of(made.between, 'frame')} without a label {'goes' if made.between == 1 else 'go'} along"
    print(f"Made {made.folder}: {plan.shows}{along if made.between else ''}.")
    if plan.stated:
        print(STATED + (f" --seed {args.seed} changes nothing." if args.seed else ""))
    if plan.warning:
        print(plan.warning)
    return 0


def _of_dataset(args: argparse.Namespace, tell: Tell) -> tuple[TrainingData, SplitPlan, MadeDataset]:
    """Split a dataset anew."""
    from puncta.session.retrain import make_dataset, open_training_data, plan_split

    given = [name for name in ("store", "label_set", "rater") if getattr(args, name) is not None]
    if given:
        raise UserError(f"--{given[0].replace('_', '-')} is about the labels made here; leave it out with --from.")
    data = open_training_data(args.source)
    _check_plugin(data, args.plugin)
    plan = plan_split(data, args.plugin, args.seed)
    return data, plan, make_dataset(None, data, plan, args.out, tell=tell)


def _of_store(args: argparse.Namespace, tell: Tell) -> tuple[TrainingData, SplitPlan, MadeDataset]:
    """Make a dataset of labels made here."""
    from puncta.annotation.shared import STORE_VARIABLE
    from puncta.annotation.store import AnnotationStore
    from puncta.session.retrain import make_dataset, plan_split
    from puncta.session.retrain_data import datasets_at_hand

    rater = None if args.rater is None else rater_named(args.rater)
    with AnnotationStore.open(args.store or os.environ.get(STORE_VARIABLE) or None, begin=False) as store:
        data = _chosen(datasets_at_hand(store, args.out / "none", rater=rater), args.label_set, rater)
        _check_plugin(data, args.plugin)
        plan = plan_split(data, args.plugin, args.seed)
        return data, plan, make_dataset(store, data, plan, args.out, rater=rater, tell=tell)


def _chosen(found: Sequence[TrainingData], label_set: str | None, rater: str | None) -> TrainingData:
    """The labels of the one label set that is meant."""
    there = [d for d in found if d.cases]
    if not there:
        why = next((d.problems[0] for d in found if d.problems), "")
        whose = f" of {rater}" if rater is not None else ""
        raise UserError(why or f"There is no confirmed label{whose} to make a dataset of.")
    fitting = [d for d in there if label_set in (None, d.label_set)]
    if not fitting:
        sets = ", ".join(d.label_set for d in there)
        raise UserError(f'No confirmed label is of the set "{label_set}"; there are labels of: {sets}.')
    if len(fitting) > 1:
        sets = ", ".join(d.label_set for d in fitting)
        raise UserError(f"There are labels of several sets ({sets}); name one by --label-set.")
    return fitting[0]
