"""Blind readings and worklists: who sees what, and when."""

from __future__ import annotations

import pytest
from label_maker import do, key, make_case, proposal

from puncta.annotation.assignments import Work, assign, assignment, mark
from puncta.annotation.commands import Board, draw, propose
from puncta.annotation.labels import TipLabel
from puncta.annotation.reading import may_propose, saw_proposals, visible_labels, visible_suggestions, visible_update
from puncta.annotation.store import AnnotationStore
from puncta.annotation.store_suggestions import Suggestion
from puncta.core.errors import UserError

CASE = make_case()
MODEL_LAYER = "model:needle-tip 0.2"


def fill(store: AnnotationStore, case_id: str, rater: str, x: float) -> Board:
    board = Board(case_id, rater)
    do(store, board, draw(board, "needle_tip", key(1), TipLabel((x, 1.0))))
    return board


def test_a_blind_reader_sees_neither_others_nor_models_until_done(store: AnnotationStore) -> None:
    case = store.add_case(CASE)
    assign(store, case.id, "bert", blind=True)
    fill(store, case.id, "anna", 1.0)
    fill(store, case.id, MODEL_LAYER, 2.0)
    fill(store, case.id, "bert", 3.0)
    for rater in ("anna", "bert"):
        store.put_suggestions(case.id, rater, "needle-tip 0.2", [Suggestion(5, "doubt", 0.9)])

    def seen(viewer: str) -> set[str]:
        return {label.rater for label in visible_labels(store, case.id, viewer)}

    assert seen("bert") == {"bert"} and seen("anna") == {"anna", "bert", MODEL_LAYER}
    assert {rater for rater, _s, _l in visible_update(store, case.id, "bert", 0).changed} == {"bert"}
    assert visible_update(store, case.id, "bert", 0).revision == store.revision(case.id)
    assert not may_propose(store, case.id, "bert") and visible_suggestions(store, case.id, "bert") == ()
    assert [s.index for s in visible_suggestions(store, case.id, "anna")] == [5]
    assert not saw_proposals(store, case.id, ["bert"]) and saw_proposals(store, case.id, ["anna", "bert"])
    with pytest.raises(UserError, match="rules of a reading stay"):
        assign(store, case.id, "bert", blind=False)
    mark(store, case.id, "bert", Work.DONE)
    assert seen("bert") == {"anna", "bert", MODEL_LAYER}


def test_a_study_may_let_a_blind_reader_see_models_and_its_agreement_says_so(store: AnnotationStore) -> None:
    case = store.add_case(CASE)
    for rater in ("anna", "bert"):
        assign(store, case.id, rater, blind=True, proposals=rater == "bert")
    fill(store, case.id, MODEL_LAYER, 2.0)
    fill(store, case.id, "anna", 1.0)
    assert {label.rater for label in visible_labels(store, case.id, "bert")} == {MODEL_LAYER}
    assert may_propose(store, case.id, "bert") and not may_propose(store, case.id, "anna")
    assert not saw_proposals(store, case.id, ["anna"]) and saw_proposals(store, case.id, ["anna", "bert"])


def test_what_was_taken_from_a_model_shows_in_a_blind_reading_too(store: AnnotationStore) -> None:
    case = store.add_case(CASE)
    assign(store, case.id, "anna", blind=True)
    board = Board(case.id, "anna")
    do(store, board, propose(board, [proposal("needle_tip", 1, TipLabel((1, 1)))]))
    assert saw_proposals(store, case.id, ["anna"])
    do(store, board, draw(board, "needle_tip", key(1), TipLabel((2, 2))))
    assert saw_proposals(store, case.id, ["anna"]), "a fixed proposal has its base"


def test_worklist_entries_need_reasons(store: AnnotationStore) -> None:
    case, other = store.add_case(CASE), store.add_case(make_case(title="Other"))
    assert [assign(store, c.id, "anna").position for c in (case, other, case)] == [0, 1, 0]
    with pytest.raises(UserError, match="why the clip is skipped"):
        mark(store, case.id, "anna", "skipped", " ")
    assert mark(store, case.id, "anna", "question", "Which of the two?").note == "Which of the two?"
    found = assignment(store, case.id, "anna")
    assert found is not None and found.state is Work.QUESTION
    with pytest.raises(UserError, match="not on the worklist of bert"):
        mark(store, case.id, "bert", "done")
    for name in (" ", "model:x 1"):
        with pytest.raises(UserError, match="not the name of a rater"):
            assign(store, case.id, name)
