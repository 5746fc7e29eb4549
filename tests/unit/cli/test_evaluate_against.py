from __future__ import annotations

import json
from pathlib import Path

import pytest
from offset_models import PLUGIN, install_spot, write_spots

from puncta import paths
from puncta.cli.main import main
from puncta.formats.validate import validate
from puncta.inference.promotion import promote
from puncta.pipeline.consent import grant
from puncta.pipeline.discover import discover
from puncta.session.plugins import all_models

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    install_spot(coarse=(6.0, ()), fine=(0.0, ()), blind=(0.0, (210, 220)))
    return write_spots(tmp_path / "spots")


def evaluate(data: Path, *more: str) -> list[str]:
    return ["evaluate", PLUGIN, "--data", str(data), *more]


def test_two_models_are_compared_and_written(data: Path, tmp_path: Path, capsys: Captured) -> None:
    files = tmp_path / "c.json", tmp_path / "c.md"
    assert main(evaluate(data, "--model", "fine", "--against", "coarse", "--json", str(files[0]),
                         "--markdown", str(files[1]))) == 0
    out = capsys.readouterr().out
    assert "spot: fine 1.0 (new) against coarse 1.0 (old)" in out and "10 clips, 10 subjects of spots" in out
    line = next(row for row in out.splitlines() if row.startswith("tip within 2 mm"))
    assert line.split()[5:8] == ["0.0", "100.0", "+100.0"] and line.endswith("better")
    assert "machine A" in out and "machine B" in out and "simulated" in out and "not for clinical use" in out
    assert validate(files[0]).problems == ()
    text = files[1].read_text(encoding="utf-8")
    assert "puncta evaluate spot --data spots --model fine@1.0 --against coarse@1.0\n" in text
    assert str(tmp_path) not in text


def test_without_a_model_the_one_in_use_is_the_new_one(data: Path, capsys: Captured) -> None:
    registry = all_models()
    promote(registry, registry.find("fine"))
    assert main(evaluate(data, "--against", "coarse", "--json", "-")) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["old"]["model"], document["new"]["model"]) == ("coarse 1.0", "fine 1.0")


def test_the_model_that_a_manifest_names_is_the_one_in_use_everywhere(data: Path, capsys: Captured) -> None:
    manifest = paths.user_plugins_dir() / PLUGIN / "plugin.toml"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("coarse@1.0", "fine@1.0"), encoding="utf-8")
    found = discover().get(PLUGIN)
    assert found is not None and found.manifest.model == "fine@1.0"
    grant(found)
    assert main(evaluate(data, "--against", "coarse", "--json", "-")) == 0
    assert json.loads(capsys.readouterr().out)["new"]["model"] == "fine 1.0"
    assert main(["models", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["models"]
    assert [m["id"] for m in rows if m["plugin"] == PLUGIN and m["in_use"]] == ["fine"]
    assert main(["models", "remove", "fine@1.0"]) == 2
    assert "in use by the plugin" in capsys.readouterr().err
    assert main(["models", "promote", "coarse"]) == 0
    assert 'now uses "coarse 1.0" instead of "fine 1.0"' in capsys.readouterr().out
    assert main(["models", "rollback", PLUGIN]) == 0
    assert 'uses "fine 1.0" again (the standard one)' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--model", "coarse", "--against", "coarse"), "are the same model"),
        (("--model", "fine", "--against", "nope"), 'no model "nope"'),
        (("--against", "fine", "--compare", "needle-tip"), "--compare two plugins; name one of them"),
        (("--against", "fine", "--real", "cases.toml"), "leave --real out"),
        (("--against", "fine", "--sheet", "x.png"), "--sheet belongs to --real"),
        (("--against", "fine", "--split", "nope"), 'no frame in the split "nope"'),
        (("--against", "fine", "--json", "nowhere/c.json"), "does not exist"),
    ],
)
def test_wrong_use_is_one_sentence(data: Path, capsys: Captured, more: tuple[str, ...], words: str) -> None:
    assert main(evaluate(data, *more)) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and words in err


def test_evaluate_obeys_the_promotion_and_says_so(data: Path, capsys: Captured) -> None:
    assert main(evaluate(data, "--no-timings")) == 0
    assert "spot (coarse 1.0) on spots" in capsys.readouterr().out
    registry = all_models()
    promote(registry, registry.find("fine"))
    assert main(evaluate(data, "--no-timings")) == 0
    out = capsys.readouterr().out
    assert "spot (fine 1.0) on spots" in out and "fine 1.0 is promoted" in out
    assert main(evaluate(data, "--no-timings", "--model", "coarse")) == 0
    out = capsys.readouterr().out
    assert "spot (coarse 1.0) on spots" in out and "is promoted" not in out
