from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from plugin_folder import CODE, write_plugin

from puncta import paths
from puncta.core.errors import UserError
from puncta.pipeline import consent
from puncta.pipeline.discover import Discovery, FoundPlugin, PluginLoadError, dependency_order, discover, load
from puncta.sdk.plugin import Plugin, ResetReason


def no_model(model_id: str | None = None) -> Any:
    raise UserError("There is no model here.")


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    return folder


@pytest.fixture
def user(tmp_path: Path) -> Path:
    folder = tmp_path / "added"
    folder.mkdir()
    return folder


def find(shipped: Path, user: Path) -> Discovery:
    return discover(shipped, user, entry_points=False)


class TestDiscover:
    def test_plugins_are_found_by_id_with_their_origin(self, shipped: Path, user: Path) -> None:
        write_plugin(shipped / "one", id="zeta")
        write_plugin(user / "two", id="alpha")
        discovery = find(shipped, user)
        assert [(f.id, f.origin) for f in discovery.found] == [("alpha", "user"), ("zeta", "shipped")]
        assert discovery.problems == ()
        assert discovery.get("zeta") is not None
        assert discovery.get("nope") is None

    def test_nothing_is_imported(self, shipped: Path, user: Path, tmp_path: Path) -> None:
        mark = tmp_path / "ran"
        write_plugin(shipped / "one", f"open({str(mark)!r}, 'w')")
        discover(shipped, user)  # once, so that the standard library has all it needs
        before = set(sys.modules)
        assert len(discover(shipped, user).found) == 1
        assert set(sys.modules) == before
        assert not mark.exists()

    def test_names_that_begin_with_an_underscore_or_a_dot_and_files_are_passed_over(
        self, shipped: Path, user: Path
    ) -> None:
        write_plugin(shipped / "_template", id="one")
        write_plugin(shipped / ".git", id="two")
        (shipped / "README.md").write_text("x", encoding="utf-8")
        assert find(shipped, user) == Discovery((), ())

    def test_the_shipped_one_of_two_wins(self, shipped: Path, user: Path) -> None:
        write_plugin(user / "a")
        write_plugin(shipped / "z")
        discovery = find(shipped, user)
        assert [f.origin for f in discovery.found] == ["shipped"]
        assert len(discovery.problems) == 1
        assert 'Two plugins have the id "middle"' in discovery.problems[0]

    def test_a_broken_one_costs_only_itself(self, shipped: Path, user: Path) -> None:
        write_plugin(user / "bad", api=9)
        (user / "empty").mkdir()
        write_plugin(user / "good", id="good")
        discovery = find(shipped, user)
        assert [f.id for f in discovery.found] == ["good"]
        assert len(discovery.problems) == 2

    def test_folders_that_are_not_there_are_no_problem(self, tmp_path: Path) -> None:
        assert find(tmp_path / "x", tmp_path / "y") == Discovery((), ())

    def test_by_default_the_programs_and_the_users_folders_are_looked_at(self) -> None:
        write_plugin(paths.user_plugins_dir() / "mine", id="mine")
        origins = {f.id: f.origin for f in discover().found}
        assert origins["mine"] == "user"

    def test_select_names_those_there_are(self, shipped: Path, user: Path) -> None:
        write_plugin(shipped / "one", id="one", after=["two"])
        write_plugin(shipped / "two", id="two")
        discovery = find(shipped, user)
        assert [f.id for f in discovery.select(["one", "two", "one"])] == ["two", "one"]
        with pytest.raises(UserError, match='no plugin "three"; there are: one, two'):
            discovery.select(["three"])


class TestEntryPoints:
    @pytest.fixture
    def site(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        site = tmp_path / "site"
        site.mkdir()
        monkeypatch.syspath_prepend(site)
        return site

    def install(self, site: Path, *values: str) -> None:
        info = site / "strange_plugins-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange-plugins\nVersion: 1.0\n", encoding="utf-8")
        lines = [f"p{i} = {value}" for i, value in enumerate(values)]
        (info / "entry_points.txt").write_text("\n".join(["[puncta.plugins]", *lines, ""]), encoding="utf-8")
        importlib.invalidate_caches()

    def test_a_package_is_found_without_importing_it_or_its_parent(self, site: Path, shipped: Path, user: Path) -> None:
        (site / "strange").mkdir()
        (site / "strange" / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
        write_plugin(site / "strange" / "inner", files={"__init__.py": "raise RuntimeError('imported')"}, id="inner")
        self.install(site, "strange.inner")
        discovery = discover(shipped, user)
        found = discovery.get("inner")
        assert found is not None
        assert (found.origin, found.folder) == ("entry point", site / "strange" / "inner")
        assert "strange" not in sys.modules
        with pytest.raises(PluginLoadError, match="is not allowed yet"):
            load(found, no_model)
        consent.grant(found)
        assert isinstance(load(found, no_model), Plugin)
        assert "strange" not in sys.modules

    def test_one_that_leads_nowhere_is_a_problem(self, site: Path, shipped: Path, user: Path) -> None:
        (site / "bare").mkdir()
        (site / "bare" / "__init__.py").touch()
        self.install(site, "bare", "not_there", "bare.deeper.still")
        discovery = discover(shipped, user)
        assert [p for p in discovery.problems if "holds no plugin.toml" in p] == list(discovery.problems)
        assert len(discovery.problems) == 3


class TestOrder:
    def found(self, folder: Path, **after: list[str]) -> list[FoundPlugin]:
        for plugin_id, upstream in after.items():
            write_plugin(folder / plugin_id, id=plugin_id, after=upstream)
        by_id = {f.id: f for f in find(folder, folder / "none").found}
        return [by_id[i] for i in after]

    def test_upstream_comes_first_and_else_the_order_stays(self, shipped: Path) -> None:
        found = self.found(shipped, d=["a"], c=[], b=["d", "c"], a=[])
        assert [f.id for f in dependency_order(found)] == ["a", "d", "c", "b"]

    def test_an_absent_upstream_is_no_error(self, shipped: Path) -> None:
        assert [f.id for f in dependency_order(self.found(shipped, a=["elsewhere"]))] == ["a"]

    def test_a_circle_is_one_sentence(self, shipped: Path) -> None:
        found = self.found(shipped, a=["b"], b=["c"], c=["b"])
        with pytest.raises(UserError, match="circle: b after c after b"):
            dependency_order(found)


class TestConsent:
    @pytest.fixture
    def found(self, shipped: Path, user: Path) -> FoundPlugin:
        write_plugin(user / "mine")
        return find(shipped, user).found[0]

    def test_without_it_a_plugin_does_not_run(self, found: FoundPlugin, tmp_path: Path) -> None:
        mark = tmp_path / "ran"
        write_plugin(found.folder, f"open({str(mark)!r}, 'w')\n{CODE}")
        found = find(tmp_path / "shipped", found.folder.parent).found[0]
        with pytest.raises(PluginLoadError, match="puncta plugins allow middle"):
            load(found, no_model)
        assert not mark.exists()

    def test_it_is_remembered(self, found: FoundPlugin) -> None:
        assert consent.is_needed(found) and not consent.is_granted(found)
        consent.grant(found)
        assert consent.is_granted(found)
        plugin = load(found, no_model)
        plugin.reset(ResetReason.OPENED)
        plugin.close()

    def test_one_changed_byte_needs_a_new_one(self, found: FoundPlugin, shipped: Path, user: Path) -> None:
        consent.grant(found)
        path = found.folder / "README.md"
        path.write_bytes(path.read_bytes() + b" ")
        changed = find(shipped, user).found[0]
        assert not consent.is_granted(changed)
        assert consent.is_outdated(changed)
        with pytest.raises(PluginLoadError, match="changed since it was allowed"):
            load(changed, no_model)

    def test_files_that_change_between_finding_and_loading_are_refused(self, found: FoundPlugin) -> None:
        consent.grant(found)
        (found.folder / "plugin.py").write_text(f"{CODE}\n# other\n", encoding="utf-8")
        with pytest.raises(PluginLoadError, match="changed while Puncta runs"):
            load(found, no_model)

    def test_it_can_be_withdrawn(self, found: FoundPlugin) -> None:
        consent.grant(found)
        assert consent.withdraw("middle")
        assert not consent.is_granted(found)
        assert not consent.withdraw("middle")

    def test_a_shipped_plugin_needs_none(self, shipped: Path, user: Path) -> None:
        write_plugin(shipped / "ours")
        found = find(shipped, user).found[0]
        assert not consent.is_needed(found)
        assert isinstance(load(found, no_model), Plugin)

    @pytest.mark.parametrize(
        "text", ["no json", "[]", '{"version": 2, "allowed": {}}', '{"version": 1, "allowed": {"middle": 1}}']
    )
    def test_a_damaged_file_allows_nothing_and_can_be_replaced(self, found: FoundPlugin, text: str) -> None:
        file = paths.user_config_dir() / "plugin_consent.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        assert not consent.is_granted(found)
        consent.grant(found)
        assert consent.is_granted(found)

    def test_a_folder_that_cannot_be_written_is_one_sentence(self, found: FoundPlugin, user_home: Path) -> None:
        (user_home / "config").write_text("a file where the folder should be", encoding="utf-8")
        with pytest.raises(UserError, match="cannot be kept"):
            consent.grant(found)


def test_options_reach_the_plugin_and_wrong_ones_are_refused(shipped: Path, user: Path) -> None:
    write_plugin(shipped / "ours", options={"threshold": {"default": 0.5, "max": 1.0}})
    found = find(shipped, user).found[0]
    assert load(found, no_model, {"threshold": 0.7}).context.options == {"threshold": 0.7}  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="must be at most 1"):
        load(found, no_model, {"threshold": 7.0})
