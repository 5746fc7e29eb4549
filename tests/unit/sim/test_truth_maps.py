"""Label map, flow and masks of hand-made scenes: every figure follows from the scene by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from placed_needle import place_needle

from puncta.sim.deform import Deformation
from puncta.sim.frame_view import FrameView
from puncta.sim.machines import Machine, draw_machine
from puncta.sim.pose import Bolus, NeedlePose, ProbePose, SceneState
from puncta.sim.scan import Layout, Scan
from puncta.sim.subject import Lattice, Streaks, Subject, Target, Vessel
from puncta.sim.tissue_kinds import Tissue
from puncta.sim.truth_maps import TruthMaps
from puncta.sim.truth_scene import describe_scene, tissue_at

LESION_MM = (4.0, 0.0, 20.0)
LESION_RADIUS_MM = 5.0
NEEDLE = NeedlePose((-22.0, 0.0, 0.0), math.radians(35.0), 0.0, 30.0)


@pytest.fixture(scope="module")
def subject() -> Subject:
    """Fat, muscle from 30 mm on, a round cyst between and bone at one place; slices differ along y."""
    lattice = Lattice((-36.0, -6.0, 0.0), (0.25, 0.5, 0.25), (25, 240, 289))
    y, z, x = np.meshgrid(lattice.ys, lattice.zs, lattice.xs, indexing="ij")
    label = np.where(z > 30, Tissue.MUSCLE, Tissue.FAT).astype(np.uint8)
    label[np.hypot(np.hypot(x - LESION_MM[0], z - LESION_MM[2]), y) < LESION_RADIUS_MM] = Tissue.CYST
    vein = Vessel("vein", Tissue.VEIN, (-10.0, 0.0, 15.0), (0.0, 1.0, 0.0), (2.0, 2.0), 0.3, 0.2)
    label[np.hypot(x + 10, z - 15) < 2.0] = Tissue.VEIN
    return Subject(
        "vessel", 1, "short-axis", lattice, label, np.zeros(lattice.shape, np.float32),
        np.zeros(lattice.shape, np.float32), (), Streaks.none(), (vein,), Target("cyst", LESION_MM, 3.0),
        frozenset({Tissue.VEIN}), 1.5, 40.0,
    )


def linear(width: int = 400, height: int = 400, mm: float = 0.1) -> Scan:
    layout = Layout(width + 30, height + 20, (10, 12, width, height), mm)
    return Scan(False, width * mm, height * mm, 50.0, 0.5, layout, 400, 200)


def convex() -> Scan:
    half, radius, depth = math.radians(32.0), 50.0, 50.0
    span = 2 * (radius + depth) * math.sin(half)
    high = depth + radius * (1 - math.cos(half))
    mm = 0.2
    w, h = round(span / mm), round(high / mm)
    return Scan(True, 40.0, depth, radius, half, Layout(w + 8, h + 6, (4, 3, w, h), span / w), 400, 160)


@pytest.fixture(params=["linear", "convex"])
def scan(request: pytest.FixtureRequest) -> Scan:
    return linear() if request.param == "linear" else convex()


def machine() -> Machine:
    return draw_machine("A", np.random.default_rng(1))


class Slower:
    """Delay of a body in which everything sounds slower than the machine takes it, more so with depth."""

    def apparent(self, r: NDArray, c: NDArray) -> NDArray:
        return r * 1.02 + 0.0006 * r * r + 0.05 * np.sin(c * 0.1)


def kind_at_px(labels: NDArray, scan: Scan, x: float, z: float) -> int:
    px, py = scan.px_from_mm(x, z)
    return int(labels[round(float(py)), round(float(px))])


def test_label_map_shows_tissue_at_its_place(subject: Subject, scan: Scan) -> None:
    labels = TruthMaps(subject, scan).label_map(FrameView(SceneState()))
    assert labels.shape == (scan.layout.height_px, scan.layout.width_px) and labels.dtype == np.uint8
    x0, y0, w, h = scan.layout.region
    frame = labels.copy()
    frame[y0 : y0 + h, x0 : x0 + w] = 0
    assert not frame.any()
    rows, cols = np.nonzero(labels == Tissue.CYST)
    mm = scan.layout.mm_per_px
    middle_px = scan.px_from_mm(LESION_MM[0], LESION_MM[2])
    assert (cols.mean(), rows.mean()) == pytest.approx(middle_px, abs=0.13 / mm)
    assert len(rows) * mm * mm == pytest.approx(math.pi * LESION_RADIUS_MM**2, rel=0.04)
    assert kind_at_px(labels, scan, 0.0, 29.6) == Tissue.FAT
    assert kind_at_px(labels, scan, 0.0, 30.4) == Tissue.MUSCLE
    if scan.convex:
        assert labels[y0, x0] == Tissue.OUTSIDE  # beside the sector


@pytest.mark.parametrize("pose", [
    ProbePose(slide_mm=3.0), ProbePose(sweep_mm=2.5), ProbePose(rock_rad=0.1), ProbePose(tilt_rad=0.12),
    ProbePose(twist_rad=0.4, slide_mm=-2.0),
])
def test_label_map_follows_the_probe(subject: Subject, scan: Scan, pose: ProbePose) -> None:
    labels = TruthMaps(subject, scan).label_map(FrameView(SceneState(pose)))
    rows, cols = np.nonzero(labels == Tissue.CYST)
    # A plane cuts a ball in a circle about the foot of its middle.
    x, y, z = (float(v) for v in pose.probe_from_tissue(*(np.array(v) for v in LESION_MM)))
    mm = scan.layout.mm_per_px
    assert (cols.mean(), rows.mean()) == pytest.approx(scan.px_from_mm(x, z), abs=0.2 / mm)
    assert len(rows) * mm * mm == pytest.approx(math.pi * (LESION_RADIUS_MM**2 - y * y), rel=0.06)


def test_delay_moves_what_lies_deep(subject: Subject, scan: Scan) -> None:
    delay = Slower()
    labels = TruthMaps(subject, scan).label_map(FrameView(SceneState(), delay))
    r, c = scan.beam_from_mm(np.array(0.0), np.array(30.0))
    x, z = (float(v) for v in scan.mm_from_beam(delay.apparent(r, c), c))
    assert z > 30.5
    assert kind_at_px(labels, scan, x, z - 0.4) == Tissue.FAT
    assert kind_at_px(labels, scan, x, z + 0.4) == Tissue.MUSCLE


def test_gel_shows_where_the_probe_lifts_off(subject: Subject) -> None:
    labels = TruthMaps(subject, linear()).label_map(FrameView(SceneState(ProbePose(press_mm=-1.0))))
    column = labels[12:, 200]
    assert set(column[:9]) == {Tissue.GEL} and column[11] == Tissue.FAT


def test_injected_fluid_displaces_tissue(subject: Subject) -> None:
    scan = linear()
    bolus = Bolus((4.0, 0.0, 28.0), (6.0, 6.0, 1.5), 0.2)
    state = SceneState(boluses=(bolus,))
    maps = TruthMaps(subject, scan, Deformation(subject))
    labels = maps.label_map(FrameView(state))
    area = float((labels == Tissue.FLUID).sum()) * scan.layout.mm_per_px**2
    assert area == pytest.approx(math.pi * 6.0 * 1.5, rel=0.03)
    # The border to muscle at 30 mm is pushed down below the fluid.
    assert kind_at_px(labels, scan, 4.0, 30.6) == Tissue.FAT
    assert kind_at_px(labels, scan, 4.0, 31.8) == Tissue.MUSCLE
    assert kind_at_px(labels, scan, -15.0, 30.4) == Tissue.MUSCLE
    assert tissue_at(subject, maps.deformation, FrameView(state), (4.0, 0.0, 28.0)) == Tissue.FLUID


def test_half_size_labels_are_every_second_pixel(subject: Subject, scan: Scan) -> None:
    maps, view = TruthMaps(subject, scan), FrameView(SceneState(ProbePose(tilt_rad=0.1)))
    whole, half = maps.region_labels(view), maps.region_labels(view, 2)
    assert half.shape == tuple(-(-n // 2) for n in whole.shape)
    assert (whole[::2, ::2] == half).mean() > 0.98


def state_moved() -> SceneState:
    """Everything moves at once."""
    pose = ProbePose(slide_mm=0.4, rock_rad=0.01, tilt_rad=0.02, press_mm=0.8)
    needle = dataclasses.replace(NEEDLE, way_mm=31.0)
    return SceneState(pose, needle, 5.0, 0.4, 0.0, 0.5, 0.7)


@pytest.mark.parametrize("delay", [None, Slower()], ids=["even", "slower"])
def test_flow_leads_labels_from_frame_to_frame(subject: Subject, scan: Scan, delay: Slower | None) -> None:
    deformation = Deformation(subject)
    maps = TruthMaps(subject, scan, deformation)
    first, second = FrameView(SceneState(), delay), FrameView(state_moved(), delay)
    flow = maps.optical_flow(first, second)
    _, _, w, h = scan.layout.region
    assert flow.shape == (h, w, 2) and flow.dtype == np.float32
    # By hand at one tissue point: rest -> displaced -> probe -> apparent -> pixels, on both frames.
    for x, z in ((0.0, 12.0), (4.0, 25.0), (-8.0, 18.5), (9.0, 31.0)):
        places = []
        for view in (first, second):
            ux, uz = deformation.at(view.state, x, 0.0, z)
            px, _, pz = view.state.probe.probe_from_tissue(x + ux, 0.0, z + uz)
            r, c = scan.beam_from_mm(px, pz)
            ax, az = scan.mm_from_beam(delay.apparent(r, c) if delay else r, c)
            places.append(np.array(scan.px_from_mm(ax, az), float))
        col, row = np.rint(places[0] - scan.layout.region[:2]).astype(int)
        assert flow[row, col] == pytest.approx(places[1] - places[0], abs=0.12)


def test_flow_there_and_back_cancels(subject: Subject, scan: Scan) -> None:
    maps = TruthMaps(subject, scan, Deformation(subject))
    first, second = FrameView(SceneState()), FrameView(dataclasses.replace(state_moved(), needle=None, drag_mm=0.0))
    there, back = maps.optical_flow(first, second), maps.optical_flow(second, first)
    h, w, _ = there.shape
    rows, cols = np.mgrid[40 : h - 40 : 7, 60 : w - 60 : 7]
    keep = maps.region_labels(first)[rows, cols] > 0
    rows, cols = rows[keep], cols[keep]
    to_c, to_r = cols + there[rows, cols, 0], rows + there[rows, cols, 1]
    at = np.rint(to_r).astype(int), np.rint(to_c).astype(int)
    returned = back[at] + there[rows, cols]
    stays = maps.region_labels(second)[at] > 0  # beyond the sector's edge there is no flow
    assert stays.mean() > 0.95 and np.abs(returned[stays]).max() < 0.15


def test_needle_pixels_move_with_the_needle(subject: Subject) -> None:
    scan, gauge = linear(), 0.91
    maps = TruthMaps(subject, scan, gauge_mm=gauge)
    before = SceneState(needle=NEEDLE)
    after = SceneState(needle=dataclasses.replace(NEEDLE, way_mm=NEEDLE.way_mm + 2.0))
    first = FrameView(before, needle=place_needle(before, scan, machine()))
    flow = maps.optical_flow(first, FrameView(after, needle=place_needle(after, scan, machine())))
    x0, y0, w, h = scan.layout.region
    mask = maps.physical_mask(first)[y0 : y0 + h, x0 : x0 + w]
    want = 2.0 / scan.layout.mm_per_px * np.array([math.cos(NEEDLE.angle_rad), math.sin(NEEDLE.angle_rad)])
    assert mask.sum() > 500
    assert np.abs(flow[mask] - want).max() < 0.01
    assert np.abs(flow[~mask]).max() < 0.01


def test_masks_are_a_gauge_wide(subject: Subject, scan: Scan) -> None:
    maps = TruthMaps(subject, scan, gauge_mm=1.27)
    view = FrameView(SceneState(needle=NEEDLE), needle=place_needle(SceneState(needle=NEEDLE), scan, machine()))
    assert view.needle is not None
    physical, visible = maps.physical_mask(view), maps.visible_mask(view)
    assert physical.shape == (scan.layout.height_px, scan.layout.width_px)
    length = view.needle.inside.sum() * 0.1
    mm = scan.layout.mm_per_px
    assert physical.sum() * mm * mm == pytest.approx(length * 1.27, rel=0.05)
    assert (visible == physical).all()  # in plane and nothing in front


def test_only_the_part_in_the_beam_is_visible(subject: Subject, scan: Scan) -> None:
    import cv2

    maps = TruthMaps(subject, scan, gauge_mm=0.91)
    # Straight across the plane: enters at y = -20 mm under 40 degrees and goes 8 mm beyond the plane.
    pose = NeedlePose((2.0, -20.0, 0.0), math.radians(40.0), math.pi / 2, 20.0 / math.cos(math.radians(40.0)) + 8.0)
    state = SceneState(needle=pose)
    view = FrameView(state, needle=place_needle(state, scan, machine()))
    physical, visible = maps.physical_mask(view), maps.visible_mask(view)
    grown = cv2.dilate(physical.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert visible.any() and not (visible & ~grown).any()
    assert visible.sum() < 0.35 * physical.sum()
    truth = describe_scene(0, 0, scan, view, gauge_mm=0.91)
    rows, cols = np.nonzero(visible)
    assert truth.crossing_px is not None
    assert (cols.mean(), rows.mean()) == pytest.approx(truth.crossing_px, abs=1.0)
    assert truth.visibility == "out_of_plane"


def test_no_needle_no_mask(subject: Subject, scan: Scan) -> None:
    maps, view = TruthMaps(subject, scan), FrameView(SceneState())
    assert not maps.physical_mask(view).any() and not maps.visible_mask(view).any()
