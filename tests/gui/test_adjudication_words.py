"""What the lowest line says while two readings become one: after undo and redo, and of a single frame."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from annotate_window import CONTROL, SHIFT
from PySide6.QtCore import Qt

from puncta.annotation.commands import Board, draw, erase, propose, reject
from puncta.annotation.labels import Label, State, TipLabel, by_person
from puncta.annotation.store import AnnotationStore
from puncta.gui.annotate.adjudication_words import frames_in_words

BESIDE = Path(__file__).with_name("test_adjudication.py")
SPEC = importlib.util.spec_from_file_location("two_readings_of_a_clip", BESIDE)
READINGS = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(READINGS)


def test_an_answer_that_is_made_again_is_named(stage, qtbot) -> None:
    READINGS.two_readings()
    hand = READINGS.adjudicating(stage, qtbot)
    line = hand.parts.window.status_line
    hand.key(Qt.Key.Key_A)
    hand.shows(7)
    hand.calm()
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.wait(lambda: "waits again" in line.message)
    hand.calm()
    hand.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    hand.calm()
    assert hand.notes.adjudication.disputes[0].settled(hand.notes.desk.board)
    assert line.message == "Frame 003, Needle: the answer stands again."


def test_one_frame_that_waits_is_told_in_the_singular(stage, qtbot, tmp_path: Path) -> None:
    READINGS.two_readings()
    hand = READINGS.adjudicating(stage, qtbot)
    line = hand.parts.window.status_line
    hand.key(Qt.Key.Key_A)
    hand.calm()
    hand.key(Qt.Key.Key_A)
    hand.calm()
    hand.key(Qt.Key.Key_E, CONTROL)
    assert line.message.startswith("1 of 10 labelled frames still waits for an answer; it stays out")
    assert hand.notes.status.count.text() == "9 of 10 labelled frames settled"
    dialog = hand.parts.window.does.dialogs["export_labels"]
    dialog.kinds.setCurrentIndex(dialog.kinds.findData("csv"))
    dialog.line.setText(str(tmp_path / "out"))
    dialog.go.click()
    hand.wait(lambda: "export_labels" not in hand.parts.window.does.dialogs)
    assert "labels on 9 frames are in" in line.message, "one count in the bar, the sentence and the folder"


def test_a_frame_that_one_reader_has_rejected_is_said_to_be_open(stage, qtbot) -> None:
    case = READINGS.two_readings()
    at, tip = READINGS.keys()[27], TipLabel((40.0, 40.0))
    with AnnotationStore.open() as store:
        anna = Board(case.id, "anna", store.labels(case.id, rater="anna"))
        proposed = Label("needle_tip", at, "anna", tip, by_person("anna"), State.PROPOSED)
        for gesture in (lambda: propose(anna, [proposed]), lambda: reject(anna, 27)):
            anna.apply(store.apply(gesture()).changes)
        store.apply(draw(Board(case.id, "bert"), "needle_tip", at, tip))
    hand = READINGS.adjudicating(stage, qtbot)
    adjudication = hand.notes.adjudication
    assert adjudication.panel.progress_words.text().endswith("Judged by one reader alone, and open: 027.")
    assert hand.notes.status.count.text() == "7 of 11 labelled frames settled"
    adjudication.go(len(adjudication.disputes) - 1)
    assert "anna: proposal rejected; bert: drawn" in adjudication.words()[0]
    hand.shows(27)
    hand.key(Qt.Key.Key_B)
    hand.calm()
    assert "one reader alone" not in adjudication.panel.progress_words.text()


def test_what_a_third_reader_alone_has_judged_counts_as_open(stage, qtbot) -> None:
    case = READINGS.two_readings()
    with AnnotationStore.open() as store:
        bert = Board(case.id, "bert", store.labels(case.id, rater="bert"))
        for index in (3, 5, 7):
            store.apply(erase(bert, [x.slot for x in bert.on_frame(index)], frame=index))
            store.apply(erase(Board(case.id, "anna", store.labels(case.id, rater="anna")),
                              [x.slot for x in store.labels(case.id, rater="anna", frame=index)], frame=index))
        store.apply(draw(Board(case.id, "carl"), "needle_tip", READINGS.keys()[20], TipLabel((40.0, 40.0))))
    hand = READINGS.annotating(stage, qtbot)
    for _time in range(2):  # the second time nothing is taken over any more
        hand.key(Qt.Key.Key_J, CONTROL)
        hand.wait(lambda: hand.notes.adjudication.on and "agree" in hand.notes.adjudication.panel.more.text())
        hand.calm()
        assert hand.notes.adjudication.sides == ("anna", "bert") and not hand.notes.adjudication.disputes
        assert hand.notes.status.count.text() == "7 of 8 labelled frames settled"
        hand.key(Qt.Key.Key_J, CONTROL)
        hand.wait(lambda: not hand.notes.adjudication.on and hand.notes.desk.board is not None)
        hand.calm()


def test_a_frame_that_both_have_judged_is_not_said_to_be_of_one_reader_alone(stage, qtbot) -> None:
    case = READINGS.two_readings()
    with AnnotationStore.open() as store:
        for index in (2, 27):
            store.apply(draw(Board(case.id, "bert"), "target", READINGS.keys()[index], TipLabel((40.0, 40.0))))
    hand = READINGS.adjudicating(stage, qtbot)
    adjudication = hand.notes.adjudication
    assert {d.index for d in adjudication.disputes if d.one_sided} == {2, 27}
    assert adjudication.panel.progress_words.text().endswith("Judged by one reader alone, and open: 027.")


def test_nothing_is_counted_before_the_readings_are_compared(stage, qtbot, monkeypatch) -> None:
    READINGS.two_readings()
    hand = READINGS.adjudicating(stage, qtbot)
    while hand.notes.adjudication.dispute and not hand.notes.adjudication.dispute.settled(hand.notes.desk.board):
        hand.key(Qt.Key.Key_A)
        hand.calm()
    assert hand.notes.status.count.text() == "10 of 10 labelled frames settled"
    hand.key(Qt.Key.Key_J, CONTROL)
    hand.wait(lambda: not hand.notes.adjudication.on and hand.notes.desk.board is not None)
    hand.calm()

    def fail(*_found: object) -> None:
        raise RuntimeError("no comparison")

    monkeypatch.setattr("puncta.gui.annotate.adjudication._compared", fail)
    hand.key(Qt.Key.Key_J, CONTROL)
    hand.wait(lambda: "cannot be compared" in hand.parts.window.status_line.message)
    hand.calm()
    assert hand.notes.adjudication.on and hand.notes.desk.board.labelled_frames()
    assert hand.notes.status.count.text() == ""
    hand.key(Qt.Key.Key_E, CONTROL)
    assert "labelled frame" not in hand.parts.window.status_line.message


def test_what_a_third_reader_confirms_meanwhile_is_counted(stage, qtbot) -> None:
    case = READINGS.two_readings()
    hand = READINGS.adjudicating(stage, qtbot)
    assert hand.notes.status.count.text() == "7 of 10 labelled frames settled"
    with AnnotationStore.open() as store:
        store.apply(draw(Board(case.id, "carl"), "needle_tip", READINGS.keys()[20], TipLabel((40.0, 40.0))))
    at = hand.notes.adjudication.at
    words = "7 of 11 labelled frames settled"
    hand.wait(lambda: (hand.notes.desk.look() or True) and hand.notes.status.count.text() == words)
    hand.calm()
    assert hand.notes.adjudication.at == at and hand.notes.adjudication.sides == ("anna", "bert")


def test_frames_are_named_shortly() -> None:
    assert frames_in_words([27, 3, 10, 11, 12]) == "003, 010-012, 027"
    assert frames_in_words(range(0, 20, 2)) == "000, 002, 004, 006, 008, 010, …"
    assert frames_in_words([]) == ""
