"""Runs a flag study: pre-trains, trains the rows that are not finished, lets every row answer, and writes the tables.

What is there already is not done again, so a study that was stopped goes on where it stood.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.formats.dataset import dataset_file
from puncta.inference.loaded import Tuning
from puncta.inference.registry import Registry
from puncta.inference.session import open_session
from puncta.training.building import build_together
from puncta.training.landmarks.data import SpineSpec, build_spines, load_shots
from puncta.training.landmarks.study import HELD_OUT, Places, Pretraining, Row, Study, pick_rows, read_study
from puncta.training.landmarks.study_cam import draw_sheet, peaks_on_structures, point
from puncta.training.landmarks.study_data import (
    Frames,
    Split,
    as_shown,
    frames_of_dataset,
    frames_of_shots,
    join,
    split_frames,
    split_set2,
    split_subjects,
)
from puncta.training.landmarks.study_rows import WEIGHTS, answer, build_net, keep_weights, pretrain, train_row
from puncta.training.landmarks.study_table import DONE, POINTED, write_table
from puncta.training.landmarks.study_time import TIMES, time_networks
from puncta.training.landmarks.study_videos import ScanSpec, build_organs, build_scans
from puncta.training.loop import CHECKPOINT, LOG
from puncta.training.nets.budget import count_parameters
from puncta.training.nets.vit_lora import count_trained
from puncta.training.run import Progress, Tell, reporter
from puncta.training.study_folder import find_set, open_study

MANY_SEED, POINTED_SEED, KEPT = 40_000, 847_000, ("D", "E")
SHEETS = "sheets"
_POLL_S = 5.0


def run_study(
    file: Path, places: Places, *, only: list[str] | None = None, resume: bool = False, jobs: int = 1,
    tell: Tell | None = None, stop_after: int | None = None,
) -> Path:
    """Pre-train, train, answer and write the tables and sheets; return the path of the tables.

    Parameters
    ----------
    only : list of str or None
        Rows to do; None does all.
    jobs : int
        Rows done at the same time, each in a process of its own.
    stop_after : int or None
        Steps after which each training stops early (trials).

    Raises
    ------
    UserError
        The folder holds another study, or data is missing.
    """
    tell = tell or (lambda _progress: None)
    study = read_study(file)
    wanted = pick_rows(study, only)
    open_study(places.out, study.config, resume)
    make_data(study, wanted, places, tell)
    starts = [one for one in study.pretrainings
              if one.weights is None and any(row.start == one.name for row in wanted)]
    _each([one.name for one in starts if not (places.pretraining(one.name) / WEIGHTS).is_file()], jobs, tell,
          "pre-trainings", _pretrain_named, file, places, stop_after)
    _each([row.name for row in in_order(study, wanted)], jobs, tell, "rows", _do_named, file, places, stop_after)
    time_networks(study, places)
    return write_table(study, places, tell)


def in_order(study: Study, rows: Sequence[Row]) -> list[Row]:
    """Rows in the order they are done: those that most claims need first, so that a stop costs the least."""
    named = [name for claim in study.claims for name in (claim.better, claim.than)]
    # Of rows alike the longest first, so that the last does not run alone.
    slow = {"resnet18": 1.5}
    return sorted(rows, key=lambda row: (-named.count(row.name), -row.samples * slow.get(row.net, 1.0)))


def retable(file: Path, places: Places, tell: Tell) -> Path:
    """Make the tables anew from kept answers; networks are timed if they have not been."""
    study = read_study(file)
    if not (places.out / TIMES).exists():
        time_networks(study, places)
    return write_table(study, places, tell)


def make_data(study: Study, rows: Sequence[Row], places: Places, tell: Tell) -> None:
    """Simulate or build everything that the rows need and that is not there."""
    report = reporter(tell)
    for name in study.sets:
        find_set(name, places.sets, places.data, tell)
    for spec in (study.first, study.second) if any(row.trained for row in rows) else ():
        build_together(build_scans, "videos", spec, places.cache, report)
    if any(row.start and study.pretraining(row.start).on == "organs" for row in rows):
        build_together(build_organs, "other organs", study.organs, places.cache, report)
    for spines in (_many_spec(study), _pointed_spec(study)) if any(r.data == "many" for r in rows) else (
            _pointed_spec(study),):
        build_together(build_spines, "infant spines", spines, places.cache, report)


def _many_spec(study: Study) -> SpineSpec:
    return SpineSpec(study.organs.machines, study.many, 3, 6, MANY_SEED)


def _pointed_spec(study: Study) -> SpineSpec:
    return SpineSpec(KEPT, study.pointed, 3, 6, POINTED_SEED)


def videos(study: Study, places: Places) -> Frames:
    """Set 1 and Set 2, their videos numbered one after another."""
    step_ns = round(1e9 / study.first.fps)
    parts, seen = [], 0
    for spec in (study.first, study.second):
        shots = load_shots(build_scans(spec, places.cache, _say_nothing), spec.clips)
        parts.append(frames_of_shots(shots, step_ns, seen, spec.stored_px))
        seen += len(shots)
    return join(parts)


def _many(study: Study, places: Places) -> Frames:
    shots = load_shots(build_spines(_many_spec(study), places.cache, _say_nothing), study.many)
    return frames_of_shots(shots, 0, 0, study.first.stored_px)


def pointed_frames(study: Study, places: Places, side: int | None = None) -> Frames:
    """Infants on machines nobody trained on, with maps of cord and fluid."""
    shots = load_shots(build_spines(_pointed_spec(study), places.cache, _say_nothing), study.pointed)
    return frames_of_shots(shots, 0, 0, side or study.first.stored_px)


def set_frames(study: Study, name: str, places: Places, side: int | None = None) -> Frames:
    """Frames of a test set, read once and kept small beside the videos."""
    folder = find_set(name, places.sets, places.data, _tell_nothing)
    side = side or study.first.stored_px
    head = hashlib.sha256(dataset_file(folder).read_bytes()).hexdigest()[:12]
    kept = places.cache / f"flagset-{head}-{side}.npz"
    if not kept.exists():
        frames = frames_of_dataset(folder, "test", side)
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_name(f".{kept.name}.{os.getpid()}.npz")
        np.savez(temporary, pictures=frames.pictures, flags=frames.flags, clip=frames.clip, t_ns=frames.t_ns,
                 machine=np.array(frames.machine))
        os.replace(temporary, kept)
    with np.load(kept) as held:
        return Frames(held["pictures"], held["flags"], held["clip"], held["t_ns"], tuple(held["machine"].tolist()))


def split_of(study: Study, row: Row, frames: Frames) -> Split:
    """Return which frames a row learns from, and which it is judged on beside the sets."""
    if row.split == "second":
        return split_set2(frames, study.second.machines, row.percent, study.seed)
    if row.split == "frames":
        return split_frames(frames, study.test_share, study.seed)
    return split_subjects(frames, study.seed)


def _say_nothing(_what: str, _done: int, _total: int) -> None:
    return None


def _tell_nothing(_progress: Progress) -> None:
    return None


def _each(
    names: Sequence[str], jobs: int, tell: Tell, what: str, task: Callable[..., None], file: Path, places: Places,
    stop_after: int | None,
) -> None:
    """Do something for every name, some at the same time in processes of their own."""
    if jobs <= 1 or len(names) <= 1:
        for done, name in enumerate(names, start=1):
            task(file, name, places, stop_after)
            tell(Progress(what, done, len(names), {}))
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        left: set[Future[None]] = {pool.submit(task, file, name, places, stop_after) for name in names}
        while left:
            done_now, left = wait(left, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            for future in done_now:
                future.result()
            tell(Progress(what, len(names) - len(left), len(names), {}))


def _pretrain_named(file: Path, name: str, places: Places, stop_after: int | None) -> None:
    study = read_study(file)
    one: Pretraining = study.pretraining(name)
    folder = places.pretraining(name)
    if (folder / WEIGHTS).is_file():
        return
    net, done = pretrain(study, one, places, _say_nothing, stop_after)
    if done:
        keep_weights(net, folder / WEIGHTS)
        (folder / CHECKPOINT).unlink(missing_ok=True)


def _do_named(file: Path, name: str, places: Places, stop_after: int | None) -> None:
    """Train a row to its end where it is not there yet, and let it answer where it has not."""
    torch.set_num_threads(1)
    study = read_study(file)
    row = study.row(name)
    if not row.trained:
        _answer_shipped(study, row, places)
        return
    folder = places.row(name)
    if (folder / DONE).is_file():
        return
    frames = videos(study, places)
    learnt = _many(study, places) if row.data == "many" else frames
    split = split_of(study, row, frames)
    rows = np.arange(len(learnt.clip)) if row.data == "many" else split.train
    began = time.monotonic()
    net, done = train_row(study, row, learnt, rows, places, stop_after)
    if not done:
        return
    keep_weights(net, folder / WEIGHTS)
    seconds = time.monotonic() - began
    answered = {name: set_frames(study, name, places) for name in study.sets}
    if row.data != "many":
        answered[HELD_OUT] = frames.take(split.test)
    for set_name, judged in answered.items():
        save_answers(places.answers(name, set_name), judged, answer(net, as_shown(judged.pictures, row.size)))
    unseen = list(study.sets)[-1]
    with np.load(places.answers(name, unseen)) as held:
        wrong = draw_sheet(net, answered[unseen], held["logits"], row.size, places.out / SHEETS / f"{name}.png")  # type: ignore[arg-type]
    shown = pointed_frames(study, places)
    logits, hits = point(net, shown, row.size)  # type: ignore[arg-type]
    save_answers(places.answers(name, POINTED), shown, logits, hits)
    head = {
        "row": name, "simulated": True, "samples": row.samples, "trained_on": len(rows),
        "parameters": count_parameters(net), "trained_parameters": count_trained(build_net(study, row, None)),
        "seconds": round(seconds, 1), "ms_per_frame": round(ms_per_frame(net, row.size), 2), "size": row.size,
        "sheet": wrong, "threads": study.settings.threads,
    }
    write_text_atomic(folder / DONE, json.dumps(head, indent=1) + "\n")
    (folder / CHECKPOINT).unlink(missing_ok=True)


def save_answers(
    path: Path, frames: Frames, logits: NDArray[np.float32], hits: NDArray[np.int8] | None = None
) -> None:
    """Keep answers beside the truth they are held against."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.npz")
    more: dict[str, Any] = {} if hits is None else {"hits": hits}
    np.savez_compressed(
        temporary, logits=logits, flags=frames.flags, clip=frames.clip, t_ns=frames.t_ns,
        machine=np.array(frames.machine), **more,
    )
    os.replace(temporary, path)


def ms_per_frame(net: torch.nn.Module, size: int, frames: int = 12) -> float:
    """Median time of one picture through PyTorch on one thread [ms]; for comparing rows with each other."""
    picture = torch.rand(1, 1, size, size, device=next(net.parameters()).device)
    took = []
    with torch.no_grad():
        for _ in range(frames):
            began = time.perf_counter()
            net(picture)
            took.append(time.perf_counter() - began)
    return 1000 * float(np.median(took[2:]))


def _answer_shipped(study: Study, row: Row, places: Places) -> None:
    """Let a model that ships answer, through its exported graph; a model that is not there is left out and named."""
    folder = places.row(row.name)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        card = Registry.load().find(str(row.model))
    except UserError:
        (folder / DONE).unlink(missing_ok=True)
        return
    session = open_session(card, Tuning.deterministic())
    given = session.inputs[0]
    size = int(given.shape[-1])
    took: list[float] = []
    for name in study.sets:
        judged = set_frames(study, name, places, size)
        logits = []
        for picture in as_shown(judged.pictures, size):
            began = time.perf_counter()
            logits.append(session.run({given.name: picture[None]})["logits"][0])
            took.append(time.perf_counter() - began)
        save_answers(places.answers(row.name, name), judged, np.array(logits, np.float32))
    shown = pointed_frames(study, places, size)
    found = [session.run({given.name: picture[None]}) for picture in as_shown(shown.pictures, size)]
    hits = peaks_on_structures(shown, np.concatenate([f["cam"] for f in found]))
    save_answers(places.answers(row.name, POINTED), shown, np.concatenate([f["logits"] for f in found]), hits)
    head = {"row": row.name, "simulated": True, "model": row.model, "sha256": session.sha256, "size": size,
            "ms_per_frame": round(1000 * float(np.median(took)), 2), "threads": 1}
    write_text_atomic(folder / DONE, json.dumps(head, indent=1) + "\n")


def curve_of(folder: Path) -> list[tuple[int, float]]:
    """(samples, loss) of a row's log."""
    path = folder / LOG
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(int(line["samples"]), float(line["losses"]["bce"])) for line in lines if line["split"] == "train"]


__all__ = ["ScanSpec", "make_data", "retable", "run_study"]
