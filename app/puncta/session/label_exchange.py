"""Labels out of the store into files and back, with the pictures of the frames they belong to.

The pictures come from the case's clip, frame by frame; where a label carries the hash of its frame, the decoded frame
has to have it, so the frame labelled is the frame exported.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2

from puncta.annotation.adjudicate import CONSENSUS
from puncta.annotation.cases import Case
from puncta.annotation.commands import Board, Command, propose
from puncta.annotation.exchange_coco import coco_from_dataset, found_in_coco
from puncta.annotation.exchange_cvat import found_in_cvat
from puncta.annotation.exchange_dataset import CasePart, dataset_of, found_in_dataset, picture_name, usable
from puncta.annotation.exchange_found import Found, labels_from_found
from puncta.annotation.exchange_labelme import found_in_labelme
from puncta.annotation.exchange_write import (
    FRAMES_TABLE,
    csv_of,
    frames_table,
    write_mot,
    write_png_masks,
    write_yolo,
)
from puncta.annotation.labels import Label, State, is_machine
from puncta.annotation.store import AnnotationStore
from puncta.core.errors import UserError
from puncta.core.frame import Frame, FrameKey, grey_from_pixels, hash_planes
from puncta.core.ports import FrameSource
from puncta.formats.atomic import AtomicFile, write_text_atomic
from puncta.formats.dataset import load_dataset, save_dataset
from puncta.formats.jsontext import read_json, write_json
from puncta.formats.label_sets import LabelSet, find_label_set

OUT_FORMATS = ("dataset", "coco", "yolo", "mot", "masks", "csv")
IN_FORMATS = ("dataset", "coco", "cvat", "labelme")
WITH_PICTURES = frozenset({"dataset", "coco", "yolo"})


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: frames and labels, and cases that had none."""

    folder: Path
    cases: int
    frames: int
    labels: int
    empty: tuple[str, ...] = ()


def label_set_of(case: Case) -> LabelSet:
    """Return a case's label set; raises UserError where it is not here."""
    found = find_label_set(case.label_set)
    if found is None:
        raise UserError(f"The label set '{case.label_set}' of {case.title} is not among those that ship.")
    return found


def rater_to_export(store: AnnotationStore, case: Case, rater: str | None) -> str | None:
    """Return whose labels go out: who was named, else the consensus, else the only person; None where nobody has any.

    Raises
    ------
    UserError
        Several people have labelled the case and nobody was named.
    """
    raters = store.raters(case.id)
    if rater is not None:
        return rater if rater in raters else None
    if CONSENSUS in raters:
        return CONSENSUS
    people = [r for r in raters if not is_machine(r)]
    if len(people) > 1:
        raise UserError(f"{case.title} has labels of {', '.join(people)} and no consensus; name one by --rater.")
    return people[0] if people else None


def export_labels(
    store: AnnotationStore,
    out: Path,
    kind: str,
    cases: Sequence[Case],
    *,
    rater: str | None = None,
    unconfirmed: bool = False,
    pictures: bool = True,
    segments: bool = False,
    tell: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write the labels of cases as one of `OUT_FORMATS` into a new folder, whole or not at all.

    Parameters
    ----------
    rater : str or None
        Whose; None takes the consensus, else the only person's.
    pictures : bool
        False leaves the pictures out where the format can do without (all but "dataset").
    segments : bool
        YOLO outlines instead of boxes.
    tell : callable or None
        Called with frames written and frames in all.

    Raises
    ------
    UserError
        There is nothing to export, the folder is there, label sets differ, or a clip is not what was labelled.
    """
    if kind not in OUT_FORMATS:
        raise UserError(f"There is no format '{kind}'; there are {', '.join(OUT_FORMATS)}.")
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already; name a new folder.")
    chosen: list[tuple[Case, tuple[Label, ...]]] = []
    empty: list[tuple[Case, tuple[Label, ...]]] = []
    for case in cases:
        who = rater_to_export(store, case, rater)
        labels = () if who is None else usable(store.labels(case.id, rater=who), unconfirmed=unconfirmed)
        (chosen if labels else empty).append((case, labels))
    if not chosen:
        raise UserError(
            "There is no confirmed label to export."
            if rater is None
            else f"There is no confirmed label of {rater} to export."
        )
    sets = {case.label_set for case, _labels in chosen}
    if len(sets) > 1:
        raise UserError(f"The cases have different label sets ({', '.join(sorted(sets))}); export them one by one.")
    label_set = label_set_of(chosen[0][0])
    with_pictures = kind == "dataset" or (pictures and kind in WITH_PICTURES)
    temporary = out.with_name(f".{out.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{temporary.parent} cannot be written: {error.strerror}.") from error
    try:
        parts = _parts(chosen, temporary if with_pictures else None, tell)
        _write(kind, parts, label_set, temporary, unconfirmed=unconfirmed, segments=segments)
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    frames = sum(len({label.key.index for label in part.labels}) for part in parts)
    return Exported(out, len(parts), frames, sum(len(p.labels) for p in parts), tuple(c.title for c, _ in empty))


def _write(
    kind: str, parts: Sequence[CasePart], label_set: LabelSet, folder: Path, *, unconfirmed: bool, segments: bool
) -> None:
    if kind == "csv":
        write_text_atomic(folder / "labels.csv", csv_of(parts, unconfirmed=unconfirmed))
        return
    dataset = dataset_of(parts, label_set, unconfirmed=unconfirmed)
    if kind == "dataset":
        save_dataset(dataset, folder)
    elif kind == "coco":
        write_json(folder / "annotations.json", coco_from_dataset(dataset))
        write_text_atomic(folder / FRAMES_TABLE, frames_table(dataset, [i.file_name for i in dataset.images]))
    elif kind == "yolo":
        write_yolo(dataset, folder, segments=segments)
    elif kind == "mot":
        write_mot(dataset, folder)
    elif not write_png_masks(dataset, folder):
        raise UserError("There is no mask to export; other shapes go into dataset, coco, yolo or csv.")


def _parts(
    chosen: Sequence[tuple[Case, Iterable[Label]]], folder: Path | None, tell: Callable[[int, int], None] | None
) -> list[CasePart]:
    total = sum(len({label.key.index for label in labels}) for _case, labels in chosen)
    parts, done = [], 0
    for case, labels in chosen:
        hashes: dict[int, str] = {}
        keys: dict[int, FrameKey] = {}
        wanted = {label.key.index: label.key for label in labels}
        if folder is not None:
            for frame in frames_of_case(case, sorted(wanted)):
                keys[frame.key.index] = _checked(frame, wanted[frame.key.index], case)
                hashes[frame.key.index] = write_picture(frame, folder / picture_name(case, frame.key.index))
                done += 1
                if tell is not None:
                    tell(done, total)
        own = tuple(replace(label, key=keys.get(label.key.index, label.key)) for label in labels)
        parts.append(CasePart(case, own, partial(picture_name, case), hashes if folder is not None else None))
    return parts


def _checked(frame: Frame, key: FrameKey, case: Case) -> FrameKey:
    if frame.key.pts_ns != key.pts_ns:
        raise UserError(
            f"Frame {key.index} of {case.title} has another time than the frame that was labelled; "
            "the clip is another one."
        )
    found = frame.digest()
    if key.sha256 is not None and key.sha256 != found:
        raise UserError(
            f"Frame {key.index} of {case.title} shows other pixels than the frame that was labelled; "
            "the clip is another one."
        )
    return replace(key, sha256=found)


def write_picture(frame: Frame, path: Path) -> str:
    """Write a frame as a dataset keeps it, an 8-bit grey PNG; return the hash of what was written."""
    grey = grey_from_pixels(frame.pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    _good, data = cv2.imencode(".png", grey)
    with AtomicFile(path, binary=True) as out:
        out.write(data.tobytes())
    return hash_planes((grey,))


def _open(case: Case) -> FrameSource:
    from puncta.sources.factory import open_source

    if not case.uri:
        raise UserError(f"Nothing tells where the clip of {case.title} is; add it again by its file.")
    source = open_source(case.uri)
    if source.info.stream != case.stream:
        source.close()
        raise UserError(f"{case.uri} is the clip {source.info.stream}, not {case.stream}.")
    return source


def frames_of_case(case: Case, indices: Sequence[int]) -> Iterator[Frame]:
    """Yield some frames of a case's clip, given in order; raises UserError where the clip is another one."""
    source = _open(case)
    try:
        at = 0
        for index in indices:
            if index != at:
                source.seek(index)
            frame = source.read()
            while frame is not None and frame.key.index < index:
                frame = source.read()
            if frame is None or frame.key.index != index:
                raise UserError(f"{case.title} has no frame {index}; the clip is another one.")
            yield frame
            at = index + 1
    finally:
        source.close()


# In.


@dataclass(frozen=True, slots=True)
class ImportDone:
    """What an import did.

    Attributes
    ----------
    labels : int
        Taken over.
    passed_over : int
        Left as they were, since a person has confirmed them.
    left_out : mapping of reason to count
    """

    labels: int
    passed_over: int
    left_out: Mapping[str, int]
    commands: tuple[Command, ...] = ()


def read_found(path: Path, kind: str | None) -> tuple[str, list[Found]]:
    """Read labels of a file or folder; ``kind`` None finds the format out. Return the format and what was found.

    Raises
    ------
    UserError
        There is no such file, or it is of no format that is known.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"There is no {path}.")
    kind = kind or _guess(path)
    if kind == "dataset":
        return kind, found_in_dataset(load_dataset(path))
    if kind == "coco":
        file = path / "annotations.json" if path.is_dir() else path
        return kind, found_in_coco(read_json(file), str(file))
    if kind == "cvat":
        return kind, found_in_cvat(path / "annotations.xml" if path.is_dir() else path)
    if kind == "labelme":
        return kind, found_in_labelme(path)
    raise UserError(f"There is no format '{kind}' to import; there are {', '.join(IN_FORMATS)}.")


def _guess(path: Path) -> str:
    if path.is_dir():
        for name, kind in (("dataset.json", "dataset"), ("annotations.json", "coco"), ("annotations.xml", "cvat")):
            if (path / name).is_file():
                return kind
        return "labelme"
    if path.suffix.lower() in {".xml", ".zip"}:
        return "cvat"
    document = read_json(path)
    if isinstance(document, dict) and "shapes" in document:
        return "labelme"
    images = document.get("images", ()) if isinstance(document, dict) else ()
    return "dataset" if any("review" in image for image in images) else "coco"


def import_labels(
    store: AnnotationStore,
    case: Case,
    path: Path,
    *,
    rater: str | None,
    kind: str | None = None,
    names: Mapping[str, str] | None = None,
    state: State | None = None,
) -> ImportDone:
    """Read labels of a file into layers of a case, one gesture a layer, which can be undone.

    What a rater has confirmed stays. A file that knows what was confirmed and what only proposed keeps that.

    Parameters
    ----------
    rater : str or None
        Into whose layer; None: each label into that of the rater whom the file names.

    Raises
    ------
    UserError
        Nothing of the file fits the case, or no rater is named, neither here nor in the file.
    """
    kind, found = read_found(path, kind)
    if rater is None and (unnamed := sum(entry.rater is None for entry in found)):
        raise UserError(f"{path} does not name who made {unnamed} of its labels; name by --rater into whose layer.")
    layers: dict[str, list[Found]] = {}
    for entry in found:
        layers.setdefault(rater or entry.rater or "", []).append(entry)
    keys, label_set = keys_of(store, case), label_set_of(case)
    count = passed = fitting = 0
    left_out: Counter[str] = Counter()
    commands: list[Command] = []
    for who, entries in sorted(layers.items()):
        source = f"{kind} {Path(path).name}"
        got = labels_from_found(
            entries, label_set, who, keys, stream=case.stream, source=source, names=names, state=state
        )
        left_out.update(got.left_out)
        fitting += len(got.labels)
        board = Board(case.id, who, store.labels(case.id, rater=who))
        # States are those of the labels themselves, so each is proposed with its own.
        changes = [c for s in State for c in _changes(board, [x for x in got.labels if x.state is s], s)]
        passed += len(got.labels) - len(changes)
        if changes:
            commands.append(Command(f"Import {kind}", case.id, who, tuple(changes), None, automatic=True))
    if not fitting:
        why = ", ".join(f"{number} x {reason}" for reason, number in left_out.items()) or "it holds no labels"
        raise UserError(f"Nothing of {path} fits {case.title}: {why}.")
    for command in commands:
        done = store.apply(command)
        count += len(done.changes)
        passed += len(done.passed_over)
    return ImportDone(count, passed, dict(left_out), tuple(commands))


def _changes(board: Board, labels: list[Label], state: State) -> Iterable:
    command = propose(board, labels, state=state)
    return () if command is None else command.changes


def keys_of(store: AnnotationStore, case: Case) -> Callable[[int], FrameKey | None]:
    """Return what gives the frame key of an index: from the clip, else from frames labelled before."""
    known = {label.key.index: label.key for label in store.labels(case.id)}
    times = None
    if case.uri:
        source = _open(case)
        times = source.info.times_ns
        source.close()

    def key(index: int) -> FrameKey | None:
        if index in known:
            return known[index]
        if times is None or not 0 <= index < len(times):
            return None
        return FrameKey(case.stream, index, int(times[index]))

    return key
