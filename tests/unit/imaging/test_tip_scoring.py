"""What calibration sets: read back as it was written, models of before features still read, circles by kind."""

from __future__ import annotations

import math

import pytest

from puncta.imaging.tip_scoring import (
    FEATURE_LIMIT,
    FEATURES,
    Circle,
    Logistic,
    TipScoring,
    chance,
    features_of,
    logit,
    radius_cells,
    scoring_from_spec,
)

SCORING = TipScoring(
    1.2, -0.3, Logistic((0.1, 0.2, 0.3, 0.4, -1.5, 0.0), 0.5), Logistic((0.0, 0.8, 0.0, 0.2, -5.0, 0.1), 4.0),
    2.0, 1.0, 0.2, Circle((0.9, 0.99), (0.5, 0.4, 0.3, 0.9)), on_line=True, strangeness_most=7.5,
)


def test_a_spec_gives_the_scoring_back() -> None:
    assert scoring_from_spec(SCORING.as_spec()) == SCORING
    endless = TipScoring()
    assert "strangeness_most" not in endless.as_spec()
    assert scoring_from_spec(endless.as_spec()).strangeness_most == math.inf


def test_model_0_1_shows_a_tip_from_its_score_on() -> None:
    old = {"presence_scale": 1.17, "presence_shift": -0.7, "score_scale": 2.0, "score_shift": 7.5, "radius_scale": 0.5}
    scoring = scoring_from_spec(old)
    features = features_of(1.0, 2.0, 0.9, 0.02, 0.4, True)
    score = chance(2.0 * logit(0.02) + 7.5)
    assert chance(scoring.presence.logit(features)) == pytest.approx(score)
    assert chance(scoring.right.logit(features)) == pytest.approx(score)
    assert chance(scoring.show) == pytest.approx(0.6) and scoring.coast_s == 0.0
    assert radius_cells(scoring.circle, 0.4, score, False, 0.0) == pytest.approx(0.5 * (0.9 + 8 * (1 - score)))


def test_features_stay_within_what_calibration_saw() -> None:
    wild = features_of(1e9, -1e9, 1.0, 0.0, 0.0, False)
    assert len(wild) == len(FEATURES) and all(abs(v) <= FEATURE_LIMIT for v in wild)


def test_a_predicted_place_has_a_factor_of_its_own_and_its_drift_counts() -> None:
    circle = SCORING.circle
    assert [circle.kind(p, False) for p in (0.5, 0.95, 0.995)] == [0, 1, 2]
    assert circle.kind(0.995, True) == 3
    still = radius_cells(circle, 0.4, 0.95, True, 0.0)
    assert radius_cells(circle, 0.4, 0.95, True, 2.0) == pytest.approx(still + 0.9 * 2.0)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="weights"):
        TipScoring(right=Logistic((1.0,), 0.0))
    with pytest.raises(ValueError, match="circle"):
        TipScoring(circle=Circle((0.5,), (1.0, 2.0)))
