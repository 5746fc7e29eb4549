"""Flags: the poster's rows from its counts, withheld answers, flicker, groups and the pointing game."""

from __future__ import annotations

import numpy as np
import pytest

from puncta.metrics.classification import (
    Counts,
    FlagDecision,
    FlagFrame,
    compare_flags,
    count_decisions,
    frame_from_probabilities,
    pointing_hit,
    summarise_flag_groups,
    summarise_flags,
)

# Rows of table 1 of the student poster on infant lumbar puncture: tp, fp, fn, tn, and what it prints.
POSTER = [
    ("Norm 70-10-20", Counts(43, 8, 13, 32), (0.7813, 0.8431, 0.7679, 0.8037)),
    ("Crop(0.9) 70-10-20", Counts(41, 9, 14, 31), (0.7579, 0.8200, 0.7455, 0.7810)),
    ("Crop(0.8) 70-10-20", Counts(50, 4, 6, 36), (0.8958, 0.9259, 0.8929, 0.9091)),
    ("Crop(0.8) 60-10-30", Counts(40, 3, 16, 37), (0.8021, 0.9302, 0.7143, 0.8081)),
    ("Crop(0.8) 50-10-40", Counts(51, 5, 5, 35), (0.8958, 0.9107, 0.9107, 0.9107)),
    ("Crop(0.8) 40-10-50", Counts(45, 2, 11, 38), (0.8646, 0.9574, 0.8036, 0.8738)),
    ("Crop(0.8) 30-10-60", Counts(37, 5, 19, 35), (0.7500, 0.8810, 0.6607, 0.7551)),
    ("Crop(0.7) 70-10-20", Counts(41, 3, 15, 37), (0.8125, 0.9318, 0.7321, 0.8200)),
]
MINUTE_NS = 60_000_000_000


def figures_of(counts: Counts) -> tuple[float | None, ...]:
    return counts.accuracy, counts.precision, counts.recall, counts.f1


@pytest.mark.parametrize(("name", "counts", "printed"), POSTER, ids=[row[0] for row in POSTER])
def test_the_posters_rows_follow_from_counts_of_image_and_label(name, counts, printed):
    assert counts.n == (95 if "0.9" in name else 96)  # 32 images x 3 flags; one row fits 95 decisions only
    assert figures_of(counts) == pytest.approx(printed, abs=5.1e-5)


def test_always_yes_on_the_posters_third_set():
    always = Counts(56, 40, 0, 0)
    assert (always.accuracy, always.f1) == pytest.approx((0.583, 0.737), abs=5e-4)


def test_micro_figures_pool_the_decisions_of_images():
    """The poster's best row once more, now from 32 images with three flags each."""
    decisions = [(True, True)] * 50 + [(False, True)] * 4 + [(True, False)] * 6 + [(False, False)] * 36
    names = ("quality", "cord", "csf")
    images = [{n: FlagDecision(*decisions[3 * i + k]) for k, n in enumerate(names)} for i in range(32)]
    frames = [FlagFrame(i, image, image=i) for i, image in enumerate(images)]
    assert count_decisions(frames) == Counts(50, 4, 6, 36)
    figures = summarise_flags(frames)
    names = ("flag_accuracy", "flag_precision", "flag_recall", "flag_f1")
    assert [figures[n].value for n in names] == pytest.approx([0.8958, 0.9259, 0.8929, 0.9091], abs=5.1e-5)
    assert figures["flag_hamming"].value == pytest.approx(10 / 96)
    low, high = figures["flag_f1"].low, figures["flag_f1"].high
    assert low is not None and high is not None and 0.75 < low < 0.9091 < high < 1.0


def frame(clip: int, t: int = 0, unfamiliar: bool = False, **said: tuple[bool, bool | None, float]) -> FlagFrame:
    """A frame of flags given as (truth, value, probability)."""
    decisions = {name: FlagDecision(*values) for name, values in said.items()}
    return FlagFrame(clip, decisions, t, unfamiliar, "AB"[clip % 2], image=100 * clip + t)


def test_whole_images_and_withheld_answers():
    frames = [
        frame(0, csf=(True, True, 0.9), cord=(False, False, 0.1)),
        frame(1, csf=(True, None, 0.6), cord=(False, None, 0.7)),  # would say yes and yes
        frame(2, csf=(False, False, 0.2), cord=(False, False, 0.0)),
        frame(3, csf=(True, False, 0.3), cord=(True, True, 1.0), unfamiliar=True),
    ]
    figures = summarise_flags(frames)
    assert figures["flag_exact_match"].value == pytest.approx(2 / 4)
    assert figures["flag_jaccard"].value == pytest.approx((1 + 1 / 2 + 1 + 1 / 2) / 4)
    assert figures["flag_hamming"].value == pytest.approx(2 / 8)
    assert figures["abstain_rate"].value == pytest.approx(2 / 8)
    assert figures["flag_risk"].value == pytest.approx(1 / 6) and figures["flag_risk"].n == 6
    assert figures["cannot_tell_rate"].value == pytest.approx(2 / 4)
    assert figures["unfamiliar_rate"].value == pytest.approx(1 / 4)
    assert figures["flag_f1_csf"].value == pytest.approx(2 * 2 / (2 * 2 + 0 + 1))
    assert figures["flag_f1_cord"].value == pytest.approx(2 * 1 / (2 * 1 + 1 + 0))
    gaps = [0.1 - 0.0, 0.9 - 1.0, 0.6 - 1.0, 0.7 - 0.0, 0.2 - 0.0, 0.0 - 0.0, 0.3 - 1.0, 1.0 - 1.0]
    # Scores 0.9 and 1.0 share a bin; all others have one of their own.
    own = [g for k, g in enumerate(gaps) if k not in (1, 7)]
    assert figures["ece"].value == pytest.approx((sum(map(abs, own)) + abs(gaps[1] + gaps[7])) / 8)
    assert count_decisions(frames, decided=True).n == 6
    assert count_decisions(frames, "cord") == Counts(1, 1, 0, 2)


def test_flicker_counts_changes_a_minute_while_the_truth_stays():
    def shown(t: int, true: bool, value: bool | None, unfamiliar: bool = False) -> FlagFrame:
        decision = {"csf": FlagDecision(true, value, 0.5)}
        return FlagFrame(0, decision, t * MINUTE_NS // 60, unfamiliar, image=t)

    steps = [
        shown(0, True, True), shown(10, True, False),  # a change
        shown(20, True, False), shown(30, True, None),  # a change to "cannot tell"
        shown(40, False, True),  # the truth changes, so this says nothing
        shown(50, False, True), shown(60, False, True, unfamiliar=True),  # what was shown goes away: a change
    ]
    figure = summarise_flags(list(reversed(steps)))["flicker_per_min"]
    assert figure.value == pytest.approx(3 / (50 / 60)) and figure.n == 5
    still = summarise_flags([shown(0, True, True), shown(60, True, True)])["flicker_per_min"]
    assert still.value == 0.0
    assert summarise_flags([shown(0, True, True)])["flicker_per_min"].value is None


def test_flicker_of_several_flags_adds_up():
    def both(t: int, csf: bool, cord: bool) -> FlagFrame:
        decisions = {"csf": FlagDecision(True, csf), "cord": FlagDecision(False, cord)}
        return FlagFrame(0, decisions, t * MINUTE_NS, image=t)

    frames = [both(0, True, True), both(1, False, False), both(2, True, False)]
    assert summarise_flags(frames)["flicker_per_min"].value == pytest.approx(2 / 2 + 1 / 2)


def test_groups_hold_their_own_frames_and_runs_are_paired():
    a = [frame(0, csf=(True, True, 0.9)), frame(1, csf=(True, True, 0.9)), frame(2, csf=(False, False, 0.1))]
    b = [frame(0, csf=(True, True, 0.9)), frame(1, csf=(True, False, 0.4)), frame(2, csf=(False, False, 0.1))]
    groups = summarise_flag_groups(a, "machine")
    assert set(groups) == {"A", "B"} and groups["A"]["flag_accuracy"].n == 2
    assert compare_flags(a, b)["flag_accuracy"].value == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="different frames"):
        compare_flags(a, b[:2])


def test_a_method_that_always_decides():
    made = frame_from_probabilities(
        {"quality": True, "cord": None, "csf": False}, {"quality": 0.5, "cord": 0.9, "csf": 0.49}, clip=0
    )
    assert set(made.decisions) == {"quality", "csf"}  # nobody knows about the cord
    assert [d.value for d in made.decisions.values()] == [True, False]
    assert summarise_flags([made])["flag_exact_match"].value == 1.0


def test_a_share_of_nothing_has_no_value():
    none_found = summarise_flags([frame(0, csf=(False, False, 0.1)), frame(1, csf=(False, False, 0.1))])
    assert none_found["flag_precision"].value is None and none_found["flag_f1"].value is None
    assert none_found["flag_accuracy"].value == 1.0
    assert Counts(0, 0, 0, 0).accuracy is None


def test_the_pointing_game_asks_whether_the_peak_lies_on_the_structure():
    heat = np.zeros((4, 4))
    heat[1, 2] = 1.0  # its middle is x 49.5, y 29.5 of 80
    on, near, far = (np.zeros((80, 80), bool) for _ in range(3))
    on[25:36, 45:56] = True
    near[29, 52] = True
    far[60:70, 0:10] = True
    assert pointing_hit(heat, on, 0.0) is True
    assert pointing_hit(heat, near, 0.0) is False and pointing_hit(heat, near, 0.05) is True
    assert pointing_hit(heat, far) is False
    assert pointing_hit(heat, np.zeros((80, 80), bool)) is None
