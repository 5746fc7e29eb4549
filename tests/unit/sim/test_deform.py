"""Displacement fields: what each part does, that the sum folds nothing, and look-ups in displaced tissue."""

from __future__ import annotations

import math

import numpy as np
import pytest

from puncta.sim.deform import Deformation
from puncta.sim.pose import Bolus, NeedlePose, ProbePose, SceneState
from puncta.sim.probing import fluid_at, kind_at, label_at, rest_of
from puncta.sim.subject import Lattice, Streaks, Subject, Target, Vessel
from puncta.sim.tissue_kinds import Tissue

VEIN = Vessel("vein", Tissue.VEIN, (4.0, 0.0, 15.0), (0.0, 1.0, 0.0), (3.0, 2.0), 0.0, 0.15)
ARTERY = Vessel("artery", Tissue.ARTERY, (-6.0, 0.0, 18.0), (0.0, 1.0, 0.0), (2.0, 2.0), 0.3, 0.0)
NEEDLE = NeedlePose((-20.0, 0.0, 0.0), math.radians(40), 0.0, 22.0)


def subject(*vessels: Vessel) -> Subject:
    lat = Lattice((-20.0, -3.0, 0.1), (0.2, 0.5, 0.2), (13, 150, 201))
    label = np.full(lat.shape, Tissue.FAT, np.uint8)
    label[:, lat.zs >= 10.0] = Tissue.MUSCLE
    level = np.full(lat.shape, -26.0, np.float32)
    return Subject("vessel", 1, "short-axis", lat, label, level, level, (), Streaks.none(), vessels,
                   Target("t", (4.0, 0.0, 15.0), 2.0), frozenset(), 1.5, 30.0)


def grid() -> tuple[np.ndarray, np.ndarray]:
    x, z = np.meshgrid(np.linspace(-18, 18, 145, dtype=np.float32), np.linspace(0.0, 28, 113, dtype=np.float32))
    return x, z


def test_at_rest_nothing_moves() -> None:
    x, z = grid()
    ux, uz = Deformation(subject(VEIN, ARTERY)).at(SceneState(), x, 0.0, z)
    assert ux.dtype == uz.dtype == np.float32 and ux.shape == x.shape
    assert not ux.any() and not uz.any()


def test_pressure_moves_the_skin_with_the_face_and_fades_with_depth() -> None:
    d = Deformation(subject())
    _, uz = d.at(SceneState(probe=ProbePose(press_mm=4.0)), 0.0, 0.0, np.array([0.0, 10.0, 20.0, 30.0]))
    assert uz[0] == pytest.approx(4.0, rel=1e-3)
    assert (np.diff(uz) < 0).all() and uz[-1] < 1.2
    _, lifted = d.at(SceneState(probe=ProbePose(press_mm=-2.0)), 0.0, 0.0, 5.0)
    assert lifted == 0.0


def test_a_vein_collapses_by_its_share_and_an_artery_does_not() -> None:
    d = Deformation(subject(VEIN, ARTERY))

    def height(vessel: Vessel, press: float) -> float:
        x, _, z = vessel.centre_mm
        walls = np.array([z - vessel.radius_mm[1], z + vessel.radius_mm[1]])
        _, uz = d.at(SceneState(probe=ProbePose(press_mm=press)), x, 0.0, walls)
        return float(np.diff(walls + uz)[0])

    # The tissue around is squeezed as well, by a tenth at most.
    assert height(VEIN, 3.0) / height(VEIN, 0.0) == pytest.approx(1 - 0.15 * 3.0, abs=0.1)
    assert height(ARTERY, 3.0) / height(ARTERY, 0.0) > 0.85
    assert 0 < height(VEIN, 10.0) < 0.25 * height(VEIN, 0.0)


def test_the_pulse_pushes_an_arterys_wall_outwards() -> None:
    d = Deformation(subject(ARTERY))
    ux, uz = d.at(SceneState(pulse=1.0), np.array([-4.0, -6.0, 20.0]), 0.0, np.array([18.0, 16.0, 18.0]))
    assert ux[0] == pytest.approx(0.3) and uz[1] == pytest.approx(-0.3)
    assert math.hypot(ux[2], uz[2]) < 0.06


def test_a_vessel_along_the_picture_moves_only_up_and_down() -> None:
    along = Vessel("artery", Tissue.ARTERY, (0.0, 0.0, 15.0), (1.0, 0.0, 0.0), (2.0, 2.0), 0.3, 0.0)
    ux, uz = Deformation(subject(along)).at(SceneState(pulse=1.0), np.array([-9.0, 9.0]), 0.0, np.array([13.0, 17.0]))
    assert ux == pytest.approx([0.0, 0.0]) and uz == pytest.approx([-0.3, 0.3], abs=1e-6)


def test_breath_is_felt_more_with_depth() -> None:
    _, uz = Deformation(subject()).at(SceneState(breath_mm=1.0), 0.0, 0.0, np.array([0.0, 15.0, 30.0]))
    assert uz == pytest.approx([0.3, 0.65, 1.0], abs=1e-5)


def test_drag_follows_the_axis_and_fades_beside_it_and_ahead_of_the_tip() -> None:
    d = Deformation(subject())
    state = SceneState(needle=NEEDLE, drag_mm=0.8)
    e = np.array([math.cos(math.radians(40)), math.sin(math.radians(40))])
    normal = np.array([-e[1], e[0]])

    def pull(way: float, beside: float) -> float:
        x, z = np.array([-20.0, 0.0]) + way * e + beside * normal
        ux, uz = d.at(state, x, 0.0, z)
        assert ux * normal[0] + uz * normal[1] == pytest.approx(0.0, abs=1e-6)
        return float(ux * e[0] + uz * e[1])

    assert pull(12.0, 0.0) == pytest.approx(0.8, rel=1e-2)
    assert pull(12.0, 2.5) == pytest.approx(0.8 / math.e, rel=1e-2)
    assert 0.3 < pull(22.5, 0.0) < 0.7 and pull(28.0, 0.0) < 0.02
    _, away = d.at(state, -20.0 + 12 * e[0], 5.0, 12 * e[1])
    assert away == pytest.approx(0.8 * math.exp(-2.0) * e[1], rel=2e-2)


def test_tenting_carries_the_layer_to_the_tip() -> None:
    state = SceneState(needle=NEEDLE, tent_mm=1.2)
    x, _, z = NEEDLE.points(22.0 - 1.2)
    ux, uz = Deformation(subject()).at(state, x, 0.0, z)
    assert (float(x + ux), float(z + uz)) == pytest.approx((NEEDLE.tip_mm[0], NEEDLE.tip_mm[2]), abs=1e-3)


def test_a_bolus_opens_the_plane_by_its_volume() -> None:
    bolus = Bolus((0.0, 0.0, 14.0), (8.0, 8.0, 3.0), 4 / 3 * math.pi * 8 * 8 * 3 / 1000)
    d, state = Deformation(subject()), SceneState(boluses=(bolus,))
    step = 0.2
    x, y = np.meshgrid(np.arange(-20, 20, step), np.arange(-20, 20, step))
    _, above = d.at(state, x, y, np.float32(14.0 - 1.6))
    _, below = d.at(state, x, y, np.float32(14.0 + 1.6))
    fade = math.exp(-1.6 / 14.0) * math.tanh(1.6 / (0.45 + 0.12))
    opened_ml = 2 * float(below.sum()) * step * step / 1000 / fade
    assert opened_ml == pytest.approx(bolus.volume_ml, rel=0.01)
    assert float(above.sum()) == pytest.approx(-float(below.sum()) * (1 - 1.6 / 14.0), rel=1e-3)
    _, skin = d.at(state, x, y, np.float32(0.0))
    assert not skin.any(), "the probe's face does not give way"
    assert label_at(subject(), 0.0, 0.0, 12.0, state) == Tissue.FLUID
    assert float(fluid_at(state, 0.0, 0.0, 14.0)) == 1.0
    assert float(fluid_at(state, 0.0, 0.0, 18.5)) == 0.0


@pytest.mark.parametrize("depth_mm", [9.0, 13.0, 20.0])
def test_all_together_fold_nothing(depth_mm: float) -> None:
    state = SceneState(
        probe=ProbePose(press_mm=6.0), needle=NEEDLE, drag_mm=1.0, tent_mm=1.5, breath_mm=0.8, pulse=1.0,
        boluses=(Bolus((6.0, 0.0, depth_mm), (9.0, 9.0, 3.5), 1.2),),
    )
    x, z = grid()
    ux, uz = Deformation(subject(VEIN, ARTERY)).at(state, x, 0.0, z)
    dx, dz = float(x[0, 1] - x[0, 0]), float(z[1, 0] - z[0, 0])
    det = (1 + np.gradient(ux, dx, axis=1)) * (1 + np.gradient(uz, dz, axis=0))
    det -= np.gradient(ux, dz, axis=0) * np.gradient(uz, dx, axis=1)
    assert np.isfinite(det).all() and det.min() > 0.02


def test_look_ups_at_rest_and_displaced() -> None:
    body = subject()
    assert label_at(body, [0.0, 0.0, 0.0, 90.0], 0.0, [-1.0, 5.0, 12.0, 90.0]).tolist() == [
        Tissue.OUTSIDE, Tissue.FAT, Tissue.MUSCLE, Tissue.MUSCLE]
    assert kind_at(body, (0.0, 0.0, 5.0)) is Tissue.FAT
    pressed = SceneState(probe=ProbePose(press_mm=4.0))
    assert kind_at(body, (0.0, 0.0, 11.0)) is Tissue.MUSCLE
    assert label_at(body, 0.0, 0.0, 11.0, pressed) == Tissue.FAT, "the border at 10 mm now lies deeper"


def test_rest_of_turns_the_field_round() -> None:
    d = Deformation(subject(VEIN))
    state = SceneState(probe=ProbePose(press_mm=2.0), needle=NEEDLE, drag_mm=0.6, breath_mm=0.5)
    x, z = np.array([-10.0, 0.0, 8.0]), np.array([6.0, 12.0, 22.0])
    ux, uz = d.at(state, x, 0.0, z)
    rx, _, rz = rest_of(d, state, x + ux, 0.0, z + uz)
    assert np.hypot(rx - x, rz - z).max() < 0.05
