"""What a training is given: a plan, checked, and turned into an experiment and a command."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

import puncta
from puncta import paths
from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.formats.dataset import NO_DATASET, is_dataset, load_dataset, usable_images
from puncta.formats.dataset_checks import is_split_by_case
from puncta.formats.experiment_files import read_table, shipped_experiments
from puncta.inference.registry import ModelCard, Registry
from puncta.session.retrain_data import TRAIN, check_split
from puncta.session.retrain_pace import Estimated, PaceTable, estimate_parts, parts_of, samples_within, work_in
from puncta.session.retrain_recipes import RetrainRecipe, find_recipe, is_needle_free, left_out_of, teaches
from puncta.session.retrain_records import EXPERIMENT, OUT, PAUSE
from puncta.sim.dataset_digest import simulator_digest

NO_TORCH = (
    'Training needs PyTorch, which is not installed here; install it with: pip install "puncta[train]" '
    "--extra-index-url https://download.pytorch.org/whl/cpu"
)
WRONG_KIND = {
    False: "The dataset {name} is made of recordings without a needle and holds no labels; choose labels, or the "
    "recipe that learns without them.",
    True: "The dataset {name} is not made of recordings that somebody states to show no needle; choose such "
    "recordings, or a recipe that learns labels.",
}
"""Said where a dataset is not of the kind that a recipe learns from, by whether it pre-trains."""


@dataclass(frozen=True, slots=True)
class RetrainPlan:
    """What to train.

    Attributes
    ----------
    name : str
        For people.
    recipe : str
        Id of one of `RECIPES`.
    data : Path
        Dataset v1 with its splits.
    base : str
        Model to begin with, "id version"; "" for a recipe that begins from nothing.
    minutes : float or None
        Time it may take; None takes the recipe's own number of samples.
    changes : mapping
        Further settings of the experiment, by section.
    copy_of : str
        What the data were copied from for this training, as in `retrain_copies`; "" where they were not.
    """

    name: str
    recipe: str
    data: Path
    base: str = ""
    minutes: float | None = None
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    copy_of: str = ""


def trainings_dir() -> Path:
    """Folder of this user's trainings."""
    return paths.user_data_dir() / "trainings"


def clips_dir() -> Path:
    """Folder of the simulated clips that trainings share; they can be made again."""
    return paths.user_cache_dir() / "training-clips"


def base_run(registry: Registry, base: str, plugin: str) -> tuple[ModelCard, Path]:
    """Return a model and the folder with the weights that a training can begin with.

    Raises
    ------
    UserError
        There is no such model, it belongs to another plugin, or its weights are not kept.
    """
    card = registry.find(base)
    if card.plugin != plugin:
        raise UserError(f'The model "{card.identity}" belongs to the plugin {card.plugin}, not to {plugin}.')
    folder = card.folder / "runs" / f"{card.id}-{card.version}"
    if not (folder / "weights.pt").is_file():
        raise UserError(f'The weights of "{card.identity}" are not kept, so no training can begin with them.')
    return card, folder


def check_plan(plan: RetrainPlan, registry: Registry) -> tuple[RetrainRecipe, Path | None]:
    """See to it that a plan can be carried out; return its recipe and the folder of the weights to begin with.

    Raises
    ------
    UserError
        It cannot: PyTorch is missing, the data are too few, a subject is on both sides, or the model does not fit.
    """
    recipe = find_recipe(plan.recipe)
    if not plan.name.strip():
        raise UserError("Give the training a name.")
    if importlib.util.find_spec("torch") is None or getattr(sys, "frozen", False):
        raise UserError(NO_TORCH)
    data = Path(plan.data)
    if not is_dataset(data):
        raise UserError(NO_DATASET.format(folder=data))
    dataset = load_dataset(data)
    if not is_split_by_case(dataset):  # which says itself that it is weaker
        check_split(dataset, f"the dataset {data.name}")
    frames = sum(recipe.plugin in teaches(image) for image in usable_images(dataset, TRAIN))
    if is_needle_free(dataset) != (recipe.kind == "pretrain"):
        raise UserError(WRONG_KIND[recipe.kind == "pretrain"].format(name=data.name))
    if frames < recipe.least_frames and recipe.kind == "pretrain":
        raise UserError("\n".join((
            f"The part of the dataset {data.name} that teaches has {frames} needle-free frames and needs "
            f"{recipe.least_frames}, {recipe.least_frames - frames} more: {recipe.needs}.",
            *left_out_of(dataset),
        )))
    if frames < recipe.least_frames:
        raise UserError(
            f"The part of the dataset {data.name} that teaches has {frames} labelled frames and needs "
            f"{recipe.least_frames}, {recipe.least_frames - frames} more: {recipe.needs}."
        )
    start = base_run(registry, plan.base, recipe.plugin)[1] if recipe.needs_base else None
    return recipe, start


def experiment_of(plan: RetrainPlan, recipe: RetrainRecipe, version: str, samples: int | None) -> dict[str, Any]:
    """Return the experiment of a plan: the recipe's, with what differs."""
    table: dict[str, Any] = {
        "version": 1,
        "extends": recipe.experiment,
        "name": f"{recipe.id}_{version.replace('.', '_')}",
        "title": plan.name,
        "data": {"datasets": [Path(plan.data).name]},
        "model": {"id": recipe.model, "version": version},
    }
    if samples is not None:
        shipped = read_table(shipped_experiments()[recipe.experiment])["training"]
        share = samples / int(shipped["samples"])
        stages = [{**stage, "samples": max(1, int(stage["samples"] * share))} for stage in shipped.get("stages", ())]
        table["training"] = {"samples": samples, "stages": stages}
    for changes in (recipe.changes, plan.changes):
        for section, values in changes.items():
            table[section] = {**table.get(section, {}), **values}
    return table


def write_experiment(folder: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """Write a job's experiment; return it with all that it extends."""
    path = folder / EXPERIMENT
    write_text_atomic(path, tomli_w.dumps(dict(table)))
    return read_table(path)


def next_version(registry: Registry, model: str, taken: Iterable[str]) -> str:
    """Return the first whole number that no model of this id, and no training, has for its version."""
    used = {c.version for c in registry.cards if c.id == model}
    used |= {version for name, _, version in (t.partition(" ") for t in taken) if name == model}
    number = 1
    while str(number) in used:
        number += 1
    return str(number)


def command_of(folder: Path, plan_data: Path, start: Path | None, models: Path, cache: Path) -> list[str]:
    """Return the command of a job's process; it goes on where an earlier one stopped."""
    out = [
        sys.executable, "-m", "puncta", "train", str(folder / EXPERIMENT), "--data", str(plan_data.parent),
        "--out", str(folder / OUT), "--cache", str(cache), "--resume", "--progress", "json",
        "--pause-file", str(folder / PAUSE), "--parent", str(os.getpid()), "--register", str(models),
    ]
    return out if start is None else [*out, "--start-from", str(start)]


def environment() -> dict[str, str]:
    """Return the environment of a job's process: this very program, wherever it was started."""
    source = str(Path(puncta.__file__).resolve().parents[1])
    older = os.environ.get("PYTHONPATH")
    path = source + (os.pathsep + older if older else "")
    # Threads that wait for one another sleep: the window beside them needs the cores.
    return {"OMP_WAIT_POLICY": "passive", **os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def clips_marker(recipe: str, cache: Path) -> Path:
    """Return the file that tells that a recipe's clips of today's simulator have been made once."""
    return cache / f"made-{recipe}-{simulator_digest()[:12]}"


def budget_of(plan: RetrainPlan, recipe: RetrainRecipe, pace: PaceTable, cache: Path) -> int | None:
    """Return the samples that fit into a plan's time; None for the recipe's own.

    Raises
    ------
    UserError
        The time is too short.
    """
    if plan.minutes is None:
        return None
    return samples_within(recipe, pace, plan.minutes, clips_marker(recipe.id, cache).exists())


def estimate(plan: RetrainPlan, folder: Path | None = None, cache: Path | None = None) -> Estimated:
    """Return how long a plan will take here.

    Parameters
    ----------
    folder, cache : Path or None
        Where trainings and their clips lie; None takes this user's.

    Raises
    ------
    UserError
        There is no such recipe, or the plan's time is too short.
    """
    recipe, pace, cache = find_recipe(plan.recipe), PaceTable(folder or trainings_dir()), cache or clips_dir()
    table = read_table(shipped_experiments()[recipe.experiment])
    training = {**table.get("training", {}), **plan.changes.get("training", {})}
    samples = budget_of(plan, recipe, pace, cache)
    if samples is not None:
        training |= experiment_of(plan, recipe, "0", samples)["training"]
    work = work_in({**table, "training": training})
    parts, measured = parts_of(recipe, pace, work, clips_marker(recipe.id, cache).exists())
    return estimate_parts(parts, measured)


