"""Makes one clip of a dataset, whole or not at all: pictures, and a note with everything that dataset.json needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.frame import hash_planes
from puncta.formats.atomic import plain_os_error, write_text_atomic
from puncta.formats.jsontext import json_line
from puncta.sim.cine import CineGenerator
from puncta.sim.composite import CompositeGenerator
from puncta.sim.composite_stills import Still, read_still
from puncta.sim.dataset_labels import Masks, annotations_of, flags_of
from puncta.sim.dataset_spec import HARD_STRIDE, ClipPlan
from puncta.sim.difficulty import describe_difficulty
from puncta.sim.truth import FrameTruth

NOTE_FILE = "clip.json"
TRIES = 12
"""Seeds tried for a clip that has to be hard or easy; the last one is taken as it comes."""
MATCH_SHARE = 0.6
"""Share of a clip's frames with a needle that must be as asked for."""
GIVE_UP_FRAMES = 6
"""After so many frames with a needle a clip that goes the other way is given up."""
PNG_LEVEL = 1
"""Speckle does not compress: higher levels cost time and save 2 % of the bytes."""
SIMULATED, REAL_BACKGROUND, REAL_EMPTY = (
    "simulated tissue",
    "real background, simulated needle",
    "real background, no needle",
)


@dataclass(frozen=True, slots=True)
class _Frame:
    pixels: NDArray[np.uint8]
    truth: FrameTruth
    difficulty: dict[str, Any] | None
    masks: Masks | None


@dataclass(frozen=True, slots=True)
class _Clip:
    """A clip that can be made: facts about it, and its frames, each made when it is asked for."""

    video: dict[str, Any]
    frames: Iterator[_Frame]


def clip_folder(plan: ClipPlan) -> str:
    """Folder of a clip's pictures, relative to the dataset."""
    return f"images/{plan.number:05d}"


def build_clip(plan: ClipPlan, folder: Path, still: Still | None = None) -> int:
    """Make one clip in the dataset's folder, whole or not at all; return its number.

    Parameters
    ----------
    still : Still or None
        Background of a composite clip.

    Raises
    ------
    UserError
        The disk is full, the folder cannot be written or the still cannot be read.
    """
    target = folder / clip_folder(plan)
    work = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        work.mkdir(parents=True)
        note = _make(plan, work, still)
        write_text_atomic(work / NOTE_FILE, json_line(note) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        os.replace(work, target)
    except OSError as error:
        raise plain_os_error(error, target, "write") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return plan.number


def _make(plan: ClipPlan, work: Path, still: Still | None) -> dict[str, Any]:
    """Write the pictures of a clip and return its note; of a row of seeds the first whose clip is as asked for."""
    for attempt in range(TRIES):
        seed = plan.seed + attempt * HARD_STRIDE
        last = plan.hard is None or attempt == TRIES - 1
        clip = _simulated(plan, seed) if still is None else _composite(plan, seed, still)
        frames = _write_frames(plan, clip.frames, work, keep=last)
        if frames is not None:
            return {"video": clip.video, "frames": frames}
    raise AssertionError("the last attempt is always kept")


def _write_frames(
    plan: ClipPlan, frames: Iterator[_Frame], work: Path, keep: bool
) -> list[dict[str, Any]] | None:
    """Write a clip's pictures; None where it is not as hard or easy as asked for, unless it is kept anyway."""
    notes: list[dict[str, Any]] = []
    judged = matching = 0
    for index, frame in enumerate(frames):
        _write_png(work / f"{index:04d}.png", frame.pixels)
        notes.append(_note(plan, frame))
        if frame.difficulty is not None:
            judged += 1
            matching += bool(frame.difficulty["hard"]) == plan.hard
        if not keep and judged == GIVE_UP_FRAMES and matching < judged / 2:
            return None
    fits = judged > 0 and matching >= MATCH_SHARE * judged
    return notes if keep or fits else None


def _note(plan: ClipPlan, frame: _Frame) -> dict[str, Any]:
    truth = frame.truth
    labels = [] if plan.flags else annotations_of(truth, 0, 0, frame.masks if plan.masks else None)
    return {
        "sha256": hash_planes((frame.pixels,)),
        "size": [frame.pixels.shape[1], frame.pixels.shape[0]],
        "t_ns": truth.t_ns,
        "region": list(truth.region),
        "flags": flags_of(truth) if plan.flags else {},
        "difficulty": frame.difficulty,
        "labels": [asdict(label) | {"visibility": str(label.visibility)} for label in labels],
    }


def _simulated(plan: ClipPlan, seed: int) -> _Clip:
    """A clip of simulated tissue."""
    generator = CineGenerator(
        plan.procedure,
        plan.machine,
        seed,
        size_px=plan.size_px,
        furniture=plan.furniture,
        needle=plan.needle,
        start=plan.start,
    )

    def frames() -> Iterator[_Frame]:
        for index in range(plan.frames):
            for _ in range(plan.every if index else 1):
                pixels, truth = generator.next_frame()
            difficulty = describe_difficulty(truth, generator.machine, generator.scan)
            yield _Frame(pixels, truth, difficulty, None)

    mm = generator.scan.layout.mm_per_px
    more = {"content": SIMULATED, "procedure": plan.procedure, **_needle_facts(plan)}
    return _Clip(
        {
            "name": f"{plan.procedure}-{plan.machine}-{seed}",
            "subject": f"{plan.procedure}-{seed}",
            "machine": plan.machine,
            "fps": round(generator.machine.fps / plan.every, 3),
            "mm_per_px": [mm, mm],
            "more": more,
        },
        frames(),
    )


def _composite(plan: ClipPlan, seed: int, still: Still) -> _Clip:
    """A clip on a real still; its hash alone says which one."""
    generator = CompositeGenerator(
        read_still(still.path),
        seed,
        steps=(plan.frames - 1) * plan.every + 1,
        size_px=plan.size_px,
        needle=plan.needle,
        start=plan.start,
        approach=plan.approach,
        furniture=plan.furniture,
    )

    def frames() -> Iterator[_Frame]:
        for index in range(plan.frames):
            for _ in range(plan.every if index else 1):
                pixels, truth = generator.next_frame()
            yield _Frame(pixels, truth, generator.difficulty(truth), partial(generator.masks, truth))

    more = {
        "content": REAL_BACKGROUND if plan.needle else REAL_EMPTY,
        "still_sha256": still.sha256,
        "assumed_depth_mm": round(generator.depth_mm, 1),
        **_needle_facts(plan),
    }
    subject = f"still-{still.sha256[:12]}"
    return _Clip(
        {
            "name": f"{subject}-{seed}",
            "subject": subject,
            "machine": f"still-{still.origin}",
            "fps": round(generator.fps / plan.every, 3),
            "mm_per_px": None,
            "more": more,
        },
        frames(),
    )


def _needle_facts(plan: ClipPlan) -> dict[str, Any]:
    return {"needle": plan.needle, "start": plan.start if plan.needle else None}


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    ok, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])
    if not ok:
        raise OSError(f"no PNG could be made of {path.name}")
    path.write_bytes(encoded.tobytes())
