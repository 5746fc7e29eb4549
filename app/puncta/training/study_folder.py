"""What studies of every kind share: the folder they are kept in, and the datasets they find or build."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from puncta import paths
from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.formats.dataset import is_dataset
from puncta.sim.dataset_spec import read_spec
from puncta.sim.datasets import build_dataset
from puncta.training.run import Progress, Tell

STUDY_HEAD = "study.json"
TELLING = frozenset({"claims", "title", "pools"})
"""Parts of a study that only its table depends on; they may change while answers are kept."""
ROWS = frozenset({"runs", "experiments"})
"""Parts of a study that hold its rows: more may be added, those that are there stay what they are."""


def open_study(out: Path, config: Mapping[str, Any], resume: bool) -> None:
    """Make a study's folder, or go on with one, which may have gained rows.

    Raises
    ------
    UserError
        The folder holds a study and is not to be gone on with, or another study, or something else.
    """
    head = out / STUDY_HEAD
    config = json.loads(json.dumps(config))
    if head.exists():
        kept = json.loads(head.read_text(encoding="utf-8"))
        if not resume:
            raise UserError(f"The folder {out} already holds a study; name another one, or add --resume to go on.")
        changed = [k for k in sorted({*kept, *config} - TELLING)
                   if kept.get(k) != config.get(k) and not (k in ROWS and _grown(kept.get(k), config.get(k)))]
        if changed:
            hint = "; rows may be added, not changed or left out" if changed[0] in ROWS else ""
            raise UserError(f"The study in {out} was begun with other {changed[0]} and cannot be gone on with{hint}.")
    elif out.exists() and any(out.iterdir()):
        raise UserError(f"The folder {out} holds something else; name a new one.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_text_atomic(head, json.dumps(config, indent=1) + "\n")
    except OSError as error:
        raise UserError(f"The folder {out} cannot be made: {error.strerror}.") from error


def _grown(kept: Any, now: Any) -> bool:
    """Whether all rows that were there still are, word for word, in their order."""
    if not isinstance(kept, list) or not isinstance(now, list):
        return False
    return [row for row in now if row in kept] == kept


def find_set(name: str, sets: Path, data: Path | None, tell: Tell, beside: Path | None = None) -> Path:
    """Return the folder of a dataset; one that is not there is built from the spec of its name.

    Parameters
    ----------
    sets : Path
        Where datasets are, or are built.
    data : Path or None
        Where real stills are.
    beside : Path or None
        Folder whose specs count beside those that ship.

    Raises
    ------
    UserError
        There is neither a dataset nor a spec of that name.
    """
    folder = sets / name
    if not is_dataset(folder) or (folder / ".build.json").is_file():
        specs = [place / f"{name}.toml" for place in (paths.resources_dir() / "datasets", beside) if place is not None]
        spec = next((path for path in specs if path.is_file()), None)
        if spec is None:
            raise UserError(f"There is no dataset {folder} and no spec {name} that ships; name the folder with --sets.")
        build_dataset(read_spec(spec), folder, os.cpu_count() or 1,
                      lambda done, total: tell(Progress(f"clips of {name}", done, total, {})), data)
    return folder
