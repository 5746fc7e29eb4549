"""The automatic hand on the needle: it advances with pauses, holds, withdraws and tries again; tissue drags along."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

MOST_TURN_RAD = 0.08
"""Farthest that the hand redirects a needle from try to try [rad]."""


class Way(Protocol):
    """What an insertion needs to know of a plan: where the needle comes into the picture and where it stops [mm]."""

    @property
    def enter_mm(self) -> float: ...

    @property
    def goal_mm(self) -> float: ...


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
    watched : bool
        Begin above the skin, not merely out of the picture, and go all the way at first.
    """

    def __init__(
        self, rng: np.random.Generator, plan: Way, start: str, pace: float = 1.0, watched: bool = False
    ) -> None:
        self.rng = rng
        self.plan = plan
        self.pace = pace
        self.watched = watched
        self.out_mm = plan.enter_mm - 2.0 if not watched else min(plan.enter_mm - 2.0, -2.5)
        self.turn = 0.0
        self.s = self.out_mm
        self.first = start
        self.speed = 0.0
        self.goal = plan.goal_mm
        self.steps = self._course()
        self.target, self.wanted, self.left_s = next(self.steps)

    def _course(self) -> Iterator[tuple[float, float, float]]:
        """Yield steps (place to go to [mm], speed [mm/s], or 0 and a time to rest [s])."""
        rng, n = self.rng, self.plan
        first = True
        while True:
            way = n.goal_mm - n.enter_mm
            self.goal = n.enter_mm + way * float(rng.uniform(0.55, 1.0) if not first else rng.uniform(0.75, 1.0))
            if first and self.watched:
                self.goal = n.goal_mm
            if first and self.first == "inside":
                self.s = n.enter_mm + way * float(rng.uniform(0.12, 0.98))
                if rng.random() < 0.3:
                    yield self.s, 0.0, float(rng.uniform(0.1, 1.0))
            else:
                yield self.s, 0.0, float(rng.uniform(0.15, 0.9)) / self.pace
            if self.watched and self.s < n.enter_mm - 2.5:
                # Out of sight nobody waits long for the needle.
                yield n.enter_mm - 0.5, float(rng.uniform(8.0, 12.0)), 0.0
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
            self.turn = float(np.clip(rng.normal(0, math.radians(2.5)), -MOST_TURN_RAD, MOST_TURN_RAD))

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
