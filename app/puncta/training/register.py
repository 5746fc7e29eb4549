"""Puts a finished training into a models folder: the ONNX file, its registry entry, and the run's small files."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import tomli_w

from puncta.core.errors import UserError
from puncta.formats.atomic import read_text, write_text_atomic
from puncta.formats.schemas import check
from puncta.imaging.motion_history import HISTORY_FRAMES
from puncta.inference.installing import USER_HEADER, read_table
from puncta.inference.promotion import changing, user_models_dir
from puncta.inference.registry import Registry
from puncta.training.card import card_of
from puncta.training.folder import CALIBRATION, GRAPH, HEAD, LEGS, TABLE, WEIGHTS
from puncta.training.loop import LOG
from puncta.training.quantise import MODEL as INT8_GRAPH
from puncta.training.quantise import RECORD as INT8_RECORD
from puncta.training.quantise import accepted_variant, figures_of_variant
from puncta.training.recipes import function_at, recipe_of
from puncta.training.report import CURVES, PICTURES, write_bytes, write_report
from puncta.training.report_story import describe_data

REGISTRY = "registry.toml"
RUN_FILES = (HEAD, LOG, CALIBRATION, TABLE, WEIGHTS, CURVES, PICTURES, INT8_RECORD)
"""What is kept of a training: enough to tell how the model came about, to draw its report, and to go on from it.

Pictures on real stills are not among them: they are not ours to hand on.
"""
_HEADER = "# Models and their hashes. A file whose hash differs is refused.\n"
WAIT_S = 60.0
"""Another program that changes the same models is waited for so long [s]."""
SITES = ("tip-site", "tip-site-pre", "tracker-site")
"""Recipes whose models are for one site: none of them is used before somebody promotes it."""


def entry_of(folder: Path) -> dict[str, Any]:
    """Build the registry entry of a training folder.

    Raises
    ------
    UserError
        The training is not finished.
    """
    try:
        head = json.loads((folder / HEAD).read_text(encoding="utf-8"))
        calibration = json.loads((folder / CALIBRATION).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"The training in {folder} is not finished; go on with it by --resume.") from error
    if head["state"] != "done":
        raise UserError(f"The training in {folder} is not finished; go on with it by --resume.")
    config = head["config"]
    model = config["model"]
    name = f"{model['id']}-{model['version']}"
    legs = [*_legs_of(folder), config]
    recipe = recipe_of(config)
    seen = list(dict.fromkeys(words for leg in legs for words in describe_data(leg)))
    told = [calibration["learnt_from"]] if "learnt_from" in calibration else []
    registered = function_at(recipe.registered) if recipe.registered else _input_of
    entry = {
        "id": model["id"],
        "version": model["version"],
        "plugin": config["plugin"],
        "file": f"{name}.onnx",
        "sha256": _digest(folder / GRAPH),
        "precision": "fp32",
        "default": not _is_for_one_site(config),
        "licence": "Apache-2.0",
        "training_data": model.get("training_data", "; ".join([*seen, *told, recipe.made])),
        "simulated": True,
        "card": f"{name}.md",
        "recipe": model.get("recipe", _recipe([c["name"] for c in legs])),
        "outputs": [output.name for output in onnx.load(folder / GRAPH, load_external_data=False).graph.output],
        "input": registered(config, calibration),
        "metrics": {f"tune_{k}": v for k, v in calibration["figures"].items()},
    }
    variant = accepted_variant(folder)
    if variant is not None:
        entry["variants"] = [{"precision": "int8", "file": f"{name}-int8.onnx", "sha256": variant["sha256"]}]
        # Some kinds of network bring their figures along; the others are the tip network's.
        entry["metrics"].update(variant.get("figures") or figures_of_variant(variant))
    return entry


def _is_for_one_site(config: dict[str, Any]) -> bool:
    """Tell whether a training's model is for one site; that of infant landmarks is, where a site's frames teach it."""
    recipe = config.get("recipe")
    return recipe in SITES or (recipe == "landmarks" and bool(config.get("data", {}).get("datasets")))


def _input_of(config: dict[str, Any], calibration: dict[str, Any]) -> dict[str, Any]:
    """What the tip plugin has to know to run its network."""
    return {
        "channels": config["model"]["input"]["channels"],
        "size": [config["model"]["input"]["size"]] * 2,
        "layout": "NCHW",
        "normalisation": "motion channels, standardised per frame",
        "history": HISTORY_FRAMES,
        "precision": "fp32",
        "stride": 4,
        "filter": calibration["filter"],
        "calibration": calibration["calibration"],
    }


def _legs_of(folder: Path) -> list[dict[str, Any]]:
    """Experiments of the trainings that this one goes on from, oldest first."""
    heads = (p / HEAD for p in sorted((folder / LEGS).glob("*")))
    return [json.loads(head.read_text(encoding="utf-8"))["config"] for head in heads if head.exists()]


def _recipe(names: list[str]) -> str:
    first, *more = names
    return f"puncta train {first}" + (f", then {', '.join(more)} with --start-from" if more else "")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def register_training(folder: Path, models: Path) -> Path:
    """Copy the model and write its entry, replacing one of the same id and version; return the ONNX file's new path.

    In the registry that ships it becomes the one that its plugin uses where nobody names a model; a model of one site
    does not. Where there is no card one is written.

    In the user's folder another model of the same name is never replaced: it may be the promoted one. There the new
    one takes the next free version.

    Raises
    ------
    UserError
        The training is not finished, the registry does not hold, or another program changes it all the time.
    """
    entry = entry_of(folder)
    with changing(models, WAIT_S):
        return _register(folder, models, entry)


def _register(folder: Path, models: Path, entry: dict[str, Any]) -> Path:
    registry, own = models / REGISTRY, models.resolve() == user_models_dir().resolve()
    table, header = read_table(models), USER_HEADER if own else _HEADER
    if registry.exists():
        # The writer knows no comments; those at the top explain the format, so they stay.
        lines = read_text(registry).splitlines(keepends=True)
        header = "".join(itertools.takewhile(lambda line: line.startswith("#"), lines))
    if own:
        entry = _under_a_free_name(entry, table["models"], models)
    old = next((m for m in table["models"] if _name(m) == _name(entry)), None)
    if old is not None:
        # Figures of held-out sets are added by hand after `puncta evaluate`; those of another file do not hold.
        kept = {k: v for k, v in old.get("metrics", {}).items() if not k.startswith("tune_")}
        entry["metrics"].update(kept if old.get("sha256") == entry["sha256"] else {})
    others = [m for m in table["models"] if _name(m) != _name(entry)]
    for other in others:
        replaced = entry["default"] and other.get("plugin") == entry["plugin"]
        other["default"] = bool(other.get("default")) and not replaced
    table["models"] = [*others, entry]
    problems = check("model-registry", table)
    if problems:
        raise UserError(f"The registry {registry} does not fit: {problems[0]}.")
    target = models / entry["file"]
    write_bytes(target, (folder / GRAPH).read_bytes())
    for variant in entry.get("variants", ()):
        write_bytes(models / variant["file"], (folder / INT8_GRAPH).read_bytes())
    if not (models / entry["card"]).exists():
        head, calibration = (json.loads((folder / name).read_text(encoding="utf-8")) for name in (HEAD, CALIBRATION))
        write_text_atomic(models / entry["card"], card_of(entry, head, calibration))
    write_text_atomic(registry, header + tomli_w.dumps(table))
    run = models / "runs" / f"{entry['id']}-{entry['version']}"
    run.mkdir(parents=True, exist_ok=True)
    for part in (run, *(run / p.relative_to(folder) for p in sorted((folder / LEGS).glob("*")) if p.is_dir())):
        part.mkdir(parents=True, exist_ok=True)
        for name in RUN_FILES:
            source = folder / part.relative_to(run) / name
            if source.exists():
                write_bytes(part / name, source.read_bytes())
    write_report(run)
    return target


def _name(entry: Mapping[str, Any]) -> tuple[Any, Any]:
    return entry.get("id"), entry.get("version")


def _under_a_free_name(entry: dict[str, Any], there: Sequence[Mapping[str, Any]], models: Path) -> dict[str, Any]:
    """Give an entry the next version that no other model has; the very same file keeps the one that it has."""
    same = [m for m in there if m.get("id") == entry["id"] and m.get("sha256") == entry["sha256"]]
    taken = {str(m.get("version")) for m in there if m.get("id") == entry["id"]}
    taken |= {c.version for c in Registry.load(user=models).cards if c.id == entry["id"]}
    version = str(same[0]["version"]) if same else entry["version"]
    while not same and version in taken:
        # "3" is followed by "4" and "0.1" by "0.2".
        stem, digits = re.fullmatch(r"(.*?)(\d*)", version, re.DOTALL).groups()  # type: ignore[union-attr]
        version = f"{stem}{int(digits) + 1}" if digits else f"{stem}.2"
    old, new = (f"{entry['id']}-{v}" for v in (entry["version"], version))
    renamed = {**entry, "version": version, "file": f"{new}.onnx", "card": f"{new}.md"}
    if "variants" in entry:
        renamed["variants"] = [{**v, "file": v["file"].replace(old, new, 1)} for v in entry["variants"]]
    return renamed
