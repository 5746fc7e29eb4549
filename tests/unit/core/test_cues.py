"""Sounds come when they are due and not otherwise."""

from __future__ import annotations

from puncta.core.cues import Cue, CueInput, CueMaker, beat_ns

STEP_NS = 40_000_000


def run(maker: CueMaker, distances, *, tip=True, target=True, start=0):  # noqa: ANN001, ANN201
    return [
        maker.step(CueInput((start + k) * STEP_NS, far, tip, target))
        for k, far in enumerate(distances)
    ]


def test_beats_grow_quicker_and_end_at_the_target() -> None:
    far = [20.0] * 10 + [15.0 - 0.05 * k for k in range(280)]
    heard = run(CueMaker(2.0), far)
    places = [k for k, cue in enumerate(heard) if cue is Cue.NEAR]
    assert places and places[0] >= 10
    gaps = [b - a for a, b in zip(places, places[1:], strict=False)]
    assert gaps[0] > 2 * gaps[-1]
    assert heard.count(Cue.REACHED) == 1
    reached = heard.index(Cue.REACHED)
    assert far[reached] <= 2.0 and Cue.NEAR not in heard[reached:]
    assert beat_ns(15.0, 2.0) > beat_ns(5.0, 2.0) > beat_ns(2.0, 2.0)


def test_a_tip_that_was_seen_and_goes_is_told_once() -> None:
    maker = CueMaker()
    assert set(run(maker, [None] * 40, target=None)) == {None}
    gone = run(maker, [None] * 60, tip=False, target=None, start=40)
    assert gone.count(Cue.TIP_LOST) == 1
    # A glimpse is not worth a sound.
    maker = CueMaker()
    run(maker, [None] * 3, target=None)
    assert set(run(maker, [None] * 60, tip=False, target=None, start=3)) == {None}


def test_a_lost_target_is_told_once_and_measures_nothing() -> None:
    maker = CueMaker()
    run(maker, [30.0] * 5)
    lost = run(maker, [None] * 30, target=False, start=5)
    assert lost.count(Cue.TARGET_LOST) == 1 and Cue.NEAR not in lost
    again = run(maker, [30.0] * 3, start=40) + run(maker, [None] * 3, target=False, start=43)
    assert again.count(Cue.TARGET_LOST) == 1
