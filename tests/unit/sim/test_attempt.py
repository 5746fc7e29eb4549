"""What an attempt's log says about scripted ways through a made-up subject, and its record on disk."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from puncta.core.errors import UserError
from puncta.formats.attempt import EVENT_KINDS, attempt_from_json, json_from_attempt, read_attempt, write_attempt
from puncta.formats.schemas import load_schema
from puncta.formats.validate import validate
from puncta.sim.attempt import AttemptLog
from puncta.sim.controls import STILL, Controls
from puncta.sim.hands import SteeredHands
from puncta.sim.needle import FieldOfView, NeedleKind, NeedlePlan
from puncta.sim.pose import NeedlePose, SceneState
from puncta.sim.subject import Lattice, Streaks, Subject, Target
from puncta.sim.tissue_kinds import Tissue

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "formats" / "attempt" / "attempt.json"
LAYERS = ((0.0, Tissue.SKIN), (1.6, Tissue.FAT), (12.0, Tissue.VESSEL_WALL), (12.4, Tissue.VEIN),
          (16.0, Tissue.VESSEL_WALL), (16.4, Tissue.MUSCLE), (22.0, Tissue.ARTERY), (25.0, Tissue.MUSCLE),
          (30.0, Tissue.BONE))
STEP_NS = 40_000_000


def subject(target_mm: float = 14.2) -> Subject:
    lat = Lattice((-30.0, -3.0, 0.1), (0.5, 0.5, 0.2), (13, 200, 121))
    label = np.zeros(lat.shape, np.uint8)
    for top, kind in LAYERS:
        label[:, lat.zs >= top] = kind
    blank = np.zeros(lat.shape, np.float32)
    return Subject("vessel", 5, "short-axis", lat, label, blank, blank, (), Streaks.none(), (),
                   Target("vein lumen", (0.0, 0.0, target_mm), 2.2, frozenset({Tissue.VEIN})),
                   frozenset({Tissue.ARTERY, Tissue.BONE}), 1.6, 40.0)


def at(way_mm: float, **more: object) -> SceneState:
    """A vertical needle above the target."""
    return SceneState(needle=NeedlePose((0.0, 0.0, 0.0), math.pi / 2, 0.0, way_mm), **more)  # type: ignore[arg-type]


def follow(log: AttemptLog, ways: list[float], first: int = 0) -> list[tuple[str, str | None]]:
    """Watch a needle on these ways; returns what happened."""
    for index, way in enumerate(ways, first):
        log.step(index, index * STEP_NS, at(way))
    return [(e.kind, e.tissue) for e in log.events]


def ways(start: float, end: float, step: float = 0.5) -> list[float]:
    return list(np.arange(start, end + step / 2, step if end > start else -step))


def test_nothing_happens_before_skin_contact() -> None:
    log = AttemptLog(subject())
    assert follow(log, ways(-5.0, -0.5)) == []
    assert not log.started and log.seconds is None and log.tissue is None


def test_a_way_into_the_vein_reaches_the_target() -> None:
    log = AttemptLog(subject())
    events = follow(log, [-1.0, *ways(0.5, 14.0)])
    assert events == [
        ("contact", None), ("enter", "skin"), ("enter", "fat"), ("enter", "vessel wall"), ("enter", "vein"),
        ("target", "vein"),
    ]
    assert log.events[0].index == 1 and log.events[0].t_ns == STEP_NS
    assert log.in_target and log.tissue is Tissue.VEIN
    assert log.distance_mm == pytest.approx(0.2, abs=0.1)
    summary = log.summary()
    assert summary.reached and summary.end_in_target and summary.insertions == 1 and summary.hits == {}
    assert summary.seconds == pytest.approx(27 * 0.04)
    assert summary.path_mm == pytest.approx(14.0, abs=0.1) and summary.deepest_mm == 14.0
    assert 0 < summary.seconds_to_target <= summary.seconds


def test_going_on_goes_through_the_back_wall_and_hits_the_artery_once() -> None:
    log = AttemptLog(subject())
    events = follow(log, ways(0.5, 24.0))
    assert ("through", "vein") in events and ("target-left", None) in events
    assert events.count(("hit", "artery")) == 1
    assert [e.bad for e in log.events if e.kind in ("through", "hit")] == [True, True]
    assert events.index(("through", "vein")) < events.index(("hit", "artery"))
    follow(log, [*ways(23.5, 18.0), *ways(18.5, 23.0)], 100)
    assert log.summary().hits == {"artery": 2}, "it is hit again after the tip was away from it"


def test_coming_back_from_the_vein_is_not_through_its_wall() -> None:
    log = AttemptLog(subject())
    events = follow(log, [*ways(0.5, 14.0), *ways(13.5, 4.0)])
    assert "through" not in {kind for kind, _ in events}
    assert log.summary().withdrawals == 1


def test_a_wiggle_at_a_border_hits_once() -> None:
    log = AttemptLog(subject())
    follow(log, [*ways(0.5, 22.5), 21.8, 22.5, 21.8, 22.5])
    assert log.summary().hits == {"artery": 1}


def test_withdrawing_to_the_skin_and_going_in_again() -> None:
    log = AttemptLog(subject())
    events = follow(log, [*ways(0.5, 8.0), *ways(7.0, -1.0), -2.0, *ways(0.5, 5.0)])
    assert events.count(("withdrawn", None)) == 1
    assert events.count(("contact", None)) == 1
    assert events.count(("enter", "fat")) == 2
    assert log.summary().insertions == 2 and log.summary().withdrawals == 1


def test_a_throw_between_two_frames_counts_wherever_it_passed() -> None:
    log = AttemptLog(subject())
    follow(log, ways(0.5, 9.0))
    log.step(50, 50 * STEP_NS, at(24.0, fired=True))
    kinds = [(e.kind, e.tissue) for e in log.events]
    for expected in (("fired", None), ("target", "vein"), ("through", "vein"), ("hit", "artery")):
        assert expected in kinds
    assert log.shots == 1 and log.reached and not log.in_target
    assert log.nearest_mm < 0.5


def test_what_is_tented_is_not_entered_until_it_gives_way() -> None:
    log = AttemptLog(subject())
    follow(log, ways(0.5, 11.5))
    for index, tent in enumerate((0.3, 0.6, 0.9), 60):
        events = log.step(index, index * STEP_NS, at(11.8 + tent, tent_mm=tent))
        assert events == () and log.tissue is Tissue.FAT
    events = log.step(70, 70 * STEP_NS, at(13.0))
    assert [(e.kind, e.tissue) for e in events] == [
        ("pop", "vessel wall"), ("enter", "vessel wall"), ("enter", "vein"), ("target", "vein")]


def test_bone_is_hit_where_it_stops_the_needle() -> None:
    log = AttemptLog(subject())
    follow(log, [*ways(0.5, 29.5, 1.0), 29.5, 29.5])
    assert log.summary().hits["bone"] == 1
    assert AttemptLog(subject()).step(0, 0, at(5.0), blocked=True)[-1].tissue == "bone"


def test_fluid_is_summed_by_the_tissue_it_goes_into() -> None:
    log = AttemptLog(subject())
    follow(log, ways(0.5, 8.0))
    for index in range(40, 44):
        log.step(index, index * STEP_NS, at(8.0), injected_ml=0.1)
    log.step(44, 44 * STEP_NS, at(8.0), Controls(inject_ml=0.0))
    follow(log, ways(8.5, 14.0), 45)
    log.step(70, 70 * STEP_NS, at(14.0), Controls(inject_ml=0.3))
    injected = [(e.tissue, e.ml) for e in log.events if e.kind == "injected"]
    assert injected == [("fat", pytest.approx(0.4)), ("vein", pytest.approx(0.3))]
    assert log.fluid_ml == pytest.approx(0.7)


def test_done_ends_it() -> None:
    log = AttemptLog(subject())
    follow(log, ways(0.5, 6.0))
    assert log.step(20, 20 * STEP_NS, at(6.0), Controls(done=True))[-1].kind == "done"
    assert log.step(21, 21 * STEP_NS, at(14.0)) == () and log.done
    assert log.seconds == pytest.approx(0.8)


def test_hands_and_log_agree_on_a_whole_attempt(tmp_path: Path) -> None:
    body = subject()
    field = FieldOfView((-10.0, 0.0, 10.0, 40.0), 10.0, lambda x, z: (np.abs(x) <= 10) & (z >= 0) & (z <= 40))
    plan = NeedlePlan((-14.0, 0.0, 0.0), math.atan2(14.2, 14.0), 0.0, 2.0, 20.0)
    kind = NeedleKind(0.72, 0.1, 0.5, -3.0, 3.0, 1.8, 0.0, 1.0, 0.3, 0, False, 2.0)
    hands = SteeredHands(body, plan, np.random.default_rng(2), kind=kind, field=field)
    log = AttemptLog(body)
    seen: set[Tissue] = set()
    for index in range(400):
        reach = log.distance_mm is None or not log.in_target or log.distance_mm > 0.8
        controls = Controls(advance_mm=0.25) if reach and not log.reached else Controls(inject_ml=0.01)
        state = hands.step(0.04, controls)
        log.step(index, index * STEP_NS, state, controls, injected_ml=hands.injected_ml, blocked=hands.blocked)
        seen.add(hands.tip_kind)
    log.step(400, 400 * STEP_NS, hands.step(0.04), Controls(done=True))
    kinds = [e.kind for e in log.events]
    assert kinds[0] == "contact" and kinds[-1] == "done" and "target" in kinds and "hit" not in kinds
    assert [(e.kind, e.tissue) for e in log.events if e.kind == "pop"] == [("pop", "skin"), ("pop", "vessel wall")]
    entered = {Tissue[e.tissue.upper().replace(" ", "_")] for e in log.events if e.kind == "enter"}
    assert seen - {Tissue.OUTSIDE} <= entered
    assert set(log.summary().injected_ml) == {"vein"}

    record = log.record("sim:vessel?seed=5&machine=A&steer=yes", "A")
    write_attempt(tmp_path / "attempt.json", record)
    assert validate(tmp_path / "attempt.json").problems == ()
    again = read_attempt(tmp_path / "attempt.json")
    assert json_from_attempt(again) == json_from_attempt(record)


def test_the_golden_record_is_read_and_written_the_same(tmp_path: Path) -> None:
    write_attempt(tmp_path / "again.json", read_attempt(GOLDEN))
    assert (tmp_path / "again.json").read_bytes() == GOLDEN.read_bytes()


def test_a_broken_record_is_refused_and_the_schema_knows_all_events() -> None:
    with pytest.raises(UserError, match="'format' is missing"):
        attempt_from_json({})
    schema = load_schema("attempt")["properties"]["events"]["items"]["properties"]["kind"]
    assert schema["enum"] == list(EVENT_KINDS)


def test_no_needle_is_no_attempt() -> None:
    log = AttemptLog(subject())
    assert log.step(0, 0, SceneState(), STILL) == ()
