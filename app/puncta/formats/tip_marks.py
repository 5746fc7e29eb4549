"""Needle tips marked by hand on a recording, in several independent passes: one JSON file a recording.

The file names the recording by its hash and holds no picture of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.core.geometry import PointPx
from puncta.core.results import Box
from puncta.formats.jsontext import read_json

VERSION = 1
CLEAR, UNSEEN = "clear", "unseen"
CONFIDENCES = (CLEAR, "uncertain", UNSEEN)
Axis = tuple[PointPx, PointPx]


@dataclass(frozen=True, slots=True)
class TipMark:
    """What one pass says about one frame.

    Attributes
    ----------
    tip_px : (x, y) or None
        Most distal point of the needle along its axis [px]; None means that no tip could be pointed at.
    confidence : str or None
        The marker's own word: "clear", "uncertain", or "unseen" where the tip was inferred and shows nowhere.
    wall_end_px : (x, y) or None
        Where the bright wall of the shaft ends [px], which need not be the tip.
    axis_px : two points or None
        Two points of the axis [px], in either order.
    """

    tip_px: PointPx | None
    confidence: str | None = None
    wall_end_px: PointPx | None = None
    axis_px: Axis | None = None

    @property
    def seen(self) -> bool:
        """The marker points at something that shows in the picture."""
        return self.tip_px is not None and self.confidence != UNSEEN


@dataclass(frozen=True, slots=True)
class MarkPass:
    """One pass over the frames by one marker, who saw no other pass and no answer of a model."""

    number: int
    who: str
    when: str
    marks: Mapping[int, TipMark]


@dataclass(frozen=True, slots=True)
class Lure:
    """Something bright that is no needle: a line with a half width, or a box.

    Attributes
    ----------
    line_px : tuple of points
        Middle line [px]; empty for a box.
    half_width_mm : float
        Of the line [mm].
    box_px : tuple of float or None
        [x0, y0, w, h] [px].
    frames : (first, last)
        Frames that it is there on, both inclusive.
    """

    name: str
    line_px: tuple[PointPx, ...]
    half_width_mm: float
    box_px: Box | None
    frames: tuple[int, int]


@dataclass(frozen=True, slots=True)
class TipMarks:
    """All passes over one recording.

    Attributes
    ----------
    clip : str
        File name of the recording.
    clip_sha256 : str
    picture_px : (width, height) [px]
    frames : int
        Frames of the whole recording.
    mm_per_px : (x, y) [mm/px]
    mm_from : str
        How the millimetres were read.
    rule : str
        What counts as the tip.
    counted_within_mm : float
        Passes that lie further apart than this [mm] leave the frame disputed: reported, and not counted.
    notes : tuple of str
        What a reader has to know, such as what had been looked at before the marks were made.
    """

    clip: str
    clip_sha256: str
    picture_px: tuple[int, int]
    frames: int
    mm_per_px: tuple[float, float]
    mm_from: str
    rule: str
    counted_within_mm: float
    passes: tuple[MarkPass, ...]
    lures: tuple[Lure, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def marked_frames(self) -> tuple[int, ...]:
        """Frames that every pass has looked at, in order."""
        return tuple(sorted(set.intersection(*(set(p.marks) for p in self.passes))))


def read_tip_marks(path: Path) -> TipMarks:
    """Read a file of marks.

    Raises
    ------
    UserError
        It is missing, no JSON, or holds what marks cannot be; the sentence names the place.
    """
    document = read_json(path)
    reader = _Reader(path.name)
    head = reader.mapping(document, "the file")
    if head.get("version") != VERSION:
        raise reader.wrong("version", f"is {head.get('version')!r}, and this program reads version {VERSION}")
    width, height = reader.point(head, "picture_px")
    frames = reader.whole(head, "frames")
    passes = tuple(
        _pass(reader, value, f"passes[{k}]", (width, height), frames)
        for k, value in enumerate(reader.listed(head, "passes"))
    )
    if not passes:
        raise reader.wrong("passes", "is empty; marks need one pass at least")
    marks = TipMarks(
        clip=reader.text(head, "clip"),
        clip_sha256=reader.text(head, "clip_sha256"),
        picture_px=(int(width), int(height)),
        frames=frames,
        mm_per_px=reader.scale(head, "mm_per_px"),
        mm_from=reader.text(head, "mm_from"),
        rule=reader.text(head, "rule"),
        counted_within_mm=reader.positive(head, "counted_within_mm"),
        passes=passes,
        lures=tuple(_lure(reader, v, f"lures[{k}]", frames) for k, v in enumerate(head.get("lures", ()))),
        notes=tuple(str(v) for v in head.get("notes", ())),
    )
    if not marks.marked_frames:
        raise reader.wrong("passes", "share no frame; every frame has to be marked in each pass")
    return marks


def _pass(reader: _Reader, value: Any, place: str, size: tuple[float, float], frames: int) -> MarkPass:
    entry = reader.mapping(value, place)
    marks: dict[int, TipMark] = {}
    for k, item in enumerate(reader.listed(entry, "frames", place)):
        where = f"{place}.frames[{k}]"
        mark = reader.mapping(item, where)
        number = reader.whole(mark, "frame", where)
        if not 0 <= number < frames or number in marks:
            raise reader.wrong(f"{where}.frame", f"is {number}, which stands twice or is no frame of 0 to {frames - 1}")
        tip = reader.optional_point(mark, "tip_px", where)
        if tip is not None and not (-0.5 <= tip[0] <= size[0] - 0.5 and -0.5 <= tip[1] <= size[1] - 0.5):
            raise reader.wrong(f"{where}.tip_px", "lies outside the picture")
        axis = mark.get("axis_px")
        confidence = None if mark.get("confidence") is None else reader.text(mark, "confidence", where)
        if confidence is not None and confidence not in CONFIDENCES:
            raise reader.wrong(f"{where}.confidence", f"is none of {', '.join(CONFIDENCES)}")
        marks[number] = TipMark(
            tip,
            confidence,
            reader.optional_point(mark, "wall_end_px", where),
            None if axis is None else reader.axis(axis, f"{where}.axis_px"),
        )
    return MarkPass(reader.whole(entry, "pass", place), reader.text(entry, "who", place),
                    reader.text(entry, "when", place), marks)


def _lure(reader: _Reader, value: Any, place: str, frames: int) -> Lure:
    entry = reader.mapping(value, place)
    name = reader.text(entry, "name", place)
    span = (0, frames - 1)
    if entry.get("frames") is not None:
        first, last = reader.point(entry, "frames", place)
        span = (int(first), int(last))
    if entry.get("box_px") is not None:
        return Lure(name, (), 0.0, reader.box(entry["box_px"], f"{place}.box_px"), span)
    line = tuple(reader.pair(p, f"{place}.line_px[{k}]") for k, p in enumerate(reader.listed(entry, "line_px", place)))
    if len(line) < 2:
        raise reader.wrong(f"{place}.line_px", "needs two points at least")
    return Lure(name, line, reader.positive(entry, "half_width_mm", place), None, span)


class _Reader:
    """Takes values out of parsed JSON and says in one sentence what does not fit, with its place."""

    def __init__(self, name: str) -> None:
        self._name = name

    def wrong(self, place: str, what: str) -> UserError:
        return UserError(f"{self._name}: {place} {what}.")

    def mapping(self, value: Any, place: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self.wrong(place, "is not an object")
        return value

    def listed(self, entry: Mapping[str, Any], key: str, place: str = "") -> list[Any]:
        if not isinstance(entry.get(key), list):
            raise self.wrong(_at(place, key), "is not a list")
        return entry[key]

    def text(self, entry: Mapping[str, Any], key: str, place: str = "") -> str:
        if not isinstance(entry.get(key), str) or not entry[key]:
            raise self.wrong(_at(place, key), "is missing or no text")
        return entry[key]

    def number(self, entry: Mapping[str, Any], key: str, place: str = "") -> float:
        return self.finite(entry.get(key), _at(place, key))

    def finite(self, value: Any, place: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.wrong(place, "is not a number")
        return float(value)

    def positive(self, entry: Mapping[str, Any], key: str, place: str = "") -> float:
        found = self.number(entry, key, place)
        if found <= 0:
            raise self.wrong(_at(place, key), "is not above 0")
        return found

    def whole(self, entry: Mapping[str, Any], key: str, place: str = "") -> int:
        found = self.number(entry, key, place)
        if found != int(found):
            raise self.wrong(_at(place, key), "is not a whole number")
        return int(found)

    def pair(self, value: Any, place: str) -> PointPx:
        if not isinstance(value, list) or len(value) != 2:
            raise self.wrong(place, "is not a pair [x, y]")
        return (self.finite(value[0], place), self.finite(value[1], place))

    def point(self, entry: Mapping[str, Any], key: str, place: str = "") -> PointPx:
        return self.pair(entry.get(key), _at(place, key))

    def optional_point(self, entry: Mapping[str, Any], key: str, place: str = "") -> PointPx | None:
        return None if entry.get(key) is None else self.point(entry, key, place)

    def scale(self, entry: Mapping[str, Any], key: str) -> tuple[float, float]:
        x, y = self.point(entry, key)
        if x <= 0 or y <= 0:
            raise self.wrong(key, "is not above 0")
        return (x, y)

    def box(self, value: Any, place: str) -> Box:
        if not isinstance(value, list) or len(value) != 4:
            raise self.wrong(place, "is not a box [x0, y0, w, h]")
        x, y, w, h = (self.finite(v, place) for v in value)
        if w <= 0 or h <= 0:
            raise self.wrong(place, "has no area")
        return (x, y, w, h)

    def axis(self, value: Any, place: str) -> Axis:
        if not isinstance(value, list) or len(value) != 2:
            raise self.wrong(place, "is not two points")
        a, b = self.pair(value[0], place), self.pair(value[1], place)
        if a == b:
            raise self.wrong(place, "has no length")
        return (a, b)


def _at(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key
