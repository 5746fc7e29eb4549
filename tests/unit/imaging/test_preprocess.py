"""Coordinates survive the way to a model's input and back; pixels land where the mapping says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puncta.imaging.preprocess import RegionMapping, crop_region, resample_region, to_model_input

boxes = st.tuples(st.integers(0, 500), st.integers(0, 500), st.integers(1, 900), st.integers(1, 900))
sizes = st.tuples(st.integers(1, 700), st.integers(1, 700))
points = st.lists(st.tuples(st.floats(-2000, 2000), st.floats(-2000, 2000)), min_size=1, max_size=5)


@given(boxes, sizes, points)
def test_there_and_back(box, size, there):
    mapping = RegionMapping(box, size)
    back = mapping.image_from_model(mapping.model_from_image(np.array(there)))
    np.testing.assert_allclose(back, there, atol=1e-6)


@given(boxes, sizes)
def test_outer_corners_coincide(box, size):
    mapping = RegionMapping(box, size)
    x0, y0, w, h = box
    corners = np.array([[x0 - 0.5, y0 - 0.5], [x0 + w - 0.5, y0 + h - 0.5]])
    expected = [[-0.5, -0.5], [size[0] - 0.5, size[1] - 0.5]]
    np.testing.assert_allclose(mapping.model_from_image(corners), expected, atol=1e-6)


def test_no_change_of_size_is_a_mere_shift():
    mapping = RegionMapping((7, 11, 64, 48), (64, 48))
    np.testing.assert_array_equal(mapping.model_from_image(np.array([[7.0, 11.0], [10.25, 20.0]])), [[0, 0], [3.25, 9]])


@pytest.mark.parametrize("size", [(64, 64), (96, 48), (300, 300), (150, 333), (512, 400)])
def test_a_blob_is_found_where_the_mapping_puts_it(size: tuple[int, int]):
    """The test that a wrong half pixel fails: centroids before and after resampling, to a twentieth of a pixel."""
    y, x = np.mgrid[0:300, 0:400]
    centre = (213.3, 122.8)
    blob = 250 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * 9.0**2))
    pixels = blob.astype(np.uint8)
    resampled, mapping = resample_region(pixels, (100, 50, 250, 200), size)
    assert resampled.shape == size[::-1]
    weights = resampled.astype(np.float64)
    gy, gx = np.mgrid[0 : size[1], 0 : size[0]]
    found = np.array([(weights * gx).sum(), (weights * gy).sum()]) / weights.sum()
    back = mapping.image_from_model(found)
    crop = pixels[50:250, 100:350].astype(np.float64)
    cy, cx = np.mgrid[50:250, 100:350]
    true = np.array([(crop * cx).sum(), (crop * cy).sum()]) / crop.sum()
    np.testing.assert_allclose(back, true, atol=0.05)


def test_shrinking_averages_and_does_not_alias():
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 200
    resampled, _ = resample_region(stripes, (0, 0, 64, 64), (16, 16))
    assert set(np.unique(resampled)) == {100}


def test_colour_becomes_grey_and_a_crop_is_the_region():
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[5:15, 10:20] = (10, 200, 30)
    assert (crop_region(pixels, (10, 5, 10, 10)) == cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[5, 10]).all()


@pytest.mark.parametrize("box", [(-1, 0, 5, 5), (0, 0, 31, 5), (0, 0, 0, 5), (28, 0, 5, 5)])
def test_a_region_outside_is_our_fault(box: tuple[int, int, int, int]):
    with pytest.raises(ValueError, match="does not lie inside"):
        crop_region(np.zeros((20, 30), np.uint8), box)


def test_normalisation():
    values = to_model_input(np.array([[0, 255]], np.uint8), mean=0.5, std=0.25)
    assert values.shape == (1, 1, 1, 2) and values.dtype == np.float32
    np.testing.assert_allclose(values.ravel(), [-2, 2])
    with pytest.raises(ValueError, match="std"):
        to_model_input(np.zeros((2, 2), np.uint8), std=0)


def test_lengths_scale_without_shift():
    mapping = RegionMapping((0, 0, 200, 100), (100, 100))
    np.testing.assert_allclose(mapping.lengths_image_from_model(np.array([10, 10])), [20, 10])
