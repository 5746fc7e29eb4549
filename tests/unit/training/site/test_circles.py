"""An adapted network's circles hold the tips of the site that it learnt from, or they are widened."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

from puncta.imaging.filtering import TipFilterSettings, doubt_cells  # noqa: E402
from puncta.imaging.tip_scoring import TipScoring, chance  # noqa: E402
from puncta.training.site import thresholds  # noqa: E402

TIPS = 100
RIGHT = 3.0


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer is a number: how far its tips lie out, as a share of the radius of the circle as it was."""

    def follow(answers: Sequence[float], _scoring: TipScoring, _filtering: TipFilterSettings) -> SimpleNamespace:
        reach = np.repeat(np.array(answers, float), TIPS)
        all_of, none_of = np.ones(len(reach), bool), np.zeros(len(reach), bool)
        radius = doubt_cells(1.0, chance(RIGHT)) * TipScoring().circle.factors[0]
        return SimpleNamespace(
            right=np.full(len(reach), RIGHT), predicted=none_of, spread=np.ones(len(reach)),
            drift=np.zeros(len(reach)), error_cells=reach * radius, shown=all_of,
            judged=np.ones(len(reach), np.int8), kind=np.ones(len(reach), np.int64), quiet=none_of,
        )

    monkeypatch.setattr(thresholds, "follow", follow)
    monkeypatch.setattr(thresholds, "_strangeness", lambda _answers, before: before)
    monkeypatch.setattr(thresholds, "figures_of", lambda _rows, _scoring, answers: {"clips": float(len(answers))})


@pytest.mark.parametrize(("reach", "wider"), [(1.6, 1.6), (0.9, 1.0), (5.0, thresholds.WIDEST)])
def test_tips_that_taught_and_lie_outside_widen_the_circles(followed: None, reach: float, wider: float) -> None:
    settled = thresholds.settle([0.5], [], TipScoring(), TipFilterSettings(), taught=[reach])
    assert settled.calibration.scoring.circle.factors[0] == pytest.approx(TipScoring().circle.factors[0] * wider)
    assert settled.calibration.figures["circle_widened"] == pytest.approx(wider)
    assert settled.calibration.figures["clips"] == 1.0, "what taught is no figure of the tune split"
    assert ("circles widened by 60 %" in settled.words) is (wider == 1.6)
