"""Steered and automatic hands against a small made-up subject of flat layers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from puncta.sim.controls import STILL, Controls
from puncta.sim.hands import AutoHands, SteeredHands, start_plan
from puncta.sim.needle import FieldOfView, NeedleKind, NeedlePlan
from puncta.sim.pose import Bolus
from puncta.sim.steered import OUT_MM, PRESS_MM, RATES, TILT_RAD, add_fluid, ball_radii_mm
from puncta.sim.subject import Lattice, Streaks, Subject, Target, Vessel
from puncta.sim.tissue_kinds import FACTS, Tissue

DT = 0.04
LAYERS = ((0.0, Tissue.SKIN), (1.5, Tissue.FAT), (14.0, Tissue.FASCIA), (14.6, Tissue.MUSCLE), (26.0, Tissue.BONE))
KIND = NeedleKind(0.91, 0.1, 0.5, -3.0, 3.0, 1.8, 0.0, 1.0, 0.3, 0, False, 2.0)
FIELD = FieldOfView((-19.0, 0.0, 19.0, 40.0), 19.0, lambda x, z: (np.abs(x) <= 19) & (z >= 0) & (z <= 40))


def subject(layers: tuple[tuple[float, Tissue], ...] = LAYERS, vessels: tuple[Vessel, ...] = ()) -> Subject:
    """Flat layers that do not breathe."""
    lat = Lattice((-36.0, -6.0, 0.1), (0.6, 0.5, 0.2), (25, 200, 121))
    label = np.zeros(lat.shape, np.uint8)
    for top, kind in layers:
        label[:, lat.zs >= top] = kind
    blank = np.full(lat.shape, -30.0, np.float32)
    return Subject("nerve", 1, "short-axis", lat, label, blank, blank, (), Streaks.none(), vessels,
                   Target("made", (0.0, 0.0, 20.0), 2.0), frozenset({Tissue.ARTERY}), 1.5, 40.0, breath_mm=(0.0, 0.0))


def steered(body: Subject | None = None, kind: NeedleKind = KIND, angle_deg: float = 60.0, **plan: object
            ) -> SteeredHands:
    """Hands beside the face, the needle just off the skin."""
    way = NeedlePlan((-22.0, 0.0, 0.0), math.radians(angle_deg), 0.0, 0.0, 30.0, **plan)  # type: ignore[arg-type]
    return SteeredHands(body or subject(), way, np.random.default_rng(1), kind=kind, field=FIELD)


def push(hands: SteeredHands, steps: int, by_mm: float = 0.4) -> list[float]:
    """Advance; returns the ways."""
    return [hands.step(DT, Controls(advance_mm=by_mm)).needle.way_mm for _ in range(steps)]


def push_until(hands: SteeredHands, kind: Tissue, by_mm: float = 0.4) -> None:
    for _ in range(600):
        push(hands, 1, by_mm)
        if hands.tip_kind is kind:
            return
    pytest.fail(f"never in {kind.name}")


def test_the_same_steps_give_the_same_states_and_other_seeds_tremble_otherwise() -> None:
    controls = [Controls(advance_mm=0.5, angle_deg=0.2, slide_mm=0.1, inject_ml=0.01 * (k > 20)) for k in range(60)]

    def run(seed: int) -> list[object]:
        way = start_plan(np.random.default_rng(3), subject(), FIELD)
        hands = SteeredHands(subject(), way, np.random.default_rng(seed), kind=KIND, field=FIELD)
        return [hands.step(DT, c) for c in controls]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_resistance_slows_the_needle_by_the_tissues_drag() -> None:
    hands = steered(subject(((0.0, Tissue.MUSCLE),)))
    push_until(hands, Tissue.MUSCLE)
    ways = push(hands, 10)
    assert np.diff(ways) == pytest.approx(0.4 / FACTS[Tissue.MUSCLE].drag)


def test_a_tough_layer_tents_then_gives_way_with_a_snap_and_lets_the_drag_go() -> None:
    hands = steered()
    push_until(hands, Tissue.FAT)
    tents, drags, kinds = [0.0], [0.0], [Tissue.FAT]
    while hands.tip_kind is not Tissue.MUSCLE and len(tents) < 200:
        state = hands.step(DT, Controls(advance_mm=0.15))
        tents.append(state.tent_mm)
        drags.append(state.drag_mm)
        kinds.append(hands.tip_kind)
    snap = int(np.argmax(tents)) + 1
    assert max(tents) > 0.5 * FACTS[Tissue.FASCIA].pop_mm
    assert tents[snap] == 0.0
    assert drags[snap] < 0.5 * drags[snap - 1]
    assert set(kinds[:snap]) == {Tissue.FAT}, "nothing is entered while it tents"


def test_pulling_back_undoes_tenting() -> None:
    hands = steered()
    push_until(hands, Tissue.FAT)
    while hands.state.tent_mm < 0.3:
        push(hands, 1, 0.15)
    tented = hands.state.tent_mm
    push(hands, 1, -0.15)
    assert 0 <= hands.state.tent_mm < tented
    push(hands, 10, -0.15)
    assert hands.state.tent_mm == 0.0 and hands.tip_kind is Tissue.FAT


def test_bone_stops_the_needle_and_what_was_asked_does_not_wait_there() -> None:
    hands = steered(angle_deg=80.0)
    push(hands, 250, 0.5)
    assert hands.blocked
    stopped = hands.state.needle.way_mm
    assert 24.0 < hands.state.needle.tip_mm[2] < 27.5
    push(hands, 50, 0.5)
    assert hands.state.needle.way_mm < stopped + 0.6
    push(hands, 10, -0.4)
    assert hands.state.needle.way_mm == pytest.approx(stopped - 4.0, abs=0.6)


def test_outside_the_needle_turns_freely_and_inside_about_its_entry_the_less_the_deeper() -> None:
    def turn(way_mm: float) -> tuple[float, float]:
        hands = steered(subject(((0.0, Tissue.FAT),)), angle_deg=30.0)
        while hands.needle.way_mm < way_mm:
            push(hands, 1)
        before = hands.needle
        for _ in range(10):
            hands.step(DT, Controls(angle_deg=0.5))
        assert hands.needle.entry_mm == before.entry_mm
        return math.degrees(hands.needle.angle_rad - before.angle_rad), hands.needle.bend_mm

    outside, shallow, deep = turn(-4.0), turn(5.0), turn(30.0)
    assert outside == (pytest.approx(5.0), 0.0)
    assert outside[0] > shallow[0] > deep[0] > 0
    assert deep[1] < 0, "the tip lags, so the shaft bends upwards against its axis"


def test_the_tip_stays_nearer_to_where_it_was_than_a_stiff_needles_would() -> None:
    hands = steered(subject(((0.0, Tissue.FAT),)), angle_deg=30.0)
    push(hands, 90)
    before = hands.needle
    for _ in range(10):
        hands.step(DT, Controls(angle_deg=1.0))
    after = hands.needle
    stiff = replace(after, bend_mm=0.0)
    assert math.dist(after.tip_mm, before.tip_mm) < math.dist(stiff.tip_mm, before.tip_mm)


def test_the_entry_moves_only_outside_and_never_under_the_face() -> None:
    hands = steered()
    hands.step(DT, Controls(entry_mm=-1.0))
    assert hands.needle.entry_mm[0] == pytest.approx(-23.0)
    for _ in range(40):
        hands.step(DT, Controls(entry_mm=2.0))
    assert abs(hands.needle.entry_mm[0] - hands.state.probe.slide_mm) >= FIELD.face_half_mm
    push_until(hands, Tissue.FAT)
    entry = hands.needle.entry_mm
    hands.step(DT, Controls(entry_mm=-1.0, entry_across_mm=1.0))
    assert hands.needle.entry_mm == entry


def test_nothing_runs_away() -> None:
    hands = steered()
    wild = Controls(**dict.fromkeys(RATES, 1e9), fire=True)
    bad = Controls(advance_mm=math.nan, tilt_deg=math.inf, press_mm=-math.inf)
    before = hands.needle.way_mm
    first = hands.step(DT, wild)
    assert first.needle.way_mm - before <= RATES["advance_mm"] * DT + 1e-9
    for _ in range(100):
        state = hands.step(5.0, wild)
        state = hands.step(DT, bad)
    numbers = [state.needle.way_mm, state.needle.angle_rad, *state.needle.tip_mm, state.probe.press_mm]
    assert np.isfinite(numbers).all()
    assert abs(hands.probe.tilt_rad) <= TILT_RAD and PRESS_MM[0] <= hands.probe.press_mm <= PRESS_MM[1]
    for _ in range(300):
        state = hands.step(DT, Controls(advance_mm=-5.0))
    assert state.needle.way_mm == pytest.approx(OUT_MM)


def test_a_large_amount_is_done_in_full_over_some_frames() -> None:
    hands = steered()
    slide = hands.probe.slide_mm
    hands.step(DT, Controls(slide_mm=12.0))
    assert hands.probe.slide_mm - slide < 12.0
    for _ in range(10):
        hands.step(DT, STILL)
    assert hands.probe.slide_mm - slide == pytest.approx(12.0)


def test_the_gun_throws_within_two_frames_once_and_is_cocked_again_outside() -> None:
    hands = steered(subject(((0.0, Tissue.FAT),)), kind=replace(KIND, throw_mm=22.0), angle_deg=30.0)
    hands.step(DT, Controls(fire=True))
    assert not hands.state.fired, "it does not fire in the air"
    push(hands, 30)
    before = hands.needle.way_mm
    assert hands.step(DT, Controls(fire=True)).fired
    assert not hands.step(DT).fired
    assert hands.needle.way_mm - before == pytest.approx(22.0)
    assert not hands.step(DT, Controls(fire=True)).fired
    push(hands, 200, -0.8)
    push(hands, 60, 0.4)
    assert hands.step(DT, Controls(fire=True)).fired


def test_bone_stops_the_throw() -> None:
    hands = steered(kind=replace(KIND, throw_mm=22.0), angle_deg=80.0)
    push_until(hands, Tissue.MUSCLE)
    hands.step(DT, Controls(fire=True))
    hands.step(DT)
    assert hands.state.needle.tip_mm[2] < 27.5


def test_fluid_opens_a_flat_depot_without_losing_volume_and_runs_off_in_a_vein() -> None:
    hands = steered()
    push_until(hands, Tissue.MUSCLE)
    for _ in range(50):
        hands.step(DT, Controls(inject_ml=0.02))
    assert len(hands.state.boluses) == 1
    bolus = hands.state.boluses[0]
    assert bolus.volume_ml == pytest.approx(1.0)
    assert 4 / 3 * math.pi * math.prod(bolus.radius_mm) == pytest.approx(1000.0)
    assert bolus.radius_mm[2] < 0.6 * bolus.radius_mm[0]
    vein = steered(subject(((0.0, Tissue.FAT), (8.0, Tissue.VEIN))))
    push_until(vein, Tissue.VEIN)
    vein.step(DT, Controls(inject_ml=0.05))
    assert vein.injected_ml == pytest.approx(0.05)
    assert vein.state.boluses == ()
    air = steered()
    air.step(DT, Controls(inject_ml=0.05))
    assert air.injected_ml == 0.0


def test_fluid_at_another_place_opens_another_depot_and_depots_stay_few() -> None:
    boluses: tuple[Bolus, ...] = ()
    for k in range(30):
        boluses = add_fluid(boluses, (8.0 * k, 0.0, 20.0), 0.1)
    assert 1 < len(boluses) <= 8
    assert sum(b.volume_ml for b in boluses) == pytest.approx(3.0)
    grown = add_fluid((Bolus((0.0, 0.0, 20.0), ball_radii_mm(1.0, 1.5), 1.0),), (1.0, 0.0, 20.0), 1.0)
    assert grown[0].radius_mm == pytest.approx(ball_radii_mm(2.0, 1.5))


def test_a_start_plan_goes_about_to_the_target_from_beside_the_face() -> None:
    for seed in range(6):
        for approach in ("in-plane", "out-of-plane"):
            plan = start_plan(np.random.default_rng(seed), subject(), FIELD, approach)
            assert math.dist(plan.pose(plan.goal_mm).tip_mm, (0.0, 0.0, 20.0)) < 4.5
            x, y, z = plan.entry_mm
            assert z == 0.0 and (abs(x - plan.slide_mm) > FIELD.face_half_mm or abs(y) > 4.0)


def test_automatic_hands_move_alike_with_and_without_a_needle() -> None:
    def run(plan: NeedlePlan | None) -> list[object]:
        hands = AutoHands(subject(), plan, np.random.default_rng(1), np.random.default_rng(2))
        return [hands.step(DT) for _ in range(80)]

    plan = start_plan(np.random.default_rng(0), subject(), FIELD)
    with_needle, without = run(plan), run(None)
    assert [s.probe for s in with_needle] == [s.probe for s in without]
    assert all(s.needle is None for s in without)
    ways = [s.needle.way_mm for s in with_needle]
    assert max(ways) - min(ways) > 1.0 and max(ways) < plan.goal_mm + 1.0
    assert all(s.probe.press_mm >= 0 for s in with_needle)
