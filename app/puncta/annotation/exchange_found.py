"""What a reader of any format finds, before it is known to which case and rater it goes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from puncta.annotation.labels import (
    LINE_SUFFIX,
    MASKS,
    NOTE,
    PHASE,
    BoxLabel,
    FlagLabel,
    Kind,
    Label,
    LineLabel,
    NoteLabel,
    NotVisible,
    PhaseLabel,
    Provenance,
    Slot,
    State,
    TipLabel,
    Value,
    utc_now,
)
from puncta.core.frame import FrameKey
from puncta.formats.label_sets import LabelSet

_NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True, slots=True)
class Found:
    """One label of a file.

    Attributes
    ----------
    place : int
        Number of its image in the file.
    file_name : str
        The image's name there.
    index : int or None
        Decoded frame, where the file tells.
    key : FrameKey or None
        The frame key, where the file carries it.
    state : State or None
        None where the format knows no states.
    pts_ns : int or None
        Time of the frame, where the file tells.
    """

    place: int
    file_name: str
    index: int | None
    key: FrameKey | None
    name: str
    number: int
    value: Value
    state: State | None = None
    made: Provenance | None = None
    rater: str | None = None
    pts_ns: int | None = None


def made_json(made: Provenance) -> dict[str, Any]:
    """Return a provenance as plain JSON."""
    return {
        "kind": str(made.kind),
        "by": made.by,
        "version": made.version,
        "base": made.base,
        "made_utc": made.made_utc,
        "confidence": made.confidence,
    }


def made_from_json(d: Any) -> Provenance | None:
    """Return the provenance of JSON; None where there is none."""
    if not isinstance(d, Mapping) or "kind" not in d:
        return None
    return Provenance(
        Kind(d["kind"]), d["by"], d.get("version", ""), d.get("base", ""), d.get("made_utc", ""), d.get("confidence")
    )


def index_in_name(file_name: str) -> int | None:
    """Return the frame number that ends a file's name, as in ``frame_000012.PNG``; None where there is none."""
    match = _NUMBER.search(PurePosixPath(file_name.replace("\\", "/")).stem)
    return int(match[1]) if match else None


@dataclass(frozen=True, slots=True)
class Imported:
    """Labels for a case, and what was left out and why (reason to count)."""

    labels: tuple[Label, ...]
    left_out: Mapping[str, int]


def labels_from_found(
    found: Iterable[Found],
    label_set: LabelSet,
    rater: str,
    keys: Callable[[int], FrameKey | None],
    *,
    stream: str,
    source: str,
    names: Mapping[str, str] | None = None,
    state: State | None = None,
) -> Imported:
    """Return labels for a case and a rater.

    Parameters
    ----------
    keys : callable
        Frame key of an index of the case's clip, or None where the clip has no such frame.
    stream : str
        The case's stream; entries that carry a key of another stream are left out.
    source : str
        The format and file, for the provenance of what has none, e.g. "coco labels.json".
    names : mapping or None
        Names of the file to names of the label set, e.g. {"Needle": "needle"}; others stay as they are.
    state : State or None
        For all; None keeps that of the file, or confirmed where it knows none.
    """
    kind, _, file = source.partition(" ")
    made = Provenance(Kind.IMPORTED, kind, file, made_utc=utc_now())
    labels: dict[Slot, Label] = {}
    left_out: dict[str, int] = {}

    def leave(why: str) -> None:
        left_out[why] = left_out.get(why, 0) + 1

    for entry in found:
        name = (names or {}).get(entry.name, entry.name)
        key = _key_of(entry, keys, stream)
        if isinstance(key, str):
            leave(key)
            continue
        fitted = _fit(name, entry.value, label_set)
        if isinstance(fitted, str):
            leave(fitted)
            continue
        name, value = fitted
        label = Label(
            name, key, rater, value, entry.made or made, state or entry.state or State.CONFIRMED, entry.number
        )
        while label.slot in labels:
            label = replace(label, number=label.number + 1)
        labels[label.slot] = label
    return Imported(tuple(labels[slot] for slot in sorted(labels)), left_out)


def _key_of(entry: Found, keys: Callable[[int], FrameKey | None], stream: str) -> FrameKey | str:
    if entry.key is not None:
        if entry.key.stream != stream:
            return f"frame of another clip, {entry.key.stream}"
        here = keys(entry.key.index)
        if here is None:
            return f"frame {entry.key.index} is not in the clip"
        if here.pts_ns != entry.key.pts_ns or (here.sha256 and entry.key.sha256 and here.sha256 != entry.key.sha256):
            return "frame of other content or time than the clip's"
        return entry.key if entry.key.sha256 else here
    index = entry.index if entry.index is not None else index_in_name(entry.file_name)
    if index is None:
        return f"no frame number in {entry.file_name}"
    return keys(index) or f"frame {index} is not in the clip"


def _fit(name: str, value: Value, label_set: LabelSet) -> tuple[str, Value] | str:
    """Fit a value to what the label set draws under a name."""
    if isinstance(value, NoteLabel):
        return NOTE, value
    if isinstance(value, PhaseLabel):
        known = label_set.phase(value.phase)
        return (PHASE, value) if known or not label_set.phases else f"phase {value.phase} is not in the label set"
    if isinstance(value, FlagLabel):
        flag = label_set.flag(name)
        if flag is None:
            return f"flag {name} is not in the label set"
        return (name, value) if value.value <= flag.highest else f"flag {name} has no grade {value.value}"
    category = label_set.category(name.removesuffix(LINE_SUFFIX))
    if category is None:
        return f"{name} is not in the label set"
    if isinstance(value, NotVisible) or category.shape == "box":
        return name, value
    if category.shape == "point":
        if isinstance(value, BoxLabel):
            x, y, w, h = value.box
            return name, TipLabel((x + w / 2, y + h / 2), value.box, value.visibility)
        if isinstance(value, TipLabel):
            return name, value
        return f"{name} is a point in the label set"
    if isinstance(value, TipLabel):
        return f"{name} is no point in the label set"
    if category.shape == "mask" and isinstance(value, LineLabel) and not name.endswith(LINE_SUFFIX):
        return name + LINE_SUFFIX, value
    if category.shape == "line" and isinstance(value, (*MASKS, BoxLabel)):
        return f"{name} is a line in the label set"
    return name, value
