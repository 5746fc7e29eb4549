"""What Annotate says and does where somebody might be left in the dark: nothing to undo, a store that is not there."""

from __future__ import annotations

from pathlib import Path

from annotate_window import CONTROL, SHIFT, Hand, annotating, open_clip, pose_at
from known_tracker import with_models
from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from puncta.annotation.assignments import assign
from puncta.annotation.cases import case_of_source
from puncta.annotation.labels import Slot
from puncta.annotation.store import AnnotationStore
from puncta.gui.annotate.things import Shape


def said(hand: Hand) -> str:
    return hand.parts.window.status_line.message


def draw_true(hand: Hand, index: int) -> None:
    pose = pose_at(index, 30)
    hand.drag((pose.entry_px[0] - 1.0, pose.entry_px[1] + 0.6), pose.tip_px)


def test_the_first_press_of_a_digit_takes_the_usual_way_to_draw_and_the_second_the_next(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    needle = next(t for t in hand.notes.things if t.name == "needle")
    key = Qt.Key(Qt.Key.Key_0 + int(needle.digit))
    assert hand.notes.thing is needle and hand.notes.shape is Shape.NEEDLE
    hand.key(key)
    assert hand.notes.shape is Shape.NEEDLE
    hand.key(key)
    assert hand.notes.shape is needle.ways[1]


def test_a_digit_pressed_on_another_frame_goes_on_with_what_is_in_hand(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    needle = next(t for t in hand.notes.things if t.name == "needle")
    key = Qt.Key(Qt.Key.Key_0 + int(needle.digit))
    for index, (way, words) in enumerate(((Shape.NEEDLE, "drag from where"), (Shape.NEEDLE, "2 again: polygon"))):
        hand.go(index)
        hand.key(key)
        assert hand.notes.shape is way and words in said(hand)
        draw_true(hand, index)
        hand.calm()
        assert hand.notes.desk.board.get(Slot(index, "needle.line")) is not None
    hand.key(key)
    assert hand.notes.shape is Shape.POLYGON and "click the corners" in said(hand) and "2 again: brush" in said(hand)
    hand.go(5)
    hand.key(key)
    assert hand.notes.shape is Shape.POLYGON, "whoever draws polygons goes on with polygons"
    hand.key(key)
    assert hand.notes.shape is Shape.BRUSH and "paints" in said(hand)


def test_why_nothing_is_proposed_is_said_and_what_brings_something(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    hand.calm()
    hand.key(Qt.Key.Key_V, SHIFT)
    assert said(hand) == (
        "Nothing is proposed in this range. No needle is drawn yet; draw it on two frames, or press F."
    )
    hand.go(4)
    draw_true(hand, 4)
    hand.calm()
    hand.key(Qt.Key.Key_V, SHIFT)
    assert "The needle is drawn on frame 4 alone; draw it on a second one" in said(hand)
    hand.key(Qt.Key.Key_V)
    assert said(hand) == "Nothing is proposed on this frame. It is confirmed already."
    hand.go(8)
    draw_true(hand, 8)
    hand.calm()
    hand.go(20)
    hand.key(Qt.Key.Key_X)
    assert said(hand) == "Nothing is proposed on this frame. Proposals wait on frames 5 to 7."
    hand.key(Qt.Key.Key_V, SHIFT)
    hand.calm()
    hand.key(Qt.Key.Key_V, SHIFT)
    assert said(hand) == "Nothing is proposed in this range. F carries the needle on from this frame."
    hand.go(4)
    hand.key(Qt.Key.Key_I)
    hand.go(8)
    hand.key(Qt.Key.Key_O)
    hand.key(Qt.Key.Key_V, SHIFT)
    assert said(hand) == "Nothing is proposed in this range. Every frame of it is confirmed already."


def test_a_blind_reader_is_not_told_of_models(stage, qtbot) -> None:
    with AnnotationStore.open() as store:
        case = store.add_case(case_of_source(open_clip("clip-a").info, "needle"))
        assign(store, case.id, "T", blind=True)
    hand = annotating(stage, qtbot)
    hand.calm()
    hand.key(Qt.Key.Key_V, SHIFT)
    assert said(hand) == "Nothing is proposed in this range. No needle is drawn yet; draw it on two frames."


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


def test_the_history_keeps_the_frames_where_it_is_too_narrow(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    pose = pose_at(0, 30)
    hand.drag((pose.entry_px[0] - 1.0, pose.entry_px[1] + 0.6), pose.tip_px)
    hand.calm()
    words = hand.notes.right._history[0][0]
    assert words.full() == "000  Needle"
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    assert words.full() == "000  Undone: Needle"
    words.setFixedWidth(QFontMetrics(words.font()).horizontalAdvance("000  Und…"))
    assert words.text().startswith("000") and words.text().endswith("…")

def test_the_models_are_not_asked_about_frames_that_are_confirmed_already(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    with_models(hand)
    for index in (0, 29):
        hand.go(index)
        draw_true(hand, index)
        hand.calm()
    hand.key(Qt.Key.Key_V, SHIFT)
    hand.calm()
    hand.key(Qt.Key.Key_B)
    assert not hand.notes.jobs.running
    assert said(hand) == "Frames 0 to 28 are confirmed already; there is nothing to propose."


def test_a_tracker_that_leaves_its_needle_names_only_frames_that_are_open(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    with_models(hand).strays_from = 9
    banners = hand.parts.window.stage.banners

    def tracked_from(key_frame: int) -> str:
        hand.go(key_frame)
        draw_true(hand, key_frame)
        hand.calm()
        hand.go(0)
        hand.key(Qt.Key.Key_F)
        hand.calm()
        return banners.texts()["help"].partition("at once. ")[2]

    assert tracked_from(0).startswith("Frames 9 to 29 stay open.")
    assert tracked_from(15) == "14 of the frames 9 to 29 stay open; what is labelled or proposed there stays."
    assert tracked_from(29) == "What is labelled or proposed there stays."


def key_frames_and_accepted(hand: Hand) -> None:
    """Draw the first and the last frame, accept three frames between them as they are."""
    for index in (0, 29):
        hand.go(index)
        draw_true(hand, index)
        hand.calm()
    for index in (8, 15, 22):
        hand.go(index)
        hand.key(Qt.Key.Key_V)
        hand.calm()


def test_opening_again_makes_no_gesture_and_shows_what_was_done_before(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    key_frames_and_accepted(hand)
    before = dict(hand.notes.desk.board.snapshot())
    lines = [(g.title, g.first, g.last) for g in hand.notes.desk.history]
    stage.close(hand.parts)
    again = annotating(stage, qtbot)
    again.calm()
    assert dict(again.notes.desk.board.snapshot()) == before
    assert [(g.title, g.first, g.last) for g in again.notes.desk.history] == lines
    assert lines[0] == ("Accept", 22, 22) and ("Between key frames", 1, 28) in lines
    words, when, line = again.notes.right._history[0]
    assert line.isVisible() and words.full() == "022  Accept" and when.text()


def test_an_undo_that_reaches_beyond_the_frame_on_the_screen_says_so(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    key_frames_and_accepted(hand)
    hand.go(4)
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    assert said(hand) == "Taken back: Between key frames, proposals on 25 frames from 001 to 028."
    assert hand.notes.desk.board.on_frame(5) == () and hand.parts.desk.shown_index() == 4
    hand.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    hand.calm()
    assert said(hand) == "Made again: Between key frames, proposals on 25 frames from 001 to 028."
    hand.key(Qt.Key.Key_V, SHIFT)
    hand.calm()
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    assert said(hand) == "Taken back: Accept range, labels on 25 frames from 001 to 028."


def test_undo_of_a_key_frame_says_that_proposals_go_with_it_and_of_one_frame_alone_says_nothing(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    draw_true(hand, 0)
    hand.calm()
    hand.parts.window.status_line.say("as before")
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    assert hand.notes.desk.board.on_frame(0) == () and said(hand) == "as before"
    for index in (0, 29):
        hand.go(index)
        draw_true(hand, index)
        hand.calm()
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    follows = "What lies between key frames follows, proposals on 28 frames from 001 to 028."
    assert said(hand).startswith("Taken back: ") and said(hand).endswith(follows)


def test_proposals_of_a_key_frame_that_was_taken_back_stay_gone_and_the_history_says_so(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    for index in (0, 29):
        hand.go(index)
        draw_true(hand, index)
        hand.calm()
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    assert hand.notes.desk.board.labelled_frames() == (0,)
    assert hand.notes.right._history[0][0].full() == "001 to 028  Proposals taken away"
    hand.go(0)
    hand.key(Qt.Key.Key_Minus)
    hand.go(29)
    draw_true(hand, 29)
    hand.calm()
    stage.close(hand.parts)
    again = annotating(stage, qtbot)
    again.calm()
    lines = [(g.title, g.first, g.last) for g in again.notes.desk.history]
    assert ("Proposals taken away", 1, 28) in lines
    again.go(10)
    again.key(Qt.Key.Key_Z, CONTROL)
    again.calm()
    assert again.notes.desk.board.labelled_frames() == (0, 29)
    again.key(Qt.Key.Key_Z, CONTROL)
    again.wait(lambda: said(again) == "Nothing to take back here.")
    again.calm()
    assert again.notes.desk.board.labelled_frames() == (0, 29)


def test_a_frame_proposed_between_key_frames_and_accepted_says_so_without_the_version_of_the_tool(
    stage, qtbot
) -> None:
    hand = annotating(stage, qtbot)
    key_frames_and_accepted(hand)
    assert hand.notes.strip.words.full() == "Confirmed by T, proposed between key frames"
    assert hand.notes.desk.board.get(Slot(22, "needle")).made.version, "which is kept with the label"
    hand.go(23)
    hand.notes.refresh()
    assert hand.notes.strip.words.full().startswith("Proposed between key frames: frames 0 and 29, confidence ")


def test_the_needle_card_says_how_wide_the_line_in_hand_is(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    hand.notes.refresh()
    card = hand.notes.right.needle

    def line_in_hand() -> list[str]:
        shown = [(name.text(), value.text()) for name, value, line in card.lines if line.isVisible()]
        return [value for name, value in shown if name == "Line in hand"]

    assert line_in_hand() == ["14G, 2.11 mm"]
    hand.key(Qt.Key.Key_Minus)
    assert said(hand) == f"Needle {line_in_hand()[0]}" != "Needle 14G, 2.11 mm"
    draw_true(hand, 0)
    hand.calm()
    assert len(line_in_hand()) == 1
    hand.notes.verbs.take_up(next(t for t in hand.notes.things if t.name == "needle_tip"))
    assert line_in_hand() == []


def test_proposals_that_were_taken_back_do_not_come_back_by_opening_again(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    for index in (0, 29):
        hand.go(index)
        draw_true(hand, index)
        hand.calm()
    hand.go(4)
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    assert hand.notes.desk.board.on_frame(5) == ()
    stage.close(hand.parts)
    again = annotating(stage, qtbot)
    again.calm()
    assert again.notes.desk.board.labelled_frames() == (0, 29)
    again.go(9)
    again.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    again.calm()
    assert len(again.notes.desk.board.labelled_frames()) == 30, "they can still be made again"


def test_a_note_on_one_frame_does_not_bring_back_the_proposals_of_the_gap(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    for index in (0, 29):
        hand.go(index)
        draw_true(hand, index)
        hand.calm()
    hand.go(4)
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    hand.notes.verbs.write_note("dark")
    hand.calm()
    stage.close(hand.parts)
    again = annotating(stage, qtbot)
    again.calm()
    assert again.notes.desk.board.labelled_frames() == (0, 4, 29)
    again.go(9)
    again.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    again.calm()
    assert again.notes.desk.board.get(Slot(9, "needle_tip")) is not None
    stage.close(again.parts)
    last = annotating(stage, qtbot)
    last.calm()
    assert [a.name for a in last.notes.desk.board.on_frame(4)] == ["note"], "nor where all others were made again"
