"""Transforms from OpenIGTLink: TRANSFORM, POSITION (QTRANS in old senders), TDATA and QTDATA as 4 x 4 matrices.

Source: OpenIGTLink protocol (TRANSFORM, POSITION, TDATA, QTDATA), openigtlink.org; lengths are millimetres.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from puncta.sources.igtl_messages import BadMessage, Header, content_of, rows_of

KINDS = frozenset({"TRANSFORM", "POSITION", "QTRANS", "TDATA", "QTDATA"})
LONGEST_BODY = 64 * 1024
"""More than this [B] holds no transforms that anybody sends."""
_MATRIX = struct.Struct(">12f")
_PLACE = struct.Struct(">3f")
_SHORT_QUATERNION = struct.Struct(">6f")
_QUATERNION = struct.Struct(">7f")
_TDATA = struct.Struct(">20sBB12f")
_QTDATA = struct.Struct(">20sBB7f")
UNIT_WITHIN = 0.05
"""A quaternion's length may be off by so much; it is put right. Beyond it, the numbers are no rotation."""

Transform = tuple[str, tuple[float, ...]]


def read_transforms(header: Header, body: bytes | memoryview) -> list[Transform]:
    """Return the names and 4 x 4 matrices (row by row, mm) that a message carries.

    Raises
    ------
    BadMessage
        The size does not fit, a number is not finite, or a quaternion is no rotation.
    """
    start, end = content_of(header, body)
    content = memoryview(body)[start:end]
    if header.kind == "TRANSFORM":
        return [(header.device or "transform", _checked(rows_of(_unpack(_MATRIX, content))))]
    if header.kind in {"POSITION", "QTRANS"}:
        return [(header.device or "position", _checked(_position(content)))]
    if header.kind == "TDATA":
        return [(_name(e, header), _checked(rows_of(e[3:]))) for e in _elements(_TDATA, content)]
    if header.kind == "QTDATA":
        return [(_name(e, header), _checked(_posed(e[3:6], e[6:10]))) for e in _elements(_QTDATA, content)]
    raise BadMessage(f"{header.kind} holds no transform")


def _position(content: memoryview) -> tuple[float, ...]:
    """A place alone, with three numbers of a quaternion whose fourth is positive, or with all four."""
    if len(content) == _PLACE.size:
        return _posed(_unpack(_PLACE, content), (0.0, 0.0, 0.0, 1.0))
    if len(content) == _SHORT_QUATERNION.size:
        values = _unpack(_SHORT_QUATERNION, content)
        rest = 1.0 - sum(v * v for v in values[3:])
        return _posed(values[:3], (*values[3:], math.sqrt(max(0.0, rest))))
    values = _unpack(_QUATERNION, content)
    return _posed(values[:3], values[3:])


def _posed(place: Sequence[float], quaternion: Sequence[float]) -> tuple[float, ...]:
    """Matrix of a place and a unit quaternion (x, y, z, w)."""
    length = math.sqrt(sum(v * v for v in quaternion))
    if not abs(length - 1.0) <= UNIT_WITHIN:
        raise BadMessage("a quaternion is no rotation")
    x, y, z, w = (v / length for v in quaternion)
    return (
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), float(place[0]),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w), float(place[1]),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y), float(place[2]),
        0.0, 0.0, 0.0, 1.0,
    )  # fmt: skip


def _unpack(form: struct.Struct, content: memoryview) -> tuple[float, ...]:
    if len(content) != form.size:
        raise BadMessage("a transform's size does not fit")
    return form.unpack(content)


def _elements(form: struct.Struct, content: memoryview) -> list[tuple]:
    if len(content) % form.size:
        raise BadMessage("the transforms' size does not fit")
    return list(form.iter_unpack(content))


def _name(element: tuple, header: Header) -> str:
    own = element[0].split(b"\0", 1)[0].decode("ascii", "replace").strip()
    return own or header.device or "transform"


def _checked(matrix: tuple[float, ...]) -> tuple[float, ...]:
    if not all(math.isfinite(v) for v in matrix):
        raise BadMessage("a transform holds a number that is none")
    return matrix
