"""From mouse and keys to controls: directions, steadiness, and no clash of keys."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from puncta.core.overlay import Dash, Layer, OverlayStyle
from puncta.core.results import Analysis
from puncta.formats.attempt import AttemptEvent, AttemptSummary
from puncta.gui.actions import ACTIONS, KEY_SETS, SPECS, STEER, find_conflict, keys_of
from puncta.gui.panels.steer_panel import AttemptCard
from puncta.gui.panels.try_card import TryCard
from puncta.gui.steering.cockpit import next_subject, steered_address
from puncta.gui.steering.grip import WHEEL_MM, Grip, wheel_controls
from puncta.gui.steering.overlay import compose_steered
from puncta.gui.steering.speeds import SPEEDS, speed_of
from puncta.gui.steering.words import end_words, tip_line
from puncta.gui.theme import make_theme
from puncta.sim.controls import STILL, Controls
from puncta.sources.simulated import SimulatedSource
from puncta.sources.steering import AttemptView, NeedleView

MM_PER_PX = 0.1


def needle(angle_deg: float = 30.0, azimuth_deg: float = 0.0, way_mm: float = 10.0) -> NeedleView:
    angle, azimuth = math.radians(angle_deg), math.radians(azimuth_deg)
    flat = math.cos(angle) * math.cos(azimuth)
    length = math.hypot(flat, math.sin(angle))
    towards = (flat / length, math.sin(angle) / length)
    return NeedleView((0.0, 0.0), towards, angle_deg, azimuth_deg, way_mm, None, 0.0, 0.0)


def drag(view: NeedleView, path: list[tuple[float, float]], how: str = "move_needle") -> Controls:
    grip, total = Grip(path[0]), STILL
    for point in path[1:]:
        moved = grip.move_probe(point, MM_PER_PX) if how == "move_probe" else getattr(grip, how)(point, view, MM_PER_PX)
        total = total + moved
    return total


@pytest.mark.parametrize("azimuth", [0.0, 180.0])
def test_a_drag_along_the_needle_advances_by_the_millimetres_on_the_screen(azimuth: float) -> None:
    view = needle(azimuth_deg=azimuth)
    ux, uy = view.towards
    path = [(ux * s, uy * s) for s in range(100, 201, 5)]
    inwards = drag(view, path)
    assert inwards.advance_mm == pytest.approx(100 * MM_PER_PX)
    assert inwards.angle_deg == 0.0 and inwards.swing_deg == 0.0
    assert drag(view, path[::-1]).advance_mm == pytest.approx(-100 * MM_PER_PX)


@pytest.mark.parametrize("azimuth", [0.0, 180.0])
def test_a_shaky_drag_along_the_needle_does_not_turn_it(azimuth: float) -> None:
    view = needle(azimuth_deg=azimuth)
    ux, uy = view.towards
    path = [(ux * s - uy * (s % 2), uy * s + ux * (s % 2)) for s in range(100, 201, 4)]
    shaky = drag(view, path)
    assert shaky.advance_mm == pytest.approx(100 * MM_PER_PX, abs=0.2)
    assert shaky.angle_deg == 0.0


@pytest.mark.parametrize("azimuth", [0.0, 180.0])
def test_a_drag_across_turns_the_needle_with_the_cursor(azimuth: float) -> None:
    view = needle(azimuth_deg=azimuth)
    ux, uy = view.towards
    down = (-uy, ux) if ux > 0 else (uy, -ux)  # the side of the needle that is deeper
    reach = 200.0
    path = [(ux * reach + down[0] * s, uy * reach + down[1] * s) for s in range(36)]
    turned = drag(view, path)
    assert turned.advance_mm == 0.0
    assert turned.angle_deg == pytest.approx(math.degrees(math.atan2(35.0, reach)), rel=0.05)
    assert drag(view, path[::-1]).angle_deg < -5.0


def test_a_needle_from_across_the_plane_swings_to_the_side_of_the_drag() -> None:
    view = needle(angle_deg=50.0, azimuth_deg=90.0)
    to_right = drag(view, [(float(s), 150.0) for s in range(0, 40, 4)])
    assert to_right.swing_deg < 0.0  # the azimuth falls from 90 towards 0, which is to the right
    assert to_right.angle_deg == 0.0
    front = needle(angle_deg=50.0, azimuth_deg=-90.0)
    assert drag(front, [(float(s), 150.0) for s in range(0, 40, 4)]).swing_deg > 0.0


def test_shift_and_drag_moves_the_entry_outside_and_swings_inside() -> None:
    right_and_up = [(0.0, 0.0), (50.0, -20.0)]
    outside = drag(needle(way_mm=-5.0), right_and_up, "move_entry")
    assert (outside.entry_mm, outside.entry_across_mm) == (pytest.approx(5.0), pytest.approx(2.0))
    assert drag(needle(), right_and_up, "move_entry").swing_deg > 0  # from the left, behind is +y
    assert drag(needle(azimuth_deg=180.0), right_and_up, "move_entry").swing_deg < 0
    assert drag(needle(azimuth_deg=90.0), [(0.0, 0.0), (0.0, 20.0)], "move_entry").angle_deg > 0


def test_the_other_button_moves_the_probe_as_if_tissue_were_held() -> None:
    moved = drag(needle(), [(0.0, 0.0), (30.0, 10.0)], "move_probe")
    assert (moved.slide_mm, moved.sweep_mm) == (pytest.approx(-3.0), pytest.approx(-1.0))


def test_the_wheel_advances_and_withdraws() -> None:
    assert wheel_controls(-2.0).advance_mm == pytest.approx(2 * WHEEL_MM)  # down is deeper, as the key
    assert wheel_controls(0.5).advance_mm == pytest.approx(-0.5 * WHEEL_MM)


def test_opposite_keys_cancel_and_others_add() -> None:
    assert speed_of({"probe_left", "probe_right"}) == STILL
    both = speed_of({"probe_behind", "needle_in"})
    assert both.sweep_mm > 0 and both.advance_mm > 0
    assert speed_of({"hide_overlay"}) == STILL


def test_every_steering_key_that_is_held_has_a_speed() -> None:
    held = {spec.id for spec in ACTIONS if spec.modes == (STEER,) and spec.hold}
    assert held == set(SPEEDS)


@pytest.mark.parametrize("key_set", KEY_SETS)
def test_steering_keys_clash_with_nothing_that_works_while_steering(key_set: str) -> None:
    keys = keys_of(key_set, {})
    here = [spec.id for spec in ACTIONS if not spec.modes or STEER in spec.modes]
    taken = {}
    for name in here:
        assert keys[name] not in taken, (name, taken.get(keys[name]))
        taken[keys[name]] = name
    assert find_conflict("probe_left", keys["play"], keys) == "play"
    assert find_conflict("probe_left", keys["range_loop"], keys) in {None, "attempt_done"}
    assert SPECS["frame_on"].modes and STEER not in SPECS["frame_on"].modes  # its arrow drives the needle instead


def test_the_groups_of_the_key_list_stand_together() -> None:
    groups = [group for group, _rows in itertools.groupby(ACTIONS, key=lambda spec: spec.group)]
    assert len(groups) == len(set(groups))


def test_one_hand_reaches_everything_on_the_left_of_the_keyboard() -> None:
    left = set("12345QWERTASDFGXCVB") | {"F1"}
    keys = keys_of("One hand", {})
    steering = [spec.id for spec in ACTIONS if spec.modes == (STEER,)]
    assert {keys[name].removeprefix("Shift+") for name in steering} <= left


def test_a_needle_across_the_plane_shows_where_it_crosses() -> None:
    source = SimulatedSource("sim:nerve?seed=4&size=160x120&approach=out-of-plane&fps=30&steer=yes")
    frame = source.read()
    view = source.steering.view(frame.key.index)
    x, y = view.needle.crossing_px
    x0, y0, w, h = view.region
    assert x0 < x < x0 + w and y0 < y < y0 + h
    assert math.hypot(x - view.target.centre_px[0], y - view.target.centre_px[1]) * view.mm_per_px < 6.0
    scene = compose_steered(Analysis(frame, (), frozenset(), 0), view, OverlayStyle(), None)
    assert any("crosses here" in getattr(item, "text", "") for item in scene.items)
    in_plane = SimulatedSource("sim:nerve?seed=4&size=160x120&approach=in-plane&fps=30&steer=yes")
    frame = in_plane.read()
    assert in_plane.steering.view(frame.key.index).needle.crossing_px is None


def test_the_layers_of_the_viewer_rule_over_the_ring() -> None:
    source = SimulatedSource("sim:vessel?seed=3&size=160x120&fps=30&steer=yes")
    frame = source.read()
    view, analysis = source.steering.view(frame.key.index), Analysis(frame, (), frozenset(), 0)
    layers = {item.layer for item in compose_steered(analysis, view, OverlayStyle(), None).items}
    assert {Layer.TARGET, Layer.PATH} <= layers
    hidden = compose_steered(analysis, view, OverlayStyle(visible={Layer.TARGET: False}), None)
    assert Layer.TARGET not in {item.layer for item in hidden.items}
    own = compose_steered(analysis, view, OverlayStyle(target_px=(3.0, 3.0)), None)
    rings = [item for item in own.items if item.layer is Layer.TARGET and hasattr(item, "centre_px")]
    assert [ring.centre_px for ring in rings] == [view.target.centre_px]


def test_the_next_subject_and_the_steered_address_keep_the_rest() -> None:
    assert next_subject("sim:nerve?seed=7&machine=B&steer=yes") == "sim:nerve?seed=8&machine=B&steer=yes"
    assert next_subject("sim:nerve") == "sim:nerve?seed=2"
    assert steered_address("sim:breast?seed=1&machine=A&frames=9&needle=no") == "sim:breast?seed=1&machine=A&steer=yes"
    assert steered_address("sim:breast") == "sim:breast?steer=yes"


def test_hits_stay_on_the_card_and_in_the_title_of_the_summary(qapp) -> None:
    source = SimulatedSource("sim:vessel?seed=3&size=160x120&fps=30&steer=yes")
    seen = source.steering.view(source.read().key.index)
    pops = [AttemptEvent("pop", k * 10**9, k) for k in range(5, 12)]
    hits = [AttemptEvent("hit", k * 10**9, k, tissue="artery", bad=True) for k in (1, 2)]
    summary = AttemptSummary(12.0, None, False, False, 2.0, 64.2, 20.0, 9.0, 1, 0, 0)
    attempt = AttemptView(12.0, 0, True, False, False, (*hits, *pops), summary)
    card = AttemptCard(make_theme("dark"))
    card.show_view(replace(seen, attempt=attempt))
    assert not any("artery" in line for line in card.events())
    assert card.hits.text() == "Artery hit twice" and not card.hits.isHidden()
    assert end_words(attempt, summary) == "Done 64 mm from the target; artery hit twice"
    card.show_view(seen)
    assert card.hits.isHidden()


def test_the_aim_stays_until_the_tip_is_in_the_picture(qapp) -> None:
    source = SimulatedSource("sim:vessel?seed=3&size=160x120&fps=30&steer=yes")
    frame = source.read()
    seen, analysis = source.steering.view(frame.key.index), Analysis(frame, (), frozenset(), 0)
    x0, y0, w, h = seen.region

    def at(tip_px: tuple[float, float]):
        needle = replace(seen.needle, way_mm=5.0, tip_px=tip_px, tip_behind_mm=0.0, crossing_px=None)
        return replace(seen, needle=needle)

    def aims(view) -> bool:
        items = compose_steered(analysis, view, OverlayStyle(), None).items
        return any(item.layer is Layer.PATH and getattr(item, "dash", None) is Dash.DASHED for item in items)

    beside, inside = at((x0 - 20.0, y0 + 2.0)), at((x0 + w / 2, y0 + h / 2))
    assert aims(seen) and aims(beside) and not aims(inside)
    assert tip_line(beside) == "The tip is in the plane, beside the picture."
    assert tip_line(inside) == "The tip is in the plane."


def test_the_card_of_the_first_start_stays_away_while_steering(qapp) -> None:
    card = TryCard(make_theme("dark"))
    card.want(True)
    card.set_steering(True)
    card.give_way(False)
    assert card.isHidden()
    card.set_steering(False)
    assert not card.isHidden()
    card.close()
