"""Labels of every kind on a clip, for tests of the formats in which labels come and go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from label_maker import MODEL, STREAM, key, make_case

from puncta.annotation.cases import Case
from puncta.annotation.exchange_dataset import CasePart, dataset_of, picture_name
from puncta.annotation.exchange_found import Imported, labels_from_found
from puncta.annotation.labels import (
    BoxLabel,
    FlagLabel,
    Kind,
    Label,
    LineLabel,
    MaskLabel,
    NoteLabel,
    NotVisible,
    PhaseLabel,
    PolygonLabel,
    Provenance,
    State,
    TipLabel,
    Value,
    mask_label,
    mask_of_stroke,
)
from puncta.core.frame import FrameKey
from puncta.formats.dataset import Dataset
from puncta.formats.dataset_values import Visibility
from puncta.formats.label_sets import LabelCategory, LabelFlag, LabelPhase, LabelSet

SET = LabelSet(
    "made", "Made",
    (LabelCategory(1, "needle_tip", "Tip", "point", ("tip", "entry")),
     LabelCategory(2, "needle", "Needle", "mask", ("tip", "entry")), LabelCategory(3, "cyst", "Cyst", "box"),
     LabelCategory(4, "axis", "Axis", "line")),
    (LabelFlag("csf", "CSF"), LabelFlag("shadow", "Shadow", ("none", "some", "most"))),
    phases=(LabelPhase("advance", "Advance"), LabelPhase("hold", "Hold")),
)  # fmt: skip

PERSON = Provenance(Kind.PERSON, "anna", "0.1.0", "model:tip 0.2", "2026-01-01T00:00:00Z")

CASE = make_case(title="Clip one", id="c" * 32, label_set="made")


def label(
    name: str,
    index: int,
    value: Value,
    *,
    state: State = State.CONFIRMED,
    made: Provenance = PERSON,
    number: int = 0,
    sha256: str | None = None,
) -> Label:
    return Label(name, key(index, sha256), "anna", value, made, state, number)


def needle_mask(angle: float = 0.4, width: float = 3.0) -> MaskLabel:
    end = (30 + 25 * float(np.cos(angle)), 10 + 25 * float(np.sin(angle)))
    return mask_label(mask_of_stroke([(10, 10), end], width, (48, 64)))


EVERYTHING = (
    label("needle_tip", 0, TipLabel((20.125, 11.5)), sha256="ab" * 32),
    label("needle", 0, needle_mask(), state=State.BULK, made=MODEL, sha256="ab" * 32),
    label("needle.line", 0, LineLabel((10.0, 10.0), (20.1, 11.4)), sha256="ab" * 32),
    label("csf", 0, FlagLabel(1), sha256="ab" * 32),
    label("shadow", 0, FlagLabel(2), state=State.BULK, made=MODEL, sha256="ab" * 32),
    label("phase", 0, PhaseLabel("advance"), sha256="ab" * 32),
    label("note", 0, NoteLabel('bright "band", see 3\nand 4'), sha256="ab" * 32),
    label("needle_tip", 3, NotVisible(Visibility.OUT_OF_PLANE)),
    label("needle", 3, NotVisible(Visibility.ABSENT)),
    label("csf", 3, FlagLabel(0)),
    label("needle_tip", 7, TipLabel((5.0, 5.0), (1.0, 2.0, 8.0, 6.0), Visibility.UNCERTAIN)),
    label("needle", 7, PolygonLabel((48, 64), (((1.5, 2.25), (20.0, 2.0), (20.0, 9.5)),
                                               ((30.0, 30.0), (40.0, 30.0), (40.0, 41.0), (30.0, 41.0))))),
    label("cyst", 7, BoxLabel((30.0, 20.0, 12.5, 9.25))),
    label("cyst", 7, BoxLabel((3.0, 20.0, 2.5, 9.25)), number=1),
    label("axis", 7, LineLabel((1.0, 2.0), (30.0, 20.0))),
    label("phase", 8, PhaseLabel("hold")),
    label("needle.line", 9, LineLabel((1.0, 2.0), (30.0, 20.0), Visibility.UNCERTAIN)),
    label("needle", 9, BoxLabel((1.0, 2.0, 29.0, 18.0))),
)  # fmt: skip


def keys(index: int) -> FrameKey | None:
    return key(index) if 0 <= index < 100 else None


def dataset_from(labels: tuple[Label, ...], case: Case = CASE, **how: Any) -> Dataset:
    return dataset_of([CasePart(case, labels, lambda i: picture_name(case, i))], SET, **how)


def back(found: list, names: Mapping[str, str] | None = None, source: str = "test x.json") -> Imported:
    return labels_from_found(found, SET, "anna", keys, stream=STREAM, source=source, names=names)
