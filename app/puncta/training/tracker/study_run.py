"""Runs a mask study: trains the rows that are not finished, lets every row answer on every set, and keeps the answers.

What is there already is not done again, so a study that was stopped goes on where it stood.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from puncta.formats.atomic import write_text_atomic
from puncta.training.device import choose_device, name_device
from puncta.training.loop import LOG
from puncta.training.nets.budget import count_parameters
from puncta.training.run import HEAD, Progress, Tell
from puncta.training.study_folder import find_set, open_study
from puncta.training.tracker.study import Study, pick_rows, read_study
from puncta.training.tracker.study_answers import (
    ALONE,
    GIVEN,
    First,
    answer_clip,
    answer_set,
    first_of,
    load_answers,
    made_for,
    ms_per_frame,
    save_answers,
)
from puncta.training.tracker.study_clips import Pack, pack_dataset
from puncta.training.tracker.study_files import SPEED, Places
from puncta.training.tracker.study_rows import OverClip, Row, build_net
from puncta.training.tracker.study_shipped import Shipped
from puncta.training.tracker.study_table import write_table
from puncta.training.tracker.study_train import train_row

WEIGHTS = "weights.pt"
_POLL_S = 5.0
_WORK = {"stcn": 1.0, "stcn-ct": 1.9, "stnan": 2.4, "unet": 1.6, "unet-previous": 1.8, "vgg16-unet": 1.6}
"""About how long a clip takes, beside STCN: the longest rows are trained first."""


def run_study(
    file: Path, places: Places, *, only: list[str] | None = None, resume: bool = False, jobs: int = 1,
    tell: Tell | None = None, stop_after: int | None = None,
) -> Path:
    """Train, answer, time and write the table; return the table's path.

    Parameters
    ----------
    only : list of str or None
        Rows to do; None does all.
    jobs : int
        Rows done at the same time, each in a process of its own with one thread.
    stop_after : int or None
        Steps after which a training stops early (trials).

    Raises
    ------
    UserError
        The folder holds another study, or data is missing.
    """
    tell = tell or (lambda _progress: None)
    study = read_study(file)
    wanted = pick_rows(study, only)
    open_study(places.out, study.config, resume)
    packs = open_sets(study, file, places, tell)
    trained = [row for row in wanted if row.trained]
    _each(trained, jobs, tell, study, places, lambda row: (_train_named, (file, row.name, places, stop_after)))
    starter = study.row(study.starter)
    ready = [row for row in wanted if not row.trained or _finished(places, study, row)]
    # Rows with a memory begin with what the starting row found, so that one answers first.
    if _finished(places, study, starter):
        _answer_named(file, starter.name, places)
        rest = [row for row in ready if row.name != starter.name]
        _each(rest, jobs, tell, study, places, lambda row: (_answer_named, (file, row.name, places)), "rows answered")
    for done, row in enumerate(ready, start=1):
        _time_row(study, row, packs, places)
        tell(Progress("rows timed", done, len(ready), {}))
    return write_table(study, places, packs, tell)


def retable(file: Path, places: Places, tell: Tell) -> Path:
    """Make the table anew from kept answers."""
    study = read_study(file)
    return write_table(study, places, open_sets(study, file, places, tell), tell)


def open_sets(study: Study, file: Path, places: Places, tell: Tell) -> dict[str, Pack]:
    """Test sets by name, each built and cut to size where it is not there."""
    return {name: _open_set(study, file, places, name, "test", tell) for name in study.sets}


def _open_set(
    study: Study, file: Path, places: Places, name: str, split: str, tell: Tell | None = None, size: int | None = None
) -> Pack:
    tell = tell or (lambda _progress: None)
    folder = find_set(name, places.sets, places.data, tell, beside=file.parent)
    return pack_dataset(folder, split, size or study.size, places.cache,
                        lambda done, total: tell(Progress(f"clips of {name} cut", done, total, {})))


def _each(
    rows: Sequence[Row], jobs: int, tell: Tell, study: Study, places: Places,
    task: Callable[[Row], tuple[Callable[..., Any], tuple[Any, ...]]], what: str = "clips",
) -> None:
    """Do something for every row, some at the same time in processes of their own."""
    if not rows:
        return
    steps = study.settings.steps
    if jobs <= 1 or len(rows) == 1:
        for done, row in enumerate(rows, start=1):
            call, given = task(row)
            call(*given)
            tell(Progress("rows trained" if what == "clips" else what, done, len(rows), {}))
        return
    order = sorted(rows, key=lambda row: -_WORK.get(row.net, 1.0))
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        left: set[Future[Any]] = set()
        for row in order:
            call, given = task(row)
            left.add(pool.submit(call, *given))
        while left:
            done_now, left = wait(left, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            for future in done_now:
                future.result()
            if what == "clips":
                clips = study.settings.draws
                seen = sum(_steps_of(places.row(row.name) / LOG) for row in rows) * clips
                tell(Progress(what, min(seen, steps * clips * len(rows)), steps * clips * len(rows), {}))
            else:
                tell(Progress(what, len(rows) - len(left), len(rows), {}))


def _steps_of(log: Path) -> int:
    if not log.exists():
        return 0
    lines = log.read_text(encoding="utf-8").splitlines()
    return int(json.loads(lines[-1])["step"]) if lines else 0


def _finished(places: Places, study: Study, row: Row) -> bool:
    return (places.row(row.name) / HEAD).is_file()


def _train_named(file: Path, name: str, places: Places, stop_after: int | None = None) -> None:
    """Train a row to its end where it is not there yet."""
    study = read_study(file)
    row = study.row(name)
    if _finished(places, study, row):
        return
    folder = places.row(name)
    train, tune = (_open_set(study, file, places, study.train, split) for split in ("train", "tune"))
    began = time.monotonic()
    net, done = train_row(row, train, tune, replace(study.settings, stop_after=stop_after), folder)
    if not done:
        return
    temporary = folder / f".{WEIGHTS}.part"
    torch.save(net.state_dict(), temporary)
    os.replace(temporary, folder / WEIGHTS)
    head = _head(study, row, net, folder, time.monotonic() - began)
    write_text_atomic(folder / HEAD, json.dumps(head, indent=1) + "\n")


def _head(study: Study, row: Row, net: torch.nn.Module, folder: Path, elapsed_s: float) -> dict[str, Any]:
    lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
    settings = study.settings
    run = next(fields for fields in study.config["runs"] if fields["name"] == row.name)
    return {
        "format": "puncta-training", "version": 1, "state": "done", "simulated": True,
        "config": {
            "version": 1, "name": row.name, "title": row.title, "plugin": "breast-biopsy", "seed": settings.seed,
            "data": {**study.config["data"], "source": "study"},
            "model": {"net": row.net, "input": {"size": study.size}, **{k: run[k] for k in run if k not in ("net",)}},
            "training": study.config["training"],
        },
        "created_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "device": name_device(choose_device(settings.device)),
        "threads": settings.threads,
        "versions": {n: importlib.metadata.version(n) for n in ("torch", "numpy", "opencv-python-headless")},
        "samples": settings.steps * settings.batch, "parameters": count_parameters(net),
        "elapsed_s": round(max(float(json.loads(lines[-1])["elapsed_s"]), elapsed_s), 1),
        "best": None, "parity": None,
        "files": {"log": LOG, "weights": {"path": WEIGHTS, "sha256": _sha(folder / WEIGHTS)}, "onnx": None,
                  "table": None},
    }


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _open_net(study: Study, row: Row, places: Places) -> OverClip:
    net = build_net(row, study.size)
    net.load_state_dict(torch.load(places.row(row.name) / WEIGHTS, weights_only=True, map_location="cpu"))
    return net.eval()


def _answer_named(file: Path, name: str, places: Places) -> None:
    """Let a row answer on every set in both modes where it has not."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    study = read_study(file)
    row = study.row(name)
    shipped = None if row.trained else Shipped(row.model)
    identity = _sha(places.row(name) / WEIGHTS) if shipped is None else shipped.sha256
    net = _open_net(study, row, places) if row.trained else None
    for set_name in study.sets:
        pack = _open_set(study, file, places, set_name, "test")
        for mode in (ALONE, GIVEN):
            starts_from = study.starter if row.kind == "memory" and mode == ALONE else None
            start = "" if starts_from is None else made_for(places.answers(starts_from, set_name, ALONE))
            key = f"{identity} {set_name} {len(pack.clip)} {start}"
            path = places.answers(name, set_name, mode)
            if made_for(path) == key:
                continue
            if row.kind == "frame" and mode == GIVEN:
                answers = _hand_over(places, name, set_name, pack)
            elif shipped is not None:
                own = _open_set(study, file, places, set_name, "test", size=shipped.size)
                answers = shipped.answer_set(own, pack, mode)
            else:
                assert net is not None
                starts = load_answers(places.answers(starts_from, set_name, ALONE)) if starts_from else None
                answers = answer_set(_answer_of(net), pack, mode, starts)
            save_answers(path, answers, key)


def _answer_of(net: OverClip) -> Callable[[int, NDArray[np.uint8], First | None], NDArray[np.bool_]]:
    return lambda _clip, frames, first: answer_clip(net, frames, first)


def _hand_over(places: Places, name: str, set_name: str, pack: Pack) -> Any:
    """Answers of a row that sees one frame at a time, with the given frames marked: nothing else changes for it."""
    answers = load_answers(places.answers(name, set_name, ALONE))
    given = answers.given.copy()
    masks = answers.masks.copy()
    for clip in range(pack.clips):
        first = first_of(pack, clip)
        if first is not None:
            at = pack.rows_of(clip).start + first[0]
            given[at], masks[at] = True, first[1]
    return replace(answers, given=given, masks=masks)


def _time_row(study: Study, row: Row, packs: dict[str, Pack], places: Places) -> None:
    path = places.row(row.name) / SPEED
    if path.exists() or not any(places.answers(row.name, s, ALONE).exists() for s in packs):
        return
    pack = next(iter(packs.values()))
    ms = ms_per_frame(_open_net(study, row, places), pack) if row.trained else Shipped(row.model).ms_per_frame(pack)
    size = study.size if row.trained else Shipped(row.model).size
    write_text_atomic(path, json.dumps({"ms_per_frame": round(ms, 3), "threads": 1, "size": size}) + "\n")
