"""List of real recordings and sets that a plugin is looked at with: a TOML file; it names files, and holds none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.formats.validate import read_toml

VERSION = 1


class Holds(StrEnum):
    """What a recording holds, said by a person who looked at it."""

    NO_NEEDLE = "no needle"
    LOOK_ALIKE = "look-alike"
    NO_ULTRASOUND = "no ultrasound"
    ADULT_SPINE = "adult spine"
    OTHER_BODY = "other body"


HOLDS_WORDS = {
    Holds.NO_NEEDLE: "ultrasound without a needle",
    Holds.LOOK_ALIKE: "ultrasound of wires or lines that look like a needle",
    Holds.NO_ULTRASOUND: "no ultrasound",
    Holds.ADULT_SPINE: "phantom of an adult's spine",
    Holds.OTHER_BODY: "ultrasound of no spine",
}


@dataclass(frozen=True, slots=True)
class MarkedCase:
    """A recording with a needle whose tip was marked by hand; ``span`` is a half-open range of its frames."""

    file: str
    marks: Path
    span: tuple[int, int | None] = (0, None)


@dataclass(frozen=True, slots=True)
class StillsCase:
    """A set of cines made of real stills: name of a spec that ships, or a TOML file beside the list."""

    spec: str


@dataclass(frozen=True, slots=True)
class SimulatedCase:
    """A simulated set that stands beside the real cases, to see what the plugin does where it should speak.

    Attributes
    ----------
    spec : str
        Name of a spec that ships, or a TOML file beside the list.
    shows : str
    styles : tuple of str
        Folders of real stills whose tones and texture its clips are given, one still a clip; empty for none.
    """

    spec: str
    shows: str
    styles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedCase:
    """A recording that somebody has looked at, without what the plugin looks for."""

    file: str
    holds: Holds
    shows: str


@dataclass(frozen=True, slots=True)
class RealCases:
    """All cases of one list, in its order; ``made_frames`` 0 leaves out the made pictures."""

    name: str
    folder: Path
    marked: tuple[MarkedCase, ...] = ()
    stills: tuple[StillsCase, ...] = ()
    recorded: tuple[RecordedCase, ...] = ()
    made_frames: int = 0
    simulated: tuple[SimulatedCase, ...] = ()


def read_real_cases(path: Path) -> RealCases:
    """Read a list of cases.

    Raises
    ------
    UserError
        It is missing, no TOML, names an unknown key, or a case lacks something.
    """
    path = Path(path)
    table = read_toml(path)
    _refuse_unknown(path, table, {"version", "name", "marked", "stills", "recording", "made", "simulated"}, "the list")
    if table.get("version") != VERSION:
        raise UserError(f"{path.name}: version is {table.get('version')!r}, and this program reads version {VERSION}.")
    made = table.get("made", {})
    _refuse_unknown(path, made, {"frames"}, "made")
    cases = RealCases(
        name=_text(path, table, "name", "the list"),
        folder=path.parent,
        marked=tuple(_marked(path, entry, k) for k, entry in enumerate(table.get("marked", ()), 1)),
        stills=tuple(_stills(path, entry, k) for k, entry in enumerate(table.get("stills", ()), 1)),
        recorded=tuple(_recorded(path, entry, k) for k, entry in enumerate(table.get("recording", ()), 1)),
        made_frames=_whole(path, made, "frames", "made", 0) or 0,
        simulated=tuple(_simulated(path, entry, k) for k, entry in enumerate(table.get("simulated", ()), 1)),
    )
    if not (cases.marked or cases.stills or cases.recorded or cases.made_frames or cases.simulated):
        raise UserError(
            f"{path.name} lists no case; add [[marked]], [[stills]], [[recording]], [[simulated]] or [made]."
        )
    files = [*(c.file for c in cases.marked), *(c.file for c in cases.recorded)]
    twice = next((file for file in files if files.count(file) > 1), None)
    if twice:
        raise UserError(f"{path.name}: {twice} stands twice; leave one out.")
    return cases


def _marked(path: Path, entry: Mapping[str, Any], number: int) -> MarkedCase:
    place = f"marked case {number}"
    _refuse_unknown(path, entry, {"file", "marks", "first", "end"}, place)
    first, end = _whole(path, entry, "first", place, 0), _whole(path, entry, "end", place, None)
    if end is not None and end <= (first or 0):
        raise UserError(f"{path.name}: {place} ends before it begins; give an end above {first}.")
    marks = path.parent / _text(path, entry, "marks", place)
    return MarkedCase(_text(path, entry, "file", place), marks, (first or 0, end))


def _stills(path: Path, entry: Mapping[str, Any], number: int) -> StillsCase:
    place = f"set of stills {number}"
    _refuse_unknown(path, entry, {"spec"}, place)
    return StillsCase(_text(path, entry, "spec", place))


def _simulated(path: Path, entry: Mapping[str, Any], number: int) -> SimulatedCase:
    place = f"simulated set {number}"
    _refuse_unknown(path, entry, {"spec", "shows", "styles"}, place)
    styles = entry.get("styles", [])
    if not isinstance(styles, list) or not all(isinstance(s, str) and s for s in styles):
        raise UserError(f"{path.name}: styles of {place} is not a list of folders.")
    return SimulatedCase(_text(path, entry, "spec", place), _text(path, entry, "shows", place), tuple(styles))


def _recorded(path: Path, entry: Mapping[str, Any], number: int) -> RecordedCase:
    place = f"recording {number}"
    _refuse_unknown(path, entry, {"file", "holds", "shows"}, place)
    holds = _text(path, entry, "holds", place)
    if holds not in list(Holds):
        raise UserError(f'{path.name}: {place} holds "{holds}"; say one of {", ".join(Holds)}.')
    return RecordedCase(_text(path, entry, "file", place), Holds(holds), _text(path, entry, "shows", place))


def _refuse_unknown(path: Path, entry: Any, known: set[str], place: str) -> None:
    if not isinstance(entry, Mapping):
        raise UserError(f"{path.name}: {place} is not a table of keys.")
    unknown = sorted(set(entry) - known)
    if unknown:
        raise UserError(f'{path.name}: {place} has a key "{unknown[0]}"; there are {", ".join(sorted(known))}.')


def _text(path: Path, entry: Mapping[str, Any], key: str, place: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise UserError(f"{path.name}: {place} lacks the text {key}.")
    return value


def _whole(path: Path, entry: Mapping[str, Any], key: str, place: str, default: int | None) -> int | None:
    value = entry.get(key, default)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise UserError(f"{path.name}: {key} of {place} is not a whole number from 0 on.")
    return value
