"""Labels of files into the store, each on the frame of the case that it was made on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from puncta.annotation.cases import Case
from puncta.annotation.commands import Board, Command, propose
from puncta.annotation.exchange_coco import dataset_in_coco, found_in_coco
from puncta.annotation.exchange_cvat import found_in_cvat
from puncta.annotation.exchange_dataset import found_in_dataset
from puncta.annotation.exchange_fit import hash_wanted, images_of_case, indices_of
from puncta.annotation.exchange_found import Found, labels_from_found
from puncta.annotation.exchange_labelme import found_in_labelme
from puncta.annotation.labels import Label, State
from puncta.annotation.store import AnnotationStore
from puncta.core.errors import UserError
from puncta.core.frame import FrameKey, grey_from_pixels, hash_planes
from puncta.formats.dataset import COCO_FILE, DATASET_FILE, load_dataset
from puncta.formats.dataset_values import Dataset
from puncta.formats.exports import CVAT_FILE, WRITTEN_ONLY, kind_of_labels
from puncta.formats.jsontext import read_json
from puncta.session.label_exchange import frames_of_case, label_set_of, open_clip

IN_FORMATS = ("dataset", "coco", "cvat", "labelme")
OTHER_VIDEO = "label of another video"


READ_INSTEAD = "give a dataset, or a file of COCO, CVAT or labelme."
READ_SUFFIXES = (".json", ".xml", ".zip")


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
    kind, found, _dataset = _read(path, kind)
    return kind, found


def _read(path: Path, kind: str | None) -> tuple[str, list[Found], Dataset | None]:
    """Read labels, and what the file says of the frames and videos they are on, where its format says it."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"There is no {path}.")
    kind = _kind_of(path, kind)
    if kind == "dataset":
        dataset = load_dataset(path)
        return kind, found_in_dataset(dataset), dataset
    if kind == "coco":
        file = path / COCO_FILE if path.is_dir() else path
        document = read_json(file)
        return kind, found_in_coco(document, str(file)), dataset_in_coco(document, str(file))
    if kind == "cvat":
        return kind, found_in_cvat(path / CVAT_FILE if path.is_dir() else path), None
    return kind, found_in_labelme(path), None


def _kind_of(path: Path, asked: str | None) -> str:
    """The format that is asked for, where the place can be of it; else the one that is found there."""
    if asked in WRITTEN_ONLY:
        raise UserError(f"Labels in the format {asked} are written here and not read; {READ_INSTEAD}")
    if asked is not None and asked not in IN_FORMATS:
        raise UserError(f"There is no format '{asked}' to import; there are {', '.join(IN_FORMATS)}.")
    if not path.is_dir():
        return asked or _kind_of_file(path)
    needed = {"dataset": DATASET_FILE, "coco": COCO_FILE, "cvat": CVAT_FILE, "labelme": "*.json"}
    if asked is not None and any(path.glob(needed[asked])):
        return asked
    there = kind_of_labels(path)
    if there in WRITTEN_ONLY:
        raise UserError(f"{path} is an export as {there}, which is written here and not read; {READ_INSTEAD}")
    if there is None:
        raise UserError(f"{path} holds no labels: no {DATASET_FILE}, {COCO_FILE}, {CVAT_FILE} or labelme files.")
    if asked is not None:
        raise UserError(
            f"{path} holds no {needed[asked]}, so it is not of the format {asked}; without --format it is read as "
            f"{there}."
        )
    return there


def _kind_of_file(path: Path) -> str:
    if path.suffix.lower() in {".xml", ".zip"}:
        return "cvat"
    if path.suffix.lower() not in READ_SUFFIXES:
        raise UserError(
            f"{path.name} is no file of labels that is read here; those in tables, texts and pictures (csv, mot, yolo, "
            f"masks) are only written; {READ_INSTEAD}"
        )
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
        Nothing of the file fits the case, its frames are those of another clip, or no rater is named, neither here
        nor in the file.
    """
    kind, found, dataset = _read(path, kind)
    keys, label_set = keys_of(store, case), label_set_of(case)
    left_out: Counter[str] = Counter()
    if dataset is not None:
        own = images_of_case(dataset, found, case, keys, clip_hashes(case, dataset, found, keys), str(path))
        left_out.update(OTHER_VIDEO for entry in found if entry.place not in own)
        found = [entry for entry in found if entry.place in own]
    if rater is None and (unnamed := sum(entry.rater is None for entry in found)):
        raise UserError(f"{path} does not name who made {unnamed} of its labels; name by --rater into whose layer.")
    layers: dict[str, list[Found]] = {}
    for entry in found:
        layers.setdefault(rater or entry.rater or "", []).append(entry)
    count = passed = fitting = 0
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


def clip_hashes(
    case: Case, dataset: Dataset, found: Iterable[Found], keys: Callable[[int], FrameKey | None]
) -> dict[int, frozenset[str]]:
    """Return the hashes that a picture of a frame may have, of the frames whose pictures the file knows.

    A dataset keeps grey pictures, so of a clip in colour both the frame's own hash and that of the grey picture count.
    """
    if not case.uri:
        return {}
    index = indices_of(dataset, found)
    wanted = {index[i.id] for i in dataset.images if i.id in index and hash_wanted(i, case)}
    return {
        frame.key.index: frozenset({frame.digest(), hash_planes((grey_from_pixels(frame.pixels),))})
        for frame in frames_of_case(case, sorted(n for n in wanted if n is not None and keys(n) is not None))
    }


def keys_of(store: AnnotationStore, case: Case) -> Callable[[int], FrameKey | None]:
    """Return what gives the frame key of an index: from the clip, else from frames labelled before."""
    known = {label.key.index: label.key for label in store.labels(case.id)}
    times = None
    if case.uri:
        source = open_clip(case)
        times = source.info.times_ns
        source.close()

    def key(index: int) -> FrameKey | None:
        if index in known:
            return known[index]
        if times is None or not 0 <= index < len(times):
            return None
        return FrameKey(case.stream, index, int(times[index]))

    return key
