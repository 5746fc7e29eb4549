"""A steered session as a script of moves that repeats it to the byte, and the simulation that a script was made on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from puncta.core.errors import UserError
from puncta.formats.moves import MoveScript, write_moves
from puncta.sim.controls import Controls
from puncta.sim.moves import script_from_controls
from puncta.sources.simulated_address import SCHEME, SimulationRequest, parse_simulation


def save_moves(file: Path, request: SimulationRequest, frames: Sequence[Controls]) -> None:
    """Write a steered session as a script; its title keeps the address, so that the subject is known too.

    Raises
    ------
    UserError
        Nothing was moved, or the file cannot be written.
    """
    script = script_from_controls(frames, request.procedure, title=request.uri)
    if not script.moves:
        raise UserError("Nothing was moved yet, so there are no moves to save.")
    try:
        write_moves(file, script)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror or error}.") from error


def request_of_script(script: MoveScript) -> SimulationRequest | None:
    """The simulation that a script was recorded on; None where its title is words of someone's own.

    Raises
    ------
    UserError
        The title is an address that is wrong, or of a simulation that nobody can steer.
    """
    if not script.title.startswith(SCHEME):
        return None
    try:
        request = parse_simulation(script.title)
        if not request.steer:
            # Moves steer, whether the title says so or not; what then does not fit is answered as in any address.
            request = parse_simulation(replace(request, steer=True).uri)
    except UserError as error:
        raise UserError(f"The script's title: {error}") from None
    return request
