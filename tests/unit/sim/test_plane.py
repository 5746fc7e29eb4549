"""Slicing a subject on the probe's plane: look-ups in the block, delay by the speed of sound, points that follow."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from plain_subject import even_subject, layered_subject

from puncta.sim.deform import Deformation
from puncta.sim.machines import draw_machine
from puncta.sim.plane import Block, Conform, Plane
from puncta.sim.pose import ProbePose, SceneState
from puncta.sim.scan import Scan, plan_scan
from puncta.sim.scatterers import Track
from puncta.sim.scene import Scene
from puncta.sim.subject import Lattice, Sheet, Subject
from puncta.sim.tissue_kinds import FACTS, Tissue


def _scan(name: str = "B", depth_mm: float = 32.0, **given: object) -> tuple[Scan, object]:
    machine = replace(draw_machine(name, np.random.default_rng(1), depth_mm), **given)
    return plan_scan(machine, np.random.default_rng(2), (192, 192), furniture=False), machine


def _plane(subject: Subject, pose: ProbePose, name: str = "B") -> Plane:
    scan, machine = _scan(name)
    return Plane(Block(subject), scan, machine, Conform(scan), pose)


def _ramp_subject() -> Subject:
    """Level = x + 10 y + 100 z, so that a look-up tells where it was."""
    base = even_subject()
    lattice = Lattice((-20.0, -3.0, -2.0), (0.5, 0.5, 0.5), (13, 90, 81))
    level = lattice.xs[None, None, :] + 10 * lattice.ys[:, None, None] + 100 * lattice.zs[None, :, None]
    level = level.astype(np.float32)
    return replace(base, lattice=lattice, level_db=level, label=np.zeros(level.shape, np.uint8),
                   attenuation=np.zeros_like(level))


@pytest.mark.parametrize("pose", [
    ProbePose(), ProbePose(slide_mm=3.0, sweep_mm=0.7), ProbePose(tilt_rad=0.08, sweep_mm=-0.5),
    ProbePose(twist_rad=0.15), ProbePose(rock_rad=0.1, press_mm=1.0),
])
def test_a_look_up_on_a_pose_is_trilinear_at_the_place_the_pose_says(pose: ProbePose) -> None:
    plane = _plane(_ramp_subject(), pose)
    r, c = np.array([3.0, 9.3, 20.1, 27.7], np.float32), np.array([-9.0, -1.3, 4.2, 10.0], np.float32)
    x, y, z = pose.tissue_from_probe(c, 0.0, r)
    assert plane.level_at(r, c) == pytest.approx(x + 10 * y + 100 * z, abs=0.9)


def test_beside_the_block_tissue_goes_on_as_in_a_mirror() -> None:
    # Look-ups are good to 1/32 of a cell, here .8.
    block = Block(_ramp_subject())
    near = block.trilinear(block.level, np.array([19.0, 21.0, -21.0]), 0.0, np.full(3, 5.0))
    assert near - 500.0 == pytest.approx([19.0, 19.0, -19.0], abs=0.8)


def test_delay_is_the_integral_of_the_speed_of_sound() -> None:
    plane = _plane(layered_subject(), ProbePose())
    c = np.full(3, -10.0, np.float32)
    depth = np.array([1.5, 8.0, 20.0], np.float32)
    rates = [1540 / FACTS[k].sound_speed_m_s - 1 for k in (Tissue.SKIN, Tissue.FAT, Tissue.MUSCLE)]
    wanted = np.cumsum([1.5 * rates[0], 6.5 * rates[1], 12.0 * rates[2]])
    assert plane.delay.shift(depth, c) == pytest.approx(wanted, abs=0.02)
    assert plane.delay.real(plane.delay.apparent(depth, c), c) == pytest.approx(depth, abs=0.005)


def test_tissue_and_sheets_show_where_the_delay_puts_them() -> None:
    scan, machine = _scan()
    subject = layered_subject()
    subject = replace(subject, level_db=np.full_like(subject.level_db, -90.0),
                      sheets=(Sheet(np.full((11, 289), 7.5, np.float32), np.zeros((11, 289), np.float32), 9.0),))
    scene = Scene(subject, scan, machine, Deformation(subject), np.random.default_rng(3))
    state = SceneState()
    scene.move(state)
    power = np.abs(scene.splat(state)) ** 2
    # Beside the vein, where all columns have the same layers above.
    row = np.average(np.arange(scan.rows) + 0.5, weights=power[:, : scan.cols // 4].sum(axis=1)) * scan.dr_mm
    wanted = 7.5 + float(plane_shift(scene, 7.5))
    assert row == pytest.approx(wanted, abs=0.06)
    assert wanted > 7.75


def plane_shift(scene: Scene, r: float) -> float:
    """Delay at a depth on the picture's left [mm]."""
    return float(scene.delay.shift(np.array([r], np.float32), np.array([-0.7 * scene.scan.half_c], np.float32))[0])


def test_the_delay_goes_with_the_tissue_while_the_probe_slides() -> None:
    scan, machine = _scan()
    subject = layered_subject()
    label = np.where(subject.label == Tissue.VEIN, np.uint8(Tissue.FAT), subject.label)
    subject = replace(subject, label=label)
    scene = Scene(subject, scan, machine, Deformation(subject), np.random.default_rng(3))
    r = np.full(40, 25.0, np.float32)
    at = np.linspace(-6.0, 6.0, 40).astype(np.float32)
    before = None
    steps = []
    for k in range(40):
        scene.move(SceneState(probe=ProbePose(slide_mm=0.1 * k)))
        shift = scene.delay.shift(r, at + 4.0 - 0.1 * k)
        if before is not None:
            steps.append(float(np.abs(shift - before).max()))
        before = shift
    assert np.ptp(before) > 0.1, "fat in the muscle holds sound up"
    assert max(steps) < 0.06


def test_a_track_turns_with_the_probe_and_comes_back() -> None:
    there = Track().to(ProbePose(slide_mm=3.0)).to(ProbePose(slide_mm=3.0, twist_rad=math.pi / 2))
    there = there.to(ProbePose(slide_mm=3.0, sweep_mm=2.0, twist_rad=math.pi / 2))
    assert (there.u_mm, there.v_mm) == pytest.approx((5.0, 0.0), abs=1e-9)
    for pose in (ProbePose(rock_rad=0.2, press_mm=1.3, tilt_rad=0.1), ProbePose(slide_mm=4.0)):
        track = Track().to(pose)
        x, z = np.array([-7.0, 0.0, 12.0]), np.array([0.0, 9.0, 30.0])
        back = track.probe_from_plane(*track.plane_from_probe(x, z))
        assert np.allclose(back, (x, z), atol=1e-5)


@pytest.mark.parametrize("radius", [40.0, 60.0])
def test_a_convex_face_lies_on_the_skin_and_deep_tissue_stays(radius: float) -> None:
    scan, _ = _scan("E", 45.0, radius_mm=radius, geometry="convex")
    conform = Conform(scan)
    c = np.linspace(-1, 1, 21) * scan.half_angle
    x, z = scan.mm_from_beam(conform.tissue_r(np.zeros(21), c), c)
    assert np.abs(z).max() < 1e-6, "the face meets the skin on every beam"
    r = np.linspace(0.0, 60.0, 61)
    gr, gc = np.meshgrid(r, c, indexing="ij")
    rest = conform.tissue_r(gr, gc)
    assert np.all(np.diff(rest, axis=0) > 0), "nothing folds"
    assert np.abs(conform.picture_r(rest, gc) - gr).max() < 0.02
    assert np.abs(rest - gr)[45:].max() < 1.0
