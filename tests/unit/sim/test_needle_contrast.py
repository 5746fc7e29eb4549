"""Contrast of the needle in finished pictures: the law of the angle, the thickness of the image plane, the dot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from held_needle import held, in_plane

from puncta.sim.pose import NeedlePose
from puncta.sim.truth import FrameTruth

CHIBA_DEG = (30, 50, 60, 70, 80, 90)
CHIBA_SHAFT_CNR = (3.0, 4.1, 5.2, 10.7, 11.9, 9.3)
"""Medians measured in phantoms, of van de Berg 2019 (specification); angle from the beam's axis."""


def contrast(angle_deg: float, offset_mm: float = 0.0, **kind: Any) -> tuple[float, float, str]:
    """Shaft and tip contrast, median over a few speckles."""
    truths: list[FrameTruth] = [held(in_plane(angle_deg, offset_mm), seed=s, **kind).next_frame()[1] for s in range(5)]
    shaft = [t.shaft_cnr or 0.0 for t in truths]
    words = [t.visibility for t in truths]
    return float(np.median(shaft)), float(np.median([t.tip_cnr or 0.0 for t in truths])), max(words, key=words.count)


def _ranks(values: tuple[float, ...] | list[float]) -> np.ndarray:
    return np.argsort(np.argsort(values)).astype(float)


def test_contrast_of_the_shaft_ranks_as_measured_in_phantoms_and_the_tip_outlasts_it() -> None:
    # Our angle is from the horizontal, the table's from the beam.
    results = [contrast(90.0 - deg, floor=0.15) for deg in CHIBA_DEG]
    shafts = [shaft for shaft, _, _ in results]
    assert np.corrcoef(_ranks(shafts), _ranks(CHIBA_SHAFT_CNR))[0, 1] >= 0.9
    assert max(shafts) > 2.5
    smooth = contrast(40.0)
    assert smooth[0] < 1.3, "a smooth shaft is lost 40 degrees off the perpendicular"
    assert smooth[1] > smooth[0] + 1.0, "its tip is not"
    assert results[-1][2] == "clear"


def test_a_needle_beside_the_image_plane_is_out_of_plane() -> None:
    _, near, _ = contrast(8.0)
    _, far, word = contrast(8.0, offset_mm=3.0)
    assert word == "out_of_plane"
    assert far < near - 2.0


@pytest.mark.parametrize("machine", ["B", "E"])
def test_a_needle_across_the_plane_is_a_dot_where_it_crosses_not_at_its_tip(machine: str) -> None:
    angle = math.radians(50.0)
    way = 15.0 / math.sin(angle) + 7.0
    pose = NeedlePose((2.0, -15.0 / math.tan(angle), 0.0), angle, math.pi / 2, way)
    g = held(pose, machine=machine, noise=False, tissue_db=-70.0)
    pixels, truth = g.next_frame()
    mm = truth.mm_per_px[0]
    x0, y0, w, h = truth.region
    region = pixels[y0 : y0 + h, x0 : x0 + w]
    row, col = np.unravel_index(int(np.argmax(region)), region.shape)
    assert truth.crossing_px is not None and truth.tip_px is not None
    assert math.hypot(col + x0 - truth.crossing_px[0], row + y0 - truth.crossing_px[1]) * mm < 1.2
    assert math.hypot(truth.tip_px[0] - truth.crossing_px[0], truth.tip_px[1] - truth.crossing_px[1]) * mm > 3.0
    assert truth.visibility == "out_of_plane"


@pytest.mark.parametrize("angle_deg", [12.0, 35.0])
def test_truth_lies_on_the_drawn_shaft_within_half_a_pixel(angle_deg: float) -> None:
    g = held(in_plane(angle_deg), noise=False, tissue_db=-90.0, size=512, floor=1.0)
    g.echo.scatter[:] = 0.0
    pixels, truth = g.next_frame()
    (ex, ey), (tx, ty) = truth.entry_px, truth.tip_px
    length = math.hypot(tx - ex, ty - ey)
    ux, uy = (tx - ex) / length, (ty - ey) / length
    offs = []
    for share in np.linspace(0.3, 0.9, 25):
        across = np.arange(-8, 9)
        xs, ys = ex + share * length * ux - across * uy, ey + share * length * uy + across * ux
        values = pixels[np.rint(ys).astype(int), np.rint(xs).astype(int)].astype(float)
        rx, ry = np.rint(xs) - ex, np.rint(ys) - ey
        values = np.maximum(values - 0.5 * values.max(), 0)
        offs.append(float((values * (ry * ux - rx * uy)).sum() / values.sum()))
    assert abs(float(np.median(offs))) < 0.5
