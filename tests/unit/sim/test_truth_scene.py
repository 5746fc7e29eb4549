"""The needle's truth in hand-made scenes: both truths of an out-of-plane needle, target, structures, tip box."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from placed_needle import place_needle

from puncta.sim.difficulty import describe_difficulty
from puncta.sim.frame_view import FrameView, true_depth
from puncta.sim.machines import Machine, draw_machine
from puncta.sim.pose import NeedlePose, ProbePose, SceneState
from puncta.sim.scan import Layout, Scan
from puncta.sim.subject import Lattice, Streaks, Subject, Target
from puncta.sim.tissue_kinds import Tissue
from puncta.sim.truth import FrameTruth
from puncta.sim.truth_scene import describe_scene

SCAN = Scan(False, 40.0, 40.0, 50.0, 0.5, Layout(430, 420, (10, 12, 400, 400), 0.1), 400, 200)
IN_PLANE = NeedlePose((-21.0, 0.0, 0.0), math.radians(30.0), 0.0, 28.0)


def machine() -> Machine:
    return draw_machine("A", np.random.default_rng(1))


def subject() -> Subject:
    lattice = Lattice((-30.0, -5.0, 0.0), (0.5, 1.0, 0.5), (11, 90, 121))
    label = np.full(lattice.shape, Tissue.FAT, np.uint8)
    label[:, 40:60] = Tissue.MUSCLE
    label[:, 60:] = Tissue.BONE
    blank = np.zeros(lattice.shape, np.float32)
    return Subject("nerve", 1, "short-axis", lattice, label, blank, blank, (), Streaks.none(), (),
                   Target("beside the nerve", (3.0, 1.0, 18.0), 2.0), frozenset({Tissue.MUSCLE}), 1.5, 40.0)


def truth_of(state: SceneState, **more: object) -> FrameTruth:
    view = FrameView(state, needle=place_needle(state, SCAN, machine()))
    return describe_scene(7, 280_000_000, SCAN, view, gauge_mm=0.91, **more)  # type: ignore[arg-type]


def test_tip_is_where_the_pose_says() -> None:
    truth = truth_of(SceneState(needle=IN_PLANE, speed_mm_s=3.0))
    x, y, z = IN_PLANE.tip_mm
    assert truth.tip_mm == pytest.approx((x, z)) and truth.in_plane_offset_mm == pytest.approx(y)
    assert truth.tip_px == pytest.approx(SCAN.px_from_mm(x, z))
    assert (truth.angle_deg, truth.side) == (pytest.approx(30.0), "left")
    assert truth.depth_mm == pytest.approx(z) and truth.speed_mm_s == 3.0
    assert truth.entry_px is not None and truth.entry_px[0] == pytest.approx(SCAN.layout.region[0] - 0.5, abs=1.0)
    assert truth.crossing_px is None and truth.plane_angle_deg == pytest.approx(0.0, abs=1e-6)
    # Without renders nobody can say how well it shows.
    assert (truth.visibility, truth.tip_cnr, truth.shaft_cnr) == ("uncertain", None, None)


def test_tip_box_is_the_share_of_the_region() -> None:
    truth = truth_of(SceneState(needle=IN_PLANE))
    assert truth.tip_px is not None and truth.tip_box is not None
    x0, y0, w, h = truth.tip_box
    assert (w, h) == pytest.approx((0.088 * 400, 0.04 * 400))
    assert (x0 + w / 2, y0 + h / 2) == pytest.approx(truth.tip_px)


def test_a_needle_from_the_right_says_so() -> None:
    pose = dataclasses.replace(IN_PLANE, entry_mm=(21.0, 0.0, 0.0), azimuth_rad=math.pi)
    truth = truth_of(SceneState(needle=pose))
    assert truth.side == "right" and truth.angle_deg == pytest.approx(30.0)


def test_bend_turns_the_axis_at_the_tip() -> None:
    pose = dataclasses.replace(IN_PLANE, bend_mm=2.0, bend_at_mm=28.0)
    truth = truth_of(SceneState(needle=pose))
    slope = 30.0 + math.degrees(math.atan(2 * 2.0 / 28.0))
    assert truth.angle_deg == pytest.approx(slope, abs=0.3)


def test_probe_moves_the_picture_not_the_needle() -> None:
    still, slid = truth_of(SceneState(needle=IN_PLANE)), truth_of(SceneState(ProbePose(slide_mm=2.0), IN_PLANE))
    assert still.tip_px is not None and slid.tip_px is not None
    assert slid.tip_px[0] == pytest.approx(still.tip_px[0] - 20.0) and slid.tip_px[1] == pytest.approx(still.tip_px[1])
    swept = truth_of(SceneState(ProbePose(sweep_mm=1.5), IN_PLANE))
    assert swept.in_plane_offset_mm == pytest.approx(-1.5)


@pytest.mark.parametrize("angle_deg", [30.0, 45.0, 70.0])
def test_out_of_plane_needle_has_tip_and_crossing(angle_deg: float) -> None:
    angle = math.radians(angle_deg)
    to_plane = 8.0 / math.cos(angle)
    pose = NeedlePose((2.0, -8.0, 0.0), angle, math.pi / 2, to_plane + 5.0)
    truth = truth_of(SceneState(needle=pose))
    z = to_plane * math.sin(angle)
    assert truth.crossing_px == pytest.approx(SCAN.px_from_mm(2.0, z), abs=1e-6)
    assert truth.tip_px == pytest.approx(SCAN.px_from_mm(2.0, z + 5.0 * math.sin(angle)))
    assert truth.in_plane_offset_mm == pytest.approx(5.0 * math.cos(angle))
    assert truth.visible_end_px is not None and truth.visible_end_px[1] < truth.tip_px[1] - 5
    assert truth.plane_angle_deg == pytest.approx(90.0 - angle_deg)
    short = truth_of(SceneState(needle=dataclasses.replace(pose, way_mm=to_plane - 4.0)))
    assert short.crossing_px is None and short.visibility == "out_of_plane" and short.needle_box is None


def test_target_and_structures() -> None:
    body = subject()
    target = body.target.centre_mm
    truth = truth_of(SceneState(ProbePose(sweep_mm=0.4), IN_PLANE), subject=body)
    assert truth.target_px == pytest.approx(SCAN.px_from_mm(target[0], target[2]))
    assert truth.target_offset_mm == pytest.approx(target[1] - 0.4)
    assert truth.distance_to_target_mm == pytest.approx(math.dist(IN_PLANE.tip_mm, target))
    assert (truth.tip_tissue, truth.hits) == ("fat", ())
    deep = dataclasses.replace(IN_PLANE, angle_rad=math.radians(50.0), way_mm=29.0)
    assert truth_of(SceneState(needle=deep), subject=body).hits == ("muscle",)
    none = truth_of(SceneState(), subject=body)
    assert none.distance_to_target_mm is None and none.tip_tissue is None and none.target_px is not None


def test_needle_outside_the_field_has_no_tip_but_may_show() -> None:
    gone = dataclasses.replace(IN_PLANE, angle_rad=math.radians(10.0), way_mm=60.0)
    truth = truth_of(SceneState(needle=gone))
    assert (truth.visibility, truth.tip_px, truth.tip_box) == ("absent", None, None)
    known = truth_of(SceneState(needle=gone), subject=subject())
    assert (known.visibility, known.tip_tissue) == ("absent", None) and known.distance_to_target_mm is not None
    assert truth.needle_box is not None and truth.gauge_mm == 0.91
    outside = truth_of(SceneState(needle=dataclasses.replace(IN_PLANE, way_mm=-1.0)))
    assert outside.needle_box is None and outside.gauge_mm is None


def test_contrast_comes_from_the_twin() -> None:
    rng = np.random.default_rng(5)
    twin = rng.normal(0.4, 0.1, (SCAN.rows, SCAN.cols)).astype(np.float32)
    state = SceneState(needle=IN_PLANE)
    at = place_needle(state, SCAN, machine())
    assert at is not None
    level = twin.copy()
    rows, cols = SCAN.grid_from_beam(*SCAN.beam_from_mm(at.x, at.z))
    for dr in range(-3, 4):
        keep = at.inside
        level[np.clip(np.rint(rows[keep]).astype(int) + dr, 0, 399), np.rint(cols[keep]).astype(int).clip(0, 199)] = 0.9
    roi = (0, SCAN.rows, 0, SCAN.cols)
    shown = truth_of(state, level=level, twin=twin, roi=roi)
    assert shown.visibility == "clear"
    assert shown.shaft_cnr == pytest.approx(5.0, rel=0.2) and shown.tip_cnr == pytest.approx(5.0, rel=0.3)
    hidden = truth_of(state, level=twin, twin=twin, roi=roi)
    assert hidden.visibility == "uncertain" and abs(hidden.shaft_cnr or 9.0) < 0.5


def test_a_delay_bends_the_needle_and_is_undone() -> None:
    class Kink:
        """Fat above 10 mm sounds 5 % slower."""

        def apparent(self, r: NDArray, c: NDArray) -> NDArray:
            return r + 0.05 * np.minimum(r, 10.0)

    state = SceneState(needle=IN_PLANE)
    view = FrameView(state, Kink(), place_needle(state, SCAN, machine(), Kink()))
    truth = describe_scene(0, 0, SCAN, view, gauge_mm=0.91)
    x, _, z = IN_PLANE.tip_mm
    assert truth.tip_mm == pytest.approx((x, z + 0.5)) and truth.depth_shift_mm == pytest.approx(0.5)
    r = np.linspace(0.5, 40.0, 50)
    assert true_depth(Kink(), Kink().apparent(r, r), r) == pytest.approx(r, abs=1e-3)


def test_difficulty_tells_the_approach() -> None:
    body = dataclasses.replace(subject(), facts={"condition": "haematoma", "weight_kg": 3.0})
    flat = describe_difficulty(truth_of(SceneState(needle=IN_PLANE)), machine(), SCAN, body)
    assert flat is not None
    assert (flat["approach"], flat["condition"], flat["depth_shift_mm"]) == ("in-plane", "haematoma", 0.0)
    assert flat["incidence_deg"] == pytest.approx(30.0, abs=0.01) and "weight_kg" not in flat
    across = NeedlePose((2.0, -8.0, 0.0), math.radians(30.0), math.pi / 2, 8.0 / math.cos(math.radians(30.0)))
    steep = describe_difficulty(truth_of(SceneState(needle=across)), machine(), SCAN)
    assert steep is not None and steep["approach"] == "out-of-plane"
    assert steep["incidence_deg"] == pytest.approx(30.0, abs=0.01)
    upright = truth_of(SceneState(needle=dataclasses.replace(across, angle_rad=math.radians(75.0), way_mm=20.0)))
    assert upright.plane_angle_deg == pytest.approx(15.0)
    assert (describe_difficulty(upright, machine(), SCAN) or {})["approach"] == "out-of-plane"
