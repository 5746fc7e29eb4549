"""The landmark network from end to end on toy sizes: data, samples, training, calibration, graph, registry."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from puncta.core.errors import UserError
from puncta.imaging.flag_filter import FlagFilter, FlagFilterSettings
from puncta.recording.tiles import ANSWER
from puncta.training.experiment import Experiment, experiment_from, find_experiment, read_experiment
from puncta.training.landmarks.data import CORD, CSF, FLAGS, SPINE, SpineSpec, build_spines, load_shots
from puncta.training.landmarks.pictures import overlay, picture_finished
from puncta.training.landmarks.quantise import Quality, decide, quantise_finished
from puncta.training.landmarks.run import finish_again, train_landmarks
from puncta.training.parity import open_exported
from puncta.training.register import register_training

TABLE: dict[str, Any] = {
    "version": 1, "name": "toy", "recipe": "landmarks", "plugin": "infant-lp", "seed": 3,
    "data": {"clips": 6, "frames": 1, "tune_clips": 5, "others": 3, "tune_others": 3, "cines": 1, "cine_frames": 4},
    "model": {"id": "lp-toy", "version": "0.1", "net": "lp_small", "widths": [4, 6, 8, 8, 8], "head": 8,
              "input": {"size": 64, "channels": 1}},
    "training": {"samples": 48, "batch": 8, "learning_rate": 0.002, "checkpoint_every": 2, "threads": 1, "workers": 1,
                 "bfloat16": False},
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return experiment_from(TABLE)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path, experiment: Experiment) -> Path:
    out = tmp_path_factory.mktemp("trained") / "run"
    train_landmarks(experiment, out, cache=cache)
    return out


def test_shots_hold_flags_and_where_lit_structures_lie(cache: Path, trained: Path) -> None:
    spec = SpineSpec(("A", "B", "C"), 6, 1, 6, 40_000)
    shots = load_shots(build_spines(spec, cache, lambda *_: None))
    assert [s.kind for s in shots] == [SPINE] * 6 and [s.machine for s in shots] == ["A", "B", "C"] * 2
    assert len({s.subject for s in shots}) == 6
    for shot in shots:
        assert shot.frames.shape == (1, 256, 256) and shot.maps is not None
        assert set(np.unique(shot.flags)) <= {0, 1} and shot.flags.shape == (1, len(FLAGS))
        # A flag of 1 asks for its structure to be lit, by the simulator's rules.
        for name, code in (("csf", CSF), ("cord", CORD)):
            if shot.flags[0][FLAGS.index(name)] == 1:
                assert (shot.maps[0] == code).any()


def test_the_graph_speaks_for_itself_and_its_thresholds_fit_the_filter(trained: Path) -> None:
    head = json.loads((trained / "training.json").read_text())
    assert head["state"] == "done" and head["parity"]["max_abs"] <= 1e-3
    spec = json.loads((trained / "calibration.json").read_text())
    session = open_exported(trained / "model.onnx", spec=spec)
    assert [(v.name, tuple(v.shape)) for v in session.inputs] == [("image", (1, 1, 64, 64))]
    picture = np.random.default_rng(1).random((1, 1, 64, 64), np.float32)
    out = session.run({"image": picture})
    assert {k: v.shape for k, v in out.items()} == {"logits": (1, 3), "cam": (1, 3, 8, 8), "strangeness": (1,)}
    # The map's mean and the bias are the logit before calibration.
    weights = torch.load(trained / "weights.pt", weights_only=True)
    raw = out["cam"].mean(axis=(2, 3))[0] + weights["flags.bias"].numpy()
    inside = spec["inside"]
    np.testing.assert_allclose(out["logits"][0], raw * inside["scale"] + inside["shift"], atol=1e-4)
    reading = FlagFilter(FlagFilterSettings.from_spec(session.spec)).update(
        out["logits"][0], 0, float(out["strangeness"][0])
    )
    assert len(reading.states) == len(FLAGS) and 0 < reading.probabilities[0] < 1


def test_a_stopped_training_ends_in_the_same_weights(
    trained: Path, cache: Path, experiment: Experiment, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    train_landmarks(experiment, out, cache=cache, stop_after=3)
    assert json.loads((out / "training.json").read_text())["state"] == "cancelled"
    train_landmarks(experiment, out, cache=cache, resume=True)
    once, twice = (torch.load(p / "weights.pt", weights_only=True) for p in (trained, out))
    assert all(torch.equal(once[name], twice[name]) for name in once)


def test_it_is_registered_with_what_a_plugin_needs(trained: Path, cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(trained, folder)
    finish_again(folder, None, cache)
    register_training(folder, tmp_path / "models")
    text = (tmp_path / "models" / "registry.toml").read_text()
    for words in ('id = "lp-toy"', "strangeness_most = 1.0", "window_s = 0.2", "stated_risk = 0.05", "stride = 8",
                  "6 simulated infant spines of machines A, B, C"):
        assert words in text
    names = [v.name for v in onnx.load(tmp_path / "models" / "lp-toy-0.1.onnx").graph.output]
    assert names == ["logits", "cam", "strangeness"]


def test_the_sheet_of_maps_shows_picture_map_and_structure(trained: Path, cache: Path) -> None:
    picture_finished(trained, None, cache)
    sheet = np.array(Image.open(trained / "maps.png").convert("RGB"))
    assert sheet.shape[1] == 6 * 232 + 8 and sheet.shape[0] > 300
    cam, part = np.zeros((8, 8), np.float32), np.zeros((8, 8), np.float32)
    cam[2, 5], part[2:4, 4:6] = 3.0, 1.0
    shown = overlay(np.full((64, 64), 90, np.uint8), cam, part).astype(int)
    assert shown[20, 44].tolist() == list(ANSWER)  # the peak's cell has its middle here
    assert shown[24, 44, 0] > shown[24, 44, 2] + 20 and shown[60, 4].tolist() == [90, 90, 90]


def test_an_8_bit_variant_is_made_judged_and_decided_upon(trained: Path, cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(trained, folder)
    verdict = quantise_finished(folder, None, cache)
    record = json.loads((folder / "int8.json").read_text())
    assert record["accepted"] == verdict.accepted == (folder / "model-int8.onnx").exists()
    assert verdict.frames == 2 and verdict.why.startswith("it")
    fine, worse = Quality(0.9, 0.9, 0.01), Quality(0.88, 0.9, 0.01)
    assert decide(fine, fine, 0.001, 1.6)[0]
    for case in ((fine, worse, 0.001, 1.6), (fine, fine, 0.1, 1.6), (fine, fine, 0.001, 1.0),
                 (fine, Quality(0.9, 0.8, 0.01), 0.001, 1.6), (fine, Quality(0.9, 0.9, 0.03), 0.001, 1.6)):
        assert not decide(*case)[0]


@pytest.mark.parametrize("name", ["lp_cpu", "lp_gpu"])
def test_shipped_experiments_fit_and_keep_the_test_machines_out(name: str) -> None:
    experiment = read_experiment(find_experiment(name))
    assert experiment.config["recipe"] == "landmarks" and experiment.size == 224
    data = experiment.section("data")
    # Subjects to train on and to tune on differ, and neither comes near the tests' (from 800,000 on).
    assert data["seed"] + data["clips"] < data["tune_seed"] < data["tune_seed"] + data["tune_clips"] < 800_000


def test_without_data_it_is_refused(tmp_path: Path) -> None:
    bare = experiment_from({**TABLE, "data": {"tune_clips": 5, "frames": 1}})
    with pytest.raises(UserError, match="names no data"):
        train_landmarks(bare, tmp_path / "run", cache=tmp_path / "cache")
    needs = experiment_from({**TABLE, "data": {"clips": 2, "backgrounds": ["stills"]}})
    with pytest.raises(UserError, match="--data"):
        train_landmarks(needs, tmp_path / "other", cache=tmp_path / "cache")
