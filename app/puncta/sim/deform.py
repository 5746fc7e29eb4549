"""How tissue moves on a frame: probe pressure, vein collapse, breath, pulse, drag and tenting at the needle, fluid.

Each part is a smooth field that folds no tissue over itself, and so is their chain: the engine may evaluate it on a
coarse grid and interpolate. The parts' functions move the coordinates they are given in place. Sizes and lengths are
our choice, the drag's length of 2.5 mm is the specification's.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from puncta.sim.pose import Bolus, NeedlePose, SceneState
from puncta.sim.subject import Float32, Subject, Vessel

PRESS_MM = 22.0
"""Depth over which the probe's pressure fades [mm]."""
FACE_MM = 30.0
"""Half width of the pressed skin [mm]."""
DRAG_MM = 2.5
"""Distance from the shaft over which drag fades [mm]."""
AHEAD_MM = 1.2
"""How softly drag ends ahead of the tip [mm]."""
TENT_AHEAD_MM, TENT_ACROSS_MM = 4.5, 3.0
"""How far tenting reaches ahead of the tip and across [mm]."""
OPEN_MM = 14.0
"""Distance over which tissue above and below injected fluid gives way [mm]."""
MOST_SQUEEZE = 0.6
"""Share of the tissue between face and fluid that the fluid takes the room of, at most."""
BEND_MM = 2.5
"""Distance from injected fluid at which tissue no longer shows the fluid's sharp edge [mm]."""
LEAST_LUMEN = 0.1
"""Share of a vein's height that no pressure takes away."""
WIDENS = 0.25
"""A flattened vein grows wider by this share of what it loses in height."""
ROOTS_MM = 0.15
"""Swing of the strands in an infant's canal with the pulse [mm]."""

ZERO = np.float32(0.0)


class Deformation:
    """Displacement of one subject's tissue; pure, the same state and points give the same field."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.depth_mm = float(subject.depth_mm)

    def at(
        self, state: SceneState, x_mm: NDArray | float, y_mm: NDArray | float, z_mm: NDArray | float
    ) -> tuple[Float32, Float32]:
        """Displacement (ux, uz) [mm] of tissue points given at rest in tissue space [mm]; arrays broadcast.

        The parts act one after the other, each on tissue as the one before left it: a chain of fields none of which
        folds does not fold either, as their sum would. Needle and fluid come last, since they lie where the frame
        shows them.
        """
        x, y, z = (np.asarray(v, np.float32) for v in (x_mm, y_mm, z_mm))
        shape = np.broadcast_shapes(x.shape, y.shape, z.shape)
        mx, mz = np.array(np.broadcast_to(x, shape)), np.array(np.broadcast_to(z, shape))
        press = float(state.probe.press_mm)
        for vessel in self.subject.vessels:
            _move_vessel(vessel, press, float(state.pulse), mx, y, mz)
        if state.pulse:
            self._sway(float(state.pulse), mx, mz)
        if press > 0:
            mz += _pressed(press, mx - np.float32(state.probe.slide_mm), mz)
        if state.breath_mm:
            share = np.clip(mz * np.float32(1.0 / self.depth_mm), ZERO, np.float32(1.5))
            mz += np.float32(state.breath_mm) * (np.float32(0.3) + np.float32(0.7) * share)
        for bolus in state.boluses:
            _open_plane(bolus, max(press, 0.0), mx, y, mz)
        if state.needle is not None and (abs(state.drag_mm) > 1e-3 or state.tent_mm > 1e-3):
            _follow_needle(state.needle, state.drag_mm, state.tent_mm, mx, y, mz)
        return mx - x, mz - z

    def _sway(self, pulse: float, x: Float32, z: Float32) -> None:
        """Strands of the cauda equina wave with the pulse; where they lie stands in the subject's facts."""
        facts = self.subject.facts
        middle, height = facts.get("canal_depth_mm"), facts.get("canal_ap_mm")
        if not isinstance(middle, int | float) or not isinstance(height, int | float) or height <= 0:
            return
        within = np.exp(-np.square((z - np.float32(middle)) * np.float32(2.8 / height)))
        wave = np.sin(x * np.float32(2 * math.pi / 17.0) + np.float32(2.2 * pulse))
        z += np.float32(ROOTS_MM * (pulse - 0.35)) * within * wave


def _pressed(press: float, x: Float32, z: Float32) -> Float32:
    across = np.exp(-np.square(np.square(x * np.float32(1.0 / FACE_MM))))
    return np.float32(press) * across * np.exp(np.maximum(z, ZERO) * np.float32(-1.0 / PRESS_MM))


def _move_vessel(vessel: Vessel, press: float, pulse: float, x: Float32, y: Float32, z: Float32) -> None:
    """Squeeze and pulse a tube: inside in proportion, outside fading as 1/distance, so that nothing folds."""
    rx, rz = vessel.radius_mm
    wall = pulse * vessel.pulse_mm
    flat = max(LEAST_LUMEN, 1.0 - vessel.collapse * max(press, 0.0)) - 1.0
    if abs(wall) < 1e-4 and abs(flat) < 1e-4:
        return
    across, down = vessel_axes(vessel)
    cx, cy, cz = vessel.centre_mm
    dx, dy, dz = x - np.float32(cx), y - np.float32(cy), z - np.float32(cz)
    a = dx * np.float32(across[0]) + dy * np.float32(across[1])
    b = dz * np.float32(down[2])
    if abs(down[0]) > 1e-6 or abs(down[1]) > 1e-6:
        b = b + dx * np.float32(down[0]) + dy * np.float32(down[1])
    q2 = np.square(a * np.float32(1.0 / rx)) + np.square(b * np.float32(1.0 / rz))
    fade = np.float32(1.0) / np.maximum(q2, np.float32(1.0))
    grow_a, grow_b = wall / rx - WIDENS * flat, wall / rz + flat
    move_a = np.float32(grow_a) * a * fade
    move_b = np.float32(grow_b) * b * fade
    x += move_a * np.float32(across[0]) + move_b * np.float32(down[0])
    z += move_b * np.float32(down[2])


@lru_cache(maxsize=64)
def vessel_axes(vessel: Vessel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors across a vessel (level) and down through it, both at right angles to its axis."""
    along = np.asarray(vessel.direction, float)
    across = np.array([along[1], -along[0], 0.0])
    length = float(np.hypot(across[0], across[1]))
    across = across / length if length > 1e-9 else np.array([1.0, 0.0, 0.0])
    down = np.cross(along, across)
    return across, down if down[2] >= 0 else -down


def _follow_needle(needle: NeedlePose, drag: float, tent: float, x: Float32, y: Float32, z: Float32) -> None:
    """Tissue at the shaft follows it, bulges a little ahead of the tip, and is pushed in where it holds the tip up."""
    ca, sa = math.cos(needle.angle_rad), math.sin(needle.angle_rad)
    cz, sz = math.cos(needle.azimuth_rad), math.sin(needle.azimuth_rad)
    ex, ey, ez = needle.entry_mm
    dx, dy, dz = x - np.float32(ex), y - np.float32(ey), z - np.float32(ez)
    level = dx * np.float32(cz) + dy * np.float32(sz)
    side = dy * np.float32(cz) - dx * np.float32(sz)
    s = level * np.float32(ca) + dz * np.float32(sa)
    bow = np.float32(needle.bend_mm / needle.bend_at_mm**2) * np.square(s)
    d = np.sqrt(np.square(dz * np.float32(ca) - level * np.float32(sa) - bow) + np.square(side))
    along = np.zeros(d.shape, np.float32)
    ahead = s - np.float32(needle.way_mm)
    if abs(drag) > 1e-3:
        reach = np.float32(1.0) / (1.0 + np.exp(np.clip((ahead - 1.0) * np.float32(1.0 / AHEAD_MM), -30.0, 30.0)))
        along += np.float32(drag) * np.exp(d * np.float32(-1.0 / DRAG_MM)) * reach
    if tent > 1e-3:
        # The layer that holds the tip up lay this far back at rest.
        off = ahead + np.float32(tent)
        spread = np.where(off > 0, np.float32(1.0 / TENT_AHEAD_MM), np.float32(1.0 / (1.0 + tent)))
        shape = np.exp(-np.square(off * spread) - np.square(d * np.float32(1.0 / TENT_ACROSS_MM)))
        along += np.float32(min(tent, 0.7 * TENT_AHEAD_MM)) * shape
    x += along * np.float32(ca * cz)
    z += along * np.float32(sa)


def _open_plane(bolus: Bolus, face_mm: float, x: Float32, y: Float32, z: Float32) -> None:
    """Tissue above fluid rises and tissue below sinks, by the fluid's half height over the place.

    The probe's face at ``face_mm`` does not give way: tissue between it and the fluid is squeezed.
    """
    (cx, cy, cz), (a, b, c) = bolus.centre_mm, bolus.radius_mm
    rho2 = np.square((x - np.float32(cx)) * np.float32(1.0 / a)) + np.square((y - np.float32(cy)) * np.float32(1.0 / b))
    off = z - np.float32(cz)
    far = np.abs(off)
    # At the plane the fluid's own outline; away from it a bell of the same volume, since tissue bends over the edge.
    near = np.exp(far * np.float32(-1.0 / BEND_MM))
    lens = np.sqrt(np.maximum(np.float32(1.0) - rho2, ZERO))
    half = near * lens + (np.float32(1.0) - near) * np.exp(np.float32(-1.5) * rho2)
    half *= np.exp(far * np.float32(-1.0 / max(OPEN_MM, 1.4 * c)))
    room = max(cz - face_mm, 1.0)
    taper = np.maximum(np.float32(1.0) + off * np.float32(1.0 / room), ZERO)
    above = np.float32(min(c, MOST_SQUEEZE * room)) * taper
    # A soft sign leaves a few grains of tissue inside instead of a jump that no grid could follow.
    z += half * np.where(off < 0, above, np.float32(c)) * np.tanh(off * np.float32(1.0 / (0.15 * c + 0.12)))
