"""Small parts of Annotate without a window: held flags, ribbons, the review queue, digits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from puncta.annotation.labels import FlagLabel, Kind, Label, NotVisible, PhaseLabel, Provenance, State, TipLabel
from puncta.annotation.store_suggestions import DISAGREEMENT, TEACHES, Suggestion
from puncta.core.frame import FrameKey
from puncta.formats.label_sets import find_label_set, shipped_label_sets
from puncta.gui.annotate.facts import state_of
from puncta.gui.annotate.flag_hold import FlagHold
from puncta.gui.annotate.review_queue import Doubt, doubt_of, next_in, ordered
from puncta.gui.annotate.ribbons import (
    ABSENT,
    HIDDEN,
    PHASE_FIRST,
    PRESENT,
    PROPOSED,
    bin_codes,
    confirmed_counts,
    draw_codes,
    empty_rows,
    runs_of,
    shown_rows,
    write_codes,
)
from puncta.gui.annotate.things import things_of


def label(index: int, name: str, value, state: State = State.CONFIRMED, confidence: float | None = None) -> Label:
    made = Provenance(Kind.MODEL, "m", "1", confidence=confidence)
    return Label(name, FrameKey("s", index, index), "T", value, made, state)


def queue_of(labels: list[Label], suggestions: list[Suggestion] | None = None):
    doubts = {}
    for index in {a.key.index for a in labels}:
        doubt = doubt_of([a for a in labels if a.key.index == index])
        if doubt is not None:
            doubts[index] = doubt
    return ordered(doubts, {a.key.index for a in labels if a.trusted}, suggestions or [])


class Screen:
    """A frame on the screen and what was committed."""

    def __init__(self) -> None:
        self.index = 0
        self.made: list[tuple[str, int, int, int]] = []
        self.flags = FlagHold(lambda: self.index, lambda: 100, lambda *what: self.made.append(what))


def test_a_held_flag_covers_its_span_and_a_clip_that_begins_anew_both_parts() -> None:
    screen = Screen()
    screen.index = 90
    screen.flags.press("csf", 1, 0.0)
    screen.index = 98
    screen.flags.follow()
    screen.index = 3
    screen.flags.follow()
    assert screen.made == [("csf", 1, 90, 99)]
    screen.index = 7
    screen.flags.release("csf", 5.0)
    assert screen.made == [("csf", 1, 90, 99), ("csf", 1, 0, 7)]


def test_two_taps_latch_until_the_next_press_and_a_long_hold_does_not() -> None:
    screen = Screen()
    screen.flags.press("csf", 1, 0.0)
    screen.flags.release("csf", 0.1)
    screen.flags.press("csf", 1, 0.2)
    screen.flags.release("csf", 0.3)
    assert screen.flags.held is not None and screen.flags.held.latched
    screen.index = 40
    screen.flags.press("csf", 1, 4.0)
    assert screen.flags.held is None and screen.made[-1] == ("csf", 1, 0, 40)
    for at in (6.0, 6.2):
        screen.flags.press("csf", 1, at)
        screen.flags.release("csf", at + 0.1)
    screen.index = 60
    screen.flags.press("csf", 0, 8.0)
    assert screen.made[-1] == ("csf", 1, 40, 60)
    assert screen.flags.held is not None and (screen.flags.held.value, screen.flags.held.since) == (0, 60)
    screen.flags.release("csf", 9.0)
    screen.flags.press("cord", 1, 10.0)
    screen.flags.release("cord", 12.0)
    screen.flags.press("cord", 1, 12.1)
    assert screen.flags.held is not None and not screen.flags.held.latched


def test_codes_say_what_is_there_proposed_hidden_and_absent() -> None:
    tip = TipLabel((1.0, 2.0))
    labels = [
        label(0, "needle_tip", tip), label(1, "needle_tip", tip, State.PROPOSED), label(2, "needle_tip", NotVisible()),
        label(3, "needle_tip", tip, State.REJECTED), label(0, "csf", FlagLabel(0)), label(1, "csf", FlagLabel(1)),
        label(2, "phase", PhaseLabel("b")),
    ]  # fmt: skip
    full = empty_rows(["needle_tip", "csf"], 5)
    for index in range(5):
        write_codes(full, index, [a for a in labels if a.key.index == index], {"a": 0, "b": 1})
    assert confirmed_counts(full) == ({"needle_tip": 2, "csf": 2}, 3, 1)
    rows = shown_rows(full)
    assert rows["needle_tip"].tolist() == [PRESENT, PRESENT + PROPOSED, HIDDEN, 0, 0]
    assert rows["csf"].tolist() == [ABSENT, PRESENT, 0, 0, 0]
    assert rows["phase"].tolist() == [0, 0, PHASE_FIRST + 1, 0, 0]
    assert list(rows) == ["needle_tip", "csf", "phase"]
    assert runs_of(rows["csf"]) == [(0, 0, ABSENT), (1, 1, PRESENT)]
    pixels = draw_codes(bin_codes(rows["needle_tip"], 50), 10, 0xFFFF0000, 0xFF00FF00, 0xFF0000FF)
    opaque = pixels >> np.uint32(24)
    sure, proposed = opaque[:, :10], opaque[:, 10:20]
    assert sure.min() > 150 and proposed.min() < 100 < proposed.max() and not opaque[:, 30:].any()


def test_the_queue_is_ordered_by_doubt_and_goes_on_from_where_one_is() -> None:
    tip = TipLabel((1.0, 2.0))
    labels = [
        label(11, "needle_tip", tip, State.PROPOSED, 0.4), label(2, "needle_tip", tip, State.PROPOSED, 0.9),
        label(3, "needle_tip", tip), label(4, "csf", FlagLabel(1), State.PROPOSED, 0.1),
    ]  # fmt: skip
    queue = queue_of(labels, [Suggestion(2, DISAGREEMENT, 0.8, "apart"), Suggestion(3, DISAGREEMENT, 1.0, "old")])
    assert [(d.index, d.words) for d in queue] == [(2, "apart"), (11, "0.40")]
    assert [d.makers for d in queue] == [("m 1",), ("m 1",)]
    assert next_in(queue, 0) == 2 and next_in(queue, 2) == 11 and next_in(queue, 11) == 2
    assert next_in((), 4) is None


def test_a_queued_frame_names_every_model_behind_it_once_with_its_version() -> None:
    tip = TipLabel((1.0, 2.0))
    labels = [
        label(7, "needle_tip", tip, State.PROPOSED, 0.4),
        replace(label(7, "needle", tip, State.PROPOSED, 0.9), made=Provenance(Kind.PROPAGATED, "t", "2", "frame 3")),
        replace(label(8, "needle", tip, State.PROPOSED, 0.4), made=Provenance(Kind.INTERPOLATED, "keys", "9", "1, 9")),
    ]
    told = [Suggestion(7, DISAGREEMENT, 0.9, "apart", "t 2 + u 3"), Suggestion(20, TEACHES, 0.9, "unlike", "a choice")]
    makers = {doubt.index: doubt.makers for doubt in queue_of(labels, told)}
    assert makers == {7: ("t 2", "u 3", "m 1"), 8: (), 20: ()}


def test_an_open_frame_of_the_queue_says_below_the_picture_which_models_sent_it_there() -> None:
    asked = Doubt(7, 0.8, "needle lost", makers=("t 2", "u 3"))
    assert state_of((), "T", asked)[0].endswith("needle lost: t 2, u 3")
    assert "t 2" not in state_of((), "T", asked, named=False)[0]


def test_frames_side_by_side_are_one_look() -> None:
    tip = TipLabel((1.0, 2.0))
    labels = [label(i, "needle_tip", tip, State.PROPOSED, 0.4 if 10 <= i <= 14 else 0.6) for i in range(8, 26)]
    order = [doubt.index for doubt in queue_of(labels)]
    assert order[0] == 10 and order[1] >= 15 and sorted(order) == list(range(8, 26))


def test_every_thing_of_the_shipped_label_sets_has_a_digit_of_its_own() -> None:
    for name in shipped_label_sets():
        label_set = find_label_set(name)
        assert label_set is not None
        digits = [thing.digit for thing in things_of(label_set)]
        assert all(digits) and len(set(digits)) == len(digits) and "0" not in digits
