"""An experiment file (TOML), checked and with every default filled in."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.formats.dataset_specs import KEPT_MACHINES
from puncta.formats.experiment_files import read_table, shipped_experiments
from puncta.formats.schemas import check
from puncta.training.recipes import Recipe, recipe_of

DEFAULTS: dict[str, dict[str, Any]] = {
    "data": {
        "machines": ["A", "B", "C"],
        "procedures": ["breast", "nerve", "vessel"],
        "clips": 0,
        "tune_clips": 0,
        "frames": 30,
        "backgrounds": [],
        "composites": 0,
        "tune_composites": 0,
        "composite_share": 0.5,
        "composite_seed": 1,
        "still_cines": 0,
        "tune_still_cines": 0,
        "tune_empty_stills": 0,
        "steady_cines": 0,
        "tune_steady_cines": 0,
        "coarse_cines": 0,
        "tune_coarse_cines": 0,
        "coarse_share": 0.3,
        "datasets": [],
    },
    "model": {"id": "tip", "version": "0.0", "widths": [16, 32, 64, 112, 128]},
    "training": {
        "samples": 10_000,
        "batch": 32,
        "length": 1,
        "stages": [],
        "learning_rate": 2e-3,
        "weight_decay": 1e-3,
        "ema": 0.999,
        "warm_up": 0.08,
        "threads": 2,
        "workers": 2,
        "device": "cpu",
        "bfloat16": True,
        "checkpoint_every": 100,
        "augment": True,
        "plain_looks": 0.0,
        "any_scale": 0.0,
    },
    "export": {"tolerance": 1e-3},
}


NETS = ("tip_stream", "tip_ut")
"""Networks of the tip plugin: with the memory of a temporal shift, and without."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """What one training does.

    Attributes
    ----------
    config : dict
        The file with defaults filled in; what training.json keeps.
    """

    name: str
    plugin: str
    seed: int
    config: dict[str, Any]

    def section(self, name: str) -> dict[str, Any]:
        """One section of the file."""
        return self.config[name]

    @property
    def size(self) -> int:
        """Side of the network's input [px]."""
        return int(self.config["model"]["input"]["size"])

    def at_size(self, size: int) -> Experiment:
        """The same training with another input size; the sizes of its stages go along, in steps of 32 px."""
        if size == self.size:
            return self
        model, training = self.section("model"), self.section("training")
        stages = [
            {**stage, "size": max(32, 32 * round(int(stage["size"]) * size / self.size / 32))}
            for stage in training.get("stages", ())
        ]
        config = {
            **self.config,
            "model": {**model, "input": {**model["input"], "size": size}},
            "training": {**training, "stages": stages},
        }
        return replace(self, config=config)


FURTHER = {
    "data": frozenset({"source", "label_set"}), "model": frozenset({"net", "input", "training_data", "recipe"}),
    "training": frozenset(), "export": frozenset(),
}
"""Settings without a default, by section."""

RECIPE = Recipe(
    DEFAULTS, FURTHER, NETS, "puncta.training.run:train_experiment",
    quantise="puncta.training.quantise:quantise_finished", pictures="puncta.training.run:picture_finished",
)
"""The tip network's; those of other networks lie in rooms of their own (`puncta.training.recipes`)."""


def _refuse_unknown(table: dict[str, Any], name: str, recipe: Recipe) -> None:
    """Refuse a setting nobody reads: a slip of the pen would otherwise train with the default."""
    for section, further in recipe.further.items():
        known = set(recipe.defaults.get(section, {})) | further
        for key in table.get(section, {}):
            if key not in known:
                near = difflib.get_close_matches(key, sorted(known), 1)
                hint = f'; did you mean "{near[0]}"?' if near else f"; known are: {', '.join(sorted(known))}."
                raise UserError(f'The experiment {name} has a setting "{key}" in [{section}] that is not known{hint}')


def experiment_from(table: dict[str, Any], name: str = "experiment") -> Experiment:
    """Check a table and fill in defaults.

    Raises
    ------
    UserError
        The table does not fit the schema, or trains on a machine that is kept for testing.
    """
    problems = check("experiment", table)
    if problems:
        raise UserError(f"The experiment {name} does not fit: {problems[0]}.")
    recipe = recipe_of(table)
    _refuse_unknown(table, name, recipe)
    config: dict[str, Any] = {**table}
    for section, defaults in recipe.defaults.items():
        config[section] = {**defaults, **table.get(section, {})}
    config["model"]["input"] = {**recipe.input, **config["model"].get("input", {})}
    if config["model"]["net"] not in recipe.nets:
        known = ", ".join(recipe.nets)
        raise UserError(f'The experiment {name} names the network "{config["model"]["net"]}"; known are: {known}.')
    if not isinstance(config["model"]["input"]["size"], int):
        raise UserError(f"The experiment {name} gives its input size as a list; this network wants one side [px].")
    sizes = [config["model"]["input"]["size"], *(stage["size"] for stage in config["training"].get("stages", ()))]
    if any(size % 32 for size in sizes):
        raise UserError(f"The experiment {name} asks for an input size that is no multiple of 32.")
    held = set(KEPT_MACHINES) & {str(m).upper() for m in config["data"].get("machines", ())}
    if held:
        raise UserError(f"The experiment {name} trains on machine {sorted(held)[0]}, which is kept for testing.")
    return Experiment(table["name"], table["plugin"], int(table["seed"]), config)


def read_experiment(path: Path) -> Experiment:
    """Read an experiment file; one that ``extends`` another needs to say only what differs.

    Raises
    ------
    UserError
        The file cannot be read, is no TOML or does not fit.
    """
    return experiment_from(read_table(path), path.name)


PRESETS = ("cpu", "gpu")


def find_experiment(text: str, preset: str | None = None) -> Path:
    """Return the file of an experiment: a path, or the name of one that ships.

    With a preset, "tip" stands for tip_cpu or tip_gpu, and a file for the one beside it whose name ends so.

    Raises
    ------
    UserError
        There is neither.
    """
    if preset is not None:
        stem = text.removesuffix(".toml")
        for known in PRESETS:
            stem = stem.removesuffix(f"_{known}")
        text = f"{stem}_{preset}" + (".toml" if text.endswith(".toml") else "")
    path = Path(text)
    if path.is_file():
        return path
    shipped = shipped_experiments()
    if text in shipped:
        return shipped[text]
    studies = sorted(path.parent.name for path in (Path(__file__).parent / "experiments").glob("*/study.toml"))
    raise UserError(
        f'There is no experiment "{text}"; name a file, or one of these: {", ".join(shipped)}'
        + (f"; studies are {', '.join(studies)}." if studies else ".")
    )
