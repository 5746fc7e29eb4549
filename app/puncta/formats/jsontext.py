"""JSON text in one canonical form, and a strict reader: no NaN, no Infinity, no member twice."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from puncta.core.errors import BugError, UserError
from puncta.formats.atomic import read_text, write_text_atomic

PX_DECIMALS = 3
"""Decimals kept of pixels and millimetres."""
SCORE_DECIMALS = 4
"""Decimals kept of scores and shares."""


def rounded(value: float, decimals: int, what: str) -> float:
    """Round a finite number, without a negative zero.

    Raises
    ------
    BugError
        The number is NaN or infinite: whoever computed it has to say null with a reason.
    """
    number = float(value)
    if not math.isfinite(number):
        raise BugError(f"{what} is {number}; a value that is not known has to be None with a reason")
    return round(number, decimals) + 0.0


def json_line(document: Any) -> str:
    """Return one line of compact JSON with the members in the order given; raises BugError on NaN."""
    try:
        return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise BugError(f"not JSON: {error}") from error


def json_document(document: Any) -> str:
    """Return an indented JSON document with a final newline; raises BugError on NaN."""
    try:
        return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    except ValueError as error:
        raise BugError(f"not JSON: {error}") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not allowed")


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"'{twice}' stands twice")
    return members


def parse_json(text: str, place: str) -> Any:
    """Parse JSON strictly; ``place`` names the file (and line) in the error.

    Raises
    ------
    UserError
        Not JSON, or NaN, Infinity or a member that stands twice.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_twice)
    except json.JSONDecodeError as error:
        raise UserError(f"{place} is not JSON: {error.msg[:1].lower() + error.msg[1:]} "
                        f"(line {error.lineno}, column {error.colno}).") from error
    except RecursionError as error:
        raise UserError(f"{place} is nested too deeply.") from error
    except ValueError as error:
        raise UserError(f"{place} is not strict JSON: {error}.") from error


def read_json(path: Path) -> Any:
    """Read and parse a JSON file; raises UserError."""
    text = read_text(path)
    if not text.strip():
        raise UserError(f"{path} is empty.")
    return parse_json(text, str(path))


def write_json(path: Path, document: Any) -> None:
    """Write an indented JSON file that is whole or not there."""
    write_text_atomic(path, json_document(document))
