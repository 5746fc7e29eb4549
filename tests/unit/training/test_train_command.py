"""`puncta train`: plain sentences for what the user can mend."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta.cli.main import main
from puncta.formats.schemas import check

TOY = """
version = 1
name = "toy"
plugin = "needle-tip"
seed = 1
[data]
backgrounds = ["stills"]
composites = 4
tune_composites = 2
frames = 6
[model]
net = "tip_ut"
id = "toy"
version = "0.1"
widths = [8, 8, 8, 8, 8]
input = { size = 64 }
[training]
samples = 8
batch = 4
learning_rate = 1e-3
threads = 1
"""


def test_without_torch_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else real(name, *rest))
    assert main(["train", "tip_first", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "PyTorch" in said and "puncta[train]" in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "There is no experiment"), ("not = [toml", "not valid TOML"), ("version = 1", "does not fit"),
     (TOY, "--data"), (TOY.replace('["stills"]', "[]"), "names no data")],
)
def test_wrong_experiments_end_in_one_sentence(
    text: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")
    path = tmp_path / "some.toml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert main(["train", str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said and said.count("\n") == 0


def test_an_experiment_that_is_not_there_is_said_before_a_folder_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")
    assert main(["train", "nope"]) == 2
    assert 'There is no experiment "nope"' in capsys.readouterr().err
    assert main(["train", "tip_cpu"]) == 2
    assert "--out DIR" in capsys.readouterr().err


def test_progress_lines_fit_their_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")
    (tmp_path / "data" / "stills").mkdir(parents=True)
    for k in range(6):
        noise = np.random.default_rng(k).integers(0, 200, (120, 140)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "data" / "stills" / f"{k}.png"), cv2.GaussianBlur(noise, (0, 0), 2))
    (tmp_path / "toy.toml").write_text(TOY, encoding="utf-8")
    arguments = ["train", str(tmp_path / "toy.toml"), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"),
                 "--register", str(tmp_path / "models"), "--progress", "json"]
    assert main(arguments) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(check("progress", line) == [] for line in lines)
    assert lines[-1]["state"] == "done" and lines[-1]["done"] == lines[-1]["total"] == 8
    assert (tmp_path / "models" / "toy-0.1.onnx").is_file()


@pytest.mark.skipif(os.name != "posix", reason="a polite kill is a matter of POSIX systems")
@pytest.mark.parametrize("name", ["toy.toml", "ultratiny"])
def test_asked_to_end_before_its_first_line_it_says_so_and_makes_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    study = pytest.importorskip("puncta.training.study", reason="training needs PyTorch; install the train extra")
    (tmp_path / "toy.toml").write_text(TOY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    whole, ended = study.find_study, []

    def look(text: str) -> Path | None:
        os.kill(os.getpid(), signal.SIGTERM)
        return whole(text)

    monkeypatch.setattr(study, "find_study", look)
    begun_with = signal.signal(signal.SIGTERM, lambda *_: ended.append("without a word"))
    try:
        assert main(["train", name, "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 3
    finally:
        signal.signal(signal.SIGTERM, begun_with)
    said = capfd.readouterr().err
    assert not ended and "Paused before anything was made. Go on with: puncta train" in said
    command = shlex.split(said.partition("Go on with: ")[2])
    assert command[2] == name and command[-1] == "--resume" and not (tmp_path / "out").exists()
