"""Several raters on one server through copies on their machines; the server goes away and comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pg_server
import pytest
import sqlalchemy as sa
from label_maker import do, key, make_case, proposal

from puncta.annotation.assignments import Work, assign, assignment, mark
from puncta.annotation.commands import Board, draw, erase, not_visible, propose, set_flag
from puncta.annotation.labels import Kind, Provenance, Slot, TipLabel
from puncta.annotation.shared import SharedStore, open_labels
from puncta.annotation.store import AnnotationStore
from puncta.annotation.store_refusals import StoreForbidden, StoreUnreachable
from puncta.core.errors import UserError

Seat = Callable[[str], SharedStore]


@pytest.fixture
def server_place(place: Path | str) -> Path | str:
    """The server's store: PostgreSQL, or a second SQLite file, for which the same rules hold."""
    return place


@pytest.fixture
def seat(server_place: Path | str, tmp_path: Path) -> Iterator[Seat]:
    """Open the copy of a machine, by its name."""
    opened: list[SharedStore] = []

    def open_one(machine: str) -> SharedStore:
        opened.append(SharedStore.open(server_place, folder=tmp_path / machine))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


def contents(store: AnnotationStore, case_id: str) -> dict:
    return {(x.rater, x.slot): x for x in store.labels(case_id)}


def test_raters_see_each_other_after_a_sync(seat: Seat) -> None:
    here, there = seat("a"), seat("b")
    case = here.add_case(make_case(tags=("pilot",)))
    assign(here, case.id, "bert", blind=True)
    assert here.sync() and there.sync()
    assert there.case(case.id).tags == ("pilot",)
    anna, bert = Board(case.id, "anna"), Board(case.id, "bert")
    do(here, anna, draw(anna, "needle_tip", key(1), TipLabel((1, 1))))
    do(here, anna, set_flag(anna, "csf", 1, [key(i) for i in range(5)]))
    do(there, bert, draw(bert, "needle_tip", key(1), TipLabel((2, 2))))
    mark(there, case.id, "bert", Work.DONE)
    assert here.waiting == 2 and there.waiting == 1
    before = there.revision(case.id)
    for store in (here, there, here):
        assert store.sync()
    assert here.waiting == there.waiting == 0 and here.connected
    assert contents(here, case.id) == contents(there, case.id) and len(contents(here, case.id)) == 7
    assert there.revision(case.id) > before, "whoever polls the copy learns of it"
    found = assignment(here, case.id, "bert")
    assert found is not None and found.state is Work.DONE and found.blind
    do(here, anna, erase(anna, [Slot(1, "needle_tip")]))
    assert here.sync() and there.sync()
    assert ("anna", Slot(1, "needle_tip")) not in contents(there, case.id)


def test_undo_and_redo_travel(seat: Seat) -> None:
    here, there = seat("a"), seat("b")
    case = here.add_case(make_case())
    board = Board(case.id, "anna")
    do(here, board, set_flag(board, "csf", 1, [key(i) for i in range(4)]))
    do(here, board, set_flag(board, "csf", 0, [key(2)]))
    assert here.sync()
    for frame in (1, 2):
        done = here.undo(case.id, "anna", frame)
        assert done is not None
    assert here.redo(case.id, "anna", 2) is not None
    wanted = contents(here, case.id)
    assert here.sync() and here.refused == () and there.sync()
    assert contents(there, case.id) == wanted == contents(here, case.id)


def test_what_went_with_its_key_frame_stays_gone_on_the_server_too(seat: Seat) -> None:
    here, there = seat("a"), seat("b")
    case = here.add_case(make_case())
    board = Board(case.id, "anna")
    made = Provenance(Kind.INTERPOLATED, "between key frames", "0.1", "frames 0 and 9")

    def lay(y: float) -> None:
        found = [proposal("needle_tip", i, TipLabel((1, y)), made=made) for i in range(1, 9)]
        do(here, board, propose(board, found, title="Between key frames"))

    do(here, board, draw(board, "needle_tip", key(5), TipLabel((5, 5))))
    do(here, board, erase(board, [Slot(5, "needle_tip")], frame=5, title="Erase"))
    lay(1.0)
    gone = erase(board, [Slot(i, "needle_tip") for i in range(1, 9)])
    assert gone is not None
    do(here, board, replace(gone, automatic=True))
    assert here.sync()
    lay(2.0)
    lay(3.0)
    titles = []
    while (done := here.undo(case.id, "anna", 5)) is not None:
        titles.append(done.title)
        assert here.sync() and here.refused == () and there.sync()
        assert contents(there, case.id) == contents(here, case.id)
        assert {x.made.kind for x in here.labels(case.id)} <= {Kind.PERSON}, "no proposal comes back"
    assert titles == ["Between key frames", "Erase", "Label needle_tip"]


def test_the_same_rater_on_two_machines_loses_nothing_unseen(seat: Seat) -> None:
    here, there = seat("a"), seat("b")
    case = here.add_case(make_case())
    assert here.sync() and there.sync()
    boards = Board(case.id, "anna"), Board(case.id, "anna")
    do(here, boards[0], draw(boards[0], "needle_tip", key(1), TipLabel((1, 1))))
    do(there, boards[1], draw(boards[1], "needle_tip", key(1), TipLabel((2, 2)), title="Late tip"))
    do(there, boards[1], draw(boards[1], "needle_tip", key(2), TipLabel((3, 3))))
    assert here.sync() and there.sync()
    (refused,) = there.refused
    assert refused.title == "Late tip" and "needle_tip on frame 1" in refused.reason
    assert there.labels(case.id, frame=1)[0].value == TipLabel((1, 1)), "the slot shows what the server has"
    assert there.waiting == 0
    assert here.sync()
    assert contents(here, case.id) == contents(there, case.id)
    assert here.labels(case.id, frame=2)[0].value == TipLabel((3, 3)), "what does not clash goes through"
    assert there.undo(case.id, "anna", 1) is None, "a refused gesture is not undone over the other one"


def test_a_gesture_sent_twice_counts_once(seat: Seat) -> None:
    here = seat("a")
    case = here.add_case(make_case())
    board = Board(case.id, "anna")
    do(here, board, draw(board, "needle_tip", key(1), TipLabel((1, 1))))
    assert here.undo(case.id, "anna", 1) is not None and here.redo(case.id, "anna", 1) is not None
    assert here.sync()
    here.set_fact("sent", "0")  # as if the answers had been lost
    assert here.waiting == 3 and here.sync()
    assert here.refused == () and here.waiting == 0
    assert [x.value for x in here.labels(case.id)] == [TipLabel((1, 1))]


def test_the_connection_is_cut_in_the_middle(postgres: pg_server.Server, tmp_path: Path) -> None:
    address = postgres.make_store("cut")
    here, there = (SharedStore.open(address, folder=tmp_path / name) for name in ("a", "b"))
    try:
        case = here.add_case(make_case())
        board = Board(case.id, "anna")
        do(here, board, draw(board, "needle_tip", key(0), TipLabel((0, 0))))
        assert here.sync() and there.sync()
        postgres.stop()
        for frame in range(1, 6):
            do(here, board, draw(board, "needle_tip", key(frame), TipLabel((frame, 0))))
            assert not here.sync() and not here.connected and "does not answer" in here.trouble
        do(here, board, not_visible(board, "needle_tip", key(3)))
        assert here.undo(case.id, "anna", 5) is not None
        here.close()  # the machine is switched off, too
        here = SharedStore.open(address, folder=tmp_path / "a")
        assert here.waiting == 7 and len(here.labels(case.id)) == 5
        postgres.start()
        assert here.sync() and here.connected and here.waiting == 0 and here.refused == ()
        assert there.sync()
        assert contents(there, case.id) == contents(here, case.id)
        with AnnotationStore.open(address) as server:
            assert contents(server, case.id) == contents(here, case.id) and len(server.labels(case.id)) == 5
    finally:
        here.close()
        there.close()
        postgres.start_again()


def test_four_raters_and_a_thread_each(postgres: pg_server.Server, tmp_path: Path) -> None:
    """Few gestures; `python tests/bench/annotation_raters.py` does it for a minute."""
    address = postgres.make_store("four")
    names = ("anna", "bert", "cleo", "dora")
    stores = [SharedStore.open(address, folder=tmp_path / name) for name in names]
    case = stores[0].add_case(make_case())
    for store in stores:
        assert store.sync()
    problems: list[BaseException] = []

    def work(store: SharedStore, rater: str) -> None:
        board = Board(case.id, rater)
        try:
            for i in range(8):
                do(store, board, draw(board, "needle_tip", key(i), TipLabel((i, len(rater)))))
        except BaseException as error:  # noqa: BLE001
            problems.append(error)

    for store in stores:
        store.start(0.02)
    threads = [threading.Thread(target=work, args=pair) for pair in zip(stores, names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        assert store.sync() and store.sync()
    for store in stores:
        store.sync()
    found = [contents(store, case.id) for store in stores]
    for store in stores:
        store.close()
    assert problems == [] and len(found[0]) == 32
    assert all(one == found[0] for one in found)


def test_the_window_opens_a_server_through_a_copy(
    postgres: pg_server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = postgres.make_store("window")
    with open_labels(tmp_path / "own.sqlite") as own:
        assert type(own) is AnnotationStore
    monkeypatch.setenv("PUNCTA_STORE", address)
    with open_labels() as store:
        case = store.add_case(make_case())
        board = Board(case.id, "anna")
        do(store, board, draw(board, "needle_tip", key(1), TipLabel((1, 1))))
        assert isinstance(store, SharedStore)
        for _ in range(400):  # its own thread sends it
            if not store.waiting and store.connected:
                break
            threading.Event().wait(0.05)
        assert store.waiting == 0
    with AnnotationStore.open(address) as server:
        assert len(server.labels(case.id)) == 1


def test_a_shared_store_needs_a_server(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="address of its server"):
        SharedStore.open()
    store = SharedStore.open("postgresql://nobody@127.0.0.1:9/lab", folder=tmp_path)
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    do(store, board, draw(board, "needle_tip", key(1), TipLabel((1, 1))))
    assert not store.sync() and store.waiting == 1
    store.close()


def test_a_server_of_a_newer_puncta_is_told_and_the_work_goes_on(seat: Seat, server_place: Path | str) -> None:
    with AnnotationStore.open(server_place) as server, server.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    here = seat("a")
    assert here.standing.reached is None
    case = here.add_case(make_case())
    board = Board(case.id, "anna")
    do(here, board, draw(board, "needle_tip", key(1), TipLabel((1, 1))))
    assert not here.sync()
    standing = here.standing
    assert standing.reached is False and standing.waiting == 1 and "newer Puncta" in standing.trouble


def test_a_right_that_is_missing_is_told_and_tried_again(postgres: pg_server.Server, tmp_path: Path) -> None:
    address = postgres.make_store("rights")
    with AnnotationStore.open(address) as server, server.writing() as connection:
        connection.execute(sa.text("ALTER TABLE cases RENAME TO hidden_cases"))
    with SharedStore.open(address, folder=tmp_path / "a") as here:
        here.add_case(make_case())
        assert not here.sync() and "cannot be used" in here.trouble and "cases" in here.trouble
        with AnnotationStore.open(address) as server, server.writing() as connection:
            connection.execute(sa.text("ALTER TABLE hidden_cases RENAME TO cases"))
        assert here.sync() and here.standing.reached


@pytest.mark.parametrize(
    "trouble",
    [
        StoreForbidden("the server does not allow this"),
        StoreUnreachable("the server does not answer"),
        UserError("the disk is full; make room"),
    ],
)
def test_what_says_nothing_about_a_gesture_keeps_it_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: UserError
) -> None:
    server = tmp_path / "server.sqlite"
    with SharedStore.open(server, folder=tmp_path / "a") as here:
        case = here.add_case(make_case())
        assert here.sync()
        board = Board(case.id, "anna")
        do(here, board, draw(board, "needle_tip", key(1), TipLabel((1, 1))))
        do(here, board, draw(board, "needle_tip", key(2), TipLabel((2, 2))))

        def fail(_store: AnnotationStore, _command: object) -> None:
            raise trouble

        with monkeypatch.context() as broken:
            broken.setattr(AnnotationStore, "apply", fail)
            for _ in range(2):
                assert not here.sync() and here.trouble == str(trouble) and not here.connected
                assert here.waiting == 2 and here.refused == () and len(here.labels(case.id)) == 2
        assert here.sync() and here.waiting == 0 and here.refused == ()
        with AnnotationStore.open(server) as there:
            assert contents(there, case.id) == contents(here, case.id) and len(there.labels(case.id)) == 2


def test_a_right_to_write_that_is_missing_keeps_labels_until_it_is_given(
    postgres: pg_server.Server, tmp_path: Path
) -> None:
    address = postgres.make_store("unwritable")
    tables = "ALL TABLES IN SCHEMA unwritable TO looker"
    with AnnotationStore.open(address) as server:
        case = server.add_case(make_case())
        with server.writing() as connection:
            connection.execute(sa.text("CREATE ROLE looker LOGIN"))
            connection.execute(sa.text("GRANT USAGE ON SCHEMA unwritable TO looker"))
            connection.execute(sa.text(f"GRANT SELECT, UPDATE ON {tables}"))
        with SharedStore.open(address.replace("puncta@", "looker@"), folder=tmp_path / "a") as here:
            assert here.sync(), "there is nothing to send yet"
            board = Board(case.id, "anna")
            do(here, board, draw(board, "needle_tip", key(1), TipLabel((1, 1))))
            assert not here.sync() and "does not allow 'looker' to do this" in here.trouble
            assert here.waiting == 1 and here.refused == () and len(here.labels(case.id)) == 1
            with server.writing() as connection:
                connection.execute(sa.text(f"GRANT INSERT ON {tables}"))
                connection.execute(sa.text("GRANT USAGE ON ALL SEQUENCES IN SCHEMA unwritable TO looker"))
            assert here.sync() and here.waiting == 0 and here.refused == ()
            assert contents(server, case.id) == contents(here, case.id) and len(server.labels(case.id)) == 1


def test_a_label_of_another_clip_is_refused_and_holds_up_nothing(tmp_path: Path) -> None:
    server = tmp_path / "server.sqlite"
    with SharedStore.open(server, folder=tmp_path / "a") as here, AnnotationStore.open(server) as there:
        case = here.add_case(make_case())
        assert here.sync()
        bert, anna = Board(case.id, "bert"), Board(case.id, "anna")
        other = replace(key(1), pts_ns=key(1).pts_ns + 1)
        do(there, bert, draw(bert, "needle_tip", other, TipLabel((9, 9))))
        do(here, anna, draw(anna, "needle_tip", key(1), TipLabel((1, 1))))
        do(here, anna, draw(anna, "needle_tip", key(2), TipLabel((2, 2))))
        assert here.undo(case.id, "anna", 1) is not None
        here.sync()
        assert here.waiting == 0 and ["another time" in one.reason for one in here.refused] == [True, False]
        assert "not on the server" in here.refused[1].reason
        assert [x.value for x in there.labels(case.id, rater="anna")] == [TipLabel((2, 2))]


def test_what_the_server_has_refused_is_neither_undone_nor_made_again(tmp_path: Path) -> None:
    server = tmp_path / "server.sqlite"
    with SharedStore.open(server, folder=tmp_path / "a") as here, AnnotationStore.open(server) as there:
        case = here.add_case(make_case())
        assert here.sync()
        elsewhere, mine = Board(case.id, "anna"), Board(case.id, "anna")
        for index in (1, 2):
            do(there, elsewhere, draw(elsewhere, "needle_tip", key(index), TipLabel((1, 1))))
        do(there, elsewhere, erase(elsewhere, [Slot(2, "needle_tip")]))
        do(there, elsewhere, draw(elsewhere, "needle_tip", key(2), TipLabel((4, 4))))
        late = [draw(mine, "needle_tip", key(index), TipLabel((2, 2)), title="Late") for index in (1, 2)]
        for gesture in late:
            do(here, mine, gesture)
        assert here.undo(case.id, "anna", 2) is not None
        assert here.sync() and here.standing.refused_uids >= {gesture.uid for gesture in late if gesture is not None}
        do(there, elsewhere, erase(elsewhere, [Slot(2, "needle_tip")]))
        assert here.sync() and here.labels(case.id, frame=2) == ()
        assert here.undo(case.id, "anna", 1) is None
        assert here.redo(case.id, "anna", 2) is None, "it would only be refused again"
        assert here.waiting == 0 and [x.value for x in here.labels(case.id)] == [TipLabel((1, 1))]
