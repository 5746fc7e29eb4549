"""Answers of an adjudicator are taken back in their order, each with its frame, and none comes before its frame."""

from __future__ import annotations

from adjudicating import COUNT, adjudicating, label, two_readings
from annotate_window import CONTROL, SHIFT, pose_at
from PySide6.QtCore import Qt

from puncta.annotation.commands import Command, LabelConflict
from puncta.annotation.shared import Standing
from puncta.annotation.store import AnnotationStore, Applied


def test_an_answer_that_is_taken_back_is_named_and_its_row_stands_there_again(stage, qtbot) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    hand.shows(3)
    hand.key(Qt.Key.Key_A)
    hand.shows(7)
    hand.calm()
    rows = hand.notes.adjudication.panel.rows
    assert not any(row.isVisible() and row.words.text().startswith("003") for row in rows)
    hand.go(3)
    hand.key(Qt.Key.Key_Z, CONTROL)
    line = hand.parts.window.status_line
    hand.wait(lambda: "Frame 003, " in line.message and "waits again" in line.message)
    hand.calm()
    assert any(row.isVisible() and row.words.text().startswith("003") for row in rows)
    assert hand.notes.adjudication.dispute.index == 3 and hand.parts.desk.shown_index() == 3


def test_undo_right_after_an_answer_takes_that_one_back_and_goes_to_its_frame(stage, qtbot) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    adjudication = hand.notes.adjudication
    for key, to in ((Qt.Key.Key_A, 7), (Qt.Key.Key_B, 5)):
        hand.key(key)
        hand.calm()
        hand.shows(to)

    def settled() -> list[bool]:
        return [d.settled(hand.notes.desk.board) for d in adjudication.disputes]

    for back, left in ((7, [True, False, False]), (3, [False, False, False])):
        hand.key(Qt.Key.Key_Z, CONTROL)
        hand.calm()
        hand.shows(back)
        assert settled() == left and adjudication.dispute.index == back
        assert f"Frame {back:03d}, " in hand.parts.window.status_line.message
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    assert "Nothing to take back" in hand.parts.window.status_line.message
    taken_over = [label(hand, index, "needle_tip") for index in (0, 1, 2, 4, 6, 8, 9)]
    assert None not in taken_over, "what agreed was no answer and stays"
    for on, left in ((3, [True, False, False]), (7, [True, True, False])):
        hand.key(Qt.Key.Key_Z, CONTROL | SHIFT)
        hand.calm()
        hand.shows(on)
        assert settled() == left


def test_undo_takes_the_own_drawing_before_the_answer_that_led_to_its_frame(stage, qtbot) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    hand.key(Qt.Key.Key_A)
    hand.calm()
    hand.shows(7)
    pose = pose_at(7, COUNT)
    hand.drag((pose.entry_px[0] - 1.0, pose.entry_px[1] + 0.6), pose.tip_px)
    hand.calm()
    assert label(hand, 7, "needle") is not None
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    assert label(hand, 7, "needle") is None and hand.parts.desk.shown_index() == 7
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    hand.shows(3)
    assert label(hand, 3, "needle") is None


def test_undo_passes_over_an_answer_that_the_store_has_refused(stage, qtbot, monkeypatch) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    hand.key(Qt.Key.Key_A)
    hand.calm()
    hand.shows(7)

    def refuse(_store: AnnotationStore, _command: Command) -> Applied:
        raise LabelConflict("needle on frame 7 was changed meanwhile; nothing was overwritten, look at it again.")

    with monkeypatch.context() as refusing:
        refusing.setattr(AnnotationStore, "apply", refuse)
        hand.key(Qt.Key.Key_B)
        hand.wait(lambda: isinstance(hand.notes.desk.trouble, LabelConflict) or label(hand, 7, "needle") is None)
        hand.calm()
    hand.wait(lambda: hand.notes.desk.board is not None and label(hand, 7, "needle") is None)
    hand.calm()
    assert [frame for _uid, frame in hand.notes.desk.made] == [3]
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    hand.shows(3)
    assert label(hand, 3, "needle") is None, "the answer before it is taken back"
    assert "Nothing to take back" not in hand.parts.window.status_line.message


def test_undo_passes_over_an_answer_that_the_labs_server_has_refused_later(stage, qtbot) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    for frame in (7, 5):
        hand.key(Qt.Key.Key_A)
        hand.calm()
        hand.shows(frame)
    desk = hand.notes.desk
    (_first, _frame), (late, at) = desk.made
    assert at == 7
    hand.notes.store.standing = Standing(True, 0, 1, "", None, frozenset({late}))
    hand.notes.store.settled.emit()
    assert [frame for _uid, frame in desk.made] == [3]


def test_nothing_is_answered_before_its_frame_is_on_the_screen(stage, qtbot, monkeypatch) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    hand.shows(3)
    with monkeypatch.context() as slow:
        slow.setattr(hand.parts.desk, "seek", lambda _index: None)  # the picture is long in coming
        hand.key(Qt.Key.Key_N)
        assert hand.notes.adjudication.dispute.index == 7 and hand.parts.desk.shown_index() == 3
        for key in (Qt.Key.Key_A, Qt.Key.Key_B, Qt.Key.Key_0):
            hand.parts.window.status_line.say("")
            hand.key(key)
            hand.calm()
            assert hand.parts.window.status_line.message.startswith("Frame 007 is not on the screen yet.")
        assert [label(hand, index, "needle") for index in (3, 7)] == [None, None]
    hand.key(Qt.Key.Key_A)
    hand.shows(7)
    assert label(hand, 7, "needle") is None, "it goes there first"
    hand.key(Qt.Key.Key_A)
    hand.calm()
    assert label(hand, 7, "needle") is not None and label(hand, 3, "needle") is None
