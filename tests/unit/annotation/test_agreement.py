"""How far two readings of a case agree: flags and grades, what is seen, places and outlines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_maker import key, label, make_case

from puncta.annotation.agreement import agreement, angle_gap, cohen_kappa
from puncta.annotation.commands import Board, set_flag, set_phase
from puncta.annotation.labels import Label, LineLabel, NotVisible, State, TipLabel, mask_label, mask_of_stroke
from puncta.formats.dataset_values import Visibility

CASE = make_case()


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
