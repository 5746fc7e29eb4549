"""What can be said about a frame, who said it and what became of it. Source-image pixels, pixel centres at integers.

A label stands in a *slot*: one name on one frame of one rater. Names are those of the case's label set: a category
(`needle_tip`, `needle`), its line (`needle.line`), a flag, or one of the two that every label set has, `phase` and
`note`. Flags and phases over a range of frames are one label a frame: that is what models learn from and what agreement
is counted on, and `ranges_of` puts them together again for a ribbon.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from puncta.annotation.outlines import mask_of_rings
from puncta.core.frame import FrameKey
from puncta.core.geometry import PointPx
from puncta.core.geometry import tip_box_px as tip_box
from puncta.core.results import Box
from puncta.formats.dataset_values import Visibility
from puncta.formats.jsontext import PX_DECIMALS
from puncta.formats.rle import mask_from_rle, rle_from_mask
from puncta.formats.session import utc_now

__all__ = [
    "LINE_SUFFIX", "MACHINE_KINDS", "MASKS", "MODEL_RATER", "NOTE", "PHASE", "TRUSTED_STATES", "BoxLabel",
    "FlagLabel", "Kind", "Label", "LabelRange", "LineLabel", "MaskLabel", "NotVisible", "NoteLabel", "PhaseLabel",
    "PolygonLabel", "Provenance", "Slot", "State", "TipLabel", "Value", "by_person", "is_machine", "mask_label",
    "mask_of", "mask_of_rings", "mask_of_stroke", "ranges_of", "tip_box", "utc_now",
]  # fmt: skip

PHASE, NOTE = "phase", "note"
"""Names that every label set has."""
LINE_SUFFIX = ".line"


def _px(value: float) -> float:
    return round(float(value), PX_DECIMALS) + 0.0


def _point(point: PointPx) -> PointPx:
    return (_px(point[0]), _px(point[1]))


@dataclass(frozen=True, slots=True)
class TipLabel:
    """The needle's tip [px]; ``box`` [x0, y0, w, h] is None where its size follows from the region (`tip_box`)."""

    tip_px: PointPx
    box: Box | None = None
    visibility: Visibility = Visibility.CLEAR

    def __post_init__(self) -> None:
        object.__setattr__(self, "tip_px", _point(self.tip_px))
        if self.box is not None:
            object.__setattr__(self, "box", tuple(_px(v) for v in self.box))


@dataclass(frozen=True, slots=True)
class BoxLabel:
    """A box [x0, y0, w, h] [px]."""

    box: Box
    visibility: Visibility = Visibility.CLEAR

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", tuple(_px(v) for v in self.box))
        if self.box[2] <= 0 or self.box[3] <= 0:
            raise ValueError("a box needs a width and a height")


@dataclass(frozen=True, slots=True)
class LineLabel:
    """A needle's axis from where it enters the region to its tip [px]."""

    entry_px: PointPx
    tip_px: PointPx
    visibility: Visibility = Visibility.CLEAR

    def __post_init__(self) -> None:
        object.__setattr__(self, "entry_px", _point(self.entry_px))
        object.__setattr__(self, "tip_px", _point(self.tip_px))


@dataclass(frozen=True, slots=True)
class MaskLabel:
    """A mask as runs down the columns of the whole picture, the first run counting zeros (COCO's way).

    Attributes
    ----------
    size : tuple of int
        (height, width) [px].
    counts : tuple of int
    """

    size: tuple[int, int]
    counts: tuple[int, ...]
    visibility: Visibility = Visibility.CLEAR

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", (int(self.size[0]), int(self.size[1])))
        object.__setattr__(self, "counts", tuple(int(c) for c in self.counts))
        if sum(self.counts) != self.size[0] * self.size[1]:
            raise ValueError("the runs of a mask do not add up to its size")

    @property
    def area_px(self) -> int:
        """Pixels of the mask."""
        return sum(self.counts[1::2])


@dataclass(frozen=True, slots=True)
class PolygonLabel:
    """A mask by its outlines, as somebody drew it: a pixel belongs to it whose centre lies in or on one of them.

    Attributes
    ----------
    size : tuple of int
        (height, width) of the picture [px].
    rings : tuple of tuples of (x, y) [px]
        Each of three points or more; their areas are joined.
    """

    size: tuple[int, int]
    rings: tuple[tuple[PointPx, ...], ...]
    visibility: Visibility = Visibility.CLEAR

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", (int(self.size[0]), int(self.size[1])))
        object.__setattr__(self, "rings", tuple(tuple(_point(p) for p in ring) for ring in self.rings))
        if not self.rings or any(len(ring) < 3 for ring in self.rings):
            raise ValueError("a polygon needs three points or more")


@dataclass(frozen=True, slots=True)
class NotVisible:
    """The thing cannot be pointed at: absent, out of the plane, or in a shadow."""

    visibility: Visibility = Visibility.ABSENT

    def __post_init__(self) -> None:
        if self.visibility not in {Visibility.ABSENT, Visibility.OUT_OF_PLANE, Visibility.SHADOWED}:
            raise ValueError(f"{self.visibility} is not a way of being not visible")


@dataclass(frozen=True, slots=True)
class FlagLabel:
    """A flag of the whole frame: 0 absent, 1 present, more a grade. Not assessed is no label at all."""

    value: int

    def __post_init__(self) -> None:
        if self.value < 0:
            raise ValueError("a flag is 0, 1 or a grade")


@dataclass(frozen=True, slots=True)
class PhaseLabel:
    """The procedure's phase on this frame, by its name in the label set."""

    phase: str


@dataclass(frozen=True, slots=True)
class NoteLabel:
    """Free text on a frame."""

    text: str


Value = TipLabel | BoxLabel | LineLabel | MaskLabel | PolygonLabel | NotVisible | FlagLabel | PhaseLabel | NoteLabel
MASKS = (MaskLabel, PolygonLabel)


class State(StrEnum):
    """What became of a label. BULK is confirmed as one of a range."""

    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    BULK = "bulk"
    REJECTED = "rejected"


TRUSTED_STATES = frozenset({State.CONFIRMED, State.BULK})


class Kind(StrEnum):
    """What made a label."""

    PERSON = "person"
    MODEL = "model"
    PROPAGATED = "propagated"
    INTERPOLATED = "interpolated"
    IMPORTED = "import"
    CONSENSUS = "consensus"
    SIMULATOR = "simulator"


MACHINE_KINDS = frozenset({Kind.MODEL, Kind.PROPAGATED, Kind.INTERPOLATED, Kind.SIMULATOR})


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who or what made a label, and which version of it.

    Attributes
    ----------
    kind : Kind
    by : str
        A rater, a model's id, a tool's name, or a file format.
    version : str
        Of the model, the tool or the program.
    base : str
        What a person started from, e.g. "model:needle-tip 0.2"; empty where from nothing.
    made_utc : str
        When, to the second, e.g. "2026-01-31T12:00:00Z"; empty where unknown.
    confidence : float or None
        What a model said of it, 0..1.
    """

    kind: Kind
    by: str
    version: str = ""
    base: str = ""
    made_utc: str = ""
    confidence: float | None = None

    def in_words(self) -> str:
        """Return it as dataset files name it, e.g. "model:needle-tip 0.2"; a person's is "human"."""
        if self.kind is Kind.PERSON:
            return "human"
        if self.kind is Kind.SIMULATOR:
            return "simulator"
        return f"{self.kind}:{self.by} {self.version}".rstrip()


def by_person(rater: str, *, base: str = "", version: str = "") -> Provenance:
    """Return the provenance of what a person draws now."""
    return Provenance(Kind.PERSON, rater, version, base, utc_now())


class Slot(NamedTuple):
    """Where a label stands within a case and a rater; a tuple, since boards of many labels look slots up all the time.

    Attributes
    ----------
    index : int
        Decoded frame, from 0.
    name : str
        Category, category + ".line", flag, "phase" or "note".
    number : int
        0, or more where a frame has several things of a category.
    """

    index: int  # type: ignore[assignment]  # stands in for the search of tuples, which nobody wants here
    name: str
    number: int = 0

    @property
    def category(self) -> str:
        """The name without ".line"."""
        return self.name.removesuffix(LINE_SUFFIX)


@dataclass(frozen=True, slots=True)
class Label:
    """One label of one rater on one frame.

    Attributes
    ----------
    name : str
        As in `Slot`.
    key : FrameKey
        The frame for good; its index is the slot's.
    rater : str
        Whose layer it lies in: a person's name, or "model:ID VERSION" for what a model said about the whole case.
    """

    name: str
    key: FrameKey
    rater: str
    value: Value
    made: Provenance
    state: State = State.CONFIRMED
    number: int = 0

    @property
    def slot(self) -> Slot:
        """Where it stands."""
        return Slot(self.key.index, self.name, self.number)

    @property
    def trusted(self) -> bool:
        """A person has confirmed it, one by one or as one of a range."""
        return self.state in TRUSTED_STATES


MODEL_RATER = "model:"


def is_machine(rater: str) -> bool:
    """Tell whether a rater is a model."""
    return rater.startswith(MODEL_RATER)


@dataclass(frozen=True, slots=True)
class LabelRange:
    """Frames in a row whose flag or phase is the same; both ends included."""

    name: str
    first: int
    last: int
    value: FlagLabel | PhaseLabel
    state: State
    frames: int = field(compare=False, default=0)


def ranges_of(labels: Iterable[Label], name: str) -> tuple[LabelRange, ...]:
    """Return a flag's or the phase's labels as ranges of neighbouring frames, in order."""
    out: list[LabelRange] = []
    chosen = [label for label in labels if label.name == name and isinstance(label.value, FlagLabel | PhaseLabel)]
    for label in sorted(chosen, key=lambda a: a.key.index):
        value, at = label.value, label.key.index
        assert isinstance(value, FlagLabel | PhaseLabel)
        last = out[-1] if out else None
        if last is not None and last.last == at - 1 and last.value == value and last.state == label.state:
            out[-1] = LabelRange(name, last.first, at, value, label.state, last.frames + 1)
        else:
            out.append(LabelRange(name, at, at, value, label.state, 1))
    return tuple(out)


def mask_label(mask: NDArray[np.bool_], visibility: Visibility = Visibility.CLEAR) -> MaskLabel:
    """Return the label of a mask of the whole picture, shape (h, w)."""
    rle = rle_from_mask(mask)
    return MaskLabel((mask.shape[0], mask.shape[1]), tuple(rle["counts"]), visibility)


def mask_of(value: MaskLabel | PolygonLabel) -> NDArray[np.bool_]:
    """Return the mask of the whole picture, shape (h, w); parts of a polygon outside the picture are cut off."""
    if isinstance(value, MaskLabel):
        return mask_from_rle({"size": list(value.size), "counts": list(value.counts)})
    return mask_of_rings(value.rings, value.size)


def mask_of_stroke(points_px: Iterable[PointPx], width_px: float, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return what a line with a width [px] covers, as a mask of shape ``size`` (h, w): a brush stroke or a needle."""
    points = np.asarray(list(points_px), np.float64).reshape(-1, 2)
    ys, xs = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float64)
    mask = np.zeros(size, bool)
    ends = points[1:] if len(points) > 1 else points
    for (ax, ay), (bx, by) in zip(points, ends):
        reach = width_px / 2 + 1
        x0, x1 = max(0, int(min(ax, bx) - reach)), min(size[1], int(max(ax, bx) + reach) + 2)
        y0, y1 = max(0, int(min(ay, by) - reach)), min(size[0], int(max(ay, by) + reach) + 2)
        if x0 >= x1 or y0 >= y1:
            continue
        px, py = xs[y0:y1, x0:x1] - ax, ys[y0:y1, x0:x1] - ay
        length = (bx - ax) ** 2 + (by - ay) ** 2
        along = np.clip((px * (bx - ax) + py * (by - ay)) / length, 0, 1) if length else np.zeros_like(px)
        off = np.hypot(px - along * (bx - ax), py - along * (by - ay))
        mask[y0:y1, x0:x1] |= off <= width_px / 2
    return mask
