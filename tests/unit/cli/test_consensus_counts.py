"""Whose labels count: a rater who is named, a consensus that is only half made, and what each command says of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from label_maker import do

from puncta.annotation.adjudicate import CONSENSUS, agreed, unsettled
from puncta.annotation.cases import Case
from puncta.annotation.commands import Board, draw, erase, not_visible, set_note, set_phase
from puncta.annotation.consensus_count import ConsensusCount
from puncta.annotation.disputes import Answer, Dispute, answer, disputes, waiting_slots
from puncta.annotation.labels import LineLabel, MaskLabel, TipLabel, mask_label, mask_of_stroke
from puncta.annotation.store import AnnotationStore
from puncta.cli.main import main
from puncta.core.frame import FrameKey
from puncta.formats.dataset import load_dataset
from puncta.session.retrain_data import datasets_at_hand
from puncta.sources.factory import open_source

SIZE = (32, 48)
HalfSettled = tuple[Case, AnnotationStore, Board, tuple[Dispute, ...]]


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A clip of ten pictures that is a case: anna has judged nine tips, bert three, the consensus two."""
    clip = tmp_path / "clip"
    clip.mkdir()
    for n in range(10):
        cv2.imwrite(str(clip / f"{n:03d}.png"), np.full(SIZE, 30 + 3 * n, np.uint8))
    assert main(["annotations", "add", str(clip), "--label-set", "needle-tip", "--subject", "S1"]) == 0
    at = keys_of(clip)
    for rater, frames in (("anna", range(1, 10)), ("bert", range(3)), (CONSENSUS, range(1, 3))):
        with AnnotationStore.open() as store:
            board = Board(store.cases()[0].id, rater)
            for n in frames:
                do(store, board, draw(board, "needle_tip", at[n], TipLabel((5.0 + n, 9.0))))
    return clip


def keys_of(clip: Path) -> list[FrameKey]:
    source = open_source(str(clip))
    found = [frame.hashed_key() for frame in iter(source.read, None)]
    source.close()
    return found


def labelled_frames(folder: Path) -> set[int]:
    return {i.frame_index for i in load_dataset(folder).images if str(i.review) in {"confirmed", "bulk"}}


@pytest.mark.parametrize(("rater", "frames"), [("anna", 9), ("bert", 3), (CONSENSUS, 2)])
@pytest.mark.usefixtures("case")
def test_a_training_set_of_one_rater_counts_that_raters_frames(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rater: str, frames: int
) -> None:
    capsys.readouterr()
    assert main(["dataset", "labelled", "--out", str(tmp_path / "set"), "--rater", rater]) == 0
    out = capsys.readouterr().out
    assert f"train 1 case, {frames} frames;" in out and "left out" not in out
    assert len(labelled_frames(tmp_path / "set")) == frames


@pytest.mark.usefixtures("case")
def test_a_training_set_of_a_rater_who_has_labelled_nothing_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dataset", "labelled", "--out", str(tmp_path / "set"), "--rater", "carl"]) == 2
    assert "There is no confirmed label of carl" in capsys.readouterr().err
    assert main(["dataset", "labelled", "--out", str(tmp_path / "set"), "--rater", " "]) == 2
    assert "needs a name" in capsys.readouterr().err and not (tmp_path / "set").exists()


@pytest.mark.parametrize("words", [["annotations", "export"], ["dataset", "labelled", "--out"]], ids=" ".join)
@pytest.mark.usefixtures("case")
def test_what_a_half_made_consensus_leaves_out_is_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    capsys.readouterr()
    assert main([*words, str(tmp_path / "out")]) == 0
    (told,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("left out:")]
    assert "anna and bert have confirmed on 8 of 10 labelled frames" in told and "--rater" in told
    assert labelled_frames(tmp_path / "out") == {1, 2}, "the consensus alone, never mixed with one reading"


def test_a_whole_consensus_and_a_named_one_say_nothing(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["annotations", "export", str(tmp_path / "named"), "--rater", CONSENSUS]) == 0
    at = keys_of(case)
    with AnnotationStore.open() as store:
        its = store.cases()[0]
        assert [d.problems != () for d in datasets_at_hand(store, tmp_path / "none")] == [True]
        board = Board(its.id, CONSENSUS, store.labels(its.id, rater=CONSENSUS))
        for n in (0, *range(3, 10)):
            do(store, board, not_visible(board, "needle_tip", at[n]))
        assert [d.problems for d in datasets_at_hand(store, tmp_path / "none")] == [()]
    assert main(["annotations", "export", str(tmp_path / "whole")]) == 0
    assert "left out" not in capsys.readouterr().out
    assert len(labelled_frames(tmp_path / "whole")) == 10


def test_a_consensus_that_was_taken_back_is_none(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with AnnotationStore.open() as store:
        its = store.cases()[0]
        board = Board(its.id, CONSENSUS, store.labels(its.id, rater=CONSENSUS))
        do(store, board, erase(board, [label.slot for label in board], frame=1))
        do(store, board, set_note(board, keys_of(case)[0], "begun and given up"))
    assert main(["annotations", "export", str(tmp_path / "out"), "--rater", "anna"]) == 0
    capsys.readouterr()
    assert main(["annotations", "export", str(tmp_path / "two")]) == 2
    assert "labels of anna, bert and no consensus" in capsys.readouterr().err


def test_one_answer_settles_a_needle_with_its_line(case: Path) -> None:
    at = keys_of(case)[0]
    mask: MaskLabel = mask_label(mask_of_stroke([(5, 5), (20, 20)], 3.0, SIZE))
    with AnnotationStore.open() as store:
        case_id = store.cases()[0].id
        anna, both = Board(case_id, "anna"), Board(case_id, CONSENSUS)
        for board, name, value in (
            (anna, "needle", mask), (anna, "needle.line", LineLabel((5, 5), (20, 20))), (both, "needle", mask),
        ):  # fmt: skip
            command = draw(board, name, at, value)
            assert command is not None
            board.apply(command)
    labels = (*anna, *both)
    assert unsettled(labels) == {}
    assert unsettled(anna) == {"anna": frozenset({0})}


@pytest.fixture
def half_settled(tmp_path: Path) -> Iterator[HalfSettled]:
    """Two readings of two frames: on frame 0 all agrees, on frame 1 the mask alone, which is taken over by itself."""
    clip = tmp_path / "needles"
    clip.mkdir()
    for n in range(2):
        cv2.imwrite(str(clip / f"{n:03d}.png"), np.full(SIZE, 30 + 3 * n, np.uint8))
    assert main(["annotations", "add", str(clip), "--label-set", "needle", "--subject", "S1"]) == 0
    at = keys_of(clip)
    mask = mask_label(mask_of_stroke([(5, 5), (20, 20)], 3.0, SIZE))
    with AnnotationStore.open() as store:
        case = store.cases()[0]
        for rater, off in (("anna", 0), ("bert", 9)):
            board = Board(case.id, rater)
            for n in range(2):
                do(store, board, draw(board, "needle", at[n], mask))
                do(store, board, draw(board, "needle.line", at[n], LineLabel((5, 5), (20, 20 + n * off))))
                do(store, board, draw(board, "needle_tip", at[n], TipLabel((20, 20 + n * off))))
        both = Board(case.id, CONSENSUS, author="carl")
        readings = [store.labels(case.id, rater=rater) for rater in ("anna", "bert")]
        found = disputes(case, *readings)
        do(store, both, agreed(both, case, *readings, "carl", waiting=waiting_slots(found)))
        yield case, store, both, found


@pytest.mark.parametrize("named", [[], ["--rater", CONSENSUS]], ids=["unnamed", "named"])
def test_a_frame_that_is_settled_in_part_goes_out_whole_or_not_at_all(
    half_settled: HalfSettled, tmp_path: Path, capsys: pytest.CaptureFixture[str], named: list[str]
) -> None:
    case, store, both, (dispute,) = half_settled
    assert {x.slot.index for x in both} == {0, 1} and not dispute.settled(both)
    count = ConsensusCount(store.labels(case.id))
    count.look(both)
    assert (count.settled, count.waiting, count.total) == ({0}, {1}, 2)
    (data,) = datasets_at_hand(store, tmp_path / "none", rater=CONSENSUS if named else None)
    assert data.frames_labelled == 1
    capsys.readouterr()
    assert main(["annotations", "export", str(tmp_path / "out"), *named]) == 0
    out = capsys.readouterr().out
    assert "3 labels on 1 frame of 1 case" in out
    assert "confirmed on 1 of 2 labelled frames is not settled in the consensus; no such frame goes out" in out
    assert labelled_frames(tmp_path / "out") == {0}
    do(store, both, answer(both, dispute, Answer.B, "carl"))
    count.look(both, [1])
    assert (count.settled, count.waiting) == ({0, 1}, set())
    assert main(["annotations", "export", str(tmp_path / "whole"), *named]) == 0
    assert "left out" not in capsys.readouterr().out and labelled_frames(tmp_path / "whole") == {0, 1}


def test_a_consensus_without_a_settled_frame_says_so_and_writes_nothing(
    half_settled: HalfSettled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _case, store, both, _found = half_settled
    do(store, both, erase(both, [label.slot for label in both if label.slot.index == 0], frame=0))
    capsys.readouterr()
    assert main(["annotations", "export", str(tmp_path / "out")]) == 2
    assert "anna and bert have confirmed on 2 of 2 labelled frames is not settled" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_phases_of_one_reader_stay_out_by_themselves_and_hold_no_frame(
    half_settled: HalfSettled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case, store, both, (dispute,) = half_settled
    at = [label.key for label in store.labels(case.id, rater="anna") if label.name == "needle"]
    anna = Board(case.id, "anna", store.labels(case.id, rater="anna"))
    do(store, anna, set_phase(anna, "advance", at))

    def counted() -> tuple[set[int], set[int]]:
        count = ConsensusCount(store.labels(case.id))
        count.look(both)
        return count.settled, count.waiting

    capsys.readouterr()
    assert counted() == ({0}, {1}) and unsettled(store.labels(case.id))["anna"] == {1}
    assert main(["annotations", "export", str(tmp_path / "part")]) == 0
    assert "on 1 of 2 labelled frames" in capsys.readouterr().out
    do(store, both, answer(both, dispute, Answer.B, "carl"))
    assert counted() == ({0, 1}, set())
    assert [d.frames_labelled for d in datasets_at_hand(store, tmp_path / "none")] == [2]
    assert main(["annotations", "export", str(tmp_path / "whole")]) == 0
    assert "2 flags or phases are not settled in the consensus and stay out by themselves" in capsys.readouterr().out
    assert labelled_frames(tmp_path / "whole") == {0, 1}
    do(store, both, erase(both, [label.slot for label in both if label.slot.index == 0], frame=0))
    do(store, anna, erase(anna, [label.slot for label in anna.on_frame(0) if label.name != "phase"]))
    bert = Board(case.id, "bert", store.labels(case.id, rater="bert"))
    do(store, bert, erase(bert, [label.slot for label in bert.on_frame(0)]))
    assert counted() == ({1}, {0}), "of a frame with an open phase alone nothing goes out"


@pytest.mark.usefixtures("case")
def test_a_place_that_takes_no_folder_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Path.mkdir

    def refuse(path: Path, *args: int, **options: bool) -> None:
        if path.parent == tmp_path:
            raise FileNotFoundError(2, "No such file or directory")  # as /proc says it
        make(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main(["annotations", "export", str(tmp_path / "out")]) == 2
    assert f"No folder can be made in {tmp_path}; name another place." in capsys.readouterr().err
