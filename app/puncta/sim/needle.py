"""The needle: its path, its echo by angle, and the hand that moves it.

The echo law and its constants follow published measurements of needles in water and phantoms (angle from the beam's
axis, 90 deg = perpendicular): a floor plus a Gaussian lobe about 85 deg, 20 deg wide at half height.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GAUGE_MM = {14: 2.1, 16: 1.65, 18: 1.27, 20: 0.91, 22: 0.72, 25: 0.51}
PROCEDURE_GAUGES = {"breast": (14, 14, 16, 18), "nerve": (20, 22, 22, 25), "vessel": (18, 20, 20, 22)}


def shaft_gain_db(angle_deg: NDArray | float, floor: float, lobe_centre_deg: float = 85.0) -> NDArray:
    """Echo of a shaft against its best angle [dB].

    Parameters
    ----------
    angle_deg : array
        Angle between shaft and beam [deg], 90 is perpendicular; may exceed 90.
    floor : float
        Share of amplitude left off the lobe: .03-.1 smooth, .1-.2 bevelled hollow, .6-1 textured.
    """
    lobe = np.exp(-0.5 * ((np.asarray(angle_deg) - lobe_centre_deg) / 8.5) ** 2)
    return 20.0 * np.log10(floor + (1.0 - floor) * lobe)


def tip_gain_db(angle_deg: NDArray | float, floor: float) -> NDArray:
    """Echo of the bevel against its best angle [dB]: a lobe three times as wide, so that tips outlast shafts."""
    lobe = np.exp(-0.5 * ((np.asarray(angle_deg) - 87.0) / 22.0) ** 2)
    return 20.0 * np.log10(floor + (1.0 - floor) * lobe)


@dataclass(frozen=True, slots=True)
class Needle:
    """One needle and its way; lengths [mm], levels [dB] on the tissue's scale.

    Attributes
    ----------
    side : int
        +1 comes from the picture's left and goes right, -1 the other way.
    origin : tuple of float
        Where the axis meets the skin, in tissue space [mm]; beside the probe's face.
    angle_deg : float
        From the horizontal, downwards.
    bend_mm : float
        Quadratic bend at ``bend_at_mm`` along the axis.
    skew_rad, offset_mm : float
        Out-of-plane angle, and distance from the image plane at ``goal_mm``.
    enter_mm, goal_mm : float
        Way along the axis where the needle comes into the field and where it is aimed to stop.
    """

    gauge_mm: float
    side: int
    origin: tuple[float, float]
    angle_deg: float
    bend_mm: float
    bend_at_mm: float
    skew_rad: float
    offset_mm: float
    enter_mm: float
    goal_mm: float
    floor: float
    tip_floor: float
    level_db: float
    tip_boost_db: float
    bevel_mm: float
    back_wall: float
    reverb_mm: float
    reverb_decay: float
    reverb_copies: int
    comet: bool
    shadow_db: float

    def point(self, s: NDArray, turn_rad: float = 0.0) -> tuple[NDArray, NDArray]:
        """Points of the axis in tissue space [mm] at ways ``s`` [mm], with the hand's redirection [rad]."""
        a = math.radians(self.angle_deg) + turn_rad
        bow = self.bend_mm * (s / self.bend_at_mm) ** 2
        x = self.origin[0] + self.side * (s * math.cos(a) - bow * math.sin(a))
        return x, self.origin[1] + s * math.sin(a) + bow * math.cos(a)

    def slope_rad(self, s: NDArray, turn_rad: float = 0.0) -> NDArray:
        """Downward angle of the axis at ways ``s`` [rad]."""
        return math.radians(self.angle_deg) + turn_rad + np.arctan(2 * self.bend_mm * s / self.bend_at_mm**2)

    def elevation(self, s: NDArray) -> NDArray:
        """Distance of the axis from the tissue's reference plane [mm]."""
        return self.offset_mm + math.tan(self.skew_rad) * (s - self.goal_mm)


def draw_needle(
    rng: np.random.Generator,
    procedure: str,
    extent_mm: tuple[float, float, float, float],
    face_half_mm: float,
    target: tuple[float, float],
    elevation_sigma_mm: float,
    inside: Callable[[NDArray, NDArray], NDArray[np.bool_]],
    tissue_db: float,
) -> Needle:
    """Draw a needle that a hand beside the probe can bring into the field.

    Parameters
    ----------
    extent_mm : (x0, z0, x1, z1)
        Field of view [mm].
    face_half_mm : float
        Half width of the probe's face [mm]; the needle meets the skin beside it.
    target : (x, z)
        What it is aimed at, in three of four cines.
    elevation_sigma_mm : float
        Half thickness of the image plane.
    inside : callable
        Tells which points [mm] lie in the field.
    tissue_db : float
        Typical echo level of the tissue [dB]; operators choose needles and gain that stand out from it.
    """
    x0, _, x1, z1 = extent_mm
    side = int(rng.choice([-1, 1]))
    edge = -side * min(face_half_mm, (x1 - x0) / 2)
    if rng.random() < 0.7:
        tx, tz = target
        tx += float(rng.normal(0, 2.0))
        tz += float(rng.normal(0, 2.0))
    else:
        tx = float(rng.uniform(-0.35, 0.35)) * (x1 - x0)
        tz = float(rng.uniform(0.12, 0.8)) * min(z1, 60.0)
    reach = max(3.0, abs(tx - edge))
    steepest = math.degrees(math.atan2(tz, reach))
    deepest_entry = min(0.35 * z1, 14.0)
    flattest = math.degrees(math.atan2(max(tz - deepest_entry, 0.17 * reach), reach))
    low, high = max(10.0, flattest), min(65.0, max(steepest, flattest + 1.0))
    if low >= high:
        low, high = 10.0, 14.0
    angle = low + (high - low) * float(rng.beta(1.6, 1.2))
    a = math.radians(angle)
    # Walk back from the target to the skin beside the face.
    along = max(reach / math.cos(a), tz / math.sin(a)) if math.sin(a) > 0.05 else reach / math.cos(a)
    origin = (tx - side * along * math.cos(a), tz - along * math.sin(a))
    ways = np.arange(0.0, along, 0.2)
    within = inside(origin[0] + side * ways * math.cos(a), origin[1] + ways * math.sin(a))
    enter = float(ways[int(np.argmax(within))]) if within.any() else 0.0
    goal = along + float(rng.uniform(-2.0, 3.0))
    gauge = GAUGE_MM[int(rng.choice(PROCEDURE_GAUGES.get(procedure, (20, 22))))]
    kind = rng.choice(["smooth", "hollow", "textured"], p=[0.3, 0.45, 0.25])
    floor = {"smooth": (0.03, 0.1), "hollow": (0.1, 0.25), "textured": (0.5, 1.0)}[str(kind)]
    stray = rng.random() < 0.2
    skew = float(rng.normal(0, 4.0 if stray else 0.7))
    offset = float(rng.normal(0, (1.2 if stray else 0.35) * elevation_sigma_mm))
    bends = rng.random() < 0.4
    return Needle(
        gauge_mm=gauge,
        side=side,
        origin=origin,
        angle_deg=angle,
        bend_mm=float(rng.normal(0, 1.0)) * (1.0 if bends else 0.2) * (1.2 - 0.35 * gauge),
        bend_at_mm=max(goal, 10.0),
        skew_rad=math.radians(skew),
        offset_mm=offset,
        enter_mm=enter,
        goal_mm=goal,
        floor=float(rng.uniform(*floor)),
        tip_floor=float(rng.uniform(0.25, 0.9)),
        level_db=float(rng.uniform(-9.0, 4.0)) + 0.7 * float(np.clip(tissue_db + 27.0, -3.0, 10.0)),
        tip_boost_db=float(rng.uniform(-2.0, 7.0)),
        bevel_mm=gauge * float(rng.uniform(1.2, 2.6)),
        back_wall=float(rng.choice([0.0, rng.uniform(0.1, 0.45)])),
        reverb_mm=float(rng.uniform(0.6, 1.9)),
        reverb_decay=float(rng.uniform(0.08, 0.4)),
        reverb_copies=int(rng.choice([0, 0, 1, 2, 3])),
        comet=bool(rng.random() < 0.12),
        shadow_db=float(rng.uniform(0.5, 7.0)),
    )


@dataclass(frozen=True, slots=True)
class Hand:
    """What the hand does at one instant: way of the tip [mm], its speed [mm/s], redirection [rad]."""

    s_mm: float
    speed_mm_s: float
    turn_rad: float


class Insertion:
    """Moves a needle in and out for ever: wait, advance with pauses, hold, withdraw, try again at another angle.

    Parameters
    ----------
    start : {"outside", "inside"}
        Whether the cine begins before the insertion or somewhere within it.
    """

    def __init__(self, rng: np.random.Generator, needle: Needle, start: str, pace: float = 1.0) -> None:
        self.rng = rng
        self.needle = needle
        self.pace = pace
        self.out_mm = needle.enter_mm - 2.0
        self.turn = 0.0
        self.s = self.out_mm
        self.first = start
        self.speed = 0.0
        self.goal = needle.goal_mm
        self.steps = self._plan()
        self.target, self.wanted, self.left_s = next(self.steps)

    def _plan(self) -> Iterator[tuple[float, float, float]]:
        """Yield steps (place to go to [mm], speed [mm/s], or 0 and a time to rest [s])."""
        rng, n = self.rng, self.needle
        first = True
        while True:
            way = n.goal_mm - n.enter_mm
            self.goal = n.enter_mm + way * float(rng.uniform(0.55, 1.0) if not first else rng.uniform(0.75, 1.0))
            if first and self.first == "inside":
                self.s = n.enter_mm + way * float(rng.uniform(0.12, 0.98))
                if rng.random() < 0.3:
                    yield self.s, 0.0, float(rng.uniform(0.1, 1.0))
            else:
                yield self.s, 0.0, float(rng.uniform(0.15, 0.9)) / self.pace
            while self.s < self.goal - 0.3:
                yield min(self.goal, self.s + float(rng.uniform(3.0, 12.0))), float(rng.uniform(2.0, 8.0)), 0.0
                draw = rng.random()
                if draw < 0.45:
                    yield self.s, 0.0, float(rng.uniform(0.2, 0.9)) / self.pace
                elif draw < 0.6:
                    back = max(n.enter_mm, self.s - float(rng.uniform(0.8, 4.0)))
                    yield back, float(rng.uniform(2.0, 5.0)), 0.0
            yield self.s, 0.0, float(rng.uniform(0.8, 2.5)) / self.pace
            while rng.random() < 0.35:
                yield max(n.enter_mm, self.goal - float(rng.uniform(2, 10))), float(rng.uniform(2.0, 6.0)), 0.0
                yield self.goal, float(rng.uniform(2.0, 6.0)), 0.0
                yield self.s, 0.0, float(rng.uniform(0.4, 1.5)) / self.pace
            yield self.out_mm, float(rng.uniform(4.0, 9.0)), 0.0
            first = False
            self.turn = float(np.clip(rng.normal(0, math.radians(2.5)), -0.08, 0.08))

    def step(self, dt_s: float) -> Hand:
        """Advance by a time step [s]."""
        wanted = 0.0
        if self.wanted > 0:
            way = self.target - self.s
            if abs(way) < 0.08:
                self.target, self.wanted, self.left_s = next(self.steps)
            else:
                # Slow down near the place so that the tip does not overshoot.
                wanted = math.copysign(min(self.wanted * self.pace, abs(way) / 0.12 + 0.3), way)
        else:
            self.left_s -= dt_s
            if self.left_s <= 0:
                self.target, self.wanted, self.left_s = next(self.steps)
        self.speed += (wanted - self.speed) * (1.0 - math.exp(-dt_s / 0.09))
        self.s += self.speed * dt_s
        return Hand(self.s, self.speed, self.turn)


class Drag:
    """Tissue carried along by friction, let go when it has been stretched far enough."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.share = float(rng.uniform(0.2, 0.3))
        self.slack_mm = float(rng.uniform(0.3, 1.0))
        self.hold_s = float(rng.uniform(0.6, 2.5))
        self.value = 0.0

    def step(self, hand: Hand, dt_s: float) -> float:
        """Advance; return the displacement of tissue at the shaft along the axis [mm]."""
        self.value += self.share * hand.speed_mm_s * dt_s
        self.value *= math.exp(-dt_s / self.hold_s)
        if abs(self.value) > self.slack_mm:
            self.value *= 0.35
        return self.value
