"""What Annotate says and does where somebody might be left in the dark: nothing to undo, a store that is not there."""

from __future__ import annotations

from pathlib import Path

from annotate_window import CONTROL, Hand, annotating, pose_at
from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from puncta.annotation.store import AnnotationStore
from puncta.gui.annotate.things import Shape


def said(hand: Hand) -> str:
    return hand.parts.window.status_line.message


def test_the_first_press_of_a_digit_takes_the_usual_way_to_draw_and_the_second_the_next(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    needle = next(t for t in hand.notes.things if t.name == "needle")
    key = Qt.Key(Qt.Key.Key_0 + int(needle.digit))
    assert hand.notes.thing is needle and hand.notes.shape is Shape.NEEDLE
    hand.key(key)
    assert hand.notes.shape is Shape.NEEDLE
    hand.key(key)
    assert hand.notes.shape is needle.ways[1]


def test_nothing_to_take_back_is_said(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.wait(lambda: "Nothing to take back here." in said(hand))


def test_a_store_whose_name_is_mistyped_is_told_and_begun_on_a_press_only(
    stage, qtbot, tmp_path: Path, monkeypatch
) -> None:
    typed = tmp_path / "lab" / "labls.sqlite"
    monkeypatch.setenv("PUNCTA_STORE", str(typed))
    hand = annotating(stage, qtbot, rater="")
    hand.parts.window.preferences.set("rater", "T")
    hand.parts.window.does.dialogs["rater"].reject()
    hand.notes.reopen()
    banners = hand.parts.window.stage.banners
    hand.wait(lambda: "labels" in banners.texts())
    assert str(typed) in banners.texts()["labels"] and not typed.exists() and not typed.parent.exists()
    assert str(typed) in hand.notes.saved.failure
    hand.notes.saved.begin_anew()
    hand.wait(lambda: hand.notes.desk.board is not None)
    assert typed.is_file()
    with AnnotationStore.open(typed, begin=False) as store:
        assert len(store.cases()) == 1


def test_after_the_name_is_asked_the_first_key_works_on_the_picture(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    hand.notes.right.note.setFocus()
    hand.notes.status.rater.click()
    dialog = hand.parts.window.does.dialogs["rater"]
    dialog.name.setText("AN-2")
    QTest.keyClick(dialog.name, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not dialog.isVisible())
    hand.wait(lambda: hand.notes.desk.board is not None and hand.notes.desk.rater == "AN-2")
    qtbot.waitUntil(hand.parts.window.isActiveWindow)
    focus = QApplication.focusWidget()
    assert focus is hand.view
    QTest.keyClick(focus, Qt.Key.Key_V)
    hand.wait(lambda: "Nothing is proposed on this frame." in said(hand))
    assert hand.notes.right.note.text() == ""


def test_the_history_keeps_what_was_done_where_it_is_too_narrow(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    pose = pose_at(0, 30)
    hand.drag((pose.entry_px[0] - 1.0, pose.entry_px[1] + 0.6), pose.tip_px)
    hand.calm()
    words = hand.notes.right._history[0][0]
    assert words.full() == "Needle  000"
    words.setFixedWidth(QFontMetrics(words.font()).horizontalAdvance("Needle  0…"))
    assert words.text().startswith("Needle") and words.text().endswith("…")


