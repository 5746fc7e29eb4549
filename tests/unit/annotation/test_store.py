"""The store on SQLite and on PostgreSQL: gestures, undo by frame, raters, watching, restart."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa
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
    LineLabel,
    MaskLabel,
    NotVisible,
    PolygonLabel,
    Slot,
    State,
    TipLabel,
    Value,
)
from puncta.annotation.store import AnnotationStore
from puncta.annotation.store_suggestions import Suggestion
from puncta.annotation.tables import CASES
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
