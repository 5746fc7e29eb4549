"""A real window on a real recording: another model is promoted and taken up while the picture goes on."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import tomli_w
from pytestqt.qtbot import QtBot

from puncta import paths
from puncta.cli.main import main
from puncta.core.results import Analysis
from puncta.gui.app import Parts
from puncta.gui.desk import Desk
from puncta.inference.installing import install
from puncta.inference.promotion import promote
from puncta.inference.registry import Registry
from puncta.session.plugins import all_models, hosted_plugins
from puncta.settings import Settings
from puncta.sources.factory import open_source

PLUGIN = "needle-tip"


@pytest.fixture
def window(stage) -> Parts:  # noqa: ANN001
    """A window in which the sample plays again and again with the needle-tip plugin."""
    settings = Settings(first_start_done=True, enabled_plugins=[PLUGIN], repeat=True)
    parts = stage.open(settings, plugins=hosted_plugins([PLUGIN]), opener=open_source)
    parts.window.modeller.desk.watch.end()  # else it takes up by itself what a test promotes
    parts.window.desk.open(str(paths.sample_case()))
    return parts


class Watch:
    """What the desk shows and says, in order."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.shown, self.switches = desk, list[Analysis](), list[tuple[str, str, str]]()
        self.shown_at_switch = 0
        desk.pictured.connect(self._picture)
        desk.model_switched.connect(self._switch)

    def _picture(self) -> None:
        if self.desk.analysis is not None:
            self.shown.append(self.desk.analysis)

    def _switch(self, plugin: str, model: str, message: str) -> None:
        self.switches.append((plugin, model, message))
        self.shown_at_switch = len(self.shown)

    def hashes(self, since: int = 0) -> list[str]:
        return [o.model_sha256 for a in self.shown[since:] for o in a.outputs]


def use(model: str) -> str:
    registry = Registry.load()
    return promote(registry, registry.find(model)).sha256


def until(qtbot: QtBot, true: Callable[[], bool]) -> None:
    qtbot.waitUntil(true)


def test_a_promoted_model_is_taken_up_while_the_picture_plays(window: Parts, qtbot: QtBot) -> None:
    desk = window.window.desk
    watch = Watch(desk)
    old = Registry.load().default_for(PLUGIN)
    until(qtbot, lambda: watch.hashes().count(old.sha256) >= 5)
    new = use("needle-tip-ut@0.2")
    assert new != old.sha256
    desk.reload_plugin(PLUGIN)
    until(qtbot, lambda: bool(watch.switches))
    until(qtbot, lambda: watch.hashes().count(new) >= 20)
    assert watch.switches == [(PLUGIN, "needle-tip-ut 0.2", "")]
    hashes = watch.hashes()
    assert hashes[0] == old.sha256 and hashes[-1] == new
    turn = hashes.index(new)
    assert set(hashes[:turn]) == {old.sha256} and set(hashes[turn:]) == {new}, "no overlay of the old model comes back"
    assert old.sha256 not in watch.hashes(watch.shown_at_switch), "none is shown after the switch was told"
    assert all(o.frame_id == a.frame.frame_id for a in watch.shown for o in a.outputs), "each with its own overlay"
    assert watch.shown[-1].frame.source.uri == watch.shown[0].frame.source.uri, "the source was never closed"
    frames = [a.frame.frame_id for a in watch.shown]
    assert frames == sorted(frames)
    (status,) = [s for s in desk.player.status().plugins if s.plugin_id == PLUGIN]
    assert status.model == "needle-tip-ut 0.2" and not status.message


def test_what_a_shell_promotes_and_takes_back_is_taken_up_by_an_open_window(window: Parts, qtbot: QtBot) -> None:
    desk, looked = window.window.desk, window.window.modeller.desk.watch
    watch = Watch(desk)
    old = Registry.load().default_for(PLUGIN)
    until(qtbot, lambda: watch.hashes().count(old.sha256) >= 5 and looked.promotions is not None)
    assert main(["models", "promote", "needle-tip-ut@0.2"]) == 0
    looked.begin()
    until(qtbot, lambda: bool(watch.switches) and watch.shown_at_switch < len(watch.shown))
    assert watch.switches == [(PLUGIN, "needle-tip-ut 0.2", "")]
    until(qtbot, lambda: watch.hashes()[-1] == Registry.load().default_for(PLUGIN).sha256 != old.sha256)
    assert window.window.status_line.message.startswith("Changed outside this window. Needle tip now uses: ")
    assert main(["models", "rollback", PLUGIN]) == 0
    until(qtbot, lambda: len(watch.switches) == 2)
    assert watch.switches[1] == (PLUGIN, old.identity, "")


def own_model(folder: Path) -> str:
    """Install a copy of a shipped model under a name of its own and return it."""
    card = Registry.load().find("needle-tip-ut@0.2")
    folder.mkdir()
    table = tomllib.loads((card.folder / "registry.toml").read_text(encoding="utf-8"))
    entry = next(m for m in table["models"] if (m["id"], m["version"]) == (card.id, card.version))
    entry = {**entry, "id": "own-tip", "version": "1.0", "file": "own.onnx", "card": "own.md"}
    entry.pop("variants", None)
    shutil.copy(card.folder / card.file, folder / "own.onnx")
    (folder / "own.md").write_text("# own-tip\n\nA copy, for a test.\n", encoding="utf-8")
    (folder / "registry.toml").write_text(tomli_w.dumps({"version": 1, "models": [entry]}), encoding="utf-8")
    install(folder)
    return "own-tip@1.0"


def test_a_damaged_file_keeps_the_old_model_running_and_says_so(window: Parts, qtbot: QtBot, tmp_path: Path) -> None:
    desk = window.window.desk
    watch = Watch(desk)
    old = Registry.load().default_for(PLUGIN)
    until(qtbot, lambda: watch.hashes().count(old.sha256) >= 5)
    use(own_model(tmp_path / "made"))
    card = all_models().find("own-tip")
    data = bytearray((card.folder / card.file).read_bytes())
    data[1000] ^= 1
    (card.folder / card.file).write_bytes(data)
    desk.reload_plugin(PLUGIN)
    until(qtbot, lambda: bool(watch.switches))
    since = len(watch.shown)
    until(qtbot, lambda: len(watch.shown) >= since + 10)
    ((plugin, model, message),) = watch.switches
    assert (plugin, model) == (PLUGIN, old.identity)
    assert message.startswith(f'Needle tip goes on with "{old.identity}". The file models/own-tip-1.0.onnx ')
    assert "does not match its recorded hash" in message and "\n" not in message
    assert set(watch.hashes()) == {old.sha256}
    assert len({a.frame.epoch for a in watch.shown[since:]}) <= 2, "nothing began anew but the repeat"
