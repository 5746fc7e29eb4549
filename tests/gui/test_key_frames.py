"""Looking for gaps between key frames only where labels have changed finds what looking everywhere finds."""

from __future__ import annotations

import random

import pytest

from puncta.annotation.commands import Board
from puncta.annotation.labels import Kind, Label, LineLabel, NotVisible, Provenance, Slot, State, TipLabel, Value
from puncta.core.frame import FrameKey
from puncta.gui.annotate.key_frames import KeyFrames

FRAMES = 30


def _label(rng: random.Random, index: int) -> Label:
    key = FrameKey("clip", index, index)
    state = rng.choice([State.PROPOSED, State.CONFIRMED, State.BULK, State.REJECTED])
    name = rng.choice(["needle.line", "needle_tip", "needle"])
    line = LineLabel((0.0, 9.0), (rng.choice([5.0, 6.0]), 0.0))
    value: Value = TipLabel((float(rng.randrange(4)), 5.0)) if name == "needle_tip" else line
    if rng.random() < 0.2 or name == "needle":
        value = NotVisible()
    made = Provenance(Kind.PERSON, "T")
    if state is State.PROPOSED:
        first = rng.randrange(FRAMES)
        base = f"frames {first} and {first + rng.randrange(2, 9)}"
        made = Provenance(Kind.INTERPOLATED, "between key frames", "0", base)
    return Label(name, key, "T", value, made, state)


@pytest.mark.parametrize("seed", range(40))
def test_a_look_where_labels_changed_finds_what_a_look_everywhere_finds(seed: int) -> None:
    """Key frames, frames to propose and proposals to take away, after each of many changes."""
    rng = random.Random(seed)
    board, near, whole = Board("case", "T"), KeyFrames(), KeyFrames()
    dirty: set[int] | None = None
    found = 0
    for _ in range(60):
        changed = set()
        for _ in range(rng.choice([1, 1, 2, 6])):
            label = _label(rng, rng.randrange(FRAMES))
            board.set(label.slot, label if rng.random() < 0.7 else None)
            changed.add(label.key.index)
        unfinished = rng.random() < 0.2
        keys, wanted, slots = near.look(board, None if dirty is None else dirty | changed, unfinished=unfinished)
        full_keys, full_wanted, full_slots = whole.look(board, None, unfinished=unfinished)
        assert (wanted, slots) == (full_wanted, full_slots)
        assert keys == full_keys
        for slot in slots:  # as the window does
            board.set(slot, None)
        came = {slot.index for slot in slots}
        for index in wanted if rng.random() < 0.7 else ():  # the proposals come, or do not
            below = max((k.index for k in keys if k.index < index), default=0)
            above = min((k.index for k in keys if k.index > index), default=0)
            made = Provenance(Kind.INTERPOLATED, "between key frames", "0", f"frames {below} and {above}")
            if board.get(Slot(index, "needle_tip")) is None:
                key, tip = FrameKey("clip", index, index), TipLabel((1.0, 5.0))
                label = Label("needle_tip", key, "T", tip, made, State.PROPOSED)
                board.set(label.slot, label)
                came.add(index)
        dirty = came
        found += len(wanted) + len(slots)
    assert found > 20


def _needle(index: int, kind: Kind, state: State) -> Label:
    base = "frames 0 and 20" if kind is Kind.INTERPOLATED else ""
    made = Provenance(kind, "T", "0", base)
    return Label("needle.line", FrameKey("clip", index, index), "T", LineLabel((0.0, 9.0), (5.0, 0.0)), made, state)


def _opened(accepted: int | None = None, drawn: int | None = None) -> Board:
    """Key frames 0 and 20 with what was proposed between them; one frame accepted as it was, or drawn."""
    board = Board("case", "T")
    for index in range(21):
        kind = Kind.PERSON if index in {0, 20, drawn} else Kind.INTERPOLATED
        state = State.CONFIRMED if index in {0, 20, drawn, accepted} else State.PROPOSED
        label = _needle(index, kind, state)
        board.set(label.slot, label)
    return board


def test_what_was_only_accepted_proposes_nothing_anew_on_opening_and_does_with_the_next_drawing() -> None:
    board, keys = _opened(accepted=10), KeyFrames()
    assert keys.look(board, None) == ([], [], [])
    board.set(Slot(25, "needle.line"), _needle(25, Kind.PERSON, State.CONFIRMED))
    _around, wanted, stale = keys.look(board, {25})
    assert wanted == [*range(1, 10), *range(11, 20), *range(21, 25)] and stale == []


def test_a_key_frame_that_was_drawn_last_before_the_end_has_its_neighbours_proposed_on_opening() -> None:
    assert KeyFrames().look(_opened(drawn=10), None)[1] == [*range(1, 10), *range(11, 20)]


def test_what_was_not_proposed_to_the_end_is_on_opening() -> None:
    board = _opened(accepted=10)
    board.set(Slot(4, "needle.line"), None)
    assert KeyFrames().look(board, None)[1] == list(range(1, 10))


def test_what_was_taken_back_on_some_frames_of_a_gap_does_not_come_back_on_opening() -> None:
    board = _opened()
    for index in (4, 5):
        board.set(Slot(index, "needle.line"), None)
    assert KeyFrames().look(board, None, unwanted={4, 5}) == ([], [], [])
    assert KeyFrames().look(board, None, unwanted={4})[1] == list(range(1, 20)), "frame 5 was never proposed"


def test_proposals_of_a_key_frame_that_is_gone_do_not_stay_on_opening() -> None:
    board = _opened(accepted=10)
    board.set(Slot(20, "needle.line"), None)
    _around, wanted, stale = KeyFrames().look(board, None)
    assert wanted == list(range(1, 10)) and [slot.index for slot in stale] == list(range(11, 20))
