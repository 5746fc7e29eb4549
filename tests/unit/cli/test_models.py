from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_model import entry, write_registry, write_tiny_model

from puncta import paths
from puncta.cli.main import main
from puncta.inference.registry import Registry
from puncta.inference.tuning import stored_tuning


@pytest.fixture
def folder() -> Path:
    return write_tiny_model(paths.user_data_dir() / "models")


def test_list_shows_a_model_and_its_licence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list"]) == 0
    out = capsys.readouterr().out
    assert "tiny 0.1" in out and "Apache-2.0" in out and "(simulated)" in out and "not measured" in out
    assert main(["models", "list", "--json"]) == 0
    row = next(m for m in json.loads(capsys.readouterr().out)["models"] if m["id"] == "tiny")
    assert row["sha256"] == Registry.load().find("tiny").sha256
    assert row["input"]["size"] == [12, 16]


def test_verify_holds_and_then_finds_one_changed_byte(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "verify"]) == 0
    assert "tiny 0.1: 1 file as recorded" in capsys.readouterr().out
    path = folder / "tiny.onnx"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert main(["models", "verify", "tiny"]) == 2
    out, err = capsys.readouterr()
    assert "as recorded" not in out
    assert len(err.splitlines()) == 1 and "does not match its recorded hash" in err
    assert main(["models", "verify", "--json"]) == 2
    row = next(m for m in json.loads(capsys.readouterr().out)["models"] if m["model"] == "tiny 0.1")
    assert row["holds"] is False


def test_verify_tells_a_missing_card_and_a_bad_entry(capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_tiny_model(paths.user_data_dir() / "models")
    (folder / "tiny.md").unlink()
    assert main(["models", "verify", "tiny"]) == 2
    assert "The card models/tiny.md" in capsys.readouterr().err
    write_registry(folder, entry(licence=None))
    assert main(["models", "verify"]) == 2
    assert "`licence` is missing" in capsys.readouterr().err


def test_an_unknown_model_is_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("verify", "bench"):
        assert main(["models", verb, "nope"]) == 2
        out, err = capsys.readouterr()
        assert out == "" and len(err.splitlines()) == 1 and 'There is no model "nope"' in err


def test_bench_keeps_the_choice(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("puncta.inference.tuning._TIME_A_CANDIDATE_S", 0.0)
    assert main(["models", "bench", "tiny"]) == 0
    out = capsys.readouterr().out
    assert out.count("chosen") == 1 and "p95 ms" in out
    kept = stored_tuning(Registry.load().find("tiny"))
    assert kept is not None
    assert main(["models", "bench", "tiny", "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)["models"]
    assert table["rows"][table["chosen"]]["agrees"] is True
    assert main(["models", "list"]) == 0
    assert "cpu, " in capsys.readouterr().out
