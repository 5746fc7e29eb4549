"""CVAT's "for images 1.1" and "for video 1.1", XML or the ZIP around it, read as CVAT writes them.

CVAT counts from the outer corner of the first pixel; its masks are run lengths row by row inside a box of pixels. In
"for video" a shape of a single frame is a track of that frame and the next, on which it is "outside": that only ends
the track and says nothing of the next frame.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np

from puncta.annotation.exchange_found import Found, index_in_name
from puncta.annotation.labels import (
    BoxLabel,
    FlagLabel,
    LineLabel,
    NotVisible,
    PolygonLabel,
    TipLabel,
    Value,
    mask_label,
)
from puncta.core.errors import UserError
from puncta.formats.atomic import read_text
from puncta.formats.dataset_values import Visibility

_SHAPES = ("box", "polygon", "polyline", "points", "mask", "ellipse", "cuboid", "skeleton")
LARGEST_XML = 1 << 30
"""So large may the XML of an archive be [bytes]; what unpacks to more is no export."""
_FALSE = {"false", "0", "no", "absent"}


def found_in_cvat(path: Path) -> list[Found]:
    """Return what a CVAT XML file says; raises UserError where it is none."""
    text = _text_of(path)
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise UserError(f"{path} declares entities, which CVAT never writes; it is not read.")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise UserError(f"{path} is not XML: {error}.") from error
    if root.tag != "annotations":
        raise UserError(f"{path} is not an export of CVAT: its root is <{root.tag}>, not <annotations>.")
    try:
        return [*_images(root), *_tracks(root)]
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} does not read as CVAT writes it: {error}.") from error


def _text_of(path: Path) -> str:
    """The XML of a file, or of the ZIP that CVAT hands out."""
    if not zipfile.is_zipfile(path):
        return read_text(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if PurePosixPath(name).name == "annotations.xml"]
            if len(names) != 1:
                raise UserError(f"{path} is not an export of CVAT: annotations.xml is not in it once.")
            if archive.getinfo(names[0]).file_size > LARGEST_XML:
                raise UserError(f"The annotations in {path} are larger than any that CVAT writes; unpack them first.")
            return archive.read(names[0]).decode("utf-8")
    # A password and an unknown packing are a RuntimeError, damaged data a zlib.error.
    except (OSError, RuntimeError, UnicodeDecodeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}.") from error


def _images(root: ElementTree.Element) -> Iterator[Found]:
    for image in root.findall("image"):
        number, name = int(image.attrib["id"]), image.attrib["name"]
        told = index_in_name(name)
        index = number if told is None else told
        size = (int(image.attrib["height"]), int(image.attrib["width"]))
        counts: dict[str, int] = {}
        for shape in image:
            if shape.tag == "tag":
                yield Found(number, name, index, None, shape.attrib["label"], 0, FlagLabel(_flag(shape)))
            elif shape.tag in _SHAPES:
                label = shape.attrib["label"]
                counts[label] = counts.get(label, -1) + 1
                value = _value(shape, size)
                if value is not None:
                    yield Found(number, name, index, None, label, counts[label], value)


def _tracks(root: ElementTree.Element) -> Iterator[Found]:
    size_at = root.find("meta//original_size")
    shown: dict[str, list[tuple[int, dict[int, Value]]]] = {}
    gone: dict[str, dict[int, int]] = {}
    for place, track in enumerate(root.findall("track")):
        if size_at is None:
            raise ValueError("a video needs <original_size>")
        size = (int(size_at.findtext("height", "0")), int(size_at.findtext("width", "0")))
        label = track.attrib["label"]
        values: dict[int, Value] = {}
        left: list[int] = []
        for shape in track:
            if shape.tag not in _SHAPES:
                continue
            frame = int(shape.attrib["frame"])
            if shape.attrib.get("outside") == "1":
                left.append(frame)
            elif (value := _value(shape, size)) is not None:
                values[frame] = value
        shown.setdefault(label, []).append((place, values))
        single = len(values) == 1 and len(left) == 1 and left[0] > min(values)
        gone.setdefault(label, {}).update({} if single else dict.fromkeys(left, place))
    for label, tracks in shown.items():
        there = {frame for _place, values in tracks for frame in values}
        for number, (place, values) in zip(_numbers([set(v) for _p, v in tracks]), tracks):
            for frame, value in values.items():
                yield Found(place, f"frame_{frame:06d}", frame, None, label, number, value)
        for frame, place in gone[label].items():
            if frame not in there:
                hidden = NotVisible(Visibility.ABSENT)
                yield Found(place, f"frame_{frame:06d}", frame, None, label, 0, hidden)


def _numbers(tracks: list[set[int]]) -> list[int]:
    """A number a track: the lowest that no other track has on one of its frames, so that each thing keeps its own."""
    taken: list[set[int]] = []
    out = []
    for frames in tracks:
        number = next((n for n, there in enumerate(taken) if not there & frames), len(taken))
        if number == len(taken):
            taken.append(set())
        taken[number] |= frames
        out.append(number)
    return out


def _flag(tag: ElementTree.Element) -> int:
    """A tag is present; an attribute with its own value says otherwise."""
    for attribute in tag.findall("attribute"):
        if attribute.attrib.get("name") in {"value", "present", "grade"}:
            text = (attribute.text or "").strip().lower()
            return int(text) if text.isdigit() else int(text not in _FALSE)
    return 1


def _points(shape: ElementTree.Element) -> tuple[tuple[float, float], ...]:
    pairs = (pair.split(",") for pair in shape.attrib["points"].split(";"))
    return tuple((float(x) - 0.5, float(y) - 0.5) for x, y in pairs)


def _turned(
    ring: tuple[tuple[float, float], ...], about: tuple[float, float], shape: ElementTree.Element
) -> tuple[tuple[float, float], ...]:
    """A ring turned clockwise about a point by the shape's rotation, counted from pixel centres."""
    angle = math.radians(float(shape.attrib.get("rotation", 0)))
    c, s = math.cos(angle), math.sin(angle)
    (cx, cy) = about
    return tuple((cx + (x - cx) * c - (y - cy) * s - 0.5, cy + (x - cx) * s + (y - cy) * c - 0.5) for x, y in ring)


def _value(shape: ElementTree.Element, size: tuple[int, int]) -> Value | None:
    """A shape as a value; None for the kinds that have no like here."""
    seen = Visibility.UNCERTAIN if shape.attrib.get("occluded") == "1" else Visibility.CLEAR
    match shape.tag:
        case "box":
            x0, y0, x1, y1 = (float(shape.attrib[n]) for n in ("xtl", "ytl", "xbr", "ybr"))
            if not (x1 > x0 and y1 > y0):
                return None
            if float(shape.attrib.get("rotation", 0)):
                corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
                return PolygonLabel(size, (_turned(corners, ((x0 + x1) / 2, (y0 + y1) / 2), shape),), seen)
            return BoxLabel((x0 - 0.5, y0 - 0.5, x1 - x0, y1 - y0), seen)
        case "ellipse":
            cx, cy, rx, ry = (float(shape.attrib[n]) for n in ("cx", "cy", "rx", "ry"))
            ring = tuple((cx + rx * math.cos(t), cy + ry * math.sin(t)) for t in np.linspace(0, 2 * math.pi, 65)[:-1])
            return PolygonLabel(size, (_turned(ring, (cx, cy), shape),), seen) if rx > 0 and ry > 0 else None
        case "polygon":
            points = _points(shape)
            return PolygonLabel(size, (points,), seen) if len(points) > 2 else None
        case "polyline":
            points = _points(shape)
            return LineLabel(points[0], points[-1], seen) if len(points) > 1 else None
        case "points":
            return TipLabel(_points(shape)[0], None, seen)
        case "mask":
            return mask_label(_mask(shape, size), seen)
    return None


def _mask(shape: ElementTree.Element, size: tuple[int, int]) -> np.ndarray:
    left, top, width, height = (int(float(shape.attrib[n])) for n in ("left", "top", "width", "height"))
    runs = [int(r) for r in shape.attrib["rle"].split(",")]
    if sum(runs) != width * height:
        raise ValueError(f"a mask of {width} x {height} pixels has runs for {sum(runs)}")
    part = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    mask = np.zeros(size, bool)
    mask[top : top + height, left : left + width] = part[: size[0] - top, : size[1] - left]
    return mask
