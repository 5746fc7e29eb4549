"""What a tracked needle looks like: its mask, sure or not, its throw, and one needle drawn once."""

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
from puncta.core.last_seen import LostTip
from puncta.core.overlay import THROW_LABEL, Dash, Fill, Label, Layer, OverlayStyle, Stroke, compose
from puncta.core.results import Analysis, Certainty, Detection, Line, MaskResult, PluginOutput, Result
from puncta.core.speakers import spoken_for
from puncta.recording.raster import colours, draw_scene

REGION = UltrasoundRegion((10, 20, 180, 120), "dicom", Calibration((0.1, 0.1), CalibrationOrigin.REGION))
GEOMETRY = ImageGeometry(200, 150, (REGION,))
INFO = SourceInfo("u", "s", "t", SourceKind.FILE, GEOMETRY, 10)
TIP = Detection("needle_tip", (92.0, 77.0, 16.0, 6.0), (100.0, 80.0), 0.93, 12.0)
NO_TIP = replace(TIP, box=None, tip_px=None, certainty=Certainty.LOST, reason="gone")
LINE = Line("needle", (10.0, 50.0), (100.0, 80.0), 0.9, 18.4, 1.2)
MASK = MaskResult("needle", np.ones((12, 40), bool), (60, 66), 0.9)
NO_MASK = replace(MASK, mask=None, certainty=Certainty.LOST, reason="gone")
THROW = Line(THROW_LABEL, (100.0, 80.0), (148.7, 91.3), 0.9)


def scene_of(*outputs: tuple[str, tuple[Result, ...]], own: bool = True, **style: object):
    frame = Frame(FrameKey("s", 3, 0), 2, 5, 1000, 0, np.full((150, 200), 90, np.uint8), GEOMETRY, INFO)
    made = tuple(PluginOutput(name, 5 if own else 4, results, frame_t_ns=500) for name, results in outputs)
    return Analysis(frame, made), compose(Analysis(frame, made), OverlayStyle(**style))


def fills(scene) -> list[Fill]:
    return [i for i in scene.items if isinstance(i, Fill)]


def test_sure_unsure_and_old_masks_look_different() -> None:
    (sure,) = fills(scene_of(("b", (MASK, LINE, TIP)))[1])
    (unsure,) = fills(scene_of(("b", (replace(MASK, certainty=Certainty.UNCERTAIN), LINE, TIP)))[1])
    (old,) = fills(scene_of(("b", (MASK, LINE, TIP)), own=False)[1])
    assert (sure.layer, sure.dash, unsure.dash, old.dash) == (Layer.MASK, Dash.SOLID, Dash.DASHED, Dash.DOTTED)
    assert unsure.fill_opacity < sure.fill_opacity and old.opacity < sure.opacity
    assert fills(scene_of(("b", (NO_MASK, NO_TIP)))[1]) == []


def test_a_layer_is_switched_and_made_fainter() -> None:
    outputs = ("b", (MASK, LINE, TIP, THROW))
    assert fills(scene_of(outputs, visible={Layer.MASK: False})[1]) == []
    (half,) = fills(scene_of(outputs, opacity={Layer.MASK: 0.5})[1])
    assert half.opacity == 0.5
    off = scene_of(outputs, visible={Layer.THROW: False})[1]
    assert not [i for i in off.items if i.layer is Layer.THROW] and [i for i in off.items if i.layer is Layer.PATH]


def test_the_throw_is_a_thick_line_with_a_bar_and_its_length() -> None:
    items = [i for i in scene_of(("b", (MASK, LINE, TIP, THROW)))[1].items if i.layer is Layer.THROW]
    strokes = [i for i in items if isinstance(i, Stroke)]
    assert len(strokes) == 2 and strokes[0].points_px == ((100.0, 80.0), (148.7, 91.3))
    bar = np.array(strokes[1].points_px)
    assert bar.mean(axis=0) == pytest.approx((148.7, 91.3), abs=1e-6)
    assert np.dot(bar[1] - bar[0], (48.7, 11.3)) == pytest.approx(0, abs=1e-6)
    assert [i.text for i in items if isinstance(i, Label)] == ["throw 5 mm"]


def test_a_throw_that_leaves_the_picture_has_no_end_and_no_length() -> None:
    cut = replace(THROW, tip_px=(189.5, 100.0))
    items = [i for i in scene_of(("b", (MASK, LINE, TIP, cut)))[1].items if i.layer is Layer.THROW]
    assert len(items) == 2 and [i.text for i in items if isinstance(i, Label)] == ["throw"]
    old = scene_of(("b", (MASK, LINE, TIP, THROW)), own=False)[1]
    assert not [i for i in old.items if i.layer is Layer.THROW]


def test_one_needle_is_drawn_and_read_out_once() -> None:
    tip_plugin, biopsy = ("needle-tip", (TIP, LINE)), ("breast-biopsy", (MASK, LINE, TIP))
    analysis, both = scene_of(tip_plugin, biopsy)
    _, alone = scene_of(biopsy)
    assert spoken_for(analysis) == {"needle-tip"}
    assert both.items == alone.items or len(both.items) == len(alone.items)
    assert both.read_outs == alone.read_outs
    lost, scene = scene_of(tip_plugin, ("breast-biopsy", (NO_MASK, NO_TIP)))
    assert spoken_for(lost) == {"breast-biopsy"} and [i for i in scene.items if i.layer is Layer.TIP]
    gone, _ = scene_of(("needle-tip", (NO_TIP,)), ("breast-biopsy", (NO_MASK, NO_TIP)))
    assert spoken_for(gone) == {"needle-tip"}
    two, _ = scene_of(tip_plugin, ("needle-tip-baseline", (TIP,)))
    assert spoken_for(two) == frozenset(), "without a mask each is shown, to be compared"


def test_only_the_one_that_speaks_says_lost() -> None:
    analysis, _ = scene_of(("needle-tip", (NO_TIP,)), ("breast-biopsy", (NO_MASK, NO_TIP)))
    lost = [LostTip(name, (100.0, 80.0), (92.0, 77.0, 16.0, 6.0), 0.8) for name in ("needle-tip", "breast-biopsy")]
    words = [i.text for i in compose(analysis, lost=lost).items if isinstance(i, Label)]
    assert words == ["lost"]


def test_files_show_the_same_sure_and_unsure() -> None:
    plain = np.full((150, 200), 90, np.uint8)
    drawn = {}
    for certainty in (Certainty.SURE, Certainty.UNCERTAIN):
        scene = scene_of(("b", (replace(MASK, certainty=certainty),)))[1]
        drawn[certainty] = draw_scene(plain, scene).astype(int)
    inside = (slice(70, 74), slice(70, 90))
    colour = np.array(colours()["mask"])
    for certainty, share in ((Certainty.SURE, 0.3), (Certainty.UNCERTAIN, 0.12)):
        assert drawn[certainty][inside].reshape(-1, 3).mean(axis=0) == pytest.approx(90 + share * (colour - 90), abs=2)
    row = drawn[Certainty.UNCERTAIN][66, 60:100]
    on = np.abs(row - colour).sum(axis=1) < 120
    assert 5 < on.sum() < 35, "dashed: neither nothing nor a whole line"
    assert (np.abs(drawn[Certainty.SURE][66, 62:98] - colour).sum(axis=1) < 120).all()
