"""What was found, said and suggested for one reader never reaches the next, least of all one who reads blind."""

from __future__ import annotations

import threading

from annotate_window import CONTROL, Hand, annotating, open_clip, pose_at
from known_tracker import COUNT, with_models
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from puncta.annotation.assignments import Work, assign
from puncta.annotation.cases import case_of_source
from puncta.annotation.labels import Slot
from puncta.annotation.store import AnnotationStore
from puncta.core.overlay import Layer
from puncta.settings import Settings

STRAYS_FROM = 9


def banners(hand: Hand) -> dict[str, str]:
    return hand.parts.window.stage.banners.texts()


def draw_true(hand: Hand, index: int) -> None:
    pose = pose_at(index, COUNT)
    hand.drag((pose.entry_px[0] - 1.0, pose.entry_px[1] + 0.6), pose.tip_px)


def hand_over(hand: Hand, rater: str) -> None:
    """Another reader sits down."""
    hand.notes.status.rater.click()
    dialog = hand.parts.window.does.dialogs["rater"]
    dialog.name.setText(rater)
    QTest.keyClick(dialog.name, Qt.Key.Key_Return)


def is_open(hand: Hand, rater: str) -> None:
    hand.wait(lambda: hand.notes.desk.board is not None and hand.notes.desk.rater == rater)
    hand.calm()


def words_seen(hand: Hand) -> str:
    return "\n".join(w.text() for w in hand.parts.window.findChildren(QLabel) if w.isVisible())


def led_astray(stage, qtbot) -> Hand:
    """The tracker has left the needle, and a sentence says so."""
    hand = annotating(stage, qtbot)
    with_models(hand).strays_from = STRAYS_FROM
    draw_true(hand, 0)
    hand.key(Qt.Key.Key_F)
    hand.calm()
    assert "Frames 9 to 29 stay open" in banners(hand)["help"]
    return hand


def test_the_trackers_sentence_goes_with_its_reader(stage, qtbot) -> None:
    hand = led_astray(stage, qtbot)
    hand_over(hand, "bert")
    assert "help" not in banners(hand) and hand.notes.queue == ()
    is_open(hand, "bert")
    assert "help" not in banners(hand) and hand.notes.queue == ()


def test_the_trackers_sentence_goes_with_range_clip_mode_and_what_is_drawn(stage, qtbot) -> None:
    hand = led_astray(stage, qtbot)
    hand.go(20)
    assert "help" in banners(hand), "whoever follows the advice goes to another frame first"
    hand.key(Qt.Key.Key_O)
    assert "help" not in banners(hand)
    hand.go(0)
    hand.key(Qt.Key.Key_F)
    hand.calm()
    assert "help" in banners(hand)
    hand.go(20)
    draw_true(hand, 20)
    assert "help" not in banners(hand), "its advice was followed"
    hand.calm()
    hand.go(10)
    hand.key(Qt.Key.Key_B)
    hand.calm()
    hand.parts.window.stage.banners.say("help", "caution", "Said of this clip.")
    hand.parts.window.does.run("mode_models")
    assert "help" not in banners(hand)
    hand.parts.window.does.run("mode_annotate")
    hand.parts.window.stage.banners.say("help", "caution", "Said of this clip.")
    hand.parts.window.open_uri("clip-b")
    hand.wait(lambda: hand.parts.desk.info is not None and hand.parts.desk.info.uri == "clip-b")
    assert "help" not in banners(hand)


def test_what_models_were_finding_for_one_reader_is_not_laid_before_the_next_one_who_reads_blind(
    stage, qtbot
) -> None:
    with AnnotationStore.open() as store:
        case = store.add_case(case_of_source(open_clip("clip-a").info, "needle"))
        assign(store, case.id, "bert", blind=True)
    hand = annotating(stage, qtbot, rater="anna")
    tracker = with_models(hand)
    tracker.gate, tracker.strays_from = threading.Event(), STRAYS_FROM
    draw_true(hand, 0)
    hand.key(Qt.Key.Key_F)
    hand.wait(lambda: bool(tracker.prompts))
    hand_over(hand, "bert")
    tracker.gate.set()
    is_open(hand, "bert")
    hand.notes.jobs.wait()
    hand.calm()
    assert hand.notes.desk.board.labelled_frames() == ()
    assert "help" not in banners(hand) and hand.notes.queue == () and not hand.notes.right.progress.isVisible()
    assert "anna" not in words_seen(hand) and not hand.notes.left.adjudicate.isVisible()
    hand.key(Qt.Key.Key_F)
    hand.key(Qt.Key.Key_T)
    hand.calm()
    assert hand.notes.desk.board.labelled_frames() == () and not hand.notes.jobs.running
    assert "blind reading" in hand.parts.window.status_line.message
    with AnnotationStore.open() as store:
        assert store.labels(case.id, rater="bert") == ()


def test_no_word_about_other_readers_stays_when_a_blind_one_sits_down(stage, qtbot) -> None:
    with AnnotationStore.open() as store:
        case = store.add_case(case_of_source(open_clip("clip-a").info, "needle"))
        assign(store, case.id, "bert", blind=True)
    hand = annotating(stage, qtbot, rater="anna")
    draw_true(hand, 0)
    hand.calm()
    hand.parts.window.does.run("adjudicate")
    hand.wait(lambda: "anna" in hand.parts.window.status_line.message)
    hand_over(hand, "bert")
    is_open(hand, "bert")
    assert "anna" not in words_seen(hand)
    assert hand.notes.desk.board.get(Slot(0, "needle")) is None


def test_help_asked_for_while_the_clip_is_being_opened_comes_when_it_is_known_that_it_may(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    with_models(hand)
    hand.notes.work.close()
    hand.key(Qt.Key.Key_F)
    assert not hand.notes.jobs.running
    hand.notes.work.look(hand.notes.help.begin)
    hand.wait(lambda: hand.notes.desk.board.get(Slot(5, "needle")) is not None)


def test_queue_and_strip_name_the_models_of_a_proposal_but_not_to_somebody_who_reads_blind(
    stage, qtbot
) -> None:
    hand = annotating(stage, qtbot)
    with_models(hand)
    draw_true(hand, 0)
    hand.key(Qt.Key.Key_F)
    hand.calm()
    hand.wait(lambda: bool(hand.notes.queue) and hand.notes.left.makers.isVisible())
    assert hand.notes.left.makers.text() == "By track-test 2.0, tip-test 1.0"
    assert "track-test 2.0" in hand.notes.left.queue[0].toolTip()
    hand.go(10)
    hand.wait(lambda: "Proposed by track-test 2.0, tip-test 1.0 from frame 0" in hand.notes.strip.words.full())
    assigned("T")
    hand.notes.blind.begin()
    hand.notes.reopen()
    is_open(hand, "T")
    hand.wait(lambda: hand.parts.desk.veil.blind)
    hand.go(11)
    hand.wait(lambda: hand.notes.strip.words.full().startswith("Proposed"))
    assert "-test" not in words_seen(hand) and "-test" not in hand.notes.left.queue[0].toolTip()


def assigned(rater: str, *, proposals: bool = False) -> None:
    """Give a reader the clip to read blind."""
    info = open_clip("clip-a").info
    with AnnotationStore.open() as store:
        case = store.find_case(info.stream, info.uri) or store.add_case(case_of_source(info, "needle"))
        assign(store, case.id, rater, blind=True, proposals=proposals)


def findings_seen(hand: Hand) -> bool:
    """Whether anything on the screen comes from a plugin: overlay, figures, chips, timeline."""
    window, desk = hand.parts.window, hand.parts.desk
    scene = window.stage.view.scene
    drawn = scene is not None and any(item.layer in {Layer.TIP, Layer.MASK} for item in scene.items)
    figures = scene is not None and any(read_out.value is not None for read_out in scene.read_outs)
    return drawn or figures or "Found" in words_seen(hand) or bool(desk.tracks())


def in_review(hand: Hand) -> None:
    hand.key(Qt.Key.Key_2, CONTROL)
    hand.wait(lambda: hand.parts.window.mode == "review")


def test_a_blind_reader_does_not_see_in_review_what_plugins_find_on_the_clip(stage, qtbot) -> None:
    assigned("bert")
    hand = annotating(stage, qtbot, rater="bert")
    in_review(hand)
    for index in (3, 4):
        hand.go(index)
        hand.wait(lambda: "You read this case blind" in words_seen(hand) and "Hidden" in words_seen(hand))
        assert not findings_seen(hand)
    hand.parts.window.does.run("compare")
    assert "You read this case blind" in hand.parts.window.status_line.message
    hand.key(Qt.Key.Key_3, CONTROL)
    is_open(hand, "bert")
    hand.wait(lambda: hand.notes.work.stand is not None)
    hand.notes.work.panel.buttons[Work.DONE].click()
    hand.wait(lambda: hand.notes.work.stand.own.state is Work.DONE)
    in_review(hand)
    hand.wait(lambda: findings_seen(hand) and "Found" in words_seen(hand))
    assert "Hidden" not in words_seen(hand) and hand.parts.desk.shown_index() == 4


def offered(hand: Hand) -> tuple[set[str], set[str], set[str]]:
    """Buttons of help by models that can be pressed, their tool tips, and their keys in the status line."""
    buttons, keyboard = hand.notes.right.buttons, hand.parts.window.keyboard
    keys = {keyboard.words()[name] for name in buttons} & {key for key, _words in keyboard.hints(hand.notes.key_mode)}
    return {n for n, b in buttons.items() if b.isEnabled()}, {b.toolTip() for b in buttons.values()}, keys


def test_help_by_models_looks_off_to_a_blind_reader_until_done_and_so_does_the_sentence_why(stage, qtbot) -> None:
    assigned("bert")
    hand = annotating(stage, qtbot, rater="bert")
    status_line, why = hand.parts.window.status_line, "This is a blind reading; models propose nothing here."
    hand.wait(lambda: hand.notes.work.stand is not None)
    assert offered(hand) == (set(), {why}, set())
    assert any(words == "accept" for _key, words in hand.parts.window.keyboard.hints(hand.notes.key_mode))
    hand.key(Qt.Key.Key_F)
    assert status_line.message == why
    hand.notes.work.panel.buttons[Work.DONE].click()
    hand.wait(lambda: hand.notes.work.stand.own.state is Work.DONE)
    assert status_line.message == ""
    assert offered(hand) == ({"propagate_back", "propagate_on", "teach"}, {""}, {"B", "F", "T"})


def test_what_was_said_of_a_blind_reading_goes_with_it_in_review_too_and_other_words_stay(stage, qtbot) -> None:
    assigned("bert")
    hand = annotating(stage, qtbot, rater="bert")
    hand.wait(lambda: hand.notes.work.stand is not None)
    hand.key(Qt.Key.Key_T)
    in_review(hand)
    status_line = hand.parts.window.status_line
    hand.calm()
    assert "blind reading" in status_line.message
    hand.notes.work.settle(Work.DONE)
    hand.wait(lambda: findings_seen(hand))
    assert status_line.message == ""
    status_line.say("Written.")
    hand.notes.blind.look()
    hand.calm()
    assert status_line.message == "Written."


def test_help_by_models_stays_on_where_the_study_allows_proposals(stage, qtbot) -> None:
    assigned("cleo", proposals=True)
    hand = annotating(stage, qtbot, rater="cleo")
    hand.wait(lambda: hand.notes.work.stand is not None)
    assert offered(hand) == ({"propagate_back", "propagate_on", "teach"}, {""}, {"B", "F", "T"})


def test_a_held_picture_has_its_flags_again_when_annotate_is_left(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    hand.go(7)
    hand.parts.window.show_figures()  # as a moment after the picture
    in_review(hand)
    assert hand.parts.desk.shown_index() == 7 and "Simulated" in words_seen(hand)
    assert "None on this picture" not in words_seen(hand)


def test_not_one_picture_shows_findings_to_a_blind_reader_who_opens_the_clip_in_review(stage, qtbot) -> None:
    assigned("bert")
    settings = Settings(first_start_done=True, enabled_plugins=["echo"], rater="bert", repeat=True)
    parts = stage.open(settings, opener=open_clip)
    seen = []
    parts.desk.pictured.connect(lambda: seen.append(parts.desk.analysis))
    hand = Hand(parts)
    parts.window.open_uri("clip-a")
    hand.wait(lambda: len(seen) > 5 and "You read this case blind" in words_seen(hand))
    assert parts.window.mode == "review" and not any(analysis.outputs for analysis in seen if analysis is not None)
    parts.window.open_uri("clip-b")
    hand.wait(lambda: parts.desk.uri == "clip-b" and findings_seen(hand))
    assert "You read this case blind" not in words_seen(hand)


def test_figures_shown_before_the_uncovered_picture_go_with_it(stage, qtbot) -> None:
    """Leaving Annotate shows figures at once; the picture below them may still be on its way."""
    assigned("cleo", proposals=True)
    hand = annotating(stage, qtbot, rater="cleo")
    in_review(hand)
    hand.wait(lambda: findings_seen(hand))
    desk, window = hand.parts.desk, hand.parts.window
    desk.set_blind(None)
    assert not findings_seen(hand)
    desk.set_blind(False)
    window.show_figures()
    assert findings_seen(hand)
    desk.set_blind(True)
    assert not findings_seen(hand)


def test_what_was_found_goes_the_moment_somebody_reads_blind(stage, qtbot) -> None:
    assigned("cleo", proposals=True)
    hand = annotating(stage, qtbot, rater="cleo")
    in_review(hand)
    hand.wait(lambda: findings_seen(hand))
    hand.parts.desk.set_blind(True)
    assert not findings_seen(hand), "not a moment later: cards and figures too"


def test_nothing_is_painted_at_once_while_a_source_is_being_taken_over(stage, qtbot, monkeypatch) -> None:
    assigned("cleo", proposals=True)
    hand = annotating(stage, qtbot, rater="cleo")
    in_review(hand)
    hand.wait(lambda: findings_seen(hand))
    view = hand.parts.window.stage.view
    painted: list[str] = []
    monkeypatch.setattr(view, "repaint", lambda: painted.append("at once"))
    monkeypatch.setattr(view, "update", lambda *_: painted.append("in its turn"))
    # The toolkit ended the program where a view was painted before the window round it was laid out.
    hand.parts.desk.set_blind(True)
    assert set(painted) == {"in its turn"}
    painted.clear()
    hand.parts.desk.pictured.emit()
    assert "at once" in painted


def test_another_reader_and_one_whose_study_allows_it_see_the_findings(stage, qtbot) -> None:
    assigned("bert")
    assigned("cleo", proposals=True)
    hand = annotating(stage, qtbot, rater="cleo")
    in_review(hand)
    hand.wait(lambda: findings_seen(hand))
    hand.key(Qt.Key.Key_3, CONTROL)
    is_open(hand, "cleo")
    hand_over(hand, "bert")
    is_open(hand, "bert")
    in_review(hand)
    hand.wait(lambda: "You read this case blind" in words_seen(hand))
    assert not findings_seen(hand)
