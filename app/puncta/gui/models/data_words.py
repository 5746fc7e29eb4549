"""What there is to learn from, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from puncta.gui.i18n import tr
from puncta.gui.models.words import list_words

if TYPE_CHECKING:
    from puncta.gui.models.shelf import Shelf
    from puncta.session.retrain import RetrainRecipe, TrainingData


def title_of(data: TrainingData) -> str:
    """Name data in words."""
    if data.path is None:
        if data.needle_free:
            return tr("Recordings that show no needle")
        return tr("Labels made here, label set {name}").format(name=data.label_set)
    folder = data.path.name
    # People know the folder they have put there; the dataset may call itself otherwise.
    return tr("Dataset {name}").format(name=folder if data.title == folder else f"{folder} ({data.title})")


def second_of(data: TrainingData, plugin: str) -> str:
    """Count data in words: frames, recordings, subjects, machines, and whether it is simulated."""
    if data.needle_free and data.path is None:
        return tr("Nothing is labelled: needles are drawn into their frames. Choose them below.")
    if data.needle_free:
        parts = [chosen_words(data, plugin)]
    else:
        parts = [tr("{count} labelled frames").format(count=data.frames_for(plugin)), _subjects(data)]
    if data.machines:
        words = tr("machine {name}") if len(data.machines) == 1 else tr("machines {name}")
        parts.append(words.format(name=list_words(data.machines, 4)))
    parts.append(tr("simulated") if data.simulated else tr("recorded"))
    return ", ".join(parts)


def chosen_words(data: TrainingData, plugin: str) -> str:
    """Count recordings in words: "312 frames without a needle of 9 recordings, 7 subjects"."""
    frames, recordings = data.frames_for(plugin), len(data.cases)
    one = tr("{count} frames without a needle of 1 recording, {subjects}")
    more = tr("{count} frames without a needle of {recordings} recordings, {subjects}")
    words = one if recordings == 1 else more
    return words.format(count=frames, recordings=recordings, subjects=_subjects(data))


def _subjects(data: TrainingData) -> str:
    known = [case.subject for case in data.cases if case.subject]
    if data.needle_free and not known:
        return tr("subject not stated")
    count = len(data.subjects)
    return tr("1 subject") if count == 1 else tr("{count} subjects").format(count=count)


def unread(data: TrainingData) -> tuple[str, ...]:
    """Why a dataset of the folder cannot be chosen, where it cannot be read at all."""
    return () if data.cases or data.path is None else tuple(f"{data.path.name}: {p}" for p in data.problems)


def datasets_folder() -> str:
    """Where datasets of this user lie."""
    from puncta.session.retrain_data import datasets_dir

    return str(datasets_dir())


def without_labels_elsewhere(recipes: Sequence[RetrainRecipe], plugin: str, shelf: Shelf | None) -> str:
    """Say that another plugin's model can learn without labels; "" where this one's can, or none."""
    able = [recipe.plugin for recipe in recipes if recipe.kind == "pretrain"]
    family = shelf.family(able[0]) if shelf is not None and able and plugin not in able else None
    words = tr("Recordings that show no needle can teach without any label, so far for {plugin} alone. Choose that "
               "above to see how.")
    return words.format(plugin=tr(family.title)) if family is not None else ""


def recordings_to_choose(plugin: str) -> TrainingData:
    """Return what stands for recordings without a needle, before any is ticked."""
    from puncta.session.retrain import TrainingData
    from puncta.session.retrain_recordings import LIBRARY

    return TrainingData(LIBRARY, LIBRARY, (plugin,), 0, (), (), False, None, needle_free=True)
