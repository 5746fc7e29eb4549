"""Kills recordings at random moments and opens what they left."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from paced_source import PacedSource, number_of

from puncta.core.errors import UserError
from puncta.formats.session import open_session
from puncta.formats.validate import validate
from puncta.sources.factory import open_source

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Killed:
    """What came of one recording that was killed.

    Attributes
    ----------
    handed_in, stored : int
        Frames that the source had handed out, and those that the session holds.
    missing_s : float
        How much of the end is missing, by the frames' arrival [s].
    says : str
        What the session says when it is opened.
    problems : tuple of str
        What `puncta doctor` finds, and frames whose pixels are not those of the source.
    """

    after_s: float
    handed_in: int
    stored: int
    missing_s: float
    says: str
    problems: tuple[str, ...]


def kill_one(folder: Path, after_s: float, fps: float = 60.0, size_px: tuple[int, int] = (320, 240)) -> Killed:
    """Start a recording, kill it (SIGKILL) so long after its first frame [s], and open the session."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "app"), str(ROOT / "tests" / "support")])}
    command = [sys.executable, str(ROOT / "tests" / "support" / "record_child.py"), str(folder), str(fps)]
    child = subprocess.Popen(
        [*command, *map(str, size_px)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    )
    lines: list[str] = []
    first = threading.Event()

    def listen() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            lines.append(line)
            first.set()

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        if not first.wait(120):
            raise AssertionError("the recording gave no frame within two minutes")
        time.sleep(after_s)
    finally:
        child.kill()
        child.wait()
        listener.join()
        assert child.stdout is not None
        child.stdout.close()
    told = [tuple(map(int, line.split())) for line in lines if line.endswith("\n") and len(line.split()) == 2]
    return _look(folder, after_s, told, size_px)


def _look(folder: Path, after_s: float, told: list[tuple[int, ...]], size_px: tuple[int, int]) -> Killed:
    """Open what was left; nothing at all is right only for a kill within the first second."""
    try:
        session = open_session(folder)
    except UserError as error:
        says = str(error).replace(str(folder), folder.name)
        return Killed(after_s, len(told), 0, (told[-1][1] - told[0][1]) / 1e9, says, ())
    problems = list(validate(folder).problems)
    records = session.index.records
    arrived = dict(told)
    last_ns = arrived.get(records[-1].source_index, told[-1][1]) if records else told[0][1]
    if records:
        problems += _compare(folder, size_px)
    says = session.notes[0] if session.notes else ""
    return Killed(after_s, len(told), len(records), max(0.0, (told[-1][1] - last_ns) / 1e9), says, tuple(problems))


def _compare(folder: Path, size_px: tuple[int, int]) -> list[str]:
    """Compare every stored frame with the picture that the source gave under its number."""
    made = PacedSource(size_px)
    x0, y0, w, h = made.info.geometry.region.box
    source = open_source(str(folder))
    wrong = []
    try:
        while (frame := source.read()) is not None:
            number = number_of(frame.pixels, (x0, y0))
            if not np.array_equal(made.pixels(number)[y0 : y0 + h, x0 : x0 + w], frame.pixels):
                wrong.append(f"frame {frame.key.index} differs from what was recorded")
    finally:
        source.close()
    return wrong


def kill_many(top: Path, count: int, seed: int, longest_s: float = 6.0) -> list[Killed]:
    """Kill so many recordings at random moments."""
    rng = random.Random(seed)
    return [kill_one(top / f"session-{n:02d}", rng.uniform(0.0, longest_s)) for n in range(count)]
