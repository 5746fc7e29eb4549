"""A followed target in the scene: its doubt in every distance, nothing measured once it is lost, the plan beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from puncta.core.frame import (
    Calibration,
    CalibrationOrigin,
    Frame,
    FrameKey,
    ImageGeometry,
    SourceInfo,
    SourceKind,
    UltrasoundRegion,
)
from puncta.core.guidance import MISSES, OFF_PLAN, TARGET_LOST, TO_TARGET, Guide, compose_guided, plan_figures
from puncta.core.overlay import Dash, Label, Layer, OverlayStyle, Ring, Stroke, compose
from puncta.core.results import Analysis, Detection, Line, PluginOutput
from puncta.core.target import LOSS_WORDS, TargetFix, TargetLoss

REGION = UltrasoundRegion((10, 20, 180, 120), "dicom", Calibration((0.1, 0.1), CalibrationOrigin.REGION))
GEOMETRY = ImageGeometry(200, 150, (REGION,))
INFO = SourceInfo("u", "s", "t", SourceKind.LIVE, GEOMETRY)
TIP = Detection("needle_tip", (92.0, 77.0, 16.0, 6.0), (100.0, 80.0), 0.93, 12.0)
LINE = Line("needle", (40.0, 40.0), (100.0, 80.0), 0.9, 33.7, 1.2)
STYLE = OverlayStyle()


def analysis(fix: TargetFix | None) -> Analysis:
    frame = Frame(FrameKey("s", 3, 0), 2, 5, 1000, 0, np.zeros((150, 200), np.uint8), GEOMETRY, INFO)
    return Analysis(frame, (PluginOutput("needle-tip", 5, (TIP, LINE), frame_t_ns=1000),), target=fix)


def figure(scene, name):  # noqa: ANN001, ANN201
    return next((r for r in scene.read_outs if r.name == name), None)


def test_without_a_followed_target_it_is_the_plain_scene() -> None:
    style = OverlayStyle(target_px=(150.0, 110.0))
    assert compose_guided(analysis(None), style, Guide()) .items == compose(analysis(None), style).items


def test_a_distance_is_no_better_known_than_the_target() -> None:
    sure = compose_guided(analysis(TargetFix((150.0, 110.0))), STYLE, Guide("lesion"))
    vague = compose_guided(analysis(TargetFix((150.0, 110.0), 9.0)), STYLE, Guide("lesion"))
    assert figure(sure, TO_TARGET).value == pytest.approx(5.83, abs=0.01)
    assert figure(sure, TO_TARGET).doubt == pytest.approx(1.2)
    assert figure(vague, TO_TARGET).doubt == pytest.approx(1.5)
    assert figure(vague, MISSES).doubt > figure(sure, MISSES).doubt
    assert any(isinstance(i, Ring) and i.dash is Dash.DOTTED and i.radius_px == 9.0 for i in vague.items)
    labels = [i.text for i in vague.items if isinstance(i, Label) and i.layer is Layer.TARGET]
    assert labels == ["lesion 6 mm"]


@pytest.mark.parametrize("loss", [loss for loss in TargetLoss if loss])
def test_a_lost_target_is_not_drawn_and_carries_no_distance(loss: TargetLoss) -> None:
    # Even where a fixed point is set beside it.
    style = OverlayStyle(target_px=(150.0, 110.0))
    scene = compose_guided(analysis(TargetFix(None, 40.0, loss)), style, Guide("lesion", (-60.0, -60.0)))
    assert not [item for item in scene.items if item.layer is Layer.TARGET]
    assert figure(scene, TO_TARGET).value is None and figure(scene, TO_TARGET).basis == LOSS_WORDS[loss]
    assert figure(scene, MISSES) is None and figure(scene, OFF_PLAN) is None
    assert TARGET_LOST in [chip.text for chip in scene.chips]


def test_a_planned_path_leads_to_the_target_and_says_how_far_the_needle_is_off_it() -> None:
    plan = (-60.0, -40.0)
    scene = compose_guided(analysis(TargetFix((150.0, 110.0))), STYLE, Guide("lesion", plan))
    moved = compose_guided(analysis(TargetFix((140.0, 100.0))), STYLE, Guide("lesion", plan))
    dashed = [i for i in scene.items if isinstance(i, Stroke) and i.layer is Layer.TARGET and i.dash is Dash.DASHED]
    assert [i.points_px for i in dashed] == [((90.0, 70.0), (150.0, 110.0))]
    other = [i for i in moved.items if isinstance(i, Stroke) and i.layer is Layer.TARGET and i.dash is Dash.DASHED]
    assert [i.points_px for i in other] == [((80.0, 60.0), (140.0, 100.0))]
    assert figure(scene, OFF_PLAN).value == pytest.approx(0.0, abs=0.1)
    assert plan_figures(plan, REGION) == (pytest.approx(33.7, abs=0.1), pytest.approx(7.2, abs=0.02), "mm")
    assert plan_figures((1.0, 2.0), REGION) is None
    steep = compose_guided(analysis(TargetFix((150.0, 110.0))), STYLE, Guide("lesion", (0.0, -60.0)))
    assert figure(steep, OFF_PLAN).value == pytest.approx(56.3, abs=0.1)


def test_a_hidden_layer_hides_the_plan_too() -> None:
    style = replace(STYLE, visible={Layer.TARGET: False})
    scene = compose_guided(analysis(TargetFix((150.0, 110.0), 9.0)), style, Guide("lesion", (-60.0, -40.0)))
    assert not [item for item in scene.items if item.layer is Layer.TARGET]
