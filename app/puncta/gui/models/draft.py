"""What is about to be trained, and where its dataset is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from puncta.session.retrain import SplitPlan, TrainingData


@dataclass(frozen=True, slots=True)
class Draft:
    """What is about to be trained.

    Attributes
    ----------
    data : TrainingData
    split : SplitPlan
    recipe, base, name : str
        Id of the recipe, "id version" of the model to begin with ("" for none), and a name for people.
    whole : bool
        No case of the data is left out.
    """

    data: TrainingData
    split: SplitPlan
    recipe: str
    base: str
    name: str
    whole: bool = True


def keeps_its_split(draft: Draft) -> bool:
    """Whether a draft learns from a dataset whose own split stands, so that nothing has to be made."""
    data, split = draft.data, draft.split
    if split.by == "case" and split.held_out:  # one that states no more than sides would seem to keep people apart
        return False
    return draft.whole and data.path is not None and all(case.split == split.side.get(case.id) for case in data.cases)


def free_folder(name: str) -> Path:
    """Return a folder among this user's datasets that is not there yet, named after a training."""
    from puncta.session.retrain_data import datasets_dir

    plain = "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())[:40] or "training"
    home = datasets_dir()
    number = 1
    while (home / f"{plain}-{number}").exists():
        number += 1
    return home / f"{plain}-{number}"
