"""Aims the example scripts of moves: tries angles and ways without rendering and writes the best that hits its target.

Subjects change when their painters are tuned, and then the examples miss. From the top folder:

    PYTHONPATH=app .venv/bin/python tests/support/aim_script.py
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path

from puncta.formats.moves import Move, MoveScript, text_from_moves
from puncta.sim.attempt import AttemptLog
from puncta.sim.moves import controls_of
from puncta.sources.simulated_address import SimulationRequest, parse_simulation

SAMPLES = Path(__file__).resolve().parents[2] / "resources" / "samples"
FPS = 30
EXAMPLES = {
    "vessel-in-plane.toml": (
        "vessel", 3, (),
        "A needle in the picture's plane into a vein: look around, aim, advance, done.",
    ),
    "nerve-inject.toml": (
        "nerve", 4, (Move("inject", 2.0, 10.5, over_s=3.0),),
        "A needle to the side of a nerve, and 2 ml of fluid round it.",
    ),
    "breast-biopsy.toml": (
        "breast", 2, (),
        "A biopsy needle into the middle of a mass.",
    ),
}
"""File, procedure, seed, moves at the target, and what it shows."""


def watch_moves(request: SimulationRequest, moves: tuple[Move, ...], after_s: float = 0.3) -> AttemptLog:
    """Let hands make the moves, without a picture, and return the attempt's log."""
    generator = request.open_generator()
    log = AttemptLog(generator.subject, generator.deformation)
    fps = request.fps or FPS
    count = round((max((m.at_s or 0.0) + m.over_s for m in moves) + after_s) * fps)
    times = [round(k * 1e9 / fps) for k in range(count)]
    for index, controls in enumerate(controls_of(MoveScript(moves), times)):
        hands = generator.hands
        state = hands.step(1.0 / fps, controls)
        log.step(index, times[index], state, controls, injected_ml=hands.injected_ml, blocked=hands.blocked)
    return log


def aim(request: SimulationRequest, at_target: tuple[Move, ...]) -> tuple[Move, ...]:
    """Return moves that end in the target, with the fewest hits of what must not be hit and nearest to its centre."""
    generator = request.open_generator()
    needle, target = generator.hands.state.needle, generator.subject.target
    assert needle is not None
    flat = math.hypot(target.centre_mm[0] - needle.entry_mm[0], target.centre_mm[1] - needle.entry_mm[1])
    turn = math.degrees(math.atan2(target.centre_mm[2], flat) - needle.angle_rad)
    way = math.hypot(target.centre_mm[2], flat) - min(0.0, needle.way_mm)
    best: tuple[tuple[bool, int, float], tuple[Move, ...]] | None = None
    for more_deg, more_mm in itertools.product((0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.0), (0, 1, 2, 3, 4, 6, 8, 10, 13)):
        look = (Move("sweep", 3.0, 0.5, over_s=1.0), Move("sweep", -3.0, 2.0, over_s=1.0))
        moves = (*look, Move("angle", round(turn + more_deg, 1), 3.5, over_s=0.5),
                 Move("advance", float(round(way + more_mm)), 4.5, over_s=5.5), *at_target)
        log = watch_moves(request, moves)
        rank = (log.in_target, -sum(event.bad for event in log.events), -(log.distance_mm or 99.0))
        if best is None or rank > best[0]:
            best = (rank, moves)
    assert best is not None
    if not best[0][0] or best[0][1]:
        raise SystemExit(f"no way into the target of {request.uri} without a hit; choose another seed")
    end_s = max((m.at_s or 0.0) + m.over_s for m in best[1]) + 0.5
    return (*best[1], Move("done", at_s=end_s))


def main() -> None:
    """Write all examples."""
    for name, (procedure, seed, at_target, words) in EXAMPLES.items():
        request = parse_simulation(f"sim:{procedure}?machine=A&seed={seed}&size=640x480&fps={FPS}&steer=yes")
        script = MoveScript(aim(request, at_target), procedure, request.uri)
        head = [words, "", f"  puncta simulate {procedure} --script {name} --out {Path(name).stem}.mp4 --truth truth",
                "", "The title is the address of the simulation that it is made for; amounts are in mm, degrees, ml."]
        comment = "".join(f"# {line}".rstrip() + "\n" for line in head)
        (SAMPLES / name).write_text(f"{comment}\n{text_from_moves(script)}", encoding="utf-8")
        print(f"{name}: aimed")


if __name__ == "__main__":
    main()
