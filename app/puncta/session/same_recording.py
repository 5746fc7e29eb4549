"""Tells recordings that are one and the same: another path to a file, a link to it, or a copy of it byte for byte."""

from __future__ import annotations

import contextlib
import filecmp
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

ENDS_BYTES = 4096
"""So much of both ends is looked at before two files of one size are compared whole."""
DETACHED = (".mhd", ".nhdr")
"""Headers whose pictures lie in another file: two that say the same tell nothing."""
SESSION = "session.json"


def firsts(uris: Iterable[str]) -> list[int]:
    """Return for each address the place in the row of the first one that leads to the same recording.

    What cannot be read is the same as nothing else but its own name.
    """
    found: list[int] = []
    by_name: dict[object, int] = {}
    alike: dict[object, list[tuple[int, Path]]] = {}
    for number, uri in enumerate(uris):
        path = _path_of(uri)
        name: object = uri
        looks: object | None = None
        with contextlib.suppress(OSError):  # it may be no file at all
            name, looks = _identity_of(path), _looks_of(path)
        first = by_name.get(name)
        if first is None:
            others = alike.setdefault(looks, []) if looks is not None else []
            first = next((other for other, place in others if _is_copy(path, place)), number)
            if first == number:
                others.append((number, path))
            by_name[name] = first
        found.append(first)
    return found


def _path_of(uri: str) -> Path:
    path = Path(uri)
    return path.parent if path.name == SESSION else path


def _identity_of(path: Path) -> tuple[int, int]:
    state = path.stat()  # of what a link leads to
    return state.st_dev, state.st_ino


def _looks_of(path: Path) -> object | None:
    """Return what copies have in common and costs little to read; None for what is compared by its place alone."""
    if path.is_dir():
        return tuple((file.relative_to(path).as_posix(), file.stat().st_size) for file in _files_in(path)) or None
    if path.suffix.lower() in DETACHED:
        return None
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(ENDS_BYTES)
        file.seek(max(0, size - ENDS_BYTES))
        return (size, head, file.read(ENDS_BYTES)) if size else None


def _files_in(folder: Path) -> Sequence[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))


def _is_copy(path: Path, other: Path) -> bool:
    """Compare two files, or the files of two folders, that look alike."""
    try:
        if not path.is_dir():
            return filecmp.cmp(path, other, shallow=False)
        names = [file.relative_to(path) for file in _files_in(path)]
        return all(filecmp.cmp(path / name, other / name, shallow=False) for name in names)
    except OSError:
        return False
