from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puncta.core.frame import Calibration, CalibrationOrigin, UltrasoundRegion
from puncta.core.geometry import (
    axis_angle_deg,
    box_around_px,
    box_centre_px,
    box_from_coco,
    box_iou,
    clip_segment,
    coco_from_box,
    depth_mm,
    distance_mm,
    fit_view,
    tip_box_px,
)

coordinate = st.floats(-2000, 2000)
RULED = Calibration((0.1, 0.2), CalibrationOrigin.RULER)
REGION = UltrasoundRegion((100, 50, 400, 300), "dicom", RULED)


@given(coordinate, coordinate, st.floats(0.5, 8), st.tuples(coordinate, coordinate))
def test_the_view_maps_there_and_back(x, y, zoom, centre):
    view = fit_view((800, 600), (1024, 700), zoom, centre)
    back = view.image_from_display(view.display_from_image((x, y)))
    assert back == pytest.approx((x, y), abs=1e-6)


def test_the_fitted_picture_fills_the_widget_and_its_centre_is_the_middle():
    view = fit_view((800, 600), (1600, 1200))
    assert view.display_from_image((-0.5, -0.5)) == pytest.approx((0, 0))
    assert view.display_from_image((799.5, 599.5)) == pytest.approx((1600, 1200))
    assert view.display_from_image((399.5, 299.5)) == pytest.approx((800, 600))


@given(coordinate, coordinate, st.floats(1, 500), st.floats(1, 500))
def test_boxes_and_their_centres_agree_and_coco_maps_back(x, y, w, h):
    box = box_around_px((x, y), (w, h))
    assert box_centre_px(box) == pytest.approx((x, y), abs=1e-6)
    assert box_from_coco(coco_from_box(box)) == pytest.approx(box, abs=1e-6)


def test_the_tip_box_has_the_published_share_of_the_region():
    box = tip_box_px((300.0, 200.0), REGION.box)
    assert box == pytest.approx((300 - 17.6, 200 - 6, 35.2, 12.0))


def test_iou_of_known_boxes():
    assert box_iou((0, 0, 10, 10), (0, 0, 10, 10)) == 1.0
    assert box_iou((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 10, 10), (20, 20, 5, 5)) == 0.0


def test_millimetres_only_inside_a_calibrated_region():
    assert distance_mm((110, 60), (140, 80), REGION) == pytest.approx(math.hypot(3.0, 4.0))
    assert distance_mm((110, 60), (90, 60), REGION) is None
    assert distance_mm((110, 60), (140, 80), UltrasoundRegion(REGION.box, "dicom")) is None
    assert depth_mm((110, 50), REGION) == pytest.approx(0.1), "half a pixel below the region's top edge"
    assert depth_mm((110, 49), REGION) is None


def test_the_angle_respects_uneven_pixels():
    assert axis_angle_deg((0, 0), (10, 10), None) == pytest.approx(45)
    assert axis_angle_deg((0, 0), (20, 10), RULED) == pytest.approx(45)
    assert axis_angle_deg((10, 0), (0, 0), None) == pytest.approx(0)
    assert axis_angle_deg((5, 5), (5, 5), None) is None


@given(coordinate, coordinate, coordinate, coordinate)
def test_a_clipped_segment_lies_inside_and_on_the_line(ax, ay, bx, by):
    out = clip_segment((ax, ay), (bx, by), REGION.box)
    if out is None:
        return
    for x, y in out:
        assert 99.5 - 1e-6 <= x <= 499.5 + 1e-6 and 49.5 - 1e-6 <= y <= 349.5 + 1e-6
        cross = (x - ax) * (by - ay) - (y - ay) * (bx - ax)
        assert abs(cross) <= 1e-6 * max(1.0, math.hypot(bx - ax, by - ay)) * 4000


def test_a_segment_inside_stays_and_one_outside_goes():
    assert clip_segment((150, 100), (200, 120), REGION.box) == ((150, 100), (200, 120))
    assert clip_segment((0, 0), (50, 20), REGION.box) is None
    assert clip_segment((0, 200), (1000, 200), REGION.box) == ((99.5, 200), (499.5, 200))


def test_a_calibration_must_be_positive_and_finite():
    for bad in ((0.0, 0.1), (-0.1, 0.1), (math.nan, 0.1), (math.inf, 0.1)):
        with pytest.raises(ValueError, match="positive"):
            Calibration(bad, CalibrationOrigin.FILE)
