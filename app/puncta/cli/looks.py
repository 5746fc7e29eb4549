"""`puncta dataset looks`: simulated pictures beside real ones, measured."""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from puncta.cli.outputs import check_output
from puncta.cli.progress import ProgressLine
from puncta.core.errors import UserError

HELP = "lay simulated pictures beside real ones and measure the difference"
DESCRIPTION = """\
Lay sheets of simulated pictures beside real stills and frames of real clips, and measure how they differ: grey
histogram, size of the speckle, spectral slope, contrast; and how well a small network tells the two apart (with
PyTorch). The sheets show real pictures: keep them where those may lie.

--out receives machine-A.png and so on, looks.json and looks.md; --json also writes the numbers (and the table beside
it, .md) to a place of your choice, without any picture."""


def add_parser(actions: Any) -> None:
    """Add the action to those of `puncta dataset`."""
    parser = actions.add_parser("looks", help=HELP, description=DESCRIPTION,
                                epilog="Simulation and training only, not for clinical use.",
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", metavar="DIR", type=Path, action="append", required=True,
                        help="a folder of real pictures or clips; may be given again")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="where sheets and tables go")
    parser.add_argument("--machines", metavar="A,B", default="A,B,C,D,E,F", help="machines to show (all)")
    parser.add_argument("--procedures", metavar="P,Q", help="procedures to show (all)")
    parser.add_argument("--cines", metavar="N", type=int, default=12, help="subjects a procedure and machine (12)")
    parser.add_argument("--first-seed", metavar="N", type=int, help="seed of the first subject")
    parser.add_argument("--jobs", metavar="N", type=int, help="processes to use (default: one a core)")
    parser.add_argument("--no-auc", action="store_true", help="leave the network out")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write numbers and table here")
    parser.set_defaults(action=run)


def _listed(text: str, known: tuple[str, ...], what: str) -> list[str]:
    import difflib

    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            # Of two single letters none is near the other.
            near = difflib.get_close_matches(name, known, 1, 0.5) if len(name) > 1 else []
            hint = f"the nearest is {near[0]!r}, all are" if near else "there are"
            raise UserError(f"There is no {what} {name!r}; {hint} {', '.join(known)}.")
    if not names:
        raise UserError(f"No {what} is named; choose from {', '.join(known)}.")
    return list(dict.fromkeys(names))


def run(args: argparse.Namespace) -> int:
    """Read, simulate, measure, lay out, and say what came of it."""
    from puncta.formats.atomic import write_text_atomic
    from puncta.session import looks, looks_report
    from puncta.sim.machines import PRESETS
    from puncta.sim.subject import PROCEDURES

    machines = _listed(args.machines.upper(), tuple(PRESETS), "machine")
    procedures = _listed(args.procedures or ",".join(PROCEDURES), PROCEDURES, "procedure")
    if args.cines < 1:
        raise UserError(f"--cines {args.cines} is not a number of subjects; give 1 or more.")
    if args.json is not None:
        check_output(args.json)
    real: list[looks.LookPicture] = []
    for folder in args.real:
        pictures, skipped = looks.read_real(folder)
        real += pictures
        if skipped:
            print(f"{folder.name}: {len(skipped)} files are left out, no reader opens them ({', '.join(skipped[:3])}).")
    if len(real) < 10:
        raise UserError(f"Only {len(real)} real pictures are there; a range needs 10 or more.")
    args.out.mkdir(parents=True, exist_ok=True)
    first = looks.FIRST_SEED if args.first_seed is None else args.first_seed
    line = ProgressLine("picture")
    jobs = args.jobs or os.cpu_count() or 1
    try:
        orders = looks.plan_orders(machines, procedures, args.cines, first)
        plain = looks.simulate_pictures(orders, jobs, line.show)
        shown = looks.simulate_pictures(
            [looks.Order(p, m, first + 500 + k, None, 20) for m in machines for k in range(3) for p in procedures],
            jobs, line.show,
        )
    finally:
        line.clear()
    measured_real = looks.measure(real)
    span = looks.real_range(measured_real)
    measured = looks.measure(plain)
    document: dict[str, Any] = {
        "format": "puncta-looks", "version": 1, "simulated": True, "machines": machines, "procedures": procedures,
        "cines": args.cines, "first_seed": first,
        "real": looks_report.real_document(span, Counter(p.group for p in real)),
        "cells": {name: looks.judge_cell(looks.pick(measured, which), span) for name, which in looks.groups_of(plain)},
    }
    if not args.no_auc:
        if importlib.util.find_spec("torch") is None:
            print("The network's AUC needs PyTorch, which is not installed here; the other figures are complete.")
        else:
            document["auc"] = measure_auc(machines, plain, real)
    sheets = looks_report.write_sheets(args.out, machines, shown, real)
    table = looks_report.tell_table(document)
    text = json.dumps(document, indent=1) + "\n"
    for path in [args.out / "looks.json", *([args.json] if args.json else [])]:
        write_text_atomic(path, text)
        write_text_atomic(path.with_suffix(".md"), table)
    print(table)
    print(f"{len(sheets)} sheets in {args.out}")
    print("Simulation and training only, not for clinical use.")
    return 0


def measure_auc(machines: list[str], plain: list[Any], real: list[Any]) -> dict[str, Any]:
    """Tell each machine's pictures from real ones, and real folders from each other."""
    from dataclasses import asdict

    import numpy as np

    from puncta.training import realism

    def patches(pictures: list[Any]) -> realism.PatchSet:
        return realism.collect_patches([p.pixels for p in pictures], [p.source for p in pictures],
                                       np.random.default_rng(11))

    def both(name: str, a: realism.PatchSet, b: realism.PatchSet) -> dict[str, Any]:
        line = ProgressLine(f"{name}: fold")
        try:
            return {
                word: {k: (round(v, 4) if isinstance(v, float) else v) for k, v in asdict(
                    realism.measure_realism(a, b, normalised=word != "raw", half=word == "half", tell=line.show)
                ).items()}
                for word in ("raw", "normalised", "half")
            }
        finally:
            line.clear()

    of_real = patches(real)
    out = {f"machine {m}": both(m, patches([p for p in plain if p.group.split()[0] == m]), of_real) for m in machines}
    folders = [name for name, n in Counter(p.group for p in real).items() if n >= 40]
    for a, b in itertools.combinations(folders, 2):
        pair = [patches([p for p in real if p.group == name]) for name in (a, b)]
        out[f"real {a} against real {b}"] = both(a, *pair)
    return out
