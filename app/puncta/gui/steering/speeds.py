"""How fast a held key moves probe or needle: one row an action, in amounts a second."""

from __future__ import annotations

from collections.abc import Iterable

from puncta.sim.controls import STILL, Controls

SPEEDS: dict[str, Controls] = {
    "probe_behind": Controls(sweep_mm=4.0),
    "probe_front": Controls(sweep_mm=-4.0),
    "probe_left": Controls(slide_mm=-10.0),
    "probe_right": Controls(slide_mm=10.0),
    "probe_rock_left": Controls(rock_deg=-10.0),
    "probe_rock_right": Controls(rock_deg=10.0),
    "probe_tilt_behind": Controls(tilt_deg=8.0),
    "probe_tilt_front": Controls(tilt_deg=-8.0),
    "probe_twist_left": Controls(twist_deg=15.0),
    "probe_twist_right": Controls(twist_deg=-15.0),
    "probe_press": Controls(press_mm=3.0),
    "probe_lift": Controls(press_mm=-3.0),
    "needle_in": Controls(advance_mm=10.0),
    "needle_out": Controls(advance_mm=-10.0),
    "needle_steeper": Controls(angle_deg=12.0),
    "needle_flatter": Controls(angle_deg=-12.0),
    "needle_swing_left": Controls(swing_deg=10.0),
    "needle_swing_right": Controls(swing_deg=-10.0),
    "entry_left": Controls(entry_mm=-10.0),
    "entry_right": Controls(entry_mm=10.0),
    "entry_behind": Controls(entry_across_mm=4.0),
    "entry_front": Controls(entry_across_mm=-4.0),
    "needle_inject": Controls(inject_ml=0.5),
}
"""Slow enough to stop within a beam's thickness, quick enough to cross the picture in four seconds."""


def speed_of(held: Iterable[str]) -> Controls:
    """Sum of the speeds of all actions whose keys are held."""
    total = STILL
    for name in held:
        total = total + SPEEDS.get(name, STILL)
    return total
