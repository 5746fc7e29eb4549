"""Painters of tissue: shapes, noise of place, strands, and what takes the place of what."""

from __future__ import annotations

import numpy as np
import pytest

from puncta.sim.anatomy.canvas import Canvas
from puncta.sim.anatomy.marks import Marks, Strand
from puncta.sim.anatomy.noise import Noise, Surface
from puncta.sim.anatomy.shapes import Body
from puncta.sim.tissue_kinds import Tissue


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_an_ellipsoid_reaches_its_half_axes_and_no_further() -> None:
    body = Body.ellipsoid((1.0, 2.0, 10.0), (4.0, 3.0, 2.0))
    for axis, half in enumerate((4.0, 3.0, 2.0)):
        for way, inside in ((0.97, True), (1.03, False)):
            point = np.array([1.0, 2.0, 10.0])
            point[axis] += way * half
            assert (float(body.distance(*point)) < 1.0) == inside


def test_a_tube_has_no_end_along_its_way_and_its_radius_across() -> None:
    way = np.array([0.2, 1.0, -0.1]) / np.linalg.norm([0.2, 1.0, -0.1])
    body = Body.tube((0.0, 0.0, 12.0), tuple(way), (3.0, 2.0))
    for s in (-20.0, 0.0, 20.0):
        x, y, z = np.array([0.0, 0.0, 12.0]) + s * way
        assert float(body.distance(x, y, z)) < 1e-3
        assert float(body.distance(x, y, z + 1.9)) < 1.0 < float(body.distance(x, y, z + 2.1))
        assert float(body.distance(x + 2.8, y, z)) < 1.0 < float(body.distance(x + 3.2, y, z))


@pytest.mark.parametrize("lumpy", [False, True])
def test_the_border_is_where_the_distance_is_one(lumpy: bool) -> None:
    body = Body.ellipsoid((0.0, 0.0, 15.0), (6.0, 5.0, 4.0), 12.0)
    body = body.ragged(rng(), 0.12, 2, 5) if lumpy else body
    x, y = np.meshgrid(np.linspace(-3.5, 3.5, 15), np.linspace(-2, 2, 5))
    for sign in (-1, 1):
        z = body.border(x, y, sign)
        assert np.isfinite(z).all()
        assert np.abs(body.distance(x, y, z) - 1.0).max() < 0.03
        assert ((z - 15.0) * sign > 0).all()
    assert np.isnan(body.border(np.array([9.0]), np.array([0.0]), 1)).all()


def test_growing_adds_the_same_on_every_side() -> None:
    body = Body.ellipsoid((0.0, 0.0, 0.0), (6.0, 5.0, 2.0)).grown(0.5)
    assert float(body.distance(6.5, 0.0, 0.0)) == pytest.approx(1.0, abs=1e-4)
    assert float(body.distance(0.0, 0.0, 2.5)) == pytest.approx(1.0, abs=1e-4)


def test_noise_belongs_to_places_and_follows_its_grain() -> None:
    xs, zs = np.arange(-20, 20, 0.25, dtype=np.float32), np.arange(0, 30, 0.25, dtype=np.float32)
    a, b = (Noise(5, xs, zs, (6.0, 2.0, 1.0), 0.3) for _ in range(2))
    late = a.at(7.25)
    for y in (-8.0, -1.5, 7.25):
        assert b.at(y).shape == (len(zs), len(xs))
    assert np.array_equal(b.at(7.25), late)
    assert 0.7 < float(late.std()) < 1.3
    # Along the grain it changes less than across it: 1.2 mm along the slope, and the same across.
    dz, dx = round(1.2 * np.sin(0.3) / 0.25), round(1.2 * np.cos(0.3) / 0.25)

    def alike(rows: int, columns: int) -> float:
        first = late[8:-8, 8:-8]
        second = late[8 + rows : len(zs) - 8 + rows, 8 + columns : len(xs) - 8 + columns]
        return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])

    assert alike(dz, dx) > alike(dx, -dz) + 0.3
    assert np.corrcoef(a.at(0.0).ravel(), a.at(0.5).ravel())[0, 1] > 0.7
    assert abs(np.corrcoef(a.at(0.0).ravel(), a.at(8.0).ravel())[0, 1]) < 0.15


def test_a_layer_lies_between_its_surfaces() -> None:
    canvas = Canvas("test", 1, 1.0)
    top = canvas.waves(8.0, 0.8) + 10.0
    canvas.layer(Tissue.GLAND, top, top + 6.0, -14.0)
    upper = canvas.grid(top)[:, None, :]
    z = canvas.z
    inside = (z > upper + 0.3) & (z < upper + 5.7)
    outside = (z < upper - 0.3) | (z > upper + 6.3)
    assert (canvas.label[inside] == int(Tissue.GLAND)).all()
    assert np.allclose(canvas.level[inside], -14.0)
    assert not (canvas.label[outside] == int(Tissue.GLAND)).any()


def test_bone_lies_under_its_face_and_takes_the_beam() -> None:
    canvas = Canvas("test", 1, 0.5)
    canvas.bone(Surface.flat(20.0), -2.0, thick_mm=5.0)
    column = canvas.attenuation[0, :, 100]
    depth = canvas.zs
    assert (column[(depth > 20.2) & (depth < 24.8)] > 10).all()
    assert (column[depth < 19.8] < 1).all()
    assert len(canvas.sheets) >= 2 and np.nanmin(canvas.sheets[0].z_mm) > 19.5


def test_a_body_takes_the_place_of_strands_and_sheets() -> None:
    canvas = Canvas("test", 2, 1.0)
    canvas.sheet(Surface.flat(15.0), -10.0, patchy_db=0.0)
    canvas.strands(30.0, Surface.flat(10.0), Surface.flat(20.0), Strand(length_mm=(3.0, 6.0)))
    body = Body.ellipsoid((0.0, 0.0, 15.0), (5.0, 4.0, 3.0))
    canvas.hide(body, -60.0)
    left = canvas.marks.streaks()
    inside = body.distance(left.x_mm, left.y_mm, left.z_mm) < 0.9
    assert len(left.x_mm) > 500 and not inside.any()
    sheet = canvas.sheets[0]
    j, middle, far = sheet.z_mm.shape[0] // 2, sheet.z_mm.shape[1] // 2, 10
    assert sheet.level_db[j, middle] == pytest.approx(-70.0, abs=0.5)
    assert sheet.level_db[j, far] == pytest.approx(-10.0, abs=0.5)


def test_strands_stay_in_their_layer_and_follow_each_other_in_a_line() -> None:
    canvas = Canvas("test", 4, 2.0)
    top = canvas.waves(8.0, 0.8) + 12.0
    canvas.strands(20.0, top, top + 5.0, Strand(slope_deg=10.0, spread_deg=1.0))
    points = canvas.marks.streaks()
    out = np.maximum(top(points.x_mm, points.y_mm) - points.z_mm, points.z_mm - top(points.x_mm, points.y_mm) - 5.0)
    shown = points.level_db > -24
    assert shown.sum() > 200 and out[shown].max() < 0.4
    same = np.flatnonzero(np.diff(points.line) == 0)
    gap = np.hypot(np.diff(points.x_mm), np.diff(points.z_mm))[same]
    assert np.median(np.abs(gap - points.step_mm[same])) < 0.01
    assert np.degrees(np.median(points.slope_rad)) == pytest.approx(10.0, abs=4.0)


def test_a_line_beyond_the_block_is_left_out_but_draws_the_same() -> None:
    first, second = rng(), rng()
    near, far = Marks(2.0), Marks(2.0)
    s = np.linspace(-3, 3, 20)
    near.polyline(first, s, 10.0 + 0 * s, -10.0, y=0.0, reach_mm=1.0)
    far.polyline(second, s, 10.0 + 0 * s, -10.0, y=9.0, reach_mm=1.0)
    assert len(near.streaks().x_mm) > 20 and len(far.streaks().x_mm) == 0
    assert first.random() == second.random()
