"""Scripts of moves: exact sums, exact repetition, plain refusals."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from puncta.core.errors import BugError, UserError
from puncta.formats.moves import (
    MOVE_NAMES,
    Move,
    MovePlayer,
    MoveScript,
    check_moves,
    frame_amounts,
    parse_moves,
    read_moves,
    text_from_moves,
    write_moves,
)
from puncta.formats.schemas import load_schema
from puncta.formats.validate import validate
from puncta.sim.controls import STILL, Controls
from puncta.sim.moves import FIELDS, controls_of, script_from_controls

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "formats" / "moves" / "moves.toml"
HEAD = 'format = "puncta-moves"\nversion = 1\n'
TIMES = [round(k * 1e9 / 30) for k in range(120)]
FINITE = st.floats(-1000, 1000, allow_nan=False)


def total(amounts: list[dict[str, float]], do: str) -> float:
    sum_ = 0.0
    for frame in amounts:
        sum_ += frame.get(do, 0.0)
    return sum_


@given(by=FINITE, at_s=st.floats(0, 1.0), over_s=st.floats(0, 2.5))
def test_what_is_spread_over_time_sums_up_exactly(by: float, at_s: float, over_s: float) -> None:
    amounts = frame_amounts(MoveScript((Move("advance", by, at_s, over_s=over_s),)), TIMES)
    assert total(amounts, "advance") == by
    assert math.fsum(frame.get("advance", 0.0) for frame in amounts) == by


def test_a_spread_move_runs_at_an_even_rate_from_its_time_on() -> None:
    amounts = [f.get("slide", 0.0) for f in frame_amounts(MoveScript((Move("slide", 6.0, 1.0, over_s=2.0),)), TIMES)]
    assert not any(amounts[:31])
    assert amounts[31:90] == pytest.approx([0.1] * 59, abs=1e-6)
    assert not any(amounts[92:])


def test_times_and_frames_begin_where_they_say() -> None:
    script = MoveScript((Move("advance", 1.0, at_s=0.5), Move("angle", 2.0, at_frame=7), Move("fire", at_frame=9)))
    amounts = frame_amounts(script, TIMES)
    assert amounts[15] == {"advance": 1.0} and amounts[7] == {"angle": 2.0} and amounts[9] == {"fire": 1.0}
    assert sum(map(len, amounts)) == 3


def test_moves_at_the_same_time_add_up_and_equal_ones_count_twice() -> None:
    script = MoveScript((Move("press", 1.0, 0.0), Move("press", 1.0, 0.0), Move("press", 0.5, at_frame=0)))
    assert frame_amounts(script, TIMES)[0] == {"press": 2.5}


def test_the_player_says_when_nothing_is_left() -> None:
    player = MovePlayer(MoveScript((Move("tilt", 3.0, 0.0, over_s=0.1),)))
    ends = [(player.step(k, t), player.finished)[1] for k, t in enumerate(TIMES[:6])]
    assert ends == [False, False, False, True, True, True]


@given(st.lists(st.builds(Controls, advance_mm=FINITE, angle_deg=FINITE, inject_ml=st.floats(0, 1000),
                          fire=st.booleans(), done=st.booleans()), max_size=12))
def test_recorded_controls_are_repeated_bit_by_bit(frames: list[Controls]) -> None:
    script = script_from_controls(frames, "breast")
    assume(script.moves)
    again = controls_of(parse_moves(text_from_moves(script)), TIMES[: len(frames)], "breast")
    assert [repr(c).replace("-0.0", "0.0") for c in again] == [repr(c).replace("-0.0", "0.0") for c in frames]


def test_uneven_frame_times_repeat_too() -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.integers(20_000_000, 60_000_000, 80)).tolist()
    script = MoveScript((Move("advance", 31.7, 0.3, over_s=1.1), Move("rock", -3.3, 0.9, over_s=0.7)))
    frames = controls_of(script, times)
    assert controls_of(script_from_controls(frames), times) == frames
    assert sum(c.rock_deg for c in frames) == -3.3


def test_every_move_acts_on_one_control() -> None:
    for name in MOVE_NAMES:
        script = MoveScript((Move(name, 0.0 if name in ("fire", "done") else 1.0, at_frame=0),))
        controls = controls_of(script, [0])[0]
        assert controls != STILL and getattr(controls, FIELDS[name])
    assert load_schema("moves")["properties"]["move"]["items"]["properties"]["do"]["enum"] == list(MOVE_NAMES)


def test_the_golden_script_is_read_and_written_the_same(tmp_path: Path) -> None:
    write_moves(tmp_path / "again.toml", read_moves(GOLDEN))
    assert (tmp_path / "again.toml").read_bytes() == GOLDEN.read_bytes()
    assert validate(GOLDEN).kind == "moves" and validate(GOLDEN).problems == ()


def test_tables_one_by_one_mean_the_same() -> None:
    text = HEAD + '[[move]]\nat_s = 1\ndo = "advance"\nby = 3\n[[move]]\nat_frame = 4\ndo = "done"\n'
    assert parse_moves(text).moves == (Move("advance", 3.0, 1.0), Move("done", at_frame=4))


@pytest.mark.parametrize(("text", "sentence"), [
    ('[[move]]\nat_s=1\ndo="advnce"\nby=1', "move 1: there is no move 'advnce'; did you mean 'advance'?"),
    ('[[move]]\nat_sec=1\ndo="fire"', "move 1: 'at_sec' is no member of a move; did you mean 'at_s'?"),
    ('procedur="nerve"\n[[move]]\nat_s=1\ndo="fire"',
     "'procedur' is no member of a script of moves; did you mean 'procedure'?"),
    ('procedure="brest"\nmove=[]', "there is no procedure 'brest'; did you mean 'breast'?"),
    ('[[move]]\nat_s=1\ndo="advance"', "move 1: 'advance' needs an amount, 'by'."),
    ('[[move]]\nat_s=1\ndo="fire"\nby=2', "move 1: 'fire' takes no amount."),
    ('[[move]]\nat_s=1\ndo="done"\nover_s=2', "move 1: 'done' happens at once, so it takes no 'over_s'."),
    ('[[move]]\nat_s=-1\ndo="fire"', "move 1, at_s: -1 is less than 0."),
    ('[[move]]\nat_s=nan\ndo="fire"', "move 1, at_s: NaN is not a finite number."),
    ('[[move]]\nat_s=1\ndo="inject"\nby=-2', "move 1: 'inject' by -2 ml would take fluid back; give 0 or more."),
    ('procedure="nerve"\n[[move]]\nat_s=1\ndo="fire"',
     "move 1: 'fire' needs a biopsy gun, and nerve has none (only breast); take it out."),
    ("move = []", "there is no move in it; write at least one."),
    ("move = 3", "move: 3 is not a list."),
])
def test_what_is_wrong_is_said_in_one_sentence_with_the_nearest_name(text: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_moves(HEAD + text, "m.toml")
    assert str(caught.value) == f"m.toml: {sentence}"
    assert check_moves({"format": "puncta-moves", "version": 1, "move": [{"do": "zzz", "at_s": 1}]}) == [
        f"move 1: there is no move 'zzz'; choose one of {', '.join(MOVE_NAMES)}"]


def test_a_script_for_another_procedure_is_refused() -> None:
    script = MoveScript((Move("done", at_frame=0),), "breast")
    with pytest.raises(UserError, match="made for breast, not for nerve"):
        controls_of(script, [0], "nerve")


def test_what_is_no_number_is_never_written() -> None:
    with pytest.raises(BugError):
        text_from_moves(MoveScript((Move("advance", math.nan, 0.0),)))
    assert parse_moves(text_from_moves(MoveScript((Move("done", at_s=0.0),), None, 'a "b"\n\\'))).title == 'a "b"\n\\'
