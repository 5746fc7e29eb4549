"""The clips a tracker learns from and is tuned on, with their masks."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from puncta.core.errors import UserError
from puncta.formats.dataset import is_dataset
from puncta.paths import resources_dir
from puncta.sim.dataset_spec import read_spec
from puncta.sim.datasets import build_dataset
from puncta.training.building import WORTH_IT, build_together
from puncta.training.data import (
    CompositeSpec,
    Report,
    SimulatorSpec,
    build_composites,
    build_from_dataset,
    build_simulated,
    load_clips,
)
from puncta.training.experiment import Experiment
from puncta.training.steady import SteadyCineSpec, build_steady
from puncta.training.still_cines import EmptyStillSpec, StillCineSpec, build_still_cines
from puncta.training.tracker.masks import (
    MaskClip,
    build_dataset_masks,
    build_simulator_masks,
    build_steady_masks,
    build_still_masks,
    load_mask_clips,
    masks_folder,
    needle_free,
)

TUNE_SEED = 700_100
"""First simulator seed of the tune split, as for the tip network."""
SETS = "sets"
"""Folder in the cache for datasets that are built because nobody has them yet."""


@dataclass(frozen=True, slots=True)
class TrackSplits:
    """Clips to train on, by group with its weight, and clips to tune on, by kind."""

    train: tuple[tuple[float, list[MaskClip]], ...]
    tune: dict[str, list[MaskClip]]

    @property
    def tune_clips(self) -> list[MaskClip]:
        """All clips to tune on."""
        return [clip for clips in self.tune.values() for clip in clips]


class MaskPool:
    """Draws the clip of each sample number, by groups with weights."""

    def __init__(self, groups: Sequence[tuple[float, Sequence[MaskClip]]], seed: int) -> None:
        self.groups = [(weight, clips) for weight, clips in groups if weight > 0 and clips]
        if not self.groups:
            raise ValueError("there is no clip to train on")
        total = sum(weight for weight, _ in self.groups)
        self.edges = np.cumsum([weight / total for weight, _ in self.groups])
        self.seed = seed

    def draw(self, number: int) -> tuple[MaskClip, np.random.Generator]:
        """Draw the clip of sample ``number`` and the generator that goes on."""
        rng = np.random.default_rng([self.seed, number])
        at = int(np.searchsorted(self.edges, rng.random(), side="right").clip(0, len(self.groups) - 1))
        clips = self.groups[at][1]
        return clips[int(rng.integers(len(clips)))], rng


def gather_masks(
    experiment: Experiment, data_root: Path | None, cache: Path, report: Report, to_train: bool = True
) -> TrackSplits:
    """Make or read every clip that the experiment names, with its masks.

    Raises
    ------
    UserError
        A folder that the experiment names is not there, or it names no data at all.
    """
    data = experiment.section("data")
    stills = bool(data["backgrounds"]) and any(
        data[n] for n in (
            "still_cines", "tune_still_cines", "composites", "tune_empty_stills", "steady_cines", "tune_steady_cines"
        )
    )
    if stills and data_root is None:
        raise UserError("The experiment names backgrounds; say where they are with --data DIR.")
    train: list[tuple[float, list[MaskClip]]] = []
    tune: dict[str, list[MaskClip]] = {}
    for name in data["datasets"]:
        folder = find_dataset(str(name), data_root, cache, report)
        for split in ("train", "tune"):
            if to_train or split == "tune":
                clips = _from_dataset(folder, split, cache, report)
                train.append((float(data["dataset_share"]), clips)) if split == "train" else tune.update({name: clips})
    _gather_simulated(data, cache, report, train if to_train else None, tune)
    if stills and data_root is not None:
        _gather_stills(data, data_root, cache, report, train if to_train else None, tune)
    if to_train and not any(clips for _, clips in train):
        raise UserError("The experiment names no data: give it `datasets`, `clips` or `still_cines`.")
    return TrackSplits(tuple(train), tune)


def find_dataset(name: str, data_root: Path | None, cache: Path, report: Report) -> Path:
    """Return the folder of a dataset: in the data root or the cache, where it is built if its specification ships.

    Raises
    ------
    UserError
        There is no such dataset.
    """
    if data_root is not None and is_dataset(data_root / name):
        return data_root / name
    folder = cache / SETS / name
    spec = resources_dir() / "datasets" / f"{name}.toml"
    if is_dataset(folder) and not (folder / ".build.json").is_file():
        return folder
    if not spec.is_file():
        raise UserError(f"There is no dataset {name} in the folder of --data, and no specification of it ships.")
    what = f"dataset {name}"
    build_dataset(read_spec(spec), folder, os.cpu_count() or 1, lambda done, total: report(what, done, total))
    return folder


def _from_dataset(path: Path, split: str, cache: Path, report: Report) -> list[MaskClip]:
    folder = build_from_dataset(path, split, cache, report)
    build_dataset_masks(path, split, folder, report)
    return load_mask_clips(folder)


def _gather_simulated(
    data: dict[str, Any],
    cache: Path,
    report: Report,
    train: list[tuple[float, list[MaskClip]]] | None,
    tune: dict[str, list[MaskClip]],
) -> None:
    machines, procedures = tuple(data["machines"]), tuple(data["procedures"])
    for kind, count, first in (("train", data["clips"], 10_000), ("tune", data["tune_clips"], TUNE_SEED)):
        if not count or (kind == "train" and train is None):
            continue
        spec = SimulatorSpec(machines, procedures, int(count), int(data["frames"]), first)
        folder = build_together(build_simulated, "simulated clips", spec, cache, report)
        _masks_together(build_simulator_masks, spec, (folder,), folder, report)
        clips = load_mask_clips(folder, int(count))
        if kind == "train" and train is not None:
            train.append((float(data["simulated_share"]), clips))
        else:
            tune["simulated"] = clips


def _gather_stills(
    data: dict[str, Any],
    root: Path,
    cache: Path,
    report: Report,
    train: list[tuple[float, list[MaskClip]]] | None,
    tune: dict[str, list[MaskClip]],
) -> None:
    folders, frames = tuple(data["backgrounds"]), int(data["frames"])
    for kind, count, seed in (("train", data["still_cines"], 1), ("tune", data["tune_still_cines"], 2)):
        if not count or (kind == "train" and train is None):
            continue
        spec = StillCineSpec(folders, int(count), frames, seed, kind)
        folder = build_together(build_still_cines, "needles in stills", spec, cache, report, root)
        _masks_together(build_still_masks, spec, (root, folder), folder, report)
        clips = load_mask_clips(folder, int(count))
        if kind == "train" and train is not None:
            train.append((float(data["stills_share"]), clips))
        else:
            tune["stills"] = clips
    for kind, count, seed in (("train", data["steady_cines"], 1), ("tune", data["tune_steady_cines"], 2)):
        if not count or (kind == "train" and train is None):
            continue
        spec_r = SteadyCineSpec(folders, int(count), seed=seed)
        folder = build_together(build_steady, "resting needles", spec_r, cache, report, root)
        _masks_together(build_steady_masks, spec_r, (root, folder), folder, report)
        clips = load_mask_clips(folder, int(count))
        if kind == "train" and train is not None:
            train.append((float(data["steady_share"]), clips))
        else:
            tune["needles at rest"] = clips
    if data["composites"] and train is not None:
        spec_c = CompositeSpec(folders, int(data["composites"]), frames, int(data["composite_seed"]))
        folder = build_together(build_composites, "needle-free stills", spec_c, cache, report, root)
        train.append((float(data["empty_share"]), needle_free(load_clips(folder)[: int(data["composites"])])))
    if data["tune_empty_stills"]:
        spec_e = EmptyStillSpec(folders, int(data["tune_empty_stills"]), frames, 2)
        folder = build_together(build_still_cines, "needle-free stills", spec_e, cache, report, root)
        tune["empty stills"] = needle_free(load_clips(folder)[: int(data["tune_empty_stills"])])


def _masks_together(
    build: Callable[..., Path], spec: Any, places: tuple[Path, ...], folder: Path, report: Report
) -> None:
    """Work out the masks that are missing, in as many processes as there are cores."""
    target = masks_folder(folder)
    there = sum(1 for _ in target.glob("[!.]*.npz")) if target.is_dir() else 0
    jobs = os.cpu_count() or 1
    if jobs < 2 or spec.clips - there < WORTH_IT:
        build(spec, *places, report)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for part in [pool.submit(build, spec, *places, _say_nothing, (k, jobs)) for k in range(jobs)]:
            part.result()


def _say_nothing(_what: str, _done: int, _total: int) -> None:
    return None
