"""Measures what is found on captured screens, region and depth scale, where both are known: simulated and real ones."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.core.geometry import box_iou
from puncta.imaging.depth_ticks import read_depth_scale
from puncta.imaging.region_shape import propose_region
from puncta.sim.cine import CineGenerator
from puncta.sources.factory import open_source

GOOD_IOU = 0.95
GOOD_SCALE = 0.01
"""A scale that is stated may be off by so much, as a share."""
SAMPLES, EVERY = 3, 4
MACHINES = "ABCDEF"
PROCEDURES = ("breast", "nerve", "vessel", "infant-lp")
SCREEN_PX = (1280, 960)


@dataclass(frozen=True, slots=True)
class RegionCase:
    """How one screen fared.

    Attributes
    ----------
    sure : bool
        False: a person is asked to draw.
    mm_per_px, true_mm_per_px : float or None
        The scale that was read from the depth marks, None where a person is asked to lay a ruler; and the true one,
        None where the screen shows none.
    says : str
        On what the scale rests.
    """

    name: str
    simulated: bool
    shape: str
    sure: bool
    iou: float
    mm_per_px: float | None = None
    true_mm_per_px: float | None = None
    says: str = ""

    @property
    def wrong(self) -> bool:
        """A region that is stated as sure and is not."""
        return self.sure and self.iou < GOOD_IOU

    @property
    def scale_off(self) -> float | None:
        """How far the scale that was read is off, as a share; infinite where nothing says that there is one."""
        if self.mm_per_px is None:
            return None
        return abs(self.mm_per_px / self.true_mm_per_px - 1.0) if self.true_mm_per_px else float("inf")

    @property
    def wrong_scale(self) -> bool:
        """A scale that is stated and is not so."""
        return self.scale_off is not None and self.scale_off > GOOD_SCALE


def check_simulated(seed: int) -> Iterator[RegionCase]:
    """Check screens of every machine and procedure of one seed."""
    for machine in MACHINES:
        for procedure in PROCEDURES:
            cine = CineGenerator(procedure, machine, seed, size_px=SCREEN_PX, furniture=True)
            frames = [cine.next_frame()[0] for _ in range(SAMPLES * EVERY)][EVERY - 1 :: EVERY]
            yield _case(
                f"{procedure}, machine {machine}, seed {seed}",
                True,
                frames,
                cine.scan.layout.region,
                cine.scan.layout.mm_per_px,
            )


def check_drawn(folder: Path, drawn: Path) -> Iterator[RegionCase]:
    """Check real screens in a folder against boxes drawn by a person.

    Raises
    ------
    UserError
        The list cannot be read, or names a file that is not there.
    """
    try:
        table = tomllib.loads(drawn.read_text(encoding="utf-8"))
        boxes, scales = table["boxes"], table.get("mm_per_px", {})
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{drawn.name} cannot be read as a list of drawn regions: {error}.") from error
    for name, box in boxes.items():
        yield _case(name, False, _spread(folder / name), tuple(box), scales.get(name))


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


def _case(
    name: str,
    simulated: bool,
    frames: list[NDArray[np.uint8]],
    true: tuple[int, int, int, int],
    mm_per_px: float | None,
) -> RegionCase:
    found = propose_region(frames)
    # The scale is read once a person has confirmed the region.
    scale = read_depth_scale(frames, true)
    iou = box_iou(found.box, true)
    return RegionCase(name, simulated, found.shape, found.sure, iou, scale.mm_per_px, mm_per_px, scale.says)


def markdown_of(cases: list[RegionCase], command: str) -> str:
    """The table, and its sums."""
    sure = [case for case in cases if case.sure]
    read = [case for case in cases if case.mm_per_px is not None]
    without = sum(case.true_mm_per_px is None for case in cases)
    lines = [
        "# Captured screens: ultrasound regions and depth scales",
        "",
        f"Made by `{command}`. A region is stated as found, or a person is asked to draw it. A scale is read from the "
        "depth marks inside or beside the true region, or a person is asked to lay a ruler. True scales of simulated "
        "screens are the simulator's, those of real ones were measured by eye.",
        "",
        f"Regions: {len(cases)} screens, {len(sure)} found, of these {sum(case.wrong for case in cases)} with an IoU "
        f"below {GOOD_IOU}; {len(cases) - len(sure)} times a person is asked to draw.",
        "",
        f"Scales: {len(read)} read, of these {sum(case.wrong_scale for case in cases)} off by more than "
        f"{100 * GOOD_SCALE:.0f} %; {len(cases) - len(read)} times a person is asked for a ruler ({without} screens "
        "show no scale).",
        "",
        "| screen | | region | shape | IoU of the box | mm per px | off | rests on |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        kind = "simulated" if case.simulated else "real"
        answer = "WRONG" if case.wrong else "found" if case.sure else "please draw it"
        scale, off = "please lay a ruler", ""
        if case.mm_per_px is not None and case.scale_off is not None:
            scale, off = f"{case.mm_per_px:.4f}", f"{100 * case.scale_off:.2f} %" + " WRONG" * case.wrong_scale
        lines.append(
            f"| {case.name} | {kind} | {answer} | {case.shape} | {case.iou:.3f} | {scale} | {off} | {case.says} |"
        )
    return "\n".join([*lines, ""])
