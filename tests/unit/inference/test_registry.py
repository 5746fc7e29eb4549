from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tiny_model import entry, write_network, write_registry, write_tiny_model

from puncta.core.errors import UserError
from puncta.inference.registry import Registry, read_verified


def load(*folders: Path, tmp_path: Path) -> Registry:
    shipped, user = (*folders, tmp_path / "none")[:2]
    return Registry.load(shipped, user)


def test_a_model_is_read_with_all_its_facts(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "models", recipe="puncta train tip.toml", default=True)
    registry = load(folder, tmp_path=tmp_path)
    assert registry.problems == ()
    card = registry.find("tiny")
    assert (card.identity, card.plugin, card.precision, card.origin) == ("tiny 0.1", "spot", "fp32", "shipped")
    assert card.input["size"] == (12, 16)
    assert card.card_path.is_file()
    with pytest.raises(TypeError):
        card.input["size"] = (1, 1)  # type: ignore[index]
    registry.verify(card)


def test_one_changed_byte_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "models")
    registry = load(folder, tmp_path=tmp_path)
    path = folder / "tiny.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"models/tiny\.onnx does not match its recorded hash"):
        registry.verify(registry.find("tiny"))
    with pytest.raises(UserError, match="does not match"):
        read_verified(registry.find("tiny"))


def test_a_changed_variant_is_refused_by_verify(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    sha256 = write_network(folder / "tiny.onnx")
    write_network(folder / "tiny-int8.onnx", gain=3.0)
    variants = [{"precision": "int8", "file": "tiny-int8.onnx", "sha256": "1" * 64}]
    write_registry(folder, entry(sha256=sha256, variants=variants))
    registry = load(folder, tmp_path=tmp_path)
    with pytest.raises(UserError, match=r"tiny-int8\.onnx does not match"):
        registry.verify(registry.find("tiny"))


def test_an_absent_file_is_one_sentence(tmp_path: Path) -> None:
    folder = write_registry(tmp_path / "models", entry())
    registry = load(folder, tmp_path=tmp_path)
    with pytest.raises(UserError, match=r"models/tiny\.onnx .* is not there"):
        registry.verify(registry.find("tiny"))


def test_an_unknown_model_names_those_there_are(tmp_path: Path) -> None:
    folder = write_registry(tmp_path / "models", entry(), entry(id="other", version="2.0"))
    with pytest.raises(UserError, match=re.escape('no model "nope"; there are: tiny@0.1, other@2.0')):
        load(folder, tmp_path=tmp_path).find("nope")
    with pytest.raises(UserError, match="there are: none"):
        load(tmp_path / "empty", tmp_path=tmp_path).find("nope")


def test_the_newest_version_answers_and_an_exact_one_can_be_named(tmp_path: Path) -> None:
    versions = ("0.9", "0.10", "0.10rc1", "0.2")
    folder = write_registry(tmp_path / "models", *(entry(version=v) for v in versions))
    registry = load(folder, tmp_path=tmp_path)
    assert registry.find("tiny").version == "0.10"
    assert registry.find("tiny@0.9").version == "0.9"
    assert registry.find("tiny 0.10rc1").version == "0.10rc1"
    with pytest.raises(UserError, match="no model"):
        registry.find("tiny@7")


def test_the_default_of_a_plugin_is_the_marked_one(tmp_path: Path) -> None:
    folder = write_registry(
        tmp_path / "models", entry(default=True), entry(version="0.2"), entry(id="else", plugin="other")
    )
    registry = load(folder, tmp_path=tmp_path)
    assert registry.default_for("spot").version == "0.1"
    assert registry.default_for("other").id == "else"
    with pytest.raises(UserError, match='no model for the plugin "third"'):
        registry.default_for("third")


def test_the_users_registry_adds_but_does_not_replace(tmp_path: Path) -> None:
    shipped = write_registry(tmp_path / "shipped", entry())
    user = write_registry(tmp_path / "user", entry(licence="MIT"), entry(id="mine"))
    registry = load(shipped, user, tmp_path=tmp_path)
    assert [(c.id, c.origin) for c in registry.cards] == [("tiny", "shipped"), ("mine", "user")]
    assert registry.find("tiny").licence == "Apache-2.0"
    assert len(registry.problems) == 1 and "registered twice" in registry.problems[0]


def test_a_plugin_may_bring_its_models(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "plugin" / "models")
    registry = Registry(()).with_plugin_models(tmp_path / "plugin")
    assert registry.find("tiny").origin == "plugin"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sha256": None}, "`sha256` is missing"),
        ({"sha256": "ABC"}, "`sha256`"),
        ({"file": "../outside.onnx"}, "stays inside"),
        ({"file": "/etc/model.onnx"}, "stays inside"),
        ({"file": "C:\\model.onnx"}, "stays inside"),
        ({"licence": ""}, "`licence` must not be empty"),
        ({"surprise": 1}, "`surprise` is not a known key"),
        ({"simulated": "yes"}, "`simulated` must be true or false"),
        ({"precision": "fp8"}, "`precision` must be"),
        ({"outputs": []}, "`outputs` must not be empty"),
        ({"input": {**entry()["input"], "size": [0, 16]}}, "`input.size.0` must be more than 0"),
        ({"input": {"size": [12, 16]}}, "`input.channels` is missing"),
        ({"id": "Tiny Model"}, "`id`"),
    ],
)
def test_a_bad_entry_is_left_out_and_told(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    folder = write_registry(tmp_path / "models", entry(**changes), entry(id="good"))
    registry = load(folder, tmp_path=tmp_path)
    assert [c.id for c in registry.cards] == ["good"]
    assert len(registry.problems) == 1 and words in registry.problems[0]


@pytest.mark.parametrize("text", ["version = 2", "models = 3\nversion = 1", "not toml at all ["])
def test_a_bad_registry_file_is_a_problem_not_a_crash(tmp_path: Path, text: str) -> None:
    (tmp_path / "registry.toml").write_text(text, encoding="utf-8")
    registry = load(tmp_path, tmp_path=tmp_path / "x")
    assert registry.cards == ()
    assert len(registry.problems) == 1


def test_a_registry_that_is_no_text_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "registry.toml").write_bytes(b"\xff\xfe\x00")
    assert len(load(tmp_path, tmp_path=tmp_path / "x").problems) == 1


def test_a_mistyped_model_is_told_the_nearest_there_is(tmp_path: Path) -> None:
    names = (("needle-tip-ut", "0.1"), ("needle-tip-site", "1"), ("needle-tip-site", "2"))
    folder = write_registry(tmp_path / "models", *(entry(id=name, version=version) for name, version in names))
    with pytest.raises(UserError, match='no model "needle-tip-sit@2", but there is "needle-tip-site@2"; there are: '):
        load(folder, tmp_path=tmp_path).find("needle-tip-sit@2")
