"""Labels as Dataset v1 and back: the form from which every other format is written.

What Dataset v1 has no member for goes along as additional members, so that reading it back gives equal labels: on an
image ``key`` (the frame key), ``phase``, ``note`` and ``made``; on an annotation ``state``, ``shape``, ``made`` and
``number``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from puncta.annotation.cases import Case
from puncta.annotation.exchange_found import Found, made_from_json, made_json
from puncta.annotation.labels import (
    LINE_SUFFIX,
    MASKS,
    NOTE,
    PHASE,
    BoxLabel,
    FlagLabel,
    Label,
    LineLabel,
    MaskLabel,
    NoteLabel,
    NotVisible,
    PhaseLabel,
    PolygonLabel,
    State,
    TipLabel,
    Value,
    mask_of,
    tip_box,
)
from puncta.core.frame import FrameKey
from puncta.core.results import Box
from puncta.formats.dataset_values import Annotation, Category, Dataset, Image, Info, Review, Video, Visibility
from puncta.formats.label_sets import LabelSet
from puncta.formats.rle import mask_from_rle

_SHAPES = {
    TipLabel: "point",
    BoxLabel: "box",
    LineLabel: "line",
    MaskLabel: "mask",
    PolygonLabel: "polygon",
    NotVisible: "none",
}
SAME_PX = 0.002
"""Boxes that differ by less are the same; files keep three decimals."""


@dataclass(frozen=True, slots=True)
class CasePart:
    """One case of an export: its labels of one rater, and where its pictures are in the dataset's folder."""

    case: Case
    labels: tuple[Label, ...]
    file_of: Callable[[int], str]
    """File name of a frame, relative to the dataset."""
    sha256_of: Mapping[int, str] | None = None
    """Hashes of the written pictures, where they are other pixels than the clip's own."""


def picture_name(case: Case, index: int) -> str:
    """Return where a frame's picture lies in a dataset."""
    return f"images/{slug(case)}/{index:06d}.png"


def slug(case: Case) -> str:
    """Return a name for files: letters, digits, and a part of the id that keeps cases apart."""
    name = "".join(c if c.isalnum() else "-" for c in PurePosixPath(case.title).stem.lower()).strip("-") or "case"
    return f"{name[:40]}-{case.id[:6]}"


def usable(labels: Iterable[Label], *, unconfirmed: bool = False) -> tuple[Label, ...]:
    """Return the labels that an export takes: confirmed ones, proposed ones where asked for, never rejected ones."""
    return tuple(a for a in labels if a.trusted or (unconfirmed and a.state is State.PROPOSED))


def dataset_of(parts: Sequence[CasePart], label_set: LabelSet, *, unconfirmed: bool = False) -> Dataset:
    """Return the dataset of labelled frames.

    Parameters
    ----------
    unconfirmed : bool
        Takes proposed labels too; they are marked as such.
    """
    videos: list[Video] = []
    images: list[Image] = []
    annotations: list[Annotation] = []
    for number, part in enumerate(parts, start=1):
        case = part.case
        videos.append(
            Video(
                number,
                case.title,
                case.fps,
                case.mm_per_px,
                case.machine,
                case.subject,
                case.split,
                {"case": case.id, "stream": case.stream},
            )
        )
        frames: dict[int, list[Label]] = {}
        for label in usable(part.labels, unconfirmed=unconfirmed):
            frames.setdefault(label.key.index, []).append(label)
        for index in sorted(frames):
            image = _image(len(images) + 1, number, part, index, frames[index], label_set)
            images.append(image)
            for made in _annotations(image, frames[index], case, label_set):
                annotations.append(replace(made, id=len(annotations) + 1))
    licences = sorted({part.case.licence for part in parts if part.case.licence})
    info = Info(label_set.id, ", ".join(licences) or "not stated", any(part.case.simulated for part in parts))
    categories = tuple(
        Category(c.id, c.name, {"keypoints": list(c.keypoints)} if c.keypoints else {}) for c in label_set.categories
    )
    return Dataset(info, tuple(videos), tuple(images), categories, tuple(annotations))


def _image(number: int, video: int, part: CasePart, index: int, labels: list[Label], label_set: LabelSet) -> Image:
    case, key = part.case, labels[0].key
    trusted = [label for label in labels if label.trusted]
    review = Review.PROPOSED
    if trusted:
        review = Review.BULK if any(label.state is State.BULK for label in trusted) else Review.CONFIRMED
    names = {label.slot.category for label in trusted}
    flags = {label.name: label.value.value for label in labels if isinstance(label.value, FlagLabel)}
    known = [c.name for c in label_set.categories] + [f.name for f in label_set.flags]
    more: dict[str, Any] = {
        "key": {"stream": key.stream, "index": key.index, "pts_ns": key.pts_ns, "sha256": key.sha256}
    }
    for label in labels:
        if isinstance(label.value, PhaseLabel):
            more["phase"] = label.value.phase
        elif isinstance(label.value, NoteLabel):
            more["note"] = label.value.text
    plain = [label for label in labels if isinstance(label.value, FlagLabel | PhaseLabel | NoteLabel)]
    if plain:
        more["made"] = {
            label.name: {**made_json(label.made), "state": str(label.state), "rater": label.rater} for label in plain
        }
    sha256 = key.sha256 if part.sha256_of is None else part.sha256_of.get(index)
    return Image(
        number,
        part.file_of(index),
        case.width_px,
        case.height_px,
        video,
        index,
        key.pts_ns,
        sha256,
        case.region,
        case.machine,
        case.subject,
        case.split,
        review,
        tuple(n for n in known if n in names),
        flags,
        None,
        more,
    )


def _annotations(image: Image, labels: list[Label], case: Case, label_set: LabelSet) -> list[Annotation]:
    things: dict[tuple[str, int], dict[bool, Label]] = {}
    for label in labels:
        if type(label.value) in _SHAPES:
            lines = things.setdefault((label.slot.category, label.number), {})
            lines[label.name.endswith(LINE_SUFFIX)] = label
    out = []
    for (name, number), both in sorted(things.items()):
        category = label_set.category(name)
        if category is None:
            continue
        main = both.get(False) or both[True]
        line = both.get(True)
        more: dict[str, Any] = {
            "state": str(main.state),
            "shape": _SHAPES[type(main.value)],
            "number": number,
            "made": made_json(main.made),
            "name": main.name,
        }
        keypoints = _keypoints(main.value)
        if line is not None and line is not main and isinstance(line.value, LineLabel):
            keypoints = _keypoints(line.value)
            more["line"] = {
                "state": str(line.state),
                "made": made_json(line.made),
                "visibility": str(line.value.visibility),
            }
        box, area = _box_and_area(main.value, case)
        visibility = getattr(main.value, "visibility", Visibility.CLEAR)
        out.append(
            Annotation(
                0,
                image.id,
                category.id,
                box,
                area,
                0,
                _segmentation(main.value),
                keypoints,
                visibility,
                main.rater,
                main.made.in_words(),
                more,
            )
        )
    return out


def _keypoints(value: Value) -> tuple[float, ...]:
    if isinstance(value, TipLabel):
        return (*value.tip_px, 2.0, 0.0, 0.0, 0.0)
    if isinstance(value, LineLabel):
        return (*value.tip_px, 2.0, *value.entry_px, 2.0)
    return ()


def _segmentation(value: Value) -> Any:
    if isinstance(value, MaskLabel):
        return {"size": list(value.size), "counts": list(value.counts)}
    if isinstance(value, PolygonLabel):
        return [[v for point in ring for v in point] for ring in value.rings]
    return None


def _box_and_area(value: Value, case: Case) -> tuple[Box | None, float]:
    match value:
        case TipLabel():
            box = value.box or tip_box(value.tip_px, case.region_or_picture)
            return box, box[2] * box[3]
        case BoxLabel():
            return value.box, value.box[2] * value.box[3]
        case LineLabel():
            (ax, ay), (bx, by) = value.entry_px, value.tip_px
            return (min(ax, bx), min(ay, by), abs(ax - bx), abs(ay - by)), 0.0
        case MaskLabel() | PolygonLabel():
            mask = mask_of(value)
            rows, cols = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
            if not len(rows):
                return (0.0, 0.0, 0.0, 0.0), 0.0
            # From the outer edge of the first pixel to that of the last.
            box = (
                float(cols[0]) - 0.5,
                float(rows[0]) - 0.5,
                float(cols[-1] - cols[0] + 1),
                float(rows[-1] - rows[0] + 1),
            )
            return box, float(mask.sum())
    return None, 0.0


# Reading.


def found_in_dataset(dataset: Dataset) -> list[Found]:
    """Return what a dataset says, one entry a label; also of datasets that Puncta has not labelled itself."""
    out: list[Found] = []
    names = {c.id: c.name for c in dataset.categories}
    images = {image.id: image for image in dataset.images}
    for image in dataset.images:
        out += _found_on_image(image)
    counts: dict[tuple[int, str], int] = {}
    for annotation in dataset.annotations:
        name = names.get(annotation.category_id)
        if annotation.image_id not in images or name is None:
            continue
        image = images[annotation.image_id]
        number = int(annotation.more.get("number", counts.get((image.id, name), 0)))
        counts[image.id, name] = max(counts.get((image.id, name), 0), number + 1)
        out += _found_in_annotation(annotation, image, name, number)
    stated = {(f.place, f.name.removesuffix(LINE_SUFFIX)) for f in out}
    for image in dataset.images:  # a true negative: judged, and nothing there
        out += [
            _found(image, name, NotVisible(), _state(image, {}), None, None)
            for name in image.labelled
            if name in names.values() and (image.id, name) not in stated
        ]
    return out


def key_in(image: Image) -> FrameKey | None:
    """Return the frame key that a file gives an image, or None."""
    key = image.more.get("key")
    if not isinstance(key, Mapping):
        return None
    return FrameKey(str(key["stream"]), int(key["index"]), int(key["pts_ns"]), key.get("sha256"))


def _state(image: Image, more: Mapping[str, Any]) -> State:
    if "state" in more:
        return State(more["state"])
    known = {Review.CONFIRMED: State.CONFIRMED, Review.BULK: State.BULK}
    return known.get(image.review, State.PROPOSED)


def _found(image: Image, name: str, value: Value, state: State, made: Any, rater: str | None, number: int = 0) -> Found:
    return Found(
        image.id,
        image.file_name,
        image.frame_index,
        key_in(image),
        name,
        number,
        value,
        state,
        made_from_json(made),
        rater,
        image.pts_ns if image.video_id is not None else None,
    )


def _found_on_image(image: Image) -> list[Found]:
    told = image.more.get("made", {})
    out = []
    values: list[tuple[str, Value]] = [(n, FlagLabel(v)) for n, v in image.flags.items() if v is not None]
    if image.more.get("phase"):
        values.append((PHASE, PhaseLabel(str(image.more["phase"]))))
    if image.more.get("note"):
        values.append((NOTE, NoteLabel(str(image.more["note"]))))
    for name, value in values:
        about = told.get(name, {})
        state = _state(image, about)
        if not about and isinstance(value, FlagLabel) and name not in image.labelled:
            state = State.PROPOSED
        out.append(_found(image, name, value, state, about or None, about.get("rater")))
    return out


def _found_in_annotation(a: Annotation, image: Image, name: str, number: int) -> list[Found]:
    state, made, rater = _state(image, a.more), a.more.get("made"), a.rater
    shape = a.more.get("shape")
    size = (image.height, image.width)
    tip, entry = a.tip_px, a.entry_px
    out: list[Found] = []

    def add(value: Value, what: str = name, about: Mapping[str, Any] | None = None) -> None:
        out.append(
            _found(
                image,
                what,
                value,
                State(about["state"]) if about else state,
                about["made"] if about else made,
                rater,
                number,
            )
        )

    hidden = a.visibility in {Visibility.ABSENT, Visibility.OUT_OF_PLANE, Visibility.SHADOWED}
    if shape == "none" or (hidden and a.segmentation is None and a.bbox is None):
        add(NotVisible(a.visibility))
    elif isinstance(a.segmentation, dict):
        mask = mask_from_rle(a.segmentation)  # also COCO's compressed text
        counts = a.segmentation["counts"]
        runs = tuple(counts) if isinstance(counts, list) else _runs(mask)
        add(MaskLabel((mask.shape[0], mask.shape[1]), runs, a.visibility))
    elif a.segmentation:
        rings = tuple(tuple(zip(ring[0::2], ring[1::2])) for ring in a.segmentation)
        add(PolygonLabel(size, rings, a.visibility))
    elif shape == "line" or (shape is None and tip and entry and name != "needle_tip"):
        assert tip is not None and entry is not None
        add(LineLabel(entry, tip, a.visibility), a.more.get("name", name + LINE_SUFFIX if shape is None else name))
    elif shape == "point" or (shape is None and tip and name == "needle_tip"):
        assert tip is not None
        region = image.region or (0.0, 0.0, float(image.width), float(image.height))
        usual = tip_box(tip, region)
        same = a.bbox is None or all(abs(x - y) < SAME_PX for x, y in zip(a.bbox, usual))
        add(TipLabel(tip, None if same else a.bbox, a.visibility))
    elif a.bbox is not None and a.bbox[2] > 0 and a.bbox[3] > 0:
        add(BoxLabel(a.bbox, a.visibility))
    if tip and entry and shape not in {"line", "point"} and any(isinstance(f.value, (*MASKS, BoxLabel)) for f in out):
        about = a.more.get("line")
        seen = Visibility(about["visibility"]) if about and "visibility" in about else a.visibility
        add(LineLabel(entry, tip, seen), name + LINE_SUFFIX, about)
    return out


def _runs(mask: np.ndarray) -> tuple[int, ...]:
    from puncta.formats.rle import rle_from_mask

    return tuple(rle_from_mask(mask)["counts"])
