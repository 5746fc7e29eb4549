"""Builds simulated datasets (Dataset v1) clip by clip; a build that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta import __version__
from puncta.core.errors import UserError
from puncta.core.frame import hash_planes
from puncta.core.results import Box
from puncta.formats.atomic import plain_os_error, write_text_atomic
from puncta.formats.dataset import (
    DATASET_FILE,
    NEEDLE_CATEGORY,
    TIP_CATEGORY,
    Annotation,
    Category,
    Dataset,
    Image,
    Info,
    Review,
    Video,
    Visibility,
    load_dataset,
    save_dataset,
)
from puncta.formats.jsontext import json_line, read_json
from puncta.sim.cine import CineGenerator
from puncta.sim.dataset_spec import HARD_STRIDE, ClipPlan, DatasetSpec, plan_clips
from puncta.sim.difficulty import describe_difficulty, needle_is_hard
from puncta.sim.truth import FrameTruth

TIP = Category(1, TIP_CATEGORY)
NEEDLE = Category(2, NEEDLE_CATEGORY)
RATER = "simulator"
TRIES = 12
"""Seeds tried for a clip that has to be hard or easy; the last one is taken as it comes."""
NOTE_FILE = "clip.json"
MARK_FILE = ".build.json"
UNCERTAIN_SHAFT_CNR = 1.0

Progress = Callable[[int, int], None]


def build_dataset(spec: DatasetSpec, folder: Path, jobs: int = 1, progress: Progress | None = None) -> Dataset:
    """Build a dataset, or finish one that was begun; the same bytes for the same spec, whatever the number of jobs.

    Parameters
    ----------
    folder : Path
        New, empty, or one that holds a begun or whole build of this very spec.
    jobs : int
        Processes; 1 stays in this one.
    progress : callable or None
        Told (clips done, clips in all) after each clip.

    Raises
    ------
    UserError
        The folder holds something else or cannot be written.
    """
    folder = Path(folder)
    plans = plan_clips(spec)
    mark = {"spec": spec.name, "spec_sha256": spec.digest(), "simulator_sha256": simulator_digest()}
    if _claim(folder, mark):
        return load_dataset(folder)
    for left_over in (folder / "images").glob(".*.tmp"):
        shutil.rmtree(left_over, ignore_errors=True)
    waiting = [plan for plan in plans if not (folder / clip_folder(plan) / NOTE_FILE).is_file()]
    done = len(plans) - len(waiting)
    if progress:
        progress(done, len(plans))
    for _number in _each_clip(waiting, folder, jobs):
        done += 1
        if progress:
            progress(done, len(plans))
    dataset = _assemble(spec, plans, folder, mark)
    save_dataset(dataset, folder)
    (folder / MARK_FILE).unlink(missing_ok=True)
    for plan in plans:
        (folder / clip_folder(plan) / NOTE_FILE).unlink(missing_ok=True)
    return dataset


def clip_folder(plan: ClipPlan) -> str:
    """Folder of a clip's pictures, relative to the dataset."""
    return f"images/{plan.number:05d}"


def simulator_digest() -> str:
    """Return a hash over the simulator's source, so that a begun build never mixes two simulators.

    A frozen program has no sources beside it; there the program's version stands for them.
    """
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(__version__.encode())
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


def _claim(folder: Path, mark: dict[str, str]) -> bool:
    """Make the folder ours, or find a build of this spec there; True where that one is whole."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise plain_os_error(error, folder, "write to") from error
    if MARK_FILE in held:
        known = read_json(folder / MARK_FILE)
    elif DATASET_FILE in held:
        info = read_json(folder / DATASET_FILE).get("info", {})
        known = {name: info.get(name) for name in mark}
    elif held:
        raise UserError(f"The folder {folder} is not empty; choose a new folder for the dataset.")
    else:
        write_text_atomic(folder / MARK_FILE, json_line(mark) + "\n")
        return False
    if known.get("spec_sha256") != mark["spec_sha256"]:
        raise UserError(f"The folder {folder} holds a dataset built from another spec; choose a new folder.")
    if known.get("simulator_sha256") != mark["simulator_sha256"]:
        raise UserError(
            f"The folder {folder} holds a dataset of another version of the simulator; choose a new folder."
        )
    return MARK_FILE not in held


def _each_clip(plans: list[ClipPlan], folder: Path, jobs: int) -> Iterator[int]:
    """Simulate clips and yield their numbers as they are done."""
    jobs = max(1, min(jobs, len(plans)))
    if jobs == 1:
        for plan in plans:
            yield build_clip(plan, folder)
        return
    # Threads of the window or of OpenCV do not survive a fork.
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare_worker)
    try:
        for future in [pool.submit(build_clip, plan, folder) for plan in plans]:
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker() -> None:
    """One process is one core, and Ctrl+C is answered by the parent alone, once."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def build_clip(plan: ClipPlan, folder: Path) -> int:
    """Simulate one clip into the dataset's folder, whole or not at all; return its number.

    Raises
    ------
    UserError
        The disk is full or the folder cannot be written.
    """
    target = folder / clip_folder(plan)
    work = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        work.mkdir(parents=True)
        note = _simulate(plan, work)
        write_text_atomic(work / NOTE_FILE, json_line(note) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        os.replace(work, target)
    except OSError as error:
        raise plain_os_error(error, target, "write") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return plan.number


def _open_generator(plan: ClipPlan) -> CineGenerator:
    """Open the plan's cine; where it has to be hard or easy, the first of a fixed row of seeds that is so."""
    for attempt in range(TRIES):
        generator = CineGenerator(
            plan.procedure,
            plan.machine,
            plan.seed + attempt * HARD_STRIDE,
            size_px=plan.size_px,
            furniture=plan.furniture,
            needle=plan.needle,
            start=plan.start,
        )
        if plan.hard is None or needle_is_hard(generator.needle, generator.machine, generator.scan) == plan.hard:
            break
    return generator


def _simulate(plan: ClipPlan, work: Path) -> dict[str, Any]:
    """Write the pictures of a clip and return its part of the dataset as JSON values."""
    generator = _open_generator(plan)
    frames: list[dict[str, Any]] = []
    for index in range(plan.frames):
        for _ in range(plan.every if index else 1):
            pixels, truth = generator.next_frame()
        _write_png(work / f"{index:04d}.png", pixels)
        frames.append(
            {
                "sha256": hash_planes((pixels,)),
                "size": [pixels.shape[1], pixels.shape[0]],
                "difficulty": describe_difficulty(truth, generator.machine, generator.scan),
                "truth": asdict(truth),
            }
        )
    return {"seed": generator.seed, "fps": generator.machine.fps / plan.every, "frames": frames}


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    ok, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not ok:
        raise OSError(f"no PNG could be made of {path.name}")
    path.write_bytes(encoded.tobytes())


def _assemble(spec: DatasetSpec, plans: tuple[ClipPlan, ...], folder: Path, mark: dict[str, str]) -> Dataset:
    """Join the clips' notes into one dataset, numbered in the order of the plans."""
    videos: list[Video] = []
    images: list[Image] = []
    annotations: list[Annotation] = []
    for plan in plans:
        note = read_json(folder / clip_folder(plan) / NOTE_FILE)
        subject = f"sim-{note['seed']}"
        video_id = plan.number + 1
        first = FrameTruth(**note["frames"][0]["truth"])
        name = f"{plan.procedure}-{plan.machine}-{note['seed']}"
        more = {"procedure": plan.procedure, "needle": plan.needle, "start": plan.start if plan.needle else None}
        videos.append(
            Video(video_id, name, round(note["fps"], 3), first.mm_per_px, plan.machine, subject, plan.split, more)
        )
        for index, frame in enumerate(note["frames"]):
            truth = FrameTruth(**frame["truth"])
            image_id = len(images) + 1
            images.append(
                Image(
                    id=image_id,
                    file_name=f"{clip_folder(plan)}/{index:04d}.png",
                    width=frame["size"][0],
                    height=frame["size"][1],
                    video_id=video_id,
                    # A picture file holds one frame; its place in the clip follows from the order and the time.
                    frame_index=index,
                    pts_ns=truth.t_ns,
                    sha256=frame["sha256"],
                    region=_box(truth.region),
                    machine=plan.machine,
                    subject=subject,
                    split=plan.split,
                    review=Review.CONFIRMED,
                    labelled=(TIP_CATEGORY, NEEDLE_CATEGORY),
                    difficulty=frame["difficulty"],
                )
            )
            annotations += annotations_of(truth, image_id, len(annotations) + 1)
    more_info = {"name": spec.name, "description": spec.description, **mark}
    info = Info(spec.label_set, spec.license, True, more_info)
    return Dataset(info, tuple(videos), tuple(images), (TIP, NEEDLE), tuple(annotations))


def annotations_of(truth: FrameTruth, image_id: int, first_id: int) -> list[Annotation]:
    """Return the labels of a simulated frame: none where no tip is in the field, else the tip and the needle."""
    if truth.tip_px is None or truth.entry_px is None or truth.tip_box is None:
        return []
    visibility = Visibility(truth.visibility)
    shown = 2.0 if visibility in {Visibility.CLEAR, Visibility.UNCERTAIN} else 1.0
    keypoints = (*truth.tip_px, shown, *truth.entry_px, 2.0 if truth.needle_box else 1.0)
    shaft, box, polygon = Visibility.OUT_OF_PLANE, None, None
    if truth.needle_box is not None:
        faint = truth.shaft_cnr is None or truth.shaft_cnr < UNCERTAIN_SHAFT_CNR
        shaft, box = (Visibility.UNCERTAIN if faint else Visibility.CLEAR), _box(truth.needle_box)
        polygon = [[round(v, 3) for point in truth.shaft_polygon for v in point]]
    common: dict[str, Any] = {"image_id": image_id, "keypoints": keypoints, "rater": RATER, "source": RATER}
    tip_box = _box(truth.tip_box)
    return [
        Annotation(
            id=first_id, category_id=TIP.id, bbox=tip_box, area=tip_box[2] * tip_box[3], visibility=visibility, **common
        ),
        Annotation(
            id=first_id + 1,
            category_id=NEEDLE.id,
            bbox=box,
            area=_polygon_area(truth.shaft_polygon),
            segmentation=polygon,
            visibility=shaft,
            **common,
        ),
    ]


def _box(values: Sequence[float]) -> Box:
    x0, y0, w, h = values
    return (x0, y0, w, h)


def _polygon_area(points: tuple[tuple[float, float], ...]) -> float:
    """Area of a polygon [px^2], by the shoelace formula."""
    if len(points) < 3:
        return 0.0
    x, y = np.asarray(points, dtype=np.float64).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)

