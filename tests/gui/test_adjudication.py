"""Two readings become one in the window: differences first, one key each, by events; blind readers never get there."""

from __future__ import annotations

from pathlib import Path

from adjudicating import COUNT, adjudicating, keys, label, order, read_by, two_readings
from annotate_window import CONTROL, SHIFT, annotating, open_clip, pose_at
from PySide6.QtCore import Qt

from puncta.annotation.adjudicate import CONSENSUS
from puncta.annotation.assignments import Work, mark
from puncta.annotation.cases import case_of_source
from puncta.annotation.commands import Board, draw, set_flag
from puncta.annotation.labels import Kind, NotVisible, TipLabel
from puncta.annotation.store import AnnotationStore
from puncta.core.overlay import Dash, Fill
from puncta.formats.dataset import load_dataset
from puncta.gui.actions import ADJUDICATE


def test_what_agrees_is_taken_over_and_the_largest_difference_comes_first(stage, qtbot) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    assert hand.notes.desk.rater == CONSENSUS and hand.parts.window.keyboard._mode == ADJUDICATE
    found = order(hand)
    assert found == [(3, "needle"), (7, "needle"), (5, "needle")], "a needle takes its tip along"
    hand.shows(3)
    for index in (0, 1, 2, 4, 6, 8, 9):
        taken = label(hand, index, "needle_tip")
        assert taken.made.kind is Kind.CONSENSUS and taken.made.base == "anna, bert" and taken.made.by == "T"
    assert label(hand, 5, "needle") is None
    panel = hand.notes.adjudication.panel
    assert panel.isVisible() and not hand.notes.left.isVisible()
    assert [box.currentText() for box in panel.readers] == ["anna", "bert"]
    assert panel.rows[0].words.text().startswith("003") and "0 of 3 differences" in panel.progress_words.text()
    assert panel.buttons["take_a"].text() == "Take anna   A"


def test_two_readers_are_told_apart_by_shape_and_colour(stage, qtbot) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    hand.go(7)
    hand.notes.refresh()
    fills = [item for item in hand.view.scene.items if isinstance(item, Fill)]
    assert {(item.colour, item.dash) for item in fills} == {("accent", Dash.SOLID), ("caution", Dash.DASHED)}
    hand.key(Qt.Key.Key_E)
    assert [i.colour for i in hand.view.scene.items if isinstance(i, Fill)] == ["accent"]
    hand.key(Qt.Key.Key_E)
    assert [i.colour for i in hand.view.scene.items if isinstance(i, Fill)] == ["caution"]
    legend = hand.notes.strip.legend
    assert [chip.words.text() for chip in legend] == ["anna", "bert"] and all(chip.isVisible() for chip in legend)
    assert {chip.mark.shape for chip in legend} == {"circle", "diamond"}
    assert not any(button.isVisible() for button in hand.notes.strip.buttons.values())


def test_one_key_settles_each_difference_and_undo_opens_it_again(stage, qtbot) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    adjudication = hand.notes.adjudication
    hand.key(Qt.Key.Key_B)
    hand.calm()
    for name in ("needle", "needle_tip"):
        hidden = label(hand, 3, name)
        assert isinstance(hidden.value, NotVisible) and hidden.rater == CONSENSUS
        assert hidden.made.base == "bert" and hidden.made.by == "T"
    hand.shows(7)
    hand.key(Qt.Key.Key_A)
    hand.calm()
    assert {label(hand, 7, n).made.base for n in ("needle", "needle.line", "needle_tip")} == {"anna"}
    hand.shows(5)
    hand.go(3)
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    assert [d.settled(hand.notes.desk.board) for d in adjudication.disputes] == [False, True, False]
    hand.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    hand.calm()
    assert "2 of 3" in adjudication.panel.progress_words.text()
    hand.key(Qt.Key.Key_N)
    hand.shows(5)
    hand.key(Qt.Key.Key_0)
    hand.calm()
    assert isinstance(label(hand, 5, "needle").value, NotVisible) and label(hand, 5, "needle.line") is None
    assert "3 of 3" in adjudication.panel.progress_words.text()
    assert adjudication.panel.more.text() == "Every difference has an answer."
    with AnnotationStore.open() as store:
        (case,) = store.cases()
        stored = {x.slot: x for x in store.labels(case.id, rater=CONSENSUS)}
        assert stored == dict(hand.notes.desk.board.snapshot())
        assert len(store.labels(case.id, rater="anna")) == 30, "the readings stay as they are"


def test_the_adjudicator_draws_an_answer_of_their_own(stage, qtbot) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    adjudication = hand.notes.adjudication
    number = next(n for n, d in enumerate(adjudication.disputes) if (d.index, d.name) == (7, "needle"))
    adjudication.go(number)
    hand.shows(7)
    assert hand.notes.thing.name == "needle"
    pose = pose_at(7, COUNT)
    hand.drag((pose.entry_px[0] - 1.0, pose.entry_px[1] + 0.6), pose.tip_px)
    hand.calm()
    drawn = label(hand, 7, "needle")
    assert drawn.made.kind is Kind.PERSON and drawn.made.by == "T" and drawn.rater == CONSENSUS
    assert adjudication.disputes[number].settled(hand.notes.desk.board)
    assert hand.parts.desk.shown_index() == 7, "the frame stays, should it want a second look"
    assert not hand.notes.jobs.running and label(hand, 15, "needle") is None, "nothing is proposed to an adjudicator"


def test_agreement_is_shown_and_follows_when_a_reader_goes_on(stage, qtbot) -> None:
    case = two_readings()
    hand = adjudicating(stage, qtbot)
    card = hand.notes.adjudication.card

    def figures(name: str) -> dict[str, str]:
        return {a.text(): b.text() for a, b, line in card.cards[name].lines if not line.isHidden()}

    assert card.isVisible() and "10 frames that both have judged" in card.note.text()
    assert figures("needle")["Dice"].startswith("0.") and "mm" in figures("needle")["Outlines apart"]
    tip = figures("needle_tip")
    assert tip["Apart"] == "0.0 mm, p95 4.8 mm" and tip["Seen or not"] == "κ 0.00, n 10"
    at = keys()
    with AnnotationStore.open() as store:
        for rater in ("anna", "bert"):
            board = Board(case.id, rater, store.labels(case.id, rater=rater))
            store.apply(draw(board, "needle_tip", at[20], TipLabel((50.0, 50.0 if rater == "anna" else 90.0))))
    hand.wait(lambda: (hand.notes.desk.look() or True) and "11 frames" in card.note.text())
    assert (20, "needle_tip") in order(hand)


def test_a_blind_reader_cannot_compare_before_the_reading_is_done(stage, qtbot) -> None:
    case = two_readings(blind=True)
    hand = annotating(stage, qtbot)
    hand.calm()
    assert not hand.notes.left.adjudicate.isVisible()
    hand.key(Qt.Key.Key_J, CONTROL)
    hand.calm()
    assert not hand.notes.adjudication.on
    assert "blind reading" in hand.parts.window.status_line.message
    with AnnotationStore.open() as store:
        mark(store, case.id, "T", Work.DONE)
    hand.key(Qt.Key.Key_J, CONTROL)
    hand.wait(lambda: bool(hand.notes.adjudication.disputes))


def test_one_reading_is_not_enough(stage, qtbot) -> None:
    with AnnotationStore.open() as store:
        case = store.add_case(case_of_source(open_clip("clip-a").info, "needle"))
        read_by(store, case, "anna", {})
    hand = annotating(stage, qtbot)
    hand.calm()
    assert not hand.notes.left.adjudicate.isVisible()
    hand.key(Qt.Key.Key_J, CONTROL)
    hand.calm()
    assert "needs two readings" in hand.parts.window.status_line.message and not hand.notes.adjudication.on


def test_leaving_brings_back_ones_own_labels(stage, qtbot) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    hand.key(Qt.Key.Key_J, CONTROL)
    hand.wait(lambda: hand.notes.desk.board is not None and hand.notes.desk.rater == "T")
    hand.calm()
    assert hand.notes.left.isVisible() and not hand.notes.adjudication.panel.isVisible()
    assert not hand.notes.adjudication.card.isVisible() and hand.notes.strip.buttons["accept"].isVisible()
    assert hand.view.scene.items == () and hand.parts.window.keyboard._mode == "annotate"
    hand.key(Qt.Key.Key_J, CONTROL)
    hand.wait(lambda: bool(hand.notes.adjudication.disputes))
    hand.parts.window.does.run("mode_review")
    assert not hand.notes.adjudication.on and not hand.notes.adjudication.panel.isVisible()
    hand.parts.window.does.run("mode_annotate")
    hand.wait(lambda: hand.notes.desk.board is not None)
    assert hand.notes.desk.rater == "T"


def test_flags_are_answered_by_one_of_two_or_by_no(stage, qtbot) -> None:
    at = keys()
    with AnnotationStore.open() as store:
        case = store.add_case(case_of_source(open_clip("clip-a").info, "infant-lp"))
        name = "csf"
        for rater, value in (("anna", 1), ("bert", 0)):
            store.apply(set_flag(Board(case.id, rater), name, value, at[4:6]))
    hand = adjudicating(stage, qtbot)
    assert order(hand) == [(4, "csf"), (5, "csf")]
    hand.shows(4)
    assert "anna: yes; bert: no" in hand.notes.strip.words.full()
    hand.key(Qt.Key.Key_A)
    hand.shows(5)
    hand.calm()
    hand.key(Qt.Key.Key_0)
    hand.calm()
    assert (label(hand, 4, "csf").value.value, label(hand, 5, "csf").value.value) == (1, 0)


def test_the_consensus_goes_out_as_files(stage, qtbot, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("puncta.sources.factory.open_source", open_clip)
    two_readings()
    hand = adjudicating(stage, qtbot)
    while not all(d.settled(hand.notes.desk.board) for d in hand.notes.adjudication.disputes):
        hand.key(Qt.Key.Key_A)
        hand.calm()
    hand.key(Qt.Key.Key_E, CONTROL)
    dialog = hand.parts.window.does.dialogs["export_labels"]
    (tmp_path / "kept").write_text("x")
    dialog.line.setText(str(tmp_path))
    dialog.go.click()
    hand.wait(lambda: dialog.go.isEnabled())
    assert "is there already" in dialog.note.text(), "nothing is written over"
    dialog.line.setText(str(tmp_path / "out"))
    dialog.go.click()
    hand.wait(lambda: "export_labels" not in hand.parts.window.does.dialogs)
    dataset = load_dataset(tmp_path / "out")
    assert len(dataset.images) == 10 and {a.rater for a in dataset.annotations} == {CONSENSUS}
    assert "30 labels on 10 frames are in" in hand.parts.window.status_line.message
