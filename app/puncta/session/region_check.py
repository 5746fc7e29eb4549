"""Measures the finder of ultrasound regions on screens whose region is known: simulated ones, and drawn real ones."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.core.geometry import box_iou
from puncta.imaging.region_shape import propose_region
from puncta.sim.cine import CineGenerator
from puncta.sources.factory import open_source

GOOD_IOU = 0.95
SAMPLES, EVERY = 3, 4
MACHINES = "ABCDEF"
PROCEDURES = ("breast", "nerve", "vessel", "infant-lp")
SCREEN_PX = (1280, 960)


@dataclass(frozen=True, slots=True)
class RegionCase:
    """How one screen fared; `sure` False means that a person is asked to draw."""

    name: str
    simulated: bool
    shape: str
    sure: bool
    iou: float

    @property
    def wrong(self) -> bool:
        """A region that is stated as sure and is not."""
        return self.sure and self.iou < GOOD_IOU


def check_simulated(seed: int) -> Iterator[RegionCase]:
    """Check screens of every machine and procedure of one seed."""
    for machine in MACHINES:
        for procedure in PROCEDURES:
            cine = CineGenerator(procedure, machine, seed, size_px=SCREEN_PX, furniture=True)
            frames = [cine.next_frame()[0] for _ in range(SAMPLES * EVERY)][EVERY - 1 :: EVERY]
            yield _case(f"{procedure}, machine {machine}, seed {seed}", True, frames, cine.scan.layout.region)


def check_drawn(folder: Path, drawn: Path) -> Iterator[RegionCase]:
    """Check real screens in a folder against boxes drawn by a person.

    Raises
    ------
    UserError
        The list cannot be read, or names a file that is not there.
    """
    try:
        boxes = tomllib.loads(drawn.read_text(encoding="utf-8"))["boxes"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{drawn.name} cannot be read as a list of drawn regions: {error}.") from error
    for name, box in boxes.items():
        yield _case(name, False, _spread(folder / name), tuple(box))


def _spread(file: Path) -> list[NDArray[np.uint8]]:
    source = open_source(str(file))
    try:
        count = source.info.frame_count or 1
        frames = []
        for index in sorted({round(k * (count - 1) / 5) for k in range(6)}):
            source.seek(index)
            frame = source.read()
            if frame is not None:
                frames.append(frame.pixels)
        return frames
    finally:
        source.close()


def _case(name: str, simulated: bool, frames: list[NDArray[np.uint8]], true: tuple[int, int, int, int]) -> RegionCase:
    found = propose_region(frames)
    return RegionCase(name, simulated, found.shape, found.sure, box_iou(found.box, true))


def markdown_of(cases: list[RegionCase], command: str) -> str:
    """The table, and its sums."""
    sure = [case for case in cases if case.sure]
    lines = [
        "# Ultrasound regions in captured screens",
        "",
        f"Made by `{command}`. A region is stated as found, or a person is asked to draw it. Nothing here measures a "
        "scale: the finder states none.",
        "",
        f"{len(cases)} screens: {len(sure)} found, of these {sum(case.wrong for case in cases)} with an IoU below "
        f"{GOOD_IOU}; {len(cases) - len(sure)} times a person is asked to draw.",
        "",
        "| screen | | answer | shape | IoU of the box |",
        "|---|---|---|---|---|",
    ]
    for case in cases:
        kind = "simulated" if case.simulated else "real"
        answer = "WRONG" if case.wrong else "found" if case.sure else "please draw it"
        lines.append(f"| {case.name} | {kind} | {answer} | {case.shape} | {case.iou:.3f} |")
    return "\n".join([*lines, ""])
