"""Runs a study: trains the rows that are not finished, lets every row answer on every set, and keeps the answers.

What is there already is not done again, so a study that was stopped goes on where it stood and the table can be made
anew from the kept answers alone.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import multiprocessing
import platform
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.training.data import Clip, build_from_dataset, load_clips
from puncta.training.experiment import Experiment
from puncta.training.family import Answers, answer_clips, build_net, reader_of, train_row, truth_of
from puncta.training.loop import LOG
from puncta.training.run import HEAD, Progress, Tell, gather_data, reporter
from puncta.training.study import Run, Study, pick_runs, read_study
from puncta.training.study_figures import within_2mm
from puncta.training.study_files import TUNE, Places, load_truth, made_for, save_columns
from puncta.training.study_folder import find_set, open_study
from puncta.training.study_table import write_table
from puncta.training.untrained import Untrained, choose, finder

WEIGHTS = "weights.pt"
_POLL_S = 5.0


def run_study(
    file: Path, places: Places, *, only: list[str] | None = None, resume: bool = False, jobs: int = 1,
    tell: Tell | None = None, stop_after: int | None = None,
) -> Path:
    """Train, answer and write the table; return the table's path.

    Parameters
    ----------
    only : list of str or None
        Rows to do; None does all.
    jobs : int
        Rows trained at the same time, each in a process of its own with its share of the threads.
    stop_after : int or None
        Steps after which a training stops early (trials).

    Raises
    ------
    UserError
        The folder holds another study, or data is missing.
    """
    tell = tell or (lambda _progress: None)
    study = read_study(file)
    wanted = pick_runs(study, only)
    open_study(places.out, study.config, resume)
    splits = gather_data(_as_experiment(study), places.data, places.cache, tell)
    if not any(splits.tune):
        raise UserError("The study needs a tune split to set its thresholds: give it `tune_clips`.")
    _keep_truth(study, places, [clip for clips in splits.tune for clip in clips], tell)
    todo = [run for run in study.runs if run.row.name in wanted]
    if jobs <= 1 or len(todo) <= 1:
        for run in todo:
            do_row(study, run, places, tell, stop_after)
    else:
        _do_side_by_side(file, study, todo, places, jobs, tell)
    for kind in study.untrained:
        if kind in wanted:
            _do_untrained(study, kind, places, tell)
    return write_table(study, places.out, tell)


def _as_experiment(study: Study) -> Experiment:
    return Experiment(study.name, "needle-tip", study.runs[0].settings.seed, {"data": study.data})


def clips_of_set(study: Study, name: str, places: Places, tell: Tell) -> list[Clip]:
    """Clips of a test set; a set that is not there is built from the spec of its name that ships.

    Raises
    ------
    UserError
        There is neither a dataset nor a spec of that name.
    """
    folder = find_set(name, places.sets, places.data, tell)
    return load_clips(build_from_dataset(folder, "test", places.cache, reporter(tell)))


def _keep_truth(study: Study, places: Places, tune: list[Clip], tell: Tell) -> None:
    for name in (TUNE, *study.sets):
        path = places.truth(name)
        if not path.exists():
            clips = tune if name == TUNE else clips_of_set(study, name, places, tell)
            truth = truth_of(clips, study.size, study.tune_every if name == TUNE else 1)
            if not len(truth.clip):
                raise UserError(f"The set {name} holds no judged frame, so nothing can be compared on it.")
            save_columns(path, truth)


def do_row(study: Study, run: Run, places: Places, tell: Tell, stop_after: int | None = None) -> bool:
    """Train one row if it is not finished, and answer where it has not; false where the training was stopped early."""
    folder = places.row(run.row.name)
    if not _finished(folder, run):
        splits = gather_data(_as_experiment(study), places.data, places.cache, lambda _progress: None)
        settings = replace(run.settings, stop_after=stop_after)
        started = time.monotonic()

        def watch(step: int, losses: dict[str, float], _rate: float) -> None:
            if step % 20 == 0 or step == settings.steps:
                tell(Progress(f"{run.row.name}: samples", step * settings.batch, settings.samples, losses))

        net, done = train_row(run.row, splits.train, settings, folder, watch)
        if not done:
            return False
        torch.save(net.state_dict(), folder / WEIGHTS)
        _write_head(folder, study, run, net, time.monotonic() - started)
    _answer_everywhere(study, run, places, tell)
    return True


def _finished(folder: Path, run: Run) -> bool:
    head = folder / HEAD
    if not head.exists() or not (folder / WEIGHTS).exists():
        return False
    kept = json.loads(head.read_text(encoding="utf-8"))
    return kept["state"] == "done" and kept["config"]["training"] == json.loads(json.dumps(run.config["training"]))


def _write_head(folder: Path, study: Study, run: Run, net: torch.nn.Module, elapsed_s: float) -> None:
    weights = folder / WEIGHTS
    lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
    names = ("torch", "numpy", "opencv-python-headless")
    head = {
        "format": "puncta-training", "version": 1, "state": "done", "simulated": True,
        "config": {**run.config, "data": {**study.data, "source": "study"}},
        "created_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "device": f"cpu ({platform.machine()})", "threads": run.settings.threads,
        "versions": {n: importlib.metadata.version(n) for n in names},
        "samples": run.settings.steps * run.settings.batch,
        "parameters": sum(p.numel() for p in net.parameters()),
        "elapsed_s": round(max(float(json.loads(lines[-1])["elapsed_s"]), elapsed_s), 1),
        "best": None, "parity": None,
        "files": {"log": LOG, "weights": {"path": WEIGHTS, "sha256": _sha(weights)}, "onnx": None, "table": None},
    }
    write_text_atomic(folder / HEAD, json.dumps(head, indent=1) + "\n")


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _open_net(folder: Path, run: Run) -> torch.nn.Module:
    net = build_net(run.row)
    net.load_state_dict(torch.load(folder / WEIGHTS, weights_only=True))
    return net.eval()


def _answer_everywhere(study: Study, run: Run, places: Places, tell: Tell) -> None:
    folder = places.row(run.row.name)
    weights = _sha(folder / WEIGHTS)
    torch.set_num_threads(run.settings.threads)
    net: torch.nn.Module | None = None
    for name in (TUNE, *study.sets):
        path = places.answers(run.row.name, name)
        key = f"{weights} {_sha(places.truth(name))}"
        if made_for(path) == key:
            continue
        net = net or _open_net(folder, run)
        answers = _answer_set(study, name, reader_of(run.row, net), places, tell, f"{run.row.name}: clips of {name}")
        save_columns(path, answers, made_for=key)


def _answer_set(study: Study, name: str, answer: Any, places: Places, tell: Tell, what: str) -> Answers:
    clips = _tune_clips(study, places) if name == TUNE else clips_of_set(study, name, places, lambda _progress: None)
    truth = load_truth(places.truth(name))
    return answer_clips(answer, clips, truth, lambda done, total: tell(Progress(what, done, total, {})))


def _tune_clips(study: Study, places: Places) -> list[Clip]:
    splits = gather_data(_as_experiment(study), places.data, places.cache, lambda _progress: None)
    return [clip for clips in splits.tune for clip in clips]


def _do_untrained(study: Study, kind: str, places: Places, tell: Tell) -> None:
    """Choose the finder's setting on the tune split, then answer on every set."""
    keys = {name: _sha(places.truth(name)) for name in (TUNE, *study.sets)}
    if all(made_for(places.answers(kind, name)) == key for name, key in keys.items()):
        return
    truth = load_truth(places.truth(TUNE))
    how, answers = choose(kind, _tune_clips(study, places), truth, lambda a: within_2mm(truth, a))
    save_columns(places.answers(kind, TUNE), answers, made_for=keys[TUNE])
    _write_setting(places.row(kind), how)
    for name in study.sets:
        found = _answer_set(study, name, finder(how), places, tell, f"{kind}: clips of {name}")
        save_columns(places.answers(kind, name), found, made_for=keys[name])


def _write_setting(folder: Path, how: Untrained) -> None:
    fields = {"kind": how.kind, "history": how.history, "smoothing": how.smoothing, "chosen_on": TUNE}
    write_text_atomic(folder / "setting.json", json.dumps(fields, indent=1) + "\n")


def _do_side_by_side(
    file: Path, study: Study, todo: Sequence[Run], places: Places, jobs: int, tell: Tell
) -> None:
    """Train rows in processes of their own; the logs of all of them tell how far they are."""
    total = sum(run.settings.steps * run.settings.batch for run in todo)
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        # The longest first, so that none is left alone at the end.
        order = sorted(todo, key=lambda run: -_weight_of(run))
        left: set[Future[None]] = {pool.submit(_do_row_of, file, run.row.name, places) for run in order}
        while left:
            done, left = wait(left, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            samples = sum(_samples_of(places.row(run.row.name) / LOG) * run.settings.batch for run in todo)
            tell(Progress("samples", min(samples, total), total, {}))


def _weight_of(run: Run) -> int:
    kinds = {"2d": 1, "2.5d": 1, "3d": 3, "stream": 4}
    return 2 if run.row.net == "tip_stream" else kinds[run.row.kind]


def _samples_of(log: Path) -> int:
    """Steps that a log tells of."""
    if not log.exists():
        return 0
    lines = log.read_text(encoding="utf-8").splitlines()
    return int(json.loads(lines[-1])["step"]) if lines else 0


def _do_row_of(file: Path, name: str, places: Places) -> None:
    """One row in a process of its own, with one thread."""
    study = read_study(file)
    run = next(run for run in study.runs if run.row.name == name)
    do_row(study, replace(run, settings=replace(run.settings, threads=1)), places, lambda _progress: None)


