"""Makes one clip of a dataset, whole or not at all: pictures, and a note with everything that dataset.json needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.frame import hash_planes
from puncta.formats.atomic import plain_os_error, write_text_atomic
from puncta.formats.dataset_specs import TRAINING_SPLITS
from puncta.formats.jsontext import json_line
from puncta.sim.anatomy.options import SubjectOptions
from puncta.sim.cine import CineGenerator
from puncta.sim.competing import has_competing_line
from puncta.sim.composite import CompositeGenerator
from puncta.sim.composite_stills import Still, read_still
from puncta.sim.dataset_labels import Masks, annotations_of, flags_of
from puncta.sim.dataset_spec import HARD_STRIDE, ClipPlan
from puncta.sim.difficulty import describe_difficulty
from puncta.sim.truth import FrameTruth

NOTE_FILE = "clip.json"
TRIES = 12
"""Seeds tried for a clip that has to be hard or easy; where none is, the one that came nearest is taken."""
MATCH_SHARE = 0.6
"""Share of a clip's frames with a needle that must be as asked for."""
GIVE_UP_FRAMES = 6
"""After so many frames with a needle a clip that goes the other way is given up."""
PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # OpenCV before 4.12 chooses the filter itself.
    PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB]
"""Speckle hardly compresses: a third of the usual settings' time for 2 % more bytes."""
SUBJECT_FACTS = ("lesion", "condition", "level", "weight_kg")
"""Facts of a subject that stand with its clip."""
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
    shares: list[float] = []
    for attempt in range(1 if plan.hard is None else TRIES):
        note, share = _write(plan, _open(plan, attempt, still), work, whole=plan.hard is None)
        if note is not None and (plan.hard is None or share >= MATCH_SHARE):
            return note
        shares.append(share)
    note, _ = _write(plan, _open(plan, int(np.argmax(shares)), still), work, whole=True)
    assert note is not None
    return note


def _open(plan: ClipPlan, attempt: int, still: Still | None) -> _Clip:
    seed = plan.seed + attempt * HARD_STRIDE
    return _simulated(plan, seed) if still is None else _composite(plan, seed, still)


def _write(plan: ClipPlan, clip: _Clip, work: Path, whole: bool) -> tuple[dict[str, Any] | None, float]:
    """Write a clip's pictures; return its note and the share of its frames with a needle that are as asked for.

    Unless it has to be ``whole``, a clip that begins the other way is given up, without a note.
    """
    notes: list[dict[str, Any]] = []
    judged = matching = 0
    for index, frame in enumerate(clip.frames):
        _write_png(work / f"{index:04d}.png", frame.pixels)
        notes.append(_note(plan, frame))
        if frame.difficulty is not None:
            judged += 1
            matching += plan.hard is None or bool(frame.difficulty["hard"]) == plan.hard
        if not whole and judged == GIVE_UP_FRAMES and matching < judged / 2:
            return None, matching / judged
    share = matching / judged if judged else float(plan.hard is None)
    return {"video": clip.video, "frames": notes}, share


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
    """A clip of simulated tissue; where its needle has to vanish, frames of its needle-free twin are shown."""
    generate = partial(
        CineGenerator,
        plan.procedure,
        plan.machine,
        seed,
        size_px=plan.size_px,
        furniture=plan.furniture,
        needle=plan.needle,
        start=plan.start,
        options=SubjectOptions(**plan.options),
        approach=plan.approach,  # type: ignore[arg-type]
    )
    generator = generate()
    twin = generate(draw_needle_echo=False) if plan.vanish else None
    first, end = plan.vanish or (0, 0)
    subject = generator.subject

    def masks() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return generator.maps.physical_mask(generator.view), generator.maps.visible_mask(generator.view)

    def frames() -> Iterator[_Frame]:
        for index in range(plan.frames):
            for _ in range(plan.every if index else 1):
                pixels, truth = generator.next_frame()
                bare = twin.next_frame()[0] if twin is not None else pixels
            if first <= index < end:
                pixels, truth = bare, without_echo(truth)
            difficulty = describe_difficulty(truth, generator.machine, generator.scan, subject)
            yield _Frame(pixels, truth, _with_lines(plan, difficulty, pixels, truth), masks)

    mm = generator.scan.layout.mm_per_px
    facts = {name: value for name, value in subject.facts.items() if name in SUBJECT_FACTS}
    approach = generator.plan.approach if generator.plan else None
    more = {"content": SIMULATED, "procedure": plan.procedure, "view": subject.view, **facts}
    more |= _needle_facts(plan, approach)
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


def without_echo(truth: FrameTruth) -> FrameTruth:
    """Return the truth of a frame whose needle lies where it lies and does not show."""
    hidden: Any = truth.visibility if truth.visibility in ("absent", "out_of_plane") else "shadowed"
    return replace(
        truth, visibility=hidden, visible_px=0.0, visible_end_px=None, tip_cnr=None, shaft_cnr=None, needle_box=None,
        shaft_polygon=(),
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
            difficulty = _with_lines(plan, generator.difficulty(truth), pixels, truth)
            yield _Frame(pixels, truth, difficulty, partial(generator.masks, truth))

    more = {
        "content": REAL_BACKGROUND if plan.needle else REAL_EMPTY,
        "still_sha256": still.sha256,
        "assumed_depth_mm": round(generator.depth_mm, 1),
        **_needle_facts(plan, generator.needle.approach),
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


def _with_lines(
    plan: ClipPlan, difficulty: dict[str, Any] | None, pixels: NDArray[np.uint8], truth: FrameTruth
) -> dict[str, Any] | None:
    """Judge competing lines as well, which makes frames hard; not for clips to learn from, since it takes its time."""
    if difficulty is None or plan.split in TRAINING_SPLITS:
        return difficulty
    line = has_competing_line(pixels, truth)
    return difficulty | {"competing_line": line, "hard": bool(difficulty["hard"] or line)}


def _needle_facts(plan: ClipPlan, approach: str | None) -> dict[str, Any]:
    if not plan.needle:
        return {"needle": False, "start": None, "approach": None}
    return {"needle": True, "start": plan.start, "approach": approach}


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    ok, encoded = cv2.imencode(".png", pixels, PNG)
    if not ok:
        raise OSError(f"no PNG could be made of {path.name}")
    path.write_bytes(encoded.tobytes())
