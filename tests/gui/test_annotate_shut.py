"""Where nothing can be labelled nothing looks it; a clip does not run on while it is asked who labels."""

from __future__ import annotations

from pathlib import Path

from annotate_window import CONTROL, Hand, annotating, pose_at
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from puncta.core.events import PlayState
from puncta.gui.annotate.things import Shape


def hints(hand: Hand) -> str:
    row = hand.parts.window.status_line._hints
    return " ".join(label.text() for hint in row._hints for label in hint.findChildren(QLabel))


def offered(hand: Hand) -> dict[str, bool]:
    right, left = hand.notes.right, hand.notes.left
    rows = {f"row {name}": row.isEnabled() for name, row in (left.rows | left.phase_rows).items()}
    buttons = {name: button.isEnabled() for name, button in right.buttons.items()}
    return buttons | rows | {"note": right.note.isEnabled()}


def answer(hand: Hand, rater: str) -> None:
    dialog = hand.parts.window.does.dialogs["rater"]
    dialog.name.setText(rater)
    QTest.keyClick(dialog.name, Qt.Key.Key_Return)


def test_without_a_rater_nothing_looks_usable_and_a_key_says_why(stage, qtbot) -> None:
    hand = annotating(stage, qtbot, rater="")
    hand.parts.window.does.dialogs["rater"].reject()
    qtbot.waitUntil(hand.parts.window.isActiveWindow)
    hand.notes.refresh()
    assert not any(offered(hand).values())
    assert "accept" not in hints(hand) and "frames that teach" not in hints(hand) and "frame" in hints(hand)
    assert not hand.notes.status.saved.isVisible(), "nothing is saved where nothing is open"
    for key in (Qt.Key.Key_V, Qt.Key.Key_F, Qt.Key.Key_2, Qt.Key.Key_PageDown):
        hand.parts.window.status_line.hush()
        hand.key(key)
        assert "Nobody is labelling yet" in hand.parts.window.status_line.message
    hand.notes.status.rater.click()
    answer(hand, "anna")
    hand.wait(lambda: hand.notes.desk.board is not None)
    hand.calm()
    assert all(offered(hand).values()) and "accept" in hints(hand) and hand.notes.status.saved.isVisible()
    assert hand.notes.shape is Shape.NEEDLE


def test_behind_the_first_question_who_labels_nothing_looks_usable(stage, qtbot) -> None:
    hand = annotating(stage, qtbot, rater="")
    assert "rater" in hand.parts.window.does.dialogs
    assert not any(offered(hand).values()) and "accept" not in hints(hand)
    assert not any(button.isEnabled() for button in hand.notes.strip.buttons.values())
    assert not hand.notes.left.sets.isVisible() and not hand.notes.right.tip.isVisible()
    assert "Nobody is labelling yet" in hand.notes.strip.words.full()


def test_the_playhead_stands_where_the_held_picture_is_when_the_mode_changes(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    window = hand.parts.window
    hand.go(12)
    window.does.run("mode_review")
    assert window.review.transport._frame.text().startswith("Frame 12 ")
    window.does.run("frames_on")
    hand.shows(22)
    window.does.run("mode_annotate")
    assert hand.notes.bar.timeline._index == 22
    assert hand.notes.bar.transport._frame.text().startswith("Frame 22 ")


def test_without_a_store_nothing_looks_usable_and_what_is_wrong_stays_to_be_seen(
    stage, qtbot, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("PUNCTA_STORE", str(tmp_path / "lab" / "labls.sqlite"))
    hand = annotating(stage, qtbot, rater="")
    answer(hand, "anna")
    hand.wait(lambda: bool(hand.notes.saved.failure))
    hand.notes.refresh()
    assert not any(offered(hand).values()) and "accept" not in hints(hand)
    assert hand.notes.status.saved.isVisible() and hand.notes.status.saved.words.text() == "Not saved"
    hand.key(Qt.Key.Key_V)
    assert "no store of labels" in hand.parts.window.status_line.message
    hand.notes.saved.begin_anew()
    hand.wait(lambda: hand.notes.desk.board is not None)
    hand.calm()
    assert all(offered(hand).values()) and "accept" in hints(hand)


def test_the_clip_is_held_behind_the_question_who_labels(stage, qtbot) -> None:
    hand = annotating(stage, qtbot, "clip-a:200")
    hand.parts.player.play()
    hand.wait(lambda: hand.parts.desk.status.state is PlayState.PLAYING)
    hand.notes.status.rater.click()
    hand.wait(lambda: hand.parts.desk.status.state is not PlayState.PLAYING)


def test_the_clip_is_held_where_annotate_opens_with_the_question(stage, qtbot) -> None:
    hand = annotating(stage, qtbot, "clip-a:200")
    window = hand.parts.window
    window.does.run("mode_review")
    window.preferences.set("rater", "")
    hand.parts.player.play()
    hand.wait(lambda: hand.parts.desk.status.state is PlayState.PLAYING)
    QTest.keyClick(hand.view, Qt.Key.Key_3, CONTROL)
    assert "rater" in window.does.dialogs
    hand.wait(lambda: hand.parts.desk.status.state is not PlayState.PLAYING)
    window.does.dialogs["rater"].reject()
    # A clip that is opened in Annotate, and begins to play by itself, waits as well.
    window.open_uri("clip-b:200")
    hand.wait(lambda: hand.parts.desk.info is not None and hand.parts.desk.info.uri == "clip-b:200")
    hand.wait(lambda: "rater" in window.does.dialogs)
    hand.wait(lambda: hand.parts.desk.status.state is PlayState.PAUSED)


def test_nothing_of_the_reader_before_is_to_be_seen_while_the_next_ones_labels_come(stage, qtbot) -> None:
    hand = annotating(stage, qtbot, rater="anna")
    pose = pose_at(0, 30)
    hand.drag((pose.entry_px[0] - 1.0, pose.entry_px[1] + 0.6), pose.tip_px)
    hand.calm()
    assert hand.notes.status.count.text().startswith("1 of 30")
    assert any(row.any() for row in hand.notes.bar.timeline._rows.values())
    hand.notes.status.rater.click()
    answer(hand, "bert")
    assert hand.notes.desk.board is None, "bert's labels are still on their way"
    assert hand.notes.status.count.text() == ""
    assert not any(row.any() for row in hand.notes.bar.timeline._rows.values())
    assert hand.view.scene is None or hand.view.scene.items == ()
