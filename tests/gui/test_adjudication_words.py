"""What the lowest line says while two readings become one: after undo and redo, and of a single frame."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from annotate_window import CONTROL, SHIFT
from PySide6.QtCore import Qt

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


def test_one_frame_that_waits_is_told_in_the_singular(stage, qtbot) -> None:
    READINGS.two_readings()
    hand = READINGS.adjudicating(stage, qtbot)
    line = hand.parts.window.status_line
    hand.key(Qt.Key.Key_A)
    hand.calm()
    hand.key(Qt.Key.Key_A)
    hand.calm()
    hand.key(Qt.Key.Key_E, CONTROL)
    assert line.message.startswith("1 frame still waits for an answer; it goes")
    hand.parts.window.does.dialogs["export_labels"].reject()
