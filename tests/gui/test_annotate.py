"""Annotate: what is drawn belongs to the frame in view, is saved at once, and comes back after a restart."""

from __future__ import annotations

import math

import numpy as np
from annotate_window import CONTROL, HEIGHT, SHIFT, WIDTH, Hand, annotating, open_clip, pose_at
from PySide6.QtCore import QEvent, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from puncta.annotation.assignments import assign
from puncta.annotation.cases import case_of_source
from puncta.annotation.labels import (
    Kind,
    LineLabel,
    MaskLabel,
    NotVisible,
    PolygonLabel,
    Slot,
    State,
    TipLabel,
    mask_of,
)
from puncta.annotation.store import AnnotationStore
from puncta.annotation.store_open import default_store
from puncta.core.overlay import Fill
from puncta.imaging.needle_pose import mask_of_pose


def label(hand: Hand, index: int, name: str):
    return hand.notes.desk.board.get(Slot(index, name))


def opened(hand: Hand, uri: str) -> None:
    """Wait until another clip and its labels are open."""
    desk = hand.parts.desk
    hand.wait(lambda: desk.info is not None and desk.info.uri == uri and hand.notes.desk.board is not None)


def draw_true(hand: Hand, index: int) -> None:
    pose = pose_at(index, 30)
    hand.drag((pose.entry_px[0] - 1.0, pose.entry_px[1] + 0.6), pose.tip_px)


def overlap(hand: Hand, index: int) -> float:
    found = label(hand, index, "needle")
    if found is None or isinstance(found.value, NotVisible):
        return 0.0
    mask, true = mask_of(found.value), mask_of_pose(pose_at(index, 30), (HEIGHT, WIDTH))
    return float((mask & true).sum() / (mask | true).sum())


def test_a_drag_labels_line_mask_and_tip_of_this_frame_and_is_saved(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    hand.go(4)
    draw_true(hand, 4)
    hand.calm()
    assert hand.presses == 1
    assert {a.name for a in hand.notes.desk.board.on_frame(4)} == {"needle", "needle.line", "needle_tip"}
    tip, line, mask = (label(hand, 4, name) for name in ("needle_tip", "needle.line", "needle"))
    assert isinstance(tip.value, TipLabel) and isinstance(line.value, LineLabel) and isinstance(mask.value, MaskLabel)
    assert math.dist(tip.value.tip_px, pose_at(4, 30).tip_px) < 2.0
    assert overlap(hand, 4) > 0.8
    assert tip.rater == "T" and tip.made.kind is Kind.PERSON and tip.state is State.CONFIRMED
    frame = hand.parts.desk.analysis.frame
    assert tip.key == frame.hashed_key() and tip.key.sha256
    assert hand.notes.status.saved.words.text() == "Everything saved"
    with AnnotationStore.open() as store:
        (case,) = store.cases()
        assert {a.name for a in store.labels(case.id, rater="T")} == {"needle", "needle.line", "needle_tip"}


def test_frames_between_two_key_frames_are_proposed_and_accepted_as_a_range(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    draw_true(hand, 0)
    hand.go(29)
    draw_true(hand, 29)
    hand.calm()
    proposed = [i for i in range(30) if label(hand, i, "needle").state is State.PROPOSED]
    assert proposed == list(range(1, 29))
    hand.notes.help.refill()
    assert not hand.notes.jobs.running  # what is proposed already is not proposed again
    middle = label(hand, 15, "needle")
    assert middle.made.kind is Kind.INTERPOLATED and middle.key.sha256
    # The needle does not move evenly, so the middle of the gap is off, and first in the queue.
    hand.key(Qt.Key.Key_N)
    hand.wait(lambda: hand.parts.desk.shown_index() != 29)
    index = hand.parts.desk.shown_index()
    assert 5 <= index <= 24
    draw_true(hand, index)
    hand.calm()
    assert label(hand, index, "needle").state is State.CONFIRMED
    hand.key(Qt.Key.Key_V, SHIFT)
    hand.calm()
    states = [label(hand, i, "needle").state for i in range(30)]
    assert set(states) == {State.CONFIRMED, State.BULK}
    assert np.mean([overlap(hand, i) >= 0.7 for i in range(30)]) >= 0.9
    assert hand.notes.queue == ()


def test_undo_stays_on_its_frame_and_survives_a_restart(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    hand.go(3)
    draw_true(hand, 3)
    hand.go(8)
    draw_true(hand, 8)
    hand.calm()
    stage.close(hand.parts)
    again = annotating(stage, qtbot)
    assert label(again, 3, "needle_tip") is not None and label(again, 8, "needle_tip") is not None
    again.go(3)
    again.key(Qt.Key.Key_Z, CONTROL)
    again.calm()
    assert again.parts.desk.shown_index() == 3
    assert label(again, 3, "needle_tip") is None
    assert label(again, 8, "needle_tip").state is State.CONFIRMED
    again.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    again.calm()
    assert again.parts.desk.shown_index() == 3
    assert label(again, 3, "needle_tip").state is State.CONFIRMED


def test_undo_after_accepting_a_range_takes_the_acceptance_and_not_the_drawing(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    for index in (0, 29):
        hand.go(index)
        draw_true(hand, index)
        hand.calm()
    hand.key(Qt.Key.Key_V, SHIFT)
    hand.calm()
    assert label(hand, 14, "needle").state is State.BULK
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    assert label(hand, 29, "needle").state is State.CONFIRMED
    assert [label(hand, i, "needle").state for i in range(1, 29)] == [State.PROPOSED] * 28
    hand.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    hand.calm()
    assert label(hand, 14, "needle").state is State.BULK


def test_a_fix_between_key_frames_is_taken_back_and_made_again(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    draw_true(hand, 0)
    hand.go(29)
    draw_true(hand, 29)
    hand.calm()
    hand.go(12)
    draw_true(hand, 12)
    hand.calm()
    for shift, state in ((False, State.PROPOSED), (True, State.CONFIRMED), (False, State.PROPOSED)):
        hand.key(Qt.Key.Key_Z, CONTROL | SHIFT if shift else CONTROL)
        hand.calm()
        assert hand.parts.desk.shown_index() == 12
        assert label(hand, 12, "needle_tip").state is state


def test_dragging_an_end_fixes_a_proposal_and_keeps_who_proposed_it(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    draw_true(hand, 0)
    hand.go(29)
    draw_true(hand, 29)
    hand.calm()
    hand.go(10)
    proposed = label(hand, 10, "needle_tip").value.tip_px
    true = pose_at(10, 30).tip_px
    hand.drag(proposed, true)
    hand.calm()
    fixed = label(hand, 10, "needle_tip")
    assert fixed.state is State.CONFIRMED and math.dist(fixed.value.tip_px, true) < 2.5
    assert fixed.made.kind is Kind.PERSON and fixed.made.base == "frames 0 and 29"


def test_not_visible_by_a_held_key_covers_every_frame_of_the_span(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    hand.go(5)
    QTest.keyPress(hand.view, Qt.Key.Key_0)
    hand.go(9)
    QTest.keyRelease(hand.view, Qt.Key.Key_0)
    hand.calm()
    hidden = [i for i in range(30) if (a := label(hand, i, "needle")) is not None and isinstance(a.value, NotVisible)]
    assert hidden == [5, 6, 7, 8, 9]
    assert isinstance(label(hand, 7, "needle_tip").value, NotVisible)


def test_polygon_and_brush_draw_a_target(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    hand.key(Qt.Key.Key_3)
    for corner in ((60, 60), (100, 60), (100, 100), (60, 100)):
        hand.click(corner)
    hand.click((60, 60))
    hand.calm()
    target = label(hand, 0, "target")
    # A click falls on whole points of the screen: each edge may lie on either side of its pixels' middle.
    assert isinstance(target.value, PolygonLabel) and 39**2 <= int(mask_of(target.value).sum()) <= 43**2
    hand.key(Qt.Key.Key_3)
    hand.drag((120, 80), (150, 80))
    hand.calm()
    painted = label(hand, 0, "target")
    assert isinstance(painted.value, MaskLabel) and int(mask_of(painted.value).sum()) > 1681


def test_the_wheel_magnifies_and_the_middle_button_pans_while_a_thing_is_in_hand(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    hand.view.zoom_by(4.0)
    before = hand.view.transform().offset
    QTest.mousePress(hand.view, Qt.MouseButton.MiddleButton, Qt.KeyboardModifier.NoModifier, hand.at((120, 90)))
    QTest.mouseMove(hand.view, hand.at((140, 100)))
    QTest.mouseRelease(hand.view, Qt.MouseButton.MiddleButton, Qt.KeyboardModifier.NoModifier, hand.at((140, 100)))
    assert hand.view.transform().offset != before
    assert len(hand.notes.desk.board) == 0


def test_who_labels_is_asked_once(stage, qtbot) -> None:
    hand = annotating(stage, qtbot, rater="")
    dialog = hand.parts.window.does.dialogs["rater"]
    dialog.name.setText(" AN-2 ")
    dialog.accept()
    hand.wait(lambda: hand.notes.desk.board is not None)
    assert hand.parts.window.preferences.settings.rater == "AN-2"
    assert hand.notes.desk.rater == "AN-2"
    assert "AN-2" in hand.notes.status.rater.text()


def test_cancelling_who_labels_says_how_to_begin(stage, qtbot) -> None:
    hand = annotating(stage, qtbot, rater="")
    hand.parts.window.does.dialogs["rater"].reject()
    words = hand.notes.strip.words.text()
    assert "Nobody is labelling yet" in words and "being opened" not in words
    hand.notes.status.rater.click()
    dialog = hand.parts.window.does.dialogs["rater"]
    dialog.name.setText("AN-2")
    dialog.accept()
    hand.wait(lambda: hand.notes.desk.board is not None)
    hand.notes.refresh()
    assert "Nobody is labelling" not in hand.notes.strip.words.text()


def test_a_target_has_its_card(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    hand.key(Qt.Key.Key_3)
    for corner in ((60, 60), (100, 60), (100, 80), (60, 80), (60, 60)):
        hand.click(corner)
    hand.calm()
    card = hand.notes.right.others["target"]
    assert card.isVisible()
    facts = {name.text(): value.text() for name, value, line in card.lines if not line.isHidden()}
    assert facts["State"] == "Confirmed" and facts["Place"] in {"80, 70 px", "80, 69 px", "79, 70 px"}
    width, _times, height, unit = facts["Size"].split()  # a hand is right within a pixel of .2 mm
    assert abs(float(width) - 8.2) <= 0.45 and abs(float(height) - 4.2) <= 0.45 and unit == "mm"
    area, unit = facts["Area"].split()
    assert abs(int(area) - 34) <= 4 and unit == "mm²"
    hand.go(3)
    hand.notes.refresh()
    assert not card.isVisible()


def test_nothing_of_other_modes_and_no_magnifier_is_left_over(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    hand.parts.window.stage.try_card.want(True)
    assert not hand.parts.window.stage.try_card.isVisible(), "its keys do other things here"
    QTest.mouseMove(hand.view, hand.at((120, 90)))
    hand.wait(hand.notes.magnifier.isVisible)
    QApplication.sendEvent(hand.view, QEvent(QEvent.Type.Leave))
    assert not hand.notes.magnifier.isVisible(), "the hand has left the picture"
    QTest.mouseMove(hand.view, hand.at((121, 91)))
    hand.wait(hand.notes.magnifier.isVisible)
    hand.parts.window.open_uri("clip-b")
    opened(hand, "clip-b")
    assert not hand.notes.magnifier.isVisible()
    hand.parts.window.does.run("mode_review")
    assert hand.parts.window.stage.try_card.isVisible()


def test_review_shows_no_labels_and_keeps_the_clip(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    draw_true(hand, 0)
    hand.calm()
    assert [item for item in hand.view.scene.items if isinstance(item, Fill)]
    hand.key(Qt.Key.Key_2, CONTROL)
    assert hand.parts.window.mode == "review" and hand.parts.desk.info.uri == "clip-a"
    assert not [item for item in hand.view.scene.items if isinstance(item, Fill)]
    assert hand.view.hands is None and hand.parts.window.inspector.isVisible()
    assert open_clip("clip-a").info.frame_count == 30


def test_the_next_clip_of_the_worklist_opens_at_its_first_open_frame(stage, qtbot) -> None:
    with AnnotationStore.open() as store:
        for name in ("clip-a", "clip-b"):
            case = store.add_case(case_of_source(open_clip(name).info, "needle"))
            assign(store, case.id, "T", blind=True)
    hand = annotating(stage, qtbot)
    hand.calm()
    panel = hand.notes.work.panel
    assert panel.isVisible() and panel.words.text().startswith("Clip 1 of 2, to do. Blind reading")
    draw_true(hand, 0)
    hand.key(Qt.Key.Key_F)
    hand.calm()
    assert label(hand, 1, "needle") is None and not hand.notes.jobs.running
    hand.key(Qt.Key.Key_Return, CONTROL)
    hand.wait(lambda: panel.words.text().startswith("Clip 1 of 2, done"))
    hand.key(Qt.Key.Key_PageDown)
    opened(hand, "clip-b")
    assert hand.parts.window.mode == "annotate"
    hand.parts.player.pause()
    hand.wait(lambda: panel.words.text().startswith("Clip 2 of 2, to do"))
    hand.go(0)
    draw_true(hand, 0)
    hand.go(1)
    draw_true(hand, 1)
    hand.calm()
    hand.notes.work.look()
    hand.calm()
    hand.key(Qt.Key.Key_PageUp)
    opened(hand, "clip-a")
    hand.parts.player.pause()
    hand.notes.work.look()
    hand.calm()
    assert hand.notes.work.stand.next == ("clip-b", 2)


def test_what_the_rater_changes_in_another_window_comes_in(stage, qtbot) -> None:
    one = annotating(stage, qtbot)
    two = annotating(stage, qtbot)
    one.go(2)
    draw_true(one, 2)
    one.calm()
    two.notes.desk.look()
    two.wait(lambda: label(two, 2, "needle") is not None)
    assert label(two, 2, "needle_tip") == label(one, 2, "needle_tip")
    two.go(2)
    two.key(Qt.Key.Key_Delete)
    two.calm()
    one.notes.desk.look()
    one.wait(lambda: label(one, 2, "needle") is None)


def test_a_damaged_store_is_told_and_nothing_is_begun_unasked(stage, qtbot) -> None:
    place = default_store()
    place.parent.mkdir(parents=True)
    place.write_bytes(b"this is no database" * 400)
    hand = annotating(stage, qtbot, rater="")
    hand.parts.window.preferences.set("rater", "T")
    hand.parts.window.does.dialogs["rater"].reject()
    hand.parts.window.does.run("mode_review")
    hand.parts.window.does.run("mode_annotate")
    banners = hand.parts.window.stage.banners
    hand.wait(lambda: "labels" in banners.texts())
    assert "damaged" in banners.texts()["labels"] and hand.notes.desk.board is None
    assert hand.notes.status.saved.words.text() == "Not saved"
    hand.notes.saved.begin_anew()
    hand.wait(lambda: hand.notes.desk.board is not None)
    draw_true(hand, 0)
    hand.calm()
    assert hand.notes.status.saved.words.text() == "Everything saved"
    assert list(place.parent.glob("*.damaged-*"))
