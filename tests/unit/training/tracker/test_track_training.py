"""A training of a few steps from an experiment to a registry that the plugin's tracker can use."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from puncta.core.errors import UserError  # noqa: E402
from puncta.imaging.mask_tracking import MaskTracker  # noqa: E402
from puncta.training.experiment import experiment_from, find_experiment, read_experiment  # noqa: E402
from puncta.training.parity import open_exported  # noqa: E402
from puncta.training.register import register_training  # noqa: E402
from puncta.training.tracker.recipe import describe  # noqa: E402
from puncta.training.tracker.run import train_tracker  # noqa: E402

TABLE = {
    "version": 1,
    "name": "toy",
    "recipe": "tracker",
    "plugin": "breast-biopsy",
    "seed": 3,
    "data": {"machines": ["A"], "procedures": ["breast"], "clips": 2, "tune_clips": 2, "frames": 8},
    "model": {
        "id": "toy-track",
        "version": "0.1",
        "net": "needle_track",
        "widths": [8, 8, 8, 8, 8],
        "memory": 4,
        "input": {"size": 64},
    },
    "training": {
        "samples": 24,
        "batch": 6,
        "length": 3,
        "learning_rate": 0.01,
        "checkpoint_every": 2,
        "threads": 1,
        "workers": 1,
        "bfloat16": False,
    },
}


def test_from_an_experiment_to_a_model_that_the_plugin_runs(tmp_path: Path) -> None:
    experiment = experiment_from(TABLE)
    cache = tmp_path / "cache"
    train_tracker(experiment, tmp_path / "out", cache=cache, stop_after=2)
    assert json.loads((tmp_path / "out" / "training.json").read_text())["state"] == "cancelled"
    head = json.loads(train_tracker(experiment, tmp_path / "out", cache=cache, resume=True).read_text())
    assert head["state"] == "done" and head["samples"] == 24 and head["parity"]["max_abs"] <= 1e-3
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert {"pixels", "presence"} <= lines[-2]["losses"].keys() and lines[-1]["split"] == "tune"
    register_training(tmp_path / "out", tmp_path / "models")
    entry = tomllib.loads((tmp_path / "models" / "registry.toml").read_text())["models"][0]
    assert (entry["id"], entry["plugin"], entry["recipe"]) == ("toy-track", "breast-biopsy", "puncta train toy")
    assert entry["input"]["size"] == [64, 64] and 0 < entry["input"]["calibration"]["show"] <= 1
    assert "2 simulated cines of machines A, breast" in entry["training_data"]
    assert (tmp_path / "models" / "runs" / "toy-track-0.1" / "weights.pt").is_file()
    tracker = MaskTracker(open_exported(tmp_path / "models" / entry["file"], spec=entry["input"]))
    rng = np.random.default_rng(0)
    for t in range(3):
        reading = tracker.step(rng.integers(0, 255, (64, 64), dtype=np.uint8), t * 40_000_000)
        assert 0.0 <= reading.presence <= 1.0
    # The same weights whether it was stopped on the way or not.
    again = json.loads(train_tracker(experiment, tmp_path / "whole", cache=cache).read_text())
    assert again["files"]["weights"]["sha256"] == head["files"]["weights"]["sha256"]


def test_the_experiments_that_ship_fit_and_keep_test_machines_and_vessels_out() -> None:
    cpu, gpu = (read_experiment(find_experiment("track", preset)) for preset in ("cpu", "gpu"))
    for experiment in (cpu, gpu):
        data = experiment.section("data")
        assert experiment.config["recipe"] == "tracker" and experiment.plugin == "breast-biopsy"
        assert set(data["machines"]) <= {"A", "B", "C"} and "vessel" not in data["procedures"]
    assert gpu.section("training")["device"] == "cuda" and gpu.section("model")["id"] != cpu.section("model")["id"]
    assert "breast-train" in describe(cpu.config)[0]


def test_without_a_tune_split_or_a_dataset_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="tune"):
        train_tracker(
            experiment_from({**TABLE, "data": {**TABLE["data"], "clips": 1, "tune_clips": 0, "frames": 3}}),
            tmp_path / "a",
            cache=tmp_path / "cache",
        )
    with pytest.raises(UserError, match="no-such-set"):
        train_tracker(experiment_from({**TABLE, "data": {"datasets": ["no-such-set"]}}), tmp_path / "b")
    with pytest.raises(UserError, match="--data"):
        train_tracker(experiment_from({**TABLE, "data": {"backgrounds": ["x"], "still_cines": 3}}), tmp_path / "c")
