from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_model import write_tiny_model

from puncta import paths
from puncta.cli.main import main
from puncta.inference.registry import Registry

Captured = pytest.CaptureFixture[str]


def refused(words: list[str], capsys: Captured) -> str:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    return err


def uses(plugin: str, capsys: Captured) -> str:
    capsys.readouterr()
    assert main(["models", "list", "--json"]) == 0
    (row,) = [m for m in json.loads(capsys.readouterr().out)["models"] if m["in_use"] and m["plugin"] == plugin]
    return f"{row['id']} {row['version']}"


def test_promote_and_roll_back(capsys: Captured) -> None:
    standard = uses("needle-tip", capsys)
    assert main(["models", "promote", "needle-tip-ut@0.2"]) == 0
    out = capsys.readouterr().out
    assert f'needle-tip now uses "needle-tip-ut 0.2" instead of "{standard}"' in out and "simulated" in out
    assert uses("needle-tip", capsys) == "needle-tip-ut 0.2"
    assert main(["models", "list"]) == 0
    line = next(row for row in capsys.readouterr().out.splitlines() if row.startswith("needle-tip-ut 0.2"))
    assert "promoted 20" in line and "Puncta" in line
    assert main(["models", "promote", "needle-tip-ut@0.1"]) == 0
    assert main(["models", "rollback", "needle-tip"]) == 0
    assert 'uses "needle-tip-ut 0.2" again (promoted 20' in capsys.readouterr().out
    assert main(["models", "rollback", "needle-tip"]) == 0
    assert f'uses "{standard}" again (the standard one)' in capsys.readouterr().out
    assert uses("needle-tip", capsys) == standard


def test_run_obeys_the_promotion_and_says_which_model_it_used(capsys: Captured) -> None:
    call = ["run", str(paths.sample_case()), "--frames", "0:2"]
    assert main(call) == 0
    assert f"Models: {Registry.load().default_for('needle-tip').identity}\n" in capsys.readouterr().out
    assert main(["models", "promote", "needle-tip-ut@0.2"]) == 0
    assert main(call) == 0
    assert "Models: needle-tip-ut 0.2 (promoted)\n" in capsys.readouterr().out
    assert main([*call, "--model", "needle-tip-ut@0.1"]) == 0
    assert "Models: needle-tip-ut 0.1\n" in capsys.readouterr().out


def test_what_cannot_be_done_is_one_sentence(capsys: Captured) -> None:
    assert "There is no model" in refused(["models", "promote", "nope"], capsys)
    standard = Registry.load().default_for("needle-tip")
    words = refused(["models", "promote", f"{standard.id}@{standard.version}"], capsys)
    assert "already; nothing changes" in words
    assert "nothing to roll back" in refused(["models", "rollback", "needle-tip"], capsys)
    assert 'There is no plugin "nope"' in refused(["models", "rollback", "nope"], capsys)
    assert "There is no" in refused(["models", "install", "nowhere"], capsys)
    assert "Name the version too" in refused(["models", "remove", "needle-tip-ut"], capsys)
    assert "only your own" in refused(["models", "remove", "needle-tip-ut@0.1"], capsys)


def test_a_model_whose_plugin_is_not_here_is_not_promoted(tmp_path: Path, capsys: Captured) -> None:
    for version in ("0.1", "0.2"):
        assert main(["models", "install", str(write_tiny_model(tmp_path / version, version=version))]) == 0
    capsys.readouterr()
    assert 'for the plugin "spot", which is not here' in refused(["models", "promote", "tiny@0.1"], capsys)


def test_install_says_what_comes_next_and_remove_takes_it_away(tmp_path: Path, capsys: Captured) -> None:
    folder = write_tiny_model(tmp_path / "made", plugin="needle-tip", default=True)
    standard = uses("needle-tip", capsys)
    assert main(["models", "install", str(folder)]) == 0
    assert "It is not used yet; puncta models promote tiny@0.1" in capsys.readouterr().out
    assert uses("needle-tip", capsys) == standard
    words = refused(["models", "promote", "tiny"], capsys)
    assert 'The plugin "needle-tip" cannot start with the model "tiny 0.1"' in words
    assert uses("needle-tip", capsys) == standard
    assert main(["models", "install", str(folder)]) == 0
    assert "is here already" in capsys.readouterr().out
    assert main(["models", "remove", "tiny@0.1"]) == 0
    assert not list((paths.user_data_dir() / "models").glob("*.onnx"))
