"""Where a mask study keeps what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SPEED = "speed.json"


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of one run of a study.

    Attributes
    ----------
    data : Path or None
        Where real stills are.
    cache : Path
        Where cut clips are kept.
    sets : Path
        Where the datasets are, or are built.
    """

    out: Path
    data: Path | None
    cache: Path
    sets: Path

    def row(self, name: str) -> Path:
        """Folder of a row."""
        return self.out / "rows" / name

    def answers(self, row: str, name: str, mode: str) -> Path:
        """File of a row's answers on a set."""
        return self.row(row) / "answers" / f"{name}-{mode}.npz"
