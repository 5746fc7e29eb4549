"""What is about to be trained, and what its dataset is a copy of."""

from __future__ import annotations

from dataclasses import dataclass
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


def copy_of(draft: Draft) -> str:
    """Return what a dataset that is made for a draft is a copy of, as in `puncta.session.retrain_copies`."""
    from puncta.session.retrain_copies import LABELS, RECORDINGS

    if draft.data.path is not None:
        return str(draft.data.path.resolve())
    return RECORDINGS if draft.data.needle_free else LABELS
