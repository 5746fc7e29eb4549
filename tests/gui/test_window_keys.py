"""Keys of the window: every action has words and reaches what it does, in each key set."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit
from window_stage import active, playing

from puncta.core.events import PlayState
from puncta.gui.actions import ACTIONS, KEY_SETS, SPECS, find_conflict, keys_of
from puncta.gui.dialogs.keys import KeysDialog
from puncta.settings import Settings, load_settings


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
