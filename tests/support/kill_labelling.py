"""Kills a process that labels by a script, at random moments, and looks what the store holds afterwards.

The child writes one line for every gesture once the store has confirmed it. After the kill the store must open, hold
every gesture that was told, at most one more, and none in part. The next child goes on in the same store.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from label_maker import key, make_case

from puncta.annotation.commands import Board, Command, draw, not_visible, set_flag
from puncta.annotation.labels import Label, MaskLabel, Slot, TipLabel
from puncta.annotation.store import AnnotationStore
from puncta.formats.dataset_values import Visibility

CASE = "killed"
FRAMES = 60
HIDDEN = (Visibility.ABSENT, Visibility.OUT_OF_PLANE, Visibility.SHADOWED)


def script(board: Board, number: int) -> Iterator[Command]:
    """Yield the gestures of a labelling run from a number on; each is made from the board as it is then.

    Every one of them changes something, so that the case's revision is the number of gestures.
    """
    while True:
        frame = number % FRAMES
        kind = number % 5
        if kind in {0, 1}:
            command = draw(board, "needle_tip", key(frame), TipLabel((float(number), 1.0)))
        elif kind == 2:
            value = number % 199
            command = draw(board, "needle", key(frame), MaskLabel((48, 64), (value, 20, 48 * 64 - 20 - value)))
        elif kind == 3:
            command = set_flag(board, "csf", number, [key(i) for i in range(frame, frame + 25)])
        else:
            command = not_visible(board, "needle", key(frame), HIDDEN[number // FRAMES % 3])
        assert command is not None
        yield command
        number += 1


def child(path: Path) -> None:
    """Label until killed; one line a gesture: the case's revision after it."""
    store = AnnotationStore.open(path)
    case = store.add_case(make_case(id=CASE))
    board = Board(case.id, "anna", store.labels(case.id, rater="anna"))
    for command in script(board, store.revision(CASE)):
        board.apply(command)
        done = store.apply(command)
        os.write(1, f"{done.revision}\n".encode())


@dataclass
class Told:
    """What the kills have shown."""

    kills: int = 0
    acknowledged: int = 0
    under_way: int = 0
    lost: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)


class Replay:
    """What a store has to hold after so many gestures: the script is the same for every child."""

    def __init__(self) -> None:
        self.board = Board(CASE, "anna")
        self.count = 0
        self._gestures = script(self.board, 0)

    def advance(self, revision: int) -> dict[Slot, Label]:
        """Make gestures up to a revision; return the labels."""
        while self.count < revision:
            self.board.apply(next(self._gestures))
            self.count += 1
        return dict(self.board.snapshot())


def run(folder: Path, kills: int, seed: int = 0, longest_s: float = 1.0) -> Told:
    """Kill a labelling process so many times at random moments."""
    chance = random.Random(seed)
    path = folder / "killed.sqlite"
    told = Told()
    replay = Replay()
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    for number in range(kills):
        process = subprocess.Popen([sys.executable, __file__, str(path)], stdout=subprocess.PIPE, env=environ)
        assert process.stdout is not None
        first = process.stdout.readline()  # the run is under way; from here on any moment is as good
        time.sleep(chance.random() * longest_s)
        process.send_signal(signal.SIGKILL)
        lines = [first, *process.stdout.readlines()]
        process.wait()
        process.stdout.close()
        told.kills += 1
        whole = [int(line) for line in lines if line.endswith(b"\n")]
        told.acknowledged += len(whole)
        with AnnotationStore.open(path) as store:
            revision = store.revision(CASE)
            if not whole or revision < whole[-1]:
                told.lost.append(f"kill {number}: told {whole[-1:]}, kept {revision}")
            told.under_way += bool(whole) and revision > whole[-1]
            if whole and revision > whole[-1] + 1:
                told.torn.append(f"kill {number}: {revision - whole[-1]} gestures that nobody was told of")
            found = {label.slot: values(label) for label in store.labels(CASE)}
            wanted = {slot: values(label) for slot, label in replay.advance(revision).items()}
            if found != wanted:
                told.torn.append(f"kill {number}: the labels are not those of {revision} whole gestures")
    return told


def values(label: Label) -> tuple[object, ...]:
    """What two runs of the script have in common: all but the time."""
    return (label.name, label.key, label.value, label.state, label.number, label.made.by)


if __name__ == "__main__":
    child(Path(sys.argv[1]))
