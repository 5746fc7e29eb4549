"""The shipped plugins go through the door that strangers use."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from puncta.formats.schemas import check as check_schema
from puncta.inference.opener import choose_card, opener_for
from puncta.inference.registry import Registry
from puncta.inference.session import Tuning
from puncta.pipeline.discover import dependency_order, discover
from puncta.sdk.context import SessionOpener
from puncta.sdk.manifest import PluginManifest
from puncta.sdk.testing import check_plugin

REPO = Path(__file__).resolve().parents[2]
FOLDERS = sorted(p for p in (REPO / "plugins").iterdir() if (p / "plugin.toml").is_file())


def open_shipped_model(manifest: PluginManifest) -> SessionOpener:
    return opener_for(manifest.id, manifest.model, Tuning.deterministic(), Registry.load())


def test_there_are_shipped_plugins_and_none_has_a_problem() -> None:
    discovery = discover(entry_points=False)
    assert discovery.problems == ()
    assert {f.origin for f in discovery.found} == {"shipped"}
    assert len(dependency_order(discovery.found)) == len(discovery.found)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_a_shipped_plugin_keeps_the_contract(folder: Path) -> None:
    report = check_plugin(folder, open_shipped_model)
    assert report.passed, "\n".join(report.lines())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_its_manifest_fits_the_published_schema(folder: Path) -> None:
    table = tomllib.loads((folder / "plugin.toml").read_text(encoding="utf-8"))
    assert check_schema("plugin-manifest", table) == []


def test_the_registry_holds_and_fits_the_published_schema() -> None:
    registry = Registry.load()
    assert registry.problems == ()
    for card in registry.cards:
        registry.verify(card)
        assert card.card_path.is_file()
    table = tomllib.loads((REPO / "models" / "registry.toml").read_text(encoding="utf-8"))
    assert check_schema("model-registry", {"models": [], **table}) == []


def test_each_plugin_that_names_a_model_finds_it() -> None:
    registry = Registry.load()
    for found in discover(entry_points=False).found:
        if found.manifest.model is not None:
            card = choose_card(registry, found.id, manifest_model=found.manifest.model)
            assert card.plugin == found.id
            # So that lists and promotions, which know no manifest, mean the same model.
            assert card == registry.default_for(found.id)


def test_no_model_lies_in_the_folder_unregistered() -> None:
    registered = {f.file for card in Registry.load().cards for f in card.files}
    there = {p.relative_to(REPO / "models").as_posix() for p in (REPO / "models").rglob("*.onnx")}
    assert there == registered
