"""Labels out of the store into files, with the pictures of the frames they belong to; `label_import` reads them.

The pictures come from the case's clip, frame by frame; where a label carries the hash of its frame, the decoded frame
has to have it, so the frame labelled is the frame exported.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2

from puncta.annotation.adjudicate import CONSENSUS, confirmed_by_people, left_by_themselves, unsettled, waiting_frames
from puncta.annotation.cases import Case
from puncta.annotation.exchange_coco import coco_from_dataset
from puncta.annotation.exchange_dataset import CasePart, dataset_of, picture_name, usable
from puncta.annotation.exchange_write import (
    csv_of,
    frames_table,
    write_mot,
    write_png_masks,
    write_yolo,
)
from puncta.annotation.labels import NOTE, Label, is_machine
from puncta.annotation.store import AnnotationStore
from puncta.core.errors import UserError
from puncta.core.frame import Frame, FrameKey, grey_from_pixels, hash_planes
from puncta.core.ports import FrameSource
from puncta.formats.atomic import AtomicFile, write_text_atomic
from puncta.formats.dataset import COCO_FILE, save_dataset
from puncta.formats.exports import FRAMES_TABLE, LABELS_TABLE
from puncta.formats.jsontext import write_json
from puncta.formats.label_sets import LabelSet, find_label_set

OUT_FORMATS = ("dataset", "coco", "yolo", "mot", "masks", "csv")
WITH_PICTURES = frozenset({"dataset", "coco", "yolo"})


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: frames and labels, cases that had none, and what else was left out, a sentence each."""

    folder: Path
    cases: int
    frames: int
    labels: int
    empty: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def label_set_of(case: Case) -> LabelSet:
    """Return a case's label set; raises UserError where it is not here."""
    found = find_label_set(case.label_set)
    if found is None:
        raise UserError(f"The label set '{case.label_set}' of {case.title} is not among those that ship.")
    return found


def rater_to_export(store: AnnotationStore, case: Case, rater: str | None) -> str | None:
    """Return whose labels go out: who was named, else the consensus, else the only person; None where nobody has any.

    A consensus in which nothing is settled is none. One that is settled in part is taken as far as it goes, frame by
    frame, since only what was agreed upon is one answer; `labels_taken` says what that leaves out.

    Raises
    ------
    UserError
        Several people have labelled the case and nobody was named.
    """
    raters = store.raters(case.id)
    if rater is not None:
        return rater if rater in raters else None
    if CONSENSUS in raters:
        settled = store.labels(case.id, rater=CONSENSUS)
        if any(label.trusted and label.name != NOTE for label in settled):
            return CONSENSUS
    people = [r for r in raters if r != CONSENSUS and not is_machine(r)]
    if len(people) > 1:
        raise UserError(f"{case.title} has labels of {', '.join(people)} and no consensus; name one by --rater.")
    return people[0] if people else None


def labels_taken(store: AnnotationStore, case: Case, rater: str | None) -> tuple[tuple[Label, ...], str]:
    """Return the labels of a case that go out, and a sentence about what stays out; "" for nothing.

    A frame on which something drawn waits for an answer does not go out: with its needle alone it would read as a
    frame without a tip. Flags and phases that wait stay out by themselves.

    Raises
    ------
    UserError
        As `rater_to_export`.
    """
    who = rater_to_export(store, case, rater)
    if who != CONSENSUS:
        return (() if who is None else store.labels(case.id, rater=who)), ""
    labels = store.labels(case.id)
    own = tuple(x for x in labels if x.rater == CONSENSUS)
    waiting = waiting_frames(labels)
    kept = tuple(x for x in own if x.slot.index not in waiting)
    return kept, outside_consensus(case, labels) if rater is None or len(kept) < len(own) else ""


def outside_consensus(case: Case, labels: Sequence[Label]) -> str:
    """Say in a sentence what of a case people have confirmed and the consensus has not settled; "" for nothing."""
    open_frames = unsettled(labels)
    if not open_frames:
        return _flags_left_out(case, left_by_themselves(labels))
    count = len(frozenset().union(*open_frames.values()))
    total = len({x.slot.index for x in confirmed_by_people(labels)})
    *others, last = open_frames
    who = f"{', '.join(others)} and {last} have" if others else f"{last} has"
    return (
        f"{case.title}: what {who} confirmed on {count} of {total} labelled frames is not settled in the consensus; no "
        "such frame goes out, not even in part. Settle it in Annotate, or name one rater by --rater."
    )


def _flags_left_out(case: Case, count: int) -> str:
    if not count:
        return ""
    words = "1 flag or phase is" if count == 1 else f"{count} flags or phases are"
    stay = "stays out by itself" if count == 1 else "stay out by themselves"
    return f"{case.title}: {words} not settled in the consensus and {stay}; all labelled frames go out."


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
    left_out = []
    for case in cases:
        taken, words = labels_taken(store, case, rater)
        labels = usable(taken, unconfirmed=unconfirmed)
        if labels or not words:
            (chosen if labels else empty).append((case, labels))
        if words:
            left_out.append(words)
    if not chosen:
        if left_out:
            raise UserError(left_out[0])
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
    except FileNotFoundError as error:  # a place like /proc: it is there and holds no files of ours
        raise UserError(f"No folder can be made in {temporary.parent}; name another place.") from error
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
    count = sum(len(p.labels) for p in parts)
    return Exported(out, len(parts), frames, count, tuple(c.title for c, _ in empty), tuple(left_out))


def _write(
    kind: str, parts: Sequence[CasePart], label_set: LabelSet, folder: Path, *, unconfirmed: bool, segments: bool
) -> None:
    if kind == "csv":
        write_text_atomic(folder / LABELS_TABLE, csv_of(parts, unconfirmed=unconfirmed))
        return
    dataset = dataset_of(parts, label_set, unconfirmed=unconfirmed)
    if kind == "dataset":
        save_dataset(dataset, folder)
    elif kind == "coco":
        write_json(folder / COCO_FILE, coco_from_dataset(dataset))
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


def open_clip(case: Case) -> FrameSource:
    """Open a case's clip; raises UserError where nothing tells where it is, or another one is there."""
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
    source = open_clip(case)
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
