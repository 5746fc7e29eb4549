"""A finished training comes among the user's models without taking anything away from what another window put there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

import onnx  # noqa: E402

from puncta.core.errors import UserError  # noqa: E402
from puncta.formats.session import lock  # noqa: E402
from puncta.inference.installing import remove  # noqa: E402
from puncta.inference.promotion import LOCK_NAME, promote, user_models_dir  # noqa: E402
from puncta.inference.registry import Registry  # noqa: E402
from puncta.training import register  # noqa: E402
from puncta.training.experiment import experiment_from, find_experiment, read_experiment  # noqa: E402
from puncta.training.landmarks.run import train_landmarks  # noqa: E402
from puncta.training.register import entry_of, register_training  # noqa: E402

TABLE = {
    "version": 1, "name": "toy", "recipe": "landmarks", "plugin": "infant-lp", "seed": 3,
    "data": {"clips": 3, "frames": 1, "tune_clips": 3, "others": 3, "tune_others": 3, "cines": 1, "cine_frames": 2},
    "model": {"id": "lp-toy", "version": "3", "net": "lp_small", "widths": [4, 6, 8, 8, 8], "head": 8,
              "input": {"size": 64, "channels": 1}},
    "training": {"samples": 8, "batch": 8, "learning_rate": 0.002, "checkpoint_every": 2, "threads": 1, "workers": 1,
                 "bfloat16": False},
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("trained")
    train_landmarks(experiment_from(TABLE), home / "run", cache=home / "cache")
    return home / "run"


@pytest.fixture
def another(trained: Path, tmp_path: Path) -> Path:
    """A training of the same id and version with another network."""
    folder = tmp_path / "another"
    shutil.copytree(trained, folder)
    graph = onnx.load(folder / "model.onnx")
    graph.doc_string = "another network"
    onnx.save(graph, folder / "model.onnx")
    return folder


def test_a_second_training_of_one_name_takes_the_next_version_and_the_promoted_one_stays(
    trained: Path, another: Path
) -> None:
    assert register_training(trained, user_models_dir()).name == "lp-toy-3.onnx"
    registry = Registry.load()
    first = registry.find("lp-toy@3")
    promote(registry, first)
    assert register_training(another, user_models_dir()).name == "lp-toy-4.onnx"
    registry = Registry.load()
    registry.verify(registry.find("lp-toy@3"))
    second = registry.find("lp-toy@4")
    registry.verify(second)
    assert registry.problems == () and registry.is_in_use(first) and second.sha256 != first.sha256
    assert second.card_path.read_text(encoding="utf-8").startswith("# lp-toy 4\n")
    assert (user_models_dir() / "runs" / "lp-toy-4" / "training.json").is_file()
    # Going on with either at its end registers the same again.
    assert register_training(another, user_models_dir()).name == "lp-toy-4.onnx"
    assert register_training(trained, user_models_dir()).name == "lp-toy-3.onnx"
    assert [c.version for c in Registry.load().cards if c.id == "lp-toy"] == ["4", "3"]
    remove(second, Registry.load())
    assert Registry.load().problems == ()


def test_elsewhere_a_training_replaces_the_one_of_its_name(trained: Path, another: Path, tmp_path: Path) -> None:
    register_training(trained, tmp_path / "models")
    register_training(another, tmp_path / "models")
    (card,) = Registry.load(tmp_path / "models", tmp_path / "none").cards
    assert (card.version, card.sha256) == ("3", entry_of(another)["sha256"])


def test_a_version_that_ships_is_not_taken_by_the_users_model(another: Path) -> None:
    head = json.loads((another / "training.json").read_text())
    head["config"]["model"] |= {"id": "lp-landmarks", "version": "0.1.1"}
    (another / "training.json").write_text(json.dumps(head))
    assert register_training(another, user_models_dir()).name == "lp-landmarks-0.1.2.onnx"
    assert Registry.load().problems == ()


@pytest.mark.skipif(os.name == "nt", reason="Windows locks no file here")
def test_it_waits_while_another_program_changes_the_models(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register, "WAIT_S", 0.0)
    user_models_dir().mkdir(parents=True)
    with (user_models_dir() / LOCK_NAME).open("ab") as held:
        assert lock(held)
        with pytest.raises(UserError, match="Another Puncta changes the models"):
            register_training(trained, user_models_dir())
        assert not (user_models_dir() / "registry.toml").exists()
    register_training(trained, user_models_dir())


def test_a_damaged_registry_is_a_sentence_and_stays(trained: Path) -> None:
    user_models_dir().mkdir(parents=True)
    registry = user_models_dir() / "registry.toml"
    registry.write_text("not toml [", encoding="utf-8")
    with pytest.raises(UserError, match="mend it or put it aside"):
        register_training(trained, user_models_dir())
    assert registry.read_text(encoding="utf-8") == "not toml ["


def test_a_new_registry_says_whose_models_it_names(trained: Path, tmp_path: Path) -> None:
    register_training(trained, user_models_dir())
    assert (user_models_dir() / "registry.toml").read_text(encoding="utf-8").startswith("# Models of this user.")
    register_training(trained, tmp_path / "models")
    assert "ship" not in (tmp_path / "models" / "registry.toml").read_text(encoding="utf-8").splitlines()[0]


@pytest.mark.parametrize(
    ("name", "default"), [("lp_site", False), ("lp_site_full", False), ("lp_cpu", True), ("tip_site", False)]
)
def test_a_model_of_one_site_is_nobodys_default(trained: Path, tmp_path: Path, name: str, default: bool) -> None:
    folder = tmp_path / "site"
    shutil.copytree(trained, folder)
    head = json.loads((folder / "training.json").read_text())
    config = read_experiment(find_experiment(name)).config
    head["config"] |= {"recipe": config["recipe"], "data": config["data"]}
    (folder / "training.json").write_text(json.dumps(head))
    calibration = json.loads((folder / "calibration.json").read_text())
    calibration |= {"filter": {}, "calibration": {}}  # what a tip network's entry repeats
    (folder / "calibration.json").write_text(json.dumps(calibration))
    assert entry_of(folder)["default"] is default
