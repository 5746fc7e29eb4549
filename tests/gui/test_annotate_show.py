"""A simulated clip labelled in the real window by few gestures; flags of a clip in one playing pass."""

from __future__ import annotations

from annotate_window import annotating
from labelled_clip import MOST_PRESSES, KnowingHand, KnownSource, judge_flags, judge_needle, simulate_clip


def test_a_needle_clip_of_an_unseen_machine_is_labelled_in_ten_presses(stage, qtbot) -> None:
    clip = simulate_clip("breast", "D", 860003, 40)
    assert clip is not None
    hand = annotating(stage, qtbot, clip.name, opener=lambda _uri: KnownSource(clip))
    KnowingHand(hand, clip).label_needle()
    judged = judge_needle(hand, clip, hand.presses)
    assert judged.presses <= MOST_PRESSES
    assert judged.good >= 0.95, judged


def test_flags_of_a_clip_are_held_in_one_playing_pass(stage, qtbot) -> None:
    clip = simulate_clip("infant-lp", "D", 860100, 60)
    assert clip is not None
    hand = annotating(
        stage, qtbot, clip.name, opener=lambda _uri: KnownSource(clip), annotate={"label_set": "infant-lp"}
    )
    KnowingHand(hand, clip).hold_flags()
    labelled, right = judge_flags(hand, clip)
    assert labelled >= 0.95 and right >= 0.9, (labelled, right)
