"""Search, worklists, progress and statistics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from label_maker import do, key, make_case, proposal

from puncta.annotation.commands import Board, accept_range, draw, not_visible, propose, reject, set_flag, set_phase
from puncta.annotation.labels import TipLabel, mask_label, mask_of_stroke
from puncta.annotation.store import AnnotationStore
from puncta.library.search import all_tags, search
from puncta.library.worklist import (
    Progress,
    assign,
    first_open_frame,
    mark,
    next_case,
    progress,
    set_thumbnail,
    statistics,
    thumbnail,
    worklist,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnnotationStore]:
    with AnnotationStore.open(tmp_path / "labels.sqlite") as opened:
        yield opened


def test_search_takes_every_word_and_every_tag(store: AnnotationStore) -> None:
    store.add_case(make_case(title="Breast one", machine="F", tags=("Hard", "pilot")))
    store.add_case(make_case(title="Breast two", subject="S7", tags=("pilot",)))
    store.add_case(make_case(title="Nerve", label_set="needle-tip"))

    def titles(text: str = "", *tags: str) -> list[str]:
        return [case.title for case in search(store, text, tags)]

    assert titles() == ["Breast one", "Breast two", "Nerve"]
    assert titles("breast s7") == ["Breast two"] and titles("NEEDLE-tip") == ["Nerve"]
    assert titles("", "pilot") == ["Breast one", "Breast two"] and titles("breast", "pilot", "hard") == ["Breast one"]
    assert titles("moon") == []
    assert all_tags(store) == {"pilot": 2, "Hard": 1}


def test_the_next_open_clip_comes_in_order_and_round_again(store: AnnotationStore) -> None:
    one, two, three = (store.add_case(make_case(title=t)) for t in ("1", "2", "3"))
    for case in (one, two, three):
        assign(store, case.id, "anna")
    assert [a.case_id for a in worklist(store, "anna")] == [one.id, two.id, three.id]

    def after(case_id: str | None) -> str | None:
        found = next_case(store, "anna", case_id)
        return None if found is None else found.title

    assert after(None) == "1" and after(one.id) == "2" and after(three.id) == "1"
    mark(store, two.id, "anna", "skipped", "too dark")
    assert after(one.id) == "3"
    mark(store, three.id, "anna", "done")
    assert after(one.id) is None and after(None) == "1"
    assert worklist(store, "bert") == ()


def test_progress_and_the_first_open_frame(store: AnnotationStore) -> None:
    case = store.add_case(make_case(frame_count=6))
    assert first_open_frame(store, case, "anna") == 0
    board = Board(case.id, "anna")
    do(store, board, propose(board, [proposal("needle_tip", i, TipLabel((1, i))) for i in range(4)]))
    assert progress(store, case, "anna") == Progress(6, 0, 4)
    do(store, board, accept_range(board, 0, 1))
    assert progress(store, case, "anna") == Progress(6, 2, 2) and first_open_frame(store, case, "anna") == 2
    assert progress(store, case).share == pytest.approx(1 / 3) and progress(store, case, "bert").labelled == 0
    assert first_open_frame(store, case, "anna", ["needle_tip", "needle"]) == 0
    for frame in range(2, 6):
        do(store, board, draw(board, "needle_tip", key(frame), TipLabel((2, frame))))
    assert first_open_frame(store, case, "anna") == 0, "nothing is open any more"


def test_models_do_not_count_as_labelled(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    board = Board(case.id, "model:needle-tip 0.2")
    do(store, board, draw(board, "needle_tip", key(1), TipLabel((1, 1))))
    assert progress(store, case).labelled == 0


def test_statistics_tell_what_was_seen_and_who_made_it(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    board = Board(case.id, "anna")
    do(store, board, propose(board, [proposal("needle_tip", i, TipLabel((1, i))) for i in range(4)]))
    do(store, board, accept_range(board, 0, 1))
    do(store, board, reject(board, 2))
    do(store, board, draw(board, "needle_tip", key(3), TipLabel((9, 9))))
    do(store, board, not_visible(board, "needle_tip", key(4)))
    do(store, board, set_flag(board, "csf", 1, [key(i) for i in range(3)]))
    do(store, board, set_flag(board, "csf", 0, [key(3)]))
    do(store, board, set_phase(board, "hold", [key(0), key(1)]))
    mask = mask_label(mask_of_stroke([(5.0, 5.0), (20.0, 5.0)], 3.0, (48, 64)))
    do(store, board, draw(board, "needle", key(0), mask))
    told = statistics(store, case.id, "anna")
    assert told.states == {"bulk": 7, "rejected": 1, "confirmed": 4}
    assert told.makers == {"model:needle-tip 0.2": 3, "human": 9}
    assert told.confirmed_as_proposed == pytest.approx(0.5), "two taken, one fixed, one rejected"
    assert told.visible == {"needle_tip": 3, "needle": 1} and told.not_visible == {"needle_tip": 1}
    assert told.flags == {"csf": {0: 1, 1: 3}} and told.phases == {"hold": 2}
    assert told.mask_area_px == {"needle": mask.area_px} and told.frames == 5


def test_thumbnails(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    assert thumbnail(store, case.id) is None
    set_thumbnail(store, case.id, b"\x89PNG one")
    set_thumbnail(store, case.id, b"\x89PNG two")
    assert thumbnail(store, case.id) == b"\x89PNG two"
