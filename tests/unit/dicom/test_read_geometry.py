"""Regions and millimetres are used only where they hold up; times come from the header or say that they do not."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_maker import region_item
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from puncta.core.frame import CalibrationOrigin
from puncta.dicom.read_geometry import read_regions, read_spacing, read_times_ns


def header(*items: Dataset, **fields) -> Dataset:
    d = Dataset()
    if items:
        d.SequenceOfUltrasoundRegions = Sequence(items)
    for key, value in fields.items():
        setattr(d, key, value)
    return d


def test_a_region_gives_box_and_millimetres():
    stated = read_regions(header(region_item((10, 20, 109, 219), delta_cm=(0.02, 0.03))), 320, 240)
    (region,) = stated.regions
    assert region.box == (10, 20, 100, 200) and region.origin == "dicom"
    assert region.calibration.mm_per_px == pytest.approx((0.2, 0.3))
    assert region.calibration.origin is CalibrationOrigin.REGION
    assert stated.has_picture and stated.notes == ()


def test_an_end_that_is_one_too_far_is_trimmed():
    (region,) = read_regions(header(region_item((0, 0, 320, 240))), 320, 240).regions
    assert region.box == (0, 0, 320, 240) and region.calibration is not None


@pytest.mark.parametrize(
    "box", [(84, 31, 595, 414), (-3, 0, 100, 100), (0, 0, 322, 100), (50, 50, 50, 90), (90, 5, 10, 9)]
)
def test_a_region_outside_the_picture_counts_for_nothing_and_says_so(box: tuple[int, int, int, int]):
    item = region_item((0, 0, 1, 1))
    names = ("MinX0", "MinY0", "MaxX1", "MaxY1")
    for name, value in zip(names, box, strict=True):
        element = item[f"RegionLocation{name}"]
        element.VR = "SL"
        element.value = value
    stated = read_regions(header(item), 320, 240)
    assert stated.regions == () and not stated.has_picture
    assert "outside the 320 x 240 picture" in stated.notes[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"units": (4, 3)},
        {"units": (0, 0)},
        {"delta_cm": (0.0, 0.02)},
        {"delta_cm": (float("nan"), 0.02)},
        {"delta_cm": (float("inf"), 0.02)},
        {"delta_cm": (9.0, 0.02)},
        {"delta_cm": (1e-9, 1e-9)},
    ],
)
def test_wrong_units_or_sizes_give_no_millimetres(wrong: dict):
    stated = read_regions(header(region_item((0, 0, 99, 99), **wrong)), 320, 240)
    assert stated.regions[0].box == (0, 0, 100, 100) and stated.regions[0].calibration is None
    assert "no millimetres" in stated.notes[0]


def test_tissue_comes_first_and_the_largest_first():
    items = [
        region_item((0, 200, 319, 239), form=3, data=3),
        region_item((0, 0, 49, 49)),
        region_item((100, 0, 299, 199)),
        region_item((0, 60, 319, 199), data=2),
        region_item((0, 60, 20, 70), form=0, data=13),
        region_item((0, 60, 20, 70), form=5),
    ]
    boxes = [r.box for r in read_regions(header(*items), 320, 240).regions]
    assert boxes == [(100, 0, 200, 200), (0, 0, 50, 50), (0, 60, 320, 140), (0, 200, 320, 40)]


def test_motion_strips_alone_are_no_picture():
    stated = read_regions(header(region_item((0, 0, 99, 99), form=2)), 320, 240)
    assert not stated.has_picture and stated.regions[0].calibration is None


@given(st.lists(st.integers(-5000, 5000), min_size=4, max_size=4), st.floats(width=64))
def test_any_region_lies_inside_the_picture(corners: list[int], delta: float):
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType = 1, 1
    for name, value in zip(("MinX0", "MinY0", "MaxX1", "MaxY1"), corners, strict=True):
        item.add_new(f"RegionLocation{name}", "SL", value)
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX = item.PhysicalDeltaY = delta
    for region in read_regions(header(item), 64, 48).regions:
        x, y, w, h = region.box
        assert x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= 64 and y + h <= 48


def test_spacing_is_row_then_column():
    calibration = read_spacing(header(PixelSpacing=["0.2", "0.1"]))
    assert calibration.mm_per_px == (0.1, 0.2) and calibration.origin is CalibrationOrigin.FILE


@pytest.mark.parametrize("fields", [{}, {"PixelSpacing": ["33.3", "33.3"]}, {"PixelSpacing": ["0", "0.1"]}])
def test_insane_spacing_is_left_out(fields: dict):
    assert read_spacing(header(**fields)) is None


def test_spacing_never_stands_in_for_a_refused_region():
    assert read_spacing(header(region_item((0, 0, 999, 999)), PixelSpacing=["0.2", "0.2"])) is None


def test_the_frame_time_vector_wins_and_starts_at_zero():
    times, note = read_times_ns(header(FrameTimeVector=["0", "33.333", "50", "0.5"], FrameTime="40"), 4, 4)
    assert times.tolist() == [0, 33_333_000, 83_333_000, 83_833_000] and note == "frame time vector"


def test_a_first_entry_is_the_time_before_the_first_frame():
    times, _ = read_times_ns(header(FrameTimeVector=["33", "33", "33"]), 3, 3)
    assert times.tolist() == [0, 33_000_000, 66_000_000]


@pytest.mark.parametrize(
    ("fields", "step_ns", "note"),
    [
        ({"FrameTime": "33.333"}, 33_333_000, "frame time"),
        ({"FrameTimeVector": ["0", "1"], "FrameTime": "20"}, 20_000_000, "frame time"),
        ({"FrameTime": "0", "RecommendedDisplayFrameRate": "50"}, 20_000_000, "display rate"),
        ({"CineRate": "10"}, 100_000_000, "cine rate"),
        ({"FrameTime": "-4"}, 40_000_000, "rate not stated"),
        ({}, 40_000_000, "rate not stated"),
    ],
)
def test_other_times(fields: dict, step_ns: int, note: str):
    times, told = read_times_ns(header(**fields), 5, 5)
    assert np.diff(times).tolist() == [step_ns] * 4 and told.startswith(note)
