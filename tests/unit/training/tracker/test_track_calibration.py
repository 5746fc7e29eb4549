"""Thresholds of the tracker: quiet enough on needle-free frames of every kind, and as the tracker itself decides."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from puncta.imaging.mask_scoring import MaskScoring  # noqa: E402
from puncta.training.tracker.calibrate import (  # noqa: E402
    FALSE_MASKS_MOST,
    LEVELS,
    TrackRows,
    _entering,
    calibrate_track,
    false_mask_rates,
    fit_chances,
    mean_iou,
    shown_under,
)
from puncta.training.tracker.masks import IN_PLANE, NONE  # noqa: E402


def rows_of(clips: int = 60, frames: int = 20, seed: int = 0, scale: float = 3.0) -> TrackRows:
    """Clips with a needle and clips without, presence logits ``scale`` times what they should be."""
    rng = np.random.default_rng(seed)
    n = clips * frames
    clip = np.repeat(np.arange(clips), frames)
    plane = np.where(clip % 2 == 0, IN_PLANE, NONE).astype(np.int8)
    honest = np.where(plane == IN_PLANE, 2.0, -2.0) + rng.normal(0, 2.0, n)
    true = np.where(plane == IN_PLANE, 1000.0, 0.0)
    found = np.full((n, len(LEVELS)), 900.0)
    both = np.where(plane[:, None] == IN_PLANE, np.array([700.0, 760.0, 820.0, 740.0]), 0.0)
    nothing = np.full(n, math.nan)
    tip = np.where(plane == IN_PLANE, np.abs(rng.normal(0, 4.0, n)), math.nan)
    kinds = tuple("stills" if k % 4 == 1 else "simulated" for k in range(clips))
    return TrackRows(
        clip,
        kinds,
        scale * honest + 1.0,
        np.abs(rng.normal(10, 1, n)),
        plane,
        found,
        both,
        true,
        tip,
        np.where(plane == IN_PLANE, 2.0, nothing),
        np.abs(rng.normal(0, 0.02, n)),
        np.full(n, 0.01),
    )


def test_presence_is_brought_back_to_log_odds_that_hold() -> None:
    # Two bells of variance 4 at +-2 have the log odds x itself.
    scale, shift = fit_chances(rows_of(400))
    assert scale == pytest.approx(1 / 3, rel=0.1) and shift == pytest.approx(-1 / 3, abs=0.15)


def test_every_kind_of_needle_free_clip_stays_quiet() -> None:
    rows = rows_of(200)
    made = calibrate_track(rows)
    s = made.scoring
    level = LEVELS.index(s.mask_level)
    chance = 1 / (1 + np.exp(-(made.scale * rows.logit + made.shift)))
    shown = shown_under(rows, chance, s.show, s.keep, level, s.enter, s.calm)
    rates = false_mask_rates(rows, shown)
    assert set(rates) == {"simulated", "stills"} and max(rates.values()) <= FALSE_MASKS_MOST
    # The best overlap was given at the third level, and hiding everything is no way out.
    assert s.mask_level == LEVELS[2] and mean_iou(rows, shown, level) > 0.2
    assert s.keep <= s.show <= s.sure and 10.0 < s.strangeness_most < 16.0
    assert made.figures["tip_in_circle"] == pytest.approx(0.9, abs=0.03)
    assert made.scoring.angle_factor == pytest.approx(2.0, rel=0.15)
    assert made.figures["false_masks"] <= FALSE_MASKS_MOST and made.figures["ece"] < 0.05


def test_what_is_shown_stays_down_to_the_lower_threshold_and_not_into_the_next_clip() -> None:
    rows = rows_of(2, 4)
    chance = np.array([0.5, 0.9, 0.5, 0.3, 0.5, 0.5, 0.9, 0.5])
    assert shown_under(rows, chance, 0.8, 0.4, 2).tolist() == [False, True, True, False, False, False, True, True]
    rows.found[1] = 0.0
    assert shown_under(rows, chance, 0.8, 0.4, 2).tolist()[:4] == [False, False, False, False]


def test_a_silent_frame_with_a_needle_counts_as_no_overlap() -> None:
    rows = rows_of(2, 2)
    shown = np.array([True, False, True, False])
    assert mean_iou(rows, shown, 0) == pytest.approx(0.5 * 700 / 1200)


def test_a_needle_that_comes_in_within_a_second_is_shown_from_a_lower_chance_on() -> None:
    rows = rows_of(3, 40)
    chance = np.full(120, 0.75)
    chance[10] = 0.1  # comes in on frame 11 of the first clip; the second has no calm frame
    chance[80:92], chance[92:] = 0.35, 0.75  # never calm enough
    shown = shown_under(rows, chance, 0.9, 0.5, 2, 0.7, 0.3)
    assert not shown[:11].any() and shown[11:40].all() and not shown[40:].any()
    chance[11:37] = 0.5  # a second and a frame after the calm one it is too late
    assert not shown_under(rows, chance, 0.9, 0.5, 2, 0.7, 0.3).any()
    chance[35] = 0.75
    assert shown_under(rows, chance, 0.9, 0.5, 2, 0.7, 0.3)[35:40].all()


def test_the_lower_threshold_is_taken_only_where_needle_free_clips_stay_quiet() -> None:
    rows = rows_of(40, 20)
    at, needle = np.tile(np.arange(20), 40), rows.clip % 2 == 0
    rows = replace(rows, plane=np.where(needle & (at >= 4), IN_PLANE, NONE).astype(np.int8))
    scoring = MaskScoring(show=0.95, keep=0.6)
    # Needles come in with middling chances; lines of tissue have the same ones, but from the beginning.
    comes_in = np.where(at < 4, 0.05, 0.92)
    chance = np.where(needle, comes_in, 0.92)
    assert _entering(rows, chance, scoring, 2) == {"enter": 0.7, "calm": 0.3}
    assert _entering(rows, comes_in, scoring, 2) == {}, "where lines of tissue come in like needles there is none"
