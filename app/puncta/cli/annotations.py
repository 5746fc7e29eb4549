"""`puncta annotations`: cases to label, worklists, import, export, agreement, the state of the store."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from puncta.cli.progress import ProgressLine
from puncta.core.errors import UserError
from puncta.session.figure_words import count_of

if TYPE_CHECKING:
    from puncta.annotation.cases import Case
    from puncta.annotation.commands import Command
    from puncta.annotation.store import AnnotationStore

NAME = "annotations"
HELP = "labels: cases, worklists, import, export, agreement"
DESCRIPTION = """\
Work with the labels of the program's store.

The store is this user's own unless --store or PUNCTA_STORE names a file or a server (postgresql://HOST/NAME).
CASE is the title, the clip's name, its file, or the first letters of the id of a case; 'puncta annotations list' shows
them."""
EPILOG = """\
Examples:
  puncta annotations add clip.dcm --label-set needle-tip --subject S12
  puncta annotations export set1 --format dataset
  puncta annotations import labels.json --case clip.dcm --rater anna
  puncta annotations agree clip.dcm anna bert --json

Simulation and training only, not for clinical use."""


SPLIT_NAME = re.compile("[a-z][a-z0-9_-]*")
"""As the schema of datasets has it."""
STORE_WORDS = "another store than this user's own or the one that PUNCTA_STORE names"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--store", metavar="FILE_OR_URL", help=STORE_WORDS)
    verbs = parser.add_subparsers(dest="action", required=True, metavar="ACTION", title="actions")

    def add(name: str, words: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=words, description=words[:1].upper() + words[1:] + ".")
        verb.add_argument("--store", metavar="FILE_OR_URL", default=argparse.SUPPRESS, help=STORE_WORDS)
        return verb

    verb = add("list", "list the cases and how far they are labelled")
    verb.add_argument("text", nargs="?", default="", help="words to look for in titles, tags, machines, subjects")
    verb.add_argument("--tag", action="append", default=[], help="only cases with this tag; may stand several times")
    verb.add_argument("--rater", help="the worklist of this rater")
    verb.add_argument("--json", action="store_true", help="print machine-readable")
    verb = add("add", "add a clip as a case to label")
    verb.add_argument("source", metavar="SOURCE", help="a film, a DICOM cine, a folder of pictures or a session")
    verb.add_argument("--label-set", required=True, help="needle-tip, breast-biopsy, infant-lp or needle")
    for name, words in (
        ("title", "what it is called (default: the file's name)"),
        ("machine", "what it was recorded with"),
        ("subject", "whom it shows, a code; datasets are split by it"),
        ("split", "train, tune or test, where that is settled"),
    ):
        verb.add_argument(f"--{name}", help=words)
    verb.add_argument("--tag", action="append", default=[], help="may stand several times")
    verb = add("assign", "put a case on the worklist of a rater")
    verb.add_argument("case", metavar="CASE")
    verb.add_argument("rater", metavar="RATER")
    verb.add_argument("--blind", action="store_true", help="hide other labels and what models propose until it is done")
    verb.add_argument("--proposals", action="store_true", help="a blind reader may see what models propose")
    verb = add("export", "write labels and pictures as files")
    verb.add_argument("out", metavar="DIR", type=Path, help="a new folder")
    verb.add_argument("--format", default="dataset", help="dataset (default), coco, yolo, mot, masks or csv")
    verb.add_argument(
        "--case", action="append", default=[], metavar="CASE", help="may stand several times; default all"
    )
    verb.add_argument("--rater", help="whose labels; default: the consensus, else the only rater's")
    verb.add_argument("--unconfirmed", action="store_true", help="take proposed labels too, marked as such")
    verb.add_argument("--no-pictures", action="store_true", help="coco and yolo without pictures")
    verb.add_argument("--segments", action="store_true", help="yolo: outlines instead of boxes")
    verb = add("import", "read labels from a file or folder")
    verb.add_argument("path", metavar="FILE", type=Path, help="a dataset folder, or a file or folder of the others")
    verb.add_argument("--case", required=True, metavar="CASE", help="the case whose frames they are of")
    verb.add_argument("--rater", help="into whose layer; default: of the raters whom the file names")
    verb.add_argument("--format", help="dataset, coco, cvat or labelme; default: found out")
    verb.add_argument("--map", action="append", default=[], metavar="A=B", help="the file's A is the label set's B")
    verb.add_argument("--proposed", action="store_true", help="as proposals, to be confirmed")
    verb = add("agree", "say how far two raters agree")
    verb.add_argument("case", metavar="CASE")
    verb.add_argument("a", metavar="RATER")
    verb.add_argument("b", metavar="RATER")
    verb.add_argument("--json", action="store_true", help="print machine-readable")
    verb = add("check", "check the store")
    verb.add_argument(
        "--begin-anew", action="store_true", help="begin an empty store where there is none, or beside a damaged one"
    )


def run(args: argparse.Namespace) -> int:
    """Do the action; raises UserError for wrong use."""
    from puncta.annotation.shared import STORE_VARIABLE
    from puncta.annotation.store import AnnotationStore

    actions = {
        "list": _list,
        "add": _add,
        "assign": _assign,
        "export": _export,
        "import": _import,
        "agree": _agree,
        "check": _check,
    }
    for name in ("rater", "a", "b"):
        if getattr(args, name, None) is not None:
            setattr(args, name, rater_named(getattr(args, name)))
    where = args.store or os.environ.get(STORE_VARIABLE) or None
    begin_anew = getattr(args, "begin_anew", False)
    # Only who adds a case may mean a store that is not there yet; elsewhere its name is mistyped.
    with AnnotationStore.open(where, begin_anew=begin_anew, begin=args.action == "add") as store:
        return actions[args.action](store, args)


def rater_named(text: str) -> str:
    """Return the name of a rater; raises UserError where it is empty."""
    if not text.strip():
        raise UserError("A rater needs a name; give initials or a code.")
    return text.strip()


def find_case(store: AnnotationStore, text: str) -> Case:
    """Return the one case that a text names; raises UserError for none or several."""
    from puncta.annotation.cases import is_at

    cases = store.cases()
    for fits in (
        [c for c in cases if c.id == text],
        [c for c in cases if text in {c.title, c.stream}],
        [c for c in cases if is_at(c, text)],
        [c for c in cases if len(text) >= 4 and c.id.startswith(text)],
    ):
        if len(fits) > 1:
            ids = ", ".join(c.id[:8] for c in fits)
            raise UserError(f"'{text}' names {len(fits)} cases; name one by its id: {ids}.")
        if fits:
            return fits[0]
    raise UserError(f"There is no case '{text}'; 'puncta annotations list' shows them.")


def _list(store: AnnotationStore, args: argparse.Namespace) -> int:
    from puncta.library.search import search
    from puncta.library.worklist import progress, worklist

    cases = search(store, args.text, args.tag)
    states = {}
    if args.rater:
        own = worklist(store, args.rater)
        order = {a.case_id: n for n, a in enumerate(own)}
        states = {a.case_id: a for a in own}
        cases = tuple(sorted((c for c in cases if c.id in order), key=lambda c: order[c.id]))
    rows: list[dict[str, Any]] = []
    for case in cases:
        done = progress(store, case, args.rater)
        row: dict[str, Any] = {
            "id": case.id,
            "title": case.title,
            "label_set": case.label_set,
            "tags": list(case.tags),
            "frames": case.frame_count,
            "labelled": done.labelled,
            "proposed": done.proposed,
            "raters": list(store.raters(case.id)),
        }
        if case.id in states:
            row |= {"work": str(states[case.id].state), "blind": states[case.id].blind, "note": states[case.id].note}
        rows.append(row)
    if args.json:
        print(json.dumps({"cases": rows}, indent=1, ensure_ascii=False))
        return 0
    if not rows:
        print("There are no cases." if not args.text and not args.tag and not args.rater else "No case fits.")
    for row in rows:
        frames = "? frames" if row["frames"] is None else count_of(row["frames"], "frame")
        work = f"  {row['work']}{' (blind)' if row['blind'] else ''}" if "work" in row else ""
        print(
            f"{row['id'][:8]}  {row['title']}  {row['label_set']}  {row['labelled']} of {frames} labelled, "
            f"{row['proposed']} proposed{work}"
        )
    return 0


def _add(store: AnnotationStore, args: argparse.Namespace) -> int:
    from puncta.annotation.cases import case_of_source
    from puncta.formats.label_sets import find_label_set, shipped_label_sets
    from puncta.sources.factory import open_source

    if find_label_set(args.label_set) is None:
        raise UserError(f"There is no label set '{args.label_set}'; there are {', '.join(shipped_label_sets())}.")
    if args.split is not None and not SPLIT_NAME.fullmatch(args.split):
        raise UserError(f"'{args.split}' is no name of a split; the usual ones are train, tune and test.")
    source = open_source(args.source)
    info = source.info
    source.close()
    if info.frame_count is None:
        raise UserError(f"{info.title} has no end; record it first and add the recording.")
    case = case_of_source(
        info,
        args.label_set,
        title=args.title or "",
        machine=args.machine,
        subject=args.subject,
        split=args.split,
        tags=tuple(args.tag),
    )
    there = store.find_case(case.stream, case.uri)
    if there is not None and there.uri == case.uri:
        raise UserError(f"{case.title} is a case already, {there.id[:8]}.")
    store.add_case(case)
    print(f"{case.id[:8]}  {case.title}: {count_of(info.frame_count, 'frame')}, {case.label_set}")
    return 0


def _assign(store: AnnotationStore, args: argparse.Namespace) -> int:
    from puncta.annotation.assignments import assign

    if args.proposals and not args.blind:
        raise UserError("--proposals belongs to --blind: other readers see what models propose anyway.")
    case = find_case(store, args.case)
    made = assign(store, case.id, args.rater, blind=args.blind, proposals=args.proposals)
    how = "blind, with proposals" if made.proposals else "blind" if made.blind else "open"
    print(f"{case.title} is number {made.position + 1} on the worklist of {made.rater} ({how})")
    return 0


def _export(store: AnnotationStore, args: argparse.Namespace) -> int:
    from puncta.session.label_exchange import export_labels

    cases = [find_case(store, text) for text in args.case] or list(store.cases())
    line = ProgressLine("frame")
    try:
        done = export_labels(
            store,
            args.out,
            args.format,
            cases,
            rater=args.rater,
            unconfirmed=args.unconfirmed,
            pictures=not args.no_pictures,
            segments=args.segments,
            tell=line.show,
        )
    finally:
        line.clear()
    where = f"{count_of(done.frames, 'frame')} of {count_of(done.cases, 'case')}"
    print(f"{count_of(done.labels, 'label')} on {where} in {done.folder}")
    if done.empty:
        print(f"without labels and left out: {', '.join(done.empty)}")
    for words in done.left_out:
        print(f"left out: {words}")
    return 0


def _import(store: AnnotationStore, args: argparse.Namespace) -> int:
    from puncta.annotation.labels import State
    from puncta.session.label_import import import_labels

    wrong = [text for text in args.map if "=" not in text]
    if wrong:
        raise UserError(f"--map {wrong[0]} has no '='; write the file's name = the label set's name.")
    done = import_labels(
        store,
        find_case(store, args.case),
        args.path,
        rater=args.rater,
        kind=args.format,
        names=dict(text.split("=", 1) for text in args.map),
        state=State.PROPOSED if args.proposed else None,
    )
    passed = f"{done.passed_over} were there already or are confirmed and stay"
    print(f"{count_of(done.labels, 'label')} imported; {passed}{_by_state(done.commands)}")
    for reason, count in done.left_out.items():
        print(f"left out: {count} x {reason}")
    return 0


def _by_state(commands: Iterable[Command]) -> str:
    """How many came as what, where not all are confirmed."""
    states = Counter(str(c.after.state) for command in commands for c in command.changes if c.after is not None)
    if set(states) <= {"confirmed"}:
        return ""
    return f" (imported as {', '.join(f'{state} {count}' for state, count in states.most_common())})"


def _agree(store: AnnotationStore, args: argparse.Namespace) -> int:
    from puncta.annotation.agreement import agreement
    from puncta.annotation.reading import saw_proposals

    if args.a == args.b:
        raise UserError(f"{args.a} agrees with {args.a}; name two raters.")
    case = find_case(store, args.case)
    labels = []
    for rater in (args.a, args.b):
        own = store.labels(case.id, rater=rater)
        if not own:
            others = ", ".join(store.raters(case.id))
            there = f"there are labels of {others}" if others else "nobody has labelled it yet"
            raise UserError(f"{rater} has no labels in {case.title}; {there}.")
        labels.append(own)
    found = agreement(case, *labels, proposals=saw_proposals(store, case.id, (args.a, args.b)))
    if args.json:
        print(json.dumps({"case": case.id, "simulated": case.simulated, **asdict(found)}, indent=1))
        return 0
    words = "simulated, " if case.simulated else ""
    print(f"{case.title}: {found.a} and {found.b}, {words}{count_of(found.frames, 'frame')} judged by both")
    for kappa in (*found.flags, *found.visible):
        value = "not defined: both always say the same" if kappa.value is None else f"{kappa.value:.2f}"
        what = kappa.name if kappa in found.flags else f"{kappa.name} visible"
        print(f"  {what}: {kappa.method} {value}, the same on {kappa.observed:.0%} of {kappa.n}")
    for mask in found.masks:
        gap = "" if mask.boundary is None else f", outlines {mask.boundary:.2f} {mask.unit} apart"
        n = count_of(mask.n, "frame")
        print(f"  {mask.name}: Dice {mask.dice_mean:.3f} (least {mask.dice_least:.3f}){gap}, {n}")
    for d in found.distances:
        n = count_of(d.n, "frame")
        print(f"  {d.name}: {d.median:.2f} {d.unit} median, {d.p95:.2f} p95, {d.most:.2f} most, {n}")
    if found.proposals:
        print("  the raters could see or have used what models propose: they are not independent readers")
    return 0


def _check(store: AnnotationStore, _args: argparse.Namespace) -> int:
    from puncta.annotation.store_open import newest_form

    cases = store.cases()
    count = sum(len(store.labels(case.id)) for case in cases)
    where = store.engine.url.render_as_string(hide_password=True)
    print(f"{where}: form {newest_form()}, {count_of(len(cases), 'case')}, {count_of(count, 'label')}, all read")
    return 0
