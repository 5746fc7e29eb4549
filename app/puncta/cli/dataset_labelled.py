"""`puncta dataset labelled`: labels made in the program as a dataset to train on, with a split by subject."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from puncta.cli.progress import ProgressLine
from puncta.core.errors import UserError

DESCRIPTION = """\
Make a dataset of the labels in the store, or of another dataset, with a split by subject: a subject teaches, sets
thresholds, or judges, and never two of these. Confirmed labels alone are taken; the frames before each labelled one go
along without a label, for networks look back on them."""


def add_parser(actions: argparse._SubParsersAction) -> None:
    """Add the action."""
    parser = actions.add_parser(
        "labelled", help="make a dataset to train on from labels, split by subject", description=DESCRIPTION,
        epilog="Simulation and training only, not for clinical use.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="a new folder")
    parser.add_argument("--from", dest="source", metavar="DIR", type=Path,
                        help="a dataset to split anew, in place of the store of labels")
    parser.add_argument("--store", metavar="FILE_OR_URL",
                        help="another store than this user's own or the one that PUNCTA_STORE names")
    parser.add_argument("--label-set", metavar="NAME", help="labels of this set, where there are several")
    parser.add_argument("--plugin", metavar="PLUGIN", help="whose labels count for the split (default: what there is "
                                                           "most of)")
    parser.add_argument("--rater", help="whose labels; default: the consensus, else the only rater's")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="another number divides otherwise")
    parser.set_defaults(action=run)


def run(args: argparse.Namespace) -> int:
    """Make the dataset.

    Raises
    ------
    UserError
        Nothing is labelled, several label sets are, or the folder is there already.
    """
    from puncta.annotation.shared import STORE_VARIABLE
    from puncta.annotation.store import AnnotationStore
    from puncta.session.retrain import make_dataset, open_training_data, plan_split
    from puncta.session.retrain_data import datasets_at_hand

    line = ProgressLine("frames")

    def tell(_what: str, done: int, total: int) -> None:
        if total:
            line.show(done, total)

    if args.source is not None:
        data = open_training_data(args.source)
        plan = plan_split(data, args.plugin, args.seed)
        made = make_dataset(None, data, plan, args.out, tell=tell)
    else:
        with AnnotationStore.open(args.store or os.environ.get(STORE_VARIABLE) or None, begin=False) as store:
            found = [d for d in datasets_at_hand(store, args.out / "none")
                     if args.label_set in (None, d.label_set) and d.cases]
            if not found:
                raise UserError("There is no confirmed label to make a dataset of.")
            if len(found) > 1:
                raise UserError(
                    f"There are labels of several sets ({', '.join(d.label_set for d in found)}); name one by "
                    "--label-set."
                )
            data = found[0]
            plan = plan_split(data, args.plugin, args.seed)
            made = make_dataset(store, data, plan, args.out, rater=args.rater, tell=tell)
    line.clear()
    for problem in data.problems:
        print(f"left out: {problem}")
    print(f"Made {made.folder}: {plan.shows}; {made.between} frames without a label go along.")
    if plan.warning:
        print(plan.warning)
    return 0
