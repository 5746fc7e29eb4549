"""A study of trackers (TOML, kind "mask"): networks trained alike on the same clips, and the sets that judge them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.formats.schemas import check
from puncta.training.tracker.study_answers import MODES
from puncta.training.tracker.study_figures import FIGURES
from puncta.training.tracker.study_rows import Row
from puncta.training.tracker.study_train import LENGTH, MaskSettings

SCHEMA = "study-mask"
DEFAULTS: dict[str, Any] = {
    "batch": 8, "learning_rate": 1e-3, "weight_decay": 1e-4, "ema": 0.995, "warm_up": 0.1, "schedule": "scratch",
    "gaps": [1, 5], "augment": True, "bfloat16": True, "device": "cpu", "threads": 1, "checkpoint_every": 50,
    "examine_every": 100,
}


@dataclass(frozen=True, slots=True)
class Claim:
    """What the table checks; fields as in the schema."""

    id: str
    says: str
    set: str
    figure: str
    better: str
    than: str
    at_least: float
    mode: str = "given"
    minus: str | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """Frames of several sets taken together.

    Attributes
    ----------
    vanished : bool
        Only frames whose needle, seen before, has not shown for five frames or more.
    """

    title: str
    of: tuple[str, ...]
    vanished: bool


@dataclass(frozen=True, slots=True)
class Study:
    """A study.

    Attributes
    ----------
    train : str
        Dataset whose splits train and tune are used.
    sets : dict
        Titles of the test sets by name.
    pools : dict of Pool
    starter : str
        Row whose first needle a row with a memory begins with on its own.
    config : dict
        The file with defaults filled in.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    train: str
    size: int
    settings: MaskSettings
    sets: dict[str, str]
    pools: dict[str, Pool]
    claims: tuple[Claim, ...]
    starter: str
    resamples: int
    config: dict[str, Any]

    def row(self, name: str) -> Row:
        """A row by its name."""
        return next(row for row in self.rows if row.name == name)


def read_study(path: Path) -> Study:
    """Read a study.

    Raises
    ------
    UserError
        The file cannot be read or does not fit.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The file {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"The file {path} is not valid TOML: {error}.") from error
    problems = check(SCHEMA, table)
    if problems:
        raise UserError(f"The study {path.name} does not fit: {problems[0]}.")
    data, training = table["data"], {**DEFAULTS, **table["training"]}
    gaps = (int(training["gaps"][0]), int(training["gaps"][1]))
    settings = MaskSettings(
        samples=int(training["clips"]) * LENGTH, batch=int(training["batch"]) * LENGTH,
        learning_rate=float(training["learning_rate"]), weight_decay=float(training["weight_decay"]),
        ema=float(training["ema"]), warm_up=float(training["warm_up"]), seed=int(table["seed"]),
        size=int(data["size"]), threads=int(training["threads"]), bfloat16=bool(training["bfloat16"]),
        checkpoint_every=int(training["checkpoint_every"]), augment=bool(training["augment"]), length=LENGTH,
        device=str(training["device"]), workers=1, gaps=gaps, schedule=training["schedule"],
        examine_every=int(training["examine_every"]),
    )
    if settings.size % 32 or gaps[0] > gaps[1]:
        raise UserError(f"The study {path.name} needs a size that is a multiple of 32, and gaps from less to more.")
    study = Study(
        name=table["name"], title=table["title"], rows=tuple(_row(fields) for fields in table["runs"]),
        train=data["train"], size=settings.size, settings=settings,
        sets={s["name"]: s["title"] for s in table["sets"]},
        pools={p["name"]: Pool(p["title"], tuple(p["of"]), bool(p.get("vanished", False)))
               for p in table.get("pools", ())},
        claims=tuple(Claim(**fields) for fields in table.get("claims", ())), starter=table["starter"],
        resamples=int(table.get("resamples", 2000)), config={**table, "training": training},
    )
    _check_names(path, study)
    return study


def _row(fields: dict[str, Any]) -> Row:
    return Row(**{**fields, "depths": tuple(fields.get("depths", ()))})


def _check_names(path: Path, study: Study) -> None:
    names = [row.name for row in study.rows]
    if len(set(names)) < len(names):
        raise UserError(f"The study {path.name} names a row twice; every row needs a name of its own.")
    if study.starter not in names or study.row(study.starter).kind != "frame":
        raise UserError(f'The starting row "{study.starter}" of the study {path.name} is no row that needs one frame.')
    bare = next((row.name for row in study.rows if not row.trained and not row.model), None)
    if bare is not None:
        raise UserError(f"The row {bare} of the study {path.name} ships, so it needs the id of its model.")
    unknown = [name for pool in study.pools.values() for name in pool.of if name not in study.sets]
    for claim in study.claims:
        unknown += [name for name in (claim.better, claim.than) if name not in names]
        unknown += [] if claim.set in {*study.sets, *study.pools} else [claim.set]
        unknown += [name for name in (claim.figure, claim.minus) if name is not None and name not in FIGURES]
        unknown += [] if claim.mode in MODES else [claim.mode]
    if unknown:
        raise UserError(f'The study {path.name} names "{unknown[0]}", which it does not know.')


def pick_rows(study: Study, only: list[str] | None) -> list[Row]:
    """Rows that are wanted.

    Raises
    ------
    UserError
        There is no such row.
    """
    names = [row.name for row in study.rows]
    for name in only or ():
        if name not in names:
            raise UserError(f'The study {study.name} has no row "{name}"; it has: {", ".join(names)}.')
    return [row for row in study.rows if not only or row.name in only]
