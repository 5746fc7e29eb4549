"""Where a study keeps what: truth of its sets, answers of its rows, each row's training folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from puncta.training.family import Answers, Truth

TUNE = "tune"
"""Name of the split that thresholds are chosen on, beside the names of the test sets."""


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of one run of a study.

    Attributes
    ----------
    data : Path or None
        Where backgrounds are.
    cache : Path
        Where clips are kept.
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

    def answers(self, row: str, name: str) -> Path:
        """File of a row's answers on a set."""
        return self.row(row) / "answers" / f"{name}.npz"

    def truth(self, name: str) -> Path:
        """File of a set's truth."""
        return self.out / "truth" / f"{name}.npz"


def save_columns(path: Path, columns: Truth | Answers, **more: Any) -> None:
    """Write truth or answers whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.npz")
    fields = {name: getattr(columns, name) for name in type(columns).__slots__}
    # Hundredths of a pixel are finer than any figure of the table.
    small = {k: v.astype(np.float32) if getattr(v, "dtype", None) == np.float64 and k != "score" else v
             for k, v in fields.items()}
    np.savez_compressed(temporary, **small, **more)
    os.replace(temporary, path)


def load_truth(path: Path) -> Truth:
    """Read what `save_columns` wrote."""
    with np.load(path) as held:
        return Truth(
            clips=int(held["clips"]), size=int(held["size"]), clip=held["clip"].astype(np.intp),
            frame=held["frame"].astype(np.intp), **{k: held[k].astype(float) for k in ("tip_px", "entry_px",
                                                                                       "mm_per_px")},
        )


def load_answers(path: Path) -> Answers:
    """Read what `save_columns` wrote."""
    with np.load(path) as held:
        return Answers(*(held[name].astype(float) for name in Answers.__slots__))


def made_for(path: Path) -> str:
    """What answers were made for (weights and truth); empty where there are none."""
    if not path.exists():
        return ""
    with np.load(path) as held:
        return str(held["made_for"]) if "made_for" in held else ""
