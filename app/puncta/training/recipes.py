"""The kinds of training an experiment may ask for: its `recipe` says which, and each kind lives in a module of its own.

A recipe names its functions by "module:function" and is read without PyTorch, so that an experiment can be checked
where nothing can be trained.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from puncta.core.errors import UserError

DEFAULT = "tip"
PLACES = {
    "tip": "puncta.training.experiment",
    "tracker": "puncta.training.tracker.recipe",
    "landmarks": "puncta.training.landmarks.recipe",
    "tip-site": "puncta.training.site.recipe",
    "tip-site-pre": "puncta.training.site.pretrain_recipe",
    "tracker-site": "puncta.training.site.tracker_recipe",
}
"""The module of each recipe; it holds a `Recipe` named ``RECIPE``."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One kind of training.

    Attributes
    ----------
    defaults : mapping
        Defaults by section (data, model, training, export); the settings that an experiment may name are these and
        those of ``further``.
    further : mapping
        Settings without a default, by section.
    nets : tuple of str
        Networks that ``model.net`` may name.
    input : mapping
        Defaults of ``model.input``.
    train : str
        Function with the arguments of `puncta.training.run.train_experiment`.
    quantise : str or None
        Function (folder, data root, cache, tell) that makes the 8-bit variant of a finished training.
    pictures : str or None
        Function (folder, data root, cache, tell) that draws the validation pictures of a finished training anew.
    registered : str or None
        Function (config, calibration) -> the table `input` of the registry entry; None is the tip network's.
    described : str or None
        Function (config) -> list of what an experiment trains on, in words; None is the tip network's.
    made : str
        What no training of this kind has seen a real one of, as a clause.
    """

    defaults: Mapping[str, Mapping[str, Any]]
    further: Mapping[str, frozenset[str]]
    nets: tuple[str, ...]
    train: str
    input: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({"size": 256, "channels": 5}))
    quantise: str | None = None
    pictures: str | None = None
    registered: str | None = None
    described: str | None = None
    made: str = "every needle is simulated or drawn"


def name_of(table: Mapping[str, Any]) -> str:
    """Return the name of an experiment's recipe; one that names none is the tip network's."""
    return str(table.get("recipe", DEFAULT))


def recipe_of(table: Mapping[str, Any]) -> Recipe:
    """Return the recipe of an experiment.

    Raises
    ------
    UserError
        There is none of this name.
    """
    name = name_of(table)
    place = PLACES.get(name)
    if place is None:
        raise UserError(f'There is no recipe "{name}"; known are: {", ".join(PLACES)}.')
    return importlib.import_module(place).RECIPE


def function_at(place: str) -> Callable[..., Any]:
    """Return the function that "module:function" names."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
