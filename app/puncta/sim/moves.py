"""Scripts of moves as controls of a simulation, and controls of a simulation as a script that repeats it exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from puncta.core.errors import UserError
from puncta.formats.moves import ACTS, GUN_PROCEDURES, UNITS, Move, MoveScript, frame_amounts, no_gun
from puncta.sim.controls import STILL, Controls

FIELDS: dict[str, str] = {name: f"{name.replace('-', '_')}_{unit}" for name, unit in UNITS.items()} | {
    act: act for act in ACTS
}
"""The member of `Controls` that each move acts on."""


def controls_of(script: MoveScript, times_ns: Sequence[int], procedure: str | None = None) -> list[Controls]:
    """Controls of all frames with these presentation times [ns]; raises UserError for another procedure's script."""
    check_procedure(script, procedure)
    return [_controls(amounts) for amounts in frame_amounts(script, times_ns)]


def check_procedure(script: MoveScript, procedure: str | None) -> None:
    """Raise UserError when a script was made for another procedure, or fires where nothing can."""
    if procedure is not None and script.procedure is not None and script.procedure != procedure:
        raise UserError(f"These moves are made for {script.procedure}, not for {procedure}; simulate "
                        f"{script.procedure}, or take 'procedure' out of the script.")
    for number, move in enumerate(script.moves, 1):
        if move.do == "fire" and procedure is not None and procedure not in GUN_PROCEDURES:
            raise UserError(f"Move {number} does not fit: {no_gun(procedure)}.")


def script_from_controls(
    controls: Iterable[Controls], procedure: str | None = None, *, first: int = 0, title: str = ""
) -> MoveScript:
    """Return a script that gives each frame, from number ``first`` on, the same controls, bit by bit."""
    moves = []
    for index, frame in enumerate(controls, first):
        if frame == STILL:
            continue
        for do, name in FIELDS.items():
            value = getattr(frame, name)
            if value:
                moves.append(Move(do, 0.0 if do in ACTS else float(value), at_frame=index))
    return MoveScript(tuple(moves), procedure, title)


def _controls(amounts: Mapping[str, float]) -> Controls:
    if not amounts:
        return STILL
    return Controls(**{FIELDS[do]: True if do in ACTS else by for do, by in amounts.items()})  # type: ignore[arg-type]
