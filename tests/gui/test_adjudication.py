"""Two readings become one in the window: differences first, one key each, by events; blind readers never get there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from annotate_window import CONTROL, HEIGHT, MM, SHIFT, WIDTH, Hand, annotating, open_clip, pose_at
from PySide6.QtCore import Qt

from puncta.annotation.adjudicate import CONSENSUS
from puncta.annotation.assignments import Work, assign, mark
from puncta.annotation.cases import Case, case_of_source
from puncta.annotation.commands import Board, Command, LabelConflict, draw, not_visible, set_flag
from puncta.annotation.labels import Kind, NotVisible, Slot, TipLabel
from puncta.annotation.shared import Standing
from puncta.annotation.store import AnnotationStore, Applied
from puncta.core.frame import FrameKey
from puncta.core.overlay import Dash, Fill
from puncta.formats.dataset import load_dataset
from puncta.gui.actions import ADJUDICATE
from puncta.session.between_keys import needle_values

COUNT = 30
NAMES = ("needle_tip", "needle", "target")


def keys() -> list[FrameKey]:
    return [frame.hashed_key() for frame in iter(open_clip("clip-a").read, None)]


def read_by(
    store: AnnotationStore, case: Case, rater: str, off_mm: dict[int, float], hidden: tuple[int, ...] = ()
) -> None:
    """A reading of the first ten frames whose needles lie so far beside the true ones."""
    board = Board(case.id, rater)
    at = keys()
    for index in range(10):
        if index in hidden:
            for name in ("needle", "needle_tip"):
                store.apply(not_visible(board, name, at[index]))
            continue
        pose, off = pose_at(index, COUNT), off_mm.get(index, 0.0) / MM
        moved = replace(
            pose,
            tip_px=(pose.tip_px[0], pose.tip_px[1] + off),
            entry_px=(pose.entry_px[0], pose.entry_px[1] + off),
        )
        for name, value in needle_values(moved, (HEIGHT, WIDTH), NAMES).items():
            store.apply(draw(board, name, at[index], value))


def two_readings(**rules: bool) -> Case:
    """Anna and bert have read the clip; they part on frames 3 (most), 5 and 7."""
    with AnnotationStore.open() as store:
        case = store.add_case(case_of_source(open_clip("clip-a").info, "needle"))
        read_by(store, case, "anna", {})
        read_by(store, case, "bert", {5: 3.0, 7: 6.0}, hidden=(3,))
        if rules:
            assign(store, case.id, "T", **rules)
    return case


def label(hand: Hand, index: int, name: str):
    return hand.notes.desk.board.get(Slot(index, name))


def adjudicating(stage, qtbot) -> Hand:
    hand = annotating(stage, qtbot)
    hand.calm()
    assert hand.notes.left.adjudicate.isVisible()
    hand.key(Qt.Key.Key_J, CONTROL)
    hand.wait(lambda: hand.notes.adjudication.on and bool(hand.notes.adjudication.disputes))
    hand.calm()
    return hand


def order(hand: Hand) -> list[tuple[int, str]]:
    return [(d.index, d.name) for d in hand.notes.adjudication.disputes]


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


def test_an_answer_that_is_taken_back_is_named_and_its_row_stands_there_again(stage, qtbot) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    hand.shows(3)
    hand.key(Qt.Key.Key_A)
    hand.shows(7)
    hand.calm()
    rows = hand.notes.adjudication.panel.rows
    assert not any(row.isVisible() and row.words.text().startswith("003") for row in rows)
    hand.go(3)
    hand.key(Qt.Key.Key_Z, CONTROL)
    line = hand.parts.window.status_line
    hand.wait(lambda: "Frame 003, " in line.message and "waits again" in line.message)
    hand.calm()
    assert any(row.isVisible() and row.words.text().startswith("003") for row in rows)
    assert hand.notes.adjudication.dispute.index == 3 and hand.parts.desk.shown_index() == 3


def test_undo_right_after_an_answer_takes_that_one_back_and_goes_to_its_frame(stage, qtbot) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    adjudication = hand.notes.adjudication
    for key, to in ((Qt.Key.Key_A, 7), (Qt.Key.Key_B, 5)):
        hand.key(key)
        hand.calm()
        hand.shows(to)

    def settled() -> list[bool]:
        return [d.settled(hand.notes.desk.board) for d in adjudication.disputes]

    for back, left in ((7, [True, False, False]), (3, [False, False, False])):
        hand.key(Qt.Key.Key_Z, CONTROL)
        hand.calm()
        hand.shows(back)
        assert settled() == left and adjudication.dispute.index == back
        assert f"Frame {back:03d}, " in hand.parts.window.status_line.message
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    assert "Nothing to take back" in hand.parts.window.status_line.message
    taken_over = [label(hand, index, "needle_tip") for index in (0, 1, 2, 4, 6, 8, 9)]
    assert None not in taken_over, "what agreed was no answer and stays"
    for on, left in ((3, [True, False, False]), (7, [True, True, False])):
        hand.key(Qt.Key.Key_Z, CONTROL | SHIFT)
        hand.calm()
        hand.shows(on)
        assert settled() == left


def test_undo_takes_the_own_drawing_before_the_answer_that_led_to_its_frame(stage, qtbot) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    hand.key(Qt.Key.Key_A)
    hand.calm()
    hand.shows(7)
    pose = pose_at(7, COUNT)
    hand.drag((pose.entry_px[0] - 1.0, pose.entry_px[1] + 0.6), pose.tip_px)
    hand.calm()
    assert label(hand, 7, "needle") is not None
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    assert label(hand, 7, "needle") is None and hand.parts.desk.shown_index() == 7
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    hand.shows(3)
    assert label(hand, 3, "needle") is None


def test_undo_passes_over_an_answer_that_the_store_has_refused(stage, qtbot, monkeypatch) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    hand.key(Qt.Key.Key_A)
    hand.calm()
    hand.shows(7)

    def refuse(_store: AnnotationStore, _command: Command) -> Applied:
        raise LabelConflict("needle on frame 7 was changed meanwhile; nothing was overwritten, look at it again.")

    with monkeypatch.context() as refusing:
        refusing.setattr(AnnotationStore, "apply", refuse)
        hand.key(Qt.Key.Key_B)
        hand.wait(lambda: isinstance(hand.notes.desk.trouble, LabelConflict) or label(hand, 7, "needle") is None)
        hand.calm()
    hand.wait(lambda: hand.notes.desk.board is not None and label(hand, 7, "needle") is None)
    hand.calm()
    assert [frame for _uid, frame in hand.notes.desk.made] == [3]
    hand.key(Qt.Key.Key_Z, CONTROL)
    hand.calm()
    hand.shows(3)
    assert label(hand, 3, "needle") is None, "the answer before it is taken back"
    assert "Nothing to take back" not in hand.parts.window.status_line.message


def test_undo_passes_over_an_answer_that_the_labs_server_has_refused_later(stage, qtbot) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    for frame in (7, 5):
        hand.key(Qt.Key.Key_A)
        hand.calm()
        hand.shows(frame)
    desk = hand.notes.desk
    (_first, _frame), (late, at) = desk.made
    assert at == 7
    hand.notes.store.standing = Standing(True, 0, 1, "", None, frozenset({late}))
    hand.notes.store.settled.emit()
    assert [frame for _uid, frame in desk.made] == [3]


def test_nothing_is_answered_before_its_frame_is_on_the_screen(stage, qtbot, monkeypatch) -> None:
    two_readings()
    hand = adjudicating(stage, qtbot)
    hand.shows(3)
    with monkeypatch.context() as slow:
        slow.setattr(hand.parts.desk, "seek", lambda _index: None)  # the picture is long in coming
        hand.key(Qt.Key.Key_N)
        assert hand.notes.adjudication.dispute.index == 7 and hand.parts.desk.shown_index() == 3
        for key in (Qt.Key.Key_A, Qt.Key.Key_B, Qt.Key.Key_0):
            hand.parts.window.status_line.say("")
            hand.key(key)
            hand.calm()
            assert hand.parts.window.status_line.message.startswith("Frame 007 is not on the screen yet.")
        assert [label(hand, index, "needle") for index in (3, 7)] == [None, None]
    hand.key(Qt.Key.Key_A)
    hand.shows(7)
    assert label(hand, 7, "needle") is None, "it goes there first"
    hand.key(Qt.Key.Key_A)
    hand.calm()
    assert label(hand, 7, "needle") is not None and label(hand, 3, "needle") is None
