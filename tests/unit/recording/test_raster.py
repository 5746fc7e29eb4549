from __future__ import annotations

import numpy as np
import pytest

from puncta.core.frame import FrameKey
from puncta.core.overlay import Area, Dash, Fill, Label, Layer, OverlayScene, Ring, Stroke
from puncta.recording.raster import colours, draw_scene


def scene(*items) -> OverlayScene:
    return OverlayScene(FrameKey("s", 0, 0), 0, 0, items)


@pytest.fixture
def grey():
    return np.full((120, 160), 90, np.uint8)


def is_colour(pixel, token) -> bool:
    return np.abs(pixel.astype(int) - colours()[token]).max() < 40


def test_a_picture_without_overlay_is_untouched(grey):
    assert (draw_scene(grey, scene()) == grey[..., None]).all()
    assert (grey == 90).all()


def test_a_stroke_lies_where_its_pixels_are(grey):
    out = draw_scene(grey, scene(Stroke(Layer.PATH, ((20.0, 60.0), (140.0, 60.0)), "accent", 2.0)))
    assert is_colour(out[60, 80], "accent")
    assert (out[30] == 90).all() and (out[60, :10] == 90).all()
    assert out[57:64, 80].min() < 60, "a dark halo surrounds the line"


def test_pixel_centres_are_at_integers(grey):
    out = draw_scene(grey, scene(Ring(Layer.TIP, (80.0, 60.0), 20.0, "tip", 1.0)))
    changed = np.argwhere((out != 90).any(-1))
    middle = (changed.min(0) + changed.max(0)) / 2
    assert np.allclose(middle, (60, 80), atol=0.51)


def test_dashes_leave_gaps(grey):
    solid = draw_scene(grey, scene(Stroke(Layer.PATH, ((5, 60), (155, 60)), "text1", 2.0)))
    dashed = draw_scene(grey, scene(Stroke(Layer.PATH, ((5, 60), (155, 60)), "text1", 2.0, Dash.DASHED)))
    lit = [int((out[60, :, 0] > 150).sum()) for out in (solid, dashed)]
    assert lit[0] > 145 and 0.3 * lit[0] < lit[1] < 0.85 * lit[0]


def test_opacity_mixes(grey):
    out = draw_scene(grey, scene(Stroke(Layer.PATH, ((5, 60), (155, 60)), "text1", 3.0, opacity=0.4)))
    expected = 0.4 * colours()["text1"][0] + 0.6 * 90
    assert abs(float(out[60, 80, 0]) - expected) < 8


def test_a_mask_is_translucent_with_an_outline_and_may_reach_beyond_the_picture(grey):
    mask = np.ones((40, 60), bool)
    out = draw_scene(grey, scene(Fill(Layer.MASK, mask, (120, 100), "accent")))
    assert is_colour(out[100, 140], "accent")
    assert 90 < out[112, 140, 2] < 200
    assert (out[:90, :100] == 90).all()


@pytest.mark.parametrize("tip", [(10.0, 8.0), (150.0, 112.0), (80.0, 60.0), (155.0, 5.0)])
def test_a_label_never_covers_the_tip_and_stays_inside(grey, tip):
    item = Label(Layer.TIP, "tip 0.93", (tip[0] + 12, tip[1] - 12), tip, "tip")
    out = draw_scene(grey, scene(item))
    changed = (out != 90).any(-1)
    assert changed.any()
    y, x = int(tip[1]), int(tip[0])
    assert not changed[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4].any()


def test_what_lies_outside_is_left_out(grey):
    out = draw_scene(grey, scene(Stroke(Layer.PATH, ((500, 500), (600, 600)), "tip")))
    assert (out == 90).all()


def test_an_area_is_tinted_evenly_without_a_line(grey):
    corners = ((20.0, 20.0), (100.0, 20.0), (100.0, 80.0), (20.0, 80.0))
    out = draw_scene(grey, scene(Area(Layer.PATH, corners, "text1", fill_opacity=0.2)))
    expected = 0.2 * np.array(colours()["text1"]) + 0.8 * 90
    assert np.abs(out[25:75, 25:95] - expected).max() <= 1
    assert (out[85:] == 90).all() and (out[:, 105:] == 90).all()
    assert (draw_scene(grey, scene(Area(Layer.PATH, (), "text1"))) == 90).all()
