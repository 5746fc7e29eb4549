"""Scripted moves (moves.toml): what hands do with probe and needle, at times or frames; read, checked and written."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from puncta.core.errors import BugError, UserError
from puncta.formats import schemas
from puncta.formats.atomic import read_text, write_text_atomic

FORMAT, VERSION = "puncta-moves", 1
UNITS: dict[str, str] = {
    "advance": "mm", "angle": "deg", "swing": "deg", "entry": "mm", "entry-across": "mm", "slide": "mm", "sweep": "mm",
    "rock": "deg", "tilt": "deg", "twist": "deg", "press": "mm", "inject": "ml",
}
"""Moves that have an amount, and its unit."""
ACTS: tuple[str, ...] = ("fire", "done")
"""Moves without an amount."""
MOVE_NAMES: tuple[str, ...] = (*UNITS, *ACTS)
GUN_PROCEDURES = ("breast",)
"""Procedures whose needle can fire."""
_HEAD = ("format", "version", "procedure", "title", "move")
_MEMBERS = ("at_s", "at_frame", "do", "by", "over_s")
_GRID = 2.0**30
"""Parts of a move are whole multiples of 1 / _GRID but for the last, so that their sums are exact."""


@dataclass(frozen=True, slots=True)
class Move:
    """One move.

    Attributes
    ----------
    do : str
        One of `MOVE_NAMES`.
    by : float
        Amount in the move's unit; 0 for those without.
    at_s, at_frame : float or None, int or None
        When it begins: the first frame at or after a time [s], or a frame's number. One of both is given.
    over_s : float
        Time over which it is spread evenly [s]; 0 does it within one frame.
    """

    do: str
    by: float = 0.0
    at_s: float | None = None
    at_frame: int | None = None
    over_s: float = 0.0


@dataclass(frozen=True, slots=True)
class MoveScript:
    """A script of moves; ``procedure`` is the one it was made for, if it says so."""

    moves: tuple[Move, ...]
    procedure: str | None = None
    title: str = ""


def no_gun(procedure: str) -> str:
    """Say that a procedure has nothing to fire."""
    return f"'fire' needs a biopsy gun, and {procedure} has none (only {', '.join(GUN_PROCEDURES)}); take it out"


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'" for the known name that is nearest, or all of them where none is near."""
    names = list(known)
    near = get_close_matches(str(name).lower(), names, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'" if near else f"; choose one of {', '.join(names)}"


def check_moves(table: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a script, one plain sentence each, with its place."""
    problems = [f"'{name}' is no member of a script of moves{nearest_name(name, _HEAD)}"
                for name in table if name not in _HEAD]
    procedures = schemas.load_schema("moves")["properties"]["procedure"]["enum"]
    if isinstance(table.get("procedure"), str) and table["procedure"] not in procedures:
        problems.append(f"there is no procedure '{table['procedure']}'{nearest_name(table['procedure'], procedures)}")
    moves = table.get("move", [])
    for number, move in enumerate(moves if isinstance(moves, list) else [], 1):
        if isinstance(move, dict):
            problems += [f"move {number}: {text}" for text in _check_names(move)]
    if problems:
        return problems
    problems = [schemas.in_words(text) for text in schemas.check("moves", dict(table))]
    if problems:
        return problems
    if not moves:
        return ["there is no move in it; write at least one"]
    for number, move in enumerate(moves, 1):
        if (move["do"] in ACTS) == ("by" in move):
            text = f"'{move['do']}' takes no amount" if "by" in move else f"'{move['do']}' needs an amount, 'by'"
            problems.append(f"move {number}: {text}")
        elif move["do"] in ACTS and move.get("over_s", 0):
            problems.append(f"move {number}: '{move['do']}' happens at once, so it takes no 'over_s'")
        elif move["do"] == "inject" and move["by"] < 0:
            problems.append(f"move {number}: 'inject' by {move['by']:g} ml would take fluid back; give 0 or more")
        elif move["do"] == "fire" and table.get("procedure", GUN_PROCEDURES[0]) not in GUN_PROCEDURES:
            problems.append(f"move {number}: {no_gun(table['procedure'])}")
    return problems


def _check_names(move: Mapping[str, Any]) -> list[str]:
    problems = [f"'{name}' is no member of a move{nearest_name(name, _MEMBERS)}" for name in move
                if name not in _MEMBERS]
    if "do" in move and move["do"] not in MOVE_NAMES:
        problems.append(f"there is no move '{move['do']}'{nearest_name(str(move['do']), MOVE_NAMES)}")
    return problems


def parse_moves(text: str, place: str = "the script of moves") -> MoveScript:
    """Return the script of a TOML text; ``place`` names the file in errors.

    Raises
    ------
    UserError
        It is not TOML, or no script of moves.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        raise UserError(f"{place} is not TOML: {said[:1].lower() + said[1:]}.") from error
    problems = check_moves(table)
    if problems:
        raise UserError(f"{place}: {problems[0]}{'?' if 'did you mean' in problems[0] else '.'}")
    moves = tuple(
        Move(m["do"], float(m.get("by", 0.0)), None if "at_s" not in m else float(m["at_s"]), m.get("at_frame"),
             float(m.get("over_s", 0.0)))
        for m in table["move"]
    )
    return MoveScript(moves, table.get("procedure"), table.get("title", ""))


def read_moves(path: Path) -> MoveScript:
    """Read a script of moves; raises UserError."""
    return parse_moves(read_text(path), str(path))


def text_from_moves(script: MoveScript) -> str:
    """Return a script as TOML, one move a line; numbers are written so that reading gives the same bits."""
    lines = [f'format = "{FORMAT}"', f"version = {VERSION}"]
    if script.procedure is not None:
        lines.append(f"procedure = {_quoted(script.procedure)}")
    if script.title:
        lines.append(f"title = {_quoted(script.title)}")
    lines.append("move = [")
    lines += [f"  {{ {_members(move)} }}," for move in script.moves]
    return "\n".join([*lines, "]"]) + "\n"


def write_moves(path: Path, script: MoveScript) -> None:
    """Write a script of moves; the file is whole or not there."""
    write_text_atomic(path, text_from_moves(script))


def _members(move: Move) -> str:
    parts = [f"at_frame = {move.at_frame}" if move.at_frame is not None else f"at_s = {_number(move.at_s or 0.0)}",
             f"do = {_quoted(move.do)}"]
    if move.do in UNITS:
        parts.append(f"by = {_number(move.by)}")
    if move.over_s:
        parts.append(f"over_s = {_number(move.over_s)}")
    return ", ".join(parts)


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise BugError(f"a move by {value} cannot be written")
    return repr(float(value))


def _quoted(text: str) -> str:
    """A TOML basic string."""
    shown = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in shown) + '"'


class MovePlayer:
    """Gives the increments of one frame after the other; what is spread over time sums up to the amount exactly."""

    def __init__(self, script: MoveScript) -> None:
        self._waiting = sorted(script.moves, key=_order)
        self._running: list[tuple[Move, int, float]] = []  # move, when it began [ns], how much of it is done

    @property
    def finished(self) -> bool:
        """Nothing is left to do."""
        return not self._waiting and not self._running

    def step(self, index: int, t_ns: int) -> dict[str, float]:
        """Return the amounts of frame ``index``, shown at ``t_ns``, by move; call once a frame, in order.

        Acts stand in it with the amount 1. A move spread over time gives each frame what falls between the frame
        before and this one.
        """
        amounts: dict[str, float] = {}

        def add(move: Move, by: float) -> None:
            if by:
                amounts[move.do] = amounts.get(move.do, 0.0) + by

        waiting = []
        for move in self._waiting:
            if not (index >= move.at_frame if move.at_frame is not None else t_ns >= _ns(move.at_s)):
                waiting.append(move)
                continue
            if move.do in ACTS:
                amounts[move.do] = 1.0
            elif move.over_s <= 0:
                add(move, move.by)
            else:
                self._running.append((move, t_ns if move.at_frame is not None else _ns(move.at_s), 0.0))
        self._waiting = waiting
        still = []
        for move, start_ns, done in self._running:
            share = (t_ns - start_ns) / (move.over_s * 1e9)
            if share >= 1.0:
                add(move, move.by - done)
                continue
            now = round(move.by * share * _GRID) / _GRID
            add(move, now - done)
            still.append((move, start_ns, now))
        self._running = still
        return amounts


def frame_amounts(script: MoveScript, times_ns: Sequence[int]) -> list[dict[str, float]]:
    """Return the amounts of all frames with these presentation times [ns], as `MovePlayer.step` gives them."""
    player = MovePlayer(script)
    return [player.step(index, int(t_ns)) for index, t_ns in enumerate(times_ns)]


def _ns(t_s: float | None) -> int:
    return round((t_s or 0.0) * 1e9)


def _order(move: Move) -> tuple[float, int]:
    return (move.at_s or 0.0, move.at_frame or 0)
