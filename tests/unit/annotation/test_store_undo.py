"""Undo and redo of the store: what is in view, across restarts, past what others wrote, and back to the first state."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from label_maker import MODEL, do, key, make_case, proposal

from puncta.annotation.commands import (
    Board,
    Command,
    accept_range,
    draw,
    erase,
    not_visible,
    propose,
    reject,
    set_flag,
    set_note,
)
from puncta.annotation.labels import (
    FlagLabel,
    Kind,
    Label,
    Provenance,
    State,
    TipLabel,
)
from puncta.annotation.recent import proposals_taken_back, recent_gestures
from puncta.annotation.store import AnnotationStore, Applied
from puncta.annotation.tables import COMMANDS

Opener = Callable[[], AnnotationStore]


def between(frames: Iterable[int], y: float, base: str = "frames 0 and 9") -> list[Label]:
    """What is proposed between key frames."""
    made = Provenance(Kind.INTERPOLATED, "between key frames", "0.1", base)
    return [proposal("needle_tip", i, TipLabel((1, y)), made=made) for i in frames]


def taken_away(board: Board, frames: Iterable[int]) -> Command | None:
    """A key frame is gone, and what was proposed goes with it."""
    slots = [a.slot for i in frames for a in board.on_frame(i) if a.made.kind is Kind.INTERPOLATED]
    command = erase(board, [s for s in slots if not board.snapshot()[s].trusted])
    return None if command is None else replace(command, automatic=True)


def test_undo_takes_the_frame_in_view_and_survives_a_restart(open_store: Opener) -> None:
    store = open_store()
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    do(store, board, draw(board, "needle_tip", key(3), TipLabel((1, 1))))
    do(store, board, draw(board, "needle_tip", key(9), TipLabel((2, 2))))
    do(store, board, draw(board, "needle_tip", key(3), TipLabel((5, 5)), title="Move tip"))
    do(store, board, draw(board, "needle_tip", key(9), TipLabel((6, 6))))
    store.close()
    store = open_store()
    assert store.undo_titles(case.id, "anna", 3) == ("Move tip", None)
    done = store.undo(case.id, "anna", 3)
    assert done is not None and [c.slot.index for c in done.changes] == [3]
    assert store.labels(case.id, frame=3)[0].value == TipLabel((1, 1))
    assert store.labels(case.id, frame=9)[0].value == TipLabel((6, 6))
    assert store.undo_titles(case.id, "anna", 3) == ("Label needle_tip", "Move tip")
    assert store.undo(case.id, "anna", 3) is not None and store.undo(case.id, "anna", 3) is None
    assert store.labels(case.id, frame=3) == ()
    assert store.undo(case.id, "bert", 9) is None, "another rater's work is not mine to undo"
    store.close()
    store = open_store()
    assert store.redo(case.id, "anna", 3) is not None and store.redo(case.id, "anna", 3) is not None
    assert store.redo(case.id, "anna", 3) is None
    assert {label.slot: label for label in store.labels(case.id)} == board.snapshot()


def test_undo_takes_a_range_that_was_accepted_from_a_frame_that_needed_no_accepting(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    do(store, board, draw(board, "needle_tip", key(9), TipLabel((5, 5))))
    do(store, board, propose(board, [proposal("needle_tip", i, TipLabel((i, 1))) for i in range(5, 9)]))
    do(store, board, accept_range(board, 0, 99, frame=9))
    assert store.undo_titles(case.id, "anna", 9) == ("Accept range", None)
    done = store.undo(case.id, "anna", 9)
    assert done is not None and [c.slot.index for c in done.changes] == [5, 6, 7, 8]
    assert {x.key.index: x.state for x in store.labels(case.id)} == {9: State.CONFIRMED} | dict.fromkeys(
        range(5, 9), State.PROPOSED
    )
    assert store.undo_titles(case.id, "anna", 9) == ("Label needle_tip", "Accept range")
    assert store.redo(case.id, "anna", 9) is not None and store.undo(case.id, "anna", 9) is not None
    board.apply(done.changes)
    do(store, board, draw(board, "needle_tip", key(9), TipLabel((6, 6)), title="Move tip"))
    assert store.undo_titles(case.id, "anna", 9) == ("Move tip", None), "what comes after a new gesture is gone"


def test_undo_passes_a_range_that_was_covered_frame_by_frame(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    do(store, board, draw(board, "needle_tip", key(9), TipLabel((5, 5))))
    do(store, board, set_flag(board, "csf", 1, [key(3), key(4)], frame=9))
    for index in (3, 4):
        do(store, board, set_flag(board, "csf", 0, [key(index)]))
    assert store.undo_titles(case.id, "anna", 9) == ("Label needle_tip", None)
    assert store.undo(case.id, "anna", 9) is not None
    assert {x.name for x in store.labels(case.id)} == {"csf"}


def test_undo_of_a_range_leaves_what_was_done_later_on_other_frames(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    do(store, board, set_flag(board, "csf", 1, [key(i) for i in range(5)]))
    do(store, board, set_flag(board, "csf", 0, [key(2)]))
    done = store.undo(case.id, "anna", 4)
    assert done is not None and [c.slot.index for c in done.changes] == [0, 1, 3, 4]
    assert [(label.key.index, label.value) for label in store.labels(case.id)] == [(2, FlagLabel(0))]
    assert store.undo(case.id, "anna", 2) is not None
    assert store.labels(case.id)[0].value == FlagLabel(1)
    assert store.undo(case.id, "anna", 2) is not None and store.labels(case.id) == ()


def test_a_new_gesture_drops_what_could_be_redone_on_its_frame_only(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    for frame in (1, 2):
        do(store, board, draw(board, "needle_tip", key(frame), TipLabel((1, frame))))
        done = store.undo(case.id, "anna", frame)
        assert done is not None
        board.apply(done.changes)
    do(store, board, set_note(board, key(1), "later"))
    assert store.redo(case.id, "anna", 1) is None
    assert store.redo(case.id, "anna", 2) is not None


def test_undo_does_not_lead_back_to_proposals_that_went_with_their_key_frame(open_store: Opener) -> None:
    store = open_store()
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    do(store, board, set_note(board, key(4), "dark"))
    do(store, board, propose(board, between(range(1, 9), 1.0), title="First"))
    do(store, board, taken_away(board, range(1, 9)))
    assert store.undo_titles(case.id, "anna", 5) == (None, None)
    do(store, board, propose(board, between(range(1, 9), 2.0), title="Second"))
    store.close()
    store = open_store()
    done = store.undo(case.id, "anna", 5)
    assert done is not None and done.title == "Second" and len(done.changes) == 8
    assert {x.name for x in store.labels(case.id)} == {"note"}
    assert store.undo(case.id, "anna", 5) is None and {x.name for x in store.labels(case.id)} == {"note"}
    assert store.undo_titles(case.id, "anna", 4)[0] == "Note", "what a person did there can still be taken back"
    done = store.redo(case.id, "anna", 5)
    assert done is not None and {c.after.value for c in done.changes if c.after} == {TipLabel((1, 2.0))}


def test_undo_of_proposals_does_not_lead_back_to_those_that_they_replaced(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    do(store, board, propose(board, [proposal("needle_tip", 3, TipLabel((7, 7)))], title="Propagate"))
    for y in (1.0, 2.0, 3.0):
        do(store, board, propose(board, between(range(1, 6), y), title="Between key frames"))
    done = store.undo(case.id, "anna", 5)
    assert done is not None and len(done.changes) == 5
    assert [(x.key.index, x.made.kind) for x in store.labels(case.id)] == [(3, Kind.MODEL)], "a model rests on no key"
    assert store.undo(case.id, "anna", 5) is None
    assert store.redo(case.id, "anna", 5) is not None
    assert {x.value for x in store.labels(case.id)} == {TipLabel((1, 3.0))}
    assert store.undo(case.id, "anna", 3) is not None and store.undo(case.id, "anna", 3) is not None
    assert store.labels(case.id) == ()


def test_a_hand_between_two_proposals_is_taken_back_in_its_turn(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    do(store, board, propose(board, between(range(1, 4), 1.0), title="First"))
    do(store, board, draw(board, "needle_tip", key(2), TipLabel((5, 5)), title="Tip"))
    do(store, board, taken_away(board, range(1, 4)))
    assert [x.key.index for x in store.labels(case.id)] == [2]
    assert store.undo_titles(case.id, "anna", 2)[0] == "Tip" and store.undo_titles(case.id, "anna", 3)[0] is None
    assert store.undo(case.id, "anna", 2) is not None
    assert [x.state for x in store.labels(case.id)] == [State.PROPOSED]


def test_the_inverse_of_a_command_takes_it_back(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    do(store, board, draw(board, "needle_tip", key(1), TipLabel((1, 1))))
    before = board.snapshot()
    command = not_visible(board, "needle_tip", key(1))
    assert command is not None
    do(store, board, command)
    do(store, board, command.inverse())
    assert board.snapshot() == before == {label.slot: label for label in store.labels(case.id)}


# Any sequence of edits, undone, gives the first state; redone, the last.

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["tip", "hide", "flag", "range", "erase", "propose", "accept", "reject", "note", "undo",
                         "redo", "undo case", "between", "between", "taken away"]),
        st.integers(0, 3), st.integers(0, 2)),
    min_size=1, max_size=12)  # fmt: skip


def gesture(board: Board, kind: str, frame: int, amount: int) -> Command | None:
    span = range(frame, frame + amount + 1)
    match kind:
        case "tip":
            return draw(board, "needle_tip", key(frame), TipLabel((frame, amount)))
        case "hide":
            return not_visible(board, "needle_tip", key(frame))
        case "flag":
            return set_flag(board, "csf", amount or None, [key(frame)])
        case "range":
            return set_flag(board, "csf", amount % 2, [key(i) for i in span], frame=frame)
        case "erase":
            return erase(board, [label.slot for i in span for label in board.on_frame(i)], frame=frame)
        case "propose":
            return propose(board, [proposal("needle_tip", i, TipLabel((9, amount))) for i in span], frame=frame)
        case "between":
            return propose(board, between(span, 10 + amount))
        case "taken away":
            return taken_away(board, span)
        case "accept":
            return accept_range(board, frame, frame + amount)
        case "reject":
            return reject(board, frame, frame + amount)
    return set_note(board, key(frame), "x" * amount)


def play(store: AnnotationStore, case_id: str, edits: list[tuple[str, int, int]]) -> Board:
    board = Board(case_id, "anna")
    for kind, frame, amount in edits:
        if kind in {"undo", "redo", "undo case"}:
            step = store.redo if kind == "redo" else store.undo
            done = step(case_id, "anna", None if kind == "undo case" else frame)
            board.apply(done.changes if done else ())
        elif (command := gesture(board, kind, frame, amount)) is not None:
            do(store, board, command)
        assert {label.slot: label for label in store.labels(case_id)} == board.snapshot()
    return board


def made_on(store: AnnotationStore, done: Applied) -> int | None:
    with store.reading() as connection:
        query = sa.select(COMMANDS.c.frame_index).where(COMMANDS.c.uid == done.target_uid)
        return connection.execute(query).scalar_one()


def exhaust(store: AnnotationStore, board: Board, way: str, frames: list[int | None]) -> None:
    step = store.undo if way == "undo" else store.redo
    for frame in frames:
        while (done := step(board.case_id, "anna", frame)) is not None:
            assert frame is None or frame in {c.slot.index for c in done.changes} or made_on(store, done) == frame
            board.apply(done.changes)


@settings(max_examples=25)
@given(edits=EDITS, order=st.permutations(range(6)))
def test_any_edits_undone_give_the_first_state_and_redone_the_last(
    lasting_store: AnnotationStore, edits: list[tuple[str, int, int]], order: list[int]
) -> None:
    store = lasting_store
    case = store.add_case(make_case())
    board = play(store, case.id, edits)
    exhaust(store, board, "redo", [None])
    last = board.snapshot()
    for frames in ([None], [*order], [*order[:3], None]):
        exhaust(store, board, "undo", frames)
        assert board.snapshot() == {} == {label.slot: label for label in store.labels(case.id)}
        exhaust(store, board, "redo", list(reversed(frames)))
        assert board.snapshot() == last == {label.slot: label for label in store.labels(case.id)}


def test_a_slot_that_somebody_else_wrote_is_not_undone(store: AnnotationStore) -> None:
    """The log says one thing, the slot holds another: as when the rater's other machine wrote it past this log."""
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    do(store, board, draw(board, "needle_tip", key(1), TipLabel((1, 1))))
    other = Label("needle_tip", key(1), "anna", TipLabel((8, 8)), MODEL)
    from puncta.annotation import store_rows
    from puncta.annotation.label_json import content_of

    with store.writing() as connection:
        store_rows.write_contents(connection, case.id, "anna", [(other.slot, content_of(other))], 99)
    assert store.undo(case.id, "anna", 1) is None
    assert store.labels(case.id) == (other,)


def test_the_log_tells_what_was_done_last_and_which_proposals_were_taken_back(open_store: Opener) -> None:
    store = open_store()
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    do(store, board, draw(board, "needle_tip", key(0), TipLabel((1, 1))))
    between = [proposal("needle_tip", i, TipLabel((1, 1))) for i in (2, 3, 4)]
    do(store, board, propose(board, between, title="Between key frames"))
    store.undo(case.id, "anna", 3)
    store.undo(case.id, "anna", 0)
    do(store, Board(case.id, "bert"), set_note(Board(case.id, "bert"), key(7), "mine"))
    store.close()
    store = open_store()
    lines = [(g.title, g.first, g.last, g.taken_back) for g in recent_gestures(store, case.id, "anna", 3)]
    assert lines == [
        ("Label needle_tip", 0, 0, True),
        ("Between key frames", 2, 4, True),
        ("Between key frames", 2, 4, False),
    ]
    assert proposals_taken_back(store, case.id, "anna") == {2, 3, 4}, "the drawing was none"
    assert proposals_taken_back(store, case.id, "bert") == frozenset()
    store.redo(case.id, "anna", 2)
    assert proposals_taken_back(store, case.id, "anna") == frozenset()


def test_proposals_that_were_taken_back_stay_so_whatever_is_noted_on_their_frames(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    between = [proposal("needle_tip", i, TipLabel((1, 1))) for i in (2, 3, 4)]
    do(store, board, propose(board, between, title="Between key frames"))
    store.undo(case.id, "anna", 3)
    board = Board(case.id, "anna")
    do(store, board, set_note(board, key(3), "dark"))
    assert store.undo_titles(case.id, "anna", 3)[1] is None, "the note drops what could be made again there"
    assert proposals_taken_back(store, case.id, "anna") == {2, 3, 4}
    do(store, board, propose(board, between[:2], title="Between key frames"))
    assert proposals_taken_back(store, case.id, "anna") == {4}, "proposed anew"
    store.undo(case.id, "anna", 2)
    store.redo(case.id, "anna", 2)
    do(store, board, erase(board, [between[0].slot]))
    assert proposals_taken_back(store, case.id, "anna") == {4}
