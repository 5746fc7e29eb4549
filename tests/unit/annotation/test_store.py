"""The store on SQLite and on PostgreSQL: gestures, undo by frame, raters, watching, restart."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from label_maker import MODEL, do, key, make_case, proposal

from puncta.annotation.commands import (
    Board,
    Change,
    Command,
    LabelConflict,
    accept,
    accept_range,
    draw,
    erase,
    not_visible,
    propose,
    reject,
    set_flag,
    set_note,
    set_phase,
)
from puncta.annotation.labels import (
    BoxLabel,
    FlagLabel,
    Kind,
    Label,
    LineLabel,
    MaskLabel,
    NotVisible,
    PolygonLabel,
    Slot,
    State,
    TipLabel,
    Value,
)
from puncta.annotation.store import AnnotationStore, Applied
from puncta.annotation.store_suggestions import Suggestion
from puncta.annotation.tables import CASES, COMMANDS
from puncta.core.errors import UserError
from puncta.formats.dataset_values import Visibility

Opener = Callable[[], AnnotationStore]

VALUES: list[tuple[str, Value]] = [
    ("needle_tip", TipLabel((10.25, 7.5))),
    ("needle_tip", TipLabel((10.0, 7.0), (8.0, 6.0, 4.0, 2.0), Visibility.UNCERTAIN)),
    ("needle", BoxLabel((1.5, 2.0, 10.0, 5.0))),
    ("needle.line", LineLabel((0.0, 0.0), (10.0, 7.0))),
    ("needle", MaskLabel((48, 64), (100, 20, 48 * 64 - 120))),
    ("needle", PolygonLabel((48, 64), (((1.0, 1.0), (9.0, 1.0), (9.0, 7.0)),))),
    ("needle", NotVisible(Visibility.SHADOWED)),
]


@pytest.mark.parametrize(("name", "value"), VALUES, ids=lambda v: type(v).__name__ if not isinstance(v, str) else v)
def test_every_kind_of_label_comes_back_as_it_was(open_store: Opener, name: str, value: Value) -> None:
    store = open_store()
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    do(store, board, draw(board, name, key(3, "ab" * 32), value))
    found = open_store().labels(case.id)
    assert found == tuple(board)
    assert found[0].value == value and found[0].key == key(3, "ab" * 32)
    assert found[0].made.kind is Kind.PERSON and found[0].made.by == "anna" and found[0].state is State.CONFIRMED


def test_flags_phases_and_notes_over_ranges(store: AnnotationStore) -> None:
    case = store.add_case(make_case(label_set="infant-lp"))
    board = Board(case.id, "anna")
    done = do(store, board, set_flag(board, "csf", 1, [key(i) for i in range(10, 20)], frame=19))
    assert {c.after.state for c in done.changes if c.after} == {State.BULK}
    do(store, board, set_flag(board, "csf", 0, [key(12)]))
    do(store, board, set_phase(board, "advance", [key(i) for i in range(5)]))
    do(store, board, set_note(board, key(2), "  bright band "))
    do(store, board, set_flag(board, "csf", None, [key(19)]))
    labels = {label.slot: label for label in store.labels(case.id, rater="anna")}
    assert labels == board.snapshot()
    assert labels[Slot(12, "csf")].value == FlagLabel(0) and labels[Slot(12, "csf")].state is State.CONFIRMED
    assert Slot(19, "csf") not in labels
    assert [label.slot.name for label in store.labels(case.id, frame=2)] == ["note", "phase"]
    assert len(store.labels(case.id, frame=(10, 11))) == 2


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


def test_what_changed_meanwhile_is_refused_and_nothing_is_half_done(open_store: Opener) -> None:
    here, there = open_store(), open_store()
    case = here.add_case(make_case())
    board, other = Board(case.id, "anna"), Board(case.id, "anna")
    first = set_flag(board, "csf", 1, [key(i) for i in range(4)])
    late = set_flag(other, "csf", 0, [key(i) for i in range(3, 8)])
    assert first and late
    here.apply(first)
    with pytest.raises(LabelConflict, match="csf on frame 3"):
        there.apply(late)
    assert {label.key.index for label in there.labels(case.id)} == {0, 1, 2, 3}
    assert here.undo_titles(case.id, "anna", 7) == (None, None)


def test_two_raters_on_one_case_never_meet(open_store: Opener) -> None:
    here, there = open_store(), open_store()
    case = here.add_case(make_case())
    anna, bert = Board(case.id, "anna"), Board(case.id, "bert")
    do(here, anna, draw(anna, "needle_tip", key(1), TipLabel((1, 1))))
    do(there, bert, draw(bert, "needle_tip", key(1), TipLabel((9, 9))))
    assert {(label.rater, label.value) for label in here.labels(case.id)} == {
        ("anna", TipLabel((1, 1))),
        ("bert", TipLabel((9, 9))),
    }
    assert here.raters(case.id) == ("anna", "bert")


def test_machines_pass_over_what_is_confirmed(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    stale = Board(case.id, "anna")
    do(store, board, draw(board, "needle_tip", key(1), TipLabel((1, 1))))
    do(store, board, not_visible(board, "needle_tip", key(2)))
    labels = [proposal("needle_tip", i, TipLabel((5, 5))) for i in range(4)]
    seen = propose(board, labels)
    assert seen is not None and seen.frames == (0, 3), "the board sees what is confirmed"
    command = propose(stale, labels)
    assert command is not None and command.frames == (0, 1, 2, 3), "a job that began earlier does not"
    done = store.apply(command)
    assert done.passed_over == (Slot(1, "needle_tip"), Slot(2, "needle_tip"))
    board.apply(done.changes)
    assert {label.slot: label for label in store.labels(case.id)} == board.snapshot()
    assert store.labels(case.id, frame=1)[0].value == TipLabel((1, 1))
    assert store.labels(case.id, frame=2)[0].value == NotVisible()
    assert [store.labels(case.id, frame=i)[0].state for i in (0, 3)] == [State.PROPOSED, State.PROPOSED]


def test_accept_fix_and_reject_keep_who_made_it(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    do(store, board, propose(board, [proposal("needle_tip", i, TipLabel((5, i))) for i in range(8)]))
    do(store, board, accept(board, 0))
    do(store, board, accept_range(board, 1, 4, frame=4))
    do(store, board, reject(board, 5))
    do(store, board, draw(board, "needle_tip", key(6), TipLabel((7, 7))))
    states = {label.key.index: label for label in store.labels(case.id)}
    assert [states[i].state for i in range(8)] == [
        State.CONFIRMED,
        State.BULK,
        State.BULK,
        State.BULK,
        State.BULK,
        State.REJECTED,
        State.CONFIRMED,
        State.PROPOSED,
    ]
    assert states[0].made == MODEL and states[3].made == MODEL
    assert (states[6].made.kind, states[6].made.base) == (Kind.PERSON, "model:needle-tip 0.2")
    assert accept(board, 0) is None and reject(board, 6) is None, "what is confirmed is not rejected by a key"


def test_a_gesture_sent_twice_counts_once(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    command = draw(board, "needle_tip", key(1), TipLabel((1, 1)))
    assert command is not None
    assert store.apply(command).changes and store.apply(command).changes == ()
    assert store.undo(case.id, "anna") is not None and store.undo(case.id, "anna") is None


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


def test_watching_tells_what_came_and_what_went(open_store: Opener) -> None:
    here, there = open_store(), open_store()
    case = here.add_case(make_case())
    board = Board(case.id, "anna")
    do(here, board, draw(board, "needle_tip", key(1), TipLabel((1, 1))))
    do(here, board, draw(board, "needle_tip", key(2), TipLabel((2, 2))))
    known = there.changes_since(case.id, 0)
    assert [(rater, slot.index) for rater, slot, label in known.changed if label] == [("anna", 1), ("anna", 2)]
    do(here, board, erase(board, [Slot(1, "needle_tip")]))
    assert there.revision(case.id) > known.revision
    update = there.changes_since(case.id, known.revision)
    assert update.changed == (("anna", Slot(1, "needle_tip"), None),)
    assert there.changes_since(case.id, update.revision).changed == ()


def test_a_label_of_another_clip_is_refused(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    do(store, board, draw(board, "needle_tip", key(1), TipLabel((1, 1))))
    do(store, board, draw(board, "needle_tip", key(1, "aa" * 32), TipLabel((2, 1))))
    assert store.labels(case.id)[0].key.sha256 == "aa" * 32, "a hash that comes later is filled in"
    for wrong, words in (
        (replace(key(1), pts_ns=1), "another time"),
        (key(1, "bb" * 32), "another content"),
        (replace(key(1), stream="other.mp4"), "other.mp4"),
    ):
        command = draw(board, "note", wrong, TipLabel((1, 1)))
        assert command is not None
        with pytest.raises(UserError, match=words):
            store.apply(command)
    assert len(store.labels(case.id)) == 1


def test_cases_keep_their_facts(open_store: Opener) -> None:
    store = open_store()
    case = store.add_case(make_case(tags=("b", "a"), machine="F", subject="s1"))
    assert store.add_case(case) == case
    assert open_store().case(case.id) == replace(case, tags=("a", "b"))
    changed = store.update_case(replace(case, split="test", tags=("c",), region=None))
    assert changed.split == "test" and changed.tags == ("c",) and changed.region is None
    found = store.find_case(case.stream)
    assert found is not None and found.id == case.id
    assert store.find_case("nothing") is None
    with pytest.raises(UserError, match="no case zz"):
        store.labels("zz")
    board = Board("zz", "anna")
    command = draw(board, "needle_tip", key(1), TipLabel((1, 1)))
    assert command is not None
    with pytest.raises(UserError, match="no case zz"):
        store.apply(command)


def test_the_queue_is_ordered_and_forgets_what_is_done(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    store.put_suggestions(
        case.id,
        "anna",
        "needle-tip 0.2",
        [Suggestion(1, "doubt", 0.3), Suggestion(2, "doubt", 0.9), Suggestion(3, "teaches", 0.5, "unlike the others")],
    )
    store.put_suggestions(case.id, "anna", "tip x track", [Suggestion(1, "disagreement", 0.95, "9 mm apart")])
    assert [s.index for s in store.suggestions(case.id, "anna")] == [1, 2, 3]
    first = store.suggestions(case.id, "anna")[0]
    assert (first.reason, first.text, first.source) == ("disagreement", "9 mm apart", "tip x track")
    do(store, board, draw(board, "needle_tip", key(2), TipLabel((1, 1))))
    assert [s.index for s in store.suggestions(case.id, "anna")] == [1, 3]
    assert [s.index for s in store.suggestions(case.id, "anna", ["needle_tip", "needle"])] == [1, 2, 3]
    assert store.suggestions(case.id, "bert") == (), "what anna asked the models is hers to look at"
    store.put_suggestions(case.id, "bert", "tip x track", [Suggestion(9, "doubt", 0.8)])
    assert [s.index for s in store.suggestions(case.id, "bert")] == [9]
    store.put_suggestions(case.id, "anna", "tip x track", [])
    assert [s.index for s in store.suggestions(case.id, "anna")] == [3, 1]


def test_raters_at_once_lose_nothing(open_store: Opener) -> None:
    """Four raters, each with a connection of its own; one of them sits at two machines."""
    stores = [open_store() for _ in range(4)]
    case = stores[0].add_case(make_case())
    names = ["anna", "bert", "cleo", "anna"]
    problems: list[BaseException] = []

    def work(number: int) -> None:
        board = Board(case.id, names[number])
        try:
            for i in range(12):
                frame = i if number != 3 else 50 + i
                do(stores[number], board, draw(board, "needle_tip", key(frame), TipLabel((number, i))))
                if i % 4 == 3:
                    assert stores[number].undo(case.id, names[number], frame) is not None
        except BaseException as error:  # noqa: BLE001
            problems.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    found = {(label.rater, label.key.index): label.value for label in stores[0].labels(case.id)}
    kept = [i for i in range(12) if i % 4 != 3]
    assert found == {(names[n], i + (50 if n == 3 else 0)): TipLabel((n, i)) for n in range(4) for i in kept}
    assert stores[1].revision(case.id) == 4 * 12 + 4 * 3


# Any sequence of edits, undone, gives the first state; redone, the last.

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["tip", "hide", "flag", "range", "erase", "propose", "accept", "reject", "note", "undo",
                         "redo", "undo case"]),
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


def test_a_failure_in_the_middle_leaves_nothing(store: AnnotationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    command = draw(board, "needle_tip", key(1), TipLabel((1, 1)))
    assert command is not None

    def fail(*_args: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr("puncta.annotation.store_rows.write_contents", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        store.apply(command)
    assert store.labels(case.id) == () and store.revision(case.id) == 0
    assert store.undo_titles(case.id, "anna") == (None, None)
    with store.reading() as connection:
        assert connection.execute(sa.select(CASES.c.revision)).scalar_one() == 0


def test_a_command_without_changes_is_ours_to_prevent(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    with pytest.raises(ValueError, match="without changes"):
        store.apply(Command("Nothing", case.id, "anna", ()))
    assert Change(Slot(1, "a"), None, proposal("a", 1, FlagLabel(1))).key == key(1)
