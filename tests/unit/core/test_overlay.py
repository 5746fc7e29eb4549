from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from puncta.core.flags import Flag
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
from puncta.core.overlay import STALE_OPACITY, Area, Dash, Label, Layer, OverlayStyle, ReadOut, Ring, Stroke, compose
from puncta.core.results import Analysis, Certainty, ClassResult, Detection, Line, PluginOutput

REGION = UltrasoundRegion((10, 20, 180, 120), "dicom", Calibration((0.1, 0.1), CalibrationOrigin.REGION))
GEOMETRY = ImageGeometry(200, 150, (REGION,))
INFO = SourceInfo("u", "s", "t", SourceKind.FILE, GEOMETRY, 10)
TIP = Detection("needle_tip", (92.0, 77.0, 16.0, 6.0), (100.0, 80.0), 0.93, 12.0)
LINE = Line("needle", (10.0, 50.0), (100.0, 80.0), 0.9, 18.4, 1.2)


def analysis(*results, frame_id=5, own_id=5, flags=(), geometry=GEOMETRY) -> Analysis:
    frame = Frame(
        FrameKey("s", 3, 0),
        2,
        frame_id,
        1000,
        0,
        np.zeros((150, 200), np.uint8),
        geometry,
        replace(INFO, geometry=geometry),
    )
    output = PluginOutput("needle-tip", own_id, tuple(results), frame_t_ns=500)
    return Analysis(frame, (output,), frozenset(flags))


def of(scene, kind, layer=None):
    return [i for i in scene.items if isinstance(i, kind) and (layer is None or i.layer is layer)]


def test_a_scene_carries_its_frames_key_and_epoch():
    scene = compose(analysis(TIP))
    assert (scene.key.index, scene.epoch, scene.frame_id) == (3, 2, 5)


def test_the_tip_is_brackets_a_cross_and_the_circle():
    scene = compose(analysis(TIP))
    assert len(of(scene, Stroke, Layer.TIP)) == 6
    (ring,) = of(scene, Ring)
    assert ring.centre_px == (100.0, 80.0) and ring.radius_px == 12.0
    brackets = np.array([p for s in of(scene, Stroke, Layer.TIP) if len(s.points_px) == 3 for p in s.points_px])
    assert (brackets.min(0) + brackets.max(0)) / 2 == pytest.approx((100, 80))


def test_round_a_small_circle_the_cross_leaves_the_tip_free():
    small = replace(TIP, box=(68.0, 70.0, 64.0, 20.0), radius90_px=6.0)
    arms = [s for s in of(compose(analysis(small)), Stroke, Layer.TIP) if len(s.points_px) == 2]
    assert len(arms) == 4
    reach = [np.hypot(x - 100.0, y - 80.0) for s in arms for x, y in s.points_px]
    assert min(reach) == pytest.approx(6.0) and max(reach) < 32.0


def test_uncertain_stale_and_lost_look_different_from_sure():
    sure = compose(analysis(TIP))
    unsure = compose(analysis(replace(TIP, certainty=Certainty.UNCERTAIN)))
    stale = compose(analysis(TIP, own_id=4), now_ns=50_000_000)
    lost = compose(analysis(replace(TIP, tip_px=None, box=None, reason="none found")))
    looks = [(i.dash, i.opacity) for s in (sure, unsure, stale) for i in of(s, Stroke)[:1]]
    assert looks == [(Dash.SOLID, 1.0), (Dash.DASHED, 1.0), (Dash.DOTTED, STALE_OPACITY)]
    assert of(lost, Stroke) == []
    assert "unsure" in of(unsure, Label)[0].text


def test_a_predicted_tip_is_dashed_has_no_cross_and_says_so():
    scene = compose(analysis(replace(TIP, predicted=True, certainty=Certainty.UNCERTAIN)))
    strokes = of(scene, Stroke, Layer.TIP)
    assert len(strokes) == 4 and {s.dash for s in strokes} == {Dash.DASHED}
    assert of(scene, Ring)[0].dash is Dash.DASHED
    assert of(scene, Label)[0].text == "tip, expected 0.93"


def test_the_projection_lies_in_a_band_that_widens_and_stays_in_the_region():
    (area,) = of(compose(analysis(TIP, LINE)), Area, Layer.PATH)
    points = np.array(area.points_px)
    assert points[:, 0].max() == pytest.approx(189.5) and points[:, 0].min() > 95
    widths = [np.ptp(points[np.abs(points[:, 0] - x) < 8, 1]) for x in (115, 180)]
    assert 20 < widths[0] < widths[1]
    for line in (replace(LINE, sigma_deg=None), replace(LINE, entry_px=None, tip_px=None, reason="faint")):
        assert not of(compose(analysis(TIP, line)), Area)
    assert not of(compose(analysis(TIP, LINE, own_id=4), now_ns=50_000_000), Area)


def test_the_targets_word_gives_the_distance_from_the_tip_of_this_frame():
    style = OverlayStyle(target_px=(140.0, 110.0))
    lost = replace(TIP, tip_px=None, box=None, reason="none found")
    bare = ImageGeometry(200, 150, (replace(REGION, calibration=None),))

    def words(shown):
        return of(compose(shown, style), Label, Layer.TARGET)[0].text

    assert words(analysis(TIP)) == "target 5 mm"
    assert words(analysis(TIP, geometry=bare)) == "target 50 px"
    assert words(analysis(lost)) == "target"
    assert words(analysis(TIP, own_id=4)) == "target"


def test_a_target_that_was_passed_is_told():
    scene = compose(analysis(TIP, LINE), OverlayStyle(target_px=(60.0, 70.0)))
    miss = next(r for r in scene.read_outs if r.name == "Path misses by")
    assert miss.basis == "the target lies behind the tip"


def test_a_result_too_old_is_not_drawn():
    scene = compose(analysis(TIP, own_id=4), now_ns=200_000_000)
    assert scene.items == () and [c.text for c in scene.chips] == ["Old result"]


def test_read_outs_show_doubt_and_unit_and_basis():
    scene = compose(analysis(TIP, LINE), OverlayStyle(target_px=(130.0, 90.0)))
    texts = {r.name: r.text() for r in scene.read_outs}
    assert texts["Tip depth"] == "6 ± 1 mm"
    assert texts["Angle"] == "18 ± 1°"
    assert texts["To target"] == "3 ± 1 mm"
    assert texts["Path misses by"] == "0 ± 1 mm"
    assert all(r.basis for r in scene.read_outs)


def test_uncalibrated_read_outs_are_in_pixels():
    bare = ImageGeometry(200, 150, (replace(REGION, calibration=None),))
    scene = compose(analysis(TIP, geometry=bare, flags=[Flag.UNCALIBRATED]))
    depth = next(r for r in scene.read_outs if r.name == "Tip depth")
    assert depth.text() == "60 ± 12 px"
    assert "Uncalibrated" in [c.text for c in scene.chips]


def test_a_lost_tip_shows_dashes_for_figures():
    lost = replace(TIP, tip_px=None, box=None, reason="none found")
    scene = compose(analysis(lost))
    assert {r.text() for r in scene.read_outs} == {"–"}


def test_layers_hide_fade_and_keep_their_order():
    style = OverlayStyle(visible={Layer.PATH: False}, opacity={Layer.TIP: 0.5}, target_px=(50.0, 60.0))
    scene = compose(analysis(TIP, LINE), style)
    assert not of(scene, Stroke, Layer.PATH)
    assert {i.opacity for i in of(scene, Stroke, Layer.TIP)} == {0.5}
    layers = [i.layer for i in scene.items]
    assert layers == sorted(layers, key=list(Layer).index)


def test_the_projection_runs_from_the_tip_to_the_regions_edge():
    dashed = [s for s in of(compose(analysis(TIP, LINE)), Stroke, Layer.PATH) if s.dash is Dash.DASHED]
    (ahead,) = dashed
    assert ahead.points_px[0] == pytest.approx((100, 80))
    assert ahead.points_px[1][0] == pytest.approx(189.5)


def test_classes_say_yes_no_and_cannot_tell():
    scene = compose(
        analysis(
            ClassResult("csf", True, 0.9), ClassResult("cord", False, 0.1), ClassResult("spot", None, 0.5, "low")
        )
    )
    assert [c.words() for c in scene.chips] == ["CSF: yes 0.90", "Cord: no 0.90", "spot: cannot tell"]
    assert len({c.shape for c in scene.chips}) == 3


def test_the_same_input_gives_the_same_scene():
    first, second = compose(analysis(TIP, LINE)), compose(analysis(TIP, LINE))
    assert first.items == second.items and first.read_outs == second.read_outs


@pytest.mark.parametrize(
    ("read_out", "text"),
    [
        (ReadOut("d", 15.2, 1.8, "mm", "b"), "15 ± 2 mm"),
        (ReadOut("d", 15.2, 0.4, "mm", "b"), "15.2 ± 0.4 mm"),
        (ReadOut("d", 1.8, None, "mm", "b"), "1.8 mm"),
        (ReadOut("d", None, None, "mm", "b"), "–"),
    ],
)
def test_figures_never_claim_more_than_their_doubt(read_out, text):
    assert read_out.text() == text
