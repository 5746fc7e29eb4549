"""A comparison that was made once is kept beside its training, and holds as long as both models are the same files."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.formats.jsontext import json_document
from puncta.inference.registry import ModelCard
from puncta.metrics.intervals import Estimate
from puncta.session.model_comparison import ComparedFigure, Comparison, as_json


def keep_comparison(folder: Path, comparison: Comparison) -> None:
    """Write a comparison beside its training; where the disk refuses, it is made again next time."""
    with contextlib.suppress(UserError, OSError):
        write_text_atomic(_file(folder, comparison.old_sha256), json_document(as_json(comparison)))


def kept_comparison(folder: Path, old: ModelCard, new: ModelCard) -> Comparison | None:
    """Read the comparison of two models; None where there is none, or where a file of theirs is another one now."""
    try:
        table = json.loads(_file(folder, old.sha256).read_text(encoding="utf-8"))
        if (table["old"]["sha256"], table["new"]["sha256"]) != (old.sha256, new.sha256):
            return None
        return _comparison(table)
    except (OSError, ValueError, KeyError, TypeError):  # absent, or of another version: it is made again
        return None


def _file(folder: Path, sha256: str) -> Path:
    return folder / f"comparison-{sha256[:12]}.json"


def _comparison(table: Mapping[str, Any]) -> Comparison:
    return Comparison(
        plugin=table["plugin"],
        old=table["old"]["model"],
        new=table["new"]["model"],
        old_sha256=table["old"]["sha256"],
        new_sha256=table["new"]["sha256"],
        data=table["data"],
        split=table["split"],
        frames=table["frames"],
        clips=table["clips"],
        subjects=table["subjects"],
        rows=tuple(_row(row) for row in table["figures"]),
        simulated=table["simulated"],
        per_machine={name: tuple(_row(row) for row in rows) for name, rows in table["per_machine"].items()},
        notes=tuple(table["notes"]),
    )


def _row(row: Mapping[str, Any]) -> ComparedFigure:
    old, new, gap = (
        Estimate(*(row[part][key] for key in ("value", "low", "high", "n"))) for part in ("old", "new", "difference")
    )
    return ComparedFigure(row["name"], row["title"], row["unit"], row["better"], old, new, gap, row["verdict"])
