from __future__ import annotations

import json
from pathlib import Path

import pytest
from plugin_folder import CODE, write_plugin
from tiny_model import write_tiny_model

from puncta import paths
from puncta.cli.main import main


def test_list_shows_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    write_plugin(paths.user_plugins_dir() / "mine")
    write_plugin(paths.user_plugins_dir() / "bad", api=7)
    assert main(["plugins", "list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    mine = next(row for row in told["plugins"] if row["id"] == "middle")
    assert (mine["origin"], mine["consent"], mine["model"]) == ("user", "missing", None)
    assert "puncta plugins allow middle" in mine["state"]
    assert len(told["problems"]) == 1 and "`api`" in told["problems"][0]

    assert main(["plugins", "list"]) == 0
    out, err = capsys.readouterr()
    assert "middle" in out and out.splitlines()[0].split() == ["id", "version", "origin", "consent", "model", "state"]
    assert "`api`" in err


def test_list_tells_a_missing_model(capsys: pytest.CaptureFixture[str]) -> None:
    write_plugin(paths.user_plugins_dir() / "mine", model="not-there")
    assert main(["plugins", "allow", "middle"]) == 0
    capsys.readouterr()
    assert main(["plugins", "list", "--json"]) == 0
    row = next(r for r in json.loads(capsys.readouterr().out)["plugins"] if r["id"] == "middle")
    assert 'no model "not-there"' in row["state"]


def test_check_passes_and_fails_by_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = write_plugin(tmp_path / "good"), write_plugin(tmp_path / "bad", f"import socket\n{CODE}")
    assert main(["plugins", "check", str(good)]) == 0
    assert "The plugin keeps the contract." in capsys.readouterr().out
    assert main(["plugins", "check", str(bad)]) == 2
    out, err = capsys.readouterr()
    assert "imports socket, which reaches for the network" in out
    assert len(err.splitlines()) == 1
    assert main(["plugins", "check", str(bad), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["passed"] is False


def test_check_of_nothing_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "check", str(tmp_path / "nowhere")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and "There is no plugin folder" in err


def test_check_opens_a_model_that_the_plugin_brings(tmp_path: Path) -> None:
    code = CODE.replace("self.context = context", "self.model = context.open_model()")
    folder = write_plugin(tmp_path / "p", code, id="spot")
    assert main(["plugins", "check", str(folder)]) == 2
    write_tiny_model(folder / "models")
    assert main(["plugins", "check", str(folder)]) == 0


def test_allow_and_forbid(capsys: pytest.CaptureFixture[str]) -> None:
    write_plugin(paths.user_plugins_dir() / "mine", requires=["scipy"])
    assert main(["plugins", "allow", "nope"]) == 2
    assert 'There is no plugin "nope"' in capsys.readouterr().err
    assert main(["plugins", "allow", "middle"]) == 0
    assert "It also imports: scipy." in capsys.readouterr().out
    assert main(["plugins", "forbid", "middle"]) == 0
    assert "may no longer run" in capsys.readouterr().out
    assert main(["plugins", "forbid", "middle"]) == 0
    assert "had no permission" in capsys.readouterr().out


def test_a_shipped_plugin_needs_no_permission(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "allow", "needle-tip-baseline"]) == 0
    assert "needs no permission" in capsys.readouterr().out
    assert main(["plugins", "forbid", "needle-tip-baseline"]) == 2
    assert "came with Puncta" in capsys.readouterr().err


def test_permission_of_a_plugin_that_is_gone_can_be_taken_back() -> None:
    import shutil

    folder = write_plugin(paths.user_plugins_dir() / "mine")
    assert main(["plugins", "allow", "middle"]) == 0
    shutil.rmtree(folder)
    assert main(["plugins", "forbid", "middle"]) == 0
    assert main(["plugins", "forbid", "middle"]) == 2
