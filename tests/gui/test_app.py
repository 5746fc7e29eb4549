"""The whole window as `puncta` starts it: application, event loop, player, first case, and the end of all that."""

from __future__ import annotations

import gc
import signal
import threading
from pathlib import Path

import pytest
from plugin_folder import write_plugin
from PySide6.QtCore import QObject, QSocketNotifier, QTimer
from PySide6.QtWidgets import QPushButton
from shiboken6 import Shiboken

from puncta import paths
from puncta.core.events import PlayState
from puncta.gui.app import Parts, run_window
from puncta.gui.main_window import first_sources
from puncta.pipeline.consent import is_granted
from puncta.pipeline.discover import discover
from puncta.settings import Settings, load_settings, save_settings

PATIENCE_S = 120
"""No test waits this long [s] where all is well: each closes its window by itself."""


def test_what_opens_first(monkeypatch: pytest.MonkeyPatch, repo_root: Path) -> None:
    monkeypatch.chdir(repo_root)
    sample = str(paths.sample_case())
    assert first_sources("a.mp4", "b.mp4") == ("a.mp4",)
    assert first_sources("pyproject.toml", "") == (str(Path("pyproject.toml").absolute()),)
    assert first_sources(None, "b.mp4") == ("b.mp4", sample, "sim:breast?seed=1")
    assert first_sources(None, "") == (sample, "sim:breast?seed=1")
    assert first_sources(None, sample) == (sample, "sim:breast?seed=1")


def test_a_first_start_plays_the_sample_with_three_things_to_try(qapp) -> None:
    if not paths.sample_case().is_file():
        pytest.skip("the sample case is not there")
    seen: dict[str, object] = {}

    def ready(parts: Parts) -> None:
        def look() -> None:
            if parts.desk.latency().frame_to_painted is None:
                return
            timer.stop()
            seen["uri"] = parts.desk.uri
            seen["state"] = parts.desk.status.state
            seen["tips"] = parts.window.stage.try_card.isVisible()
            seen["simulated"] = parts.window.stage.simulated.isVisible()
            seen["key"] = parts.window.stage.view.scene.key == parts.desk.analysis.frame.key
            parts.window.close()

        timer = QTimer(parts.window)
        timer.timeout.connect(look)
        timer.start(30)

    before = set(threading.enumerate())
    assert run_window(None, on_ready=ready, quit_after_s=PATIENCE_S) == 0
    assert seen == {
        "uri": str(paths.sample_case()),
        "state": PlayState.PLAYING,
        "tips": True,
        "simulated": True,
        "key": True,
    }
    assert [t for t in threading.enumerate() if t not in before and t.is_alive()] == []
    assert load_settings()[0].last_source == str(paths.sample_case())


def test_the_end_of_the_window_is_the_end_of_its_event_loop(qapp) -> None:
    """A timer or a watch on a pipe that lived on would end in whichever thread looks next: Qt dies of it."""
    assert run_window(None, quit_after_s=0.5, keep_settings=False) == 0
    alive = [thing for thing in gc.get_objects() if isinstance(thing, QObject) and Shiboken.isValid(thing)]
    assert alive, "the application itself"
    assert [x for x in alive if isinstance(x, QSocketNotifier) or type(x).__module__.startswith("qasync")] == []


def test_a_last_case_that_is_gone_gives_way_to_the_sample(qapp, tmp_path) -> None:
    save_settings(Settings(last_source=str(tmp_path / "gone.mp4"), first_start_done=True))
    seen: list[str] = []

    def ready(parts: Parts) -> None:
        def look() -> None:
            if parts.desk.info is None or parts.desk.analysis is None:
                return  # the sample may have opened before this was called, or be under way
            timer.stop()
            seen.append(parts.desk.uri)
            parts.window.close()

        timer = QTimer(parts.window)
        timer.timeout.connect(look)
        timer.start(30)

    assert run_window(None, on_ready=ready, quit_after_s=PATIENCE_S) == 0
    assert seen == [str(paths.sample_case())]


def test_our_own_fault_is_told_kindly_and_ends_in_status_1(qapp, caplog) -> None:
    told: list[str] = []

    def ready(parts: Parts) -> None:
        QTimer.singleShot(0, lambda: 1 / 0)
        QTimer.singleShot(50, lambda: told.append(parts.window.stage.banners.texts().get("fault", "")))
        QTimer.singleShot(80, parts.window.close)

    assert run_window("sim:breast?seed=1", on_ready=ready, quit_after_s=PATIENCE_S, keep_settings=False) == 1
    assert told[0].startswith("Something went wrong inside Puncta.")
    assert any(record.exc_info for record in caplog.records)


def test_a_bad_setting_is_named_and_the_window_opens(qapp, user_home) -> None:
    file = user_home / "config" / "settings.toml"
    file.parent.mkdir(parents=True)
    file.write_text('theme = "purple"\nfont_scale = 1.25\n', encoding="utf-8")
    told: list[str] = []

    def ready(parts: Parts) -> None:
        told.append(parts.window.stage.banners.texts()["settings"])
        told.append(f"{parts.window.theme.name} {parts.window.theme.scale}")
        parts.window.close()

    assert run_window("sim:breast?seed=1", on_ready=ready, quit_after_s=PATIENCE_S) == 0
    assert "theme" in told[0]
    assert told[1] == "dark 1.25"


def test_ctrl_c_closes_the_window_properly(qapp) -> None:
    before = signal.getsignal(signal.SIGINT)
    parts_of: list[Parts] = []

    def ready(parts: Parts) -> None:
        parts_of.append(parts)
        QTimer.singleShot(200, lambda: signal.raise_signal(signal.SIGINT))

    assert run_window("sim:breast?seed=1", on_ready=ready, quit_after_s=PATIENCE_S, keep_settings=False) == 0
    assert parts_of[0].player.status().state is PlayState.EMPTY
    assert signal.getsignal(signal.SIGINT) is before


def test_a_foreign_plugin_waits_for_consent(qapp) -> None:
    folder = write_plugin(paths.user_plugins_dir() / "middle", title="Middle", author="A stranger")
    told: list[str] = []

    def ready(parts: Parts) -> None:
        banners = parts.window.stage.banners

        def look() -> None:
            if "consent-middle" in banners.texts():
                told.append(banners.texts()["consent-middle"])
                assert all(status.plugin_id != "middle" for status in parts.player.status().plugins)
                next(b for b in banners.findChildren(QPushButton) if b.text() == "Allow").click()
            elif told and parts.window.status_line.message:
                told.append(parts.window.status_line.message)
                timer.stop()
                parts.window.close()

        timer = QTimer(parts.window)
        timer.timeout.connect(look)
        timer.start(30)

    assert run_window("sim:breast?seed=1", on_ready=ready, quit_after_s=PATIENCE_S, keep_settings=False) == 0
    assert told[0] == "The plugin Middle by A stranger is new. It can read what you can read: allow it if you trust it."
    assert told[-1] == "Middle is allowed. It runs when Puncta starts next."
    found = discover().get("middle")
    assert found is not None
    assert is_granted(found)
    (folder / "plugin.py").write_text("# changed\n", encoding="utf-8")
    assert not is_granted(discover().get("middle"))
