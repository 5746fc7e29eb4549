"""R in Live: a light, a session that opens with one click, the last seconds, and a plain sentence where it fails."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

from paced_source import PacedSource
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from puncta import paths
from puncta.core.events import PlayState
from puncta.core.frame import SourceKind
from puncta.core.ports import FrameSource
from puncta.formats.validate import validate
from puncta.gui.i18n import tr
from puncta.recording.begun import PLACE, NeverBegan, take_never_began
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


def lines_of(folder: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_the_target_is_recorded_also_where_it_was_set_on_a_held_picture(stage, qtbot) -> None:  # noqa: ANN001
    window = stage.open(opener=opener).window
    window.open_uri("grabber")
    qtbot.waitUntil(lambda: window.mode == "live" and window.desk.analysis is not None, timeout=PATIENCE_MS)
    window.does.run("record")
    qtbot.waitUntil(lambda: window.recording.status.stored > 3, timeout=PATIENCE_MS)
    window.does.run("play")
    qtbot.waitUntil(lambda: window.desk.status.state is PlayState.PAUSED, timeout=PATIENCE_MS)
    x0, y0, *_ = window.desk.analysis.frame.geometry.region.box
    window.desk.set_target((x0 + 50.0, y0 + 40.0))
    assert window.desk.analysis.target.point_px == (x0 + 50.0, y0 + 40.0), "a held picture shows it at once"
    window.does.run("play")
    held = window.recording.status.stored
    qtbot.waitUntil(lambda: window.recording.status.stored > held + 10, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: window.desk.status.state is PlayState.PLAYING, timeout=PATIENCE_MS)
    window.desk.set_target(None)
    window.does.run("record")
    qtbot.waitUntil(lambda: "Saved as" in window.status_line.message, timeout=PATIENCE_MS)
    (folder,) = sessions()
    assert validate(folder).problems == ()
    targets = [line.get("target") for line in lines_of(folder, "results.jsonl")]
    assert targets[0] is None and any(targets)
    # The pictures of this source are noise: the target is found or lost, but never without saying which.
    assert all(t["point_px"] is not None or t["reason"] for t in targets if t)
    marks = [e["marker"] for e in lines_of(folder, "events.jsonl") if e["type"] == "marker"]
    assert [(m["kind"], m["text"]) for m in marks] == [("target", "set"), ("target", "removed")]
    assert marks[0]["point_px"] == [50.0, 40.0] and marks[1]["point_px"] is None
    assert marks[0]["key"]["index"] < marks[1]["key"]["index"]


class WithTransforms(PacedSource):
    """A grabber that also sends where the probe is."""

    def take_transforms(self) -> list[tuple[str, tuple[float, ...], int]]:
        return [("ProbeToTracker", (1.0, 0.0, 0.0, 5.0, *([0.0] * 11), 1.0), time.monotonic_ns())]


def test_transforms_are_recorded_and_told(stage, qtbot) -> None:  # noqa: ANN001
    def open_tracked(uri: str) -> FrameSource:
        return opener(uri) if Path(uri).is_dir() else WithTransforms((300, 120), 40.0, name=uri)

    window = stage.open(opener=open_tracked).window
    window.open_uri("grabber")
    qtbot.waitUntil(lambda: window.mode == "live" and window.desk.analysis is not None, timeout=PATIENCE_MS)
    window.does.run("record")
    qtbot.waitUntil(lambda: window.recording.status.stored > 3, timeout=PATIENCE_MS)
    window.does.run("record")
    qtbot.waitUntil(lambda: "Saved as" in window.status_line.message, timeout=PATIENCE_MS)
    (folder,) = sessions()
    found = [e for e in lines_of(folder, "events.jsonl") if e["type"] == "transform"]
    assert found and {e["name"] for e in found} == {"ProbeToTracker"} and found[0]["matrix"][3] == 5.0
    window.open_uri(str(folder))
    qtbot.waitUntil(lambda: window.mode == "review" and window.desk.info.title == folder.name, timeout=PATIENCE_MS)
    assert dict(window.desk.info.details)["Transforms"] == f"{len(found)} of ProbeToTracker"


def test_a_recording_that_never_began_is_told_at_the_start_and_its_note_is_read_beside_the_window(
    stage, qtbot, monkeypatch  # noqa: ANN001
) -> None:
    place = paths.user_data_dir() / PLACE
    place.mkdir(parents=True)
    note = {"folder": str(paths.user_sessions_dir() / "cut-off"), "utc": "2026-01-31T12:00:00Z"}
    (place / "1-2-0.json").write_text(json.dumps(note), encoding="utf-8")
    where: list[bool] = []

    def take() -> list[NeverBegan]:
        where.append(threading.current_thread() is threading.main_thread())
        return take_never_began()

    monkeypatch.setattr("puncta.gui.recording.take_never_began", take)
    window = stage.open(opener=opener).window
    qtbot.waitUntil(lambda: "begun" in window.stage.banners.texts(), timeout=PATIENCE_MS)
    assert "cut-off" in window.stage.banners.texts()["begun"] and where == [False]
    assert list(place.iterdir()) == []
