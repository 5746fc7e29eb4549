"""Two readings of a clip whose needle is known, and a hand that makes one of them in the window."""

from __future__ import annotations

from dataclasses import replace

from annotate_window import CONTROL, HEIGHT, MM, WIDTH, Hand, annotating, open_clip, pose_at
from PySide6.QtCore import Qt

from puncta.annotation.assignments import assign
from puncta.annotation.cases import Case, case_of_source
from puncta.annotation.commands import Board, draw, not_visible
from puncta.annotation.labels import Slot
from puncta.annotation.store import AnnotationStore
from puncta.core.frame import FrameKey
from puncta.session.between_keys import needle_values

COUNT = 30
NAMES = ("needle_tip", "needle", "target")


def keys() -> list[FrameKey]:
    return [frame.hashed_key() for frame in iter(open_clip("clip-a").read, None)]


def read_by(
    store: AnnotationStore, case: Case, rater: str, off_mm: dict[int, float], hidden: tuple[int, ...] = ()
) -> None:
    """A reading of the first ten frames whose needles lie so far beside the true ones."""
    board = Board(case.id, rater)
    at = keys()
    for index in range(10):
        if index in hidden:
            for name in ("needle", "needle_tip"):
                store.apply(not_visible(board, name, at[index]))
            continue
        pose, off = pose_at(index, COUNT), off_mm.get(index, 0.0) / MM
        moved = replace(
            pose,
            tip_px=(pose.tip_px[0], pose.tip_px[1] + off),
            entry_px=(pose.entry_px[0], pose.entry_px[1] + off),
        )
        for name, value in needle_values(moved, (HEIGHT, WIDTH), NAMES).items():
            store.apply(draw(board, name, at[index], value))


def two_readings(**rules: bool) -> Case:
    """Anna and bert have read the clip; they part on frames 3 (most), 5 and 7."""
    with AnnotationStore.open() as store:
        case = store.add_case(case_of_source(open_clip("clip-a").info, "needle"))
        read_by(store, case, "anna", {})
        read_by(store, case, "bert", {5: 3.0, 7: 6.0}, hidden=(3,))
        if rules:
            assign(store, case.id, "T", **rules)
    return case


def label(hand: Hand, index: int, name: str):
    return hand.notes.desk.board.get(Slot(index, name))


def adjudicating(stage, qtbot) -> Hand:
    hand = annotating(stage, qtbot)
    hand.calm()
    assert hand.notes.left.adjudicate.isVisible()
    hand.key(Qt.Key.Key_J, CONTROL)
    hand.wait(lambda: hand.notes.adjudication.on and bool(hand.notes.adjudication.disputes))
    hand.calm()
    return hand


def order(hand: Hand) -> list[tuple[int, str]]:
    return [(d.index, d.name) for d in hand.notes.adjudication.disputes]
