"""labelme's JSON files, one a picture, read as labelme writes them.

labelme's canvas counts from the outer corner of the first pixel; a mask is a PNG over a box of whole pixels.
"""

from __future__ import annotations

import base64
import binascii
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from puncta.annotation.exchange_found import Found, index_in_name
from puncta.annotation.labels import BoxLabel, FlagLabel, LineLabel, PolygonLabel, TipLabel, Value, mask_label
from puncta.core.errors import UserError
from puncta.formats.jsontext import read_json


def found_in_labelme(path: Path) -> list[Found]:
    """Return what a labelme file, or every one of a folder, says; raises UserError where there is none."""
    path = Path(path)
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"There is no labelme file (*.json) in {path}.")
    out: list[Found] = []
    for place, file in enumerate(files):
        out += _found_in_file(read_json(file), file, place)
    return out


def _found_in_file(document: Any, file: Path, place: int) -> list[Found]:
    if not isinstance(document, dict) or "shapes" not in document or "imagePath" not in document:
        raise UserError(f"{file} is not a labelme file: shapes and imagePath belong in it.")
    name = str(document["imagePath"]).replace("\\", "/")
    height, width = document.get("imageHeight"), document.get("imageWidth")
    if not isinstance(height, int) or not isinstance(width, int):
        raise UserError(f"{file} does not tell the size of its picture; open and save it once in labelme.")
    index = index_in_name(name)
    out = [
        Found(place, name, index, None, str(flag), 0, FlagLabel(int(bool(value))))
        for flag, value in (document.get("flags") or {}).items()
    ]
    counts: dict[str, int] = {}
    for number, shape in enumerate(document["shapes"]):
        try:
            value = _value(shape, (height, width))
        except (KeyError, TypeError, ValueError, IndexError, binascii.Error) as error:
            raise UserError(f"{file}: shape {number + 1} does not read as labelme writes it: {error}.") from error
        if value is not None:
            label = str(shape["label"])
            counts[label] = counts.get(label, -1) + 1
            out.append(Found(place, name, index, None, label, counts[label], value))
    return out


def _value(shape: dict[str, Any], size: tuple[int, int]) -> Value | None:
    """A shape as a value; None for the kinds that have no like here."""
    points = [(float(x) - 0.5, float(y) - 0.5) for x, y in shape["points"]]
    match shape.get("shape_type") or "polygon":
        case "polygon":
            return PolygonLabel(size, (tuple(points),)) if len(points) > 2 else None
        case "rectangle":
            (ax, ay), (bx, by) = points[:2]
            w, h = abs(ax - bx), abs(ay - by)
            return BoxLabel((min(ax, bx), min(ay, by), w, h)) if w and h else None
        case "line" | "linestrip":
            return LineLabel(points[0], points[-1])
        case "point":
            return TipLabel(points[0])
        case "circle":
            (cx, cy), (ex, ey) = points[:2]
            r = math.hypot(ex - cx, ey - cy)
            turns = np.linspace(0, 2 * math.pi, 64, endpoint=False)
            return PolygonLabel(size, (tuple((cx + r * math.cos(t), cy + r * math.sin(t)) for t in turns),))
        case "mask":
            return mask_label(_mask(shape, size))
    return None


def _mask(shape: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(shape["mask"], validate=True), np.uint8)
    part = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    if part is None:
        raise ValueError("its mask is not a picture")
    (x0, y0), _ = shape["points"][:2]
    left, top = int(x0), int(y0)
    mask = np.zeros(size, bool)
    fits = part[: size[0] - top, : size[1] - left] > 0
    mask[top : top + fits.shape[0], left : left + fits.shape[1]] = fits
    return mask
