"""Fingerprints of built datasets, and the file that keeps those of the benchmark sets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from puncta import __version__
from puncta.core.errors import UserError
from puncta.formats.atomic import plain_os_error, write_text_atomic
from puncta.formats.dataset import DATASET_FILE, load_dataset
from puncta.formats.jsontext import read_json

BUILD_FILE = "build.json"
"""Beside dataset.json: which spec, simulator and stills made it, and the digest of what was made."""
STILLS_NOTE = "depends on the stills that are given; none ships"


def content_digest(folder: Path) -> str:
    """Return the SHA-256 over the lines ``HASH  PATH`` of dataset.json and every picture it lists, sorted by path.

    Raises
    ------
    UserError
        The folder holds no dataset, or a file cannot be read.
    """
    folder = Path(folder)
    if not folder.exists():
        raise UserError(f"There is no folder {folder}; check the name.")
    if not (folder / DATASET_FILE).is_file():
        raise UserError(f"{folder} is not a whole dataset: it holds no {DATASET_FILE}.")
    names = {DATASET_FILE, *(image.file_name for image in load_dataset(folder).images)}
    digest = hashlib.sha256()
    try:
        for name in sorted(names):
            digest.update(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n".encode())
    except OSError as error:
        raise plain_os_error(error, folder, "read") from error
    return digest.hexdigest()


@cache
def simulator_digest() -> str:
    """Return a hash over the simulator's source, so that a begun build never mixes two simulators.

    A frozen program has no sources beside it; there the program's version stands for them.
    """
    top = Path(__file__).parent
    digest = hashlib.sha256(__version__.encode())
    for source in sorted(top.rglob("*.py")):
        digest.update(source.relative_to(top).as_posix().encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


def read_build(folder: Path) -> dict[str, Any]:
    """Return what build.json says; raises UserError where there is none."""
    path = Path(folder) / BUILD_FILE
    if not path.is_file():
        raise UserError(f"{folder} was not built by puncta dataset build: it holds no {BUILD_FILE}.")
    known = read_json(path)
    if not isinstance(known, dict) or not isinstance(known.get("spec"), str):
        raise UserError(f"{path} does not say which spec it was built from; build the dataset again.")
    return known


def read_digests(path: Path) -> dict[str, dict[str, Any]]:
    """Return a file of digests by the names of their specs; raises UserError where it is none."""
    document = read_json(path)
    fits = isinstance(document, dict) and all(
        isinstance(entry, dict) and isinstance(entry.get("sha256"), str) for entry in document.values()
    )
    if not fits:
        raise UserError(f"{path} is not a file of dataset digests (a name, then its sha256).")
    return document


def verify_digest(found: str, name: str, expected: str, where: str) -> None:
    """Compare a dataset's digest with a recorded one.

    Raises
    ------
    UserError
        They differ.
    """
    if found != expected:
        raise UserError(
            f"The dataset {name} has the digest {found[:16]}, but {where} says {expected[:16]}: "
            "another version of the simulator or of its libraries, or other stills, made it."
        )


def verify_against(path: Path, name: str, found: str) -> None:
    """Compare a dataset's digest with the one a file of digests keeps for its spec; raises UserError."""
    kept = read_digests(path)
    if name not in kept:
        raise UserError(f"{path} keeps no digest of {name}; it has {', '.join(sorted(kept)) or 'none'}.")
    verify_digest(found, name, kept[name]["sha256"], str(path))


def record_digest(path: Path, name: str, build: Mapping[str, Any], clips: int, frames: int) -> None:
    """Put a dataset's digest into a file of digests, made where it is not there; other entries stay.

    Parameters
    ----------
    build : mapping
        What build.json says.
    """
    kept = read_digests(path) if path.is_file() else {}
    kept[name] = {
        "sha256": build["sha256"],
        "spec_sha256": build["spec_sha256"],
        "clips": clips,
        "frames": frames,
        "made_with": {"numpy": np.__version__, "opencv": cv2.__version__},
    }
    if build.get("stills_sha256"):
        kept[name] |= {"stills_sha256": build["stills_sha256"], "note": STILLS_NOTE}
    write_text_atomic(path, json.dumps(dict(sorted(kept.items())), indent=1) + "\n")
