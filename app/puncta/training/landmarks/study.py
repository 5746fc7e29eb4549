"""A study of flags (TOML, kind "flags"): networks trained alike on the same videos, and the sets that judge them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.formats.dataset_specs import KEPT_MACHINES
from puncta.formats.schemas import check
from puncta.training.landmarks.study_data import Changes
from puncta.training.landmarks.study_videos import OrganSpec, ScanSpec
from puncta.training.loop import LoopSettings

SCHEMA = "study-flags"
HELD_OUT = "held out"
"""What a row's own split keeps for judging, beside the names of the sets."""
FIGURES = ("flag_accuracy", "flag_precision", "flag_recall", "flag_f1", "flag_exact_match", "flag_jaccard",
           "flag_hamming", "pointing_game", "pointing_gap")
DATA = {"fps": 12.0, "test_share": 0.15, "many": 600, "pointed": 60}
TRAINING: dict[str, Any] = {
    "adapter_rate": None, "weight_decay": 1e-2, "ema": 0.99, "warm_up": 0.1, "bfloat16": True, "device": "cpu",
    "threads": 1, "workers": 1, "checkpoint_every": 50,
}


@dataclass(frozen=True, slots=True)
class Pretraining:
    """Weights that rows start from.

    Attributes
    ----------
    on : str or None
        "shapes" or "organs"; None where ``weights`` names public ones.
    """

    name: str
    title: str
    net: str
    on: str | None = None
    samples: int = 0
    weights: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table; fields as in the schema.

    Attributes
    ----------
    model : str or None
        Id of a model that ships; None is trained here.
    """

    name: str
    title: str
    table: int
    net: str
    start: str | None
    rank: int | None
    adapt: str
    changes: Changes
    data: str
    split: str
    percent: tuple[int, int, int]
    samples: int
    size: int
    model: str | None

    @property
    def trained(self) -> bool:
        """Trained here."""
        return self.model is None


@dataclass(frozen=True, slots=True)
class Claim:
    """What the table checks; fields as in the schema. Without ``than`` the figure itself is held against the mark."""

    id: str
    says: str
    figure: str
    better: str
    set: str
    at_least: float
    than: str | None = None
    than_set: str | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """A study.

    Attributes
    ----------
    first, second : ScanSpec
        The poster's Set 1 and Set 2.
    sets : dict
        Titles of the test sets by name; the last is the one of unseen machines.
    config : dict
        The file with defaults filled in.
    """

    name: str
    title: str
    seed: int
    first: ScanSpec
    second: ScanSpec
    organs: OrganSpec
    test_share: float
    many: int
    pointed: int
    size: int
    shape: str
    dropout: float
    settings: LoopSettings
    adapter_rate: float
    pretrainings: tuple[Pretraining, ...]
    rows: tuple[Row, ...]
    sets: dict[str, str]
    claims: tuple[Claim, ...]
    resamples: int
    config: dict[str, Any]

    def row(self, name: str) -> Row:
        """A row by its name."""
        return next(row for row in self.rows if row.name == name)

    def pretraining(self, name: str) -> Pretraining:
        """A pre-training by its name."""
        return next(one for one in self.pretrainings if one.name == name)


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of one run of a study.

    Attributes
    ----------
    data : Path or None
        Where real stills are; only datasets that need them ask for it.
    cache : Path
        Where simulated videos are kept.
    sets : Path
        Where the test sets are, or are built.
    """

    out: Path
    data: Path | None
    cache: Path
    sets: Path

    def row(self, name: str) -> Path:
        """Folder of a row."""
        return self.out / "rows" / name

    def pretraining(self, name: str) -> Path:
        """Folder of a pre-training."""
        return self.out / "pretraining" / name

    def answers(self, row: str, name: str) -> Path:
        """File of a row's answers on a set, or on its held-out frames."""
        return self.row(row) / "answers" / f"{name.replace(' ', '-')}.npz"


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
    data, model = {**DATA, **table["data"]}, {"small_size": 128, "dropout": 0.0, **table["model"]}
    training = {**TRAINING, **table["training"]}
    settings = LoopSettings(
        samples=int(training["samples"]), batch=int(training["batch"]),
        learning_rate=float(training["learning_rate"]), weight_decay=float(training["weight_decay"]),
        ema=float(training["ema"]), warm_up=float(training["warm_up"]), seed=int(table["seed"]),
        size=int(model["size"]), threads=int(training["threads"]), bfloat16=bool(training["bfloat16"]),
        checkpoint_every=int(training["checkpoint_every"]), device=str(training["device"]),
        workers=int(training["workers"]),
    )
    stored = _stored(int(model["size"]), int(model["small_size"]))
    study = Study(
        name=table["name"], title=table["title"], seed=int(table["seed"]),
        first=_scans(data["first"], float(data["fps"]), stored),
        second=_scans(data["second"], float(data["fps"]), stored),
        organs=OrganSpec(_machines(data), int(data["organs"]), stored_px=stored),
        test_share=float(data["test_share"]), many=int(data["many"]), pointed=int(data["pointed"]),
        size=settings.size, shape=str(model["shape"]), dropout=float(model["dropout"]), settings=settings,
        adapter_rate=float(training["adapter_rate"] or training["learning_rate"]),
        pretrainings=tuple(Pretraining(**fields) for fields in table.get("pretraining", ())),
        rows=tuple(_row(fields, settings, model) for fields in table["runs"]),
        sets={s["name"]: s["title"] for s in table["sets"]},
        claims=tuple(Claim(**fields) for fields in table.get("claims", ())),
        resamples=int(table.get("resamples", 2000)),
        config={**table, "data": data, "model": model, "training": training},
    )
    _check_names(path, study)
    return study


def _stored(size: int, small: int) -> int:
    """Side of stored frames [px]: an eighth more than the largest network sees."""
    return max(144, max(size, small) * 9 // 8)


def _scans(fields: dict[str, Any], fps: float, stored: int) -> ScanSpec:
    return ScanSpec(tuple(fields["machines"]), int(fields["videos"]), int(fields["frames"]), fps,
                    int(fields["seed"]), stored)


def _machines(data: dict[str, Any]) -> tuple[str, ...]:
    return tuple(sorted({*data["first"]["machines"], *data["second"]["machines"]}))


def _row(fields: dict[str, Any], settings: LoopSettings, model: dict[str, Any]) -> Row:
    kinds = fields.get("augment", ())
    percent = tuple(fields.get("percent", (70, 10, 20)))
    return Row(
        name=fields["name"], title=fields["title"], table=int(fields["table"]), net=fields["net"],
        start=fields.get("start"), rank=fields.get("rank"), adapt=fields.get("adapt", "all"),
        changes=Changes(
            float(fields.get("crop", 1.0)), fields.get("crop_chance"), "flip" in kinds, "turn" in kinds,
            "contrast" in kinds,
        ),
        data=fields.get("data", "videos"), split=fields.get("split", "second"),
        percent=(percent[0], percent[1], percent[2]), samples=int(fields.get("samples", settings.samples)),
        size=int(model["small_size"] if fields["net"] == "small" else model["size"]), model=fields.get("model"),
    )


def _check_names(path: Path, study: Study) -> None:
    held = set(KEPT_MACHINES) & {m.upper() for spec in (study.first, study.second) for m in spec.machines}
    if held:
        raise UserError(f"The study {path.name} trains on machine {sorted(held)[0]}, which is kept for testing.")
    if study.size % 16 or any(row.net == "small" and row.size % 32 for row in study.rows):
        raise UserError(f"The study {path.name} needs sizes that are multiples of 16, for the small network of 32.")
    names = [row.name for row in study.rows]
    if len(set(names)) < len(names):
        raise UserError(f"The study {path.name} names a row twice; every row needs a name of its own.")
    starts = {one.name: one for one in study.pretrainings}
    for row in study.rows:
        start = None if row.start is None else starts.get(row.start)
        if row.start is not None and (start is None or not fits(start.net, row.net)):
            raise UserError(f'The row {row.name} of the study {path.name} starts from "{row.start}", which is no '
                            f"pre-training of a {row.net}.")
        if row.rank is not None and row.net not in ("vit", "deit"):
            raise UserError(f"The row {row.name} of the study {path.name} has adapters, which only transformers take.")
        if sum(row.percent) != 100:
            raise UserError(f"The shares of the row {row.name} of the study {path.name} do not add up to 100 %.")
    for claim in study.claims:
        unknown = [name for name in (claim.better, claim.than) if name is not None and name not in names]
        unknown += [name for name in (claim.set, claim.than_set)
                    if name is not None and name not in {*study.sets, HELD_OUT}]
        unknown += [] if claim.figure in FIGURES else [claim.figure]
        if unknown:
            raise UserError(f'A claim of the study {path.name} names "{unknown[0]}", which it does not know.')


def fits(start: str, net: str) -> bool:
    """Tell whether a network can start from another's weights: its own kind's, and a DeiT from a ViT's."""
    return start == net or (start, net) == ("vit", "deit")


def pick_rows(study: Study, only: list[str] | None) -> tuple[Row, ...]:
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
    return tuple(row for row in study.rows if not only or row.name in only)
