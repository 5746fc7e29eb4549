"""A comparison that was made once is kept beside its training and with the model that came of it.

It holds as long as both models are the same files. A training that is removed leaves it with the model.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from puncta.core.errors import UserError
from puncta.formats.atomic import plain_os_error, read_text, write_text_atomic
from puncta.formats.jsontext import json_document
from puncta.inference.installing import RUNS
from puncta.inference.registry import ModelCard
from puncta.metrics.intervals import Estimate
from puncta.session.comparison_text import as_json
from puncta.session.model_comparison import ComparedFigure, Comparison, compare_with_each

if TYPE_CHECKING:
    from puncta.session.retrain import JobStatus


def compare_and_keep(
    job: JobStatus,
    olds: Sequence[ModelCard],
    new: ModelCard,
    tell: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> tuple[Comparison | UserError, ...]:
    """Compare what a training has made with other models, as far as that is not kept; keep what is made.

    Returns
    -------
    tuple of Comparison or UserError
        One for each of ``olds``, or why there is none.

    Raises
    ------
    UserError
        Not even that with the first can be made.
    """
    folders = (job.folder, *folder_of(new))
    known: dict[str, Comparison | UserError] = {}
    for old in olds:
        for folder in folders:
            if (kept := kept_comparison(folder, old, new)) is not None:
                known[old.identity] = kept
                break

    def keep(comparison: Comparison) -> None:
        for folder in folders:
            keep_comparison(folder, comparison)

    missing = [old.identity for old in olds if old.identity not in known]
    if missing:
        try:
            made = compare_with_each(
                job.plugin, missing, new.identity, Path(job.data), tell=tell, cancelled=cancelled, made=keep
            )
        except UserError as error:
            made = (error,) * len(missing)
        known.update(zip(missing, made, strict=True))
    first = known[olds[0].identity]
    if isinstance(first, UserError):
        raise first
    return tuple(known[old.identity] for old in olds)


def keep_comparison(folder: Path, comparison: Comparison) -> None:
    """Write a comparison into a folder; where the disk refuses, it is made again next time."""
    with contextlib.suppress(UserError, OSError):
        write_text_atomic(_file(folder, comparison.old_sha256), json_document(as_json(comparison)))


def kept_comparison(folder: Path, old: ModelCard, new: ModelCard) -> Comparison | None:
    """Read the comparison of two models; None where there is none, or where a file of theirs is another one now."""
    kept = _read(_file(folder, old.sha256))
    same = kept is not None and (kept.old_sha256, kept.new_sha256) == (old.sha256, new.sha256)
    return kept if same else None


def folder_of(card: ModelCard) -> tuple[Path, ...]:
    """Where comparisons of a model that was made here are kept; nowhere for one that comes with the program."""
    return (card.folder / RUNS / f"{card.id}-{card.version}",) if card.origin == "user" else ()


def comparisons_of(card: ModelCard, folders: Sequence[Path] = ()) -> tuple[Comparison, ...]:
    """Read every comparison that is kept of a model, one for each other model; of these folders and its own."""
    found: dict[str, Comparison] = {}
    for folder in (*folder_of(card), *folders):
        for path in sorted(folder.glob("comparison-*.json")):
            kept = _read(path)
            if kept is not None and kept.new_sha256 == card.sha256:
                found.setdefault(kept.old_sha256, kept)
    return tuple(found.values())


def keep_with_model(folder: Path, card: ModelCard) -> None:
    """Copy the comparisons of a model from its training's folder to the model.

    Raises
    ------
    UserError
        The disk refuses.
    """
    for target in folder_of(card):
        for path in sorted(folder.glob("comparison-*.json")):
            kept = _read(path)
            there = _read(target / path.name)
            stale = there is None or there.new_sha256 != card.sha256
            if kept is not None and kept.new_sha256 == card.sha256 and stale:
                try:
                    target.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise plain_os_error(error, target, "write") from error
                write_text_atomic(target / path.name, read_text(path))


def _file(folder: Path, sha256: str) -> Path:
    return folder / f"comparison-{sha256[:12]}.json"


def _read(path: Path) -> Comparison | None:
    try:
        return _comparison(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # absent or of another version: made again
        return None


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
