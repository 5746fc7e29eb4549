"""Checks values against the JSON Schemas of resources/schemas and says in plain sentences what does not fit."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from puncta import paths
from puncta.core.errors import BugError

_SUFFIX = ".schema.json"
_TYPE_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_PLACE = re.compile(r"\w+(\[\d+\])*(\.\w+(\[\d+\])*)*")
_WORDS_OF = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def schema_path(kind: str) -> Path:
    """Return the file of a schema."""
    return paths.resources_dir() / "schemas" / f"{kind}{_SUFFIX}"


def schema_kinds() -> tuple[str, ...]:
    """Return the names of all schemas, sorted."""
    return tuple(sorted(p.name.removesuffix(_SUFFIX) for p in schema_path("x").parent.glob(f"*{_SUFFIX}")))


@cache
def load_schema(kind: str) -> dict[str, Any]:
    """Return a schema by name, for example "results".

    Raises
    ------
    BugError
        No schema of that name.
    """
    path = schema_path(kind)
    if not path.is_file():
        raise BugError(f"no schema '{kind}'; there are {', '.join(schema_kinds())}")
    return json.loads(path.read_text(encoding="utf-8"))


@cache
def _validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator(load_schema(kind))


def check(kind: str, document: Any) -> list[str]:
    """Return what does not fit, one plain sentence each, in order of place; empty means that all fits.

    Examples
    --------
    ``images[3].review: 'done' is not one of unseen, proposed, confirmed, bulk``
    """
    problems = list(_not_finite(document, ""))
    errors = sorted(_validator(kind).iter_errors(document), key=lambda e: [str(p).rjust(9) for p in e.absolute_path])
    for error in errors:
        problems += [p for p in _sentences(error) if p not in problems]
    return problems


def in_words(problem: str) -> str:
    """Return a problem with its place in words, counted from 1.

    Examples
    --------
    ``part[0].sizes_px[1][0]: 32 is less than 64`` becomes ``part 1, sizes_px, entry 2, entry 1: 32 is less than 64``
    """
    place, mark, text = problem.partition(": ")
    if not mark or not _PLACE.fullmatch(place):
        return problem
    words = []
    for depth, member in enumerate(place.split(".")):
        name, *numbers = member.replace("]", "").split("[")
        counted = [int(number) + 1 for number in numbers]
        if depth == 0 and counted:
            name = f"{name} {counted.pop(0)}"
        words += [name, *(f"entry {number}" for number in counted)]
    return f"{', '.join(words)}: {text}"


def _not_finite(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{place or 'value'}: {_WORDS_OF[str(value)]} is not a finite number"
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from _not_finite(member, f"{place}.{name}" if place else str(name))
    elif isinstance(value, list | tuple):
        for number, member in enumerate(value):
            yield from _not_finite(member, f"{place}[{number}]")


def _place(error: ValidationError) -> str:
    text = ""
    for part in error.absolute_path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text


def _shown(value: Any) -> str:
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _type_words(types: str | list[str]) -> str:
    names = [types] if isinstance(types, str) else types
    return " or ".join(_TYPE_WORDS[name] for name in names)


def _unknown_members(error: ValidationError) -> list[str]:
    known, patterns = error.schema.get("properties", {}), error.schema.get("patternProperties", {})
    return [
        name for name in error.instance
        if name not in known and not any(re.search(pattern, name) for pattern in patterns)
    ]


def _sentences(error: ValidationError) -> list[str]:
    """Put one schema error into words; a choice (anyOf, oneOf) is explained by the branch that was meant."""
    if error.validator in ("anyOf", "oneOf"):
        meant = _meant_branch(error)
        if meant:
            return [sentence for inner in meant for sentence in _sentences(inner)]
    place = _place(error)
    said = _said(error)
    if isinstance(said, list):
        return [f"{place}: {text}" if place else text for text in said]
    return [f"{place}: {said}" if place else said]


def _said(error: ValidationError) -> str | list[str]:
    value, bound, rule = error.instance, error.validator_value, error.validator
    shown = _shown(value)
    plain = error.schema.get("x-plain") if isinstance(error.schema, dict) else None
    if rule == "required":
        missing = [name for name in bound if name not in value]
        # jsonschema reports every missing member on its own: this error's is the one its message names.
        return next(f"'{name}' is missing" for name in missing if repr(name) in error.message)
    if rule == "additionalProperties":
        return [f"'{name}' is not a member that this format knows" for name in _unknown_members(error)]
    if plain:
        return f"{shown} is not {plain}"
    if rule in ("anyOf", "oneOf"):
        types = [inner.validator_value for inner in error.context or () if inner.validator == "type"]
        return f"{shown} is not {' or '.join(_type_words(t) for t in types) or 'of an allowed form'}"
    words = {
        "enum": lambda: f"{shown} is not one of {', '.join(_bare(v) for v in bound)}",
        "const": lambda: f"{shown} is not {_shown(bound)}",
        "type": lambda: f"{shown} is not {_type_words(bound)}",
        "minimum": lambda: f"{shown} is less than {bound}",
        "maximum": lambda: f"{shown} is more than {bound}",
        "exclusiveMinimum": lambda: f"{shown} is not more than {bound}",
        "minLength": lambda: "is empty",
        "minItems": lambda: f"has {len(value)} entries, fewer than {bound}",
        "maxItems": lambda: f"has {len(value)} entries, more than {bound}",
        "uniqueItems": lambda: f"{shown} holds an entry twice",
    }
    return words[str(rule)]() if rule in words else f"{shown} fits none of the allowed forms"


def _bare(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _meant_branch(error: ValidationError) -> list[ValidationError] | None:
    """Return the errors of the branch that the value was meant for, or None where that cannot be told.

    A branch is out when the value itself has the wrong type for it or its member `type` names another branch.
    """
    branches: dict[int, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(int(inner.schema_path[0]), []).append(inner)

    def out(inner: ValidationError) -> bool:
        here = list(inner.relative_path)
        return (not here and inner.validator == "type") or (here == ["type"] and inner.validator == "const") or (
            not here and inner.validator == "required" and "'type' is a required" in inner.message)

    left = [errors for errors in branches.values() if not any(out(e) for e in errors)]
    return left[0] if len(left) == 1 else None
