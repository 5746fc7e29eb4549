"""CVAT's "for images 1.1" and "for video 1.1" XML, read as CVAT writes them.

CVAT counts from the outer corner of the first pixel; its masks are run lengths row by row inside a box of pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
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
_FALSE = {"false", "0", "no", "absent"}


def found_in_cvat(path: Path) -> list[Found]:
    """Return what a CVAT XML file says; raises UserError where it is none."""
    text = read_text(path)
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
    size_at = root.find("meta/task/original_size") or root.find("meta/job/original_size")
    if size_at is None:
        size_at = root.find("meta/original_size")
    numbers: dict[str, int] = {}
    for track in root.findall("track"):
        if size_at is None:
            raise ValueError("a video needs <original_size>")
        size = (int(size_at.findtext("height", "0")), int(size_at.findtext("width", "0")))
        label = track.attrib["label"]
        numbers[label] = numbers.get(label, -1) + 1
        for shape in track:
            if shape.tag not in _SHAPES:
                continue
            frame = int(shape.attrib["frame"])
            value = _value(shape, size)
            if shape.attrib.get("outside") == "1":
                value = NotVisible(Visibility.ABSENT)
            if value is not None:
                yield Found(frame, f"frame_{frame:06d}", frame, None, label, numbers[label], value)


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


def _value(shape: ElementTree.Element, size: tuple[int, int]) -> Value | None:
    """A shape as a value; None for the kinds that have no like here."""
    seen = Visibility.UNCERTAIN if shape.attrib.get("occluded") == "1" else Visibility.CLEAR
    match shape.tag:
        case "box":
            x0, y0, x1, y1 = (float(shape.attrib[n]) for n in ("xtl", "ytl", "xbr", "ybr"))
            return BoxLabel((x0 - 0.5, y0 - 0.5, x1 - x0, y1 - y0), seen) if x1 > x0 and y1 > y0 else None
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
