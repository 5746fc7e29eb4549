"""An experiment's recipe says which training it gets, with settings and networks of its own."""

from __future__ import annotations

import sys
import types

import pytest

from puncta.core.errors import UserError
from puncta.training import recipes
from puncta.training.experiment import experiment_from, find_experiment, read_table
from puncta.training.recipes import Recipe, function_at, recipe_of

TABLE = {
    "version": 1, "name": "toy", "recipe": "landmarks", "plugin": "toy", "seed": 1, "data": {"pages": 3},
    "model": {"net": "little"}, "training": {"batch": 2, "learning_rate": 0.1},
}


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    module = types.ModuleType("puncta_toy_recipe")
    module.RECIPE = Recipe(
        {"data": {"pages": 1, "ink": "black"}, "model": {}, "training": {"samples": 7}, "export": {}},
        {"model": frozenset({"net", "input"}), "training": frozenset({"batch", "learning_rate"}), "data": frozenset()},
        ("little",), "puncta_toy_recipe:train", {"size": 64}, described="puncta_toy_recipe:describe",
    )
    module.train = lambda: "trained"
    module.describe = lambda config: [f"{config['data']['pages']} pages"]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(recipes.PLACES, "landmarks", module.__name__)
    return module.RECIPE


def test_a_recipe_brings_its_defaults_its_networks_and_its_training(toy: Recipe) -> None:
    experiment = experiment_from(TABLE)
    assert experiment.section("data") == {"pages": 3, "ink": "black"} and experiment.size == 64
    assert experiment.section("training")["samples"] == 7
    assert function_at(recipe_of(experiment.config).train)() == "trained"
    with pytest.raises(UserError, match='"tip_stream"; known are: little'):
        experiment_from({**TABLE, "model": {"net": "tip_stream"}})
    # What another recipe knows is a slip of the pen here.
    with pytest.raises(UserError, match="composites"):
        experiment_from({**TABLE, "data": {"composites": 3}})


def test_what_it_learnt_from_is_told_by_its_recipe(toy: Recipe) -> None:
    from puncta.training.report_story import describe_data

    assert describe_data(experiment_from(TABLE).config) == ["3 pages"]
    assert describe_data({"data": {"datasets": ["a"]}}) == ["the datasets a"]


def test_without_a_recipe_it_is_the_tip_network() -> None:
    table = read_table(find_experiment("tip_cpu"))
    assert recipe_of(experiment_from(table).config).train == "puncta.training.run:train_experiment"
    with pytest.raises(UserError, match="tip, tracker, landmarks"):
        experiment_from({**table, "recipe": "soup"})
