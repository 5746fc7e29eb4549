"""A study file (TOML): trainings to compare, on the same clips with the same budget, and the sets that judge them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.formats.dataset_specs import KEPT_MACHINES
from puncta.formats.schemas import check
from puncta.training.experiment import DEFAULTS
from puncta.training.family import Row
from puncta.training.loop import LoopSettings
from puncta.training.nets.ultratiny import KINDS
from puncta.training.study_figures import FIGURES

SOURCE = "study"
"""`data.source` of an experiment whose clips a study provides."""


@dataclass(frozen=True, slots=True)
class Run:
    """A row to be trained.

    Attributes
    ----------
    config : dict
        The experiment file with defaults filled in.
    """

    row: Row
    title: str
    settings: LoopSettings
    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Claim:
    """What the table checks; fields as in the schema."""

    id: str
    says: str
    set: str
    figure: str
    better: tuple[str, ...]
    than: tuple[str, ...]
    at_least: float
    at_most: float | None = None
    beyond: str | None = None
    best: bool = False


@dataclass(frozen=True, slots=True)
class Study:
    """A study.

    Attributes
    ----------
    sets : dict
        Titles of the test sets by name.
    config : dict
        The file, with every run's experiment.
    """

    name: str
    title: str
    runs: tuple[Run, ...]
    untrained: tuple[str, ...]
    sets: dict[str, str]
    claims: tuple[Claim, ...]
    data: dict[str, Any]
    tune_every: int
    resamples: int
    config: dict[str, Any]

    @property
    def size(self) -> int:
        """Side of every row's input [px]."""
        return self.runs[0].row.size

    @property
    def row_names(self) -> tuple[str, ...]:
        """Names of all rows of the table."""
        return (*(run.row.name for run in self.runs), *self.untrained)


def shipped_studies() -> dict[str, Path]:
    """Studies that ship, by name."""
    return {p.parent.name: p for p in sorted((Path(__file__).parent / "experiments").glob("*/study.toml"))}


def find_study(text: str) -> Path | None:
    """Return the file of a study, given by a path, the folder it lies in, or the name of one that ships; None if none.

    A file is a study when it names runs and sets.
    """
    path = Path(text)
    if path.is_dir() and (path / "study.toml").is_file():
        return path / "study.toml"
    if path.is_file():
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return path if {"runs", "sets"} <= set(table) else None
    return shipped_studies().get(text)


def read_study(path: Path) -> Study:
    """Read a study and the experiments it names.

    Raises
    ------
    UserError
        A file cannot be read or does not fit, or the rows' budgets are not equal.
    """
    table = _read(path)
    problems = check("study", table)
    if problems:
        raise UserError(f"The study {path.name} does not fit: {problems[0]}.")
    data = {**DEFAULTS["data"], **table["data"]}
    held = set(KEPT_MACHINES) & {str(m).upper() for m in data["machines"]}
    if held:
        raise UserError(f"The study {path.name} trains on machine {sorted(held)[0]}, which is kept for testing.")
    runs = tuple(_read_run(path.parent / name) for name in table["runs"])
    _check_equal(path, runs)
    study = Study(
        name=table["name"], title=table["title"], runs=runs, untrained=tuple(table.get("untrained", ())),
        sets={s["name"]: s["title"] for s in table["sets"]},
        claims=tuple(_claim(c) for c in table.get("claims", ())), data=data,
        tune_every=int(table.get("tune_every", 1)), resamples=int(table.get("resamples", 2000)),
        config={**table, "data": data, "experiments": [run.config for run in runs]},
    )
    _check_claims(path, study)
    return study


def _claim(fields: dict[str, Any]) -> Claim:
    return Claim(**{**fields, "better": tuple(fields["better"]), "than": tuple(fields["than"])})


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The file {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"The file {path} is not valid TOML: {error}.") from error


def _read_run(path: Path) -> Run:
    table = _read(path)
    problems = check("experiment", table)
    if problems:
        raise UserError(f"The experiment {path.name} does not fit: {problems[0]}.")
    if table["data"].get("source") != SOURCE:
        raise UserError(f'The experiment {path.name} is a study\'s run, so its data needs source = "{SOURCE}".')
    training = {**DEFAULTS["training"], "augment": False, **table["training"]}
    model, loss = table["model"], table.get("loss", {})
    net, kind = model["net"], model.get("kind", "2d")
    if net not in ("ultratiny", "tip_stream") or kind not in KINDS:
        raise UserError(f'The experiment {path.name} names the network "{net}" of kind "{kind}", which no study knows.')
    size = int(model.get("input", {}).get("size", 192))
    frames = int(training["length"])
    if size % 32 or int(training["batch"]) % frames:
        raise UserError(f"The experiment {path.name} needs an input size that is a multiple of 32, "
                        "and a batch that is a multiple of its length.")
    row = Row(
        name=table["name"], net=net, kind=kind, shift=bool(model.get("shift", True)),
        widths=tuple(model.get("widths", DEFAULTS["model"]["widths"])), frames=frames, size=size,
        augment=bool(training["augment"]), plain_looks=float(training["plain_looks"]),
        focal_gamma=float(loss.get("focal_gamma", 0.0)), constraints=bool(loss.get("pose_constraints", False)),
    )
    settings = LoopSettings(
        samples=int(training["samples"]), batch=int(training["batch"]),
        learning_rate=float(training["learning_rate"]), weight_decay=float(training["weight_decay"]),
        ema=float(training["ema"]), warm_up=float(training["warm_up"]), seed=int(table["seed"]), size=size,
        threads=int(training["threads"]), bfloat16=bool(training["bfloat16"]),
        checkpoint_every=int(training["checkpoint_every"]), augment=row.augment, length=frames,
    )
    return Run(row, str(table.get("title", row.name)), settings, {**table, "training": training})


def _check_equal(path: Path, runs: tuple[Run, ...]) -> None:
    """Refuse rows that differ in what a fair comparison keeps alike."""
    names = [run.row.name for run in runs]
    if len(set(names)) < len(names):
        raise UserError(f"The study {path.name} names a run twice; every row needs a name of its own.")

    def budget(run: Run) -> tuple[Any, ...]:
        own = run.settings
        return (own.samples, own.batch, own.learning_rate, own.weight_decay, own.ema, own.warm_up, own.seed, own.size,
                run.row.plain_looks)

    odd = next((run for run in runs if budget(run) != budget(runs[0])), None)
    if odd is not None:
        raise UserError(f"The runs {runs[0].row.name} and {odd.row.name} of the study {path.name} differ in budget, "
                        "optimiser, seed or input size, so they cannot be compared.")


def _check_claims(path: Path, study: Study) -> None:
    for claim in study.claims:
        unknown = [name for name in (*claim.better, *claim.than) if name not in study.row_names]
        unknown += [name for name in (claim.set, claim.beyond) if name is not None and name not in study.sets]
        unknown += [] if claim.figure in FIGURES else [claim.figure]
        if unknown:
            raise UserError(f'A claim of the study {path.name} names "{unknown[0]}", which it does not know.')


def pick_runs(study: Study, only: list[str] | None) -> tuple[str, ...]:
    """Names of the rows that are wanted.

    Raises
    ------
    UserError
        There is no such row.
    """
    for name in only or ():
        if name not in study.row_names:
            raise UserError(f'The study {study.name} has no row "{name}"; it has: {", ".join(study.row_names)}.')
    return tuple(name for name in study.row_names if not only or name in only)
