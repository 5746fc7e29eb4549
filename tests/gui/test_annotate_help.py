"""Help by models and by key frames: proposals on a worker, accepted, rejected, cancelled; nothing confirmed is lost."""

from __future__ import annotations

import threading

from annotate_window import CONTROL, HEIGHT, SHIFT, WIDTH, Hand, annotating, pose_at
from known_tracker import APART_AT, COUNT, with_models
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from qt_waiting import wait_ms

from puncta.annotation.labels import FlagLabel, Kind, NotVisible, Slot, State
from puncta.annotation.store import AnnotationStore
from puncta.core.prompts import MaskPrompt
from puncta.imaging.needle_pose import mask_of_pose


def label(hand: Hand, index: int, name: str):
    return hand.notes.desk.board.get(Slot(index, name))


def draw_true(hand: Hand, index: int) -> None:
    pose = pose_at(index, COUNT)
    hand.drag((pose.entry_px[0] - 1.0, pose.entry_px[1] + 0.6), pose.tip_px)


def test_models_carry_a_needle_on_and_say_where_to_look(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    tracker = with_models(hand)
    draw_true(hand, 0)
    hand.key(Qt.Key.Key_F)
    hand.calm()
    assert len(tracker.prompts) == 1 and isinstance(tracker.prompts[0], MaskPrompt)
    mask = label(hand, 10, "needle")
    assert mask.state is State.PROPOSED and mask.made.kind is Kind.PROPAGATED
    assert (mask.made.by, mask.made.version, mask.made.base) == ("track-test", "2.0", "frame 0")
    assert label(hand, 10, "needle_tip").made.by == "tip-test"
    # Where the two part, the tracker's tip is proposed, and the frame stands first in the queue.
    assert label(hand, APART_AT, "needle_tip").made.by == "track-test"
    # The queue is asked of the store once the proposals are kept, which comes back a moment later.
    qtbot.waitUntil(lambda: hand.notes.queue[0].index == APART_AT, timeout=30_000)
    assert "disagree" in hand.notes.queue[0].words
    assert label(hand, 25, "needle") is None
    assert any(doubt.index == 25 and doubt.words == "a tip without a needle" for doubt in hand.notes.queue)
    assert isinstance(label(hand, 28, "needle").value, NotVisible)
    hand.key(Qt.Key.Key_N)
    hand.shows(APART_AT)
    hand.key(Qt.Key.Key_V)
    hand.calm()
    assert label(hand, APART_AT, "needle").state is State.CONFIRMED
    assert all(doubt.index != APART_AT for doubt in hand.notes.queue)
    hand.go(5)
    hand.key(Qt.Key.Key_X)
    hand.calm()
    assert label(hand, 5, "needle").state is State.REJECTED
    assert hand.view.scene.items == ()


def test_where_the_tracker_leaves_the_needle_frames_stay_open_and_it_is_said(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    with_models(hand).strays_from = 9
    draw_true(hand, 0)
    hand.key(Qt.Key.Key_F)
    hand.calm()
    assert [i for i in range(COUNT) if label(hand, i, "needle") is not None] == list(range(9))
    assert label(hand, 20, "needle_tip") is None, "a tip alone is not proposed behind it either"
    words = hand.parts.window.stage.banners.texts()["help"]
    assert words.startswith("From frame 9 on the tracker follows something else")
    assert "Frames 9 to 29 stay open" in words
    qtbot.waitUntil(lambda: hand.notes.queue[0].index == 9, timeout=30_000)
    assert "needle left here" in hand.notes.queue[0].words
    with_models(hand)
    hand.key(Qt.Key.Key_F)
    hand.calm()
    assert "help" not in hand.parts.window.stage.banners.texts() and label(hand, 20, "needle") is not None


def test_without_a_drawn_needle_nobody_knows_which_of_two_lines_it_is(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    tracker = with_models(hand)
    assert tracker.detector is not None
    tracker.strays_from = tracker.detector.strays_from = 9
    hand.key(Qt.Key.Key_F)
    hand.calm()
    words = hand.parts.window.stage.banners.texts()["help"]
    assert words.startswith("From frame 9 on the tracker follows another line than before")
    assert label(hand, 9, "needle") is None and label(hand, 8, "needle").state is State.PROPOSED


def test_without_a_drawn_needle_nothing_is_proposed_where_two_models_see_different_ones(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    with_models(hand).strays_until = 10
    hand.key(Qt.Key.Key_F)
    hand.calm()
    assert [i for i in range(20) if label(hand, i, "needle") is not None] == list(range(10, 20))
    assert {doubt.index for doubt in hand.notes.queue} >= set(range(1, 10)), "these are to be looked at"
    assert "help" not in hand.parts.window.stage.banners.texts()


def test_a_needle_too_faint_for_the_tracker_brings_no_proposals_at_all(stage, qtbot) -> None:
    for fault, words in (({"strays_from": 0}, "On frame 0 the tracker finds something else"),
                         ({"finds_from": COUNT}, "does not see the needle that was drawn on frame 0")):  # fmt: skip
        hand = annotating(stage, qtbot, f"clip-{len(words)}")
        tracker = with_models(hand)
        for name, value in fault.items():
            setattr(tracker, name, value)
        draw_true(hand, 0)
        hand.key(Qt.Key.Key_F)
        hand.calm()
        assert words in hand.parts.window.stage.banners.texts()["help"]
        assert hand.notes.desk.board.labelled_frames() == (0,)


def test_frames_that_would_teach_most_stand_first_in_the_queue_and_are_the_raters_own(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    with_models(hand)
    draw_true(hand, 0)
    hand.key(Qt.Key.Key_F)
    hand.calm()
    qtbot.waitUntil(lambda: hand.notes.queue[0].words.startswith("disagree"), timeout=30_000)
    hand.key(Qt.Key.Key_T)
    hand.calm()
    teaching = [doubt for doubt in hand.notes.queue if doubt.teaches]
    assert hand.notes.queue[: len(teaching)] == tuple(teaching) and len(teaching) == 7
    assert all(doubt.words.startswith("teaches, ") for doubt in teaching) and 0 not in [d.index for d in teaching]
    assert "frames would teach most" in hand.parts.window.status_line.message
    hand.key(Qt.Key.Key_N)
    hand.shows(teaching[0].index)
    hand.key(Qt.Key.Key_V)
    hand.calm()
    assert teaching[0].index not in [doubt.index for doubt in hand.notes.queue]
    with AnnotationStore.open() as store:
        (case,) = store.cases()
        own = [s for s in store.suggestions(case.id, "T") if s.reason == "teaches"]
        assert {s.index for s in own} == {doubt.index for doubt in teaching[1:]}
        assert store.suggestions(case.id, "U") == ()


def test_models_between_key_frames_say_what_became_of_them(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    with_models(hand)
    draw_true(hand, 0)
    hand.go(20)
    draw_true(hand, 20)
    hand.calm()
    hand.go(0)
    hand.parts.desk.mark_loop(0)
    hand.go(20)
    hand.parts.desk.mark_loop(1)
    hand.go(0)
    before = dict(hand.notes.desk.board.snapshot())
    hand.key(Qt.Key.Key_F)
    hand.calm()
    assert dict(hand.notes.desk.board.snapshot()) == before
    said = hand.parts.window.status_line.message
    assert "19 keep what the key frames propose" in said
    assert "1 are confirmed and stay" in said


def test_after_undo_of_a_key_frame_its_neighbours_are_proposed_anew_at_once(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    for index in (0, 29):
        hand.go(index)
        draw_true(hand, index)
        hand.calm()
    first = label(hand, 5, "needle")
    hand.go(12)
    wrong = pose_at(29, COUNT)
    hand.drag((wrong.entry_px[0] - 1.0, wrong.entry_px[1]), wrong.tip_px)
    hand.calm()
    assert label(hand, 5, "needle").made.base == "frames 0 and 12"
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    again = label(hand, 5, "needle")
    assert again.made.base == "frames 0 and 29" and again.value == first.value
    assert label(hand, 12, "needle").state is State.PROPOSED
    hand.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    hand.calm()
    assert label(hand, 12, "needle").state is State.CONFIRMED
    assert label(hand, 5, "needle").made.base == "frames 0 and 12"
    hand.go(29)
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    assert [i for i in range(13, COUNT) if label(hand, i, "needle") is not None] == [], "no second key frame any more"
    assert label(hand, 5, "needle").made.base == "frames 0 and 12"


def test_help_that_was_broken_off_by_the_next_drawing_is_done_after_all(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    for index in (0, 14, 29):
        hand.go(index)
        draw_true(hand, index)
    hand.calm()
    assert [i for i in range(COUNT) if label(hand, i, "needle") is None] == []


def test_confirmed_frames_stay_as_they_are_when_models_run_over_them(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    with_models(hand)
    hand.go(8)
    wrong = pose_at(20, COUNT)
    hand.drag(wrong.entry_px, wrong.tip_px)
    hand.calm()
    kept = label(hand, 8, "needle"), label(hand, 8, "needle_tip")
    hand.go(0)
    hand.key(Qt.Key.Key_F)
    hand.calm()
    assert (label(hand, 8, "needle"), label(hand, 8, "needle_tip")) == kept
    with AnnotationStore.open() as store:
        (case,) = store.cases()
        stored = {a.slot: a for a in store.labels(case.id, rater="T")}
    assert stored[Slot(8, "needle")] == kept[0]
    assert dict(hand.notes.desk.board.snapshot()) == stored


def test_help_runs_beside_the_picture_and_can_be_cancelled(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    tracker = with_models(hand)
    tracker.gate = threading.Event()
    draw_true(hand, 0)
    hand.calm()
    hand.key(Qt.Key.Key_F)
    assert hand.notes.jobs.running == "onward"
    hand.wait(lambda: hand.notes.right.progress.isVisible())
    hand.go(20)  # the picture goes on while the models wait
    hand.parts.window.does.run("help_stop")
    tracker.gate.set()
    hand.calm()
    assert not hand.notes.right.progress.isVisible()
    assert label(hand, 25, "needle") is None


def test_a_flag_key_held_while_playing_covers_frames_that_no_screen_showed(stage, qtbot) -> None:
    hand = annotating(stage, qtbot, "clip-flags:900", annotate={"label_set": "infant-lp"})
    hand.parts.desk.set_rate(4.0)
    hand.go(10)
    QTest.keyPress(hand.view, Qt.Key.Key_1)
    hand.key(Qt.Key.Key_Space)
    hand.wait(lambda: hand.parts.desk.shown_index() >= 40)
    hand.key(Qt.Key.Key_Space)
    wait_ms(100)
    last = hand.parts.desk.shown_index()
    QTest.keyRelease(hand.view, Qt.Key.Key_1)
    hand.calm()
    name = next(t.name for t in hand.notes.things if t.digit == "1")
    flagged = [i for i in range(900) if (a := label(hand, i, name)) is not None and a.value == FlagLabel(1)]
    assert flagged == list(range(10, last + 1))
    assert all(label(hand, i, name).state is State.BULK for i in flagged)
    hand.go(5)
    QTest.keyClick(hand.view, Qt.Key.Key_1, SHIFT)
    hand.calm()
    assert label(hand, 5, name).value == FlagLabel(0)


def test_an_edge_of_a_flags_ribbon_can_be_dragged(stage, qtbot) -> None:
    hand = annotating(stage, qtbot, annotate={"label_set": "infant-lp"})
    name = next(t.name for t in hand.notes.things if t.digit == "1")
    hand.notes.verbs.set_flag(name, 1, 10, 15)
    hand.calm()
    ribbon = hand.notes.bar.timeline
    y = round(ribbon.y_of(name))
    begin, end = (ribbon.mapFromParent(ribbon.pos()) for _ in range(2))
    begin.setX(round(ribbon.x_of(15.5)))
    end.setX(round(ribbon.x_of(20.4)))
    begin.setY(y)
    end.setY(y)
    QTest.mousePress(ribbon, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, begin)
    QTest.mouseMove(ribbon, end)
    QTest.mouseRelease(ribbon, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, end)
    hand.calm()
    flagged = [i for i in range(30) if (a := label(hand, i, name)) is not None and a.value == FlagLabel(1)]
    assert flagged == list(range(10, 21))


def test_a_note_is_kept_with_its_frame(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    hand.go(6)
    hand.key(Qt.Key.Key_C)
    field = hand.notes.right.note
    assert field.hasFocus()
    QTest.keyClicks(field, "rib shadow, v")
    QTest.keyClick(field, Qt.Key.Key_Return)
    hand.calm()
    assert label(hand, 6, "note").value.text == "rib shadow, v"
    assert label(hand, 6, "needle") is None
    hand.go(7)
    hand.notes.refresh()
    assert field.text() == ""


def test_the_surer_of_model_and_key_frames_is_proposed_and_a_redrawn_needle_has_the_gauge_in_hand(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    with_models(hand)
    draw_true(hand, 0)
    hand.key(Qt.Key.Key_F)
    hand.calm()
    hand.go(20)
    draw_true(hand, 20)
    hand.calm()
    middle, beside = label(hand, 10, "needle").made, label(hand, 19, "needle").made
    assert middle.kind is Kind.PROPAGATED and middle.confidence > 0.5
    assert beside.kind is Kind.INTERPOLATED and beside.confidence > 0.8
    drawn = label(hand, 20, "needle")
    assert drawn.state is State.CONFIRMED
    true = mask_of_pose(pose_at(20, COUNT), (HEIGHT, WIDTH))
    assert abs(drawn.value.area_px - true.sum()) < 0.15 * true.sum()


def test_a_needle_may_begin_just_beside_the_picture(stage, qtbot) -> None:
    """A press two points beside the edge means the edge; far beside it the hand has nothing to draw on."""
    hand = annotating(stage, qtbot)
    right = pose_at(0, COUNT).entry_px
    scale = hand.notes.scale()
    hand.drag((WIDTH - 0.5 + 2.0 / scale, right[1]), pose_at(0, COUNT).tip_px)
    hand.calm()
    line = label(hand, 0, "needle.line")
    assert line is not None and abs(line.value.entry_px[0] - (WIDTH - 0.5)) <= 1.0
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.wait(lambda: label(hand, 0, "needle.line") is None)
    hand.drag((WIDTH - 0.5 + 12.0 / scale, right[1]), pose_at(0, COUNT).tip_px)
    hand.calm()
    assert label(hand, 0, "needle.line") is None
