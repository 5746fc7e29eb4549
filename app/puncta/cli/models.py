"""`puncta models`: which models are here, which are in use, whether they are unchanged, how fast they run here."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from dataclasses import asdict
from typing import Any

from puncta.cli import model_pictures, models_use
from puncta.core.errors import UserError
from puncta.inference.registry import ModelCard, Registry
from puncta.inference.tuning import TuningTable, measure, remember, stored_tuning
from puncta.session.plugins import all_models

NAME = "models"
HELP = "list, install, promote, roll back, remove, verify and time the models"
DESCRIPTION = """\
Each plugin uses one model wherever none is named with --model: the one you have promoted, else the one that comes with
Puncta. Training and installing add models and change nothing else; 'promote' puts one into use, 'rollback' takes that
back. A file whose hash differs from the recorded one is never loaded."""
EPILOG = """\
Examples:
  puncta models list
  puncta models install my-models
  puncta evaluate needle-tip --data sets/tip-hard --model my-tip@0.1 --against needle-tip-ut@0.5
  puncta models promote my-tip@0.1
  puncta models rollback needle-tip

Simulation and training only, not for clinical use."""

WIDTH, LEAST_LAST = 160, 40
"""Columns where no screen says how many it has, and those that the last column of a list has at least."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    verbs = parser.add_subparsers(dest="models_verb", required=True, metavar="ACTION", title="actions")
    for name, words in (
        ("list", "show the models, where they come from and which are in use"),
        ("verify", "compare every file with its recorded hash"),
        ("bench", "time the settings on this machine and keep the best"),
    ):
        verb = verbs.add_parser(name, help=words)
        if name != "list":
            verb.add_argument("id", nargs="*", metavar="ID", help="only these models")
        verb.add_argument("--json", action="store_true", help="print machine-readable JSON")
    models_use.add_parsers(verbs)
    model_pictures.add_parser(verbs)


def run(args: argparse.Namespace) -> int:
    """Run the verb and return the exit status.

    Raises
    ------
    UserError
        Wrong use or bad input.
    """
    verbs = {
        "list": _list,
        "verify": _verify,
        "bench": _bench,
        "pictures": model_pictures.run,
        "promote": models_use.run_promote,
        "rollback": models_use.run_rollback,
        "install": models_use.run_install,
        "remove": models_use.run_remove,
    }
    return verbs[args.models_verb](args)


def _chosen(registry: Registry, ids: list[str]) -> list[ModelCard]:
    return [registry.find(i) for i in ids] if ids else list(registry.cards)


def _list(args: argparse.Namespace) -> int:
    registry = all_models()
    if args.json:
        rows = [_facts(c, registry) for c in registry.cards]
        print(json.dumps({"models": rows, "problems": list(registry.problems)}, indent=2))
        return 0
    if not registry.cards:
        print("No models are registered.")
    else:
        table = [["model", "plugin", "use", "from", "precision", "licence", "settings here", "trained on"]]
        for card in sorted(registry.cards, key=lambda c: c.plugin):
            tuning = stored_tuning(card)
            data = f"{card.training_data}{' (simulated)' if card.simulated else ''}"
            table.append(
                [
                    card.identity,
                    card.plugin,
                    _use_of(card, registry),
                    _ORIGINS[card.origin],
                    "/".join(f.precision for f in card.files),
                    card.licence,
                    tuning.words() if tuning else "not measured",
                    data,
                ]
            )
        _print_table(_narrow(table))
    _print_problems(registry)
    return 0


def _narrow(rows: list[list[str]]) -> list[list[str]]:
    """Shorten the last column to the width of the screen; JSON and a model's card have the whole of it."""
    before = sum(max(len(row[i]) for row in rows) + 2 for i in range(len(rows[0]) - 1))
    room = max(LEAST_LAST, shutil.get_terminal_size((WIDTH, 24)).columns - before)
    return [[*row[:-1], textwrap.shorten(row[-1], room, placeholder=" ...")] for row in rows]


_ORIGINS = {"shipped": "Puncta", "user": "you", "plugin": "its plugin"}


def _use_of(card: ModelCard, registry: Registry) -> str:
    """Say whether a model is in use and since when it is promoted."""
    promotion = registry.promotion_of(card)
    if promotion is not None:
        return f"promoted {promotion.at_utc[:10]}"
    return "in use" if registry.is_in_use(card) else "-"


def _facts(card: ModelCard, registry: Registry) -> dict[str, Any]:
    facts = {
        name: getattr(card, name)
        for name in ("id", "version", "plugin", "file", "sha256", "precision", "default", "licence", "licence_url")
        + ("training_data", "simulated", "card", "recipe", "origin")
    }
    tuning, promotion = stored_tuning(card), registry.promotion_of(card)
    return {
        **facts,
        "in_use": registry.is_in_use(card),
        "promoted_utc": promotion.at_utc if promotion is not None else None,
        "input": dict(card.input),
        "outputs": list(card.outputs),
        "metrics": dict(card.metrics),
        "variants": [asdict(v) for v in card.variants],
        "tuning": asdict(tuning) if tuning else None,
    }


def _verify(args: argparse.Namespace) -> int:
    registry = all_models()
    rows: list[dict[str, Any]] = []
    for card in _chosen(registry, args.id):
        message = ""
        try:
            registry.verify(card)
            if not card.card_path.is_file():
                message = f'The card {card.folder.name}/{card.card} of the model "{card.identity}" is not there.'
        except UserError as error:
            message = str(error)
        rows.append({"model": card.identity, "files": len(card.files), "holds": not message, "message": message})
    failures = [row["message"] for row in rows if row["message"]]
    failures += registry.problems if not args.id else ()
    if args.json:
        print(json.dumps({"models": rows, "problems": list(registry.problems)}, indent=2))
    else:
        for row in rows:
            if row["holds"]:
                print(f"{row['model']}: {row['files']} {'file' if row['files'] == 1 else 'files'} as recorded")
        if not rows and not failures:
            print("No models are registered.")
    for failure in failures:
        print(f"puncta: {failure}", file=sys.stderr)
    return 2 if failures else 0


def _bench(args: argparse.Namespace) -> int:
    registry = all_models()
    cards = _chosen(registry, args.id)
    if not cards:
        raise UserError("No models are registered, so there is nothing to time.")
    tables: list[TuningTable] = []
    for card in cards:
        if sys.stderr.isatty():
            print(f"Timing {card.identity} ...", file=sys.stderr)
        table = measure(card)
        if table is None:
            continue
        remember(card, table)
        tables.append(table)
        if not args.json:
            _print_bench(table)
    if args.json:
        print(json.dumps({"models": [{**asdict(t), "chosen": t.chosen} for t in tables]}, indent=2))
    return 0


def _print_bench(table: TuningTable) -> None:
    print(f"{table.model} on {table.cpu}, {table.cores} cores, ONNX Runtime {table.runtime}")
    rows = [["provider", "threads", "precision", "median ms", "p95 ms", "deviation", ""]]
    for number, row in enumerate(table.rows):
        rows.append(
            [
                row.provider,
                str(row.threads),
                row.precision,
                f"{row.median_ms:.2f}" if row.median_ms is not None else "-",
                f"{row.p95_ms:.2f}" if row.p95_ms is not None else "-",
                f"{row.deviation:.1e}" if row.deviation is not None else "-",
                "chosen" if number == table.chosen else row.note,
            ]
        )
    _print_table(rows)
    print("Deviation: largest difference of an output from the reference, as a share of its range.")


def _print_problems(registry: Registry) -> None:
    for problem in registry.problems:
        print(f"puncta: {problem}", file=sys.stderr)


def _print_table(rows: list[list[str]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
