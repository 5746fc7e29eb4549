"""Outlines to masks and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puncta.annotation.labels import MaskLabel, PolygonLabel, mask_label, mask_of, mask_of_stroke
from puncta.annotation.outlines import mask_of_rings, rings_of_mask, signed_area

MASKS = st.lists(st.booleans(), min_size=30, max_size=30).map(lambda v: np.reshape(v, (5, 6)))


@given(mask=MASKS)
def test_the_outlines_of_a_mask_give_the_very_mask(mask: np.ndarray) -> None:
    rings = rings_of_mask(mask)
    filled = np.zeros(mask.shape, bool)
    for ring in rings:
        filled ^= mask_of_rings([ring], (5, 6))
    assert np.array_equal(filled, mask)
    assert sum(signed_area(ring) for ring in rings) == mask.sum()


@given(mask=MASKS)
def test_a_mask_label_holds_the_mask(mask: np.ndarray) -> None:
    label = mask_label(mask)
    assert np.array_equal(mask_of(label), mask) and label.area_px == mask.sum()


def test_a_pixel_belongs_to_an_outline_by_its_centre() -> None:
    square = ((1.0, 1.0), (4.0, 1.0), (4.0, 3.0), (1.0, 3.0))
    mask = mask_of(PolygonLabel((6, 6), (square,)))
    assert sorted(zip(*np.nonzero(mask))) == [(y, x) for y in (1, 2) for x in (1, 2, 3)]
    outside = mask_of_rings([((-5.0, -5.0), (20.0, -5.0), (20.0, 20.0), (-5.0, 20.0))], (6, 6))
    assert outside.all()


def test_a_stroke_has_its_width() -> None:
    mask = mask_of_stroke([(2.0, 5.0), (12.0, 5.0)], 3.0, (12, 16))
    assert mask[:, 7].sum() == 3 and mask[4:7, 7].all() and not mask[5, 14]
    dot = mask_of_stroke([(5.0, 5.0)], 1.0, (12, 16))
    assert sorted(zip(*np.nonzero(dot))) == [(5, 5)]
    assert not mask_of_stroke([(50.0, 50.0), (60.0, 50.0)], 3.0, (12, 16)).any()


def test_what_makes_no_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="three points"):
        PolygonLabel((4, 4), (((0.0, 0.0), (1.0, 1.0)),))
    with pytest.raises(ValueError, match="add up"):
        MaskLabel((4, 4), (3, 4))
