"""A live source in the window: opened by its address, lost, found again; what stands on the screen meanwhile."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Mapping
from dataclasses import replace

import pytest
import qasync
from file_capture import Bench
from pipeline_stage import EchoPlugin, hosted
from PySide6.QtCore import QCoreApplication, QEvent, QTimer

from puncta.core.events import PlayState
from puncta.core.frame import Frame
from puncta.core.results import PluginOutput
from puncta.gui.bridge import Jobs
from puncta.gui.dialogs.live_source import LiveSourceDialog
from puncta.gui.i18n import install_language, remove_language
from puncta.sdk.plugin import StepResult
from puncta.sources.camera import open_camera
from puncta.sources.camera_listing import CameraListed


class FirstPixel(EchoPlugin):
    """Reports the first grey value of a picture in colour."""

    def step(self, frame: Frame, upstream: Mapping[str, PluginOutput]) -> StepResult:
        return super().step(replace(frame, pixels=frame.pixels[..., 0].copy()), upstream)


def test_a_lost_camera_loses_its_overlay_says_one_sentence_and_comes_back(stage, qtbot) -> None:
    bench = Bench(rate=40.0, size_px=(256, 48))
    parts = stage.open(plugins=[hosted(FirstPixel())], opener=lambda uri: open_camera(uri, open_it=bench.open))
    window, desk = parts.window, parts.desk
    window.open_uri("camera:0")
    qtbot.waitUntil(lambda: desk.analysis is not None and bool(desk.analysis.outputs), timeout=20_000)
    assert window.mode == "live" and desk.is_live
    bench.plugged = False
    qtbot.waitUntil(lambda: desk.status.state is PlayState.RECONNECTING, timeout=20_000)
    qtbot.waitUntil(lambda: desk.analysis is not None and not desk.analysis.outputs, timeout=20_000)
    qtbot.waitUntil(lambda: "source" in window.stage.banners.texts(), timeout=20_000)
    assert "Camera 0" in window.stage.banners.texts()["source"]
    assert window.top.latency.word == "lost"
    epoch = desk.analysis.frame.epoch
    bench.plugged = True
    qtbot.waitUntil(lambda: desk.status.state is PlayState.PLAYING, timeout=30_000)
    qtbot.waitUntil(lambda: bool(desk.analysis.outputs), timeout=20_000)
    assert desk.analysis.frame.epoch > epoch, "plugins begin anew"
    qtbot.waitUntil(lambda: "source" not in window.stage.banners.texts(), timeout=20_000)
    # The rate is measured anew after a loss and takes a few pictures.
    qtbot.waitUntil(lambda: desk.status.health is not None and desk.status.health.rate is not None, timeout=20_000)
    window.top.latency.click()
    assert window.top.latency.details is not None
    words = [key.text() for key, _value in window.top.latency.details._labels]
    assert {"Pictures that come", "Found again"} <= set(words)
    window.top.latency.details.close()


def test_a_frozen_view_shows_the_newest_picture_when_it_runs_again(stage, qtbot) -> None:
    bench = Bench(rate=40.0, size_px=(256, 48))
    parts = stage.open(plugins=[hosted(FirstPixel())], opener=lambda uri: open_camera(uri, open_it=bench.open))
    desk = parts.desk
    parts.window.open_uri("camera:0")
    qtbot.waitUntil(lambda: desk.analysis is not None, timeout=20_000)
    desk.toggle()
    qtbot.waitUntil(lambda: desk.status.state is PlayState.PAUSED, timeout=10_000)
    qtbot.waitUntil(lambda: desk.analysis.frame.key.index == desk.player.status().index, timeout=10_000)
    qtbot.wait(400)  # a frame that was under way when the view was frozen still arrives
    held = desk.analysis.frame.key.index
    qtbot.wait(1200)
    assert desk.analysis.frame.key.index == held
    desk.toggle()
    qtbot.waitUntil(lambda: desk.analysis.frame.key.index > held + 20, timeout=20_000)
    drops = dict(desk.status.health.drops)
    assert drops.get("program busy", 0) == 0, "what passes while the view is frozen is no loss"


def test_a_password_stays_out_of_the_recent_list(stage, qtbot) -> None:
    bench = Bench()
    parts = stage.open(plugins=[hosted(FirstPixel())], opener=lambda _uri: open_camera("camera:0", open_it=bench.open))
    parts.window.open_uri("rtsp://nurse:secret@host/live")
    qtbot.waitUntil(lambda: parts.desk.analysis is not None, timeout=20_000)
    assert parts.preferences.settings.recent[0] == "rtsp://host/live"
    assert "secret" not in parts.window.windowTitle()


@pytest.fixture
def search(qapp, monkeypatch):  # noqa: ANN001, ANN201
    """Run what needs the program's own event loop; `camera_gate` holds the drivers until it is set."""
    gate = threading.Event()

    def slow_cameras() -> list[CameraListed]:
        assert gate.wait(60)
        return [CameraListed(3, "Grabber", ())]

    monkeypatch.setattr("puncta.sources.camera_listing.list_cameras", slow_cameras)
    monkeypatch.setattr("puncta.sources.screen.list_screens", lambda: ())
    jobs, loop = Jobs(), qasync.QEventLoop(qapp, already_running=False)
    asyncio.set_event_loop(loop)

    def run(scene):  # noqa: ANN001, ANN202
        async def within_time() -> None:
            await asyncio.wait_for(scene(jobs, gate), 90)

        loop.run_until_complete(within_time())

    try:
        yield run
    finally:
        gate.set()
        jobs.close()
        loop.close()
        asyncio.set_event_loop(None)


def throw_away(dialog: LiveSourceDialog) -> None:
    dialog.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


async def until(condition) -> None:  # noqa: ANN001
    while not condition():
        await asyncio.sleep(0.01)


def test_servers_are_listed_while_a_driver_still_hangs_and_the_window_stays_alive(search) -> None:  # noqa: ANN001
    async def scene(jobs: Jobs, gate: threading.Event) -> None:
        with socket.create_server(("127.0.0.1", 0)) as known:
            uri = f"igtl://127.0.0.1:{known.getsockname()[1]}"
            dialog = LiveSourceDialog(jobs, ["clip.mp4", uri + "?device=Probe", "igtl://127.0.0.1:1"])
            await until(lambda: dialog.found.findData(uri) >= 0)
            assert dialog.found.findData("camera:3") < 0, "the driver still hangs"
            assert dialog.found.findData("igtl://127.0.0.1:1") < 0, "nobody answers there"
            # Only the window's own thread can let the driver go: were it held up, this would never end.
            QTimer.singleShot(10, gate.set)
            await until(lambda: dialog.found.findData("camera:3") >= 0)
            assert dialog.uri() == uri, "what was offered first is not taken away by what comes later"
            dialog.reject()
            throw_away(dialog)

    search(scene)


def test_the_dialog_takes_addresses_and_refuses_what_is_none(search) -> None:  # noqa: ANN001
    async def scene(jobs: Jobs, gate: threading.Event) -> None:
        dialog = LiveSourceDialog(jobs)
        assert not dialog.opener.isEnabled()
        gate.set()
        await until(lambda: dialog.uri() == "camera:3")
        assert dialog.opener.isEnabled()
        dialog.address.setText("camera:front")
        assert not dialog.opener.isEnabled() and "names no camera" in dialog.hint.text()
        dialog.address.setText("udp://@:5000")
        assert dialog.opener.isEnabled()
        dialog.accept()
        throw_away(dialog)

    search(scene)


def test_a_german_dialog_says_in_german_what_is_wrong_with_an_address(search, qapp) -> None:  # noqa: ANN001
    async def scene(jobs: Jobs, gate: threading.Event) -> None:
        dialog = LiveSourceDialog(jobs)
        dialog.address.setText("camera:front")
        assert dialog.hint.text().startswith("camera:front nennt keine Kamera;")
        gate.set()
        dialog.reject()
        throw_away(dialog)

    kept = install_language(qapp, "de")
    try:
        search(scene)
    finally:
        remove_language(qapp, kept)
        install_language(qapp, "en")


def test_a_dialog_that_is_closed_stops_looking(search) -> None:  # noqa: ANN001
    async def scene(jobs: Jobs, gate: threading.Event) -> None:
        dialog = LiveSourceDialog(jobs)
        dialog.reject()
        gate.set()
        await until(dialog._search.done)
        assert dialog._search.cancelled() and dialog.found.findData("camera:3") < 0
        throw_away(dialog)

    search(scene)
