"""Ways that needles are drawn, and the kinds of needles."""

from __future__ import annotations

import math

import numpy as np
import pytest

from puncta.sim.machines import draw_machine
from puncta.sim.needle import (
    GAUGE_MM,
    PROCEDURE_GAUGES,
    FieldOfView,
    NeedlePlan,
    draw_approach,
    draw_needle_kind,
    draw_plan,
)
from puncta.sim.scan import plan_scan
from puncta.sim.steered import start_plan
from puncta.sim.subject import PROCEDURES, Lattice, Streaks, Subject, Target
from puncta.sim.tissue_kinds import Tissue

FIELD = FieldOfView((-19.0, 0.0, 19.0, 40.0), 19.0, lambda x, z: (np.abs(x) <= 19) & (z >= 0) & (z <= 40))
TARGET = (2.0, 0.0, 18.0)
SIGMA_MM = 0.5


def subject(procedure: str = "nerve", view: str = "short-axis", bone_mm: float | None = None) -> Subject:
    lat = Lattice((-36.0, -2.5, 0.1), (0.6, 0.5, 0.2), (11, 200, 121))
    label = np.full(lat.shape, Tissue.MUSCLE, np.uint8)
    if bone_mm is not None:
        label[:, lat.zs >= bone_mm] = Tissue.BONE
    blank = np.zeros(lat.shape, np.float32)
    return Subject(procedure, 1, view, lat, label, blank, blank, (), Streaks.none(), (),
                   Target("made", TARGET, 2.0), frozenset(), 1.5, 40.0)


def plans(approach: str, count: int = 200, **what: object) -> list[NeedlePlan]:
    return [
        draw_plan(np.random.default_rng(seed), subject(**what), FIELD, approach,  # type: ignore[arg-type]
                  elevation_sigma_mm=SIGMA_MM)
        for seed in range(count)
    ]


def test_in_plane_ways_come_from_both_sides_beside_the_face_and_stay_near_the_plane() -> None:
    drawn = plans("in-plane")
    offsets = []
    for plan in drawn:
        x, y, z = plan.pose(plan.goal_mm).tip_mm
        offsets.append(y)
        side = 1 if math.cos(plan.azimuth_rad) > 0 else -1
        assert side * plan.entry_mm[0] <= -FIELD.face_half_mm + 1e-6
        assert plan.entry_mm[2] <= 1e-6
        assert 10.0 <= math.degrees(plan.angle_rad) <= 66.0
        assert 0.0 <= plan.enter_mm < plan.goal_mm
    assert 0.35 < np.mean([math.cos(p.azimuth_rad) > 0 for p in drawn]) < 0.65
    # One in five strays: the middle half lies within the beam, the tails beyond it.
    assert np.percentile(np.abs(offsets), 50) < SIGMA_MM < np.percentile(np.abs(offsets), 99)
    near = [math.dist(p.pose(p.goal_mm).tip_mm, TARGET) < 6.0 for p in drawn]
    assert 0.5 < np.mean(near) < 0.95


def test_the_same_stream_draws_the_same_way() -> None:
    assert plans("in-plane", 3) == plans("in-plane", 3)
    assert len(set(plans("in-plane", 5))) == 5


def test_out_of_plane_ways_cross_the_plane_where_they_are_aimed() -> None:
    at_target = 0
    for plan in plans("out-of-plane"):
        assert abs(abs(math.degrees(plan.azimuth_rad)) - 90.0) < 12.0
        straight = NeedlePlan(plan.entry_mm, plan.angle_rad, plan.azimuth_rad, 0.0, 0.0)
        crossing = -plan.entry_mm[1] / (math.cos(plan.angle_rad) * math.sin(plan.azimuth_rad))
        x, y, z = straight.pose(crossing).tip_mm
        assert y == pytest.approx(0.0, abs=1e-9)
        assert bool(FIELD.inside(np.array(x), np.array(z)))
        assert abs(plan.entry_mm[1]) >= 4.0 - 1e-9
        at_target += math.hypot(x - TARGET[0], z - TARGET[2]) < 6.0
        assert plan.enter_mm < plan.goal_mm
        assert -3.1 < plan.goal_mm - crossing < 6.1 or plan.goal_mm == 3.0
    assert at_target > 120


def test_an_infants_spinal_needle_is_steep_and_passes_beside_the_face() -> None:
    for plan in plans("in-plane", 60, procedure="infant-lp", view="longitudinal"):
        assert 65.0 <= math.degrees(plan.angle_rad) <= 70.0
        assert abs(plan.entry_mm[0]) >= FIELD.face_half_mm - 1e-6
        _, _, z = plan.pose(plan.goal_mm).tip_mm
        x, _, _ = plan.pose(plan.goal_mm - 2.5).tip_mm
        assert z > 4.0 or plan.goal_mm < 8.0
        assert abs(x) < FIELD.face_half_mm + 1.5


def test_needles_stop_short_of_bone() -> None:
    stopped = 0
    for free, short in zip(plans("in-plane"), plans("in-plane", bone_mm=17.0), strict=True):
        tip = short.pose(short.goal_mm).tip_mm
        if free.pose(free.goal_mm).tip_mm[2] > 17.5 and short.goal_mm < free.goal_mm:
            stopped += 1
            assert tip[2] < 17.0
    assert stopped > 60


def test_beside_a_convex_face_needles_start_where_the_bent_skin_shows() -> None:
    machine = draw_machine("E", np.random.default_rng(1), 40.0)
    scan = plan_scan(machine, np.random.default_rng(2), None, False)
    field = FieldOfView.of(scan)
    assert field.skin_z(0.0) == pytest.approx(0.0, abs=0.11) and field.skin_z(25.0) < -4.0
    back = field.rest(*field.shown(12.0, 15.0))
    assert back == (pytest.approx(12.0), pytest.approx(15.0, abs=1e-3))
    for seed in range(40):
        approach = "out-of-plane" if seed % 4 == 0 else "in-plane"
        plan = draw_plan(np.random.default_rng(seed), subject(), field, approach, elevation_sigma_mm=SIGMA_MM)
        x, _, z = plan.entry_mm
        assert float(field.rest(x, z)[1]) == pytest.approx(0.0, abs=0.15) or z < 0
        if approach == "in-plane":
            assert not bool(field.inside(np.array(x), np.array(z))) and plan.enter_mm > 0
        started = start_plan(np.random.default_rng(seed), subject(), field, approach)
        assert math.dist(started.pose(started.goal_mm).tip_mm, TARGET) < 7.0


def test_approaches_follow_the_procedure() -> None:
    def share(procedure: str, view: str) -> float:
        rng = np.random.default_rng(0)
        return float(np.mean([draw_approach(rng, subject(procedure, view)) == "out-of-plane" for _ in range(400)]))

    assert share("breast", "radial") < 0.08
    assert 0.2 < share("vessel", "short-axis") < 0.4
    assert share("infant-lp", "transverse") > 0.8


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_kinds_of_needles_fit_the_procedure(procedure: str) -> None:
    rng = np.random.default_rng(1)
    kinds = [draw_needle_kind(rng, procedure, -27.0) for _ in range(300)]
    assert {k.gauge_mm for k in kinds} == {GAUGE_MM[g] for g in PROCEDURE_GAUGES[procedure]}
    assert {k.throw_mm for k in kinds} == ({15.0, 22.0} if procedure == "breast" else {0.0})
    assert 0.15 < np.mean([k.floor >= 0.5 for k in kinds]) < 0.35
    assert all(0.03 <= k.floor <= 1.0 and -9.0 <= k.level_db <= 4.0 for k in kinds)
    plastic = float(np.mean([k.plastic for k in kinds]))
    assert (0.05 < plastic < 0.2) if procedure == "vessel" else plastic < 0.1
