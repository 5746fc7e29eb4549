"""What the window promises: the safety line, reach, opening, target, ruler, snapshot."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QComboBox, QWidget
from widget_checks import cut_labels, nameless
from window_stage import active, click_picture, playing, stream_of

from puncta.core.events import PlayState
from puncta.core.frame import CalibrationOrigin
from puncta.gui.dialogs.keys import KeysDialog
from puncta.gui.dialogs.ruler import RulerDialog
from puncta.gui.dialogs.settings import SettingsDialog
from puncta.gui.dialogs.simulator import SimulatorDialog
from puncta.gui.remembered import ruler_identity
from puncta.gui.video.stage import SAFETY_LINE
from puncta.gui.video.tools import Tool
from puncta.settings import Settings

# --- the safety line, reach, room ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theme", "scale", "size"),
    list(itertools.product(("dark", "light"), (1.0, 2.0), ((1280, 720), (1920, 1080)))),
)
def test_the_safety_line_stands_and_no_word_is_cut(
    stage, qtbot, theme: str, scale: float, size: tuple[int, int]
) -> None:
    settings = Settings(
        theme=theme, font_scale=scale, first_start_done=True, enabled_plugins=["echo"], profile="annotator"
    )
    parts = stage.open(settings, size=size)
    window = parts.window
    for uri, mode in (("sim:breast?seed=1", "live"), ("case-a", "review")):
        playing(parts, qtbot, uri)
        qtbot.waitUntil(lambda mode=mode: window.mode == mode)
        window.show_figures()
        qtbot.wait(30)
        safety = window.stage.safety
        assert safety.text() == SAFETY_LINE
        assert safety.isVisible()
        assert window.rect().contains(safety.mapTo(window, safety.rect().center()))
        assert safety.height() >= safety.heightForWidth(safety.width())
        view = window.stage.view
        assert not view.rect().intersects(
            safety.rect().translated(safety.mapTo(window, QPoint()) - view.mapTo(window, QPoint()))
        )
        assert view.height() >= size[1] * 0.4, "the picture owns the middle"
        for _ in range(50):  # figures go on changing while the layout follows
            if not cut_labels(window):
                break
            qtbot.wait(20)
        assert cut_labels(window) == []


def test_the_check_for_cut_words_finds_a_cut_word(stage, qtbot) -> None:
    parts = stage.open()
    parts.window.stage.safety.setWordWrap(False)
    parts.window.stage.safety.setFixedWidth(60)
    qtbot.wait(20)
    assert any(SAFETY_LINE in words for words in cut_labels(parts.window))


def test_all_that_can_be_used_has_a_name(stage, qtbot) -> None:
    parts = stage.open()
    playing(parts, qtbot)
    window = parts.window
    assert nameless(window) == []
    for dialog in (
        SettingsDialog(parts.preferences, window.theme, lambda: None, window),
        KeysDialog(parts.preferences, window.theme, window),
        SimulatorDialog(["A", "B"], window),
        RulerDialog(100.0, window),
    ):
        assert nameless(dialog) == [], type(dialog).__name__
        dialog.deleteLater()


def test_touch_size_makes_controls_44_high(stage, qtbot) -> None:
    parts = stage.open(Settings(first_start_done=True, touch_size=True))
    qtbot.wait(30)
    kinds = (QAbstractButton, QAbstractSlider, QComboBox)
    targets = [w for w in parts.window.findChildren(QWidget) if isinstance(w, kinds) and w.isVisible()]
    small = [f"{type(w).__name__} {w.accessibleName()!r} {w.height()}" for w in targets if w.height() < 44]
    assert len(targets) > 20
    assert [words for words in small if not words.startswith("QScrollBar")] == []


# --- opening ---------------------------------------------------------------------------------------------------


def test_files_go_to_review_and_streams_to_live(stage, qtbot) -> None:
    parts = stage.open()
    playing(parts, qtbot)
    assert parts.window.mode == "review"
    assert not parts.window.stage.simulated.isVisible()
    parts.desk.seek(30)
    qtbot.waitUntil(lambda: parts.desk.shown_index() >= 30)
    active(parts, qtbot)
    QTest.keyClick(parts.window.stage.view, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: parts.window.mode == "live", timeout=5000)
    assert parts.desk.uri.startswith("sim:")
    assert parts.window.stage.simulated.isVisible()
    assert not parts.window.keyboard.actions["frame_on"].isEnabled()
    QTest.keyClick(parts.window.stage.view, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: parts.window.mode == "review", timeout=5000)
    assert parts.desk.uri == "case-a"
    qtbot.waitUntil(lambda: stream_of(parts) == "case-a")


def test_a_source_that_fails_to_open_keeps_the_case(stage, qtbot) -> None:
    parts = stage.open()
    playing(parts, qtbot)
    parts.desk.step(0)
    parts.desk.seek(25)
    qtbot.waitUntil(lambda: parts.desk.shown_index() == 25)
    parts.desk.set_target((5.0, 5.0))
    parts.window.open_uri("missing.mp4")
    banners = parts.window.stage.banners
    qtbot.waitUntil(lambda: "open" in banners.texts())
    assert banners.texts()["open"] == "missing.mp4 does not exist, check the name and the folder."
    qtbot.waitUntil(lambda: parts.desk.status.state is PlayState.PAUSED)
    assert parts.desk.uri == "case-a"
    assert parts.desk.shown_index() == 25
    assert stream_of(parts) == "case-a"
    assert parts.desk.target_px == (5.0, 5.0)
    assert "missing.mp4" not in parts.preferences.settings.recent
    assert "open" in banners.texts()


def test_the_first_start_falls_back_to_what_opens(stage, qtbot) -> None:
    parts = stage.open()
    parts.window.open_uri("missing-last.mp4", fallbacks=("missing-sample.dcm", "sim:breast?seed=1"))
    qtbot.waitUntil(lambda: parts.desk.uri == "sim:breast?seed=1" and parts.desk.analysis is not None, timeout=5000)


def test_a_dropped_file_opens(stage, qtbot, tmp_path: Path) -> None:
    parts = stage.open()
    file = tmp_path / "dropped.mp4"
    file.write_bytes(b"")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file))])
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(50, 50), copy, data, left, none)
    parts.window.dragEnterEvent(enter)
    assert enter.isAccepted()
    parts.window.dropEvent(QDropEvent(QPointF(50, 50), copy, data, left, none))
    qtbot.waitUntil(lambda: parts.desk.uri == str(file) and parts.desk.analysis is not None)
    assert parts.preferences.settings.recent[0] == str(file)
    words = QMimeData()
    words.setText("not a file")
    refused = QDragEnterEvent(QPoint(50, 50), copy, words, left, none)
    refused.ignore()
    parts.window.dragEnterEvent(refused)
    assert not refused.isAccepted()


def test_the_target_is_set_by_key_or_click(stage, qtbot) -> None:
    parts = stage.open()
    playing(parts, qtbot)
    window = parts.window
    window.does.run("target")  # the cursor is elsewhere: the next click sets it
    assert window.stage.view.tool is Tool.TARGET
    click_picture(parts, (100.0, 12.0))
    assert window.stage.view.tool is Tool.NONE
    assert parts.desk.target_px == pytest.approx((100.0, 12.0), abs=0.5)
    assert any(item.layer.value == "target" for item in window.stage.view.scene.items)
    window.does.run("target_clear")
    assert not any(item.layer.value == "target" for item in window.stage.view.scene.items)
    qtbot.wait(20)
    at = window.stage.view.transform().display_from_image((50.0, 10.0))
    QTest.mouseMove(window.stage.view, QPoint(round(at[0]), round(at[1])))
    qtbot.waitUntil(lambda: window.stage.view.cursor_point() is not None)
    window.does.run("target")
    assert parts.desk.target_px == pytest.approx((50.0, 10.0), abs=0.5)


def test_a_ruler_calibrates_is_remembered_and_can_be_taken_away(stage, qtbot) -> None:
    parts = stage.open()
    playing(parts, qtbot)
    window = parts.window
    qtbot.waitUntil(lambda: window.top.calibration.text() == "uncalibrated")
    window.does.run("ruler")
    click_picture(parts, (50.0, 10.0))
    click_picture(parts, (150.0, 10.0))
    dialog = window.does.dialogs["ruler"]
    length = window.stage.view.ruler.length_px()
    assert length == pytest.approx(100.0, abs=0.7)
    dialog.distance.setText("ten")
    assert dialog.mm_per_px() is None
    dialog.distance.setText("10")
    assert dialog.mm_per_px() == pytest.approx(10.0 / length)
    dialog.accept()
    qtbot.waitUntil(lambda: parts.desk.calibration is not None)
    assert parts.desk.calibration.origin is CalibrationOrigin.RULER
    window.show_figures()
    figure, _space, origin = window.top.calibration.text().partition(" mm/px   ")
    assert float(figure) == pytest.approx(10.0 / length, rel=0.01)
    assert origin == "two-point ruler"
    identity = ruler_identity(parts.desk.info)
    assert parts.preferences.settings.rulers[identity] == pytest.approx([10.0 / length] * 2)
    playing(parts, qtbot, "case-b")
    assert parts.desk.calibration is None
    playing(parts, qtbot, "case-a")
    assert parts.desk.calibration.mm_per_px[0] == pytest.approx(10.0 / length)
    window.does.run("ruler_clear")
    qtbot.waitUntil(lambda: parts.desk.calibration is None)
    assert identity not in parts.preferences.settings.rulers


def test_a_snapshot_holds_the_picture_and_a_margin(stage, qtbot, user_home: Path) -> None:
    from PySide6.QtGui import QImage

    parts = stage.open()
    playing(parts, qtbot)
    parts.desk.step(0)
    parts.desk.seek(7)
    qtbot.waitUntil(lambda: parts.desk.status.state is PlayState.PAUSED and parts.desk.shown_index() == 7)
    line = parts.window.status_line
    for name in ("snapshot", "snapshot_raw"):
        line.hush()
        parts.window.does.run(name)
        qtbot.waitUntil(lambda: bool(line.message))
        assert str(user_home / "pictures") in line.message
    files = sorted((user_home / "pictures").iterdir())
    assert [file.suffix for file in files] == [".png", ".png"]
    overlaid, raw = (QImage(str(file)) for file in files)
    factor = raw.width() // 256
    assert raw.height() > 24 * factor + 20  # the margin with its words
    grey = int(parts.desk.analysis.frame.pixels[0, 0])
    assert {raw.pixelColor(x, 12 * factor).red() for x in range(0, raw.width(), 7)} == {grey}
    assert any(
        overlaid.pixelColor(x, y) != raw.pixelColor(x, y) for x in range(0, raw.width(), 2) for y in range(24 * factor)
    )
    margin = {raw.pixelColor(x, y).rgb() for x in range(0, 400, 2) for y in range(24 * factor, raw.height())}
    assert len(margin) > 5


def test_a_snapshot_that_cannot_be_saved_says_so(stage, qtbot, user_home: Path) -> None:
    (user_home / "pictures").write_text("in the way")
    parts = stage.open()
    playing(parts, qtbot)
    parts.window.does.run("snapshot")
    banners = parts.window.stage.banners
    qtbot.waitUntil(lambda: "snapshot" in banners.texts())
    assert banners.texts()["snapshot"].startswith("The picture cannot be saved in ")
