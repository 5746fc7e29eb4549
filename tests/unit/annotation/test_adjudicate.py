"""Two readings become one: what differs, one answer a thing, and the mean of what agrees."""

from __future__ import annotations

import numpy as np
import pytest
from label_maker import MODEL, do, key, label, make_case

from puncta.annotation.adjudicate import CONSENSUS, Tolerance, agreed, differences, mean_shape, settle, unsettled
from puncta.annotation.agreement import agreement
from puncta.annotation.commands import Board, draw, not_visible, set_flag, set_phase
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
    mask_label,
    mask_of,
    mask_of_stroke,
)
from puncta.annotation.store import AnnotationStore

CASE = make_case()


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
