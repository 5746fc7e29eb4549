"""What the window promises: keys, the safety line, opening, settings, reach."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from pipeline_stage import EchoPlugin, hosted
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeySequence, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QComboBox, QLabel, QLineEdit, QWidget
from widget_checks import cut_labels, nameless

from puncta.core.events import PlayState
from puncta.core.frame import CalibrationOrigin
from puncta.gui.actions import ACTIONS, KEY_SETS, SPECS, find_conflict, keys_of
from puncta.gui.dialogs.keys import KeysDialog
from puncta.gui.dialogs.ruler import RulerDialog
from puncta.gui.dialogs.settings import SettingsDialog
from puncta.gui.dialogs.simulator import SimulatorDialog
from puncta.gui.remembered import ruler_identity
from puncta.gui.video.stage import SAFETY_LINE
from puncta.gui.video.tools import Tool
from puncta.settings import Settings, load_settings


def playing(parts, qtbot, uri: str = "case-a"):
    """Open a source and wait for its first picture."""
    parts.window.open_uri(uri)
    qtbot.waitUntil(lambda: parts.desk.info is not None and parts.desk.info.uri == uri, timeout=5000)
    qtbot.waitUntil(lambda: stream_of(parts) == uri and parts.window.windowTitle() != "Puncta", timeout=5000)


def stream_of(parts) -> str:
    """Stream of the picture on the screen."""
    return parts.desk.analysis.frame.key.stream if parts.desk.analysis is not None else ""


def active(parts, qtbot) -> None:
    parts.window.activateWindow()
    qtbot.waitUntil(parts.window.isActiveWindow)
    parts.window.stage.view.setFocus()


# --- keys ------------------------------------------------------------------------------------------------------


def test_every_action_does_something_and_has_words() -> None:
    assert len(SPECS) == len(ACTIONS)
    assert all(spec.words and spec.group for spec in ACTIONS)


@pytest.mark.parametrize("key_set", KEY_SETS)
def test_no_two_actions_share_a_key(key_set: str) -> None:
    keys = keys_of(key_set, {})
    assert {name: find_conflict(name, key, keys) for name, key in keys.items()} == dict.fromkeys(keys)


@pytest.mark.parametrize("key_set", KEY_SETS)
def test_every_key_reaches_its_action(stage, qtbot, key_set: str) -> None:
    parts = stage.open(Settings(first_start_done=True, key_set=key_set, enabled_plugins=["echo"]))
    window = parts.window
    active(parts, qtbot)
    done: list[str] = []
    held: list[tuple[str, bool]] = []
    assert {spec.id for spec in ACTIONS if not spec.hold} <= window.does.names()
    for name in list(window.does._verbs):
        window.does._verbs[name] = lambda name=name: done.append(name)
    window.keyboard._hold = lambda name, on: held.append((name, on))
    for spec in ACTIONS:
        key = QKeySequence(spec.default_key(key_set))
        assert not key.isEmpty(), spec.id
        window.keyboard.set_mode(spec.modes[0] if spec.modes else "review")
        done.clear()
        held.clear()
        QTest.keySequence(window.stage.view, key)
        if spec.hold:
            assert held == [(spec.id, True), (spec.id, False)]
        else:
            assert done == [spec.id], spec.id


def test_holding_h_hides_the_overlay_only_while_held(stage, qtbot) -> None:
    parts = stage.open()
    playing(parts, qtbot)
    active(parts, qtbot)
    view = parts.window.stage.view
    QTest.keyPress(view, Qt.Key.Key_H)
    assert not view.overlay_on
    parts.window.refresh()
    assert not view.overlay_on
    QTest.keyRelease(view, Qt.Key.Key_H)
    assert view.overlay_on


def test_typing_into_a_field_plays_nothing(stage, qtbot) -> None:
    parts = stage.open()
    playing(parts, qtbot)
    active(parts, qtbot)
    field = QLineEdit(parts.window)
    field.show()
    field.setFocus()
    state = parts.player.status().state
    QTest.keyClicks(field, "hit l o")
    assert field.text() == "hit l o"
    assert parts.player.status().state is state
    assert parts.desk.loop_marks == [None, None]
    assert parts.window.stage.view.overlay_on


def test_space_belongs_to_a_button_reached_by_tab(stage, qtbot) -> None:
    parts = stage.open()
    playing(parts, qtbot)
    active(parts, qtbot)
    eye = next(iter(parts.window.layers.eyes.values()))
    eye.setFocus(Qt.FocusReason.TabFocusReason)
    was = eye.isChecked()
    QTest.keyClick(eye, Qt.Key.Key_Space)
    assert eye.isChecked() is not was
    assert parts.player.status().state is PlayState.PLAYING


def test_an_own_key_replaces_the_default_and_persists(stage, qtbot) -> None:
    parts = stage.open()
    playing(parts, qtbot)
    active(parts, qtbot)
    dialog = KeysDialog(parts.preferences, parts.window.theme, parts.window)
    dialog.fields["play"].setKeySequence(QKeySequence("U"))
    dialog.fields["play"].editingFinished.emit()
    dialog.fields["target"].setKeySequence(QKeySequence("U"))  # taken now
    dialog.fields["target"].editingFinished.emit()
    dialog.deleteLater()
    assert parts.preferences.settings.keys == {"play": "U"}
    QTest.keyClick(parts.window.stage.view, Qt.Key.Key_U)
    qtbot.waitUntil(lambda: parts.player.status().state is PlayState.PAUSED)
    stage.close(parts)
    assert load_settings()[0].keys == {"play": "U"}


def test_transport_keys_move_through_the_case(stage, qtbot) -> None:
    parts = stage.open()
    playing(parts, qtbot)
    active(parts, qtbot)
    view, desk = parts.window.stage.view, parts.desk
    QTest.keyClick(view, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: parts.player.status().state is PlayState.PAUSED)
    QTest.keyClick(view, Qt.Key.Key_Home)
    qtbot.waitUntil(lambda: desk.shown_index() == 0)
    QTest.keyClick(view, Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: desk.shown_index() == 1)
    QTest.keyClick(view, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: desk.shown_index() == 11)
    QTest.keyClick(view, Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: desk.shown_index() == 10)
    QTest.keyClick(view, Qt.Key.Key_I)
    QTest.keyClick(view, Qt.Key.Key_End)
    qtbot.waitUntil(lambda: desk.shown_index() == 59)
    parts.desk.seek(20)
    qtbot.waitUntil(lambda: desk.shown_index() == 20)
    QTest.keyClick(view, Qt.Key.Key_O)
    QTest.keyClick(view, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: parts.player.status().loop == (10, 21))
    seen: set[int] = set()
    qtbot.waitUntil(lambda: seen.add(desk.shown_index()) or len(seen - {20}) >= 5, timeout=5000)
    assert seen <= set(range(10, 21))
    QTest.keyClick(view, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: parts.player.status().loop is None)
    QTest.keyClick(view, Qt.Key.Key_J)
    assert desk.reverse_rate == 1.0
    QTest.keyClick(view, Qt.Key.Key_J)
    assert desk.reverse_rate == 2.0
    QTest.keyClick(view, Qt.Key.Key_K)
    assert desk.reverse_rate == 0.0
    assert parts.player.status().state is PlayState.PAUSED
    QTest.keyClick(view, Qt.Key.Key_L)
    QTest.keyClick(view, Qt.Key.Key_L)
    assert parts.player.status().rate == 2.0


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


# --- target, ruler, snapshot -----------------------------------------------------------------------------------


def click_picture(parts, point_px: tuple[float, float]) -> None:
    view = parts.window.stage.view
    at = view.transform().display_from_image(point_px)
    QTest.mouseClick(
        view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(round(at[0]), round(at[1]))
    )


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


# --- settings --------------------------------------------------------------------------------------------------


def test_settings_come_back_at_the_next_start(stage, qtbot) -> None:
    parts = stage.open()
    playing(parts, qtbot)
    window = parts.window
    from puncta.core.overlay import Layer

    window.layers.opacities[Layer.TIP].setValue(40)
    window.layers.eyes[Layer.PATH].click()
    window.layers.gain.setValue(150)
    parts.preferences.move_layer(Layer.MASK, 2)
    parts.preferences.set("theme", "light")
    parts.preferences.set("font_scale", 1.5)
    window.room.toggle("right")
    window.resize(1111, 777)
    stage.close(parts)
    again = load_settings()[0]
    assert again.layers["tip"].opacity == pytest.approx(0.4)
    assert again.layers["path"].visible is False
    assert again.view.gain == pytest.approx(1.5)
    assert again.layer_order.index("needle mask") == 3
    assert (again.theme, again.font_scale) == ("light", 1.5)
    assert again.recent[0] == again.last_source == "case-a"
    later = stage.open(again)
    assert not later.window.right.isVisible()
    assert later.window.overlay_style().opacity[Layer.TIP] == pytest.approx(0.4)
    assert later.window.stage.view.overlay_on
    assert later.window.theme.name == "light"


def test_settings_are_saved_while_the_window_is_open(stage, qtbot) -> None:
    parts = stage.open()
    parts.preferences.set("far_view", True)
    qtbot.waitUntil(lambda: load_settings()[0].far_view, timeout=5000)


def test_the_card_of_the_first_start_goes_for_good(stage, qtbot) -> None:
    parts = stage.open(Settings())
    parts.window.stage.try_card.want(True)
    parts.window.stage.try_card.dismissed.emit()
    assert not parts.window.stage.try_card.isVisible()
    assert parts.preferences.settings.first_start_done


def test_a_plugin_is_switched_by_its_card(stage, qtbot) -> None:
    parts = stage.open(plugins=(hosted(EchoPlugin()), hosted(EchoPlugin(), "second")))
    playing(parts, qtbot)
    cards = parts.window.inspector.cards
    assert set(cards) == {"echo", "second"}
    assert not cards["second"].switch.isChecked()
    cards["second"].switch.click()
    qtbot.waitUntil(lambda: parts.desk.analysis.output("second") is not None)
    assert set(parts.preferences.settings.enabled_plugins) == {"echo", "second"}


def test_a_trainee_sees_no_milliseconds_and_no_models(stage, qtbot) -> None:
    parts = stage.open()
    playing(parts, qtbot)
    shown = lambda: " ".join(w.text() for w in parts.window.findChildren(QLabel) if w.isVisible())  # noqa: E731
    qtbot.waitUntil(lambda: parts.desk.latency().frame_to_painted is not None)
    parts.window.refresh()
    assert " ms" not in shown()
    assert " ms" not in parts.window.top.latency.text()
    assert parts.window.top.latency.word in {"live", "late"}
    parts.preferences.set("profile", "annotator")
    qtbot.waitUntil(lambda: " ms" in shown())
    parts.window.resize(1400, 800)
    parts.window.refresh()
    assert " ms" in parts.window.top.latency.text()


def test_the_simulator_dialog_names_what_it_opens(stage, qtbot) -> None:
    parts = stage.open()
    parts.window.does.run("open_simulator")
    dialog = parts.window.does.dialogs["simulator"]
    dialog.procedure.setCurrentIndex(dialog.procedure.findData("nerve"))
    dialog.machine.setCurrentIndex(dialog.machine.findData("B"))
    dialog.seed.setText("7")
    assert dialog.uri() == "sim:nerve?seed=7&machine=B&steer=yes"
    dialog.procedure.setCurrentIndex(dialog.procedure.findData("vessel"))
    dialog.view.setCurrentIndex(dialog.view.findData("long-axis"))
    dialog.approach.setCurrentIndex(dialog.approach.findData("out-of-plane"))
    assert dialog.uri() == "sim:vessel?seed=7&machine=B&view=long-axis&approach=out-of-plane&steer=yes"
    dialog.procedure.setCurrentIndex(dialog.procedure.findData("nerve"))
    dialog.approach.setCurrentIndex(0)
    dialog.hands.setCurrentIndex(dialog.hands.findData("watch"))
    assert dialog.uri() == "sim:nerve?seed=7&machine=B"
    dialog.accept()
    qtbot.waitUntil(lambda: parts.desk.uri == "sim:nerve?seed=7&machine=B" and parts.window.mode == "live")
    assert parts.window.does.dialogs == {}


def test_a_layer_gets_its_row_when_something_draws_into_it(stage, qtbot) -> None:
    from puncta.core.overlay import Layer

    parts = stage.open()
    playing(parts, qtbot)
    layers = parts.window.layers
    assert layers.eyes[Layer.TIP].isVisible()
    assert not layers.eyes[Layer.MASK].isVisible()
    assert layers.see({Layer.MASK})
    assert layers.eyes[Layer.MASK].isVisible()
    assert not layers.see({Layer.MASK})


def test_the_wheel_magnifies_dragging_moves_and_a_double_click_fits(stage, qtbot) -> None:
    parts = stage.open()
    playing(parts, qtbot)
    view = parts.window.stage.view
    at = QPointF(view.width() * 0.6, view.height() * 0.5)
    held = view.point_at(at)
    keys = (QPoint(), QPoint(0, 360), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier)
    view.wheelEvent(QWheelEvent(at, view.mapToGlobal(at), *keys, Qt.ScrollPhase.NoScrollPhase, False))
    assert view.zoom > 1.5
    assert view.point_at(at) == pytest.approx(held, abs=0.01)
    assert parts.window.stage.zoom.isVisible()
    middle = view.rect().center()
    before = view.point_at(QPointF(middle))
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=middle)
    QTest.mouseMove(view, middle + QPoint(40, 0))
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=middle + QPoint(40, 0))
    qtbot.waitUntil(lambda: view.point_at(QPointF(middle)) != before)
    moved = view.point_at(QPointF(middle))
    assert moved[0] == pytest.approx(before[0] - 40 / view.transform().scale, abs=0.6)
    QTest.mouseDClick(view, Qt.MouseButton.LeftButton, pos=middle)
    assert view.zoom == 1.0
    assert not parts.window.stage.zoom.isVisible()


def test_both_presentations_show_pictures_with_their_overlay(stage, qtbot) -> None:
    parts = stage.open()
    playing(parts, qtbot)
    seen: list[int] = []
    parts.desk.pictured.connect(lambda: seen.append(parts.desk.shown_index()))
    for name in ("low latency", "coherent"):
        parts.preferences.set("presentation", name)
        seen.clear()
        qtbot.waitUntil(lambda: len(set(seen)) > 5, timeout=5000)
        qtbot.waitUntil(lambda: bool(parts.window.stage.view.scene.items), timeout=5000)
    parts.preferences.set("every_frame", True)
    seen.clear()
    qtbot.waitUntil(lambda: len(set(seen)) > 10, timeout=5000)
