"""A training that is killed in the middle ends, gone on with, in the very weights of one that never stopped."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta import paths
from puncta.cli.main import main
from puncta.core.errors import UserError

pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

from puncta.training.experiment import read_experiment  # noqa: E402
from puncta.training.folder import keep_leg, open_folder, read_weights  # noqa: E402

TOY = """
version = 1
name = "toy"
title = "A toy"
plugin = "needle-tip"
seed = 5
[data]
backgrounds = ["stills"]
composites = 6
tune_composites = 3
frames = 20
[model]
net = "tip_stream"
id = "toy"
version = "0.1"
widths = [8, 8, 16, 16, 16]
input = { size = 64 }
[training]
samples = 480
batch = 8
length = 4
learning_rate = 2e-3
threads = 1
checkpoint_every = 5
[[training.stages]]
size = 32
samples = 200
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stills and an experiment of two stages on runs of four frames: 60 steps."""
    root = tmp_path_factory.mktemp("resume")
    (root / "data" / "stills").mkdir(parents=True)
    for k in range(6):
        noise = np.random.default_rng(k).integers(0, 200, (120, 140)).astype(np.uint8)
        cv2.imwrite(str(root / "data" / "stills" / f"{k}.png"), cv2.GaussianBlur(noise, (0, 0), 2))
    (root / "toy.toml").write_text(TOY, encoding="utf-8")
    return root


def arguments(root: Path, out: str, *more: str) -> list[str]:
    return ["train", str(root / "toy.toml"), "--data", str(root / "data"), "--cache", str(root / "cache"),
            "--out", str(root / out), *more]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def whole(workplace: Path) -> Path:
    assert main(arguments(workplace, "whole")) == 0
    return workplace / "whole"


def test_the_same_seed_gives_the_same_file_of_weights(workplace: Path, whole: Path) -> None:
    assert main(arguments(workplace, "again")) == 0
    assert digest(workplace / "again" / "weights.pt") == digest(whole / "weights.pt")
    assert digest(workplace / "again" / "model.onnx") == digest(whole / "model.onnx")


def test_killed_in_the_middle_it_ends_in_the_same_weights(workplace: Path, whole: Path) -> None:
    out = workplace / "killed"
    environment = {**os.environ, "PYTHONPATH": str(Path(paths.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-m", "puncta", *arguments(workplace, "killed")], env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 90
        while not (out / "checkpoint.pt").exists():
            assert process.poll() is None, "the training ended before it could be killed"
            assert time.monotonic() < until, "no checkpoint came"
            time.sleep(0.005)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (out / "weights.pt").exists()
    assert json.loads((out / "training.json").read_text())["state"] == "running"
    assert main(arguments(workplace, "killed")) == 2  # it does not begin over an unfinished one unasked
    assert main(arguments(workplace, "killed", "--resume")) == 0
    assert digest(out / "weights.pt") == digest(whole / "weights.pt")
    steps, lines = ([json.loads(v) for v in (p / "log.jsonl").read_text().splitlines()] for p in (out, whole))
    assert [{k: v for k, v in s.items() if k != "elapsed_s"} for s in steps] == [
        {k: v for k, v in s.items() if k != "elapsed_s"} for s in lines
    ]


@pytest.mark.skipif(os.name != "posix", reason="a polite kill is a matter of POSIX systems")
def test_asked_to_end_it_pauses_and_says_what_to_type(workplace: Path, whole: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(paths.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-m", "puncta", *arguments(workplace, "paused")], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )
    assert process.stderr is not None
    lines = []
    for line in process.stderr:  # no terminal: lines that say how it goes, the first of each stage at once
        lines.append(line)
        if line.startswith("samples "):
            process.send_signal(signal.SIGTERM)
            break
    lines += process.stderr.readlines()
    assert process.wait(120) == 3, lines
    assert "pausing" in lines[-2] and "Paused after " in lines[-1] and " of 480 samples" in lines[-1]
    assert not (workplace / "paused" / "weights.pt").exists()
    command = shlex.split(lines[-1].partition("Go on with: ")[2])
    assert command[0] == "puncta" and main(command[1:]) == 0
    assert digest(workplace / "paused" / "weights.pt") == digest(whole / "weights.pt")


def test_a_folder_begun_before_a_setting_existed_can_be_gone_on_with(workplace: Path, whole: Path) -> None:
    out = workplace / "older"
    out.mkdir()
    head = json.loads((whole / "training.json").read_text())
    del head["config"]["training"]["device"], head["config"]["training"]["workers"]
    (out / "training.json").write_text(json.dumps(head), encoding="utf-8")
    experiment = read_experiment(workplace / "toy.toml")
    open_folder(out, experiment, resume=True)
    head["config"]["training"]["batch"] = 16
    (out / "training.json").write_text(json.dumps(head), encoding="utf-8")
    with pytest.raises(UserError, match="another experiment"):
        open_folder(out, experiment, resume=True)


def test_the_trainings_it_goes_on_from_are_kept_beside_it(workplace: Path, whole: Path) -> None:
    models = workplace / "models"
    second = workplace / "second"
    assert main(arguments(workplace, "second", "--start-from", str(whole), "--register", str(models))) == 0
    run = models / "runs" / "toy-0.1"
    for leg in (second / "legs" / "1-toy", run / "legs" / "1-toy"):
        assert digest(leg / "training.json") == digest(whole / "training.json")
        assert digest(leg / "log.jsonl") == digest(whole / "log.jsonl")
    assert digest(run / "weights.pt") == digest(second / "weights.pt")
    assert (run / "report.html").is_file() and (run / "curves.png").is_file()
    assert (second / "validation-stills.png").is_file()
    assert not (run / "validation-stills.png").exists()  # pictures of real stills are not handed on
    keep_leg(run, workplace / "third")  # what is kept of a model is enough to go on from it
    assert sorted(p.name for p in (workplace / "third" / "legs").iterdir()) == ["1-toy", "2-toy"]
    assert read_weights(run).keys() == read_weights(second).keys()


def test_a_training_that_could_not_begin_leaves_nothing(
    workplace: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the legs it would have gone on from nor an empty folder; what was there before stays."""
    (tmp_path / "data").mkdir()
    call = ["train", str(workplace / "toy.toml"), "--data", str(tmp_path / "data"), "--start-from", str(whole)]
    kept = tmp_path / "kept"
    (kept / "legs").mkdir(parents=True)
    mine = kept / "legs" / "mine.txt"
    mine.write_text("mine", encoding="utf-8")
    for out in (tmp_path / "out", kept):
        assert main([*call, "--out", str(out), "--cache", str(tmp_path / "cache")]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "--resume" not in said
    assert not (tmp_path / "out").exists()
    assert mine.read_text(encoding="utf-8") == "mine"


def test_a_gpu_that_is_not_there_is_said_at_once(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    text = TOY.replace("threads = 1", 'threads = 1\ndevice = "cuda"')
    (workplace / "toy_gpu.toml").write_text(text, encoding="utf-8")
    assert main(["train", str(workplace / "toy.toml"), "--preset", "gpu", "--out", str(workplace / "gpu")]) == 2
    said = capsys.readouterr().err
    assert "PyTorch finds none here" in said and said.count("\n") == 1
    assert not (workplace / "gpu").exists()
