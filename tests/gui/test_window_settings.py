"""What the window remembers, what cards and profiles show, and how the picture is magnified."""

from __future__ import annotations

import pytest
from pipeline_stage import EchoPlugin, hosted
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel
from window_stage import playing

from puncta.settings import Settings, load_settings


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
