"""Datasets that trainings make for themselves: copies of labels, of recordings' frames, or of a dataset split anew.

They lie apart from the datasets of this user, so that none is offered as something to learn from, and go with the
training that they were made for.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from puncta import paths
from puncta.core.errors import UserError
from puncta.formats.atomic import plain_os_error
from puncta.formats.dataset import is_dataset, load_dataset
from puncta.session.retrain_data import datasets_dir

LABELS, RECORDINGS = "labels", "recordings"
"""What a copy is of, where it is not of a dataset; else it is the dataset's folder."""


def copies_dir() -> Path:
    """Folder of the datasets that trainings of this user have made for themselves."""
    return paths.user_data_dir() / "training-data"


def free_folder(name: str) -> Path:
    """Return a folder for a training's own copy that is not there yet, named after the training."""
    return _free(copies_dir(), "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())[:40])


def _free(home: Path, name: str) -> Path:
    plain, number = name or "training", 1
    while (home / f"{plain}-{number}").exists():
        number += 1
    return home / f"{plain}-{number}"


def is_copy(data: str) -> bool:
    """Tell whether a training's data are a copy that was made for it; by the place, which nobody else writes to."""
    if not data:
        return False
    place = Path(data)
    return not place.is_symlink() and place.resolve().parent == copies_dir().resolve()


def has_gone(copy_of: str) -> bool:
    """Tell whether the dataset that a copy was made of is there no more; labels and recordings stay where they are."""
    return copy_of not in ("", LABELS, RECORDINGS) and not is_dataset(Path(copy_of))


def let_go(data: str, copy_of: str, others: Iterable[str]) -> Path | None:
    """Delete a training's own copy; one whose labels are nowhere else goes among this user's datasets instead.

    Parameters
    ----------
    data, copy_of : str
        The data of the training, and what they are a copy of.
    others : iterable of str
        Data of all other trainings, which are left alone.

    Returns
    -------
    Path or None
        Where a copy is now that had to be kept.

    Raises
    ------
    UserError
        It cannot be kept there.
    """
    if not is_copy(data) or not Path(data).is_dir() or any(Path(other) == Path(data) for other in others):
        return None
    place = Path(data)
    if copy_of in (LABELS, RECORDINGS) or _is_in(copy_of, place):
        shutil.rmtree(place, ignore_errors=True)
        return None
    kept = datasets_dir() / place.name
    kept = _free(kept.parent, kept.name) if kept.exists() else kept
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        place.rename(kept)
    except OSError as error:
        raise plain_os_error(error, kept, "make") from error
    return kept


def _is_in(copy_of: str, copy: Path) -> bool:
    """Tell whether the dataset that a copy was made of still has every picture of the copy."""
    if not copy_of:
        return False
    try:
        there = {(image.file_name, image.sha256, image.review) for image in load_dataset(Path(copy_of)).images}
        return {(image.file_name, image.sha256, image.review) for image in load_dataset(copy).images} <= there
    except (UserError, OSError):
        return False
