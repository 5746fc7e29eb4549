"""Class-activation maps read as places and as heat."""

from __future__ import annotations

import numpy as np
import pytest

from puncta.imaging.flag_maps import FlagMaps, find_evidence, heat_of
from puncta.imaging.heat_picture import draw_share, trace_share


def test_the_cells_of_a_frame_have_its_logit_as_their_mean() -> None:
    cam = np.random.default_rng(1).normal(3.0, 5.0, (3, 7, 9)).astype(np.float32)
    cells = FlagMaps(0.2).update(cam, np.array([1.0, -2.0, 4.0]), 0)
    assert cells.mean(axis=(1, 2)) == pytest.approx([1.0, -2.0, 4.0], abs=1e-4)


def test_maps_are_averaged_over_the_window_and_a_time_that_goes_back_begins_anew() -> None:
    maps, flat = FlagMaps(0.2), np.zeros((1, 2, 2), np.float32)
    for i in range(10):
        cells = maps.update(flat, np.array([float(i)]), i * 50_000_000)
    assert float(cells.mean()) == pytest.approx(np.mean([6, 7, 8, 9])), "the last 0.2 s"
    assert float(maps.update(flat, np.array([1.0]), 0).mean()) == 1.0


def test_evidence_is_found_where_it_lies_in_pixels_of_the_picture() -> None:
    cells = np.full((14, 14), -3.0, np.float32)
    cells[9:11, 3:7] = 20.0
    cells[0, 13] = 15.0  # strong too, but not connected
    place = find_evidence(cells, (40, 20, 280, 140))
    assert place is not None
    assert place.centre_px == pytest.approx((40 - 0.5 + 5 * 20, 20 - 0.5 + 10 * 10))
    assert place.spread_px[1] == pytest.approx(10 * np.sqrt(0.25 + 1 / 12))
    assert find_evidence(np.full((4, 4), -0.1, np.float32), (0, 0, 8, 8)) is None


def test_heat_is_neutral_at_no_evidence_and_only_what_speaks_for_it_is_tinted() -> None:
    heat = heat_of(np.array([[0.0, -500.0], [24.0, 500.0]], np.float32))
    assert heat.dtype == np.float32 and heat[0, 0] == 0.5 and heat.min() >= 0.0 and heat.max() <= 1.0
    share = draw_share(heat, (80, 60))
    assert share.shape == (60, 80) and share[5, 5] == 0.0 and share[-5, -5] > 0.9
    (outline,) = trace_share(share)
    assert outline[:, 0].min() > 20 and outline[:, 1].min() > 20
    assert trace_share(draw_share(np.full((3, 3), 0.5, np.float32), (30, 30))) == []
