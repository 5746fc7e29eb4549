"""R in Live: a light, a session that opens with one click, the last seconds, and a plain sentence where it fails."""

from __future__ import annotations

import json
from pathlib import Path

from paced_source import PacedSource
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from puncta import paths
from puncta.core.frame import SourceKind
from puncta.core.ports import FrameSource
from puncta.formats.validate import validate
from puncta.gui.i18n import tr
from puncta.recording.recorder import RecorderState, RecordingStatus

PATIENCE_MS = 60_000
"""A busy machine may take its time [ms]; a test that passes never waits so long."""


def opener(uri: str) -> FrameSource:
    """A grabber with a region (`grabber`), or one that shows a whole screen (`screen`)."""
    if Path(uri).is_dir():
        from puncta.sources.factory import open_source

        return open_source(uri)
    return PacedSource((300, 120), 40.0, kind=SourceKind.LIVE, region=uri != "screen", name=uri)


def sessions() -> list[Path]:
    top = paths.user_sessions_dir()
    return sorted(top.iterdir()) if top.is_dir() else []


def test_r_records_and_says_so_and_the_session_opens(stage, qtbot) -> None:  # noqa: ANN001
    window = stage.open(opener=opener).window
    window.open_uri("grabber")
    qtbot.waitUntil(lambda: window.mode == "live" and window.recording.status.pre_roll_s > 0.3, timeout=PATIENCE_MS)
    assert not window.live.light.isVisible()
    qtbot.keyClick(window.stage.view, Qt.Key.Key_R)
    qtbot.waitUntil(lambda: window.live.light.isVisible() and window.recording.status.stored > 20, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: window.live.record.text() == tr("Stop recording"), timeout=PATIENCE_MS)
    # The seconds before the key are in it.
    assert window.recording.status.seconds > 0.3
    qtbot.keyClick(window.stage.view, Qt.Key.Key_R)
    qtbot.waitUntil(lambda: "Saved as" in window.status_line.message, timeout=PATIENCE_MS)
    assert not window.live.light.isVisible()
    (folder,) = sessions()
    assert validate(folder).problems == ()
    manifest = json.loads((folder / "session.json").read_text())
    assert manifest["accounting"]["pre_roll"] > 0 and manifest["results"][0]["plugins"] == ["echo"]
    button = next(b for b in window.status_line.findChildren(QPushButton) if b.text() == tr("Open it"))
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.mode == "review" and window.desk.info.title == folder.name, timeout=PATIENCE_MS)


def test_the_last_seconds_are_saved_by_themselves(stage, qtbot) -> None:  # noqa: ANN001
    window = stage.open(opener=opener).window
    window.open_uri("grabber")
    qtbot.waitUntil(lambda: window.mode == "live" and window.recording.status.pre_roll_s > 0.3, timeout=PATIENCE_MS)
    qtbot.waitUntil(window.live.last.isEnabled, timeout=PATIENCE_MS)
    qtbot.mouseClick(window.live.last, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Saved as" in window.status_line.message, timeout=PATIENCE_MS)
    (folder,) = sessions()
    assert validate(folder).problems == ()
    assert window.recording.status.state is RecorderState.IDLE


def test_a_picture_without_a_region_is_recorded_whole_only_when_asked(stage, qtbot) -> None:  # noqa: ANN001
    window = stage.open(opener=opener).window
    window.open_uri("screen")
    qtbot.waitUntil(lambda: window.mode == "live" and window.desk.analysis is not None, timeout=PATIENCE_MS)
    qtbot.keyClick(window.stage.view, Qt.Key.Key_R)
    qtbot.waitUntil(lambda: "record" in window.stage.banners.texts(), timeout=PATIENCE_MS)
    assert "No ultrasound region is known" in window.stage.banners.texts()["record"]
    assert sessions() == []
    window.recording.record_whole()
    qtbot.waitUntil(lambda: window.recording.status.stored > 3, timeout=PATIENCE_MS)
    window.does.run("record")
    qtbot.waitUntil(lambda: "Saved as" in window.status_line.message, timeout=PATIENCE_MS)
    manifest = json.loads((sessions()[0] / "session.json").read_text())
    assert manifest["streams"][0]["kept"] == "whole picture"


def test_another_source_ends_the_recording_properly(stage, qtbot) -> None:  # noqa: ANN001
    window = stage.open(opener=opener).window
    window.open_uri("grabber")
    qtbot.waitUntil(lambda: window.mode == "live" and window.desk.analysis is not None, timeout=PATIENCE_MS)
    window.does.run("record")
    qtbot.waitUntil(lambda: window.recording.status.stored > 3, timeout=PATIENCE_MS)
    window.open_uri("screen")

    def closed() -> bool:
        return bool(sessions()) and json.loads((sessions()[0] / "session.json").read_text())["closed"]

    qtbot.waitUntil(closed, timeout=PATIENCE_MS)
    assert validate(sessions()[0]).problems == ()


def test_closing_the_window_ends_the_recording_properly(stage, qtbot) -> None:  # noqa: ANN001
    parts = stage.open(opener=opener)
    window = parts.window
    window.open_uri("grabber")
    qtbot.waitUntil(lambda: window.mode == "live" and window.desk.analysis is not None, timeout=PATIENCE_MS)
    window.does.run("record")
    qtbot.waitUntil(lambda: window.recording.status.stored > 3, timeout=PATIENCE_MS)
    stage.close(parts)
    assert json.loads((sessions()[0] / "session.json").read_text())["closed"]


def test_the_light_tells_time_losses_and_disk(stage) -> None:  # noqa: ANN001
    window = stage.open(opener=opener).window
    words = window.live.light.words_of
    assert words(RecordingStatus(RecorderState.RECORDING, 12.0, 360, disk_left_s=41 * 60.0)).endswith("disk for 41 min")
    assert "3 frames lost" in words(RecordingStatus(RecorderState.RECORDING, 12.0, 360, 3))
    assert words(RecordingStatus(RecorderState.RECORDING, 12.0, 360, disk_left_s=3 * 3600.0)).endswith("disk for 3 h")
