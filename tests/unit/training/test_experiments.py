"""Experiments that extend others, presets, and plain sentences for wrong settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from puncta.core.errors import UserError
from puncta.training.experiment import experiment_from, find_experiment, read_experiment, read_table


def test_the_gpu_preset_is_the_cpu_one_but_larger() -> None:
    small, large = (read_experiment(find_experiment("tip", preset)) for preset in ("cpu", "gpu"))
    assert (small.name, large.name) == ("tip_cpu", "tip_gpu")
    assert large.section("training")["device"] == "cuda" and small.section("training")["device"] == "cpu"
    assert large.size > small.size and large.section("training")["samples"] > small.section("training")["samples"]
    assert all(a >= b for a, b in zip(large.section("model")["widths"], small.section("model")["widths"]))
    assert large.section("model")["net"] == small.section("model")["net"]
    assert large.section("data")["backgrounds"] == small.section("data")["backgrounds"]
    # Another file in the registry: the model that ships is not overwritten by one nobody has seen.
    assert large.section("model")["id"] != small.section("model")["id"]
    assert find_experiment("tip_cpu", "gpu") == find_experiment("tip_gpu")
    with pytest.raises(UserError, match="no experiment"):
        find_experiment("tip_first", "gpu")


def test_tables_are_merged_and_lists_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'version = 1\nextends = "tip_cpu"\nname = "mine"\n[data]\nmachines = ["B"]\n[training]\nstages = []\n',
        encoding="utf-8",
    )
    base, mine = read_table(find_experiment("tip_cpu")), read_experiment(tmp_path / "mine.toml")
    assert mine.name == "mine" and mine.section("data")["machines"] == ["B"]
    assert mine.section("data")["clips"] == base["data"]["clips"] and mine.section("training")["stages"] == []
    assert "extends" not in mine.config
    (tmp_path / "over.toml").write_text('version = 1\nextends = "mine"\nname = "over"\nseed = 9\n', encoding="utf-8")
    over = read_experiment(tmp_path / "over.toml")
    assert over.seed == 9 and over.section("data")["machines"] == ["B"]


@pytest.mark.parametrize("text", ['extends = "nothing"', 'extends = "loop"'])
def test_what_it_extends_has_to_be_there_and_not_itself(text: str, tmp_path: Path) -> None:
    (tmp_path / "loop.toml").write_text(f'version = 1\nname = "loop"\n{text}\n', encoding="utf-8")
    with pytest.raises(UserError, match="extends"):
        read_experiment(tmp_path / "loop.toml")


@pytest.mark.parametrize(
    ("section", "setting", "words"),
    [("training", {"stages": [160]}, "stages"), ("training", {"device": "gpu"}, "cpu, cuda"),
     ("training", {"threads": "two"}, "whole number"), ("data", {"clips": -1}, "less than 0"),
     ("model", {"widths": 16}, "a list"), ("model", {"input": {"size": [256, 256]}}, "one side")],
)
def test_wrong_settings_are_said_plainly(section: str, setting: dict, words: str) -> None:
    table = read_table(find_experiment("tip_cpu"))
    table[section] = {**table[section], **setting}
    with pytest.raises(UserError, match=words):
        experiment_from(table)


def test_at_another_size_the_stages_go_along_and_the_rest_stays() -> None:
    known = read_experiment(find_experiment("tip_site"))
    assert known.at_size(known.size) is known
    small = known.at_size(192)
    assert (known.size, small.size) == (256, 192)
    assert [s["size"] for s in small.section("training")["stages"]] == [128]
    assert [s["samples"] for s in small.section("training")["stages"]] == [24000]
    assert small.section("data") == known.section("data") and small.section("model")["id"] == "needle-tip-site"
