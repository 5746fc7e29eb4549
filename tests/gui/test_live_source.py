"""A live source in the window: opened by its address, lost, found again; what stands on the screen meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from file_capture import Bench
from pipeline_stage import EchoPlugin, hosted

from puncta.core.events import PlayState
from puncta.core.frame import Frame
from puncta.core.results import PluginOutput
from puncta.gui.bridge import Jobs
from puncta.gui.dialogs.live_source import LiveSourceDialog
from puncta.sdk.plugin import StepResult
from puncta.sources.camera import open_camera


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


def test_the_dialog_takes_addresses_and_refuses_what_is_none(qtbot, monkeypatch) -> None:
    monkeypatch.setattr("puncta.sources.live_open.find_sources", lambda: [("Grabber", "camera:3")])
    jobs = Jobs()
    dialog = LiveSourceDialog(jobs)
    qtbot.addWidget(dialog)
    try:
        assert not dialog.opener.isEnabled()
        qtbot.waitUntil(lambda: dialog.uri() == "camera:3", timeout=10_000)
        assert dialog.opener.isEnabled()
        dialog.address.setText("camera:front")
        assert not dialog.opener.isEnabled() and "names no camera" in dialog.hint.text()
        dialog.address.setText("udp://@:5000")
        assert dialog.opener.isEnabled()
    finally:
        jobs.close()
