"""Builds datasets (Dataset v1) clip by clip; a build that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.util
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2

from puncta.core.errors import UserError
from puncta.formats.atomic import plain_os_error, write_text_atomic
from puncta.formats.dataset import (
    DATASET_FILE,
    NEEDLE_CATEGORY,
    TIP_CATEGORY,
    Annotation,
    Dataset,
    Image,
    Info,
    Review,
    Video,
    Visibility,
    load_dataset,
    save_dataset,
)
from puncta.formats.jsontext import json_document, json_line, read_json
from puncta.formats.validate import UNFINISHED_FILE
from puncta.sim.composite_stills import Still, list_stills, stills_of_split
from puncta.sim.dataset_clips import NOTE_FILE, REAL_BACKGROUND, SIMULATED, build_clip, clip_folder
from puncta.sim.dataset_digest import BUILD_FILE, content_digest, read_build, simulator_digest
from puncta.sim.dataset_labels import FLAGS, NEEDLE, TIP, as_box
from puncta.sim.dataset_spec import ClipPlan, DatasetSpec, plan_clips

MARK_FILE = UNFINISHED_FILE

Progress = Callable[[int, int], None]
Job = tuple[ClipPlan, Still | None]


def build_dataset(
    spec: DatasetSpec, folder: Path, jobs: int = 1, progress: Progress | None = None, stills: Path | None = None
) -> Dataset:
    """Build a dataset, or finish one that was begun; the same bytes for the same spec, whatever the number of jobs.

    Parameters
    ----------
    folder : Path
        New, empty, or one that holds a begun or whole build of this very spec.
    jobs : int
        Processes; 1 stays in this one.
    progress : callable or None
        Told (clips done, clips in all) at the beginning and after each clip.
    stills : Path or None
        Where the folders of real stills are that composite parts name.

    Raises
    ------
    UserError
        The folder holds something else or cannot be written, stills are missing, or a process was killed.
    """
    folder = Path(folder)
    todo, stills_sha256 = _pair_with_stills(spec, stills)
    mark = {
        "spec": spec.name,
        "spec_sha256": spec.digest(),
        "simulator_sha256": simulator_digest(),
        "stills_sha256": stills_sha256,
    }
    if _claim(folder, mark):
        _check_unchanged(folder)
        _drop_notes(folder)
        return load_dataset(folder)
    for left_over in (folder / "images").glob(".*.tmp"):
        shutil.rmtree(left_over, ignore_errors=True)
    waiting = [job for job in todo if not (folder / clip_folder(job[0]) / NOTE_FILE).is_file()]
    done = len(todo) - len(waiting)
    if progress:
        progress(done, len(todo))
    for _number in _each_clip(waiting, folder, jobs):
        done += 1
        if progress:
            progress(done, len(todo))
    plans = tuple(plan for plan, _ in todo)
    dataset = _assemble(spec, plans, folder)
    save_dataset(dataset, folder)
    write_text_atomic(folder / BUILD_FILE, json_document({**mark, "sha256": content_digest(folder)}))
    (folder / MARK_FILE).unlink(missing_ok=True)
    _drop_notes(folder)
    return dataset


def _drop_notes(folder: Path) -> None:
    for note in (folder / "images").glob(f"*/{NOTE_FILE}"):
        note.unlink(missing_ok=True)


def _pair_with_stills(spec: DatasetSpec, root: Path | None) -> tuple[list[Job], str | None]:
    """Give every composite clip its still, each as often as the others; also a hash over the stills there are."""
    plans = plan_clips(spec)
    if not spec.composite:
        return [(plan, None) for plan in plans], None
    if root is None:
        raise UserError(f"{spec.name} needs real stills; name the place that holds their folders with --stills.")
    found: dict[tuple[str, ...], tuple[Still, ...]] = {}
    todo: list[Job] = []
    for plan in plans:
        if plan.kind != "composite":
            todo.append((plan, None))
            continue
        if plan.folders not in found:
            found[plan.folders] = list_stills(root, plan.folders)
        chosen = stills_of_split(found[plan.folders], plan.split)
        todo.append((plan, chosen[plan.rank % len(chosen)]))
    names = sorted({still.sha256 for stills in found.values() for still in stills})
    return todo, hashlib.sha256("\n".join(names).encode()).hexdigest()


def _claim(folder: Path, mark: dict[str, str | None]) -> bool:
    """Make the folder ours, or find a build of this spec there; True where that one is whole."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise plain_os_error(error, folder, "write to") from error
    if MARK_FILE in held:
        known = read_json(folder / MARK_FILE)
    elif BUILD_FILE in held:
        known = read_build(folder)
    elif DATASET_FILE in held:
        known = read_json(folder / DATASET_FILE).get("info", {})
    elif held:
        raise UserError(f"The folder {folder} is not empty; choose a new folder for the dataset.")
    else:
        write_text_atomic(folder / MARK_FILE, json_line(mark) + "\n")
        return False
    for key, words in (
        ("spec_sha256", "built from another spec"),
        ("simulator_sha256", "of another version of the simulator"),
        ("stills_sha256", "on other stills"),
    ):
        if known.get(key) != mark[key]:
            raise UserError(f"The folder {folder} holds a dataset {words}; choose a new folder.")
    return MARK_FILE not in held


def _check_unchanged(folder: Path) -> None:
    if content_digest(folder) != read_build(folder).get("sha256"):
        raise UserError(f"The dataset in {folder} was changed after it was built; build it again in a new folder.")


def _each_clip(waiting: list[Job], folder: Path, jobs: int) -> Iterator[int]:
    """Make clips and yield their numbers as they are done."""
    jobs = max(1, min(jobs, len(waiting)))
    if jobs == 1:
        for plan, still in waiting:
            yield build_clip(plan, folder, still)
        return
    # Threads of the window or of OpenCV do not survive a fork.
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare_worker)
    try:
        left: set[Future[int]] = {pool.submit(build_clip, plan, folder, still) for plan, still in waiting}
        while left:
            ready, left = wait(left, return_when=FIRST_COMPLETED)
            for future in ready:
                yield future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "A process that was making clips was stopped by the system; run the same command again, "
            "and it goes on where it was (with --jobs 1 it needs the least memory)."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker() -> None:
    """One process is one core, Ctrl+C is answered by the parent alone, and a worker never outlives its parent."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        mine, closed_at_end = multiprocessing.Pipe(duplex=False)
        threading.Thread(target=_end_with, args=(parent.sentinel, mine), name="watch-parent").start()
        multiprocessing.util.Finalize(None, closed_at_end.close, exitpriority=100)


def _end_with(sentinel: int, mine: Connection) -> None:
    """End this process when its parent is gone; return when the process ends by itself."""
    if sentinel in multiprocessing.connection.wait([sentinel, mine]):
        os._exit(1)


def _assemble(spec: DatasetSpec, plans: tuple[ClipPlan, ...], folder: Path) -> Dataset:
    """Join the clips' notes into one dataset, numbered in the order of the plans."""
    videos: list[Video] = []
    images: list[Image] = []
    annotations: list[Annotation] = []
    flagged = any(part.flags for part in spec.part)
    for plan in plans:
        note = read_json(folder / clip_folder(plan) / NOTE_FILE)
        facts = note["video"]
        video_id = plan.number + 1
        mm = tuple(facts["mm_per_px"]) if facts["mm_per_px"] else None
        subject, machine = facts["subject"], facts["machine"]
        videos.append(
            Video(video_id, facts["name"], facts["fps"], mm, machine, subject, plan.split, facts["more"])
        )
        for index, frame in enumerate(note["frames"]):
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
                    pts_ns=frame["t_ns"],
                    sha256=frame["sha256"],
                    region=as_box(frame["region"]),
                    machine=machine,
                    subject=subject,
                    split=plan.split,
                    review=Review.CONFIRMED,
                    labelled=FLAGS if flagged else (TIP_CATEGORY, NEEDLE_CATEGORY),
                    flags=frame["flags"],
                    difficulty=frame["difficulty"],
                )
            )
            for label in frame["labels"]:
                annotations.append(_annotation(label, image_id, len(annotations) + 1))
    content = sorted({REAL_BACKGROUND if part.kind == "composite" else SIMULATED for part in spec.part})
    more = {"name": spec.name, "description": spec.description, "content": ", ".join(content),
            "spec_sha256": spec.digest()}
    info = Info(spec.label_set, spec.license, True, more)
    return Dataset(info, tuple(videos), tuple(images), () if flagged else (TIP, NEEDLE), tuple(annotations))


def _annotation(label: dict[str, Any], image_id: int, number: int) -> Annotation:
    values = {**label, "id": number, "image_id": image_id, "visibility": Visibility(label["visibility"])}
    values["bbox"] = as_box(label["bbox"]) if label["bbox"] is not None else None
    values["keypoints"] = tuple(label["keypoints"])
    return Annotation(**values)
