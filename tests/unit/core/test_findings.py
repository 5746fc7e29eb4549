"""Findings on the whole picture: their age, their chips, the advice, measures and heat in a scene."""

from __future__ import annotations

import numpy as np
import pytest

from puncta.core.findings import TARGET_INTERSPACE, carried_ns, finding_figure
from puncta.core.frame import Frame, FrameKey, ImageGeometry, SourceInfo, SourceKind
from puncta.core.overlay import Heat, Label, Layer, OverlayStyle, compose
from puncta.core.results import Analysis, ClassResult, HeatMap, Measure, PluginOutput

MS = 1_000_000
SURE = (
    ClassResult("quality", True, 0.98), ClassResult("cord", False, 0.03), ClassResult("csf", True, 0.9),
    ClassResult(TARGET_INTERSPACE, True, 0.9),
)
HEAT = HeatMap("csf", np.array([[0.2, 0.9]], np.float32), (-0.5, -0.5, 64.0, 48.0))
DEPTH = Measure("csf_depth", 12.0, "mm", 2.0, "middle")


def frame(index: int, pts_ms: float, kind: SourceKind = SourceKind.FILE, t_ms: float = 0.0) -> Frame:
    geometry = ImageGeometry(64, 48)
    info = SourceInfo("x", "x", "x", kind, geometry)
    key = FrameKey("x", index, round(pts_ms * MS))
    return Frame(key, 0, index, round(t_ms * MS), 0, np.zeros((48, 64), np.uint8), geometry, info)


def carried(results, age_ms: float) -> Analysis:
    """A frame that comes ``age_ms`` after the one its findings were computed from."""
    older, now = frame(3, 0.0), frame(4, age_ms)
    output = PluginOutput("infant-lp", 3, tuple(results), frame_t_ns=0, frame_key=older.key)
    return Analysis(now, (output,))


def test_age_is_of_the_frames_own_time_and_of_arrival_only_live() -> None:
    output = PluginOutput("p", 3, frame_t_ns=5 * MS, frame_key=FrameKey("x", 3, 100 * MS))
    assert carried_ns(output, frame(4, 140.0, t_ms=900.0)) == 40 * MS
    assert carried_ns(output, frame(4, 140.0, SourceKind.LIVE, t_ms=65.0)) == 60 * MS
    assert carried_ns(output, frame(3, 140.0)) == 0


@pytest.mark.parametrize(
    ("age_ms", "chips", "dim", "figures"), [(0.0, 4, False, 1), (90.0, 4, False, 1), (160.0, 4, True, 0)]
)
def test_a_finding_is_dimmed_when_old(age_ms: float, chips: int, dim: bool, figures: int) -> None:
    scene = compose(carried((*SURE, DEPTH), age_ms))
    assert [c.dim for c in scene.chips if c.finding] == [dim] * chips
    assert len(scene.read_outs) == figures


def test_a_finding_too_old_is_gone() -> None:
    scene = compose(carried((*SURE, HEAT, DEPTH), 260.0))
    assert scene.items == () and scene.read_outs == () and [c.text for c in scene.chips] == ["Old result"]


def test_advice_comes_only_where_the_derived_finding_is_true() -> None:
    told = [c.words() for c in compose(carried(SURE, 0.0)).chips]
    assert told == [
        "Quality: yes 0.98", "Cord: no 0.97", "CSF: yes 0.90",
        "Training feedback: target interspace, CSF yes, cord no",
    ]
    for value in (False, None):
        unsure = (*SURE[:3], ClassResult(TARGET_INTERSPACE, value, 0.4, "cord in view"))
        assert not [c for c in compose(carried(unsure, 0.0)).chips if c.advice]


def test_no_figure_claims_certainty() -> None:
    assert finding_figure(ClassResult("csf", True, 1.0)) == "0.99"
    assert finding_figure(ClassResult("csf", False, 0.0)) == "0.99"
    assert finding_figure(ClassResult("csf", None, 0.5, "why")) == ""


def test_heat_is_a_layer_with_a_name_and_an_opacity() -> None:
    scene = compose(carried((*SURE, HEAT), 0.0), OverlayStyle(opacity={Layer.HEAT_MAP: 0.5}))
    heat = next(i for i in scene.items if isinstance(i, Heat))
    assert heat.opacity == 0.5 and heat.box_px == HEAT.box_px
    assert next(i.text for i in scene.items if isinstance(i, Label)) == "heat map: CSF"
    assert compose(carried((*SURE, HEAT), 0.0), OverlayStyle(visible={Layer.HEAT_MAP: False})).items == ()
    cold = HeatMap("csf", np.array([[0.2, 0.4]], np.float32), HEAT.box_px)
    words = [i.text for i in compose(carried((cold,), 0.0)).items if isinstance(i, Label)]
    assert words == ["heat map: CSF, nothing speaks for it"]
