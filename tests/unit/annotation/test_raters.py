"""Blind readings, agreement and adjudication."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_maker import MODEL, do, key, make_case, proposal

from puncta.annotation.adjudicate import (
    CONSENSUS,
    Tolerance,
    agreed,
    differences,
    mean_shape,
    settle,
    unsettled,
)
from puncta.annotation.agreement import agreement, angle_gap, cohen_kappa
from puncta.annotation.assignments import Work, assign, assignment, mark
from puncta.annotation.commands import Board, draw, not_visible, propose, set_flag, set_phase
from puncta.annotation.disputes import Answer, agreeing, answer, disputes, waiting_slots
from puncta.annotation.labels import (
    Kind,
    Label,
    LineLabel,
    NotVisible,
    Slot,
    State,
    TipLabel,
    Value,
    by_person,
    mask_label,
    mask_of,
    mask_of_stroke,
)
from puncta.annotation.reading import (
    may_propose,
    saw_proposals,
    visible_labels,
    visible_suggestions,
    visible_update,
)
from puncta.annotation.store import AnnotationStore
from puncta.annotation.store_suggestions import Suggestion
from puncta.core.errors import UserError
from puncta.formats.dataset_values import Visibility

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


def label(name: str, index: int, value: Value, rater: str, state: State = State.CONFIRMED) -> Label:
    return Label(name, key(index), rater, value, by_person(rater), state)


def flags(rater: str, values: str) -> list[Label]:
    board = Board("c", rater)
    for index, value in enumerate(values):
        command = set_flag(board, "csf", int(value), [key(index)])
        assert command is not None
        board.apply(command)
    return list(board)


def test_kappa_is_that_of_the_textbook() -> None:
    # Cohen's own kind of table: 20 both yes, 15 both no, 5 and 10 mixed.
    pairs = [(1, 1)] * 20 + [(1, 0)] * 5 + [(0, 1)] * 10 + [(0, 0)] * 15
    kappa = cohen_kappa("csf", pairs)
    assert kappa.value == pytest.approx(0.4) and kappa.observed == pytest.approx(0.7) and kappa.n == 50
    assert cohen_kappa("csf", [(1, 1), (1, 1)]).value is None
    assert cohen_kappa("csf", [(1, 0), (0, 1)]).value == pytest.approx(-1.0)
    near, far = [(0, 1), (1, 2), (2, 2), (0, 0)], [(0, 2), (1, 2), (2, 2), (0, 0)]
    grades = cohen_kappa("shadow", near, graded=True)
    assert grades.method == "kappa, quadratic weights"
    assert grades.value is not None and grades.value > (cohen_kappa("shadow", far, graded=True).value or 0)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=20))
def test_kappa_keeps_its_bounds(pairs: list[tuple[int, int]]) -> None:
    for graded in (False, True):
        one = cohen_kappa("x", pairs, graded=graded).value
        other = cohen_kappa("x", [(b, a) for a, b in pairs], graded=graded).value
        assert one is None or -1.0001 <= one <= 1.0 + 1e-9
        assert one == pytest.approx(other)


def test_agreement_counts_what_both_have_confirmed() -> None:
    a, b = flags("anna", "110010"), flags("bert", "1000")
    stroke = [(10.0, 10.0), (40.0, 20.0)]
    for rater, out, off in (("anna", a, 0.0), ("bert", b, 1.0)):
        moved = [(x, y + off) for x, y in stroke]
        out += [
            label("needle", 0, mask_label(mask_of_stroke(moved, 5.0, (48, 64))), rater),
            label("needle_tip", 0, TipLabel((40.0 + 10 * off, 20.0)), rater),
            label("needle_tip", 1, TipLabel((30.0, 20.0)) if off else NotVisible(), rater),
            label("needle_tip", 2, NotVisible(Visibility.SHADOWED), rater),
            label("needle_tip", 3, TipLabel((1.0, 1.0)), rater, State.PROPOSED),
        ]
    found = agreement(CASE, a, b, proposals=True)
    assert (found.a, found.b, found.frames, found.proposals) == ("anna", "bert", 4, True)
    (csf,) = found.flags
    assert csf.n == 4 and csf.observed == 0.75 and csf.value == pytest.approx(0.5)
    needle, tip = found.visible
    assert (needle.n, tip.n, tip.observed) == (1, 3, pytest.approx(2 / 3))
    (mask,) = found.masks
    assert 0.75 < mask.dice_mean < 0.9 and mask.n == 1 and mask.unit == "mm"
    assert mask.boundary == pytest.approx(0.1, abs=0.03), "one pixel of a tenth of a millimetre"
    (gap,) = found.distances
    assert (gap.name, gap.n, gap.unit) == ("needle_tip", 1, "mm") and gap.median == pytest.approx(1.0)
    bare = agreement(make_case(mm_per_px=None), a, b)
    assert bare.distances[0].unit == "px" and bare.distances[0].median == pytest.approx(10.0)


def test_phases_and_lines_agree_too() -> None:
    boards = []
    for rater, switch in (("anna", 5), ("bert", 6)):
        board = Board("c", rater)
        for phase, frames in (("advance", range(switch)), ("hold", range(switch, 10))):
            command = set_phase(board, phase, [key(i) for i in frames])
            assert command is not None
            board.apply(command)
        boards.append(board)
    (phase,) = agreement(CASE, *boards).flags
    assert phase.name == "phase" and phase.observed == 0.9
    a = label("needle.line", 1, LineLabel((0.0, 0.0), (10.0, 0.0)), "anna")
    b = label("needle.line", 1, LineLabel((10.0, 1.0), (0.0, 0.0)), "bert")
    assert angle_gap(a, b, CASE) == pytest.approx(np.degrees(np.arctan(0.1)))


def readings(store: AnnotationStore) -> tuple[str, Board, Board]:
    case = store.add_case(CASE)
    anna, bert = Board(case.id, "anna"), Board(case.id, "bert")
    for board, off in ((anna, 0.0), (bert, 1.0)):
        do(store, board, draw(board, "needle_tip", key(0), TipLabel((10.0 + off, 10.0))))  # 0.1 mm
        do(store, board, draw(board, "needle_tip", key(1), TipLabel((10.0 + 40 * off, 10.0))))  # 4 mm
        mask = mask_label(mask_of_stroke([(10.0, 10.0 + off), (40.0, 20.0 + off)], 6.0, (48, 64)))
        do(store, board, draw(board, "needle", key(0), mask))
        do(store, board, set_flag(board, "csf", int(off), [key(2)]))
    do(store, anna, not_visible(anna, "needle_tip", key(3)))
    do(store, bert, draw(bert, "needle_tip", key(3), TipLabel((5.0, 5.0))))
    do(store, anna, draw(anna, "needle_tip", key(4), TipLabel((5.0, 5.0))))
    return case.id, anna, bert


def test_differences_come_first_and_are_settled_by_one_key(store: AnnotationStore) -> None:
    case_id, anna, bert = readings(store)
    final = Board(case_id, CONSENSUS)
    do(store, final, agreed(final, CASE, anna, bert, "cleo"))
    assert {(x.name, x.key.index) for x in final} == {("needle_tip", 0), ("needle", 0)}
    tip = final.get(Slot(0, "needle_tip"))
    assert tip is not None and tip.value == TipLabel((10.5, 10.0))
    assert tip.made.kind is Kind.CONSENSUS and tip.made.base == "anna, bert" and tip.made.by == "cleo"
    found = differences(CASE, anna, bert, settled=final)
    assert [(d.slot.index, d.slot.name) for d in found] == [
        (3, "needle_tip"),
        (2, "csf"),
        (1, "needle_tip"),
        (4, "needle_tip"),
    ]
    assert [d.text for d in found] == [
        "anna: hidden, bert: visible",
        "anna: 0, bert: 1",
        "4.0 mm apart",
        "only anna has judged it",
    ]
    do(store, final, settle(final, found[0], "b", "cleo"))
    do(store, final, settle(final, found[2], TipLabel((33.0, 10.0)), "cleo"))
    assert settle(final, found[3], "b", "cleo") is None, "bert has said nothing there"
    taken = {x.key.index: x for x in store.labels(case_id, rater=CONSENSUS) if x.name == "needle_tip"}
    assert taken[3].value == TipLabel((5.0, 5.0)) and taken[3].made.base == "bert"
    assert taken[1].made.kind is Kind.PERSON and taken[1].trusted
    assert [d.slot.index for d in differences(CASE, anna, bert, settled=final)] == [2, 4]
    assert store.undo(case_id, CONSENSUS, 3) is not None
    assert {x.value for x in store.labels(case_id, rater="bert", frame=3)} == {TipLabel((5.0, 5.0))}


def test_how_far_apart_is_the_same_is_a_choice() -> None:
    a = [label("needle_tip", 1, TipLabel((10.0, 10.0)), "anna")]
    b = [label("needle_tip", 1, TipLabel((25.0, 10.0)), "bert")]
    assert differences(CASE, a, b) == () and len(differences(CASE, a, b, Tolerance(tip=1.0))) == 1


def test_the_mean_outline_lies_between() -> None:
    thin = mask_of_stroke([(10.0, 20.0), (50.0, 20.0)], 5.0, (48, 64))
    thick = mask_of_stroke([(10.0, 20.0), (50.0, 20.0)], 13.0, (48, 64))
    mean = mean_shape([thin, thick])
    assert mean[:, 30].sum() == 9 and np.array_equal(mean_shape([thin, thin]), thin)
    assert not mean_shape([np.zeros((4, 4), bool)] * 2).any() and mean_shape([np.ones((4, 4), bool)] * 2).all()
    value = mask_label(mean)
    assert np.array_equal(mask_of(value), mean)


def test_rejected_and_proposed_work_is_no_reading() -> None:
    a = [Label("needle_tip", key(1), "anna", TipLabel((1.0, 1.0)), MODEL, State.REJECTED)]
    b = [Label("needle_tip", key(1), "bert", TipLabel((9.0, 9.0)), MODEL, State.CONFIRMED)]
    assert agreement(CASE, a, b).frames == 0
    assert [d.text for d in differences(CASE, a, b)] == ["only bert has judged it"]


def both_readings(store: AnnotationStore) -> tuple[str, Board, Board]:
    """Two readings of a needle with its line, which part on frames 0 and 1; bert alone has judged frame 2."""
    case = store.add_case(CASE)
    anna, bert = Board(case.id, "anna"), Board(case.id, "bert")
    for board, off in ((anna, 0.0), (bert, 14.0)):
        for index in (0, 1):
            way = [(10.0, 10.0), (40.0, 20.0 + off * (1 - index / 2))]
            do(store, board, draw(board, "needle", key(index), mask_label(mask_of_stroke(way, 5.0, (48, 64)))))
            do(store, board, draw(board, "needle.line", key(index), LineLabel(way[0], way[1])))
    do(store, bert, draw(bert, "needle_tip", key(2), TipLabel((1.0, 1.0))))
    do(store, anna, set_flag(anna, "csf", 1, [key(3)]))
    do(store, bert, set_flag(bert, "csf", 0, [key(3)]))
    return case.id, anna, bert


def test_a_needle_and_its_line_are_one_question_and_the_largest_comes_first(store: AnnotationStore) -> None:
    _case, anna, bert = both_readings(store)
    found = disputes(CASE, anna, bert)
    assert [(d.index, d.name, d.one_sided) for d in found] == [
        (3, "csf", False),
        (0, "needle", False),
        (1, "needle", False),
        (2, "needle_tip", True),
    ]
    assert {p.slot.name for p in found[1].parts} == {"needle", "needle.line"}
    assert found[1].amount > found[2].amount and "Dice" in found[1].text


def test_one_key_answers_all_of_a_thing_and_says_from_whom(store: AnnotationStore) -> None:
    case_id, anna, bert = both_readings(store)
    final = Board(case_id, CONSENSUS, author="cleo")
    flag, first, second, alone = disputes(CASE, anna, bert)
    assert not any(d.settled(final) for d in (flag, first, second, alone))
    do(store, final, answer(final, first, Answer.B, "cleo"))
    assert first.settled(final) and answer(final, first, Answer.B, "cleo") is None
    taken = {x.name: x for x in final.on_frame(0)}
    assert set(taken) == {"needle", "needle.line"} and taken["needle"].value == bert.get(Slot(0, "needle")).value
    assert taken["needle"].made.kind is Kind.CONSENSUS
    assert (taken["needle"].made.by, taken["needle"].made.base) == ("cleo", "bert")
    do(store, final, answer(final, second, Answer.A, "cleo"))
    do(store, final, answer(final, second, Answer.ABSENT, "cleo"))
    assert second.settled(final), "its line goes with it"
    (gone,) = final.on_frame(1)
    assert isinstance(gone.value, NotVisible) and gone.made.kind is Kind.PERSON
    do(store, final, answer(final, flag, Answer.ABSENT, "cleo"))
    assert flag.settled(final) and final.get(Slot(3, "csf")).value.value == 0
    assert answer(final, alone, Answer.A, "cleo") is None, "anna has said nothing there"
    do(store, final, draw(final, "needle_tip", key(2), TipLabel((4.0, 4.0))))
    own = final.get(Slot(2, "needle_tip"))
    assert alone.settled(final) and own.made.by == "cleo" and own.rater == CONSENSUS
    assert store.undo(case_id, CONSENSUS, 0) is not None
    final = Board(case_id, CONSENSUS, store.labels(case_id, rater=CONSENSUS))
    assert not first.settled(final) and alone.settled(final)


def test_a_thing_one_says_is_hidden_is_one_question_too(store: AnnotationStore) -> None:
    case_id, anna, bert = both_readings(store)
    do(store, anna, not_visible(anna, "needle", key(0)))
    final = Board(case_id, CONSENSUS)
    first = next(d for d in disputes(CASE, anna, bert) if d.index == 0)
    assert len(first.parts) == 2 and first.amount == 1.0 and first.text == "anna: hidden, bert: visible"
    do(store, final, answer(final, first, Answer.A, "cleo"))
    assert first.settled(final) and [x.name for x in final.on_frame(0)] == ["needle"]
    do(store, final, answer(final, first, Answer.B, "cleo"))
    assert {x.name for x in final.on_frame(0)} == {"needle", "needle.line"}


def test_a_needle_in_dispute_takes_its_tip_along(store: AnnotationStore) -> None:
    case = store.add_case(CASE)
    anna, bert = Board(case.id, "anna"), Board(case.id, "bert")
    for board, off in ((anna, 0.0), (bert, 12.0)):
        way = [(10.0, 10.0), (40.0, 20.0 + off)]  # 1.2 mm: tips agree, needles do not
        do(store, board, draw(board, "needle", key(0), mask_label(mask_of_stroke(way, 3.0, (48, 64)))))
        do(store, board, draw(board, "needle_tip", key(0), TipLabel(way[1])))
        do(store, board, draw(board, "needle_tip", key(1), TipLabel(way[1])))
    found = disputes(CASE, anna, bert)
    assert [d.names for d in found] == [("needle", "needle_tip")]
    assert agreeing(anna, bert, found) == 1
    final = Board(case.id, CONSENSUS)
    do(store, final, agreed(final, CASE, anna, bert, "cleo", waiting=waiting_slots(found)))
    assert [x.slot for x in final] == [Slot(1, "needle_tip")], "the mean of two tips would lie on neither needle"
    do(store, final, draw(final, "needle", key(0), anna.get(Slot(0, "needle")).value))
    assert not found[0].settled(final), "its tip waits for an answer too"
    do(store, final, answer(final, found[0], Answer.B, "cleo"))
    assert found[0].settled(final) and final.get(Slot(0, "needle_tip")).value == TipLabel((40.0, 32.0))
    do(store, final, answer(final, found[0], Answer.ABSENT, "cleo"))
    assert [type(x.value) for x in final.on_frame(0)] == [NotVisible, NotVisible]


def test_a_phase_is_never_absent() -> None:
    boards = []
    for rater, phase in (("anna", "advance"), ("bert", "hold")):
        board = Board("c", rater)
        command = set_phase(board, phase, [key(0)])
        assert command is not None
        board.apply(command)
        boards.append(board)
    (only,) = disputes(CASE, *boards)
    final = Board("c", CONSENSUS)
    assert answer(final, only, Answer.ABSENT, "cleo") is None and answer(final, only, Answer.B, "cleo") is not None
    assert agreeing(boards[0], boards[0], ()) == 1 and agreeing(*boards, [only]) == 0


NEEDLE, OTHER = (
    mask_label(mask_of_stroke([(10.0, 10.0), (40.0, 20.0 + off)], 3.0, (48, 64))) for off in (0.0, 14.0)
)
LINE, TIP = LineLabel((10.0, 10.0), (40.0, 20.0)), TipLabel((40.0, 20.0))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"needle": NEEDLE, "needle_tip": TIP}, {"needle": OTHER}),
        ({"needle": NEEDLE, "needle_tip": TIP}, {"needle": NotVisible()}),
        ({"needle": NEEDLE, "needle_tip": TIP}, {"needle_tip": TIP}),
        ({"needle": NEEDLE, "needle.line": LINE}, {"needle": NEEDLE}),
    ],
    ids=["another mask", "not visible", "a tip alone", "the same mask without a line"],
)
def test_taking_the_reading_that_has_a_part_less_settles_the_thing(
    one: dict[str, Value], other: dict[str, Value]
) -> None:
    anna = [label(name, 0, value, "anna") for name, value in one.items()]
    bert = [label(name, 0, value, "bert") for name, value in other.items()]
    (only,) = disputes(CASE, anna, bert)
    final = Board("c", CONSENSUS)
    taken_over = agreed(final, CASE, anna, bert, "cleo", waiting=waiting_slots([only]))
    if taken_over is not None:
        final.apply(taken_over)
    assert not only.settled(final)
    for chosen, side in ((Answer.B, bert), (Answer.A, anna), (Answer.B, bert)):
        command = answer(final, only, chosen, "cleo")
        assert command is not None
        final.apply(command)
        assert only.settled(final) and unsettled([*anna, *bert, *final]) == {}
        assert {x.name: x.value for x in final} == {x.name: x.value for x in side}
        assert {(x.state, x.made.base) for x in final} == {(State.CONFIRMED, side[0].rater)}
    assert answer(final, only, Answer.B, "cleo") is None


def test_a_needle_that_the_adjudicator_calls_not_visible_has_no_tip() -> None:
    anna = [label("needle", 0, NEEDLE, "anna"), label("needle_tip", 0, TIP, "anna")]
    final = Board("c", CONSENSUS, author="cleo")
    final.apply(not_visible(final, "needle_tip", key(0)))
    assert unsettled([*anna, *final]), "a tip out of sight says nothing of the shaft"
    final.apply(not_visible(final, "needle", key(0)))
    assert unsettled([*anna, *final]) == {}
    final.set(Slot(0, "needle_tip"), None)
    assert unsettled([*anna, *final]) == {}
